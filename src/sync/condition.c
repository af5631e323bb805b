/* Conditions.
 *
 * A wait unlocks the mutex.  When it ends, for whatever reason, the mutex is
 * locked again.  Therefore the future of that second lock is created before the
 * unlock, while the wait can still fail without an effect.
 *
 *     begin_wait()     both futures are created; the waiter joins the queue of
 *                      the condition, and the mutex is unlocked
 *     aloop_await()    until a notify, a cancel or a deadline
 *     relock()         the second lock joins the queue of the mutex
 *
 * No notify is lost between the unlock and the wait, because begin_wait() does
 * both before other code can run. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/wait_queue.h"
#include "sync/semaphore.h"
#include "task/task_state.h"

/* Time for other tasks to clean up, in aloop_free(). */
enum { RELOCK_TURNS = 100 };

/* A condition does not refer to a mutex: each wait names one. */
struct aloop_condition {
    struct aloop__wait_queue queue;
};

aloop_condition *aloop_condition_new(aloop *loop)
{
    aloop_condition *condition =
        aloop__check_loop(loop, __func__) < 0
            ? NULL
            : aloop__slab_get(&loop->slab, sizeof *condition);

    if (condition != NULL)
        aloop__wait_queue_init(&condition->queue, loop);
    return condition;
}

/* Waits end with ALOOP_ECLOSED, after they have locked their mutex again. */
void aloop_condition_free(aloop_condition *condition)
{
    if (condition == NULL)
        return;
    if (aloop__check_loop(condition->queue.loop, __func__) < 0)
        return;
    aloop__wait_queue_settle(&condition->queue, ALOOP_ECLOSED);
    aloop__slab_put(&condition->queue.loop->slab, condition, sizeof *condition);
}

static const struct aloop__future_ops notified_ops = {
    .name = "condition wait",
    .size = sizeof(struct aloop__waiter),
    .cancel = aloop__waiter_cancel,
};

/* ops->cancel of the second lock. */
static void relock_cancel(aloop_future *future)
{
    struct aloop__permit *permit = aloop__permit_of(aloop__waiter_of(future));

    /* The wait must end with the mutex locked, even if it is cancelled.  In
     * aloop_free() this holds only for a limited number of turns, in which the
     * tasks that hold the mutex may release it. */
    if (future->loop->is_dying && permit->waiter.queue != NULL &&
        permit->asked++ == RELOCK_TURNS)
        aloop__waiter_cancel(future);
    else
        aloop__future_ask_again(future); /* Asks every turn, in aloop_free(). */
}

static const struct aloop__future_ops relock_ops = {
    .name = "mutex lock",
    .size = sizeof(struct aloop__permit),
    .cancel = relock_cancel,
    .fini = aloop__permit_fini,
};

/* Locks the mutex again, with the future that was created for it.  This await
 * is not interrupted: the cancel of the future has no effect until it is
 * locked. */
static ssize_t relock(struct aloop__permit *permit)
{
    aloop_semaphore *semaphore = permit->semaphore;

    if (semaphore == NULL) {
        aloop__waiter_drop(&permit->waiter);
        return ALOOP_ECLOSED; /* The mutex was freed meanwhile. */
    }
    /* It joins the end of the mutex's queue like any other lock.  Until now it
     * was only linked to the semaphore, to learn whether that is freed. */
    aloop__permit_unlink(permit);
    aloop__wait_queue_push(&semaphore->queue, &permit->waiter);
    aloop__semaphore_serve(semaphore);
    return aloop_await(&permit->waiter.future);
}

/* Unlocks the mutex and adds a waiter to the condition.  If out of memory it
 * does neither. */
static int begin_wait(aloop_condition *condition, aloop_semaphore *semaphore,
                      struct aloop__waiter **ret_waiter,
                      struct aloop__permit **ret_permit)
{
    aloop *loop = condition->queue.loop;
    struct aloop__permit *permit = aloop__waiter_new(loop, &relock_ops);
    struct aloop__waiter *waiter;

    if (permit == NULL)
        return ALOOP_ENOMEM;
    waiter = aloop__waiter_new(loop, &notified_ops);
    if (waiter == NULL) {
        aloop__waiter_drop(&permit->waiter);
        return ALOOP_ENOMEM;
    }
    /* Nothing can fail from here on. */
    permit->count = 1;
    aloop__permit_link(permit, semaphore);
    aloop__wait_queue_push(&condition->queue, waiter);
    aloop__semaphore_give(semaphore, 1);
    *ret_waiter = waiter;
    *ret_permit = permit;
    return 0;
}

/* It is a function and no future, because its second part, the lock, needs a
 * task that awaits it. */
ssize_t aloop_condition_wait(aloop_condition *condition, aloop_mutex *mutex)
{
    struct aloop__task *task = aloop__task_current();
    struct aloop__waiter *waiter;
    struct aloop__permit *permit;
    ssize_t status, error;

    if (condition == NULL || mutex == NULL || task == NULL ||
        condition->queue.loop != task->future.loop ||
        mutex->semaphore.queue.loop != task->future.loop)
        return ALOOP_EINVAL;
    if (!aloop_mutex_is_locked(mutex))
        return ALOOP_EPERM;
    error = begin_wait(condition, &mutex->semaphore, &waiter, &permit);
    if (error < 0)
        return error;
    /* A cancel or a deadline may end this await.  Even then the mutex is locked
     * again, because the caller will unlock it.  If the lock fails, its error
     * is returned instead of the status, so that the caller does not unlock. */
    status = aloop_await(&waiter->future);
    error = relock(permit);
    return error < 0 ? error : status;
}

/* Settles the oldest wait.  Its task still has to lock the mutex, which the
 * caller usually holds. */
int aloop_condition_notify(aloop_condition *condition)
{
    struct aloop__waiter *waiter;

    if (condition == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(condition->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    waiter = aloop__wait_queue_first(&condition->queue);
    if (waiter == NULL)
        return 0;
    aloop__waiter_settle(waiter, 0);
    return 1;
}

int aloop_condition_notify_all(aloop_condition *condition)
{
    if (condition == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(condition->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    aloop__wait_queue_settle(&condition->queue, 0);
    return 0;
}
