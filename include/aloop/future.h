/* Futures: what an operation, a task or a promise will come to.
 *
 * A future is pending, then settles once, with a status: 0 or more is success
 * and often a count, less is an error.  It is counted: whoever gets one owns a
 * reference.  A function that waits for a future or hands it on (aloop_await,
 * aloop_then, aloop_gather, aloop_timeout, ...) takes the caller's reference
 * over; aloop_future_ref() first to keep one.
 *
 * Such references are their owners'.  When the last owner drops a pending
 * operation or task, it is cancelled; aloop_detach() lets it finish alone.  A
 * continuation is an observer, not an owner.  A NULL future is accepted
 * wherever a future is and counts as one that failed with ALOOP_ENOMEM. */

#ifndef ALOOP_FUTURE_H
#define ALOOP_FUTURE_H

#include "aloop/base.h"
#include "aloop/error.h"

ALOOP_BEGIN

typedef void (*aloop_future_cb)(aloop_future *future, ssize_t status,
                                void *arg);

/**
 * A promise: a future that settles when somebody calls
 * aloop_future_resolve() on it.  It does not keep the loop alive by itself.  A
 * promise that is awaited while nobody else holds a reference can never settle:
 * ALOOP_EDEADLK.
 *
 * Memory:  the caller owns the one reference.  NULL when there is no memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_future_new(aloop *loop);

/**
 * Settles a promise.  Nothing runs inside this call: continuations and waiting
 * tasks run in the next turn, in the order in which they registered.
 *
 * Errors:  ALOOP_EALREADY when it has settled; ALOOP_EINVAL when `future` is
 *          no promise or `status` is ALOOP_PENDING.
 */
ALOOP_API int aloop_future_resolve(aloop_future *future, ssize_t status);

/**
 * Calls `callback` once the future has settled, in a turn of the loop, also if
 * it has settled already.  Any number may be attached.
 *
 * A continuation observes; it does not own.  The future stays in memory for it,
 * but if another owner is the only one left and cancels or drops the future,
 * that ends the operation, and the continuation is called with
 * ALOOP_ECANCELED.  When the only reference is given to this function, the
 * operation goes on without an owner until it settles.
 *
 * Memory:  takes over the caller's reference, also on failure; it is dropped
 *          after `callback` has returned.
 * Errors:  ALOOP_EINVAL, ALOOP_ENOMEM; the callback then never runs.  A NULL
 *          future, and one that misuse made without a loop, belong to no loop:
 *          the one that runs on this thread calls back with the error, and
 *          outside of any the error is returned.
 */
ALOOP_API int aloop_then(aloop_future *future, aloop_future_cb callback,
                         void *arg);

/**
 * Takes a continuation back: the first with this `callback` and `arg` that was
 * attached and has not been called.  It will not be called, and its reference
 * is dropped; if that was the last reference to a pending operation, the
 * operation is cancelled.  An error that nothing else has looked at is reported
 * to the unhandled-error hook, with the last reference.  Closing a stream does
 * this for the continuations of its reads.
 *
 * `future` has to exist: the caller owns a reference, or knows that the
 * continuation has not been called.
 *
 * Returns: 1 if there was one, else 0.
 */
ALOOP_API int aloop_unthen(aloop_future *future, aloop_future_cb callback,
                           void *arg);

/** One more owner's reference to `future`, which is returned. */
ALOOP_API aloop_future *aloop_future_ref(aloop_future *future);

/**
 * Gives a reference back.  The last one of an owner cancels a pending
 * operation, even if continuations observe it.  An error
 * that nobody looked at is reported to the loop's unhandled-error hook.
 */
ALOOP_API void aloop_future_unref(aloop_future *future);

/**
 * Asks for an end: an operation stops and settles with ALOOP_ECANCELED; a group
 * passes it on to its members; a task is marked, see task.h.  An operation on
 * another thread settles only once that thread has let go.  However deep
 * futures are nested, all of them are reached before this returns, and no
 * stack is needed for it: the first member of a group and all that it passes
 * the cancel on to, then the second.  The reference stays the caller's.
 *
 * Returns: 1 if it was pending, 0 if it had settled (and nothing happens).
 */
ALOOP_API int aloop_cancel(aloop_future *future);

/**
 * Gives the reference back and lets the operation or task finish by itself: the
 * loop owns it from now on, so that awaits of other owners no longer end it.
 * Its error, if any, is reported to the unhandled-error hook.
 */
ALOOP_API void aloop_detach(aloop_future *future);

/**
 * The status, or ALOOP_PENDING.  Looking at an error counts as handling it.  A
 * cancelled future's status is ALOOP_ECANCELED, whoever asks.
 */
ALOOP_API ssize_t aloop_future_status(aloop_future *future);

/** Whether it has settled; looks at nothing. */
ALOOP_API bool aloop_future_is_settled(const aloop_future *future);

/** A future that has settled with `status`. */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_future_new_settled(aloop *loop, ssize_t status);

ALOOP_END

#endif
