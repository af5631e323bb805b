/* An event for tasks and callbacks of one loop; see sync.h. */

#ifndef ALOOP_EVENT_H
#define ALOOP_EVENT_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Makes an event that is not set.
 *
 * Returns: the event, or NULL if out of memory or `loop` is NULL.
 * Memory:  the library owns the event, until aloop_event_free() or
 *          aloop_free().
 */
ALOOP_API aloop_event *aloop_event_new(aloop *loop);

/**
 * Frees an event.
 *
 * Pending waits settle with ALOOP_ECLOSED.  NULL is allowed.
 */
ALOOP_API void aloop_event_free(aloop_event *event);

/**
 * Waits until an event is set.
 *
 * The future of an event that is set has already settled.
 *
 * Status:  0.
 * Errors:  ALOOP_ECLOSED: the event was freed;
 *          ALOOP_EINVAL: `event` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_event_wait(aloop_event *event);

/**
 * Sets an event, which ends all waits that are pending now.
 *
 * They end even if the event is cleared before the waiting tasks run.  A second
 * call has no effect.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `event` is NULL.
 */
ALOOP_API int aloop_event_set(aloop_event *event);

/**
 * Clears an event, so that later waits are pending again.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `event` is NULL.
 */
ALOOP_API int aloop_event_clear(aloop_event *event);

/** Returns whether an event is set; false for NULL. */
ALOOP_API bool aloop_event_is_set(const aloop_event *event);

ALOOP_END

#endif
