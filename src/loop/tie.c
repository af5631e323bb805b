/* Compositions that are out of memory.
 *
 * A composition must not end before its members have ended, and waiting inside
 * the call could deadlock.  Therefore, if out of memory, one of the members
 * takes the place of the composition.  All members are cancelled.  Those that
 * have not settled by then follow one of them, their lead, which fails with
 * ALOOP_ENOMEM when it and all its followers have ended.  Each of them contains
 * a tie, so this needs no memory.
 *
 * A member that has another owner is left to that owner.  Therefore leads and
 * followers are owned only by the caller and by their lead: a follower cannot
 * wait for its lead, and no cycle can form.  The wait of a group is an
 * exception, because it may be common to several owners, each of which treats
 * it as its own.  It leads only if no other member can, and follows only one
 * lead. */

#include "loop/future.h"

static void follow(aloop_future *future, aloop_future *lead)
{
    assert(aloop__tie_of(future)->lead == NULL);
    aloop__tie_of(future)->lead = lead;
    aloop__tie_of(lead)->followers++;
    future->is_tied = true;
    aloop__future_include(future);
}

/* Returns whether the caller's reference is that of the only owner of a pending
 * future. */
static bool is_last_owners(const aloop_future *future)
{
    return aloop__future_is_pending(future) && aloop__future_is_ours(future) &&
           future->ops->tie != 0;
}

/* Takes over the reference to `future`.  Returns the lead after that. */
static aloop_future *tie(aloop_future *future, aloop_future *lead)
{
    if (lead == NULL) {
        aloop__tie_of(future)->is_lead = true;
        future->is_tied = true;
        return future;
    }
    if (aloop__tie_of(future)->lead == NULL)
        follow(future, lead);
    else
        aloop__future_unref_checked(future);
    return lead;
}

/* Adds a common future to the front of `rest`, a list that is chained by
 * `found`.  Returns the new front. */
static aloop_future *add_common(aloop_future *future, aloop_future *rest)
{
    if (aloop__tie_of(future)->found != NULL) {
        aloop__future_unref_checked(future); /* It is a duplicate. */
        return rest;
    }
    aloop__tie_of(future)->found = rest != NULL ? rest : future;
    return future;
}

static aloop_future *tie_all(aloop_future *commons, aloop_future *lead)
{
    while (commons != NULL) {
        aloop_future *future = commons;
        aloop_future *next = aloop__tie_of(future)->found;

        commons = next == future ? NULL : next;
        aloop__tie_of(future)->found = NULL;
        lead = tie(future, lead);
    }
    return lead;
}

aloop_future *aloop__futures_tie(aloop *loop, size_t count,
                                 aloop_future **futures)
{
    aloop_future *lead = NULL, *commons = NULL;

    for (size_t i = 0; i < count; i++)
        if (futures[i] != NULL && futures[i]->loop == loop)
            aloop__future_cancel_checked(futures[i]);
    for (size_t i = 0; i < count; i++) {
        aloop_future *future = futures[i];

        if (future == NULL || future->loop != loop || !is_last_owners(future))
            aloop__future_unref_checked(future);
        else if (future->is_common)
            commons = add_common(future, commons);
        else
            lead = tie(future, lead);
    }
    return tie_all(commons, lead);
}
