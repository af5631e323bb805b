/* libaloop inside the main loop of GLib: a bridge to copy into a program.
 *
 * The program runs a GMainLoop (or a GApplication, or GTK), and the loop runs
 * in it, on the same thread:
 *
 *     GSource *host;
 *     int error = glib_host_start(loop, NULL, NULL, NULL, &host);
 *
 *     ...
 *     g_main_loop_run(main_loop);
 *     glib_host_stop(host);
 *     aloop_free(loop);
 *
 * The source watches aloop_fd(), and takes one step of the loop for each time
 * that this is readable, so that neither loop can keep the other one from
 * running.  It has the priority G_PRIORITY_DEFAULT, until
 * g_source_set_priority().
 *
 * GLib does not support to continue in a forked child without exec().  There,
 * aloop_step() fails with ALOOP_EPERM, which ends the source. */

#ifndef BRIDGES_GLIB_HOST_H
#define BRIDGES_GLIB_HOST_H

#include <aloop.h>
#include <glib.h>

/**
 * Is called after a step, with its result.
 *
 *     `status`       meaning
 *     0              the loop has nothing to wait for; the source continues,
 *                    and the call is repeated after each such step
 *     less than 0    the loop cannot continue, with an error of aloop_step();
 *                    ALOOP_EBADF: its descriptor was closed.  The source has
 *                    ended
 *
 * Context: the loop does not run, so the callback may call glib_host_stop() and
 *          then aloop_free().
 */
typedef void (*glib_host_cb)(aloop *loop, int status, void *arg);

/**
 * Makes a main context run the loop.
 *
 * The context is that of the thread that iterates it; NULL is the default one.
 * `on_idle` may be NULL.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop` or `ret_source` is NULL;
 *          others: as for aloop_fd().  GLib ends the process if it is out of
 *          memory.
 * Memory:  the caller calls glib_host_stop(), before aloop_free(), and before
 *          or after the end of the context.
 */
int glib_host_start(aloop *loop, GMainContext *context, glib_host_cb on_idle,
                    void *arg, GSource **ret_source);

/**
 * Ends a source of glib_host_start(), and drops the caller's reference.
 *
 * It takes effect immediately: no step begins after this returns.  Callbacks of
 * both loops may call it.  NULL is allowed.
 */
void glib_host_stop(GSource *source);

#endif
