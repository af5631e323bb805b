/* Awaiters: the items by which tasks, compositions and continuations wait for a
 * future to settle. */

#ifndef ALOOP_LOOP_AWAITER_H
#define ALOOP_LOOP_AWAITER_H

#include "aloop/future.h"
#include "loop/state.h"

struct aloop__awaiter {
    /* Among the future's waiters, and in the ready queue after the future has
     * settled. */
    struct aloop__ready ready;
    /* The future that waits by means of this awaiter.  NULL if no future waits.
     * NULL, too, for the members of a group, which all waits of the group wait
     * for; see aloop__group_next_wait(). */
    aloop_future *owner;
    /* The future that is waited for, or NULL.  The awaiter's user holds a
     * reference to it. */
    aloop_future *future;
};

static inline void aloop__awaiter_init(struct aloop__awaiter *awaiter,
                                       void (*run)(struct aloop__ready *ready),
                                       aloop_future *owner)
{
    list_init(&awaiter->ready.node);
    awaiter->ready.run = run;
    awaiter->owner = owner;
    awaiter->future = NULL;
}

static inline struct aloop__awaiter *aloop__awaiter_of(
    struct aloop__ready *ready)
{
    return CONTAINER_OF(ready, struct aloop__awaiter, ready);
}

/* Begins to wait for `future`: queues the awaiter as soon as the future has
 * settled, to run in the next turn.  The user's reference is counted in
 * future->waiting while the future is pending. */
void aloop__awaiter_add(struct aloop__awaiter *awaiter, aloop_future *future);
/* Stops waiting.  The user keeps its reference. */
void aloop__awaiter_remove(struct aloop__awaiter *awaiter);
/* Returns the status of the future, which has settled, and drops the user's
 * reference. */
ssize_t aloop__awaiter_take(struct aloop__awaiter *awaiter);

#endif
