/* What the library keeps once for each process; sys_process.c. */

#ifndef ALOOP_OS_PROCESS_H
#define ALOOP_OS_PROCESS_H

#include <stdatomic.h>

#include "os/sys.h"

/* All zero in a forked child, where the system can see to that. */
struct sys_process {
    atomic_int pid; /* Of the process that has `id`; 0: none, -1: changing. */
    atomic_uint id;
    atomic_int signal_lock; /* The pid of the holder; 0: free. */
    atomic_uint received[SYS_SIGNAL_MAX + 1]; /* By signal number. */
};

/* May be called by signal handlers. */
struct sys_process *sys__process(void);

/* Whether the caller is a vforked child, as far as that can be told: it runs
 * in the memory of another process. */
bool sys__process_is_borrowed(const struct sys_process *process);

#endif
