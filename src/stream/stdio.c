/* aloop/stdio.h: streams of descriptors that other programs share.
 *
 * Nothing here changes the open file, which the other programs have, too.  The
 * stream has a duplicate of the descriptor, so that its end closes neither the
 * number that printf() uses nor the one that the next stream is made of.  Hence
 * these carriers have no shutdown, no reset and no reading of what is left.
 *
 *     pipe     flags that make one call non-blocking
 *       |
 *       | EOPNOTSUPP: it is a FIFO, or an old system
 *       v
 *     fifo     a second open file of the same FIFO.  Readiness is watched on
 *       |      the first one: it reports the end of the writers that it has
 *       |      seen, of which the second one knows nothing.
 *       | it cannot be opened
 *       v
 *     polled   poll() before each call
 *
 * The carrier of the stream stays the first of these, because the stream may
 * have filters and with them another carrier.  It calls the others. */

#include "aloop/stdio.h"

#include "loop/debug.h"
#include "os/sys_file.h"
#include "os/sys_stdio.h"
#include "os/sys_stream.h"
#include "stream/terminal.h"
#include "stream/unwatched.h"

/* What a pipe needs besides its descriptor. */
struct reopened {
    int fd; /* The second open file, or -1. */
    /* The carrier to use after a refusal, or NULL. */
    const struct aloop__carrier *carrier;
};

/* The state is in the writing half, also for a stream that only reads, because
 * streams of all other kinds do without such a field. */
static struct reopened *reopened_of(const aloop_stream *stream)
{
    return stream->sender->carried;
}

/* What all have in common.  A shutdown succeeds and does nothing: the reader of
 * standard output gets its end when the last program has closed it.  A reset of
 * a socket would break the connection of the other programs. */

static int stdio_shut(aloop_stream *stream)
{
    (void) stream;
    return 0;
}

static int stdio_reset(aloop_stream *stream)
{
    (void) stream;
    return 0;
}

/* There is no state if its memory could not be allocated, and for sockets and
 * devices.  Both descriptors are this stream's alone: the duplicate shares only
 * the open file, and that of the second one belongs to no other program. */
static void stdio_close(aloop_stream *stream, int fd)
{
    struct reopened *reopened = stream->sender != NULL ? reopened_of(stream)
                                                       : NULL;

    if (reopened != NULL) {
        if (reopened->fd >= 0)
            aloop__sys_close(reopened->fd);
        aloop__alloc_free(&stream->handle.loop->alloc, reopened,
                          sizeof *reopened);
        stream->sender->carried = NULL;
    }
    if (fd >= 0)
        aloop__sys_close(fd);
}

/* Only the end of all readers is reported as an error.  The reactor reports it
 * without a number. */
static int stdio_error(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_EPIPE;
}

/* Polled descriptors.  The last resort: between the poll and the call another
 * program may take the input or the room, and then the call blocks the loop.  A
 * write takes no more than what a pipe that is ready accepts, so that it blocks
 * for no other reason. */

static ssize_t polled_receive(aloop_stream *stream, void *buffer, size_t size)
{
    return aloop__sys_read_polled(stream->io.fd, buffer, size);
}

static ssize_t polled_send_pieces(aloop_stream *stream,
                                  const struct sys_piece *pieces, size_t count)
{
    return aloop__sys_write_polled(stream->io.fd, pieces, count);
}

static ssize_t polled_send(aloop_stream *stream, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};

    return polled_send_pieces(stream, &piece, 1);
}

static const struct aloop__carrier carrier_polled = {
    .name = "stdio",
    .receive = polled_receive,
    .send = polled_send,
    .send_pieces = polled_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = stdio_shut,
    .error = stdio_error,
    .reset = stdio_reset,
    .close = stdio_close,
};

/* FIFOs with a second open file.  It has a flag of its own, O_NONBLOCK, and the
 * same bytes.  Both files are watched as one: what is ready for the first one
 * is ready for the second one, and EAGAIN of the second one only leads to
 * another wait. */

