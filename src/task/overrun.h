/* Telling which task has overrun its stack; contract of overrun.c. */

#ifndef ALOOP_TASK_OVERRUN_H
#define ALOOP_TASK_OVERRUN_H

#include "task/task_state.h"

/* For a loop with options.debug, from its first task until it is freed. */
void aloop__overrun_watch(aloop *loop);
void aloop__overrun_unwatch(aloop *loop);

/* Of the task that has just been switched away from, in such a loop: where its
 * frames ended is still inside its stack.  If not, says so and ends the
 * process. */
void aloop__overrun_check(struct aloop__task *task);

#endif
