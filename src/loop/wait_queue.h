/* Queues of futures that wait for an object: a lock, an event, a channel.
 *
 * A waiter is in its queue exactly while its future is pending, in the order of
 * arrival.  It leaves the queue when it is served, when it is cancelled, and
 * when the object is freed.  After that it has no pointer to the queue. */

#ifndef ALOOP_LOOP_WAIT_QUEUE_H
#define ALOOP_LOOP_WAIT_QUEUE_H

#include "loop/future.h"

struct aloop__wait_queue {
    aloop *loop;
    /* Of struct aloop__waiter, the oldest first. */
    struct aloop__node waiters;
    size_t count;
};

/* The first member of every future that waits in such a queue. */
struct aloop__waiter {
    aloop_future future;
    struct aloop__node node;
    struct aloop__wait_queue *queue; /* NULL if in none. */
};

void aloop__wait_queue_init(struct aloop__wait_queue *queue, aloop *loop);

/* Returns a new waiter of ops->size bytes that is in no queue, or NULL if out
 * of memory. */
void *aloop__waiter_new(aloop *loop, const struct aloop__future_ops *ops);
/* Settles and frees a waiter that is in no queue and that no other code refers
 * to. */
void aloop__waiter_drop(struct aloop__waiter *waiter);

void aloop__wait_queue_push(struct aloop__wait_queue *queue,
                            struct aloop__waiter *waiter);
/* Returns the oldest waiter in the queue, or NULL. */
struct aloop__waiter *aloop__wait_queue_first(struct aloop__wait_queue *queue);
/* Returns the future that follows `last`, or the first if `last` is NULL.
 * Returns NULL at the end. */
aloop_future *aloop__wait_queue_next(struct aloop__wait_queue *queue,
                                     aloop_future *last);
/* Takes the waiter out of its queue; its future stays pending. */
void aloop__wait_queue_remove(struct aloop__waiter *waiter);

/* Takes the waiter out of its queue and settles it, which may free it. */
void aloop__waiter_settle(struct aloop__waiter *waiter, ssize_t status);
/* Does that to all waiters in the queue. */
void aloop__wait_queue_settle(struct aloop__wait_queue *queue, ssize_t status);

/* The ops->cancel of most kinds: takes the waiter out of its queue and settles
 * it with ALOOP_ECANCELED. */
void aloop__waiter_cancel(aloop_future *future);

static inline struct aloop__waiter *aloop__waiter_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct aloop__waiter, future);
}

#endif
