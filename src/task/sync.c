/* Semaphores, mutexes and conditions.
 *
 * A mutex is a semaphore with one permit.  Permits go to the first in line as
 * soon as there are enough for it, so that free permits and a waiter that they
 * would do for never exist together.
 *
 * What was given but not received must not be lost.  So a served future stays
 * linked to its semaphore, and when it is freed and its status was given to no
 * user, neither its own nor that of a composition which stands for it, the
 * permits go back.  The semaphore may be freed before: it then cuts all
 * links. */

#include "aloop/sync.h"

#include "loop/debug.h"
#include "task/queue.h"
#include "task/task.h"

enum { RELOCK_TURNS = 100 }; /* For others to clean up, at the loop's end. */

struct aloop_semaphore {
    struct aloop__queue queue; /* Of struct permit. */
    struct aloop__node linked; /* Of struct permit, not in the queue. */
    size_t free;               /* Permits that nobody has. */
    struct permit *last_given; /* While it is linked. */
};

struct aloop_mutex {
    aloop_semaphore semaphore;
};

struct aloop_condition {
    struct aloop__queue queue;
};

/* The future of an acquire.  Its node is in the queue, or else in `linked`
 * while `semaphore` is set. */
struct permit {
    struct aloop__waiter waiter;
    aloop_semaphore *semaphore;
    size_t count;
    bool is_given;  /* `semaphore` gave `count` of its permits. */
    unsigned asked; /* To end, by the loop's end: relock_cancel(). */
};

static struct permit *permit_of(struct aloop__waiter *waiter)
{
    return CONTAINER_OF(waiter, struct permit, waiter);
}

static void link_to(struct permit *permit, aloop_semaphore *semaphore)
{
    permit->semaphore = semaphore;
    list_push(&semaphore->linked, &permit->waiter.node);
}

static void unlink_from(struct permit *permit)
{
    if (permit->semaphore->last_given == permit)
        permit->semaphore->last_given = NULL;
    permit->semaphore = NULL;
    list_remove(&permit->waiter.node);
}

/* Serves the queue as far as the free permits go. */
static void serve(aloop_semaphore *semaphore)
{
    struct aloop__waiter *waiter;

    while ((waiter = aloop__queue_first(&semaphore->queue)) != NULL) {
        struct permit *permit = permit_of(waiter);
        bool is_wanted = waiter->future.refs > 0;

        if (is_wanted && permit->count > semaphore->free)
            return;
        aloop__queue_remove(waiter);
        if (is_wanted) {
            semaphore->free -= permit->count;
            permit->is_given = true;
            waiter->future.is_grant = true;
            link_to(permit, semaphore);
            semaphore->last_given = permit;
        }
        aloop__future_settle(&waiter->future, 0);
    }
}

static void give_back(aloop_semaphore *semaphore, size_t count)
{
    if (count > SIZE_MAX - semaphore->free)
        count = SIZE_MAX - semaphore->free;
    semaphore->free += count;
    serve(semaphore);
}

static void permit_cancel(aloop_future *future)
{
    struct aloop__waiter *waiter = aloop__waiter_of(future);
    aloop_semaphore *semaphore =
        CONTAINER_OF(waiter->queue, aloop_semaphore, queue);

    aloop__waiter_settle(waiter, ALOOP_ECANCELED);
    serve(semaphore); /* It may have stood before some that want less. */
}

static void permit_fini(aloop_future *future)
{
    struct permit *permit = permit_of(aloop__waiter_of(future));
    aloop_semaphore *semaphore = permit->semaphore;

    if (semaphore == NULL)
        return;
    unlink_from(permit);
    if (permit->is_given && !future->is_taken)
        give_back(semaphore, permit->count);
}

static const struct aloop__future_ops acquire_ops = {
    .name = "semaphore acquire",
    .size = sizeof(struct permit),
    .cancel = permit_cancel,
    .fini = permit_fini};

static const struct aloop__future_ops lock_ops = {
    .name = "mutex lock",
    .size = sizeof(struct permit),
    .cancel = permit_cancel,
    .fini = permit_fini};

