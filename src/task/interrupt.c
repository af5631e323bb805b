/* Interrupts: a cancel of a task, or a deadline that has passed, ends its
 * awaits early, unless the task is shielded.  Both are states rather than
 * events.  They end the present await, and each later one when it begins. */

#include "task/interrupt.h"

#include "aloop/deadline.h"
#include "loop/host.h"

int aloop__task_reason(const struct aloop__task *task)
{
    if (task->shields > 0 && !task->future.loop->is_dying)
        return 0;
    if (task->is_cancelled)
        return ALOOP_ECANCELED;
    return task->passed > 0 ? ALOOP_ETIMEDOUT : 0;
}

void aloop__task_interrupt(struct aloop__task *task)
{
    aloop_future *future = task->awaiter.future;
    int reason = aloop__task_reason(task);

    if (reason == 0 || future == NULL || task->interrupt != 0 ||
        !aloop__future_pending(future))
        return;
    if (aloop__future_is_ours(future)) {
        /* A deadline is not the reason if the future was cancelled before. */
        if (!future->is_cancelling || reason == ALOOP_ECANCELED)
            task->interrupt = reason;
        /* The task wakes up when the future settles. */
        aloop__future_cancel_checked(future);
        return;
    }
    task->interrupt = reason;
    aloop__awaiter_remove(&task->awaiter);
    task->is_leaving = true;
    aloop__ready_push(task->future.loop, &task->awaiter.ready);
}

bool aloop_is_cancelled(void)
{
    struct aloop__task *task = aloop__task_current();

    return task != NULL && task->is_cancelled;
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
