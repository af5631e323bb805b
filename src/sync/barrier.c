/* Barriers: each round ends when `size` tasks wait.
 *
 * A barrier begins the next round by itself: when a round ends its queue is
 * empty.  A wait of the round that has ended does not count in the next one,
 * even if its task has not resumed yet. */

#include "aloop/sync.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/wait_queue.h"

struct aloop_barrier {
    struct aloop__wait_queue queue; /* Always shorter than `size`. */
    size_t size;
};

static const struct aloop__future_ops barrier_ops = {
    .name = "barrier wait",
    .size = sizeof(struct aloop__waiter),
    .cancel = aloop__waiter_cancel,
};

aloop_barrier *aloop_barrier_new(aloop *loop, size_t count)
{
    aloop_barrier *barrier;

    /* The place of a task in its round is a status, so that it must fit into a
     * ssize_t. */
    if (aloop__check_loop(loop, __func__) < 0 || count == 0 ||
        count > SIZE_MAX / 2)
        return NULL;
    barrier = aloop__slab_get(&loop->slab, sizeof *barrier);
    if (barrier == NULL)
        return NULL;
    aloop__wait_queue_init(&barrier->queue, loop);
    barrier->size = count;
    return barrier;
}

/* Waits that are left fail, because their round cannot end any more. */
void aloop_barrier_free(aloop_barrier *barrier)
{
    if (barrier == NULL || aloop__check_loop(barrier->queue.loop, __func__) < 0)
        return;
    aloop__wait_queue_settle(&barrier->queue, ALOOP_ECLOSED);
    aloop__slab_put(&barrier->queue.loop->slab, barrier, sizeof *barrier);
}

/* Ends a round.  The status of each waiter is its place in the order of
 * arrival. */
static void end_round(aloop_barrier *barrier)
{
    struct aloop__waiter *waiter;
    ssize_t place = 0;

    /* Settling runs no code of the application, so that no task can enter the
     * next round meanwhile. */
    while ((waiter = aloop__wait_queue_first(&barrier->queue)) != NULL)
        aloop__waiter_settle(waiter, place++);
}

/* The last wait of a round settles in here, and is the last one in the
 * order. */
aloop_future *aloop_barrier_wait(aloop_barrier *barrier)
{
    struct aloop__waiter *waiter;

    if (barrier == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(barrier->queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    waiter = aloop__waiter_new(barrier->queue.loop, &barrier_ops);
    if (waiter == NULL)
        return NULL;
    /* A waiter that is cancelled leaves the queue, so that its place in the
     * round is free again. */
    aloop__wait_queue_push(&barrier->queue, waiter);
    if (barrier->queue.count == barrier->size)
        end_round(barrier);
    return &waiter->future;
}

size_t aloop_barrier_waiting(const aloop_barrier *barrier)
{
    return barrier == NULL ? 0 : barrier->queue.count;
}
