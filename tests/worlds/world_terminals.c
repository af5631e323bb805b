/* Terminals and their users.
 *
 * A user types lines, reads what the program writes, changes the size of the
 * terminal, and puts the program into the background and into the foreground.
 * The program reads with and without raw mode, and writes.  Both texts arrive
 * in order, and whole unless the terminal hangs up.  A terminal whose streams
 * are closed has its mode back. */

#include "world.h"

#include <string.h>

#include "simulator/sim_tty.h"

enum {
    TERMINALS_MAX = 3,
    LINE = 17,
    LINES_MAX = 150,
    WRITTEN_MAX = 20000,
    CHUNK_MAX = 900,
    VISITS_MAX = 60
};

enum kind { USUAL, SHARED, MASTER }; /* See src/stream/carrier_terminal.c. */

struct terminal {
    unsigned id;
    enum kind kind;
    bool may_fail; /* It may hang up, and its task may be cancelled. */
    bool has_hung_up;
    bool has_failed; /* Its stream was aborted. */
    struct sim_tty *tty;
    aloop_stream *stream;     /* Until its task has ended. */
    size_t lines, typed, got; /* Lines, and bytes of them. */
    size_t total, put, taken; /* Of the output. */
    unsigned columns, rows;   /* As the user has set them. */
    unsigned seen;            /* The number of columns that was reported. */
    unsigned visits;          /* Of the user. */
};

static struct terminal *terminals[TERMINALS_MAX];
static size_t terminal_count;
static unsigned left;

static bool may_end(const struct terminal *t)
{
    return t->may_fail || may_break() || run.is_freeing;
}

static ssize_t wait_for(aloop_future *future)
{
    return aloop_await(aloop_timeout(future, ALOOP_SEC(200)));
}

/* The user. */

/* Returns byte `at` of what the user types. */
static char typed_byte(const struct terminal *t, size_t at)
{
    return at % LINE == LINE - 1 ? '\n'
                                 : (char) ('a' + text_byte(2 * t->id, at) % 26);
}

static void type(struct terminal *t, size_t size)
{
    char text[LINE * LINES_MAX + 1];
    size_t end = t->lines * LINE - t->typed;

    if (size < end)
        end = size;
    for (size_t i = 0; i < end; i++)
        text[i] = typed_byte(t, t->typed + i);
    text[end] = '\0';
    t->typed += end;
    sim_tty_type(t->tty, text);
}

static void look(struct terminal *t)
{
    char text[CHUNK_MAX];
    size_t n = sim_tty_take(t->tty, text, between(1, sizeof text));

    CHECK(text_matches(2 * t->id + 1, t->taken, text, n));
    t->taken += n;
    CHECK(t->taken <= t->put);
}

/* The last visits leave a terminal that works, if it has not hung up.  A stream
 * that was closed may still have something to write. */
static void visit(void *arg)
{
    struct terminal *t = arg;
    bool is_last = ++t->visits >= VISITS_MAX;

    if (t->stream == NULL && (t->has_failed || t->taken == t->put))
        return;
    look(t);
    if (t->may_fail && chance(1)) {
        t->has_hung_up = true;
        sim_tty_hang_up(t->tty);
    }
    if (!t->has_hung_up)
        type(t, is_last ? SIZE_MAX : between(0, 80));
    if (chance(10)) {
        t->columns = (unsigned) between(1, 300);
        t->rows = (unsigned) between(1, 100);
        sim_tty_resize(t->tty, t->columns, t->rows);
    }
    if (t->kind != MASTER && (is_last || chance(20)))
        sim_tty_background(t->tty, !is_last && chance(50), chance(50));
    sim_at(any_delay_ns(ALOOP_MS(300)), visit, t);
}

/* The program. */

static void on_resize(aloop_stream *stream, unsigned columns, unsigned rows,
                      void *arg)
{
    struct terminal *t = arg;

    CHECK(!run.is_over && !run.is_freeing && t->stream == stream);
    CHECK(columns == t->columns && rows == t->rows);
    t->seen = columns;
}

/* Changes something that no text depends on. */
static void change_mode(struct terminal *t)
{
    bool is_raw = chance(60);
    int error = aloop_tty_set_raw(t->stream, is_raw);
    unsigned columns, rows;

    if (is_raw && t->kind == MASTER)
        CHECK(error == ALOOP_ENOTSUP || may_break());
    else
        CHECK(error == 0 || may_end(t));
    if (error == 0 && !t->has_hung_up && run.weather < BROKEN)
        CHECK(sim_tty_is_raw(t->tty) == is_raw);
    if (chance(10))
        aloop_tty_reset();
    error = aloop_tty_size(t->stream, &columns, &rows);
    CHECK(error == 0 ? columns == t->columns && rows == t->rows : may_end(t));
    error = aloop_tty_on_resize(t->stream, chance(50) ? on_resize : NULL, t);
    CHECK(error == 0 || may_end(t));
}

