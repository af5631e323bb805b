/* Internal interface of futures, which operations, tasks and groups are built
 * from. */

#ifndef ALOOP_LOOP_FUTURE_H
#define ALOOP_LOOP_FUTURE_H

#include "aloop/future.h"
#include "loop/awaiter.h"
#include "loop/host.h"
#include "loop/state.h"

/* The properties of one kind of future.  There is one const table per kind. */
struct aloop__future_ops {
    const char *name; /* "connect"; for reports. */
    size_t size;      /* Of the whole object; the future is its first member. */
    /* Offset of the object's struct aloop__tie, or 0.  A kind without a tie
     * settles inside `cancel`, and no future that it waits for can wait for a
     * task. */
    size_t tie;
    /* Offset of the object's struct aloop__awaiter, for kinds that wait for at
     * most one future at a time; otherwise 0. */
    size_t awaiter;
    /* Called when the future is cancelled: settles it, now or later.  It is not
     * called again, except after aloop__future_ask_again().  If it cancels
     * other futures, their `cancel` is called only after it has returned; see
     * aloop_cancel(). */
    void (*cancel)(aloop_future *future);
    /* Called before a task begins to wait for a pending future: may do now what
     * the turn would do at its end.  Returns the status of the future, which it
     * has settled, and for which it has dropped the reference of the task.  Or
     * returns ALOOP_PENDING if the future waits or a failure has settled it.
     * It runs on the stack of the task.  NULL for most kinds. */
    ssize_t (*hurry)(aloop_future *future);
    /* See aloop__future_next().  For kinds with several awaiters; NULL for
     * others. */
    aloop_future *(*next)(aloop_future *future, const void **cursor);
    /* Frees the resources of the object; may be NULL. */
    void (*fini)(aloop_future *future);
    /* Does the same and returns the object to the slab, for a leaf that is
     * created often: its size is a constant there.  NULL for most kinds.  Not
     * called in debug loops. */
    void (*release)(aloop_future *future);
    /* Returns the name for reports, in place of `name`; may be NULL. */
    const char *(*describe)(const aloop_future *future);
    bool is_live;    /* A pending one keeps the loop alive. */
    bool is_promise; /* The application settles it. */
    bool is_task;
    bool is_leaf; /* Its fini drops no other future. */
};

/* Every future that waits for other futures contains a tie.  It lets two things
 * work without an allocation: the search for cycles (cycle.c), and a
 * composition that is out of memory (tie.c). */
struct aloop__tie {
    /* The next future that the search has found; the last one points to itself.
     * NULL if this future was not found, and between searches. */
    aloop_future *found;
    /* The future that this one follows, or NULL.  The lead settles only after
     * this one. */
    aloop_future *lead;
    uint32_t followers; /* Number of futures that follow this one. */
    bool is_above;      /* Found in the search upwards from the task. */
    /* It stands for a composition: it fails with ALOOP_ENOMEM after all its
     * followers, if there are any, have settled. */
    bool is_lead;
    /* It has ended and stays pending only for its followers. */
    bool has_ended;
};

/* A continuation; then.c adds and removes it, and future.c calls it. */
struct aloop__then {
    struct aloop__awaiter awaiter; /* Holds an observer's reference. */
    struct aloop__then *next;      /* In future->thens. */
    aloop_future_cb callback;
    void *arg;
};

/* ready->run of all continuations. */
void aloop__then_run(struct aloop__ready *ready);

/* Returns whether the awaiter is a continuation's.  Continuations never cancel
 * the future. */
static inline bool aloop__is_then(const struct aloop__awaiter *awaiter)
{
    return awaiter->ready.run == aloop__then_run;
}

/* Each reference belongs to an owner or to an observer.  Both keep the memory.
 * Owners decide when a pending future ends: dropping the last owner's reference
 * cancels the future, even if it has observers.  A future also keeps running if
 * its only owner has become an observer. */
