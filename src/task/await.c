/* Awaits and yields, in a task and outside of one.
 *
 * A task that waits for a future is one of its waiters and owns a reference to
 * it.  A cancel of the task, or a deadline around the await, interrupts the
 * wait (interrupt.c).  What happens then depends on who else owns the future:
 *
 *     only this task      the future is cancelled, and the await returns when
 *                         that has settled: nothing uses the task's memory then
 *     others as well      the task leaves the waiters and continues in the next
 *                         turn; its reference is dropped
 *
 * Cancellation is a state: it has the same effect at the start of each later
 * await.  The status of a future that has already settled is delivered first,
 * whatever the state, because an operation that has succeeded must not be lost.
 *
 * Outside of a task, an await runs turns of the loop until the future has
 * settled.  aloop_stop() then has the meaning of a cancel. */

#include "aloop/deadline.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/live.h"
#include "loop/pool.h"
#include "loop/running.h"
#include "loop/turn.h"
#include "os/unwind.h"
#include "task/cycle.h"
#include "task/interrupt.h"
#include "task/switch.h"

/* STREAK_MAX: after so many awaits of settled futures, a task gives way to
 * others.  One that was hurried counts as HURRY_COST of them, because it took a
 * call of the system.  END_FAILURES_MAX limits end_await(). */
enum { STREAK_MAX = 64, HURRY_COST = 8, END_FAILURES_MAX = 500 };

/* Drops `future` without delivering its status.  An error is marked as handled,
 * because `error` already reports a failure.  A success is not marked, so that
 * a granted lock is given back. */
static ssize_t refuse(aloop_future *future, int error)
{
    if (!aloop__future_is_pending(future) && future->status < 0)
        future->is_handled = true;
    aloop__future_unref(future);
    return error;
}

/* Does the same, and a debug loop reports the mistake. */
static ssize_t refuse_mistake(aloop_future *future, int error,
                              enum aloop__mistake mistake)
{
    aloop__debug_report_future(mistake, "aloop_await", future);
    return refuse(future, error);
}

/* Drops the reference and returns the status for this await.  ALOOP_ECANCELED
 * becomes the reason of the interrupt if there was one.  Otherwise something
 * else cancelled the future, and it becomes ALOOP_EABORTED, except while the
 * loop is being freed. */
static ssize_t await_outcome(aloop_future *future, int interrupt)
{
    ssize_t status = future->status;

    if (status == ALOOP_ECANCELED && interrupt != 0)
        status = interrupt;
    else if (status == ALOOP_ECANCELED && !future->loop->is_dying)
        status = ALOOP_EABORTED;
    aloop__future_take(future);
    return status;
}

/* Waits until the future has settled, or until the task has left it because of
 * an interrupt (`is_leaving`).  A task that was already cancelled is suspended
 * as well, at least until the next turn.  Therefore a task that ignores its
 * cancel and awaits again and again does not keep the loop from working. */
static void wait_once(struct aloop__task *task, aloop_future *future)
{
    aloop *loop = future->loop;

    aloop__awaiter_add_inline(&task->awaiter, future);
    if (loop->was_interrupted)
        aloop__task_interrupt(task);
    aloop__task_suspend(loop);
    task->awaiter.future = NULL;
}

/* Ends an await that an interrupt has ended while the future had other owners.
 * If they have dropped their references since, the task is the only owner, and
 * must cancel the future and wait for its end.  It must not do so if the future
 * has begun to wait for this task in the meantime, because neither would
 * end. */
static NOINLINE ssize_t leave_await(struct aloop__task *task,
                                    aloop_future *future)
{
    int interrupt = task->interrupt;

    if (aloop__future_is_pending(future) && aloop__future_is_ours(future) &&
        !aloop__is_awaited_by(future, task)) {
        task->is_leaving = false;
        aloop__future_cancel_checked(future);
        wait_once(task, future);
    }
    task->interrupt = 0;
    if (!task->is_leaving)
        return await_outcome(future, interrupt);
    task->is_leaving = false;
    aloop__future_unref_checked(future);
    return interrupt;
}

/* The rest of aloop_await() in a task, which suspends the task until the future
 * has settled, or for one turn if it has already.  Takes over the reference to
 * the future.  Meanwhile other code may cancel the task or the future, and add
 * or drop owners of the future. */
