/* The short way of a stream in its usual state from an event to the answer. */

#ifndef ALOOP_STREAM_PLAIN_H
#define ALOOP_STREAM_PLAIN_H

#include "stream/stream.h"

/* Returns whether the stream has a callback that may receive, nothing is queued
 * in either direction, and nothing has ended.  A stream with a callback has no
 * pending read operation. */
static inline bool aloop__stream_is_plain(const aloop_stream *stream)
{
    return stream->sender == NULL && aloop__stream_wants_data(stream) &&
           !stream->has_ended && stream->read_error == 0 &&
           stream->write_error == 0;
}

/* Called after on_data has returned: sends what it has put, and copies lent
 * bytes that were not sent.  Either there are pieces or there are lent bytes,
 * because aloop__sender_get() turns these into pieces.  on_data may have closed
 * the stream, or forked.  Lent bytes of a child that has adopted the loop are
 * its own; see stream_fork(). */
static inline void aloop__stream_send_replies(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    size_t size = loop->lent_size;
    ssize_t n;

    if (size == 0) {
        if (stream->sender != NULL)
            aloop__stream_send_queued(stream);
        return;
    }
    loop->lent_size = 0;
    if (stream->io.fd < 0 || aloop__is_foreign(loop))
        return;
    n = stream->carrier->send(stream, loop->lent, size);
    if (n != (ssize_t) size)
        aloop__stream_send_rest(stream, size, n);
}
#endif
