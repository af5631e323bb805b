/* Calls that a system may not have, or that something forbids.
 *
 * A kernel that is too old, a seccomp filter, a security module and an emulator
 * refuse a call with different errors, and all of them must lead to the call
 * that does the same in an older way. */

#ifndef ALOOP_OS_REFUSAL_H
#define ALOOP_OS_REFUSAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether `error`, an errno, may mean that the call as such was refused.  It
 * may mean something else as well; the older call then fails, too. */
static inline bool is_refusal(int error)
{
    static const int refusals[] = {
        ENOSYS, EPERM, EACCES, EINVAL, ENOTSUP, EOPNOTSUPP,
    };

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i] == error)
            return true;
    return false;
}

#endif