static NOINLINE ssize_t await_suspended(struct aloop__task *task,
                                        aloop_future *future)
{
    int interrupt;

    if (aloop__future_is_pending(future) && aloop__is_awaited_by(future, task))
        return refuse_mistake(future, ALOOP_EDEADLK, MISTAKE_CIRCLE);
    wait_once(task, future);
    if (aloop__check_future(future, "aloop_await", USE_LOOK) < 0)
        return ALOOP_EINVAL; /* Other code dropped this await's reference. */
    if (task->is_leaving)
        return leave_await(task, future);
    interrupt = task->interrupt;
    task->interrupt = 0;
    return await_outcome(future, interrupt);
}

/* The same for a pending future whose kind can have its work done now, without
 * a wait.  An interrupt comes first: it ends the operation before it has
 * begun. */
NOINLINE static ssize_t await_hurried(struct aloop__task *task,
                                      aloop_future *future)
{
    ssize_t status;

    if (task->streak + HURRY_COST >= STREAK_MAX ||
        (future->loop->was_interrupted && aloop__task_reason(task) < 0))
        return await_suspended(task, future);
    task->streak += HURRY_COST;
    status = future->ops->hurry(future);
    if (status != ALOOP_PENDING)
        return status;
    if (!aloop__future_is_pending(future))
        return await_outcome(future, 0);
    return await_suspended(task, future);
}

static void await_ended(struct aloop__ready *ready)
{
    (void) ready; /* The queued node alone keeps the turn from sleeping. */
}

/* Ends an await after the reactor has failed.  Cancels `future`, and waits
 * until it has ended, because it may use memory of the caller.  If the reactor
 * fails again and again, no thread can wake the loop.  Threads of the pool are
 * then awaited without it, as in aloop_free(), and everything else is left.  A
 * task may use threads again after that. */
static void end_await(aloop *loop, aloop_future *future)
{
    int failures = 0;

    aloop__future_cancel_checked(future);
    while (aloop__future_is_pending(future) && aloop__is_alive(loop) &&
           !aloop__is_foreign_by_pid(loop) && failures < 2 * END_FAILURES_MAX) {
        if (aloop__turn(loop, -1, true) == 0)
            continue;
        failures++;
        if (failures >= END_FAILURES_MAX && aloop__pool_is_working(loop) &&
            !aloop__is_foreign_by_pid(loop)) /* A callback may have forked. */
            aloop__pool_close(loop);
    }
}

/* The body of aloop_await() outside of a task.  Takes over the reference to the
 * future.
 *
 * `awaiter` is on the stack of the caller.  It is removed before this returns,
 * from the waiters of the future or from the ready queue.  Being queued it
 * keeps the last turn from sleeping, and it makes the reference one of a
 * waiter: a promise that only waiters refer to settles with ALOOP_EDEADLK. */
static ssize_t run_until_settled(aloop *loop, aloop_future *future)
{
    struct aloop__awaiter awaiter;
    int error = 0, interrupt = 0;

    if (loop->is_running)
        return refuse_mistake(future, ALOOP_EDEADLK, MISTAKE_CALLBACK);
    if (aloop__is_foreign_by_pid(loop))
        return refuse(future, ALOOP_EPERM);
    loop->thread = aloop__sys_thread_self();
    loop->is_stopping = false; /* It was meant for an earlier await. */
    aloop__awaiter_init(&awaiter, await_ended, NULL);
    aloop__awaiter_add(&awaiter, future);
    /* A loop that is not alive has nothing that could settle the future. */
    loop->awaited = future;
    while (error == 0 && aloop__future_is_pending(future)) {
        error = aloop__is_alive(loop) ? aloop__turn(loop, -1, true)
                                      : ALOOP_EDEADLK;
        if (!loop->is_stopping || interrupt != 0)
            continue;
        loop->is_stopping = false;
        interrupt = ALOOP_ECANCELED; /* The same as in a cancelled task. */
        if (!aloop__future_is_ours(future))
            break;
        aloop__future_cancel_checked(future);
    }
    if (error < 0 && error != ALOOP_EDEADLK && aloop__future_is_ours(future)) {
        interrupt = error; /* The reason for the cancel. */
        end_await(loop, future);
    }
    aloop__leave(loop);
    loop->awaited = NULL;
    aloop__awaiter_remove(&awaiter);
    if (loop->is_embedded) /* The turn may have counted `awaiter` as work. */
        aloop__host_update(loop);
    if (!aloop__future_is_pending(future))
        return await_outcome(future, interrupt);
    return refuse(future, error < 0 ? error : interrupt);
}

