/* System calls that do not exist everywhere or may be forbidden.
 *
 * An old kernel, a seccomp filter, a security module and an emulator refuse a
 * call with different errors.  After each of them the library must use the
 * older call that does the same. */

#ifndef ALOOP_OS_REFUSAL_H
#define ALOOP_OS_REFUSAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* Returns whether `error`, an errno, may mean that the system call itself was
 * refused.  It may have another reason, but then the older call fails too. */
static inline bool is_refusal(int error)
{
    static const int errors[] = {
        ENOSYS, EPERM, EACCES, EINVAL, ENOTSUP, EOPNOTSUPP,
    };

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i] == error)
            return true;
    return false;
}

#endif
