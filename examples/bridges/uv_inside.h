/* A loop of libuv inside libaloop: a bridge to copy into a program.
 *
 * The program runs the loop, and libraries for libuv work beside it, on the
 * same thread:
 *
 *     uv_inside *inside;
 *     int error = uv_inside_start(loop, uv, &inside);
 *
 *     ...
 *     uv_inside_stop(inside);
 *     uv_run(uv, UV_RUN_DEFAULT);
 *     uv_loop_close(uv);
 *
 * Before each wait of the loop, the bridge lets libuv do what it can do without
 * waiting, and asks how long it would wait.  Therefore it does not matter which
 * code starts a handle: a callback of libuv, a task or another callback.
 *
 * - Callbacks of libuv run in a turn of the loop, as the loop's own callbacks
 *   do.  They may do what these may, but aloop_await() only in a task.
 * - uv_timer_start() counts from the time that libuv read last, which may be
 *   long ago.  Call uv_update_time() before it, except in callbacks of libuv.
 * - A timer of libuv is exact to 1 ms.
 * - The loop is alive while uv_loop_alive(), and libuv rests when it is not.  A
 *   handle that is started while the loop does not run is noticed if
 *   uv_inside_start() follows.
 *
 * A forked child calls aloop_after_fork(), uv_inside_stop(), uv_loop_fork(),
 * and then uv_inside_start() to continue. */

#ifndef BRIDGES_UV_INSIDE_H
#define BRIDGES_UV_INSIDE_H

#include <aloop.h>
#include <uv.h>

typedef struct uv_inside uv_inside;

/**
 * Makes the loop run a loop of libuv.
 *
 * Nothing else may call uv_run() until uv_inside_stop().  A prepare whose
 * callbacks use handles of libuv has to be started later than this, and has to
 * return the limit 0 after such a call; glib_inside does.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop`, `uv` or `ret_inside` is NULL;
 *          ALOOP_ENOMEM: out of memory;
 *          others: as for aloop_poll_start().
 * Memory:  the caller calls uv_inside_stop(), before aloop_free() and
 *          uv_loop_close().
 */
int uv_inside_start(aloop *loop, uv_loop_t *uv, uv_inside **ret_inside);

/**
 * Ends what uv_inside_start() has begun, and frees it.
 *
 * Callbacks of both loops may call it.  One of libuv that calls it may be
 * followed by others that were ready at the same time; otherwise none runs
 * after this returns.  Handles of libuv stay open.  NULL is allowed.
 */
void uv_inside_stop(uv_inside *inside);

#endif
