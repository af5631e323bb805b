/* Stacks of tasks that have ended, in debug loops; see retired.c. */

#ifndef ALOOP_TASK_RETIRED_H
#define ALOOP_TASK_RETIRED_H

#include "task/task_state.h"

/* A task that has ended. */
struct aloop__retired_task {
    struct aloop__stack stack;
    char name[64]; /* A copy, as far as it fits. */
    const char *where;
};

/* Prepares the loop for retired stacks.  Out of memory, it does without. */
void aloop__retired_open(aloop *loop);
/* Forgets all retired stacks.  The pool of stacks must not be used any more. */
void aloop__retired_close(aloop *loop);

/* Takes the stack of a task that has ended, instead of the pool.  Returns false
 * if the loop has no retired stacks or the system refuses. */
bool aloop__retired_put(struct aloop__task *task);

/* Returns the task whose retired stack contains the address, or NULL.  May be
 * called in a signal handler. */
const struct aloop__retired_task *aloop__retired_find(const aloop *loop,
                                                      const void *address);

#endif
