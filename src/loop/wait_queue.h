/* Futures that wait in line at an object: a lock, an event, a channel.
 *
 * A waiter is in its queue exactly while its future is pending, in the order of
 * arrival.  It leaves when it is served, when it is cancelled, and when the
 * object is freed; from then on it knows nothing of the queue. */

#ifndef ALOOP_LOOP_WAIT_QUEUE_H
#define ALOOP_LOOP_WAIT_QUEUE_H

#include "loop/future.h"

struct aloop__wait_queue {
    aloop *loop;
    struct aloop__node waiters;
    size_t count;
};

/* The first member of every future that waits in a queue. */
struct aloop__waiter {
    aloop_future future;
    struct aloop__node node;
    struct aloop__wait_queue *queue; /* NULL: in none. */
};

void aloop__wait_queue_init(struct aloop__wait_queue *queue, aloop *loop);

/* A new waiter of ops->size bytes, in no queue; NULL without memory. */
void *aloop__waiter_new(aloop *loop, const struct aloop__future_ops *ops);
/* Takes back one that nobody has got to know; NULL is allowed. */
void aloop__waiter_drop(struct aloop__waiter *waiter);

void aloop__wait_queue_push(struct aloop__wait_queue *queue,
                            struct aloop__waiter *waiter);
/* The one that came first, still in the queue; or NULL. */
struct aloop__waiter *aloop__wait_queue_first(struct aloop__wait_queue *queue);
/* The future behind `last`, the first for NULL; NULL at the end. */
aloop_future *aloop__wait_queue_next(struct aloop__wait_queue *queue,
                                     aloop_future *last);
/* Takes it out, pending as it is. */
void aloop__wait_queue_remove(struct aloop__waiter *waiter);

/* Takes it out and settles it, after which it may be gone. */
void aloop__waiter_settle(struct aloop__waiter *waiter, ssize_t status);
/* All of them. */
void aloop__wait_queue_settle(struct aloop__wait_queue *queue, ssize_t status);

/* What ops->cancel is for most kinds: it leaves the queue, and has ended. */
void aloop__waiter_cancel(aloop_future *future);

static inline struct aloop__waiter *aloop__waiter_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct aloop__waiter, future);
}

#endif
