/* Deadline scopes, for the end of a task. */

#ifndef ALOOP_TASK_DEADLINE_H
#define ALOOP_TASK_DEADLINE_H

#include "task/task_state.h"

/* Ends the scopes that are left when the function returns. */
void aloop__deadlines_end(struct aloop__task *task);

#endif
