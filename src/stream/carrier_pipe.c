/* The carriers of pipes and FIFOs, and of devices that can be watched.  Their
 * descriptors do not block.  Standard input and output, which other programs
 * share and which must keep blocking, have the carriers of stdio.c.
 *
 * An end of a pipe has one direction.  The other one of its stream has ended
 * from the beginning (stream_open.c), so that only a FIFO that is open for both
 * receives and sends.  A pipe has neither errors of its own nor a reset. */

#include "loop/io.h"
#include "os/sys_file.h"
#include "os/sys_stream.h"
#include "stream/stream.h"

static ssize_t pipe_receive(aloop_stream *stream, void *buffer, size_t size)
{
    return aloop__sys_read(stream->io.fd, buffer, size);
}

static ssize_t pipe_send_pieces(aloop_stream *stream,
                                const struct sys_piece *pieces, size_t count)
{
    return aloop__sys_pipe_write(stream->io.fd, pieces, count);
}

static ssize_t pipe_send(aloop_stream *stream, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};

    return aloop__sys_pipe_write(stream->io.fd, &piece, 1);
}

/* A pipe has no half-close: a reader gets the end when the last writer has
 * closed its descriptor.  So the descriptor is closed here, while the stream
 * stays open for its application.  The number must leave the reactor first.
 *
 * A FIFO that is open for both would lose its reading side with it. */
static int pipe_shut(aloop_stream *stream)
{
    int fd;

    if (!stream->has_ended) /* It is open for reading, too. */
        return ALOOP_ENOTSUP;
    fd = aloop__io_close(stream->handle.loop, &stream->io);
    aloop__sys_close(fd);
    return 0;
}

/* Only the end of all readers is reported as an error, and that to the writer:
 * the reactor reports an error without a number, and this is the only cause. */
static int pipe_error(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_EPIPE;
}

/* What is in the pipe already reaches its reader in any case.  The caller drops
 * the pieces that were not sent, so that nothing is left to be done. */
static int pipe_reset(aloop_stream *stream)
{
    (void) stream;
    return 0;
}

static void pipe_close(aloop_stream *stream, int fd)
{
    (void) stream;
    if (fd >= 0)
        aloop__sys_close(fd);
}

const struct aloop__carrier aloop__carrier_pipe = {
    .name = "pipe",
    .receive = pipe_receive,
    .send = pipe_send,
    .send_pieces = pipe_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = pipe_shut,
    .error = pipe_error,
    .reset = pipe_reset,
    .close = pipe_close,
    .has_splice = true,
};

/* Devices have no end to send.  A shutdown succeeds when the bytes before it
 * are written, so that code for any stream may end with one. */
static int device_shut(aloop_stream *stream)
{
    (void) stream;
    return 0;
}

static int device_error(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_EIO;
}

const struct aloop__carrier aloop__carrier_device = {
    .name = "device",
    .receive = pipe_receive,
    .send = pipe_send,
    .send_pieces = pipe_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = device_shut,
    .error = device_error,
    .reset = pipe_reset,
    .close = pipe_close,
};