struct aloop_future {
    /* List node; see state.h.  Before the future settles it is in loop->pending
     * or loop->exempt; a cancel moves it to loop->asked and then to
     * loop->cancelled.  Afterwards it is in loop->kept, in the grants of a
     * composition, in loop->unreported or loop->doomed, or in no list. */
    struct aloop__node node;
    union {
        /* While the future is pending: its waiters, of type struct
         * aloop__awaiter, in the order of arrival. */
        struct aloop__node waiters;
        /* After it has settled: the continuations that are still to be called,
         * as a chain in the order of the calls. */
        struct {
            struct aloop__then *first;
            struct aloop__then *last;
        } thens;
    };
    aloop *loop; /* NULL in the constants that misuse returns. */
    const struct aloop__future_ops *ops;
    ssize_t status; /* ALOOP_PENDING until it settles. */
    /* Number of references of the application and of waiters.  The operation
     * itself holds none. */
    uint32_t refs;
    uint32_t observers; /* How many references are observers'. */
    uint32_t waiting;   /* How many references only wait, of either sort. */
    bool is_cancelling; /* ops->cancel was called. */
    /* The application or a waiter has read the status or will read it, so that
     * an error needs no report. */
    bool is_handled;
    bool is_detached : 1; /* Dropping the last reference does not cancel. */
    /* It is a task of a group.  A group cancels its members only on request. */
    bool is_in_group : 1;
    /* Its success gives the application something, such as a permit, that is
     * given back unless the status is taken.  A composition of such futures has
     * a grant, too. */
    bool is_grant : 1;
    bool is_granted : 1;  /* In the list of a composition's grants. */
    bool is_taken : 1;    /* The application has received its status. */
    bool is_included : 1; /* A composition or group has received its status. */
    /* Several callers received this future instead of one each, because there
     * was no memory for more.  Each may end it as if it were the only owner. */
    bool is_common : 1;
    /* aloop_current_task() has returned it without a reference. */
    bool is_lent : 1;
    bool is_asked : 1;  /* In loop->asked. */
    bool is_exempt : 1; /* In loop->exempt. */
    bool is_tied : 1;   /* Leads or follows others by its tie. */
};

/* Returns a pending future of ops->size bytes with one reference; all other
 * members of the object are zero.  Returns NULL if out of memory. */
void *aloop__future_new(aloop *loop, const struct aloop__future_ops *ops);

/* Like aloop__future_new(), but the other members of the object have no value
 * yet.  For small objects that are created often. */
void *aloop__future_new_bare(aloop *loop, const struct aloop__future_ops *ops);

/* Does the same inline, for a constant `ops` and the operations that are
 * created most often.  Returns NULL if the slab has no free object. */
static inline void *aloop__future_new_free(aloop *loop,
                                           const struct aloop__future_ops *ops)
{
    aloop_future *future = aloop__slab_take_free(&loop->slab, ops->size);

    if (future == NULL)
        return NULL;
    *future = (aloop_future){.loop = loop,
                             .ops = ops,
                             .status = ALOOP_PENDING,
                             .refs = 1};
    list_init(&future->waiters);
    list_push_new(&loop->pending, &future->node);
    loop->live += ops->is_live;
    return future;
}
/* The same, but NULL means that it is out of memory. */
static inline void *aloop__future_new_inline(
    aloop *loop, const struct aloop__future_ops *ops)
{
    void *future = aloop__future_new_free(loop, ops);

    return future != NULL ? future : aloop__future_new_bare(loop, ops);
}

/* Like aloop__future_new(), in memory that the caller took from the slab. */
void *aloop__future_new_in(aloop *loop, const struct aloop__future_ops *ops,
                           void *memory);

/* Settles the future and moves its waiters to the ready queue.  Frees the
 * future if it has no references. */
void aloop__future_settle(aloop_future *future, ssize_t status);

/* Drops a new future because the caller is out of memory.  Returns NULL. */
void *aloop__future_drop_new(aloop_future *future);

