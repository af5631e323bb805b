/* Events: flags that tasks wait for.
 *
 * Setting an event resumes all waiters; it stays set until it is cleared, and
 * waits that begin meanwhile settle immediately.
 *
 * A wait takes nothing from the event, so that there is nothing to give back
 * after a cancel.  This is the difference from a semaphore, and why plain
 * waiters are enough. */

#include "aloop/sync.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/wait_queue.h"

/* The queue is empty while the event is set: aloop_event_set() settles all
 * waiters, and a wait does not queue then. */
struct aloop_event {
    struct aloop__wait_queue queue;
    bool is_set;
};

static const struct aloop__future_ops event_ops = {
    .name = "event wait",
    .size = sizeof(struct aloop__waiter),
    .cancel = aloop__waiter_cancel,
};

aloop_event *aloop_event_new(aloop *loop)
{
    aloop_event *event = aloop__check_loop(loop, __func__) < 0
                             ? NULL
                             : aloop__slab_get(&loop->slab, sizeof *event);

    if (event != NULL)
        aloop__wait_queue_init(&event->queue, loop);
    return event;
}

/* The futures of waits that have settled may outlive the event, because they
 * have no pointer to it.  Settling comes first, because it takes the waiters
 * out of the queue, which is a part of the event. */
void aloop_event_free(aloop_event *event)
{
    if (event == NULL || aloop__check_loop(event->queue.loop, __func__) < 0)
        return;
    aloop__wait_queue_settle(&event->queue, ALOOP_ECLOSED);
    aloop__slab_put(&event->queue.loop->slab, event, sizeof *event);
}

aloop_future *aloop_event_wait(aloop_event *event)
{
    struct aloop__waiter *waiter;

    if (event == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(event->queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    /* The status is known, so that no waiter is needed. */
    if (event->is_set)
        return aloop_future_new_settled(event->queue.loop, 0);
    waiter = aloop__waiter_new(event->queue.loop, &event_ops);
    if (waiter == NULL)
        return NULL;
    aloop__wait_queue_push(&event->queue, waiter);
    return &waiter->future;
}

/* Setting an event twice finds an empty queue. */
int aloop_event_set(aloop_event *event)
{
    if (event == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(event->queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    /* Settling runs no code of the application.  The waiters resume in the next
     * turn, even if the event is cleared before that. */
    event->is_set = true;
    aloop__wait_queue_settle(&event->queue, 0);
    return 0;
}

/* Waiters that were settled before resume nevertheless. */
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
