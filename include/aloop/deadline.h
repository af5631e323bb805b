/* Stretches of a task's code: with a deadline, or shielded from interruption.
 *
 * Both nest.  The end of the task ends the stretches that are left. */

#ifndef ALOOP_DEADLINE_H
#define ALOOP_DEADLINE_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Begins a deadline for the following code of the running task.
 *
 * Once it has passed, awaits that would have to wait end with ALOOP_ETIMEDOUT,
 * until aloop_deadline_end().  A `delay_ns` of 0 or less passes at the first of
 * these.  Scopes have to be ended innermost first.  A deadline that passes
 * after the task was cancelled has no effect.
 *
 * Returns: the scope, or NULL if out of memory, or outside of a task of `loop`.
 * Memory:  the library owns the scope, until its end.
 * Context: a task.
 */
ALOOP_API aloop_deadline *aloop_deadline_begin(aloop *loop, int64_t delay_ns);

/**
 * Moves a deadline to `delay_ns` from now.
 *
 * One that has passed starts again, as if it had not passed.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `deadline` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_API int aloop_deadline_restart(aloop_deadline *deadline,
                                     int64_t delay_ns);

/**
 * Ends the scope of a deadline, and returns whether it expired.
 *
 * The result is whether this deadline is the reason for an ALOOP_ETIMEDOUT
 * that was returned in its scope:
 *
 *     what happened first                              result
 *     this deadline passed                             1
 *     the deadline of an enclosing scope passed        0, and 1 from that one
 *     the task was cancelled, or nothing happened      0
 *
 * Returns: 0 or 1, as in the table.
 * Errors:  ALOOP_EINVAL: `deadline` is NULL or not the innermost scope of its
 *          task, and nothing has changed.
 * Memory:  frees the scope.
 */
ALOOP_API int aloop_deadline_end(aloop_deadline *deadline);

/**
 * Begins a stretch of code that no cancel and no deadline interrupts.
 *
 * Awaits of the running task work as if the task had not been cancelled, until
 * the matching aloop_shield_end().  Shields are counted.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: no task is running.
 * Context: a task.
 */
ALOOP_API int aloop_shield_begin(void);

/**
 * Ends a stretch of code that aloop_shield_begin() began.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: no task is running, or there is no matching begin.
 * Context: a task.
 */
ALOOP_API int aloop_shield_end(void);

ALOOP_END

#endif
