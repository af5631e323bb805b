/* Awaiters: how a future finds what waits for it; see awaiter.h.
 *
 *     while the future is pending    the awaiter is in future->waiters, and its
 *                                    reference counts in future->waiting
 *     after it has settled           the awaiter is in the ready queue, and its
 *                                    user takes the status when it runs
 *
 * A user initialises an awaiter once and may use it for one future after
 * another. */

#include "loop/awaiter.h"

#include "loop/future.h"

void aloop__awaiter_add(struct aloop__awaiter *awaiter, aloop_future *future)
{
    aloop__awaiter_add_inline(awaiter, future);
}

/* Without a waiter the error of a pending future may need a report again.  If
 * the future has settled, the caller reads or drops the status itself. */
void aloop__awaiter_remove(struct aloop__awaiter *awaiter)
{
    aloop_future *future = awaiter->future;

    awaiter->future = NULL;
    list_remove(&awaiter->ready.node);
    if (!aloop__future_is_pending(future))
        return;
    if (--future->waiting == 0)
        future->is_handled = false; /* No waiter is left to read the status. */
    if (future->is_exempt)
        aloop__future_look_again(future);
}

/* Called when the awaiter runs; it is in no list then. */
ssize_t aloop__awaiter_take(struct aloop__awaiter *awaiter)
{
    aloop_future *future = awaiter->future;

    awaiter->future = NULL;
    return aloop__future_take(future);
}

aloop_future *aloop__future_next_of_many(aloop_future *future,
                                         const void **cursor)
{
    /* A future that has ended and is pending only because of its followers has
     * freed its awaiters. */
    if (!aloop__future_is_pending(future) || future->ops->next == NULL ||
        (future->is_tied && aloop__tie_of(future)->has_ended))
        return NULL;
    return future->ops->next(future, cursor);
}
