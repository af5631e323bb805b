/* The descriptor of a stream: its carrier, and what is watched.
 *
 * All bytes pass through the carrier, a table of functions (carrier_*.c).
 * Events come from the watcher stream->io.  This file knows neither pieces nor
 * readers; the files that do use it (see stream.h).
 *
 * An error of the connection is kept in io->error, because the system reports
 * it only once, to the call that comes first.  Every call that fails passes its
 * error through aloop__io_failed(), and so all of them report the same one.
 *
 * In a forked child the descriptor refers to the connection of the parent.  The
 * child watches it only after its first own use of the stream. */

#include "loop/io.h"
#include "stream/stream.h"

int aloop__carrier_watch(aloop_stream *stream, unsigned bits)
{
    return aloop__io_arm(stream->handle.loop, &stream->io, bits);
}

/* Takes SO_ERROR, and returns the first error that was recorded. */
int aloop__stream_error(aloop_stream *stream)
{
    int error = stream->carrier->error(stream);

    if (error == 0)
        error = ALOOP_ENOTCONN; /* Another call has consumed it. */
    return aloop__io_failed(&stream->io, error);
}

/* SO_ERROR is reported once.  If another call consumed it, recv() returns 0,
 * which is not an end of stream. */
void aloop__stream_received_none(aloop_stream *stream, ssize_t n)
{
    if (n == 0 && stream->io.error != 0)
        stream->read_error = stream->io.error;
    else if (n == 0)
        stream->has_ended = true;
    else if (n != ALOOP_EAGAIN)
        stream->read_error = (short) aloop__io_failed(&stream->io, (int) n);
}

/* Bytes or an end that the parent had received already cause no event in the
 * child, so that on_data is called for them without one. */
int aloop__stream_adopt(aloop_stream *stream)
{
    unsigned bits = stream->io.armed;
    int error;

    if (aloop__stream_is_ours(stream))
        return 0;
    error = aloop__io_adopt(stream->handle.loop, &stream->io);
    if (error == 0 && stream->io.is_unwatched)
        error = stream->carrier->watch(stream, bits);
    if (error == 0 && aloop__stream_wants_data(stream) &&
        (aloop__stream_is_over(stream) || stream->has_input))
        aloop__stream_deliver_later(stream);
    return error;
}
