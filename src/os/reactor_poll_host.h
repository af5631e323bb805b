/* The descriptor that a host loop watches where only poll is available.  A
 * thread polls for the host. */

#ifndef ALOOP_OS_REACTOR_POLL_HOST_H
#define ALOOP_OS_REACTOR_POLL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

struct aloop__poll_host;
struct pollfd;

/* All functions must be called on the loop's thread.  In a forked child all but
 * close and fd do nothing until renew has succeeded. */

/* Starts the thread.  Nothing is published yet.  Memory comes from `alloc`. */
int aloop__poll_host_open(const struct aloop__alloc *alloc,
                          struct aloop__poll_host **ret);
/* Ends the thread.  NULL is allowed. */
void aloop__poll_host_close(struct aloop__poll_host *host);

int aloop__poll_host_fd(const struct aloop__poll_host *host);

/* Sets the time, by aloop__sys_clock_ns(), from which on the next publication
 * is due; INT64_MAX: never. */
void aloop__poll_host_alarm(struct aloop__poll_host *host, int64_t when_ns);

/* Makes the descriptor readable as soon as one of `fds` is ready or the alarm
 * is due.  Earlier readiness is dropped.
 *
 * fds[0] is reserved for the thread.  The array must not be changed or freed
 * before the publication is withdrawn.  It may be published again before that,
 * after the alarm or the readiness of a descriptor has changed. */
void aloop__poll_host_publish(struct aloop__poll_host *host, struct pollfd *fds,
                              size_t count);

/* Ends the publication: the descriptor is not readable, and the thread does not
 * poll when this returns.  That matters before a close, because a descriptor
 * that is being polled stays open in the kernel until the poll ends. */
void aloop__poll_host_withdraw(struct aloop__poll_host *host);

/* In a forked child, replaces everything that would be shared with its parent,
 * under the same descriptor.  In other processes it does nothing, except that
 * it starts the thread if that failed before. */
int aloop__poll_host_renew(struct aloop__poll_host *host);

#endif
