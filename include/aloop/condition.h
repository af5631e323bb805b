/* A condition for the tasks of one loop; see sync.h. */

#ifndef ALOOP_CONDITION_H
#define ALOOP_CONDITION_H

#include "aloop/base.h"
#include "aloop/future.h"
#include "aloop/mutex.h"

ALOOP_BEGIN

/**
 * Makes a condition without waiters.
 *
 * Returns: the condition, or NULL if out of memory or `loop` is NULL.
 * Memory:  the library owns the condition, until aloop_condition_free() or
 *          aloop_free().
 */
ALOOP_API aloop_condition *aloop_condition_new(aloop *loop);

/**
 * Frees a condition.
 *
 * Pending waits end with ALOOP_ECLOSED.  NULL is allowed.
 */
ALOOP_API void aloop_condition_free(aloop_condition *condition);

/**
 * Waits for a notification, with the mutex unlocked meanwhile.
 *
 * The running task must have locked the mutex.  It is locked again whatever the
 * outcome: after a cancel or a deadline, too, the function returns only once it
 * is this task's turn to have the mutex.  Test what you wait for in a loop,
 * because others may have run between the notification and the return.
 *
 * A notification that was given is delivered, even to a task that was cancelled
 * afterwards.  A task that was cancelled before receives none.
 *
 * Status:  0.
 * Errors:  ALOOP_ECANCELED: the task was cancelled;
 *          ALOOP_ETIMEDOUT: a deadline of the task has passed;
 *          ALOOP_EINVAL: an argument is wrong, or no task is running;
 *          ALOOP_EPERM: the mutex is not locked;
 *          ALOOP_ENOMEM: out of memory, and the mutex stayed locked;
 *          ALOOP_ECLOSED: the condition was freed, or the mutex, which is not
 *          locked in this case.
 * Context: a task.
 */
ALOOP_API ssize_t aloop_condition_wait(aloop_condition *condition,
                                       aloop_mutex *mutex);

/**
 * Ends the wait of the first waiter, if there is one.
 *
 * The mutex need not be locked.
 *
 * Returns: 1 if there was a waiter, else 0.
 * Errors:  ALOOP_EINVAL: `condition` is NULL.
 */
ALOOP_API int aloop_condition_notify(aloop_condition *condition);

/**
 * Ends the waits of all present waiters.
 *
 * The mutex need not be locked.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `condition` is NULL.
 */
ALOOP_API int aloop_condition_notify_all(aloop_condition *condition);

ALOOP_END

#endif
