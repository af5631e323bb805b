/* Futures from the inside: what operations, tasks and groups are made of. */

#ifndef ALOOP_LOOP_FUTURE_H
#define ALOOP_LOOP_FUTURE_H

#include "aloop/future.h"
#include "loop/state.h"

/* What differs between kinds of future.  One const table per kind. */
struct aloop__future_ops {
    const char *name; /* "connect"; for reports. */
    size_t size;      /* Of the whole object, whose first member it is. */
    size_t tie;       /* Offset of the object's struct aloop__tie.  0: it has
                       * none, waits for no other future, and settles inside
                       * `cancel`. */
    /* Asked once to end early: settles now, or later.  What it cancels itself
     * is asked only after it has returned, see aloop_cancel(). */
    void (*cancel)(aloop_future *future);
    /* One after the other, the futures that a pending one waits for; NULL at
     * the end.  *cursor is NULL at first, and then belongs to the kind. */
    aloop_future *(*next)(aloop_future *future, const void **cursor);
    /* Frees what the object owns; may be NULL. */
    void (*fini)(aloop_future *future);
    /* Its name in a report instead of `name`; may be NULL. */
    const char *(*describe)(const aloop_future *future);
    bool is_live;    /* Keeps the loop going while it is pending. */
    bool is_promise; /* Settled by whoever else holds it. */
    bool is_task;
};

/* Something that waits for a future. */
struct aloop__wait {
    struct aloop__ready ready; /* Among the future's waiters, then queued. */
    /* One after the other, the futures that wait by this: the one that follows
     * `last`, the first for NULL; NULL at the end.  The function itself is
     * NULL when it is no future that waits. */
    aloop_future *(*owner)(const struct aloop__wait *wait,
                           aloop_future *last);
};

/* What a kind that waits for other futures brings along, so that neither takes
 * memory: for a search among them, cycle.c, and for a composition that there is
 * no memory for, tie.c. */
struct aloop__tie {
    aloop_future *found; /* The next that was found, or itself at the end;
                          * NULL: not found, which it is between searches. */
    aloop_future *lead;  /* It settles only after this one; or NULL. */
    uint32_t followers;  /* How many others are led by this one. */
    bool is_above;       /* Found among those that wait for the task. */
    bool is_lead;        /* Of itself and any followers. */
    bool has_ended;      /* Is pending for its followers alone. */
};

/* A continuation; then.c. */
struct aloop__then {
    struct aloop__wait wait;
    struct aloop__then *next; /* In future->thens. */
    aloop_future *future;     /* Holds an observer's reference. */
    aloop_future_cb callback;
    void *arg;
};

/* The owner that waits of continuations have: no future waits by them. */
aloop_future *aloop__then_owner(const struct aloop__wait *wait,
                                aloop_future *last);

/* Whether a waiter is a continuation, which cancels nothing. */
static inline bool aloop__is_then(const struct aloop__wait *wait)
{
    return wait->owner == aloop__then_owner;
}

/* A reference is an owner's or an observer's.  Both keep the memory.  Owners
 * decide when a pending future is to end: dropping the last owner's reference
 * cancels it, however many observe it.  One that observers alone refer to,
 * because the only owner has become one, goes on. */
struct aloop_future {
    struct aloop__node pending; /* Until it settles: in loop->pending or
                                 * loop->spared; once it was cancelled in
                                 * loop->cancelled, by way of loop->asked.
                                 * Afterwards: in loop->kept, or in the grants
                                 * of a composition. */
    union {
        struct aloop__node waiters; /* While it is pending: of struct
                                     * aloop__wait, in order. */
        struct {                    /* Afterwards: the continuations that are */
            struct aloop__then *first; /* still to be called, in a chain. */
            struct aloop__then *last;
        } thens;
    };
    aloop *loop;                /* NULL: a constant that misuse gives. */
    const struct aloop__future_ops *ops;
    ssize_t status;    /* ALOOP_PENDING until it settles. */
    uint32_t refs;      /* The users' and waiters'; not the operation's. */
    uint32_t observers; /* How many of them only observe. */
    uint32_t waiting;   /* How many of them, of either sort, only wait. */
    bool cancelling;   /* ops->cancel was called. */
    bool seen;         /* Somebody looked at the status, or will. */
    bool detached : 1;  /* Dropping the last reference does not cancel. */
    bool is_member : 1; /* Of a group, which leaves it alone unless told. */
    bool is_grant : 1;  /* Its success gives something that goes back unless
                         * it is taken: a permit, or a composition of such. */
    bool is_granted : 1; /* It is in the list of a composition's grants. */
    bool is_taken : 1;  /* Its status was given to a user. */
    bool is_told : 1;   /* Its status was given to a composition or group. */
    bool is_common : 1; /* Several were given it instead of one each: each may
                         * end it as if it were the only owner. */
    bool is_lent : 1;   /* The application knows it without a reference. */
    bool is_asked : 1;  /* It is in loop->asked. */
    bool is_spared : 1; /* It is in loop->spared. */
    bool is_tied : 1;   /* It leads or follows others by its tie. */
};

