/* Interrupts: a cancel of a task, or a deadline that has passed, ends its
 * awaits early, unless the task is shielded.
 *
 * Both are states rather than events.  They end the present await, and each
 * later one when it begins.  Therefore code that handles an error by another
 * await ends quickly as well, and a cancel that arrives while the task is not
 * waiting is not lost.  task_cancel() (task.c), deadline_due() (deadline.c) and
 * the beginning of each await (await.c) call aloop__task_interrupt().
 *
 * task->interrupt is the reason that the present await will return.  The first
 * reason counts: a cancel that follows a deadline does not change it. */

#include "task/interrupt.h"

#include "aloop/deadline.h"
#include "loop/host.h"

/* A cancel comes before a deadline, because its effect is permanent.  Shields
 * have no effect in aloop_free(), which could otherwise wait for a task
 * indefinitely. */
int aloop__task_reason(const struct aloop__task *task)
{
    if (task->shields > 0 && !task->future.loop->is_dying)
        return 0;
    if (task->is_cancelled)
        return ALOOP_ECANCELED;
    return task->passed > 0 ? ALOOP_ETIMEDOUT : 0;
}

/* Nothing runs inside this call: the task is resumed in the next turn, or when
 * the future has settled.  It has no effect on a task that has not begun, is
 * running or yields, because such a task waits for no future; nor on one whose
 * future has settled, because the status is delivered first. */
void aloop__task_interrupt(struct aloop__task *task)
{
    aloop_future *future = task->awaiter.future;
    int reason = aloop__task_reason(task);

    if (reason == 0 || future == NULL || task->interrupt != 0 ||
        !aloop__future_is_pending(future))
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
    /* The future continues for its other owners.  await_suspended() drops the
     * reference of the task, or cancels the future if they have ended by
     * then. */
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

/* The running task waits for nothing that could be interrupted here.  A cancel
 * that arrived inside the shield has its effect at the next await. */
int aloop_shield_end(void)
{
    struct aloop__task *task = aloop__task_current();

    if (task == NULL || task->shields == 0)
        return ALOOP_EINVAL;
    task->shields--;
    return 0;
}
