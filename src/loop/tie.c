/* Compositions that there is no memory for.
 *
 * A composition may not return before its members have ended, and waiting
 * inside the call could deadlock.  So without memory one of the members stands
 * for it.  All are cancelled; those that still have not settled then are led by
 * one of them, which fails with ALOOP_ENOMEM when it and all that follow it
 * have ended.  Each brings its tie, so that this takes no memory at all.
 *
 * A member that has another owner is left to that owner.  What leads or follows
 * thus has no owner but the caller and its lead: a follower cannot wait for its
 * lead, and no circle can form.  The wait of a group may be common to several
 * owners, of whom each waits for it as if it were the only one: it leads only
 * where nothing else can, and follows only one lead. */

#include "loop/future.h"

static void follow(aloop_future *future, aloop_future *lead)
{
    assert(aloop__tie_of(future)->lead == NULL);
    aloop__tie_of(future)->lead = lead;
    aloop__tie_of(lead)->followers++;
    future->is_tied = true;
    aloop__future_tell(future);
}

static bool is_last_owners(const aloop_future *future)
{
    return aloop__future_pending(future) && aloop__future_is_ours(future) &&
           future->ops->tie != 0;
}

/* Takes the reference to `future`; returns the lead from then on. */
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
        aloop_future_unref(future);
    return lead;
}

/* Puts a common one before `rest`, which is chained as what a search finds. */
static aloop_future *put_off(aloop_future *future, aloop_future *rest)
{
    if (aloop__tie_of(future)->found != NULL) {
        aloop_future_unref(future); /* It was given twice. */
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
            aloop_cancel(futures[i]);
    for (size_t i = 0; i < count; i++) {
        aloop_future *future = futures[i];

        if (future == NULL || future->loop != loop || !is_last_owners(future))
            aloop_future_unref(future);
        else if (future->is_common)
            commons = put_off(future, commons);
        else
            lead = tie(future, lead);
    }
    return tie_all(commons, lead);
}
