/* A main context of GLib inside libaloop: a bridge to copy into a program.
 *
 * The program runs the loop, and what uses GLib's main context (GIO, D-Bus,
 * libsoup) works beside it, on the same thread:
 *
 *     glib_inside *inside;
 *     int error = glib_inside_start(loop, NULL, &inside);
 *
 *     ...
 *     glib_inside_stop(inside);
 *
 * Before each wait of the loop, the bridge asks the context what it waits for,
 * and watches that.  Therefore it does not matter which code adds a source, or
 * where: a callback of GLib, a task or another thread.
 *
 * - Callbacks of GLib run in a turn of the loop, as the loop's own callbacks
 *   do.  They may do what these may, but aloop_await() only in a task.
 * - Sources go by their priorities among themselves.  Each turn of the loop
 *   runs those of one priority that are ready.
 * - GMainLoop is not needed.  g_main_context_iteration() works, and the loop
 *   rests meanwhile.
 * - A time limit of GLib is exact to 1 ms.
 * - An operation of GIO uses the thread's default context; for another one,
 *   call g_main_context_push_thread_default().
 *
 * GLib does not support to continue in a forked child without exec(); it should
 * call aloop_after_fork() and glib_inside_stop() if it uses the loop. */

#ifndef BRIDGES_GLIB_INSIDE_H
#define BRIDGES_GLIB_INSIDE_H

#include <aloop.h>
#include <glib.h>

typedef struct glib_inside glib_inside;

/**
 * Makes the loop run a main context.
 *
 * NULL is the default context.  The calling thread owns the context until
 * glib_inside_stop(), so the loop has to run on this thread.  It keeps the loop
 * alive.
 *
 * A descriptor that the loop cannot watch, because memory is exhausted for
 * example, is looked at every 10 ms.
 *
 * Returns: 0.
 * Errors:  ALOOP_EBUSY: another thread owns the context;
 *          ALOOP_EINVAL: `loop` or `ret_inside` is NULL;
 *          ALOOP_ENOMEM: out of memory.  (GLib itself ends the process then.)
 * Memory:  the caller calls glib_inside_stop(), before aloop_free().
 */
int glib_inside_start(aloop *loop, GMainContext *context,
                      glib_inside **ret_inside);

/**
 * Ends what glib_inside_start() has begun, and frees it.
 *
 * Callbacks of both loops may call it.  A callback of GLib that calls it may be
 * followed by others that were ready at the same time; otherwise none runs
 * after this returns.  NULL is allowed.
 */
void glib_inside_stop(glib_inside *inside);

#endif