static ssize_t fifo_receive(aloop_stream *stream, void *buffer, size_t size)
{
    return aloop__sys_read(reopened_of(stream)->fd, buffer, size);
}

static ssize_t fifo_send_pieces(aloop_stream *stream,
                                const struct sys_piece *pieces, size_t count)
{
    return aloop__sys_pipe_write(reopened_of(stream)->fd, pieces, count);
}

static ssize_t fifo_send(aloop_stream *stream, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};

    return fifo_send_pieces(stream, &piece, 1);
}

static const struct aloop__carrier carrier_fifo = {
    .name = "stdio",
    .receive = fifo_receive,
    .send = fifo_send,
    .send_pieces = fifo_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = stdio_shut,
    .error = stdio_error,
    .reset = stdio_reset,
    .close = stdio_close,
};

/* Pipes.  The first call finds out whether the system allows calls that do not
 * block.  Opening a stream cannot ask, because a read would take bytes.
 * The answer is kept: a system or a FIFO that has refused once always does. */

/* Returns the carrier to use after a refusal.  A FIFO without a reader cannot
 * be opened for writing; the polled write reports that.  Both directions use
 * the same answer, which depends on the open file and not on the call. */
static const struct aloop__carrier *replacement(aloop_stream *stream)
{
    struct reopened *reopened = reopened_of(stream);

    if (reopened->carrier == NULL) {
        reopened->fd = aloop__sys_reopen(stream->io.fd);
        reopened->carrier = reopened->fd < 0 ? &carrier_polled : &carrier_fifo;
    }
    return reopened->carrier;
}

static ssize_t shared_pipe_receive(aloop_stream *stream, void *buffer,
                                   size_t size)
{
    ssize_t n = ALOOP_EOPNOTSUPP;

    if (reopened_of(stream)->carrier == NULL)
        n = aloop__sys_read_now(stream->io.fd, buffer, size);
    return n == ALOOP_EOPNOTSUPP
               ? replacement(stream)->receive(stream, buffer, size)
               : n;
}

static ssize_t shared_pipe_send_pieces(aloop_stream *stream,
                                       const struct sys_piece *pieces,
                                       size_t count)
{
    ssize_t n = ALOOP_EOPNOTSUPP;

    if (reopened_of(stream)->carrier == NULL)
        n = aloop__sys_write_now(stream->io.fd, pieces, count);
    return n == ALOOP_EOPNOTSUPP
               ? replacement(stream)->send_pieces(stream, pieces, count)
               : n;
}

static ssize_t shared_pipe_send(aloop_stream *stream, const void *data,
                                size_t size)
{
    struct sys_piece piece = {data, size};

    return shared_pipe_send_pieces(stream, &piece, 1);
}

static const struct aloop__carrier carrier_shared_pipe = {
    .name = "stdio",
    .receive = shared_pipe_receive,
    .send = shared_pipe_send,
    .send_pieces = shared_pipe_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = stdio_shut,
    .error = stdio_error,
    .reset = stdio_reset,
    .close = stdio_close,
};

/* Sockets: each call of theirs has a flag, so that nothing has to be found out.
 * They have a carrier of their own because that of TCP shuts and resets the
 * connection, which belongs to the other programs, too. */

static ssize_t shared_socket_receive(aloop_stream *stream, void *buffer,
                                     size_t size)
{
    return aloop__sys_recv(stream->io.fd, buffer, size);
}

static ssize_t shared_socket_send(aloop_stream *stream, const void *data,
                                  size_t size)
{
    return aloop__sys_send(stream->io.fd, data, size);
}

static ssize_t shared_socket_send_pieces(aloop_stream *stream,
                                         const struct sys_piece *pieces,
                                         size_t count)
{
    return aloop__sys_sendv(stream->io.fd, pieces, count);
}

static int shared_socket_error(aloop_stream *stream)
{
    return aloop__sys_socket_error(stream->io.fd);
}

