/* How the end of a loop cancels its futures.
 *
 * Tasks and compositions wait for other futures, and may have to continue to do
 * so for a while: a shielded task finishes its work first.  Therefore a future
 * that such a waiter will cancel itself is exempt.  aloop_main() does it in
 * this way.  aloop_free() uses force, and repeats it in each of its turns until
 * no future is pending. */

#include "loop/future.h"

/* Returns whether a waiter exists that will cancel the future in time.
 * Continuations do not, and groups do it only on request.  An await outside of
 * a task cannot be pending here, because the loop does not run twice. */
static bool has_cancelling_waiter(const aloop_future *future)
{
    const struct aloop__node *node = future->waiters.next;

    if (future->is_in_group)
        return false;
    for (; node != &future->waiters; node = node->next)
        if (!aloop__is_then(
                CONTAINER_OF(node, struct aloop__awaiter, ready.node)))
            return true;
    return false;
}

/* Each turn of the loop's end looks only at new candidates: futures that have
 * begun since the last turn, and those that have lost a waiter.  Otherwise a
 * loop with many exempt futures would need a time that grows with the square of
 * their number. */
void aloop__futures_cancel_all(aloop *loop, bool is_forced)
{
    struct aloop__node list, *node;

    loop->is_ending = true;
    /* Cancelling may settle any of the futures, so the loop always takes the
     * head.  Futures that were cancelled before are in another list and cost
     * nothing here. */
    list_init(&list);
    list_append(&list, &loop->pending);
    if (is_forced)
        list_append(&list, &loop->exempt);
    while ((node = list_pop(&list)) != NULL) {
        aloop_future *future = CONTAINER_OF(node, aloop_future, node);

        list_push(&loop->exempt, node);
        future->is_exempt = true;
        if (is_forced || !has_cancelling_waiter(future))
            aloop__future_cancel(future);
    }
}

/* Called for a future that has lost a waiter, which may have been the one that
 * would have cancelled it. */
void aloop__future_look_again(aloop_future *future)
{
    future->is_exempt = false;
    list_remove(&future->node);
    list_push(&future->loop->pending, &future->node);
}

/* For an ops->cancel that cannot end its future yet. */
void aloop__future_ask_again(aloop_future *future)
{
    future->is_cancelling = false;
    aloop__future_look_again(future);
}

/* At the end of aloop_free(), after which the slab frees the memory of all
 * futures.  Futures are left only if the turns of aloop_free() were limited, or
 * in a forked child. */
void aloop__futures_fini(aloop *loop)
{
    struct aloop__node *node;

    list_append(&loop->pending, &loop->cancelled);
    list_append(&loop->pending, &loop->exempt);
    list_append(&loop->pending, &loop->unreported);
    while ((node = list_pop(&loop->pending)) != NULL) {
        aloop_future *future = CONTAINER_OF(node, aloop_future, node);

        if (future->ops->fini != NULL)
            future->ops->fini(future);
    }
}
