/* Writing to a stream, and ending its writing side. */

#ifndef ALOOP_STREAM_WRITE_H
#define ALOOP_STREAM_WRITE_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Copies bytes and queues them on a stream.
 *
 * They are sent after the present callback, or at the end of the turn.  When
 * the result is 1, the caller should wait for aloop_stream_drain().
 *
 * Returns: 0, or 1 if more than the high-water mark of bytes are queued now,
 *          see aloop_stream_set_watermarks().
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENOMEM: out of memory, and nothing is queued;
 *          ALOOP_EPIPE: the writing side was shut down or is broken;
 *          others: what an earlier send failed with.
 * Memory:  the bytes are copied before the function returns.  In the stream's
 *          own `on_data` they may get their memory only when it has returned
 *          and the system does not accept all of them.  If there is none, they
 *          are lost, writing fails with ALOOP_ENOMEM, and `on_data` is called
 *          with that error.  A close then resets the connection.
 */
ALOOP_API int aloop_stream_put(aloop_stream *stream, const void *data,
                               size_t size);

/**
 * Sends bytes without copying, after all that was written before.
 *
 * They leave at the end of the turn, or when a task awaits the write and
 * nothing else is queued.  Awaiting each of many small writes takes a call of
 * the system for each: put those, and drain when put returns 1.
 *
 *     a cancel                           effect
 *     before the first byte was sent     nothing is sent
 *     after that                         the rest is dropped, and the writing
 *                                        side is broken: ALOOP_EPIPE
 *
 * Status:  `size`, once the system has accepted all bytes; a write of 0 bytes
 *          settles immediately.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENOMEM: out of memory, and nothing is sent;
 *          ALOOP_ECANCELED: the write was cancelled, or the stream aborted;
 *          ALOOP_EPIPE: the writing side was shut down or is broken;
 *          others: what sending failed with.  An unknown part was sent.
 * Memory:  borrows the bytes until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_write(aloop_stream *stream,
                                           const void *data, size_t size);

/**
 * Waits until no more than the low-water mark of bytes are queued.
 *
 * A close of the stream does not end the wait, because it sends what is queued.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ECANCELED: the wait was cancelled, or the stream aborted;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what sending failed with.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_drain(aloop_stream *stream);

/**
 * Ends the writing side, once everything that was written has been sent.
 *
 * The peer then receives an end of stream.  Reading continues.  Nothing can be
 * written after this call.  The shutdown is not undone by cancelling or
 * dropping the future, which only ends the wait.  A second call waits for the
 * same end.
 *
 * Status:  0, once the end has been sent to the peer.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ECANCELED: the wait was cancelled, or the stream aborted;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what sending failed with.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_shutdown(aloop_stream *stream);

/** Returns how many bytes are queued and not yet sent; 0 for NULL. */
ALOOP_API size_t aloop_stream_queued(const aloop_stream *stream);

/**
 * Sets the water marks of a stream, in bytes.
 *
 * `low` is less than `high`, or both are 0.  They are 16 KiB and 64 KiB
 * initially.  A high mark of SIZE_MAX never pauses anything.
 *
 *     mark    effect
 *     high    more queued bytes make aloop_stream_put() return 1, and pause a
 *             forward and the callback of aloop_stream_start()
 *     low     no more queued bytes settle aloop_stream_drain(), and end these
 *             pauses
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL, or the marks are not in order;
 *          ALOOP_ENOMEM: out of memory, and nothing has changed.
 */
ALOOP_API int aloop_stream_set_watermarks(aloop_stream *stream, size_t low,
                                          size_t high);

/**
 * Sets how long a closed stream may wait for its peer.
 *
 * aloop_stream_close() leaves queued bytes to the loop, which sends them.  If
 * the peer accepts none of them for `limit_ns`, they are dropped and the
 * connection is reset.  Initially it is 30 s.  With 0, a close with queued
 * bytes is an abort.  No close blocks, unlike close(2) with SO_LINGER.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL, or the time is negative;
 *          ALOOP_ENOMEM: out of memory, and nothing has changed.
 */
ALOOP_API int aloop_stream_set_linger(aloop_stream *stream, int64_t limit_ns);

ALOOP_END

#endif
