/* Standard input, output and error as streams. */

#ifndef ALOOP_STDIO_H
#define ALOOP_STDIO_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Makes a stream of a descriptor that other programs share.
 *
 * `fd` is 0, 1 or 2, or another descriptor.  It stays open, it stays blocking
 * for all programs that have it, and no SIGPIPE is raised.  The stream uses a
 * duplicate of it:
 *
 *     `fd`              is read and written
 *     a terminal        through an open file of its own, see aloop/tty.h
 *     a pipe            by calls that do not block even if the pipe does
 *     a FIFO            through an open file of its own
 *     a stream socket   by calls that do not block
 *     a regular file    by threads, at the position that the programs share
 *     a device          by calls that do not block, such as /dev/null, or by
 *                       threads if its driver has none and cannot be polled
 *
 * Where the system has no such calls, or the FIFO cannot be opened again, the
 * descriptor is polled before each call.  The call may then block if another
 * program is faster.
 *
 * A close, an abort and a shutdown of the stream affect no other program and
 * not `fd` itself.  The reader of the output gets its end when `fd` is closed,
 * which is usually at the exit of the program.  What the stream has received
 * from anything but a file, and no reader has consumed, is lost with it.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop` or `ret_stream` is NULL;
 *          ALOOP_EBADF: `fd` is not open;
 *          ALOOP_ENOTSUP: `fd` is something else: a listening socket, a socket
 *          for datagrams, a directory...;
 *          ALOOP_EMFILE: no descriptor is left;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  the caller closes the stream.  aloop_stream_fd() and
 *          aloop_stream_detach() return the duplicate.
 */
ALOOP_API int aloop_stdio_open(aloop *loop, int fd, aloop_stream **ret_stream);

ALOOP_END

#endif
