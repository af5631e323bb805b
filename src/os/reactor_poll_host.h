/* The descriptor that a host loop watches where poll is all there is: a thread
 * polls on the host's behalf. */

#ifndef ALOOP_OS_REACTOR_POLL_HOST_H
#define ALOOP_OS_REACTOR_POLL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

struct aloop__poll_host;
struct pollfd;

#define POLL_HOST_NEVER INT64_MAX /* As an alarm's time. */

/* All functions are for the loop's thread.  In a forked child every one but
 * close and fd does nothing until renew has succeeded. */

/* Nothing is published yet.  Memory comes from `alloc`. */
int aloop__poll_host_open(const struct aloop__alloc *alloc,
                          struct aloop__poll_host **ret);
void aloop__poll_host_close(struct aloop__poll_host *host); /* May be NULL. */

int aloop__poll_host_fd(const struct aloop__poll_host *host);

/* From now on the descriptor is readable once one of `fds` is ready or
 * due_ns, on sys_clock_ns, has come; earlier readiness is forgotten.  `fds` is
 * copied; NULL stands for what was published last.
 *
 * Returns false where there was no memory for the copy.  The descriptor is
 * then readable at once, so that the host steps and publishes anew. */
bool aloop__poll_host_publish(struct aloop__poll_host *host,
                              const struct pollfd *fds, size_t count,
                              int64_t due_ns);

/* Takes back what was published: the descriptor is not readable, and when this
 * returns nobody polls.  That matters to closing: what somebody polls stays
 * open in the kernel until the poll has ended. */
void aloop__poll_host_withdraw(struct aloop__poll_host *host);

/* In a forked child, makes anew all that it would share with its parent, under
 * the same descriptor; what was published has to be published again, and not
 * by NULL.  Elsewhere does nothing. */
int aloop__poll_host_renew(struct aloop__poll_host *host);

#endif
