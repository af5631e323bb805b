/* The carriers of stream sockets: TCP, Unix sockets, and those that receive
 * descriptors. */

#include "os/sys.h"
#include "stream/stream.h"

static ssize_t socket_receive(aloop_stream *stream, void *buffer, size_t size)
{
    return aloop__sys_recv(stream->io.fd, buffer, size);
}

static ssize_t socket_send(aloop_stream *stream, const void *data, size_t size)
{
    return aloop__sys_send(stream->io.fd, data, size);
}

static ssize_t socket_send_pieces(aloop_stream *stream,
                                  const struct sys_piece *pieces, size_t count)
{
    return aloop__sys_sendv(stream->io.fd, pieces, count);
}

static int socket_shut(aloop_stream *stream)
{
    return aloop__sys_shutdown_write(stream->io.fd);
}

static int socket_error(aloop_stream *stream)
{
    return aloop__sys_socket_error(stream->io.fd);
}

/* Sets SO_LINGER with a time of 0, so that close() drops queued bytes and
 * resets the connection. */
static int socket_reset(aloop_stream *stream)
{
    return aloop__sys_reset_on_close(stream->io.fd);
}

static void socket_close(aloop_stream *stream, int fd)
{
    (void) stream;
    if (fd >= 0)
        aloop__sys_close(fd);
}

const struct aloop__carrier aloop__carrier_socket = {
    .name = "tcp",
    .receive = socket_receive,
    .send = socket_send,
    .send_pieces = socket_send_pieces,
    .watch = aloop__carrier_watch,
    .shut = socket_shut,
    .error = socket_error,
    .reset = socket_reset,
    .close = socket_close,
    .drops_unread = true,
    .splices = true,
};

const struct aloop__carrier aloop__carrier_unix = {
    .name = "unix",
    .receive = socket_receive,
    .send = socket_send,
    .send_pieces = socket_send_pieces,
    .send_fds = aloop__fds_send,
    .watch = aloop__carrier_watch,
    .shut = socket_shut,
    .error = socket_error,
    .reset = socket_reset,
    .close = socket_close,
    .drops_unread = true,
    .splices = true,
};

const struct aloop__carrier aloop__carrier_fds = {
    .name = "unix",
    .receive = aloop__fds_receive,
    .send = socket_send,
    .send_pieces = socket_send_pieces,
    .send_fds = aloop__fds_send,
    .watch = aloop__carrier_watch,
    .shut = socket_shut,
    .error = socket_error,
    .reset = socket_reset,
    .close = aloop__fds_close,
    .drops_unread = true,
};
