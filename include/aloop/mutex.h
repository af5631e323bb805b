/* A mutex for tasks and callbacks of one loop; see sync.h. */

#ifndef ALOOP_MUTEX_H
#define ALOOP_MUTEX_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Makes a mutex, unlocked.
 *
 * Returns: the mutex, or NULL if out of memory or `loop` is NULL.
 * Memory:  the library owns the mutex, until aloop_mutex_free() or
 *          aloop_free().
 */
ALOOP_API aloop_mutex *aloop_mutex_new(aloop *loop);

/**
 * Frees a mutex, whether it is locked or not.
 *
 * Pending locks settle with ALOOP_ECLOSED.  NULL is allowed.
 */
ALOOP_API void aloop_mutex_free(aloop_mutex *mutex);

/**
 * Locks a mutex, waiting for its turn.
 *
 * A mutex has no owner: the code that received the lock has to unlock it.  It
 * is not recursive.
 *
 * A lock that was granted but never received is taken back: its future was
 * dropped, and its status never read.  A composition (gather, race, ...)
 * receives what its members are granted, see compose.h.
 *
 * Status:  0.
 * Errors:  ALOOP_ECLOSED: the mutex was freed;
 *          ALOOP_EINVAL: `mutex` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_mutex_lock(aloop_mutex *mutex);

/**
 * Locks a mutex without waiting.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAGAIN: the mutex is locked;
 *          ALOOP_EINVAL: `mutex` is NULL.
 */
ALOOP_API int aloop_mutex_try_lock(aloop_mutex *mutex);

/**
 * Unlocks a mutex, or grants the lock to the first waiter.
 *
 * Returns: 0.
 * Errors:  ALOOP_EPERM: the mutex is not locked;
 *          ALOOP_EINVAL: `mutex` is NULL.
 */
ALOOP_API int aloop_mutex_unlock(aloop_mutex *mutex);

/** Returns whether a mutex is locked; false for NULL. */
ALOOP_API bool aloop_mutex_is_locked(const aloop_mutex *mutex);

ALOOP_END

#endif
