/* Callbacks right before the loop waits.
 *
 * They connect a library that has an event loop of its own (GLib, ZeroMQ), or
 * that has to send its requests before the program waits (Wayland). */

#ifndef ALOOP_PREPARE_H
#define ALOOP_PREPARE_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Runs right before the loop waits for events, and limits that wait.
 *
 *     result         effect
 *     less than 0    no limit
 *     0              the loop looks for events and does not wait
 *     more           the loop waits for so many nanoseconds at most
 *
 * Returns: the limit.  That of a prepare that the callback closes has no
 *          effect.
 * Context: a turn of the loop.  The callback may do what other callbacks may,
 *          and may close the prepare.
 */
typedef int64_t (*aloop_prepare_cb)(aloop_prepare *prepare, void *arg);

/**
 * Starts to call `on_prepare` right before each wait.
 *
 * A wait is each time that the loop looks for events, also if it does not sleep
 * because it has work.  (A turn that has work may leave out the wait, and the
 * callback with it.)  A limit holds for one wait.  When it has passed, the next
 * turn begins, and calls `on_prepare` again.
 *
 * - What the callback queues is not delayed.  After aloop_defer() or
 *   aloop_stream_put() the turn does not sleep, and a timer that the callback
 *   starts limits the wait.
 * - Several prepares are called in the order of their starts, and the shortest
 *   limit holds.  One that a callback of another starts is called before the
 *   loop sleeps.
 * - A prepare does not keep the loop alive, unlike other handles, until
 *   aloop_prepare_ref(): it waits for nothing itself, and a loop with nothing
 *   else would never end.  A bridge that waits for something has a poll, a
 *   timer or an operation for that.
 * - The callback does not count as one for which aloop_step() returns.  That
 *   returns when a limit has passed, also if nothing else was called.
 * - aloop_fd() becomes readable when a limit has passed, and when `on_prepare`
 *   has to be called again because callbacks have run since its last call.  A
 *   host that changes what the limit depends on, outside of the loop's
 *   callbacks, calls aloop_wake().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop`, `on_prepare` or `ret_prepare` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the library owns the prepare, until aloop_prepare_close().
 */
ALOOP_API int aloop_prepare_start(aloop *loop, aloop_prepare_cb on_prepare,
                                  void *arg, aloop_prepare **ret_prepare);

/**
 * Makes a prepare keep the loop alive.
 *
 * A second call has no effect.
 */
ALOOP_API void aloop_prepare_ref(aloop_prepare *prepare);

/**
 * Stops a prepare from keeping the loop alive.
 *
 * This is its state after the start.  The prepare itself continues.  A second
 * call has no effect.
 */
ALOOP_API void aloop_prepare_unref(aloop_prepare *prepare);

/**
 * Ends a prepare and frees it.
 *
 * It takes effect immediately: the callback does not run after this returns,
 * and its last limit has no effect any more.  The prepare's own callback may
 * call it.  NULL is allowed.
 */
ALOOP_API void aloop_prepare_close(aloop_prepare *prepare);

ALOOP_END

#endif
