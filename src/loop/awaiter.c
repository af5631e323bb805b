/* Awaiters; see awaiter.h. */

#include "loop/awaiter.h"

#include "loop/future.h"
#include "loop/host.h"

void aloop__awaiter_add(struct aloop__awaiter *awaiter, aloop_future *future)
{
    awaiter->future = future;
    future->is_handled = true;
    if (!aloop__future_pending(future)) {
        aloop__ready_push(future->loop, &awaiter->ready);
        return;
    }
    list_push(&future->waiters, &awaiter->ready.node);
    future->waiting++;
    aloop__promise_check(future);
}

void aloop__awaiter_remove(struct aloop__awaiter *awaiter)
{
    aloop_future *future = awaiter->future;

    awaiter->future = NULL;
    list_remove(&awaiter->ready.node);
    if (!aloop__future_pending(future))
        return;
    if (--future->waiting == 0)
        future->is_handled = false; /* No waiter is left to read the status. */
    if (future->is_exempt)
        aloop__future_look_again(future);
}

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
    if (!aloop__future_pending(future) || future->ops->next == NULL ||
        (future->is_tied && aloop__tie_of(future)->has_ended))
        return NULL;
    return future->ops->next(future, cursor);
}
