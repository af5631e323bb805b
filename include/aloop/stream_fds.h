/* Passing descriptors through Unix sockets. */

#ifndef ALOOP_STREAM_FDS_H
#define ALOOP_STREAM_FDS_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Queues bytes together with descriptors on a Unix socket.
 *
 * Both are copied.  The descriptors are sent with the first byte, after all
 * that was written before.  Several calls are never joined into one message.
 * More than 253 descriptors need several messages, and each of these needs a
 * byte.
 *
 * A peer that does not accept descriptors gets only the bytes.  The system
 * limits how many descriptors of one user (uid) may be on their way to other
 * processes.  Beyond this limit these wait, and so does what is written after
 * them.
 *
 * Returns: 0, or 1 if more than the high-water mark of bytes are queued now.
 * Errors:  ALOOP_EINVAL: an argument is NULL, `size` or `count` is 0, or there
 *          are too few bytes for the descriptors;
 *          ALOOP_ENOTSUP: the stream is no Unix socket;
 *          ALOOP_EBADF: one of the descriptors is not open;
 *          ALOOP_EMFILE: no number for a duplicate is left;
 *          others: as for aloop_stream_put().
 *          Nothing is queued after an error.
 * Memory:  the descriptors stay the caller's, who may close them immediately.
 */
ALOOP_API int aloop_stream_put_fds(aloop_stream *stream, const void *data,
                                   size_t size, const int *fds, size_t count);

/**
 * Takes the oldest descriptor that a stream has received.
 *
 * A descriptor is available no later than the first byte that it was sent with,
 * and perhaps together with a few earlier bytes.  It does not block what
 * follows: a protocol has to define which of its messages have descriptors.
 *
 * Returns: the descriptor, which is close-on-exec.
 * Errors:  ALOOP_EAGAIN: there is none;
 *          ALOOP_EMFILE: no number was left for some descriptors, which were
 *          lost, and those before have been taken;
 *          ALOOP_EACCES: the same, but the system has lost them for another
 *          reason, such as a rule of a security module;
 *          ALOOP_ENOTSUP: the stream is no Unix socket;
 *          ALOOP_EINVAL: `stream` is NULL.
 * Memory:  the caller closes the descriptor.
 */
ALOOP_API int aloop_stream_take_fd(aloop_stream *stream);

/**
 * Sets how many received descriptors may wait to be taken.
 *
 * It is 0 initially.  Descriptors beyond this number are closed when they
 * arrive, or by this function if they have arrived already.  Those that are
 * left are closed with the stream.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL, or `count_max` is over 65536;
 *          ALOOP_ENOTSUP: the stream is no Unix socket;
 *          ALOOP_ENOMEM: out of memory, and nothing has changed.
 */
ALOOP_API int aloop_stream_set_fds_max(aloop_stream *stream, size_t count_max);

ALOOP_END

#endif
