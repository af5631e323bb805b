/* Readiness of descriptors, level-triggered: what differs between epoll,
 * kqueue and poll, and nothing else.
 *
 * One implementation is linked in.  It keeps no pointer of the caller: an
 * event names a descriptor and the generation it was set with, and the caller
 * decides whether that still means something. */

#ifndef ALOOP_OS_REACTOR_H
#define ALOOP_OS_REACTOR_H

#include <stdint.h>

#include "base/alloc.h"

enum {
    REACTOR_READ = 1,  /* Readable, or at its end. */
    REACTOR_WRITE = 2, /* Writable. */
    REACTOR_ERROR = 4  /* Error or hang-up; reported unasked. */
};

struct aloop__event {
    int fd;
    uint32_t generation;
    unsigned bits; /* REACTOR_*. */
    int error;     /* The negated errno that came with REACTOR_ERROR; 0: none
                    * did.  The socket may not report it a second time. */
};

struct aloop__reactor;

extern const char aloop__reactor_name[]; /* "epoll". */

/* Memory comes from `alloc`, which must outlive the reactor. */
int aloop__reactor_open(const struct aloop__alloc *alloc,
                        struct aloop__reactor **ret);
void aloop__reactor_close(struct aloop__reactor *reactor);

/* Changes what is watched on `fd` from `was` to `now` (REACTOR_READ | WRITE; 0
 * is unwatched).  Correct also when the descriptor was closed or replaced
 * behind the reactor's back: removing then succeeds, and adding adds.
 * -EPERM for a descriptor that is always ready (a regular file), -EBADF for
 * one that is not open. */
int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now);

/* Waits until something is ready or timeout_ns passed (< 0: for ever) and
 * writes up to `max` events, at most one or two for each descriptor.  Returns
 * how many; 0 on time-out and when a signal came. */
int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max);

/* The one descriptor for a host loop: readable while an event waits or the
 * alarm is due.  A wait may take that back, and the alarm with it, until
 * aloop__reactor_alarm is called; and what somebody else has used up may keep
 * it readable until then. */
int aloop__reactor_fd(struct aloop__reactor *reactor);

/* Makes the descriptor above readable once delay_ns have passed (0: now); < 0
 * takes that back.  The alarm itself is never reported as an event. */
int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t delay_ns);

/* Forgets everything that is watched; the kernel object is replaced, under the
 * same aloop__reactor_fd.  For a forked child, and when the kernel reports a
 * descriptor that cannot be removed any more. */
int aloop__reactor_renew(struct aloop__reactor *reactor);

#endif
