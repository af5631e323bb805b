/* Deferred functions: calls that the loop's own thread queues for itself.
 *
 * Calls that are deferred in a row share one item of the ready queue, which
 * costs less than an item for each of them.  A call is added to the last item
 * of the queue if that has calls and room; otherwise to a new one.  The order
 * of all work is therefore that of its queuing.
 *
 * An item that has begun to run stays at the front of the batch until its last
 * call has been taken from it.  Its other calls can be revoked meanwhile, and a
 * turn that ends in the middle leaves them queued. */

#include <string.h>

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/host.h"

enum { CALLS_MAX = 29 }; /* They fill 512 bytes on 64-bit systems. */

struct call {
    aloop_fn fn;
    void *arg;
};

/* An item of the ready queue.  At least one call is left in it. */
struct calls {
    struct aloop__ready ready;
    aloop *loop;
    unsigned first; /* The next call to run. */
    unsigned end;   /* Behind the last one. */
    struct call calls[CALLS_MAX];
};

static struct calls *calls_of(struct aloop__ready *ready)
{
    return CONTAINER_OF(ready, struct calls, ready);
}

/* Frees an item from which the last call was taken. */
static void free_calls(struct calls *calls)
{
    list_remove(&calls->ready.node);
    aloop__slab_put(&calls->loop->slab, calls, sizeof *calls);
}

/* ready->run of deferred calls.  A call is taken from the item before it runs,
 * because it may defer and revoke calls, or fork.  The item is still there
 * afterwards if it is the first of the batch: nothing else adds one there. */
static void run_calls(struct aloop__ready *ready)
{
    struct calls *calls = calls_of(ready);
    aloop *loop = calls->loop;

    list_push(loop->batch.next, &ready->node);
    do {
        struct call call = calls->calls[calls->first++];

        if (calls->first == calls->end)
            free_calls(calls);
        aloop__calling(loop);
        call.fn(loop, call.arg);
        aloop__called(loop, "a function of aloop_defer()");
    } while (loop->batch.next == &ready->node && !aloop__is_foreign(loop));
}

/* Returns the last item of the ready queue if a call can be added to it, or
 * NULL. */
static struct calls *last_with_room(aloop *loop)
{
    struct aloop__ready *last =
        CONTAINER_OF(loop->ready.prev, struct aloop__ready, node);

    if (list_is_empty(&loop->ready) || last->run != run_calls ||
        calls_of(last)->end == CALLS_MAX)
        return NULL;
    return calls_of(last);
}

/* Adds an item without a call to the ready queue, or returns NULL. */
NOINLINE static struct calls *add_calls(aloop *loop)
{
    struct calls *calls = aloop__slab_take(&loop->slab, sizeof *calls);

    if (calls == NULL)
        return NULL;
    list_init(&calls->ready.node);
    calls->ready.run = run_calls;
    calls->loop = loop;
    calls->first = calls->end = 0;
    aloop__ready_push(loop, &calls->ready);
    return calls;
}

static void add_call(struct calls *calls, aloop_fn fn, void *arg)
{
    calls->calls[calls->end++] = (struct call){fn, arg};
}

/* Not inline, so that the usual call saves no registers. */
static NOINLINE int defer_checked(aloop *loop, aloop_fn fn, void *arg)
{
    struct calls *calls;
    int error = aloop__check_loop(loop, "aloop_defer");

    if (error < 0)
        return error;
    if (fn == NULL)
        return ALOOP_EINVAL;
    calls = last_with_room(loop);
    if (calls == NULL)
        calls = add_calls(loop);
    if (calls == NULL)
        return ALOOP_ENOMEM;
    add_call(calls, fn, arg);
    return 0;
}

int aloop_defer(aloop *loop, aloop_fn fn, void *arg)
{
    struct calls *calls;

    if (loop == NULL || loop->debug != NULL || fn == NULL)
        return defer_checked(loop, fn, arg);
    calls = last_with_room(loop);
    if (calls == NULL)
        return defer_checked(loop, fn, arg);
    add_call(calls, fn, arg);
    return 0;
}

/* Removes the first call in a list of work that would call fn(arg).  Returns
 * false if there is none. */
static bool remove_call(const struct aloop__node *list, aloop_fn fn,
                        const void *arg)
{
    for (struct aloop__node *node = list->next; node != list;
         node = node->next) {
        struct aloop__ready *ready =
            CONTAINER_OF(node, struct aloop__ready, node);
        struct calls *calls = calls_of(ready);

        if (ready->run != run_calls)
            continue;
        for (struct call *call = &calls->calls[calls->first],
                         *end = &calls->calls[calls->end];
             call < end; call++) {
            if (call->fn != fn || call->arg != arg)
                continue;
            memmove(call, call + 1, sizeof *call * (size_t) (end - call - 1));
            if (--calls->end == calls->first)
                free_calls(calls);
            return true;
        }
    }
    return false;
}

/* The batch of this turn comes first, because its calls are older. */
int aloop_defer_cancel(aloop *loop, aloop_fn fn, void *arg)
{
    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return error;
    if (fn == NULL)
        return ALOOP_EINVAL;
    if (!remove_call(&loop->batch, fn, arg) &&
        !remove_call(&loop->ready, fn, arg))
        return 0;
    if (loop->is_embedded)
        aloop__host_update(loop);
    return 1;
}
