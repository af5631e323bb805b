/* Turns of a busy loop that leave out their rest.
 *
 * If no phase of a turn after its batch has anything to do but to ask the
 * reactor, the next turn begins right after the batch.  TURN_SKIPS_MAX and
 * skip_ns limit for how long.  Each call of the reactor is a system call, and
 * would take most of the time of a turn with a few short callbacks.  Reading
 * the clock would take half of what is left then.  Therefore only each eighth
 * of these turns reads it while the time between two readings is below
 * brisk_ns, and no deadline is queued.  With deadlines each turn reads it, so
 * that none is late by several turns. */

#include "loop/skip.h"

#include <errno.h>

#include "loop/clock.h"
#include "loop/timed.h"

static const int64_t skip_ns = 20000, brisk_ns = 4000;

/* A task may be running, whose errno the clock of the application may change.
 * The clock does not go back, and the differences always fit an unsigned
 * type. */
bool aloop__skip_by_clock(aloop *loop)
{
    int64_t before_ns = loop->floor_ns;
    int error = errno;
    int64_t now_ns = aloop__now(loop);

    errno = error;
    loop->is_brisk = (uint64_t) now_ns - (uint64_t) before_ns <
                     (uint64_t) brisk_ns;
    if ((uint64_t) now_ns - (uint64_t) loop->waited_ns < (uint64_t) skip_ns)
        return true;
    aloop__skip_end(loop);
    return false;
}

/* The batch is empty. */
static inline struct aloop__ready *begin_next_turn(aloop *loop, unsigned turns)
{
    list_append(&loop->batch, &loop->ready);
    if (turns > 0)
        loop->counted = loop->batch.next;
    return CONTAINER_OF(loop->batch.next, struct aloop__ready, node);
}

/* Timers that are due come before the next batch, and are not fired on the
 * stack of a task. */
NOINLINE static struct aloop__ready *next_by_clock(aloop *loop, unsigned turns)
{
    if (!aloop__skip_by_clock(loop) ||
        aloop__timers_next(&loop->timers) <= loop->floor_ns)
        return NULL;
    return begin_next_turn(loop, turns);
}

/* The usual path has no call, so that it saves no registers. */
struct aloop__ready *aloop__turn_next_of_next(aloop *loop, unsigned turns)
{
    if (!loop->is_lazy || !aloop__turn_is_quiet(loop) ||
        !aloop__skip_count(loop, turns))
        return NULL;
    if (!aloop__skip_is_free(loop, turns))
        return next_by_clock(loop, turns);
    return begin_next_turn(loop, turns);
}
