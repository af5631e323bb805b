/* Streams of descriptors that exist, connected pairs, and pipes. */

#ifndef ALOOP_STREAM_OPEN_H
#define ALOOP_STREAM_OPEN_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Makes a stream of a descriptor.
 *
 *     `fd`                          the stream
 *     a connected stream socket     reads and writes
 *     a pipe or FIFO opened for     only reads: writing is ALOOP_EPIPE
 *     reading
 *     a pipe or FIFO opened for     only writes: reading is at its end, and a
 *     writing                       shutdown closes the descriptor
 *     a regular file                reads and writes at its position
 *     a device                      reads and writes, by threads if its driver
 *                                   has no poll and may block
 *     a terminal                    reads and writes, see aloop/tty.h; a
 *                                   shutdown only ends writing
 *
 * A pipe has no reset.  A reader of a pipe, and the peer of a Unix socket, get
 * the end of the stream after an abort, and after a close that lost bytes.
 *
 * Threads read and write a regular file, except for what the page cache has.
 * Its position is the one that other programs with the same open file use.  The
 * stream may read ahead, and a write comes after that.  What no reader has
 * taken is given back by the close, unless there was a write, or the parent of
 * a forked child had received it.  A write has been sent when a thread has its
 * bytes, of which there are at most 64 KiB.  If the system refuses them,
 * writing fails with its error, and a shutdown waits until that is known.  The
 * same threads use a device that may block, which has no position to restore.
 * If its driver does not end a call, that occupies a thread and keeps the loop
 * alive, even after the close.
 *
 * The descriptor becomes non-blocking, also for other processes that share its
 * open file.  A device becomes blocking instead if threads use it, because no
 * event would show them when to try again.  A terminal does not change: its
 * number gets an open file of its own.  Where that is impossible, because the
 * terminal has no name that can be opened, the shared one is used as it is,
 * with at most 256 bytes in one write.  The master of a pseudo-terminal becomes
 * non-blocking.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_EBADF: `fd` is not open;
 *          ALOOP_ENOTCONN: `fd` is a socket that is not connected;
 *          ALOOP_ENOTSUP: `fd` is something else: a listening socket, a socket
 *          for datagrams or packets (SOCK_SEQPACKET), a directory...;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  after a success the stream owns `fd`, and closes it.  Otherwise `fd`
 *          is unchanged and stays the caller's.
 */
ALOOP_API int aloop_stream_open(aloop *loop, int fd, aloop_stream **ret_stream);

/**
 * Ends a stream and returns its descriptor, which stays open.
 *
 * What the stream has received and no reader has consumed is stored in
 * *ret_data and *ret_size, and has to be handled before anything else is read
 * from the descriptor.  *ret_data is NULL if there is nothing.  If `ret_data`
 * is NULL, such bytes make the function fail.
 *
 * Reads that have completed still run their continuations (aloop_then()).  They
 * are not of the stream any more.
 *
 * A descriptor that blocked before aloop_stream_open() blocks again.  Any other
 * is non-blocking.
 *
 * Returns: the descriptor.
 * Errors:  ALOOP_EINVAL: `stream` is NULL, or one of the other arguments is;
 *          ALOOP_EBUSY: bytes are queued, a read, drain, shutdown or forward is
 *          pending, a thread uses the file, `ret_data` is NULL and there are
 *          received bytes, or there are received descriptors
 *          (aloop_stream_take_fd());
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          ALOOP_ENOMEM: out of memory for *ret_data, or reading has failed
 *          with it, so that received bytes may be lost;
 *          others: the error with which sending has failed, so that bytes may
 *          be lost.
 *          The stream is unchanged after an error.
 * Memory:  the caller closes the descriptor, and frees *ret_data with
 *          aloop_data_free(), see fs_data.h.  `stream` is no longer valid.
 */
ALOOP_API int aloop_stream_detach(aloop_stream *stream, void **ret_data,
                                  size_t *ret_size);

/**
 * Makes two streams that are connected to each other (socketpair).
 *
 * What is written to one of them is read from the other.  They are Unix
 * sockets, see aloop_stream_open() about an abort.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  the caller closes both streams.
 */
ALOOP_API int aloop_stream_pair(aloop *loop, aloop_stream **ret_stream,
                                aloop_stream **ret_other);

/**
 * Makes a pipe (pipe(2)) and streams of its two ends.
 *
 * What is written to one end is read from the other.  The ends are streams of
 * one direction each, see aloop_stream_open().  Either may be detached, for
 * example for a program that is to be executed.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is NULL;
 *          others: as for aloop_stream_pair().
 * Memory:  the caller closes both streams.
 */
ALOOP_API int aloop_pipe_open(aloop *loop, aloop_stream **ret_read_end,
                              aloop_stream **ret_write_end);

/**
 * Puts bytes back in front of a stream, for the next reader.
 *
 * This is for a reader that finds out that it has received bytes for another
 * reader.  If the stream is started, its callback is called with the bytes in
 * the next turn; other bytes are received after that.  So a callback that waits
 * for more bytes has to keep those that it has.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_EBUSY: a read is pending, or the stream is forwarded;
 *          ALOOP_ENOMEM: out of memory, and nothing has changed.
 * Memory:  copies the bytes.
 */
ALOOP_API int aloop_stream_unread(aloop_stream *stream, const void *data,
                                  size_t size);

ALOOP_END

#endif
