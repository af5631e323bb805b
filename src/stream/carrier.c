/* The descriptor of a stream. */

#include "loop/io.h"
#include "os/sys.h"
#include "stream/stream.h"

const struct aloop__carrier aloop__carrier_socket = {
    .receive = aloop__sys_recv,
    .send = aloop__sys_send,
    .send_pieces = aloop__sys_sendv,
    .shut = aloop__sys_shutdown_write,
    .error = aloop__sys_socket_error,
    .reset = aloop__sys_reset_on_close,
    .close = aloop__sys_close,
};

int aloop__stream_want(aloop_stream *stream, unsigned bits)
{
    return aloop__io_arm(stream->handle.loop, &stream->io,
                         stream->io.armed | bits);
}

void aloop__stream_unwant(aloop_stream *stream, unsigned bits)
{
    /* A failure only causes useless events, which lead here again. */
    aloop__io_arm(stream->handle.loop, &stream->io, stream->io.armed & ~bits);
}

int aloop__stream_error(aloop_stream *stream)
{
    int error = stream->carrier->error(stream->io.fd);

    if (error == 0)
        error = ALOOP_ENOTCONN; /* Another call has consumed it. */
    return aloop__io_failed(&stream->io, error);
}

/* Bytes or an end that the parent had received already cause no event in the
 * child, so that on_data is called for them without one. */
int aloop__stream_adopt(aloop_stream *stream)
{
    int error;

    if (aloop__stream_is_ours(stream))
        return 0;
    error = aloop__io_adopt(stream->handle.loop, &stream->io);
    if (error == 0 && aloop__stream_wants_data(stream) &&
        (aloop__stream_is_over(stream) || stream->input != NULL))
        aloop__stream_deliver_later(stream);
    return error;
}
