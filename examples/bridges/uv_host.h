/* libaloop inside a loop of libuv: a bridge to copy into a program.
 *
 * The program calls uv_run(), and the loop runs in it, on the same thread:
 *
 *     uv_host *host;
 *     int error = uv_host_start(loop, uv, NULL, NULL, &host);
 *
 *     ...
 *     uv_run(uv, UV_RUN_DEFAULT);
 *     uv_host_stop(host);
 *     aloop_free(loop);
 *     uv_run(uv, UV_RUN_DEFAULT);
 *     uv_loop_close(uv);
 *
 * A handle of libuv watches aloop_fd(), and takes one step of the loop for each
 * time that this is readable, so that neither loop can keep the other one from
 * running.  The handle keeps uv_run() from returning, until uv_host_stop(); a
 * program whose uv_run() should end with the loop calls that in `on_idle`.
 *
 * A forked child calls aloop_after_fork(), and then uv_loop_fork(). */

#ifndef BRIDGES_UV_HOST_H
#define BRIDGES_UV_HOST_H

#include <aloop.h>
#include <uv.h>

typedef struct uv_host uv_host;

/**
 * Is called after a step, with its result.
 *
 *     `status`       meaning
 *     0              the loop has nothing to wait for; the handle continues,
 *                    and the call is repeated after each such step
 *     less than 0    the loop cannot continue, with an error of aloop_step() or
 *                    libuv.  No more steps are taken
 *
 * Context: the loop does not run, so the callback may call uv_host_stop() and
 *          then aloop_free().
 */
typedef void (*uv_host_cb)(aloop *loop, int status, void *arg);

/**
 * Makes libuv run the loop.
 *
 * `on_idle` may be NULL.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop`, `uv` or `ret_host` is NULL;
 *          ALOOP_ENOMEM: out of memory;
 *          others: as for aloop_fd(), or of libuv, which has the same numbers.
 * Memory:  the caller calls uv_host_stop(), before aloop_free().
 */
int uv_host_start(aloop *loop, uv_loop_t *uv, uv_host_cb on_idle, void *arg,
                  uv_host **ret_host);

/**
 * Ends what uv_host_start() has begun.
 *
 * It takes effect immediately: no step begins after this returns, and
 * aloop_free() may follow, unless a callback of the loop has called it.
 * Callbacks of both loops may do so.  libuv closes its handle in the next
 * uv_run(), which has to come before uv_loop_close().  NULL is allowed.
 */
void uv_host_stop(uv_host *host);

#endif
