/* The carriers of terminals.
 *
 * O_NONBLOCK belongs to the open file, which a terminal shares with the shell
 * and the programs that it starts.  Therefore it is never set there:
 *
 *     the stream has                               carrier
 *     an open file of its own, which was opened    terminal
 *     by the name of the terminal
 *     the shared open file, because the terminal   shared_terminal: it polls
 *     could not be opened again                    before each call
 *     the master of a pseudo-terminal, which       terminal
 *     cannot be opened again and becomes
 *     non-blocking
 *
 * A terminal has no half-close and no reset.  A shutdown only ends writing.
 *
 * A process in the background may get EIO although the terminal works.  It is
 * not notified when it is in the foreground again, and as long as there is
 * input the reactor would report that the terminal is ready.  So the event is
 * not watched for a second. */

#include "loop/clock.h"
#include "loop/host.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "os/sys_file.h"
#include "stream/terminal.h"

/* A blocking write of that much rarely blocks after POLLOUT. */
enum { SHARED_WRITE_MAX = 256 };
static const int64_t background_retry_ns = ALOOP_SEC(1);

bool aloop__is_terminal(const aloop_stream *stream)
{
    return stream->carrier == &aloop__carrier_terminal ||
           stream->carrier == &aloop__carrier_shared_terminal;
}

struct aloop__terminal *aloop__terminal_state(const aloop_stream *stream)
{
    return stream->sender != NULL ? stream->sender->carried : NULL;
}

/* timed->fire: watches again what was held.  If the process is still in the
 * background, the next call fails with EIO as before, and holds the event for
 * another second. */
static void terminal_retry(struct aloop__timed *timed)
{
    struct aloop__terminal *terminal =
        CONTAINER_OF(timed, struct aloop__terminal, retry);
    aloop_stream *stream = terminal->stream;
    unsigned held = terminal->held;
    int error;

    terminal->held = 0;
    error = aloop__stream_want(stream, held);
    if (error == 0)
        return;
    if ((held & REACTOR_WRITE) != 0)
        aloop__stream_fail_writing(stream, error);
    if ((held & REACTOR_READ) != 0)
        aloop__stream_fail_reading(stream, error);
}

/* Most terminals are only read and written, and need no state.  It exists from
 * the first raw mode, watch of the size or failure in the background on.  It is
 * in the writing half, which therefore is kept. */
struct aloop__terminal *aloop__terminal_get(aloop_stream *stream)
{
    struct aloop__sender *sender = aloop__sender_get(stream);
    struct aloop__terminal *terminal;

    if (sender == NULL || sender->carried != NULL)
        return sender == NULL ? NULL : sender->carried;
    sender->is_kept = true;
    terminal = aloop__alloc_new(&stream->handle.loop->alloc, sizeof *terminal);
    if (terminal == NULL)
        return NULL;
    *terminal = (struct aloop__terminal){.stream = stream, .raw_fd = -1};
    aloop__timed_init(&terminal->retry, terminal_retry);
    list_init(&terminal->raw);
    sender->carried = terminal;
    return terminal;
}

/* Stops watching `bit` for a while.  Returns what the call that has failed with
 * EIO returns.  One timer serves both directions: an event that is held later
 * only waits for less than a second.  terminal_watch() leaves out what is held,
 * so that the core may ask for it meanwhile. */
static int hold_terminal(struct aloop__terminal *terminal, unsigned bit)
{
    aloop_stream *stream = terminal->stream;
    aloop *loop = stream->handle.loop;
    int error = 0;

    if (terminal->held == 0)
        error = aloop__timed_set(
            loop, &terminal->retry,
            aloop__after(aloop__now(loop), background_retry_ns));
    if (error < 0)
        return error;
    terminal->held |= bit;
    aloop__stream_unwant(stream, bit);
    return ALOOP_EAGAIN;
}

/* EIO has three meanings.  For a master it is the end: the last descriptor of
 * the slave was closed.  In the background it holds the event.  Otherwise the
 * process may be in the foreground again since the read has failed, so
 * that a second read decides. */
static ssize_t terminal_receive(aloop_stream *stream, void *buffer, size_t size)
{
    int fd = stream->io.fd;
    ssize_t n = aloop__sys_read(fd, buffer, size);
    struct aloop__terminal *terminal;

    if (n != ALOOP_EIO)
        return n;
    if (aloop__sys_tty_is_master(fd))
        return 0;
    if (!aloop__sys_tty_is_background(fd))
        return aloop__sys_read(fd, buffer, size);
    terminal = aloop__terminal_get(stream);
    return terminal == NULL ? ALOOP_ENOMEM
                            : hold_terminal(terminal, REACTOR_READ);
}

