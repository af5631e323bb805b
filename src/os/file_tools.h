/* Helpers that several files of sys_file.h use. */

#ifndef ALOOP_OS_FILE_TOOLS_H
#define ALOOP_OS_FILE_TOOLS_H

#include <errno.h>
#include <stdint.h>

#include "aloop/stat.h"
#include "os/sys_file.h"

/* Evaluates an assignment of the result of a call, again while a signal
 * interrupts the call. */
#define REPEAT(assignment) \
    do { \
        errno = 0; \
    } while ((assignment) < 0 && errno == EINTR)

static inline int file_result(int result)
{
    return result < 0 ? -errno : result;
}

/* sys_file_path.c */

/* Returns the number of an open directory, which is AT_FDCWD for SYS_CWD. */
int aloop__file_dir(int dir);
/* Returns the type that the bits of a st_mode stand for. */
aloop_file_type aloop__file_type(unsigned mode);
/* Limits the result, because some file systems store times of any year. */
int64_t aloop__file_time_ns(int64_t seconds, int64_t nanoseconds);

#endif