static aloop_future *acquire(aloop_semaphore *semaphore, size_t count,
                             const struct aloop__future_ops *ops)
{
    struct permit *permit = aloop__waiter_new(semaphore->queue.loop, ops);

    if (permit == NULL)
        return NULL;
    permit->count = count;
    aloop__queue_push(&semaphore->queue, &permit->waiter);
    serve(semaphore);
    return &permit->waiter.future;
}

static int try_acquire(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore->queue.count > 0 || semaphore->free < count)
        return ALOOP_EAGAIN;
    semaphore->free -= count;
    return 0;
}

static void init(aloop_semaphore *semaphore, aloop *loop, size_t count)
{
    aloop__queue_init(&semaphore->queue, loop);
    list_init(&semaphore->linked);
    semaphore->free = count;
}

static void fini(aloop_semaphore *semaphore)
{
    struct aloop__node *node;

    while ((node = list_pop(&semaphore->linked)) != NULL)
        permit_of(CONTAINER_OF(node, struct aloop__waiter, node))->semaphore =
            NULL;
    aloop__queue_settle(&semaphore->queue, ALOOP_ECLOSED);
}

aloop_semaphore *aloop_semaphore_new(aloop *loop, size_t count)
{
    aloop_semaphore *semaphore =
        aloop__check_loop(loop, __func__) < 0
            ? NULL
            : aloop__slab_get(&loop->slab, sizeof *semaphore);

    if (semaphore != NULL)
        init(semaphore, loop, count);
    return semaphore;
}

