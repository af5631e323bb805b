/* libaloop inside an event base of libevent: a bridge to copy into a program.
 *
 * The program calls event_base_dispatch(), and the loop runs in it, on the same
 * thread:
 *
 *     event_host *host;
 *     int error = event_host_start(loop, base, NULL, NULL, &host);
 *
 *     ...
 *     event_base_dispatch(base);
 *     event_host_stop(host);
 *     aloop_free(loop);
 *     event_base_free(base);
 *
 * An event watches aloop_fd(), and takes one step of the loop for each time
 * that this is readable, so that neither loop can keep the other one from
 * running.  The event keeps event_base_dispatch() from returning, until
 * event_host_stop(); a program whose event_base_dispatch() should end with the
 * loop calls that in `on_idle`.
 *
 * A forked child calls aloop_after_fork(), and then event_reinit(). */

#ifndef BRIDGES_EVENT_HOST_H
#define BRIDGES_EVENT_HOST_H

#include <aloop.h>
#include <event2/event.h>

typedef struct event_host event_host;

/**
 * Is called after a step, with its result.
 *
 *     `status`       meaning
 *     0              the loop has nothing to wait for; the event continues, and
 *                    the call is repeated after each such step
 *     less than 0    the loop cannot continue, with an error of aloop_step().
 *                    No more steps are taken
 *
 * Context: the loop does not run, so the callback may call event_host_stop()
 *          and then aloop_free().
 */
typedef void (*event_host_cb)(aloop *loop, int status, void *arg);

/**
 * Makes an event base run the loop.
 *
 * `on_idle` may be NULL.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop`, `base` or `ret_host` is NULL;
 *          ALOOP_ENOMEM: out of memory;
 *          others: as for aloop_fd(), or of the system, if libevent cannot
 *          watch the descriptor.
 * Memory:  the caller calls event_host_stop(), before aloop_free() and
 *          event_base_free().
 */
int event_host_start(aloop *loop, struct event_base *base,
                     event_host_cb on_idle, void *arg, event_host **ret_host);

/**
 * Ends what event_host_start() has begun, and frees it.
 *
 * It takes effect immediately: no step begins after this returns.  Callbacks of
 * both loops may call it.  NULL is allowed.
 */
void event_host_stop(event_host *host);

#endif
