/* A terminal in the state machine, whose user is outside of the loop.
 *
 * What is typed is read in order, and what is put is shown in order.  The mode
 * is what was set last, and is restored when the stream is closed.  A size that
 * is reported is the one that was set last. */

#include "machine_outside.h"

#include <string.h>

#include "simulator/sim_tty.h"

enum { LINE = 5, TYPED_MAX = 60, SHOWN_MAX = 400 };

static struct terminal {
    struct sim_tty *tty;  /* NULL: there was none yet. */
    aloop_stream *stream; /* NULL: closed. */
    struct out *read;     /* The pending one, or NULL. */
    bool is_master, is_raw, has_hung_up;
    unsigned columns, rows;
    unsigned typed, got, put, shown; /* Bytes. */
} terminal;

void tty_begin(void)
{
    memset(&terminal, 0, sizeof terminal);
}

/* Opens the terminal, or another one if that was closed. */
static bool open_terminal(void)
{
    unsigned kind;
    int fd, result;

    if (terminal.stream != NULL)
        return true;
    kind = any_below(4);
    tty_begin();
    terminal.tty = sim_tty_open(&fd);
    terminal.columns = 80;
    terminal.rows = 24;
    terminal.is_master = kind == 1;
    if (kind == 1)
        sim_tty_make_master(terminal.tty);
    if (kind == 2)
        sim_tty_unname(terminal.tty);
    arm();
    result = aloop_stream_open(w.loop, fd, &terminal.stream);
    if (disarm() && result < 0)
        FUZZ_CHECK(aloop__sys_close(fd) == 0);
    else
        FUZZ_CHECK(result == 0);
    say("a terminal: %d", result);
    return result == 0;
}

/* The user. */

/* Each line ends with its fifth byte. */
static char typed_byte(unsigned at)
{
    return at % LINE == LINE - 1 ? '\n' : (char) ('a' + at % 26);
}

static void look(void)
{
    char text[SHOWN_MAX];
    size_t n = sim_tty_take(terminal.tty, text, 1 + any_below(sizeof text));

    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(text[i] == (char) terminal.shown++);
    FUZZ_CHECK(terminal.shown <= terminal.put);
}

void act_tty_user(void)
{
    char text[2] = {0};
    unsigned what = any_below(8);

    if (!enter() || !open_terminal())
        return;
    say("the user of the terminal: %u", what);
    look();
    if (what == 0 && !terminal.is_master) {
        sim_tty_background(terminal.tty, any_bit(), any_bit());
    } else if (what == 1) {
        terminal.columns = 1 + any_below(200);
        sim_tty_resize(terminal.tty, terminal.columns, terminal.rows);
    } else if (what == 2 && any_below(4) == 1) {
        terminal.has_hung_up = true;
        sim_tty_hang_up(terminal.tty);
    }
    for (; what > 2 && !terminal.has_hung_up && terminal.typed < TYPED_MAX;
         what--) {
        text[0] = typed_byte(terminal.typed++);
        sim_tty_type(terminal.tty, text);
    }
}

/* The program. */

static void on_resize(aloop_stream *stream, unsigned columns, unsigned rows,
                      void *arg)
{
    FUZZ_CHECK(!w.is_over && arg == &terminal && terminal.stream == stream);
    FUZZ_CHECK(columns == terminal.columns && rows == terminal.rows);
    say("a terminal of %u columns", columns);
    outside_act_some();
}

static bool is_hung_up(int error)
{
    return terminal.has_hung_up && error == ALOOP_EIO;
}

void act_tty_mode(void)
{
    bool is_raw = any_bit(), has_failed;
    unsigned columns, rows;
    int result;

    if (!enter() || !open_terminal())
        return;
    arm();
    result = aloop_tty_set_raw(terminal.stream, is_raw);
    has_failed = disarm();
    say("raw %d: %d", is_raw, result);
    if (is_raw && terminal.is_master)
        FUZZ_CHECK(result == ALOOP_ENOTSUP || is_hung_up(result) || has_failed);
    else
        FUZZ_CHECK(result == 0 || is_hung_up(result) || has_failed);
    terminal.is_raw = result == 0 ? is_raw : terminal.is_raw;
    FUZZ_CHECK(terminal.has_hung_up ||
               sim_tty_is_raw(terminal.tty) == terminal.is_raw);
    if (any_below(8) == 1) {
        aloop_tty_reset();
        FUZZ_CHECK(terminal.has_hung_up || !sim_tty_is_raw(terminal.tty));
        terminal.is_raw = terminal.is_raw && terminal.has_hung_up;
    }
    result = aloop_tty_size(terminal.stream, &columns, &rows);
    FUZZ_CHECK(result == 0 ? columns == terminal.columns : is_hung_up(result));
    arm();
    result = aloop_tty_on_resize(terminal.stream, any_bit() ? on_resize : NULL,
                                 &terminal);
    FUZZ_CHECK(disarm() || result == 0 || is_hung_up(result));
}

void act_tty_put(void)
{
    unsigned size = 1 + any_below(SHOWN_MAX);
    char text[SHOWN_MAX];
    int result;

    if (!enter() || !open_terminal())
        return;
    for (unsigned i = 0; i < size; i++)
        text[i] = (char) (terminal.put + i);
    arm();
    result = aloop_stream_put(terminal.stream, text, size);
    say("put %u bytes at the terminal: %d", size, result);
    FUZZ_CHECK(disarm() || result >= 0 || is_hung_up(result));
    if (result >= 0)
        terminal.put += size;
}

void act_tty_read(void)
{
    size_t size = 1 + any_below(20);
    struct out *out;

    if (!enter() || !open_terminal() || terminal.read != NULL ||
        (out = new_out(TTY_READ)) == NULL)
        return;
    out->size = size;
    out->buffer = malloc(size);
    FUZZ_CHECK(out->buffer != NULL);
    terminal.read = out;
    say("read %zu bytes at the terminal", size);
    follow_out(out, aloop_stream_read(terminal.stream, out->buffer, size));
}

/* Without a hang-up, input has no end. */
void end_tty(const struct out *out, ssize_t status)
{
    FUZZ_CHECK(terminal.read == out);
    terminal.read = NULL;
    for (ssize_t i = 0; i < status; i++)
        FUZZ_CHECK(out->buffer[i] == typed_byte(terminal.got++));
    FUZZ_CHECK(status <= (ssize_t) out->size && terminal.got <= terminal.typed);
    FUZZ_CHECK(status > 0 || terminal.has_hung_up ||
               (status == ALOOP_ECANCELED && out->may_end));
}

/* A read that is pending is not reported. */
void close_tty(void)
{
    struct out *read = terminal.read;

    if (terminal.stream == NULL)
        return;
    if (any_bit())
        aloop_stream_abort(terminal.stream);
    else
        aloop_stream_close(terminal.stream);
    m.has_closed = true;
    terminal.stream = NULL;
    terminal.read = NULL;
    if (read != NULL && !read->has_ended)
        end_out(read);
}

void act_tty_close(void)
{
    if (terminal.stream == NULL || !enter())
        return;
    say("close the terminal");
    close_tty();
}

/* Whatever was still open has restored its mode. */
void tty_check(void)
{
    FUZZ_CHECK(terminal.tty == NULL || terminal.has_hung_up ||
               !sim_tty_is_raw(terminal.tty));
}
