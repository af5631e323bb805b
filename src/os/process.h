/* State that exists once per process; see sys_process.c. */

#ifndef ALOOP_OS_PROCESS_H
#define ALOOP_OS_PROCESS_H

#include <stdatomic.h>

#include "os/sys.h"

/* Zeroed in a forked child, if the system supports that. */
struct sys_process {
    /* The process that `id` belongs to; 0: none, -1: being changed. */
    atomic_int pid;
    atomic_uint id;
    atomic_int signal_lock; /* The pid of the holder; 0: free. */
    /* Number of signals received, by signal number. */
    atomic_uint received[SYS_SIGNAL_MAX + 1];
};

/* Returns the state of the process.  May be called by signal handlers. */
struct sys_process *aloop__sys_process(void);

/* Returns whether the caller is known to be a vforked child, which runs in the
 * memory of its parent. */
bool aloop__sys_process_is_borrowed(const struct sys_process *process);

#endif