/* pthread_cancel() must not end the thread in the middle of a turn.  The frame
 * is kept out of aloop_await(), so that an await in a task uses less of its
 * stack. */
NOINLINE static ssize_t await_outside(aloop_future *future)
{
    int cancellation = aloop__cancel_disable();
    ssize_t status = run_until_settled(future->loop, future);

    aloop__cancel_restore(cancellation);
    return status;
}

/* Returns whether a task awaits a read of cached bytes that only it refers to.
 * A debug loop has none. */
static inline bool is_hit(const aloop *loop, const aloop_future *future)
{
    return loop != NULL && future == loop->hit && future != NULL &&
           future->refs == 1 && loop->current != NULL &&
           loop->current->streak < STREAK_MAX - 1;
}

/* The body of aloop_await(), for any loop and any future. */
static NOINLINE ssize_t await_checked(aloop *loop, aloop_future *future)
{
    int error = aloop__check_future(future, "aloop_await", USE_UP);

    if (error < 0)
        return error;
    if (future == NULL)
        return ALOOP_ENOMEM;
    if (future->loop == NULL)
        return future->status;
    if (loop != NULL && loop != future->loop)
        return refuse_mistake(future, ALOOP_EINVAL, MISTAKE_LOOP);
    if (loop == NULL || loop->current == NULL)
        return await_outside(future);
    if (aloop__future_is_pending(future) && future->ops->hurry != NULL)
        return await_hurried(loop->current, future);
    if (!aloop__future_is_pending(future) &&
        ++loop->current->streak < STREAK_MAX)
        return await_outcome(future, 0);
    return await_suspended(loop->current, future);
}

/* Returns whether the running task of a loop that is not a debug loop awaits a
 * pending future of the loop. */
static inline bool is_plain_await(const aloop *loop, const aloop_future *future)
{
    return future != NULL && loop != NULL && future->loop == loop &&
           loop->debug == NULL && loop->current != NULL &&
           aloop__future_is_pending(future);
}

/* The usual awaits need no checks, and save no registers for them.  It is not
 * inlined into a task, which may continue on another thread; see running.h. */
NOINLINE ssize_t aloop_await(aloop_future *future)
{
    aloop *loop = aloop__running();

    if (is_hit(loop, future)) {
        loop->current->streak++;
        future->refs = 0;
        return future->status;
    }
    if (!is_plain_await(loop, future))
        return await_checked(loop, future);
    return future->ops->hurry != NULL ? await_hurried(loop->current, future)
                                      : await_suspended(loop->current, future);
}

/* A yield outside of a task runs one turn without waiting.  In a callback it
 * fails, because the turn that called the callback cannot continue. */
static ssize_t yield_outside(aloop *loop)
{
    int error, cancellation;

    if (loop->is_running) {
        if (loop->debug != NULL)
            aloop__debug_report(loop, MISTAKE_YIELD, "aloop_yield", "");
        return ALOOP_EDEADLK;
    }
    loop->thread = aloop__sys_thread_self();
    cancellation = aloop__cancel_disable();
    error = aloop__turn(loop, 0, false);
    aloop__leave(loop);
    if (loop->is_embedded)
        aloop__host_update(loop);
    aloop__cancel_restore(cancellation);
    return error;
}

/* In a task, the node of the awaiter is queued without a future.  An interrupt
 * then finds nothing to end, and the yield itself returns the reason. */
ssize_t aloop_yield(aloop *loop)
{
    int error = aloop__check_loop(loop, __func__);
    const aloop *here = aloop__running();
    struct aloop__task *task;

    if (error < 0)
        return error;
    task = here == NULL ? NULL : here->current;
    if (task == NULL)
        return yield_outside(loop);
    if (here != loop)
        return ALOOP_EINVAL;
    aloop__ready_push(loop, &task->awaiter.ready);
    aloop__task_suspend(loop);
    return loop->was_interrupted ? aloop__task_reason(task) : 0;
}