/* Writes fail in the background only if the terminal has TOSTOP set.  If there
 * is no state, it is created here only for a stream with a writing half, which
 * a stream that echoes gets after the first failure. */
static ssize_t terminal_send_pieces(aloop_stream *stream,
                                    const struct sys_piece *pieces,
                                    size_t count)
{
    int fd = stream->io.fd;
    ssize_t n = aloop__sys_pipe_write(fd, pieces, count);
    struct aloop__terminal *terminal;

    if (n != ALOOP_EIO || !aloop__sys_tty_is_background(fd))
        return n;
    if (stream->sender == NULL)
        return ALOOP_EAGAIN;
    terminal = aloop__terminal_get(stream);
    return terminal == NULL ? ALOOP_ENOMEM
                            : hold_terminal(terminal, REACTOR_WRITE);
}

static ssize_t terminal_send(aloop_stream *stream, const void *data,
                             size_t size)
{
    struct sys_piece piece = {data, size};

    return terminal_send_pieces(stream, &piece, 1);
}

/* Another program that reads the same terminal may take the input in between.
 * Then the read waits for the next input, and with it the loop.  Only a flag of
 * the open file could prevent that, and the shell has the same open file. */
static ssize_t shared_receive(aloop_stream *stream, void *buffer, size_t size)
{
    if (!aloop__sys_tty_is_ready(stream->io.fd, false))
        return ALOOP_EAGAIN;
    return terminal_receive(stream, buffer, size);
}

static ssize_t shared_send(aloop_stream *stream, const void *data, size_t size)
{
    if (!aloop__sys_tty_is_ready(stream->io.fd, true))
        return ALOOP_EAGAIN;
    return terminal_send(stream, data,
                         size < SHARED_WRITE_MAX ? size : SHARED_WRITE_MAX);
}

static ssize_t shared_send_pieces(aloop_stream *stream,
                                  const struct sys_piece *pieces, size_t count)
{
    (void) count; /* The first one. */
    return shared_send(stream, pieces->data, pieces->size);
}

/* What is held stays out, whatever the core asks for; terminal_retry() asks. */
static int terminal_watch(aloop_stream *stream, unsigned bits)
{
    const struct aloop__terminal *terminal = aloop__terminal_state(stream);

    if (terminal != NULL)
        bits &= ~terminal->held;
    return aloop__carrier_watch(stream, bits);
}

static int terminal_shut(aloop_stream *stream)
{
    (void) stream;
    return 0;
}

/* It has hung up.  A terminal has no pending error that could be asked for. */
static int terminal_error(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_EIO;
}

static int terminal_reset(aloop_stream *stream)
{
    (void) stream;
    return 0;
}

static void terminal_close(aloop_stream *stream, int fd)
{
    struct aloop__terminal *terminal = aloop__terminal_state(stream);
    aloop *loop = stream->handle.loop;

    if (terminal != NULL) {
        aloop__timed_clear(loop, &terminal->retry);
        aloop__terminal_leave(terminal);
        aloop__alloc_free(&loop->alloc, terminal, sizeof *terminal);
        stream->sender->carried = NULL;
    }
    if (fd >= 0)
        aloop__sys_close(fd);
}

const struct aloop__carrier aloop__carrier_terminal = {
    .name = "terminal",
    .receive = terminal_receive,
    .send = terminal_send,
    .send_pieces = terminal_send_pieces,
    .watch = terminal_watch,
    .shut = terminal_shut,
    .error = terminal_error,
    .reset = terminal_reset,
    .close = terminal_close,
};

const struct aloop__carrier aloop__carrier_shared_terminal = {
    .name = "terminal",
    .receive = shared_receive,
    .send = shared_send,
    .send_pieces = shared_send_pieces,
    .watch = terminal_watch,
    .shut = terminal_shut,
    .error = terminal_error,
    .reset = terminal_reset,
    .close = terminal_close,
};

/* An open file that does not block needs no other carrier, also if it is
 * shared: the program that made it so expects that.  A stream without filters
 * and state may change its carrier here, because nothing was called yet. */
int aloop__terminal_open(aloop *loop, int fd, bool is_blocking,
                         aloop_stream **ret)
{
    int error = aloop__stream_make(loop, fd, &aloop__carrier_terminal, ret);

    if (error < 0 || aloop__sys_tty_separate(fd) == 0 || !is_blocking ||
        (aloop__sys_tty_is_master(fd) &&
         aloop__sys_file_set_blocking(fd, false) == 0))
        return error;
    (*ret)->carrier = &aloop__carrier_shared_terminal;
    return 0;
}
