/* The part of deadline scopes that the end of a task needs. */

#ifndef ALOOP_TASK_DEADLINE_H
#define ALOOP_TASK_DEADLINE_H

#include "task/task_state.h"

/* Ends the scopes that are open. */
void aloop__deadlines_end_open(struct aloop__task *task);

/* Ends the scopes that are still open when the task's function returns. */
static inline void aloop__deadlines_end(struct aloop__task *task)
{
    if (!list_is_empty(&task->deadlines))
        aloop__deadlines_end_open(task);
}

#endif
