/* Futures: the results of operations (such as a read), of tasks, and of
 * promises, which the application settles itself.
 *
 * A future is pending, then settles once, with a status: 0 or more is success
 * and often a count, less is an error.  Futures are reference-counted, and a
 * function that returns one gives the caller a reference.  A function that
 * waits for a future or hands it on (aloop_await(), aloop_then(),
 * aloop_gather(), aloop_timeout(), ...) takes over the caller's reference; call
 * aloop_future_ref() first to keep one.
 *
 * Code that has a reference is an owner.  When the last owner drops a pending
 * operation or task, that is cancelled; aloop_detach() lets it finish alone.  A
 * continuation is an observer, not an owner.  A NULL future is accepted
 * wherever a future is and counts as one that failed with ALOOP_ENOMEM. */

#ifndef ALOOP_FUTURE_H
#define ALOOP_FUTURE_H

#include "aloop/base.h"
#include "aloop/error.h"

ALOOP_BEGIN

/**
 * Receives the status of a settled future.
 *
 * Memory:  `future` is valid until the callback returns.
 * Context: a turn of the loop, never inside the call that settled the future.
 * See:     aloop_then().
 */
typedef void (*aloop_future_cb)(aloop_future *future, ssize_t status,
                                void *arg);

/**
 * Makes a promise: a future that aloop_future_resolve() settles.
 *
 * A promise alone does not keep the loop alive.  A promise that is awaited by
 * its only owner can never settle; the await returns ALOOP_EDEADLK.
 *
 * Returns: the promise, or NULL if out of memory.
 * Memory:  the caller owns the one reference.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_future_new(aloop *loop);

/**
 * Makes a future that has already settled with `status`.
 *
 * ALOOP_PENDING is no status: the future then has failed with ALOOP_EINVAL.
 *
 * Returns: the future, or NULL if out of memory.
 * Memory:  the caller owns the one reference.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_future_new_settled(aloop *loop, ssize_t status);

/**
 * Settles a promise with `status`.
 *
 * Nothing runs inside this call.  Continuations and waiting tasks run in the
 * next turn, in the order in which they registered.
 *
 * Returns: 0.
 * Errors:  ALOOP_EALREADY: the promise has settled already;
 *          ALOOP_EINVAL: `future` is NULL or not a promise, or `status` is
 *          ALOOP_PENDING.
 * Memory:  the reference stays the caller's.
 */
ALOOP_API int aloop_future_resolve(aloop_future *future, ssize_t status);

/**
 * Calls `callback` in a turn of the loop, once the future has settled.
 *
 * The same holds for a future that has settled already.  Any number of
 * continuations may be attached; they are called in the order of these calls.
 *
 * A continuation observes and does not own.  The future stays in memory for it:
 *
 *     event                             effect on the continuation
 *     the future settles                is called with the status
 *     the last other owner cancels      is called with ALOOP_ECANCELED
 *     or drops a pending future
 *     this call was given the only      is called with the status; the
 *     reference                         operation continues without an owner
 *
 * A NULL future, and one that a wrong call returned without a loop, belong to
 * no loop.  The loop that runs on this thread calls back with the error, and
 * outside of any loop the error is returned.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `callback` is NULL, and it never runs;
 *          ALOOP_ENOMEM: out of memory, and the callback never runs.
 * Memory:  takes over the caller's reference, also on failure, and drops it
 *          after `callback` has returned.
 */
ALOOP_API int aloop_then(aloop_future *future, aloop_future_cb callback,
                         void *arg);

/**
 * Removes a continuation that has not been called.
 *
 * Of several, it is the first one with this `callback` and `arg`.  It will not
 * be called, and its reference is dropped.  If that was the last reference to a
 * pending operation, the operation is cancelled.  An error that no other code
 * has read is reported to on_unhandled, when the last reference is dropped.
 * Closing a stream does the same with the continuations of its reads.
 *
 * The future has to exist: the caller owns a reference, or knows that the
 * continuation has not been called.
 *
 * Returns: 1 if there was such a continuation, else 0.
 */
ALOOP_API int aloop_unthen(aloop_future *future, aloop_future_cb callback,
                           void *arg);

/**
 * Adds a reference, which makes the caller one more owner.
 *
 * Returns: `future`.
 * Memory:  the caller gives the reference back, or hands it on.
 */
ALOOP_API aloop_future *aloop_future_ref(aloop_future *future);

/**
 * Drops a reference.
 *
 * When the last owner drops a pending operation, that is cancelled, even if
 * continuations observe it.  An error whose status was never read is reported
 * to the loop's on_unhandled.  NULL is allowed.
 *
 * Memory:  the reference is no longer the caller's.
 */
ALOOP_API void aloop_future_unref(aloop_future *future);

/**
 * Requests that a future ends.
 *
 *     kind of future                  effect
 *     operation                       stops and settles with ALOOP_ECANCELED
 *     operation on another thread     the same, once that thread no longer
 *                                     uses the caller's memory
 *     operation of the application    its maker is asked to settle it, see
 *                                     operation.h
 *     promise                         settles with ALOOP_ECANCELED
 *     task                            is marked; its present and later awaits
 *                                     end, see task.h
 *     gather, any, race, map,         passes the cancel on to its members,
 *     timeout                         and settles when all have ended
 *     wait of a group                 cancels the group
 *     settled, or NULL                none
 *
 * A future that completes nevertheless settles with its own status.  However
 * deep futures are nested, all of them are reached before this function
 * returns, without recursion: the first member and everything below it, then
 * the second one.
 *
 * Returns: 1 if the future was pending, 0 if it had settled.
 * Memory:  the reference stays the caller's.
 */
ALOOP_API int aloop_cancel(aloop_future *future);

/**
 * Drops a reference and lets the operation or task finish by itself.
 *
 * The loop owns the future from then on, so that it is not cancelled when
 * awaits of other owners end.  Its error is reported to on_unhandled if no
 * other owner reads it.
 *
 * Memory:  takes over the caller's reference.
 */
ALOOP_API void aloop_detach(aloop_future *future);

/**
 * Returns the status of a future, or ALOOP_PENDING.
 *
 * An error that was returned here counts as handled.  The status of a cancelled
 * future is ALOOP_ECANCELED for every caller; only an await distinguishes
 * ALOOP_EABORTED.  The status of NULL is ALOOP_ENOMEM.
 *
 * Memory:  the reference stays the caller's.
 */
ALOOP_API ssize_t aloop_future_status(aloop_future *future);

/**
 * Returns whether a future has settled.
 *
 * The status does not count as read.  The result is true for NULL.
 */
ALOOP_API bool aloop_future_is_settled(const aloop_future *future);

ALOOP_END

#endif
