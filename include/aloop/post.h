/* Calls that are queued for a loop, by its own thread and by others. */

#ifndef ALOOP_POST_H
#define ALOOP_POST_H

#include "aloop/base.h"

ALOOP_BEGIN

/** Runs once, in a turn of the loop, with the `arg` that was queued. */
typedef void (*aloop_fn)(aloop *loop, void *arg);

/**
 * Queues fn(loop, arg) for the next turn, in the order of the calls.
 *
 * A queued call keeps the loop alive.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop` or `fn` is NULL;
 *          ALOOP_ENOMEM: out of memory, and `fn` will not run.
 */
ALOOP_API int aloop_defer(aloop *loop, aloop_fn fn, void *arg);

/**
 * Takes back a call of aloop_defer() that has not run.
 *
 * This is the first one with this `fn` and `arg`.  It takes effect immediately,
 * also for a call that the present turn would have run, so `arg` may be freed
 * in the next line.  Posts are not taken back.  The search looks at what is
 * queued; for an object that needs this often, aloop_timer_new() with a delay
 * of 0 costs less.
 *
 * Returns: 1 if there was such a call, else 0.
 * Errors:  ALOOP_EINVAL: `loop` or `fn` is NULL.
 */
ALOOP_API int aloop_defer_cancel(aloop *loop, aloop_fn fn, void *arg);

/**
 * Queues fn(loop, arg) for the loop's thread, from any thread.
 *
 * Posts run first in, first out, each exactly once.  A queued post keeps the
 * loop alive, but the intention to post does not: call aloop_hold() first.  The
 * function may end the loop, even if its aloop_post() has not returned yet:
 * aloop_free() waits for it.  Calls whose functions have not run must have
 * returned before aloop_free() is called.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop` or `fn` is NULL;
 *          ALOOP_ENOMEM: out of memory, and `fn` will not run.
 * Context: any thread, but not a signal handler.
 */
ALOOP_API int aloop_post(aloop *loop, aloop_fn fn, void *arg);

/**
 * Ends the loop's present wait, or its next one if there is none.
 *
 * Several calls may end only one wait.  NULL is allowed.  The loop must not be
 * freed before this function has returned.
 *
 * Context: any thread, signal handlers included.
 */
ALOOP_API void aloop_wake(aloop *loop);

/**
 * Keeps the loop alive until aloop_release(), as an active handle does.
 *
 * This is for work that another thread will post.  Holds are counted.  NULL has
 * no effect.
 */
ALOOP_API void aloop_hold(aloop *loop);

/**
 * Ends one hold of aloop_hold().
 *
 * A call without a matching hold has no effect, whatever else keeps the loop
 * alive.  NULL has none either.
 */
ALOOP_API void aloop_release(aloop *loop);

ALOOP_END

#endif
