/* Futures: pending at first, and then settled once.
 *
 *     pending ----------------settle------------> settled --> freed
 *        |                                           ^
 *        +--cancel--> asked --> cancelled --settle---+
 *
 * A future exists while it is pending or has references.  Dropping the last
 * reference to a pending future cancels it; its memory is freed when it settles
 * after that.  A settled one is freed with its last reference.
 *
 * Settling calls nothing: all waiters move to the ready queue together and in
 * order.  Therefore code that settles a future may be in the middle of
 * anything, and only has to expect that the future itself is freed.
 *
 * aloop__then_run(), which the turn calls, is the only function here that calls
 * the application.  It is not in then.c, because the core has to recognise
 * continuations among the waiters by it, and files of one layer form no
 * circle. */

#include "loop/future.h"

#include <stdio.h>
#include <string.h>

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/quarantine.h"

_Static_assert((int) ALOOP_PENDING != (int) ALOOP_ENOTNUMERIC,
               "the status of a pending future is none of the errors");

/* The future that misuse without a loop returns: settled, shared and never
 * written to.  `loop` is NULL, by which all functions recognise such a
 * constant. */
static const aloop_future misuse = {.status = ALOOP_EINVAL, .refs = 1};

/* Fills in what does not depend on whether the future is pending.  `future` is
 * zeroed memory, or NULL. */
static void *init(aloop_future *future, aloop *loop,
                  const struct aloop__future_ops *ops, ssize_t status)
{
    if (future == NULL)
        return NULL;
    list_init(&future->node);
    if (status == ALOOP_PENDING) /* A settled one has empty `thens`. */
        list_init(&future->waiters);
    future->loop = loop;
    future->ops = ops;
    future->status = status;
    future->refs = 1;
    return future;
}

static void *future_of(aloop *loop, const struct aloop__future_ops *ops,
                       ssize_t status)
{
    return init(aloop__object_new(loop, ops->size), loop, ops, status);
}

/* Makes a new future known to its loop: the end of the loop finds it in
 * loop->pending, and it keeps aloop_run() from returning if its kind does
 * so. */
static void *future_begin(aloop_future *future)
{
    if (future == NULL)
        return NULL;
    list_push(&future->loop->pending, &future->node);
    future->loop->live += future->ops->is_live;
    return future;
}

void *aloop__future_new(aloop *loop, const struct aloop__future_ops *ops)
{
    return future_begin(future_of(loop, ops, ALOOP_PENDING));
}

/* Returns a future in memory that is not cleared, or NULL if out of memory. */
static inline aloop_future *bare_future(aloop *loop,
                                        const struct aloop__future_ops *ops,
                                        ssize_t status)
{
    aloop_future *future = aloop__slab_take_inline(&loop->slab, ops->size);

    if (future == NULL)
        future = aloop__quarantine_take(loop, ops->size);
    if (future == NULL)
        return NULL;
    *future =
        (aloop_future){.loop = loop, .ops = ops, .status = status, .refs = 1};
    list_init(&future->node);
    return future;
}

void *aloop__future_new_bare(aloop *loop, const struct aloop__future_ops *ops)
{
    aloop_future *future = bare_future(loop, ops, ALOOP_PENDING);

    if (future != NULL)
        list_init(&future->waiters);
    return future_begin(future);
}

void *aloop__future_new_in(aloop *loop, const struct aloop__future_ops *ops,
                           void *memory)
{
    memset(memory, 0, ops->size);
    return future_begin(init(memory, loop, ops, ALOOP_PENDING));
}

const char *aloop__future_item_name(const aloop_future *future, size_t item,
                                    size_t count)
{
    static _Thread_local char text[80];

    if (item == count)
        return future->ops->name;
    snprintf(text, sizeof text, "%s, item %zu of %zu,", future->ops->name, item,
             count);
    return text;
}

/* Returns whether the error of a settled future is to be reported: no code has
 * read it, and it is not the ALOOP_ECANCELED of a cancel.  While the loop is
 * being freed errors are expected, because everything is cancelled. */
static bool is_unhandled(const aloop_future *future)
{
    return future->status < 0 && !future->is_handled &&
           !future->loop->is_dying &&
           !(future->is_cancelling && future->status == ALOOP_ECANCELED);
}

/* Frees a future of a debug loop.  Its name is copied first, because ops->fini
 * may free what the name consists of. */
COLD NOINLINE static void free_and_keep(aloop_future *future)
{
    char name[160] = "";

    if (future->ops->describe != NULL)
        snprintf(name, sizeof name, "%s", future->ops->describe(future));
    if (future->ops->fini != NULL)
        future->ops->fini(future);
    aloop__quarantine_put(future->loop, future, future->ops->size, name);
}

