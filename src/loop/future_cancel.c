/* How a pending future is cancelled.
 *
 * Cancelling works through a list, so that a future that cancels others does
 * not call their ops->cancel.  An ops->cancel runs no code of the application
 * either; operation.c shows how the application is called later. */

#include "loop/future.h"

/* Moves the futures that were asked since the last call to the front of `list`,
 * in their order. */
static void take_asked(aloop *loop, struct aloop__node *list)
{
    struct aloop__node *node = loop->asked.next;

    for (; node != &loop->asked; node = node->next)
        CONTAINER_OF(node, aloop_future, node)->is_asked = false;
    list_append(&loop->asked, list);
    list_append(list, &loop->asked);
}

static void cancel_one(aloop_future *future)
{
    list_push(&future->loop->cancelled, &future->node);
    future->is_cancelling = true;
    future->ops->cancel(future); /* May free it. */
}

/* Cancels futures one after the other.  The futures that one of them cancels
 * come directly after it, as if it had called their ops->cancel, even if they
 * were in the list already.  The stack does not grow, however deep futures are
 * nested.
 *
 * A future that settles while it is in the list leaves it, because settling
 * removes its node from any list. */
NOINLINE static void cancel_asked(aloop *loop)
{
    struct aloop__node list, *node;

    list_init(&list);
    take_asked(loop, &list);
    while ((node = list_pop(&list)) != NULL) {
        cancel_one(CONTAINER_OF(node, aloop_future, node));
        take_asked(loop, &list);
    }
}

/* A second request has no effect: an operation ends once, and a task remembers
 * its cancel.  Called inside an ops->cancel, it only adds the future to
 * loop->asked; the outer call cancels it. */
void aloop__future_cancel(aloop_future *future)
{
    aloop *loop = future->loop;

    if (!aloop__future_is_pending(future) || future->is_cancelling ||
        future->is_asked)
        return;
    future->is_exempt = false;
    list_remove(&future->node);
    if (loop->is_cancelling) {
        future->is_asked = true;
        list_push(&loop->asked, &future->node);
        return;
    }
    loop->is_cancelling = true;
    cancel_one(future);
    if (!list_is_empty(&loop->asked))
        cancel_asked(loop);
    loop->is_cancelling = false;
}
