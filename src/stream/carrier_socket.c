/* The carrier of TCP sockets.  carrier_fds.c uses its functions for Unix
 * sockets.
 *
 * Each function is one call of the system, which repeats it after a signal and
 * raises no SIGPIPE (os/sys.h).  What an error means for the stream is decided
 * by the core, for all carriers: it records the first one that ends the
 * connection (aloop__io_failed()), and reports that one to each later call. */

#include "os/sys.h"
#include "stream/stream.h"

ssize_t aloop__socket_receive(aloop_stream *stream, void *buffer, size_t size)
{
    return aloop__sys_recv(stream->io.fd, buffer, size);
}

ssize_t aloop__socket_send(aloop_stream *stream, const void *data, size_t size)
{
    return aloop__sys_send(stream->io.fd, data, size);
}

ssize_t aloop__socket_send_pieces(aloop_stream *stream,
                                  const struct sys_piece *pieces, size_t count)
{
    return aloop__sys_sendv(stream->io.fd, pieces, count);
}

/* The kernel sends the end after the bytes that it still has. */
int aloop__socket_shut(aloop_stream *stream)
{
    return aloop__sys_shutdown_write(stream->io.fd);
}

/* SO_ERROR is reported once.  0 does not mean that there was no error: a send
 * or the reactor may have consumed it; see aloop__stream_error(). */
int aloop__socket_error(aloop_stream *stream)
{
    return aloop__sys_socket_error(stream->io.fd);
}

/* Sets SO_LINGER with a time of 0, so that close() drops queued bytes and
 * resets the connection. */
int aloop__socket_reset(aloop_stream *stream)
{
    return aloop__sys_reset_on_close(stream->io.fd);
}

void aloop__socket_close(aloop_stream *stream, int fd)
{
    (void) stream;
    if (fd >= 0)
        aloop__sys_close(fd);
}

const struct aloop__carrier aloop__carrier_socket = {
    .name = "tcp",
    .receive = aloop__socket_receive,
    .send = aloop__socket_send,
    .send_pieces = aloop__socket_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = aloop__socket_shut,
    .error = aloop__socket_error,
    .reset = aloop__socket_reset,
    .close = aloop__socket_close,
    .is_unread_dropped = true,
    .has_splice = true,
};
