/* What ends the awaits of a task early: its cancel, and deadlines that have
 * passed, unless a shield is up.  Both are states, not events: they end the
 * present await, and each later one as it begins. */

#include "task/interrupt.h"

#include "aloop/deadline.h"
#include "loop/host.h"

int aloop__task_reason(const struct aloop__task *task)
{
    if (task->shields > 0 && !task->future.loop->dying)
        return 0;
    if (task->cancelled)
        return ALOOP_ECANCELED;
    return task->passed > 0 ? ALOOP_ETIMEDOUT : 0;
}

void aloop__task_interrupt(struct aloop__task *task)
{
    aloop_future *future = task->awaiting;
    int reason = aloop__task_reason(task);

    if (reason == 0 || future == NULL || task->interrupt != 0 ||
        !aloop__future_pending(future))
        return;
    if (aloop__future_is_ours(future)) {
        /* A future that was cancelled before does not end by a deadline. */
        if (!future->cancelling || reason == ALOOP_ECANCELED)
            task->interrupt = reason;
        aloop_cancel(future); /* Its end wakes the task. */
        return;
    }
    task->interrupt = reason;
    aloop__future_unwait(future, &task->wait);
    task->awaiting = NULL;
    task->let_go = true;
    aloop__ready_push(task->future.loop, &task->wait.ready);
}

bool aloop_is_cancelled(void)
{
    struct aloop__task *task = aloop__task_current();

    return task != NULL && task->cancelled;
}

int aloop_shield_begin(void)
{
    struct aloop__task *task = aloop__task_current();

    if (task == NULL)
        return ALOOP_EINVAL;
    task->shields++;
    return 0;
}

int aloop_shield_end(void)
{
    struct aloop__task *task = aloop__task_current();

    if (task == NULL || task->shields == 0)
        return ALOOP_EINVAL;
    task->shields--;
    return 0;
}