static void free_one(aloop_future *future)
{
    if (future->loop->debug != NULL) {
        free_and_keep(future);
        return;
    }
    if (future->ops->fini != NULL)
        future->ops->fini(future);
    aloop__slab_put_inline(&future->loop->slab, future, future->ops->size);
}

/* A fini may drop other futures.  They are queued and freed afterwards, so that
 * a long chain of futures, each of which has the only reference to the next
 * one, does not need a deep stack. */
NOINLINE static void free_in_order(aloop_future *future)
{
    aloop *loop = future->loop;
    struct aloop__node *node;

    if (loop->is_destroying) {
        list_push(&loop->doomed, &future->node);
        return;
    }
    loop->is_destroying = true;
    free_one(future);
    while ((node = list_pop(&loop->doomed)) != NULL)
        free_one(CONTAINER_OF(node, aloop_future, node));
    loop->is_destroying = false;
}

/* Frees a future that is in no list.  A function of its own, so that the usual
 * kinds save no registers for it. */
static NOINLINE void free_any(aloop_future *future)
{
    if (future == future->loop->hit) /* Ready for its next use. */
        *future = (aloop_future){.node = future->node,
                                 .loop = future->loop,
                                 .ops = future->ops};
    else if (future->ops->fini == NULL || future->ops->is_leaf)
        free_one(future);
    else
        free_in_order(future);
}

void aloop__future_free(aloop_future *future)
{
    list_remove(&future->node);
    if (future->ops->release != NULL && future->loop->debug == NULL)
        future->ops->release(future);
    else
        free_any(future);
}

void aloop__future_free_hit(aloop *loop)
{
    if (loop->hit != NULL && loop->hit->refs == 0)
        free_one(loop->hit);
    loop->hit = NULL;
}

/* Frees a future without references, or queues its report.  The report calls
 * the application, which callers of this function are not prepared for;
 * therefore it waits for the end of the turn. */
static void free_or_report(aloop_future *future)
{
    if (!is_unhandled(future)) {
        aloop__future_free(future);
        return;
    }
    list_remove(&future->node);
    list_push(&future->loop->unreported, &future->node);
    if (future->loop->is_embedded)
        aloop__host_update(future->loop);
}

void aloop__then_chain(aloop_future *future, struct aloop__then *then)
{
    if (future->thens.last != NULL)
        future->thens.last->next = then;
    else
        future->thens.first = then;
    future->thens.last = then;
}

/* The continuation usually is the first one, because they are called in the
 * order of the chain. */
void aloop__then_unchain(aloop_future *future, struct aloop__then *then)
{
    struct aloop__then *before = NULL, *at = future->thens.first;

    for (; at != then; at = at->next)
        before = at;
    if (before != NULL)
        before->next = then->next;
    else
        future->thens.first = then->next;
    if (future->thens.last == then)
        future->thens.last = before;
}

/* Queues waiters that may include continuations.  These are also chained to the
 * future, because aloop_unthen() has to find them until they are called, and
 * cannot search the ready queue. */
NOINLINE static void queue_thens(aloop_future *future)
{
    struct aloop__node waiters, *node;

    list_init(&waiters);
    list_append(&waiters, &future->waiters);
    future->thens.first = future->thens.last = NULL;
    for (node = waiters.next; node != &waiters; node = node->next)
        if (aloop__is_then(
                CONTAINER_OF(node, struct aloop__awaiter, ready.node)))
            aloop__then_chain(future, CONTAINER_OF(node, struct aloop__then,
                                                   awaiter.ready.node));
    list_append(&future->loop->ready, &waiters);
}

/* Only observers have continuations, and most futures have none.  The chain is
 * initialised in either case; it occupies the memory of the list of waiters. */
static void queue_waiters(aloop_future *future)
{
    if (future->observers > 0) {
        queue_thens(future);
        return;
    }
    list_append(&future->loop->ready, &future->waiters);
    future->thens.first = future->thens.last = NULL;
}

/* The body of aloop__future_settle(), apart from ties.
 *
 * A future that has references besides those of waiters is kept: the end of the
 * loop reports what the application still holds.  Waiters drop theirs when they
 * run.  The future is freed last, because nothing may use it after that. */
static void settle(aloop_future *future, ssize_t status)
{
    aloop *loop = future->loop;

    assert(aloop__future_is_pending(future) && status != ALOOP_PENDING);
    future->status = status;
    list_remove(&future->node);
    if (future->refs > future->waiting)
        list_push(&loop->kept, &future->node);
    loop->live -= future->ops->is_live;
    queue_waiters(future);
    if (loop->is_embedded)
        aloop__host_update(loop);
    if (future->refs == 0)
        free_or_report(future);
}

/* A future that leads others, because a composition was out of memory, settles
 * after the last of them; see tie.c.  Its own status is replaced, because it
 * stands for the composition.  Returns whether it has to wait. */
