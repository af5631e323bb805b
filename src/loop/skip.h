/* Turns of a busy loop that leave out their rest; see skip.c. */

#ifndef ALOOP_LOOP_SKIP_H
#define ALOOP_LOOP_SKIP_H

#include "loop/future.h"
#include "loop/live.h"
#include "loop/state.h"

enum { TURN_SKIPS_MAX = 32, CLOCK_SKIPS = 8 }; /* See skip.c. */

/* Has the turn that runs ask the reactor, because it has taken long.  This
 * holds for a turn that does not count, too. */
static inline void aloop__skip_end(aloop *loop)
{
    loop->skipped = TURN_SKIPS_MAX + 1;
}

/* Counts an attempt to leave out the call of the reactor, as `turns`.  Returns
 * false if this turn has to ask it. */
static inline bool aloop__skip_count(aloop *loop, unsigned turns)
{
    return !list_is_empty(&loop->ready) && !loop->is_stopping &&
           (loop->skipped += turns) <= TURN_SKIPS_MAX;
}

/* Returns whether a turn may leave it out without reading the clock.  There is
 * no deadline then. */
static inline bool aloop__skip_is_free(const aloop *loop, unsigned turns)
{
    return loop->is_brisk && !aloop__timers_can_pass(&loop->timers) &&
           (turns == 0 || loop->skipped % CLOCK_SKIPS != 0);
}

/* Reads the clock, and returns whether the reactor was asked a short time ago.
 * If not, this turn asks it. */
NOINLINE bool aloop__skip_by_clock(aloop *loop);

/* Returns whether this turn may leave out the call of the reactor. */
static inline bool aloop__skip_try(aloop *loop)
{
    return aloop__skip_count(loop, 1) &&
           (aloop__skip_is_free(loop, 1) || aloop__skip_by_clock(loop));
}

/* Returns whether the phases of this turn after its batch have nothing to do,
 * but for the wait. */
static inline bool aloop__turn_is_quiet(const aloop *loop)
{
    return list_is_empty(&loop->flushing) && list_is_empty(&loop->unreported) &&
           list_is_empty(&loop->closed) && list_is_empty(&loop->prepares) &&
           !aloop__has_posts(loop) &&
           (loop->awaited == NULL || aloop__future_is_pending(loop->awaited));
}

/* Begins the next turn if the rest of this one may be left out, and returns its
 * first item, which stays in the batch.  Otherwise returns NULL. */
NOINLINE struct aloop__ready *aloop__turn_next_of_next(aloop *loop,
                                                       unsigned turns);

/* For a task that waits or ends in the batch of a turn: returns what the loop
 * would run next, which may be the first item of the next turn.  Returns NULL
 * if the loop has to find that out itself, or in a debug loop.  The item stays
 * in the batch.  `turns` is how much the rest of this turn counts if it is left
 * out, 0 or 1. */
static inline struct aloop__ready *aloop__turn_next(aloop *loop, unsigned turns)
{
    if (loop->debug != NULL || aloop__is_foreign(loop))
        return NULL;
    if (list_is_empty(&loop->batch))
        return aloop__turn_next_of_next(loop, turns);
    return CONTAINER_OF(loop->batch.next, struct aloop__ready, node);
}

/* Returns whether the last turn that was counted began with this item.  Only
 * once for each such turn, so that at least every second turn is counted. */
static inline bool aloop__turn_was_counted(aloop *loop,
                                           const struct aloop__ready *ready)
{
    if (loop->counted != &ready->node)
        return false;
    loop->counted = NULL;
    return true;
}

#endif
