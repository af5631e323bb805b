/* Freeing memory that is kept for reuse; see trim.c. */

#ifndef ALOOP_LOOP_TRIM_H
#define ALOOP_LOOP_TRIM_H

#include <stdint.h>

#include "loop/buffers.h"
#include "loop/state.h"
#include "os/reactor.h"
#include "os/stack.h"

/* Returns when there may be memory to free, by the system's clock, or INT64_MAX
 * if there is none. */
int64_t aloop__trim_next(aloop *loop);

/* Returns whether a part of the loop keeps more than a small amount.  This is
 * called before each wait, and therefore is a few comparisons instead of a
 * column of the table. */
static inline bool aloop__trim_has_spare(const aloop *loop)
{
    return aloop__slab_has_spare(&loop->slab) ||
           aloop__timers_have_spare(&loop->timers) ||
           aloop__buffers_have_spare(loop) ||
           (loop->stacks != NULL && aloop__stacks_have_spare(loop->stacks));
}

/* The part of aloop__trim_wait() for a loop that keeps memory. */
int aloop__trim_wait_and_act(aloop *loop, int64_t timeout_ns,
                             struct aloop__event *events, int max);
/* Like aloop__reactor_wait().  Also frees memory when it is time for that,
 * before or during the wait. */
static inline int aloop__trim_wait(aloop *loop, int64_t timeout_ns,
                                   struct aloop__event *events, int max)
{
    if (loop->trim_ns != INT64_MAX || aloop__trim_has_spare(loop))
        return aloop__trim_wait_and_act(loop, timeout_ns, events, max);
    return aloop__reactor_wait(loop->reactor, timeout_ns, events, max);
}

#endif
