/* Queues of waiters; see wait_queue.h.
 *
 * The objects of src/sync, and the waits of a group, keep the futures of those
 * who wait for them here.  An object settles the waiters that it serves;
 * nothing runs inside that, so that a loop over a queue is not disturbed by the
 * application. */

#include "loop/wait_queue.h"
#include "loop/future.h"

void aloop__wait_queue_init(struct aloop__wait_queue *queue, aloop *loop)
{
    queue->loop = loop;
    list_init(&queue->waiters);
    queue->count = 0;
}

/* A node that is in no list points to itself, so that list_remove() has no
 * effect on it. */
void *aloop__waiter_new(aloop *loop, const struct aloop__future_ops *ops)
{
    struct aloop__waiter *waiter = aloop__future_new(loop, ops);

    if (waiter != NULL)
        list_init(&waiter->node);
    return waiter;
}

/* Settling frees a future without references, and a success needs no report. */
void aloop__waiter_drop(struct aloop__waiter *waiter)
{
    waiter->future.refs = 0;
    aloop__future_settle(&waiter->future, 0);
}

/* Arrivals are added to the end, and served from the front. */
void aloop__wait_queue_push(struct aloop__wait_queue *queue,
                            struct aloop__waiter *waiter)
{
    list_push(&queue->waiters, &waiter->node);
    waiter->queue = queue;
    queue->count++;
}

struct aloop__waiter *aloop__wait_queue_first(struct aloop__wait_queue *queue)
{
    if (list_is_empty(&queue->waiters))
        return NULL;
    return CONTAINER_OF(queue->waiters.next, struct aloop__waiter, node);
}

aloop_future *aloop__wait_queue_next(struct aloop__wait_queue *queue,
                                     aloop_future *last)
{
    struct aloop__node *node = last == NULL ? queue->waiters.next
                                            : aloop__waiter_of(last)->node.next;

    if (node == &queue->waiters)
        return NULL;
    return &CONTAINER_OF(node, struct aloop__waiter, node)->future;
}

/* The queue may be freed after this, and the waiter must not refer to it. */
void aloop__wait_queue_remove(struct aloop__waiter *waiter)
{
    list_remove(&waiter->node);
    waiter->queue->count--;
    waiter->queue = NULL;
}

void aloop__waiter_settle(struct aloop__waiter *waiter, ssize_t status)
{
    aloop__wait_queue_remove(waiter);
    aloop__future_settle(&waiter->future, status);
}

/* Settling may free the waiter but nothing else in the queue. */
void aloop__wait_queue_settle(struct aloop__wait_queue *queue, ssize_t status)
{
    struct aloop__waiter *waiter;

    while ((waiter = aloop__wait_queue_first(queue)) != NULL)
        aloop__waiter_settle(waiter, status);
}

void aloop__waiter_cancel(aloop_future *future)
{
    aloop__waiter_settle(aloop__waiter_of(future), ALOOP_ECANCELED);
}
