/* Writes with the flags of pwritev2(). */

#ifndef ALOOP_OS_FLAGGED_H
#define ALOOP_OS_FLAGGED_H

#include "os/sys.h"

/* Writes at the position of the file, and raises no SIGPIPE, whether the kernel
 * has a flag for that or not.  Returns -EOPNOTSUPP or another refusal
 * (refusal.h) if the kernel or the file does not have one of the `flags`. */
ssize_t aloop__write_silently(int fd, const struct sys_piece *pieces,
                              size_t count, int flags);

#endif
