/* Detects an await that would never end; see cycle.c. */

#ifndef ALOOP_TASK_CYCLE_H
#define ALOOP_TASK_CYCLE_H

#include "task/task_state.h"

/* The same as aloop__is_awaited_by() for a future with a tie. */
bool aloop__cycle_search(aloop_future *future, struct aloop__task *task);

/* Returns whether `future` waits, directly or through others, for `task`.  A
 * task that has not begun waits for nothing. */
static inline bool aloop__is_awaited_by(aloop_future *future,
                                        struct aloop__task *task)
{
    if (future->ops->tie == 0 || (future->ops->is_task && !future->is_tied &&
                                  aloop__task_of(future)->state == TASK_NEW))
        return false;
    return aloop__cycle_search(future, task);
}

/* group.c: returns, one per call, the pending waits of the group whose member
 * `awaiter` waits for: the one that follows `last`, or the first if `last` is
 * NULL.  Returns NULL at the end, and if it is not the awaiter of a group. */
aloop_future *aloop__group_next_wait(const struct aloop__awaiter *awaiter,
                                     aloop_future *last);

#endif
