/* Semaphores from the inside, for the objects that are made of one.
 *
 * Permits go to the first waiter as soon as there are enough for it.  So free
 * permits and a waiter that needs no more than those never exist together.
 *
 * A permit that was given but not received must not be lost.  A future that
 * was served stays linked to its semaphore.  When it is freed and its status
 * was given to no user, neither its own nor that of a composition that stands
 * for it, the permits are given back.  The semaphore may be freed before: that
 * removes all links. */

#ifndef ALOOP_SYNC_SEMAPHORE_H
#define ALOOP_SYNC_SEMAPHORE_H

#include "aloop/sync.h"
#include "loop/wait_queue.h"

struct aloop_semaphore {
    struct aloop__wait_queue queue; /* Of struct aloop__permit. */
    struct aloop__node linked; /* Of struct aloop__permit, not in the queue. */
    size_t free;               /* Permits that nobody has. */
    struct aloop__permit *last_given; /* While it is linked. */
};

struct aloop_mutex {
    aloop_semaphore semaphore; /* With one permit. */
};

/* The future of an acquire.  Its node is in the queue, or else in `linked`
 * while `semaphore` is set. */
struct aloop__permit {
    struct aloop__waiter waiter;
    aloop_semaphore *semaphore;
    size_t count;
    bool is_given;  /* `semaphore` gave `count` of its permits. */
    unsigned asked; /* To end, by the loop's end: relock_cancel(). */
};

static inline struct aloop__permit *aloop__permit_of(
    struct aloop__waiter *waiter)
{
    return CONTAINER_OF(waiter, struct aloop__permit, waiter);
}

void aloop__semaphore_init(aloop_semaphore *semaphore, aloop *loop,
                           size_t count);
/* The waiters fail with ALOOP_ECLOSED, and no permit is linked afterwards. */
void aloop__semaphore_fini(aloop_semaphore *semaphore);
/* Returns a future of kind `ops` that waits for `count` permits, or NULL if
 * out of memory. */
aloop_future *aloop__semaphore_acquire(aloop_semaphore *semaphore, size_t count,
                                       const struct aloop__future_ops *ops);
/* ALOOP_EAGAIN without enough permits, or with other waiters. */
int aloop__semaphore_try(aloop_semaphore *semaphore, size_t count);
/* Adds `count` permits and serves the waiters. */
void aloop__semaphore_give(aloop_semaphore *semaphore, size_t count);
/* Serves the waiters, in order, as far as the free permits go. */
void aloop__semaphore_serve(aloop_semaphore *semaphore);

/* The permit is in `linked`, and unlinked again when either end is freed. */
void aloop__permit_link(struct aloop__permit *permit,
                        aloop_semaphore *semaphore);
void aloop__permit_unlink(struct aloop__permit *permit);
/* ops->cancel and ops->fini of the futures of permits. */
void aloop__permit_cancel(aloop_future *future);
void aloop__permit_fini(aloop_future *future);

#endif
