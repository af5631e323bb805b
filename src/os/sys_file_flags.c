/* Flags of files that only some systems have. */

#define _GNU_SOURCE /* For O_DIRECT. */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_file.h"

bool aloop__sys_file_is_direct(int flags)
{
#ifdef O_DIRECT
    return (flags & O_DIRECT) != 0;
#else
    (void) flags;
    return false;
#endif
}