/* Returns a settled future, or NULL if out of memory. */
aloop_future *aloop__future_new_settled(aloop *loop, ssize_t status);
/* Returns a constant that has failed with the error of a check: ALOOP_EPERM, or
 * ALOOP_EINVAL for any other error. */
aloop_future *aloop__future_refused(int error);
/* Returns a future that has failed with `error`.  Without a loop it is a
 * constant that has failed with ALOOP_EINVAL.  If out of memory it is NULL,
 * which all functions treat as a future that has failed with ALOOP_ENOMEM. */
aloop_future *aloop__future_failed(aloop *loop, int error);

static inline bool aloop__future_is_pending(const aloop_future *future)
{
    return future->status == ALOOP_PENDING;
}

static inline struct aloop__tie *aloop__tie_of(aloop_future *future)
{
    return (struct aloop__tie *) (void *) ((char *) future + future->ops->tie);
}

/* Settles a promise to which only waiters refer, because no code can settle it
 * any more. */
static inline void aloop__promise_check(aloop_future *future)
{
    if (aloop__future_is_pending(future) && future->ops->is_promise &&
        future->refs == future->waiting)
        aloop__future_settle(future, ALOOP_EDEADLK);
}

/* Does the same as aloop__awaiter_add().  A waiter will read the status, so
 * that an error counts as handled from now on.  If only waiters refer to a
 * promise, no code can settle it: it fails here, and the awaiter is queued. */
static inline void aloop__awaiter_add_inline(struct aloop__awaiter *awaiter,
                                             aloop_future *future)
{
    awaiter->future = future;
    future->is_handled = true;
    if (!aloop__future_is_pending(future)) {
        aloop__ready_push(future->loop, &awaiter->ready);
        return;
    }
    list_push(&future->waiters, &awaiter->ready.node);
    future->waiting++;
    aloop__promise_check(future);
}

/* Returns whether the caller, who has an owner's reference, may end the future
 * without regard to other owners. */
static inline bool aloop__future_is_ours(const aloop_future *future)
{
    return (future->refs - future->observers == 1 || future->is_common) &&
           !future->is_detached;
}

/* Like aloop__future_next(), for kinds without `awaiter`. */
aloop_future *aloop__future_next_of_many(aloop_future *future,
                                         const void **cursor);
/* Returns, one per call, the futures that `future` waits for, and then NULL.
 * *cursor is NULL in the first call and belongs to the kind afterwards. */
static inline aloop_future *aloop__future_next(aloop_future *future,
                                               const void **cursor)
{
    const struct aloop__awaiter *awaiter =
        (const void *) ((const char *) future + future->ops->awaiter);

    if (future->ops->awaiter == 0)
        return aloop__future_next_of_many(future, cursor);
    if (*cursor != NULL)
        return NULL;
    *cursor = awaiter;
    return awaiter->future;
}

/* Turns an owner's reference into an observer's. */
void aloop__future_observe(aloop_future *future);
/* Drops an observer's reference.  If it is the last reference to a pending
 * future that is not detached, cancels the future. */
void aloop__future_unobserve(aloop_future *future);

/* Add a continuation to the chain of a settled future, and take it out. */
void aloop__then_chain(aloop_future *future, struct aloop__then *then);
void aloop__then_unchain(aloop_future *future, struct aloop__then *then);
/* then.c: removes all continuations of the future, which may be freed by
 * that. */
void aloop__thens_drop(aloop_future *future);

/* aloop_future_unref() and aloop_cancel() without their checks. */
void aloop__future_unref(aloop_future *future);
/* Like aloop__future_unref().  Does nothing if `future` is NULL or has no
 * loop. */
void aloop__future_drop(aloop_future *future);
void aloop__future_cancel(aloop_future *future);
/* aloop_future_unref() and aloop_cancel() for use inside the library.  They do
 * not call an on_cancel of the application, which might change what their
 * caller is working on.  The next turn does. */
