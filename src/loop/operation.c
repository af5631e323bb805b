/* Operations that the application makes.
 *
 * A cancel of such an operation calls the application.  Most code of the
 * library that cancels futures does not expect that: it may be in the middle of
 * a list that the application could change.  Therefore a cancel only adds the
 * operation to loop->notify and to the ready queue.  The functions that the
 * application calls in order to cancel something empty loop->notify before they
 * return.  What is then left, the next turn calls. */

#include "aloop/operation.h"

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/operation.h"
#include "loop/running.h"
#include "os/sys.h"
#include "os/unwind.h"

struct operation {
    aloop_future future;
    /* It waits for no future.  The tie lets a composition that is out of memory
     * wait until it has settled; see tie.c. */
    struct aloop__tie tie;
    struct aloop__node notify; /* In loop->notify, or in a struct notice. */
    struct aloop__ready ready; /* Queued while `notify` is in a list. */
    bool is_settled;           /* By the maker; its future may follow later. */
    aloop_operation_cb on_cancel; /* NULL if it cannot be cancelled. */
    void *arg;
};

static void maker_cancel(aloop_future *future)
{
    struct operation *operation =
        CONTAINER_OF(future, struct operation, future);
    aloop *loop = future->loop;

    if (operation->on_cancel == NULL || operation->is_settled)
        return;
    list_push(&loop->notify, &operation->notify);
    aloop__ready_push(loop, &operation->ready);
}

static const struct aloop__future_ops operation_ops = {
    .name = "operation of the application",
    .size = sizeof(struct operation),
    .tie = offsetof(struct operation, tie),
    .cancel = maker_cancel,
    .is_live = true,
};

/* Calls of on_cancel that are under way, and the state to restore when they
 * end. */
struct notice {
    aloop *loop;
    struct aloop__node operations; /* What is still to be called. */
    aloop *outer;
    struct aloop__task *current;
    bool was_running, was_stopping;
    bool is_over;
};

/* The callbacks may not run or free the loop, and may not await, even if a task
 * has called the function that cancels. */
static void notice_begin(struct notice *notice)
{
    aloop *loop = notice->loop;

    list_init(&notice->operations);
    list_append(&notice->operations, &loop->notify);
    notice->outer = aloop__running_set(loop);
    notice->current = loop->current;
    notice->was_running = loop->is_running;
    notice->was_stopping = loop->is_stopping;
    loop->current = NULL;
    loop->is_notifying = true;
    loop->is_running = true;
    if (!notice->was_running)
        loop->thread = aloop__sys_thread_self();
}

/* Also runs when a callback unwinds the stack; see turn_end() in turn.c. */
static void notice_end(struct notice *notice)
{
    aloop *loop = notice->loop;

    if (!notice->is_over)
        aloop__unwind_stop();
    /* Operations are left if a callback has forked.  They stay the first. */
    list_append(&notice->operations, &loop->notify);
    list_append(&loop->notify, &notice->operations);
    aloop__running_set(notice->outer);
    loop->current = notice->current;
    loop->is_notifying = false;
    loop->is_running = notice->was_running;
    if (notice->was_running)
        return;
    if (loop->is_stopping && !notice->was_stopping)
        loop->was_stopped = true; /* For the next run. */
    loop->is_stopping = notice->was_stopping;
    if (loop->is_embedded)
        aloop__host_update(loop);
}

/* Operations that the callbacks cancel are left to the next turn, so that this
 * ends. */
void aloop__operations_call(aloop *loop)
{
    __attribute__((cleanup(notice_end))) struct notice notice = {.loop = loop};
    struct aloop__node *node;

    notice_begin(&notice);
    while (!aloop__is_foreign(loop) &&
           (node = list_pop(&notice.operations)) != NULL) {
        struct operation *operation =
            CONTAINER_OF(node, struct operation, notify);

        list_remove(&operation->ready.node);
        operation->on_cancel(&operation->future, operation->arg);
    }
    notice.is_over = true;
}

static void operation_cancelled(struct aloop__ready *ready)
{
    aloop *loop = CONTAINER_OF(ready, struct operation, ready)->future.loop;

    aloop__calling(loop);
    aloop__operations_call(loop);
    aloop__called(loop, "the on_cancel of an operation");
}

aloop_future *aloop_operation_new(aloop *loop, aloop_operation_cb on_cancel,
                                  void *arg)
{
    int error = aloop__check_loop(loop, __func__);
    struct operation *operation;

    if (error < 0)
        return aloop__future_refused(error);
    operation = aloop__future_new(loop, &operation_ops);
    if (operation == NULL)
        return NULL;
    list_init(&operation->notify);
    list_init(&operation->ready.node);
    operation->ready.run = operation_cancelled;
    operation->on_cancel = on_cancel;
    operation->arg = arg;
    return &operation->future;
}

int aloop_operation_settle(aloop_future *operation, ssize_t status)
{
    int error = aloop__check_future(operation, __func__, USE_LOOK);
    struct operation *settled;

    if (error < 0)
        return error;
    if (operation == NULL || operation->ops != &operation_ops ||
        status == ALOOP_PENDING)
        return ALOOP_EINVAL;
    settled = CONTAINER_OF(operation, struct operation, future);
    if (settled->is_settled) {
        aloop__debug_report_future(MISTAKE_SETTLED, __func__, operation);
        return ALOOP_EALREADY;
    }
    settled->is_settled = true;
    list_remove(&settled->notify);
    list_remove(&settled->ready.node);
    aloop__future_settle(operation, status);
    return 0;
}