static ssize_t write_some(struct terminal *t)
{
    char bytes[CHUNK_MAX];
    size_t n = between(1, CHUNK_MAX);
    ssize_t result;

    n = n < t->total - t->put ? n : t->total - t->put;
    if (n == 0)
        return 0;
    text_fill(2 * t->id + 1, t->put, bytes, n);
    t->put += n;
    if (chance(50))
        return wait_for(aloop_stream_write(t->stream, bytes, n));
    result = aloop_stream_put(t->stream, bytes, n);
    return result == 1 ? wait_for(aloop_stream_drain(t->stream)) : result;
}

/* Reads at most a line, or what there is in raw mode. */
static ssize_t read_some(struct terminal *t)
{
    char bytes[CHUNK_MAX];
    ssize_t n =
        wait_for(aloop_stream_read(t->stream, bytes, between(1, sizeof bytes)));

    CHECK(n != 0 || t->has_hung_up);
    for (ssize_t i = 0; i < n; i++)
        CHECK(bytes[i] == typed_byte(t, t->got++));
    CHECK(t->got <= t->typed);
    return n == 0 ? ALOOP_EOF : n;
}

static ssize_t use(aloop *loop, void *arg)
{
    struct terminal *t = arg;
    ssize_t result = 0;

    (void) loop;
    while (result >= 0 && (t->got < t->lines * LINE || t->put < t->total)) {
        if (chance(20))
            change_mode(t);
        result = write_some(t);
        if (result >= 0 && t->got < t->lines * LINE)
            result = read_some(t);
    }
    if (result >= 0)
        result = wait_for(aloop_stream_drain(t->stream));
    CHECK(result >= 0 || may_end(t));
    if (result >= 0)
        aloop_stream_close(t->stream);
    else
        aloop_stream_abort(t->stream);
    t->has_failed = result < 0;
    t->stream = NULL;
    return 0;
}

static void on_use_end(struct follow *follow, ssize_t status)
{
    (void) follow;
    (void) status;
    if (--left == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void open_terminal(struct terminal *t)
{
    aloop_future *task;
    int fd;

    t->tty = sim_tty_open(&fd);
    CHECK(fd >= 0);
    if (t->kind == SHARED)
        sim_tty_unname(t->tty);
    if (t->kind == MASTER)
        sim_tty_make_master(t->tty);
    CHECK(aloop_stream_open(run.loop, fd, &t->stream) == 0);
    CHECK(aloop_tty_size(t->stream, &t->columns, &t->rows) == 0);
    task = aloop_spawn(run.loop, use, t);
    CHECK(task != NULL);
    if (t->may_fail && chance(30))
        task = aloop_timeout(task, any_delay_ns(ALOOP_SEC(2)));
    left++;
    follow(task, on_use_end, t);
    sim_at(any_delay_ns(ALOOP_MS(300)), visit, t);
}

static void start(void)
{
    left = 0;
    terminal_count = between(1, TERMINALS_MAX);
    for (size_t i = 0; i < terminal_count; i++) {
        struct terminal *t = keep(sizeof *t);

        terminals[i] = t;
        t->id = (unsigned) i + 1;
        t->kind = chance(60) ? USUAL : chance(50) ? SHARED : MASTER;
        t->may_fail = chance(40);
        t->lines = between(0, LINES_MAX);
        t->total = chance(20) ? 0 : between(1, WRITTEN_MAX);
        open_terminal(t);
    }
}

static bool is_done(void)
{
    return left == 0;
}

static void close_world(void)
{
}

static void check(void)
{
    for (size_t i = 0; i < terminal_count; i++) {
        struct terminal *t = terminals[i];

        while (t->taken < t->put && !may_end(t))
            look(t);
        CHECK(may_end(t) || (t->got == t->lines * LINE && t->put == t->total));
    }
}

/* Whatever was still open has restored its mode. */
static void outlive(void)
{
    for (size_t i = 0; i < terminal_count; i++)
        if (!terminals[i]->has_hung_up && run.weather < BROKEN)
            CHECK(!sim_tty_is_raw(terminals[i]->tty));
    CHECK(sim_bad_uses() == 0);
}

const struct world world_terminals = {"terminals", start, is_done,
                                      close_world, check, outlive};