static const struct aloop__carrier carrier_shared_socket = {
    .name = "stdio",
    .receive = shared_socket_receive,
    .send = shared_socket_send,
    .send_pieces = shared_socket_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = stdio_shut,
    .error = shared_socket_error,
    .reset = stdio_reset,
    .close = stdio_close,
};

/* Opening.  `fd` is the duplicate, and stays the caller's on failure.  There is
 * one function for each kind, all of one type, because share() finds them in a
 * table. */

static int refuse_kind(aloop *loop, int fd, const struct sys_descriptor *what,
                       aloop_stream **ret)
{
    (void) loop;
    (void) fd;
    (void) what;
    (void) ret;
    return ALOOP_ENOTSUP;
}

static int share_socket(aloop *loop, int fd, const struct sys_descriptor *what,
                        aloop_stream **ret)
{
    (void) what;
    return aloop__stream_make(loop, fd, &carrier_shared_socket, ret);
}

/* The state is allocated here, so that no later call can fail for memory: the
 * first read or write would have no other way to report that than to end the
 * stream.  `is_kept` keeps the writing half, which has the state. */
static int share_pipe(aloop *loop, int fd, const struct sys_descriptor *what,
                      aloop_stream **ret)
{
    int error = aloop__stream_make(loop, fd, &carrier_shared_pipe, ret);
    struct aloop__sender *sender;
    struct reopened *reopened = NULL;

    (void) what;
    if (error < 0)
        return error;
    sender = aloop__sender_get(*ret);
    if (sender != NULL) {
        sender->is_kept = true;
        reopened = aloop__alloc_new(&loop->alloc, sizeof *reopened);
        sender->carried = reopened;
    }
    if (reopened == NULL) {
        (void) aloop__stream_release(*ret);
        return ALOOP_ENOMEM;
    }
    *reopened = (struct reopened){.fd = -1};
    return 0;
}

static int share_file(aloop *loop, int fd, const struct sys_descriptor *what,
                      aloop_stream **ret)
{
    (void) what;
    return aloop__file_stream_open(loop, fd, ret);
}

static int share_terminal(aloop *loop, int fd,
                          const struct sys_descriptor *what, aloop_stream **ret)
{
    return aloop__terminal_open(loop, fd, what->is_blocking, ret);
}

/* A device that the reactor can watch is polled before each call, because its
 * open file blocks.  Others have a thread or calls that do not block, see
 * carrier_unwatched.c. */
static int share_device(aloop *loop, int fd, const struct sys_descriptor *what,
                        aloop_stream **ret)
{
    (void) what;
    return aloop__device_open(loop, fd, &carrier_polled, ret);
}

/* Makes a stream of a duplicate.  A stream closes its descriptor at its end,
 * and `fd` must stay open for printf() and for other streams of it. */
static int share(aloop *loop, int fd, const struct sys_descriptor *what,
                 aloop_stream **ret)
{
    static aloop__stream_open_fn *const shares[] = {
        [SYS_KIND_OTHER] = refuse_kind,       [SYS_KIND_SOCKET] = share_socket,
        [SYS_KIND_LISTENER] = refuse_kind,    [SYS_KIND_PIPE] = share_pipe,
        [SYS_KIND_FILE] = share_file,         [SYS_KIND_DEVICE] = share_device,
        [SYS_KIND_TERMINAL] = share_terminal,
    };
    int own = aloop__sys_duplicate(fd);
    int error;

    if (own < 0)
        return own;
    error = shares[what->kind](loop, own, what, ret);
    if (error < 0)
        aloop__sys_close(own);
    return error;
}

/* A stream that is detached blocks again if its descriptor does, which concerns
 * only a terminal with an open file of its own. */
int aloop_stdio_open(aloop *loop, int fd, aloop_stream **ret_stream)
{
    int error = aloop__check_loop(loop, __func__);

    return error < 0 ? error
                     : aloop__stream_open_by(loop, fd, share, ret_stream);
}
