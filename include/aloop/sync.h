/* Mutex, semaphore, event, condition and barrier, for tasks and callbacks of
 * one loop.
 *
 * A task gives way to others only where it waits, so that a lock is needed only
 * around code that awaits.  Waiting is a future.  Whoever waits is served first
 * come, first served, and nobody overtakes: what becomes free belongs to the
 * first in line from that moment on.  Cancelling a future that still waits
 * takes it out of the line; one that was served stays served, and an await
 * gives that.
 *
 * Waiting does not keep the loop alive by itself (a task that waits does).
 * With nothing else left to wait for, aloop_run() returns, and an aloop_await()
 * outside of tasks says ALOOP_EDEADLK.
 *
 * Each aloop_x_new() gives NULL when there is no memory or an argument cannot
 * be right; all other calls take a NULL object and say ALOOP_EINVAL.  The
 * library owns the object, until aloop_x_free(), which allows NULL, or
 * aloop_free().  Freed while futures wait for it, those settle with
 * ALOOP_ECLOSED. */

#ifndef ALOOP_SYNC_H
#define ALOOP_SYNC_H

#include "aloop/base.h"
#include "aloop/future.h"

typedef struct aloop_mutex aloop_mutex;
typedef struct aloop_semaphore aloop_semaphore;
typedef struct aloop_event aloop_event;
typedef struct aloop_condition aloop_condition;
typedef struct aloop_barrier aloop_barrier;

ALOOP_BEGIN

/** A mutex, unlocked. */
ALOOP_API aloop_mutex *aloop_mutex_new(aloop *loop);
/** Frees it, whether locked or not. */
ALOOP_API void aloop_mutex_free(aloop_mutex *mutex);

/**
 * Locks the mutex, waiting for its turn.  It has no owner: whoever received
 * the lock sees to it that it is unlocked.  It is not recursive.
 *
 * A lock that was given but never received, because the future was dropped
 * without anybody having awaited it or looked at its status, is taken back.
 * A composite (gather, race, ...) has received what its members were given.
 *
 * Status:  0; ALOOP_ECLOSED, ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_mutex_lock(aloop_mutex *mutex);

/**
 * Locks it if nobody has.
 *
 * Errors:  ALOOP_EAGAIN: it is locked; ALOOP_EINVAL.
 */
ALOOP_API int aloop_mutex_try_lock(aloop_mutex *mutex);

/**
 * Unlocks it, or hands it to the first in line.
 *
 * Errors:  ALOOP_EPERM: it is not locked; ALOOP_EINVAL.
 */
ALOOP_API int aloop_mutex_unlock(aloop_mutex *mutex);

/** Whether it is locked; false for NULL. */
ALOOP_API bool aloop_mutex_is_locked(const aloop_mutex *mutex);

/** A semaphore with `count` permits, which may be 0. */
ALOOP_API aloop_semaphore *aloop_semaphore_new(aloop *loop, size_t count);
/** Frees it, however many of its permits are out. */
ALOOP_API void aloop_semaphore_free(aloop_semaphore *semaphore);

/**
 * Takes `count` permits at once, waiting for its turn and until there are so
 * many; who asked for fewer later waits behind.  More than the semaphore began
 * with may be asked for: releases can add to them.
 *
 * Permits that were given but never received are taken back, as with
 * aloop_mutex_lock().
 *
 * Status:  0; ALOOP_EINVAL for a count of 0; ALOOP_ECLOSED, ALOOP_ENOMEM.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_semaphore_acquire(aloop_semaphore *semaphore,
                                                size_t count);

/**
 * Takes `count` permits if there are so many and nobody is in line.
 *
 * Errors:  ALOOP_EAGAIN: it would have to wait; ALOOP_EINVAL.
 */
ALOOP_API int aloop_semaphore_try_acquire(aloop_semaphore *semaphore,
                                          size_t count);

/**
 * Gives `count` permits back, or adds them.
 *
 * Errors:  ALOOP_EINVAL for a count of 0, or one that overflows.
 */
ALOOP_API int aloop_semaphore_release(aloop_semaphore *semaphore,
                                      size_t count);

/** How many permits are free; 0 for NULL. */
ALOOP_API size_t aloop_semaphore_count(const aloop_semaphore *semaphore);

/** An event, not set. */
ALOOP_API aloop_event *aloop_event_new(aloop *loop);
/** Frees it. */
ALOOP_API void aloop_event_free(aloop_event *event);

/**
 * Waits until the event is set; settled at once if it is.
 *
 * Status:  0; ALOOP_ECLOSED, ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_event_wait(aloop_event *event);

/**
 * Sets the event: all that wait for it now are done, each once, even if it is
 * cleared before they run.  Idempotent.
 *
 * Errors:  ALOOP_EINVAL for NULL.
 */
ALOOP_API int aloop_event_set(aloop_event *event);
ALOOP_API int aloop_event_clear(aloop_event *event); /**< Unsets it. */

/** Whether it is set; false for NULL. */
ALOOP_API bool aloop_event_is_set(const aloop_event *event);

/** A condition that nobody waits for. */
ALOOP_API aloop_condition *aloop_condition_new(aloop *loop);
/** Frees it. */
ALOOP_API void aloop_condition_free(aloop_condition *condition);

/**
 * Unlocks the mutex, which the running task has locked, waits for a
 * notification, and locks the mutex again, whatever the outcome: also when the
 * task was cancelled or a deadline has passed, it returns only once it is this
 * task's turn to have the mutex.  Test what you wait for in a loop: others may
 * have run between the notification and the return.
 *
 * A notification that has been given is delivered (0), even to a task that was
 * cancelled afterwards.  One that was cancelled before takes none.
 *
 * Status:  0; ALOOP_ECANCELED, ALOOP_ETIMEDOUT as from aloop_await();
 *          ALOOP_EINVAL outside of tasks; ALOOP_EPERM: the mutex is not
 *          locked; ALOOP_ENOMEM, the mutex then having been kept;
 *          ALOOP_ECLOSED: the condition was freed, or the mutex, which then is
 *          not locked.
 * Context: a task.
 */
ALOOP_API ssize_t aloop_condition_wait(aloop_condition *condition,
                                       aloop_mutex *mutex);

/**
 * Ends the wait of the first in line, if there is one.  The mutex need not be
 * locked.
 *
 * Returns: 1 if there was one, else 0; ALOOP_EINVAL for NULL.
 */
ALOOP_API int aloop_condition_notify(aloop_condition *condition);

/** Ends the waits of all that are in line now; otherwise as notify, and 0. */
ALOOP_API int aloop_condition_notify_all(aloop_condition *condition);

/** A barrier that lets `count` through at a time; NULL for a count of 0. */
ALOOP_API aloop_barrier *aloop_barrier_new(aloop *loop, size_t count);
/** Frees it. */
ALOOP_API void aloop_barrier_free(aloop_barrier *barrier);

/**
 * Waits until `count` wait, then all of these settle, and the next round
 * begins.  One that is cancelled leaves, and does not count any more.
 *
 * Status:  in which place of its round it came, 0 to count - 1;
 *          ALOOP_ECLOSED, ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_barrier_wait(aloop_barrier *barrier);

/** How many wait now; 0 for NULL. */
ALOOP_API size_t aloop_barrier_waiting(const aloop_barrier *barrier);

ALOOP_END

#endif
