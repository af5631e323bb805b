/* Reading from a stream by futures.
 *
 * One read may be pending at a time.  On any failure and on cancellation no
 * bytes are lost: the next read receives them. */

#ifndef ALOOP_STREAM_READ_H
#define ALOOP_STREAM_READ_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Reads the bytes that are available, waiting for at least one.
 *
 * A connection that failed is not reported as an end of stream, also if the
 * system reported the error to an earlier write.
 *
 * Status:  the number of bytes, 1 to `size`; 0 at the end of the stream.
 * Errors:  ALOOP_EINVAL: an argument is NULL, or `size` is 0;
 *          ALOOP_EBUSY: a read is pending, or the stream is started or
 *          forwarded;
 *          ALOOP_ECANCELED: the read was cancelled, or the stream closed;
 *          ALOOP_ECONNRESET: the peer has reset the connection;
 *          others: what the system reported for the connection.
 * Memory:  borrows `buffer` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read(aloop_stream *stream, void *buffer,
                                          size_t size);

/**
 * Reads exactly `size` bytes.
 *
 * A read of 0 bytes settles immediately.
 *
 * Status:  `size`.
 * Errors:  ALOOP_EOF: the stream ends before;
 *          others: as for aloop_stream_read().
 * Memory:  borrows `buffer` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read_exactly(aloop_stream *stream,
                                                  void *buffer, size_t size);

/**
 * Reads up to and including the first `delimiter`.
 *
 * The delimiter has 1 to 256 bytes.
 *
 * Status:  the number of bytes, with the delimiter.
 * Errors:  ALOOP_EMSGSIZE: the delimiter is not within `size` bytes;
 *          ALOOP_EOF: the stream ends without the delimiter;
 *          others: as for aloop_stream_read().
 * Memory:  borrows `buffer` until the future settles, and copies `delimiter`.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read_until(aloop_stream *stream,
                                                void *buffer, size_t size,
                                                const void *delimiter,
                                                size_t delimiter_size);

/**
 * Reads to the end of the stream.
 *
 * With a `size` of 0 it settles immediately, with 0 bytes.
 *
 * Status:  the number of bytes.
 * Errors:  ALOOP_EMSGSIZE: there are more than `size` bytes;
 *          others: as for aloop_stream_read().
 * Memory:  borrows `buffer` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read_to_end(aloop_stream *stream,
                                                 void *buffer, size_t size);

ALOOP_END

#endif
