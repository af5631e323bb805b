/* The part of deadline scopes that the end of a task needs. */

#ifndef ALOOP_TASK_DEADLINE_H
#define ALOOP_TASK_DEADLINE_H

#include "task/task_state.h"

/* Ends the scopes that are still open when the task's function returns. */
void aloop__deadlines_end(struct aloop__task *task);

#endif
