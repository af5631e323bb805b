/* aloop_stream_forward(): copies from one stream to another, with
 * back-pressure.
 *
 *   FLOWING --over the high-water mark--> WAITING (for a drain of `to`)
 *      ^                                     |
 *      +-------------------------------------+
 *      |
 *      +--the end of `from`--> CLOSING (a shutdown of `to`) --> settled
 *
 * Both streams point to the forward, and closing one of them cancels it.  Until
 * it settles, `from` cannot be read, started or stopped by other code, because
 * that would take bytes out of the middle. */

#include "loop/debug.h"
#include "loop/future.h"
#include "stream/stream.h"

struct aloop__forward {
    aloop_future future;
    struct aloop__awaiter step; /* Waits for a drain or the shutdown. */
    aloop_stream *from;
    aloop_stream *to;
    bool is_closing; /* `step` is the shutdown. */
    ssize_t moved;   /* Bytes forwarded so far. */
};

/* Detaches the forward from both streams and settles it. */
static void finish_forward(struct aloop__forward *forward, ssize_t status)
{
    forward->from->forward_from = NULL;
    forward->to->sender->forward_to = NULL;
    aloop__stream_stop(forward->from);
    aloop__future_settle(&forward->future, status);
}

static void forward_cancel(aloop_future *future)
{
    struct aloop__forward *forward =
        CONTAINER_OF(future, struct aloop__forward, future);
    aloop_future *step = forward->step.future;

    if (step != NULL) {
        aloop__awaiter_remove(&forward->step);
        aloop__future_unref_checked(step);
    }
    if (!forward->is_closing)
        aloop__stream_cut_short(forward->to);
    finish_forward(forward, ALOOP_ECANCELED);
}

static const struct aloop__future_ops forward_ops = {
    .name = "forward",
    .size = sizeof(struct aloop__forward),
    .awaiter = offsetof(struct aloop__forward, step),
    .cancel = forward_cancel,
    .is_live = true,
};

void aloop__forward_end(struct aloop__forward *forward)
{
    if (forward != NULL)
        aloop__future_cancel_checked(&forward->future);
}

/* Continues in forward_step() when `step` has settled. */
static void wait_for_step(struct aloop__forward *forward, aloop_future *step)
{
    if (step == NULL) {
        finish_forward(forward, ALOOP_ENOMEM);
        return;
    }
    aloop__awaiter_add(&forward->step, step);
}

/* on_data of `from`. */
static void forward_data(aloop_stream *from, const void *data, ssize_t size,
                         void *arg)
{
    struct aloop__forward *forward = arg;
    int error = 0;

    if (size < 0) {
        finish_forward(forward, size);
        return;
    }
    if (size == 0) {
        forward->is_closing = true;
        wait_for_step(forward, aloop_stream_shutdown(forward->to));
        return;
    }
    error = aloop_stream_put(forward->to, data, (size_t) size);
    if (error < 0) {
        finish_forward(forward, error);
        return;
    }
    forward->moved += size;
    if (error == 0)
        return;
    aloop__stream_stop(from);
    wait_for_step(forward, aloop_stream_drain(forward->to));
}

/* A drain or the shutdown has settled. */
static void forward_step(struct aloop__ready *ready)
{
    struct aloop__forward *forward =
        CONTAINER_OF(ready, struct aloop__forward, step.ready);
    ssize_t status = aloop__awaiter_take(&forward->step);

    if (status == ALOOP_ECANCELED)
        status = ALOOP_EABORTED; /* `to` was closed. */
    if (status == 0 && !forward->is_closing)
        status = aloop__stream_start(forward->from, forward_data, forward);
    if (status < 0)
        finish_forward(forward, status);
    else if (forward->is_closing)
        finish_forward(forward, forward->moved);
}

aloop_future *aloop_stream_forward(aloop_stream *from, aloop_stream *to)
{
    int error = aloop__check_handle(from, __func__);
    struct aloop__forward *forward;
    struct aloop__sender *sender;
    aloop *loop;

    if (error == 0)
        error = aloop__check_handle(to, __func__);
    if (error < 0)
        return aloop__future_refused(error);
    loop = from->handle.loop;
    if (to->handle.loop != loop)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    sender = aloop__sender_get(to);
    if (sender == NULL)
        return NULL;
    if (from->on_data != NULL || from->reading != NULL ||
        from->forward_from != NULL || sender->forward_to != NULL || from == to)
        return aloop__future_failed(loop, ALOOP_EBUSY);
    forward = aloop__future_new(loop, &forward_ops);
    if (forward == NULL)
        return NULL;
    aloop__awaiter_init(&forward->step, forward_step, &forward->future);
    forward->from = from;
    forward->to = to;
    from->forward_from = forward;
    sender->forward_to = forward;
    sender->is_kept = true;
    error = aloop__stream_start(from, forward_data, forward);
    if (error < 0)
        finish_forward(forward, error);
    return &forward->future;
}
