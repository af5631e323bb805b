/* Semaphores, for the objects that are built from one.
 *
 * Permits are given to the first waiter as soon as there are enough for it.
 * Therefore the first waiter always needs more permits than are free.
 *
 * A permit that was given but never received must not be lost.  After a future
 * was served, it stays linked to its semaphore.  When it is freed and its
 * status was delivered to no user, the permits are given back.  A status is
 * also delivered if a composition of which the future is a member delivers its
 * own.  If the semaphore is freed first, all links are removed. */

#ifndef ALOOP_SYNC_SEMAPHORE_H
#define ALOOP_SYNC_SEMAPHORE_H

#include "aloop/sync.h"
#include "loop/wait_queue.h"

struct aloop_semaphore {
    struct aloop__wait_queue queue; /* Of struct aloop__permit. */
    /* The permits that are linked to the semaphore and not in the queue. */
    struct aloop__node linked;
    size_t free; /* Permits that are not in use. */
    /* The last permit that was served, while it is linked. */
    struct aloop__permit *last_given;
};

struct aloop_mutex {
    aloop_semaphore semaphore; /* With one permit. */
};

/* The future of an acquire.  Its node is in the queue, or in `linked` if
 * `semaphore` is set. */
struct aloop__permit {
    struct aloop__waiter waiter;
    aloop_semaphore *semaphore;
    size_t count;
    bool is_given; /* `semaphore` has given it `count` permits. */
    /* How often aloop_free() has asked it to end; see relock_cancel(). */
    unsigned asked;
};

static inline struct aloop__permit *aloop__permit_of(
    struct aloop__waiter *waiter)
{
    return CONTAINER_OF(waiter, struct aloop__permit, waiter);
}

/* Initialises a semaphore with `count` free permits. */
void aloop__semaphore_init(aloop_semaphore *semaphore, aloop *loop,
                           size_t count);
/* Makes the waiters fail with ALOOP_ECLOSED and removes all links. */
void aloop__semaphore_fini(aloop_semaphore *semaphore);
/* Returns a future of kind `ops` that waits for `count` permits, or NULL if out
 * of memory. */
aloop_future *aloop__semaphore_acquire(aloop_semaphore *semaphore, size_t count,
                                       const struct aloop__future_ops *ops);
/* Takes `count` permits.  Returns ALOOP_EAGAIN if there are not enough, or if
 * others wait. */
int aloop__semaphore_try(aloop_semaphore *semaphore, size_t count);
/* Adds `count` permits and serves the waiters. */
void aloop__semaphore_give(aloop_semaphore *semaphore, size_t count);
/* Serves the waiters in order, as far as the free permits allow. */
void aloop__semaphore_serve(aloop_semaphore *semaphore);

/* Links a permit that is not in the queue.  The link is removed when the permit
 * or the semaphore is freed. */
void aloop__permit_link(struct aloop__permit *permit,
                        aloop_semaphore *semaphore);
void aloop__permit_unlink(struct aloop__permit *permit);
/* ops->cancel and ops->fini of the futures of permits. */
void aloop__permit_cancel(aloop_future *future);
void aloop__permit_fini(aloop_future *future);

#endif