static bool tie_defer(aloop_future *future, ssize_t *status)
{
    struct aloop__tie *tie = aloop__tie_of(future);

    if (!tie->is_lead)
        return false;
    *status = ALOOP_ENOMEM;
    tie->has_ended = true;
    return tie->followers > 0;
}

/* `future` has settled.  Returns its lead if that settles now, or NULL. */
static aloop_future *tie_follow(aloop_future *future, aloop_future *lead)
{
    struct aloop__tie *tie = aloop__tie_of(lead);

    aloop__future_unref(future); /* The reference of its lead. */
    return --tie->followers == 0 && tie->has_ended ? lead : NULL;
}

/* Settles a future and, if it was the last follower, its lead, and so on
 * upwards.  The lead is read before the future settles, because that may free
 * the future. */
NOINLINE static void settle_tied(aloop_future *future, ssize_t status)
{
    while (future != NULL && !tie_defer(future, &status)) {
        aloop_future *lead = aloop__tie_of(future)->lead;

        settle(future, status);
        future = lead == NULL ? NULL : tie_follow(future, lead);
    }
}

void aloop__future_settle(aloop_future *future, ssize_t status)
{
    if (future->is_tied)
        settle_tied(future, status);
    else
        settle(future, status);
}

void *aloop__future_drop_new(aloop_future *future)
{
    future->refs = 0;
    future->is_handled = true;
    aloop__future_settle(future, ALOOP_ENOMEM);
    return NULL;
}

static void operation_cancel(aloop_future *future)
{
    (void) future; /* It has settled. */
}

static const struct aloop__future_ops failed_ops = {
    .name = "operation",
    .size = sizeof(aloop_future),
    .cancel = operation_cancel,
};

/* Reads of cached files settle immediately. */
aloop_future *aloop__future_new_settled(aloop *loop, ssize_t status)
{
    aloop_future *future = bare_future(loop, &failed_ops, status);

    if (future == NULL)
        return NULL;
    list_push(&loop->kept, &future->node);
    return future;
}

aloop_future *aloop__future_failed(aloop *loop, int error)
{
    if (loop == NULL)
        return (aloop_future *) (uintptr_t) &misuse;
    return aloop__future_new_settled(loop, error);
}

aloop_future *aloop__future_refused(int error)
{
    static const aloop_future wrong_thread = {.status = ALOOP_EPERM, .refs = 1};

    if (error == ALOOP_EPERM)
        return (aloop_future *) (uintptr_t) &wrong_thread;
    return aloop__future_failed(NULL, ALOOP_EINVAL);
}

/* Drops a reference after any cancel.  A promise that only its waiters refer to
 * settles here, because no code can settle it any more. */
static void drop_reference(aloop_future *future)
{
    if (--future->refs > 0)
        aloop__promise_check(future);
    else if (!aloop__future_is_pending(future))
        free_or_report(future);
}

/* The cancel comes first, while the reference keeps the memory: it may settle
 * the future, which would otherwise be freed inside the call. */
NOINLINE static void unref_pending(aloop_future *future)
{
    if (aloop__future_is_ours(future))
        aloop__future_cancel(future);
    drop_reference(future);
}

void aloop__future_unref(aloop_future *future)
{
    if (aloop__future_is_pending(future))
        unref_pending(future);
    else
        drop_reference(future);
}

void aloop__future_drop(aloop_future *future)
{
    if (future != NULL && future->loop != NULL)
        aloop__future_unref(future);
}

void aloop__future_observe(aloop_future *future)
{
    future->observers++;
}

/* An observer's reference to a pending future can be the last one: its only
 * owner has become an observer with aloop_then(), so that the operation
 * continued. */
void aloop__future_unobserve(aloop_future *future)
{
    if (aloop__future_is_pending(future) && future->refs == 1 &&
        !future->is_detached)
        aloop__future_cancel(future);
    future->observers--;
    drop_reference(future);
}

/* ready->run of all continuations.  It is unchained and freed before the
 * callback, which may remove or add continuations; the reference is dropped
 * after it, so that the future is valid until the callback returns. */
void aloop__then_run(struct aloop__ready *ready)
{
    struct aloop__then *then =
        CONTAINER_OF(ready, struct aloop__then, awaiter.ready);
    aloop_future *future = then->awaiter.future;
    aloop_future_cb callback = then->callback;
    void *arg = then->arg;

    aloop__then_unchain(future, then);
    aloop__slab_put(&future->loop->slab, then, sizeof *then);
    future->is_taken = true;
    aloop__calling(future->loop);
    callback(future, future->status, arg);
    aloop__called(future->loop, "a continuation");
    aloop__future_unobserve(future);
}
