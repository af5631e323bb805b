/* Reports of stack overruns of tasks; see overrun.c. */

#ifndef ALOOP_TASK_OVERRUN_H
#define ALOOP_TASK_OVERRUN_H

#include "task/task_state.h"

/* For a loop with options.debug: from its first task until it is freed. */
void aloop__overrun_watch(aloop *loop);
void aloop__overrun_unwatch(aloop *loop);

/* Checks, in such a loop, that the frames of a task that was just switched away
 * from end inside its stack.  Otherwise reports the overrun and ends the
 * process. */
void aloop__overrun_check(struct aloop__task *task);

#endif
