/* A barrier for tasks and callbacks of one loop; see sync.h. */

#ifndef ALOOP_BARRIER_H
#define ALOOP_BARRIER_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Makes a barrier that lets `count` waiters pass together.
 *
 * Returns: the barrier, or NULL if out of memory, `loop` is NULL or `count` is
 *          0.
 * Memory:  the library owns the barrier, until aloop_barrier_free() or
 *          aloop_free().
 */
ALOOP_API aloop_barrier *aloop_barrier_new(aloop *loop, size_t count);

/**
 * Frees a barrier.
 *
 * Pending waits settle with ALOOP_ECLOSED.  NULL is allowed.
 */
ALOOP_API void aloop_barrier_free(aloop_barrier *barrier);

/**
 * Waits until the barrier's number of waiters is reached.
 *
 * Then all of these settle, and the next round begins.  A wait that is
 * cancelled does not count any more.
 *
 * Status:  the waiter's place in its round, 0 to count - 1.
 * Errors:  ALOOP_ECLOSED: the barrier was freed;
 *          ALOOP_EINVAL: `barrier` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_barrier_wait(aloop_barrier *barrier);

/** Returns how many waits are pending; 0 for NULL. */
ALOOP_API size_t aloop_barrier_waiting(const aloop_barrier *barrier);

ALOOP_END

#endif
