/* The seam, continued: descriptors that are shared with other programs.  Their
 * open files block, and stay so.  The rules of sys.h hold. */

#ifndef ALOOP_OS_SYS_STDIO_H
#define ALOOP_OS_SYS_STDIO_H

#include "os/sys.h"

/* Read and write without blocking, at the position of the file: preadv2() and
 * pwritev2() with RWF_NOWAIT.  Return -EAGAIN if that is impossible now, and
 * -EOPNOTSUPP if the open file or the system never allows it, as with FIFOs
 * that have a name.  A write never raises SIGPIPE. */
ssize_t aloop__sys_read_now(int fd, void *buffer, size_t size);
ssize_t aloop__sys_write_now(int fd, const struct sys_piece *pieces,
                             size_t count);

/* Read and write after poll() has reported that this does not block, and return
 * -EAGAIN otherwise.  They block nevertheless if another program was faster.  A
 * write takes no more bytes than a pipe that is ready accepts. */
ssize_t aloop__sys_read_polled(int fd, void *buffer, size_t size);
ssize_t aloop__sys_write_polled(int fd, const struct sys_piece *pieces,
                                size_t count);

/* Opens what is behind `fd` again, for a description of its own, which does not
 * block.  Returns -ENOTSUP on a system where the result would share the old
 * one. */
int aloop__sys_reopen(int fd);

#endif
