/* aloop_stream_forward: from one stream into another, with back pressure.
 *
 *   FLOWING --over the high-water mark--> WAITING (for a drain of `to`)
 *      ^                                     |
 *      +-------------------------------------+
 *      |
 *      +--the end of `from`--> CLOSING (a shutdown of `to`) --> settled
 *
 * Each of the two streams knows the pump, and ends it when it is closed.  From
 * the first state to the last `from` can be neither read nor started nor
 * stopped by others: they would take bytes out of the middle. */

#include "loop/debug.h"
#include "stream/stream.h"

struct aloop__pump {
    aloop_future future;
    struct aloop__wait wait; /* For `step`. */
    aloop_stream *from;
    aloop_stream *to;
    aloop_future *step; /* A drain or the shutdown; holds a reference. */
    bool is_closing;    /* It is the shutdown. */
    ssize_t moved;      /* Bytes. */
};

static void finish(struct aloop__pump *pump, ssize_t status)
{
    pump->from->pump_from = NULL;
    pump->to->pump_to = NULL;
    aloop__stream_unlisten(pump->from);
    aloop__future_settle(&pump->future, status);
}

static void pump_cancel(aloop_future *future)
{
    struct aloop__pump *pump =
        CONTAINER_OF(future, struct aloop__pump, future);

    if (pump->step != NULL) {
        aloop__future_unwait(pump->step, &pump->wait);
        aloop_future_unref(pump->step);
        pump->step = NULL;
    }
    if (!pump->is_closing)
        aloop__stream_cut_short(pump->to);
    finish(pump, ALOOP_ECANCELED);
}

static const struct aloop__future_ops pump_ops = {
    .name = "pipe",
    .size = sizeof(struct aloop__pump),
    .cancel = pump_cancel,
    .is_live = true};

void aloop__pump_end(struct aloop__pump *pump)
{
    if (pump != NULL)
        aloop_cancel(&pump->future);
}

/* Goes on when `step` has settled. */
static void wait_for(struct aloop__pump *pump, aloop_future *step)
{
    if (step == NULL) {
        finish(pump, ALOOP_ENOMEM);
        return;
    }
    pump->step = step;
    aloop__future_wait(step, &pump->wait);
}

static void on_data(aloop_stream *from, const void *data, ssize_t size,
                    void *arg)
{
    struct aloop__pump *pump = arg;
    int error = 0;

    if (size < 0) {
        finish(pump, size);
        return;
    }
    if (size == 0) {
        pump->is_closing = true;
        wait_for(pump, aloop_stream_shutdown(pump->to));
        return;
    }
    error = aloop_stream_put(pump->to, data, (size_t) size);
    if (error < 0) {
        finish(pump, error);
        return;
    }
    pump->moved += size;
    if (error == 0)
        return;
    aloop__stream_unlisten(from);
    wait_for(pump, aloop_stream_drain(pump->to));
}

static void on_step(struct aloop__ready *ready)
{
    struct aloop__pump *pump =
        CONTAINER_OF(ready, struct aloop__pump, wait.ready);
    ssize_t status = aloop__future_take(pump->step);

    pump->step = NULL;
    if (status == ALOOP_ECANCELED)
        status = ALOOP_EABORTED; /* `to` was closed. */
    if (status == 0 && !pump->is_closing)
        status = aloop__stream_listen(pump->from, on_data, pump);
    if (status < 0)
        finish(pump, status);
    else if (pump->is_closing)
        finish(pump, pump->moved);
}

aloop_future *aloop_stream_forward(aloop_stream *from, aloop_stream *to)
{
    int error = aloop__check_handle(from, __func__);
    struct aloop__pump *pump;
    aloop *loop;

    if (error == 0)
        error = aloop__check_handle(to, __func__);
    if (error < 0)
        return aloop__future_refused(error);
    loop = from->handle.loop;
    if (to->handle.loop != loop)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    if (from->on_data != NULL || from->reading != NULL ||
        from->pump_from != NULL || to->pump_to != NULL || from == to)
        return aloop__future_failed(loop, ALOOP_EBUSY);
    pump = aloop__future_new(loop, &pump_ops);
    if (pump == NULL)
        return NULL;
    list_init(&pump->wait.ready.node);
    pump->wait.ready.run = on_step;
    pump->from = from;
    pump->to = to;
    from->pump_from = pump;
    to->pump_to = pump;
    error = aloop__stream_listen(from, on_data, pump);
    if (error < 0)
        finish(pump, error);
    return &pump->future;
}
