/* Streams of descriptors that the reactor cannot watch; see
 * carrier_unwatched.c. */

#ifndef ALOOP_STREAM_UNWATCHED_H
#define ALOOP_STREAM_UNWATCHED_H

#include "os/sys_stream.h"
#include "stream/stream.h"

/* Creates a stream of a regular file.  `fd` stays the caller's on failure. */
int aloop__file_stream_open(aloop *loop, int fd, aloop_stream **ret);
/* Creates a stream of a device that is no terminal.  Its carrier is `watched`
 * if the reactor can watch it. */
int aloop__device_open(aloop *loop, int fd,
                       const struct aloop__carrier *watched,
                       aloop_stream **ret);
/* Returns how many bytes a thread has read of a device and no reader has taken,
 * and stores where they are.  Those of a file go back to it. */
size_t aloop__unwatched_left(const aloop_stream *stream, const char **ret_data);
/* Returns whether a thread uses the descriptor of the stream. */
bool aloop__unwatched_is_working(const aloop_stream *stream);

/* Returns whether the descriptor was closed outside the loop's control.  Its
 * number may belong to another descriptor now, which must not be closed. */
static inline bool aloop__stream_is_lost(const aloop_stream *stream)
{
    return stream->read_error == ALOOP_EBADF ||
           stream->write_error == ALOOP_EBADF;
}

#endif
