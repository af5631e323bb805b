/* How tasks start, are suspended, continue and end; see switch.c. */

#ifndef ALOOP_TASK_SWITCH_H
#define ALOOP_TASK_SWITCH_H

#include "task/task_state.h"

/* Prepares a loop for switches, and frees what they need. */
int aloop__switching_open(aloop *loop);
void aloop__switching_close(aloop *loop);

/* Runs a task until it waits or ends: ready->run of the awaiter of every
 * task. */
void aloop__task_resumed(struct aloop__ready *ready);

/* Suspends the task that the loop is running.  Returns when its ready node
 * runs, which the caller has queued or added to the waiters of a future. */
void aloop__task_suspend(aloop *loop);

/* Gives the stack of a task that has one to the pool of the loop.  The task
 * must not be running on it. */
void aloop__task_stack_give(struct aloop__task *task);
static inline void aloop__task_stack_put(struct aloop__task *task)
{
    if (task->stack.low != NULL)
        aloop__task_stack_give(task);
}

#endif
