/* A semaphore for tasks and callbacks of one loop; see sync.h. */

#ifndef ALOOP_SEMAPHORE_H
#define ALOOP_SEMAPHORE_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Makes a semaphore with `count` permits, which may be 0.
 *
 * Returns: the semaphore, or NULL if out of memory or `loop` is NULL.
 * Memory:  the library owns the semaphore, until aloop_semaphore_free() or
 *          aloop_free().
 */
ALOOP_API aloop_semaphore *aloop_semaphore_new(aloop *loop, size_t count);

/**
 * Frees a semaphore, however many of its permits are taken.
 *
 * Pending acquires settle with ALOOP_ECLOSED.  NULL is allowed.
 */
ALOOP_API void aloop_semaphore_free(aloop_semaphore *semaphore);

/**
 * Takes `count` permits together, waiting for its turn.
 *
 * A later call waits behind an earlier one, even if it needs fewer permits.
 * More permits than the semaphore began with may be requested, because releases
 * can add to them.  Permits that were granted but never received are taken
 * back, as a lock is, see aloop_mutex_lock().
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `semaphore` is NULL or `count` is 0;
 *          ALOOP_ECLOSED: the semaphore was freed;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_semaphore_acquire(aloop_semaphore *semaphore,
                                                size_t count);

/**
 * Takes `count` permits without waiting.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAGAIN: there are fewer permits, or others are waiting;
 *          ALOOP_EINVAL: `semaphore` is NULL or `count` is 0.
 */
ALOOP_API int aloop_semaphore_try_acquire(aloop_semaphore *semaphore,
                                          size_t count);

/**
 * Returns `count` permits to a semaphore, or adds them.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `semaphore` is NULL, or `count` is 0 or overflows.
 */
ALOOP_API int aloop_semaphore_release(aloop_semaphore *semaphore, size_t count);

/** Returns how many permits are free; 0 for NULL. */
ALOOP_API size_t aloop_semaphore_count(const aloop_semaphore *semaphore);

ALOOP_END

#endif
