/* Flags of files that only some systems have. */

#define _GNU_SOURCE /* For O_DIRECT and O_DIRECTORY. */
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

/* The flags that are allowed change neither the file nor its contents.  Any
 * flag that is not known here counts as one that may. */
bool aloop__sys_file_only_reads(int flags)
{
    return (flags & ~(O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)) ==
           O_RDONLY;
}

/* O_NONBLOCK has no effect on a directory, and does not wait for the writer of
 * a FIFO before O_DIRECTORY refuses it. */
int aloop__sys_open_directory(int dir, const char *path, bool is_followed)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

    return aloop__sys_openat(dir, path,
                             is_followed ? flags : flags | O_NOFOLLOW, 0);
}