/* A pending one with one reference, the rest zeroed; NULL without memory. */
void *aloop__future_new(aloop *loop, const struct aloop__future_ops *ops);

/* The same in memory that the caller got from the slab. */
void *aloop__future_new_in(aloop *loop, const struct aloop__future_ops *ops,
                           void *memory);

/* Settles it: waiters go to the ready queue.  Frees it if nobody holds it. */
void aloop__future_settle(aloop_future *future, ssize_t status);

/* Takes a new one back for want of memory; returns NULL. */
void *aloop__future_discard(aloop_future *future);

/* A future that has settled; NULL without memory. */
aloop_future *aloop__future_new_settled(aloop *loop, ssize_t status);
/* A future that has ended with the error that a check gave. */
aloop_future *aloop__future_refused(int error);
/* A future that has failed; without a loop, or memory, still one. */
aloop_future *aloop__future_failed(aloop *loop, int error);

static inline bool aloop__future_pending(const aloop_future *future)
{
    return future->status == ALOOP_PENDING;
}

static inline struct aloop__tie *aloop__tie_of(aloop_future *future)
{
    return (struct aloop__tie *) (void *) ((char *) future +
                                           future->ops->tie);
}

/* Runs `wait` in the next turn after `future` has settled.  The waiter's
 * reference, which it keeps, is counted as waiting. */
void aloop__future_wait(aloop_future *future, struct aloop__wait *wait);
/* Takes that back; the waiter still has its reference. */
void aloop__future_unwait(aloop_future *future, struct aloop__wait *wait);

/* Whether the caller, who has an owner's reference, is the only owner: then
 * ending the future concerns no one else. */
static inline bool aloop__future_is_ours(const aloop_future *future)
{
    return (future->refs - future->observers == 1 || future->is_common) &&
           !future->detached;
}

/* Makes an owner's reference an observer's. */
void aloop__future_observe(aloop_future *future);
/* Drops an observer's reference.  The last one of all cancels. */
void aloop__future_unobserve(aloop_future *future);

/* Adds a continuation to those of a future that has settled. */
void aloop__then_chain(aloop_future *future, struct aloop__then *then);
/* then.c: takes all its continuations back; it may be gone after that. */
void aloop__thens_drop(aloop_future *future);

/* As aloop_future_unref() and aloop_cancel(), without their checks. */
void aloop__future_unref(aloop_future *future);
/* The same, for one that may be NULL or belong to no loop. */
void aloop__future_drop(aloop_future *future);
void aloop__future_cancel(aloop_future *future);
/* What a waiter takes from a settled future, reference included. */
ssize_t aloop__future_take(aloop_future *future);

/* tie.c: for a composition that there is no memory for.  Takes the references
 * over, cancels the futures, and returns one that fails with ALOOP_ENOMEM once
 * all of them have ended that have no other owner; NULL when they have. */
aloop_future *aloop__futures_tie(aloop *loop, size_t count,
                                 aloop_future **futures);

/* Its status has become part of another one's: its error is no news. */
static inline void aloop__future_tell(aloop_future *future)
{
    future->seen = true;
    future->is_told = true;
}

/* For compositions, which have the members that settled with a grant in a list
 * until they know whether their own status was taken.  The first takes the
 * reference over of a member whose status the composition has seen, and keeps
 * it only if it is one with a grant. */
void aloop__grants_keep(struct aloop__node *grants, aloop_future *member);
void aloop__grants_drop(struct aloop__node *grants, bool is_taken);

/* Cancels everything that is pending and was not asked yet.  What a task or a
 * group waits for is left to them, for a task may be shielded, unless that
 * `is_forced`. */
void aloop__futures_cancel_all(aloop *loop, bool is_forced);
/* For ops->cancel: forgets that it was called, so that it will be again. */
void aloop__future_ask_again(aloop_future *future);
/* What waited for one that was spared has stopped to. */
void aloop__future_look_again(aloop_future *future);
/* Whether any has not settled. */
static inline bool aloop__futures_pending(const aloop *loop)
{
    return !list_empty(&loop->pending) || !list_empty(&loop->cancelled) ||
           !list_empty(&loop->spared);
}

/* What a report calls it; valid until the next call. */
const char *aloop__future_name(const aloop_future *future);
/* Frees a settled one that nobody holds. */
void aloop__future_free(aloop_future *future);
/* Frees what pending futures own, for the loop's end. */
void aloop__futures_abandon(aloop *loop);

/* aloop_then() for a future without a loop (then_failed.c). */
int aloop__then_failed(aloop_future *future, aloop_future_cb callback,
                       void *arg);


#endif
