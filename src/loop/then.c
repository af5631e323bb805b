/* Continuations: a callback once a future has settled.
 *
 * A continuation observes: it keeps the future's memory, so that it can be
 * given the status, and has no say in when the future ends.  While the future
 * is pending its continuations are among the waiters.  Once it has settled they
 * are queued, and chained behind the future, so that they can still be taken
 * back. */

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"

static struct aloop__then *then_of(struct aloop__node *node)
{
    return CONTAINER_OF(node, struct aloop__then, wait.ready.node);
}

/* It is the first as a rule: they are called in this order. */
static void unchain(aloop_future *future, struct aloop__then *then)
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

static void then_run(struct aloop__ready *ready)
{
    struct aloop__then *then =
        CONTAINER_OF(ready, struct aloop__then, wait.ready);
    aloop_future *future = then->future;
    aloop_future_cb callback = then->callback;
    void *arg = then->arg;

    unchain(future, then);
    aloop__slab_put(&future->loop->slab, then, sizeof *then);
    future->is_taken = true;
    aloop__calling(future->loop);
    callback(future, future->status, arg);
    aloop__called(future->loop, "a continuation");
    aloop__future_unobserve(future);
}

int aloop_then(aloop_future *future, aloop_future_cb callback, void *arg)
{
    int error = aloop__check_future(future, __func__, USE_UP);
    struct aloop__then *then = NULL;

    if (error < 0)
        return error;
    if (future == NULL || future->loop == NULL)
        return aloop__then_failed(future, callback, arg);
    if (callback != NULL)
        then = aloop__slab_take(&future->loop->slab, sizeof *then);
    if (then == NULL) {
        aloop_future_unref(future);
        return callback == NULL ? ALOOP_EINVAL : ALOOP_ENOMEM;
    }
    list_init(&then->wait.ready.node);
    then->wait.ready.run = then_run;
    then->wait.owner = aloop__then_owner;
    then->next = NULL;
    then->future = future;
    then->callback = callback;
    then->arg = arg;
    if (!aloop__future_pending(future))
        aloop__then_chain(future, then);
    aloop__future_observe(future);
    aloop__future_wait(future, &then->wait);
    return 0;
}

/* The first that matches, or that there is for no callback; or NULL. */
static struct aloop__then *find(aloop_future *future, aloop_future_cb callback,
                                const void *arg)
{
    struct aloop__node *node;
    struct aloop__then *then;

    if (!aloop__future_pending(future)) {
        for (then = future->thens.first; then != NULL; then = then->next)
            if (callback == NULL ||
                (then->callback == callback && then->arg == arg))
                return then;
        return NULL;
    }
    for (node = future->waiters.next; node != &future->waiters;
         node = node->next) {
        then = then_of(node);
        if (aloop__is_then(&then->wait) &&
            (callback == NULL ||
             (then->callback == callback && then->arg == arg)))
            return then;
    }
    return NULL;
}

/* Frees a continuation; its reference is still to be dropped. */
static void take_back(struct aloop__then *then)
{
    aloop_future *future = then->future;
    aloop *loop = future->loop;

    if (!aloop__future_pending(future))
        unchain(future, then);
    aloop__future_unwait(future, &then->wait);
    aloop__slab_put(&loop->slab, then, sizeof *then);
    if (loop->embedded)
        aloop__touch(loop);
}

int aloop_unthen(aloop_future *future, aloop_future_cb callback, void *arg)
{
    int error = aloop__check_future(future, __func__, USE_LOOK);
    struct aloop__then *then;

    if (error < 0)
        return error;
    if (future == NULL || future->loop == NULL || callback == NULL)
        return 0;
    then = find(future, callback, arg);
    if (then == NULL)
        return 0;
    take_back(then);
    if (!aloop__future_pending(future) && future->thens.first == NULL &&
        !future->is_taken && !future->is_told)
        future->seen = false; /* An error is still to be reported. */
    aloop__future_unobserve(future);
    return 1;
}

void aloop__thens_drop(aloop_future *future)
{
    struct aloop__then *then;
    size_t count = 0;

    while ((then = find(future, NULL, NULL)) != NULL) {
        take_back(then);
        count++;
    }
    while (count-- > 0)
        aloop__future_unobserve(future);
}
