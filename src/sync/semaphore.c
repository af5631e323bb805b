/* Semaphores; see semaphore.h, which has the invariants.
 *
 * mutex.c and condition.c use the same functions: a mutex is a semaphore with
 * one permit, and the end of a condition's wait is an acquire.
 *
 * Nothing here calls the application: serving settles futures, and their tasks
 * run in the next turn.  The permits belong to them from the moment of serving,
 * so that a task that asks in between cannot take them. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/wait_queue.h"
#include "sync/semaphore.h"

/* While a permit is linked, the semaphore can mark it when it is freed.  The
 * node of the waiter is free for this list, because a waiter that was served or
 * has not yet queued is in no wait queue. */
void aloop__permit_link(struct aloop__permit *permit,
                        aloop_semaphore *semaphore)
{
    permit->semaphore = semaphore;
    list_push(&semaphore->linked, &permit->waiter.node);
}

/* Afterwards the permit has no pointer to the semaphore, which may be freed
 * before it. */
void aloop__permit_unlink(struct aloop__permit *permit)
{
    if (permit->semaphore->last_given == permit)
        permit->semaphore->last_given = NULL;
    permit->semaphore = NULL;
    list_remove(&permit->waiter.node);
}

/* Serves waiters strictly in the order of arrival: if the first one needs more
 * permits than are free, those behind it wait too, even if they need fewer.
 * Otherwise small requests could keep a large one waiting indefinitely.
 *
 * A waiter without references belongs to no owner who could give the permits
 * back.  It is settled without them. */
void aloop__semaphore_serve(aloop_semaphore *semaphore)
{
    struct aloop__waiter *waiter;

    while ((waiter = aloop__wait_queue_first(&semaphore->queue)) != NULL) {
        struct aloop__permit *permit = aloop__permit_of(waiter);
        bool is_wanted = waiter->future.refs > 0;

        if (is_wanted && permit->count > semaphore->free)
            return;
        aloop__wait_queue_remove(waiter);
        if (is_wanted) {
            semaphore->free -= permit->count;
            permit->is_given = true;
            waiter->future.is_grant = true;
            aloop__permit_link(permit, semaphore);
            semaphore->last_given = permit;
        }
        aloop__future_settle(&waiter->future, 0);
    }
}

/* Called by a release, and for permits that were given but not received.  The
 * number of free permits saturates at SIZE_MAX. */
void aloop__semaphore_give(aloop_semaphore *semaphore, size_t count)
{
    if (count > SIZE_MAX - semaphore->free)
        count = SIZE_MAX - semaphore->free;
    semaphore->free += count;
    aloop__semaphore_serve(semaphore);
}

/* ops->cancel: it settles immediately, because the operation is only an entry
 * of the queue.  It is not called after permits were given, because this
 * settles the future. */
void aloop__permit_cancel(aloop_future *future)
{
    struct aloop__waiter *waiter = aloop__waiter_of(future);
    aloop_semaphore *semaphore =
        CONTAINER_OF(waiter->queue, aloop_semaphore, queue);

    aloop__waiter_settle(waiter, ALOOP_ECANCELED);
    /* It may have blocked waiters that need fewer permits. */
    aloop__semaphore_serve(semaphore);
}

/* ops->fini: gives the permits back if they were given but never received. */
void aloop__permit_fini(aloop_future *future)
{
    struct aloop__permit *permit = aloop__permit_of(aloop__waiter_of(future));
    aloop_semaphore *semaphore = permit->semaphore;

    if (semaphore == NULL)
        return;
    aloop__permit_unlink(permit);
    /* If the status was read, the application knows that it owns the permits,
     * so that only the application gives them back. */
    if (permit->is_given && !future->is_taken)
        aloop__semaphore_give(semaphore, permit->count);
}

static const struct aloop__future_ops acquire_ops = {
    .name = "semaphore acquire",
    .size = sizeof(struct aloop__permit),
    .cancel = aloop__permit_cancel,
    .fini = aloop__permit_fini,
};

aloop_future *aloop__semaphore_acquire(aloop_semaphore *semaphore, size_t count,
                                       const struct aloop__future_ops *ops)
{
    struct aloop__permit *permit =
        aloop__waiter_new(semaphore->queue.loop, ops);

    if (permit == NULL)
        return NULL;
    permit->count = count;
    /* It queues even if permits are free, so that it cannot overtake waiters.
     * If it is the first one and there are enough permits, serving settles it
     * immediately. */
    aloop__wait_queue_push(&semaphore->queue, &permit->waiter);
    aloop__semaphore_serve(semaphore);
    return &permit->waiter.future;
}

int aloop__semaphore_try(aloop_semaphore *semaphore, size_t count)
{
    /* Like an acquire, it does not overtake waiters. */
    if (semaphore->queue.count > 0 || semaphore->free < count)
        return ALOOP_EAGAIN;
    semaphore->free -= count;
    return 0;
}

/* The caller has allocated the semaphore, zeroed, alone or in a mutex. */
void aloop__semaphore_init(aloop_semaphore *semaphore, aloop *loop,
                           size_t count)
{
    aloop__wait_queue_init(&semaphore->queue, loop);
    list_init(&semaphore->linked);
    semaphore->free = count;
}

/* Fails the waiters with ALOOP_ECLOSED, and leaves no pointer to the
 * semaphore. */
void aloop__semaphore_fini(aloop_semaphore *semaphore)
{
    struct aloop__node *node;

    /* The permits that are in use outlive the semaphore.  Their futures then
     * have nothing to give back. */
    while ((node = list_pop(&semaphore->linked)) != NULL)
        aloop__permit_of(CONTAINER_OF(node, struct aloop__waiter, node))
            ->semaphore = NULL;
    aloop__wait_queue_settle(&semaphore->queue, ALOOP_ECLOSED);
}

aloop_semaphore *aloop_semaphore_new(aloop *loop, size_t count)
{
    aloop_semaphore *semaphore =
        aloop__check_loop(loop, __func__) < 0
            ? NULL
            : aloop__slab_get(&loop->slab, sizeof *semaphore);

    if (semaphore != NULL)
        aloop__semaphore_init(semaphore, loop, count);
    return semaphore;
}

void aloop_semaphore_free(aloop_semaphore *semaphore)
{
    if (semaphore == NULL ||
        aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return;
    aloop__semaphore_fini(semaphore);
    aloop__slab_put(&semaphore->queue.loop->slab, semaphore, sizeof *semaphore);
}

aloop_future *aloop_semaphore_acquire(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    if (count == 0)
        return aloop__future_failed(semaphore->queue.loop, ALOOP_EINVAL);
    return aloop__semaphore_acquire(semaphore, count, &acquire_ops);
}

int aloop_semaphore_try_acquire(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore == NULL || count == 0)
        return ALOOP_EINVAL;
    if (aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    return aloop__semaphore_try(semaphore, count);
}

/* The caller need not be the one that has acquired the permits; a semaphore can
 * also count events. */
int aloop_semaphore_release(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore == NULL || count == 0 || count > SIZE_MAX - semaphore->free)
        return ALOOP_EINVAL;
    if (aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    aloop__semaphore_give(semaphore, count);
    return 0;
}

size_t aloop_semaphore_count(const aloop_semaphore *semaphore)
{
    return semaphore == NULL ? 0 : semaphore->free;
}
