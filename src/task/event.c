/* Events and barriers: both let all that wait go at once. */

#include "aloop/sync.h"
#include "loop/debug.h"
#include "task/queue.h"

struct aloop_event {
    struct aloop__queue queue;
    bool is_set;
};

struct aloop_barrier {
    struct aloop__queue queue; /* Always shorter than `size`. */
    size_t size;
};

static const struct aloop__future_ops event_ops = {
    .name = "event wait",
    .size = sizeof(struct aloop__waiter),
    .cancel = aloop__waiter_cancel};

aloop_event *aloop_event_new(aloop *loop)
{
    aloop_event *event =
        aloop__check_loop(loop, __func__) < 0
            ? NULL
            : aloop__slab_get(&loop->slab, sizeof *event);

    if (event != NULL)
        aloop__queue_init(&event->queue, loop);
    return event;
}

void aloop_event_free(aloop_event *event)
{
    if (event == NULL || aloop__check_loop(event->queue.loop, __func__) < 0)
        return;
    aloop__queue_settle(&event->queue, ALOOP_ECLOSED);
    aloop__slab_put(&event->queue.loop->slab, event, sizeof *event);
}

aloop_future *aloop_event_wait(aloop_event *event)
{
    struct aloop__waiter *waiter;

    if (event == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(event->queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    if (event->is_set)
        return aloop_future_done(event->queue.loop, 0);
    waiter = aloop__waiter_new(event->queue.loop, &event_ops);
    if (waiter == NULL)
        return NULL;
    aloop__queue_push(&event->queue, waiter);
    return &waiter->future;
}

int aloop_event_set(aloop_event *event)
{
    if (event == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(event->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    event->is_set = true;
    aloop__queue_settle(&event->queue, 0);
    return 0;
}

int aloop_event_clear(aloop_event *event)
{
    if (event == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(event->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    event->is_set = false;
    return 0;
}

bool aloop_event_is_set(const aloop_event *event)
{
    return event != NULL && event->is_set;
}

static const struct aloop__future_ops barrier_ops = {
    .name = "barrier wait",
    .size = sizeof(struct aloop__waiter),
    .cancel = aloop__waiter_cancel};

aloop_barrier *aloop_barrier_new(aloop *loop, size_t count)
{
    aloop_barrier *barrier;

    /* A place in the round has to fit a status. */
    if (aloop__check_loop(loop, __func__) < 0 || count == 0 ||
        count > SIZE_MAX / 2)
        return NULL;
    barrier = aloop__slab_get(&loop->slab, sizeof *barrier);
    if (barrier == NULL)
        return NULL;
    aloop__queue_init(&barrier->queue, loop);
    barrier->size = count;
    return barrier;
}

void aloop_barrier_free(aloop_barrier *barrier)
{
    if (barrier == NULL ||
        aloop__check_loop(barrier->queue.loop, __func__) < 0)
        return;
    aloop__queue_settle(&barrier->queue, ALOOP_ECLOSED);
    aloop__slab_put(&barrier->queue.loop->slab, barrier, sizeof *barrier);
}

/* Lets a whole round go, in the order of arrival. */
static void open_up(aloop_barrier *barrier)
{
    struct aloop__waiter *waiter;
    ssize_t place = 0;

    while ((waiter = aloop__queue_first(&barrier->queue)) != NULL)
        aloop__waiter_settle(waiter, place++);
}

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
    aloop__queue_push(&barrier->queue, waiter);
    if (barrier->queue.count == barrier->size)
        open_up(barrier);
    return &waiter->future;
}

size_t aloop_barrier_waiting(const aloop_barrier *barrier)
{
    return barrier == NULL ? 0 : barrier->queue.count;
}