void aloop__future_unref_checked(aloop_future *future);
int aloop__future_cancel_checked(aloop_future *future);
/* Frees a settled future without references. */
void aloop__future_free(aloop_future *future);
/* Returns the status of a settled future to a waiter, and drops the waiter's
 * reference.  The waiter is the reader of the status, so that no report is
 * needed, even if the last reference is dropped here. */
static inline ssize_t aloop__future_take(aloop_future *future)
{
    ssize_t status = future->status;

    if (future->loop == NULL)
        return status;
    future->is_handled = true;
    future->is_taken = true;
    if (--future->refs == 0)
        aloop__future_free(future);
    return status;
}
/* Settles a future and takes the status for a caller that has a reference.
 * `ops` is a constant, without a tie and a fini.  If the caller has the only
 * reference, there are no waiters to queue. */
static inline ssize_t aloop__future_settle_and_take(
    aloop_future *future, const struct aloop__future_ops *ops, ssize_t status)
{
    aloop *loop = future->loop;

    if (future->refs != 1 || loop->debug != NULL) {
        aloop__future_settle(future, status);
        return aloop__future_take(future);
    }
    list_remove(&future->node);
    loop->live -= ops->is_live;
    aloop__slab_put_inline(&loop->slab, future, ops->size);
    return status;
}

/* tie.c: for a composition that is out of memory.  Takes over the references
 * and cancels the futures.  Returns one of them, which fails with ALOOP_ENOMEM
 * once all those without another owner have ended.  Returns NULL if they have
 * ended already. */
aloop_future *aloop__futures_tie(aloop *loop, size_t count,
                                 aloop_future **futures);

/* Notes that the status has become part of another future's status, so that an
 * error needs no report of its own. */
static inline void aloop__future_include(aloop_future *future)
{
    future->is_handled = true;
    future->is_included = true;
}

/* For compositions.  A composition keeps its members that settled with a grant
 * in a list, until it is known whether its own status was taken.
 *
 * aloop__grants_keep() takes over the reference to a member whose status the
 * composition has seen.  It keeps the reference only if the member has a grant.
 * aloop__grants_drop() drops these references; `is_taken` is whether the
 * application has taken the grants. */
void aloop__grants_keep(struct aloop__node *grants, aloop_future *member);
void aloop__grants_drop(struct aloop__node *grants, bool is_taken);

/* Cancels all pending futures that were not cancelled before.  A future that a
 * task or composition waits for is left to that waiter, because a task may be
 * shielded, unless `is_forced`. */
void aloop__futures_cancel_all(aloop *loop, bool is_forced);
/* For ops->cancel: the next cancel calls it again. */
void aloop__future_ask_again(aloop_future *future);
/* Moves an exempt future back to loop->pending, because a waiter has left
 * it. */
void aloop__future_look_again(aloop_future *future);
/* Returns whether any future has not settled. */
static inline bool aloop__futures_are_pending(const aloop *loop)
{
    return !list_is_empty(&loop->pending) || !list_is_empty(&loop->cancelled) ||
           !list_is_empty(&loop->exempt);
}

/* For ops->describe of kinds that have items: returns the name of the kind with
 * the number of the item that has failed, or the name alone if `item` is
 * `count`.  It is valid until the next call. */
const char *aloop__future_item_name(const aloop_future *future, size_t item,
                                    size_t count);
/* Returns the future's name for reports.  It is valid until the next call. */
static inline const char *aloop__future_name(const aloop_future *future)
{
    return future->ops->describe != NULL ? future->ops->describe(future)
                                         : future->ops->name;
}
/* Frees loop->hit, unless it is in use. */
void aloop__future_free_hit(aloop *loop);
/* Frees the resources of pending and unreported futures at the loop's end.
 * Their memory is freed with the slab. */
void aloop__futures_fini(aloop *loop);

/* aloop_then() for a future without a loop; see then_failed.c. */
int aloop__then_failed(aloop_future *future, aloop_future_cb callback,
                       void *arg);

#endif