void aloop_semaphore_free(aloop_semaphore *semaphore)
{
    if (semaphore == NULL ||
        aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return;
    fini(semaphore);
    aloop__slab_put(&semaphore->queue.loop->slab, semaphore,
                    sizeof *semaphore);
}

aloop_future *aloop_semaphore_acquire(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    if (count == 0)
        return aloop__future_failed(semaphore->queue.loop, ALOOP_EINVAL);
    return acquire(semaphore, count, &acquire_ops);
}

int aloop_semaphore_try_acquire(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore == NULL || count == 0)
        return ALOOP_EINVAL;
    if (aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    return try_acquire(semaphore, count);
}

int aloop_semaphore_release(aloop_semaphore *semaphore, size_t count)
{
    if (semaphore == NULL || count == 0 || count > SIZE_MAX - semaphore->free)
        return ALOOP_EINVAL;
    if (aloop__check_loop(semaphore->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    give_back(semaphore, count);
    return 0;
}

size_t aloop_semaphore_count(const aloop_semaphore *semaphore)
{
    return semaphore == NULL ? 0 : semaphore->free;
}

aloop_mutex *aloop_mutex_new(aloop *loop)
{
    aloop_mutex *mutex =
        aloop__check_loop(loop, __func__) < 0
            ? NULL
            : aloop__slab_get(&loop->slab, sizeof *mutex);

    if (mutex != NULL)
        init(&mutex->semaphore, loop, 1);
    return mutex;
}

void aloop_mutex_free(aloop_mutex *mutex)
{
    if (mutex == NULL ||
        aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return;
    fini(&mutex->semaphore);
    aloop__slab_put(&mutex->semaphore.queue.loop->slab, mutex, sizeof *mutex);
}

aloop_future *aloop_mutex_lock(aloop_mutex *mutex)
{
    if (mutex == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    return acquire(&mutex->semaphore, 1, &lock_ops);
}

int aloop_mutex_try_lock(aloop_mutex *mutex)
{
    if (mutex == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    return try_acquire(&mutex->semaphore, 1);
}

int aloop_mutex_unlock(aloop_mutex *mutex)
{
    if (mutex == NULL)
        return ALOOP_EINVAL;
    if (!aloop_mutex_locked(mutex))
        return ALOOP_EPERM;
    if (aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    /* Its future may not have been looked at: it has nothing to give back. */
    if (mutex->semaphore.last_given != NULL)
        mutex->semaphore.last_given->is_given = false;
    give_back(&mutex->semaphore, 1);
    return 0;
}

bool aloop_mutex_locked(const aloop_mutex *mutex)
{
    return mutex != NULL && mutex->semaphore.free == 0;
}

aloop_condition *aloop_condition_new(aloop *loop)
{
    aloop_condition *condition =
        aloop__check_loop(loop, __func__) < 0
            ? NULL
            : aloop__slab_get(&loop->slab, sizeof *condition);

    if (condition != NULL)
        aloop__queue_init(&condition->queue, loop);
    return condition;
}

void aloop_condition_free(aloop_condition *condition)
{
    if (condition == NULL)
        return;
    if (aloop__check_loop(condition->queue.loop, __func__) < 0)
        return;
    aloop__queue_settle(&condition->queue, ALOOP_ECLOSED);
    aloop__slab_put(&condition->queue.loop->slab, condition,
                    sizeof *condition);
}

static const struct aloop__future_ops notified_ops = {
    .name = "condition wait",
    .size = sizeof(struct aloop__waiter),
    .cancel = aloop__waiter_cancel};

static void relock_cancel(aloop_future *future)
{
    struct permit *permit = permit_of(aloop__waiter_of(future));

    /* The wait ends with the mutex, however it ends.  At the loop's end, too,
     * as long as those who hold it may still be cleaning up. */
    if (future->loop->dying && permit->waiter.queue != NULL &&
        permit->asked++ == RELOCK_TURNS)
        aloop__waiter_cancel(future);
    else
        aloop__future_ask_again(future); /* Every turn, at the end. */
}

static const struct aloop__future_ops relock_ops = {
    .name = "mutex lock",
    .size = sizeof(struct permit),
    .cancel = relock_cancel,
    .fini = permit_fini};

/* Gets the mutex back with the future that was set aside for it. */
static ssize_t relock(struct permit *permit)
{
    aloop_semaphore *semaphore = permit->semaphore;

    if (semaphore == NULL) {
        aloop__waiter_drop(&permit->waiter);
        return ALOOP_ECLOSED; /* The mutex was freed meanwhile. */
    }
    unlink_from(permit);
    aloop__queue_push(&semaphore->queue, &permit->waiter);
    serve(semaphore);
    return aloop_await(&permit->waiter.future);
}

/* Unlocks the mutex and lines up for both; without memory does neither. */
static int let_go(aloop_condition *condition, aloop_semaphore *semaphore,
                  struct aloop__waiter **ret_waiter,
                  struct permit **ret_permit)
{
    aloop *loop = condition->queue.loop;
    struct permit *permit = aloop__waiter_new(loop, &relock_ops);
    struct aloop__waiter *waiter;

    if (permit == NULL)
        return ALOOP_ENOMEM;
    waiter = aloop__waiter_new(loop, &notified_ops);
    if (waiter == NULL) {
        aloop__waiter_drop(&permit->waiter);
        return ALOOP_ENOMEM;
    }
    permit->count = 1;
    link_to(permit, semaphore);
    aloop__queue_push(&condition->queue, waiter);
    give_back(semaphore, 1);
    *ret_waiter = waiter;
    *ret_permit = permit;
    return 0;
}

ssize_t aloop_condition_wait(aloop_condition *condition, aloop_mutex *mutex)
{
    struct aloop__task *task = aloop__task_current();
    struct aloop__waiter *waiter;
    struct permit *permit;
    ssize_t status, error;

    if (condition == NULL || mutex == NULL || task == NULL ||
        condition->queue.loop != task->future.loop ||
        mutex->semaphore.queue.loop != task->future.loop)
        return ALOOP_EINVAL;
    if (!aloop_mutex_locked(mutex))
        return ALOOP_EPERM;
    error = let_go(condition, &mutex->semaphore, &waiter, &permit);
    if (error < 0)
        return error;
    status = aloop_await(&waiter->future);
    error = relock(permit);
    return error < 0 ? error : status;
}

int aloop_condition_notify(aloop_condition *condition)
{
    struct aloop__waiter *waiter;

    if (condition == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(condition->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    waiter = aloop__queue_first(&condition->queue);
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
    aloop__queue_settle(&condition->queue, 0);
    return 0;
}
