/* Turns of the loop; see turn.c. */

#ifndef ALOOP_LOOP_TURN_H
#define ALOOP_LOOP_TURN_H

#include "loop/state.h"

/* Runs one turn, with a wait of at most max_wait_ns, or without a limit if that
 * is negative.  `is_lazy` allows the turn to skip the reactor for a short time
 * while there is other work.  Returns ALOOP_EPERM if the loop is foreign, or
 * the error of the wait. */
int aloop__turn(aloop *loop, int64_t max_wait_ns, bool is_lazy);

/* Begins the next turn if the rest of this one may be left out, and returns its
 * first item, which stays in the batch.  Otherwise returns NULL. */
NOINLINE struct aloop__ready *aloop__turn_next_of_next(aloop *loop,
                                                       unsigned turns);
enum { TURN_SKIPS_MAX = 32 }; /* See turn.c. */

/* Has the turn that runs look for events, because it has taken long. */
static inline void aloop__turn_look(aloop *loop)
{
    loop->skipped = TURN_SKIPS_MAX;
}

/* For a task that waits or ends in the batch of a turn: returns what the loop
 * would run next, which may be the first item of the next turn.  Returns NULL
 * if the loop has to find that out itself, or in a debug loop.  The item stays
 * in the batch.  `turns` is how much the rest of this turn counts if it is left
 * out, 0 or 1; see TURN_SKIPS_MAX. */
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
