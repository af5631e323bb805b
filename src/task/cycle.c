/* Detects an await that would make a task wait for itself.
 *
 * Futures that wait for others form a graph: a task waits for the future that
 * it awaits, and a composition waits for its members.  A task must not await a
 * future that waits, directly or through others, for that task.  The search
 * goes down from the future and up from the task, alternately and one edge at a
 * time.  It ends as soon as either side has been visited completely, so that it
 * costs at most twice the smaller side.  A chain is therefore built in linear
 * time from either end.  There is no search if no future waits for the task, or
 * if the task awaits an operation.
 *
 * The visited futures are linked through their ties, so that the search
 * allocates no memory. */

#include "task/cycle.h"

/* The result of one step of a side. */
enum progress { CONTINUES, IS_EXHAUSTED, HAS_MET };

/* One side of the search, which visits futures breadth first. */
struct side {
    aloop_future *first; /* The visited futures, in order. */
    aloop_future *last;
    aloop_future *at;   /* The one whose edges are being followed. */
    const void *cursor; /* The position among these edges. */
    /* Upper side: the last owner of the awaiter at `cursor` that was
     * reached. */
    aloop_future *owner;
    bool is_above;
    bool has_led; /* Upper side: the lead of `at` was followed. */
    bool is_done;
    /* Lower side: a visited future has followers.  They are not listed, so that
     * this side is never visited completely. */
    bool is_open;
};

/* Appends a future to the visited ones of this side.  Its tie then shows to
 * both sides that it was found, and by which of them.  Between searches `found`
 * is NULL in every tie. */
static void add_visited(struct side *side, aloop_future *future)
{
    struct aloop__tie *tie = aloop__tie_of(future);

    tie->found = future;
    tie->is_above = side->is_above;
    if (side->last != NULL)
        aloop__tie_of(side->last)->found = future;
    else
        side->first = side->at = future;
    side->last = future;
}

/* Follows an edge that leads to `future`. */
static enum progress reach(struct side *side, aloop_future *future)
{
    struct aloop__tie *tie;

    if (!aloop__future_is_pending(future) || future->ops->tie == 0)
        return CONTINUES; /* It waits for no future. */
    tie = aloop__tie_of(future);
    if (tie->found == NULL)
        add_visited(side, future);
    return tie->is_above == side->is_above ? CONTINUES : HAS_MET;
}

/* Continues with the next visited future, after all edges of the present
 * one. */
static enum progress next_visited(struct side *side)
{
    if (side->at == side->last)
        return IS_EXHAUSTED;
    side->at = aloop__tie_of(side->at)->found;
    side->cursor = NULL;
    side->has_led = false;
    return CONTINUES;
}

/* Follows one edge from a future to one that it waits for. */
static enum progress step_down(struct side *side)
{
    aloop_future *future = aloop__future_next(side->at, &side->cursor);

    if (aloop__tie_of(side->at)->followers > 0)
        side->is_open = true;
    return future == NULL ? next_visited(side) : reach(side, future);
}

/* The last edge upwards: the lead of a future waits for it (tie.c). */
static enum progress follow_lead(struct side *side)
{
    aloop_future *lead = aloop__tie_of(side->at)->lead;

    if (side->has_led || lead == NULL)
        return next_visited(side);
    side->has_led = true;
    return reach(side, lead);
}

/* Returns, one per call, the futures that wait by means of this awaiter, like
 * aloop__group_next_wait(). */
static aloop_future *next_owner(const struct aloop__awaiter *awaiter,
                                aloop_future *last)
{
    if (awaiter->owner == NULL)
        return aloop__group_next_wait(awaiter, last);
    return last == NULL ? awaiter->owner : NULL;
}

/* Follows one edge from a future to one that waits for it.  A waiter that
 * stands for several futures, the waits of a group, is one edge for each of
 * them.  Continuations and awaits outside of a task have no owner and lead
 * nowhere. */
static enum progress step_up(struct side *side)
{
    const struct aloop__node *end = &side->at->waiters;
    const struct aloop__node *node = side->cursor == NULL ? end->next
                                                          : side->cursor;
    const struct aloop__awaiter *awaiter;

    if (node == end) {
        side->cursor = end;
        return follow_lead(side);
    }
    awaiter = CONTAINER_OF(node, const struct aloop__awaiter, ready.node);
    side->owner = next_owner(awaiter, side->owner);
    side->cursor = side->owner == NULL ? node->next : node;
    return side->owner == NULL ? CONTINUES : reach(side, side->owner);
}

/* Makes the ties ready for the next search. */
static void clear_visited(struct side *side)
{
    aloop_future *future = side->first;
    bool is_last;

    do {
        struct aloop__tie *tie = aloop__tie_of(future);

        is_last = future == side->last;
        future = tie->found;
        tie->found = NULL;
    } while (!is_last);
}

/* This is true, for example, of a task that has not begun: no edge leads down
 * from it. */
static bool waits_for_nothing(aloop_future *future)
{
    const void *cursor = NULL;

    return aloop__tie_of(future)->followers == 0 &&
           aloop__future_next(future, &cursor) == NULL;
}

/* This is true, for example, of a task that only an await outside of any task
 * waits for. */
static bool is_awaited_by_nothing(const struct aloop__task *task)
{
    const struct aloop__node *waiters = &task->future.waiters;
    const struct aloop__node *first = waiters->next;

    if (task->tie.lead != NULL || first->next != waiters)
        return false;
    return first == waiters ||
           next_owner(
               CONTAINER_OF(first, const struct aloop__awaiter, ready.node),
               NULL) == NULL;
}

/* Returns whether there is a path from `future` to the task.  Both sides are
 * visited alternately until they meet or one of them is exhausted.  A lower
 * side that is open cannot prove by its exhaustion that there is no cycle.  The
 * search then continues on the upper side alone, whose edges are all known. */
NOINLINE static bool search(aloop_future *future, struct aloop__task *task)
{
    struct side below = {.is_above = false}, above = {.is_above = true};
    enum progress progress;

    add_visited(&below, future);
    add_visited(&above, &task->future);
    do {
        progress = below.is_done ? CONTINUES : step_down(&below);
        if (progress == IS_EXHAUSTED && below.is_open) {
            below.is_done = true;
            progress = CONTINUES;
        }
        if (progress == CONTINUES)
            progress = step_up(&above);
    } while (progress == CONTINUES);
    clear_visited(&below);
    clear_visited(&above);
    return progress == HAS_MET;
}

/* The usual cases need no search: the task awaits a future that waits for
 * nothing, or no future waits for the task. */
bool aloop__cycle_search(aloop_future *future, struct aloop__task *task)
{
    if (future == &task->future)
        return true;
    if (is_awaited_by_nothing(task) || waits_for_nothing(future))
        return false;
    return search(future, task);
}
