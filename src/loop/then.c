/* Continuations: callbacks for the time when a future has settled.
 *
 * A continuation is an observer: it keeps the future's memory to read the
 * status, and does not influence when the future ends.  While the future is
 * pending its continuations are among its waiters.  Once the future has settled
 * they are in the ready queue, and also in a chain of the future so that
 * aloop_unthen() still finds them. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/operation.h"

static struct aloop__then *then_of(struct aloop__node *node)
{
    return CONTAINER_OF(node, struct aloop__then, awaiter.ready.node);
}

/* Takes over the reference on every path, also if it fails. */
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
        aloop__future_unref_checked(future);
        return callback == NULL ? ALOOP_EINVAL : ALOOP_ENOMEM;
    }
    aloop__awaiter_init(&then->awaiter, aloop__then_run, NULL);
    then->next = NULL;
    then->callback = callback;
    then->arg = arg;
    if (!aloop__future_is_pending(future))
        aloop__then_chain(future, then);
    aloop__future_observe(future);
    aloop__awaiter_add(&then->awaiter, future);
    return 0;
}

/* A NULL callback matches every continuation. */
static bool matches(const struct aloop__then *then, aloop_future_cb callback,
                    const void *arg)
{
    return callback == NULL || (then->callback == callback && then->arg == arg);
}

/* Returns the first continuation that matches, or NULL. */
static struct aloop__then *find(aloop_future *future, aloop_future_cb callback,
                                const void *arg)
{
    struct aloop__node *node;
    struct aloop__then *then;

    if (!aloop__future_is_pending(future)) {
        for (then = future->thens.first; then != NULL; then = then->next)
            if (matches(then, callback, arg))
                return then;
        return NULL;
    }
    for (node = future->waiters.next; node != &future->waiters;
         node = node->next) {
        then = then_of(node);
        if (aloop__is_then(&then->awaiter) && matches(then, callback, arg))
            return then;
    }
    return NULL;
}

/* Frees a continuation.  The caller still has to drop its reference. */
static void take_back(struct aloop__then *then)
{
    aloop_future *future = then->awaiter.future;
    aloop *loop = future->loop;

    if (!aloop__future_is_pending(future))
        aloop__then_unchain(future, then);
    aloop__awaiter_remove(&then->awaiter);
    aloop__slab_put(&loop->slab, then, sizeof *then);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

/* If no continuation is left and no code has read the status, an error counts
 * as unhandled again. */
int aloop_unthen(aloop_future *future, aloop_future_cb callback, void *arg)
{
    int error = aloop__check_future(future, __func__, USE_LOOK);
    struct aloop__then *then;
    aloop *loop;

    if (error < 0)
        return error;
    if (future == NULL || future->loop == NULL || callback == NULL)
        return 0;
    loop = future->loop;
    then = find(future, callback, arg);
    if (then == NULL)
        return 0;
    take_back(then);
    if (!aloop__future_is_pending(future) && future->thens.first == NULL &&
        !future->is_taken && !future->is_included)
        future->is_handled = false; /* An error is to be reported again. */
    aloop__future_unobserve(future);
    aloop__operations_notify(loop);
    return 1;
}

/* For the close of a stream.  The references are dropped at the end, because
 * the last one may free the future. */
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
