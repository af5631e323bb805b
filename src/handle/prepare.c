/* Prepares as handles: the public part of loop/prepare.c, which calls them
 * before each wait.
 *
 * A prepare waits for nothing itself.  Therefore it is passive, so that
 * aloop_step() does not wait for it, and unreferenced when it starts. */

#include "aloop/prepare.h"

#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/prepare.h"

struct aloop_prepare {
    struct aloop__handle handle;
    struct aloop__prepare prepare;
    aloop_prepare_cb on_prepare;
    void *arg;
};

/* handle->close.  Its own callback may call this: the round of calls keeps its
 * position (loop/prepare.c), and the memory is valid until the end of the
 * turn. */
static void prepare_close(struct aloop__handle *handle)
{
    aloop_prepare *prepare = CONTAINER_OF(handle, aloop_prepare, handle);

    aloop__prepare_stop(handle->loop, &prepare->prepare);
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops prepare_ops = {
    .name = "prepare",
    .size = sizeof(aloop_prepare),
    .close = prepare_close,
    .is_passive = true,
};

/* Calls the application and stores the limit as a point in time, which stays
 * right while other prepares run.  A step does not count this as a callback: it
 * waits after it. */
static void prepare_call(struct aloop__prepare *item)
{
    aloop_prepare *prepare = CONTAINER_OF(item, aloop_prepare, prepare);
    aloop *loop = prepare->handle.loop;
    int64_t limit_ns;

    if (loop->debug != NULL)
        aloop__debug_calling(loop);
    limit_ns = prepare->on_prepare(prepare, prepare->arg);
    aloop__called(loop, "the callback of a prepare");
    item->when_ns = limit_ns < 0 ? INT64_MAX
                                 : aloop__after(aloop__now(loop), limit_ns);
}

/* A host must be woken: its wait is one that the new prepare has not limited
 * yet. */
int aloop_prepare_start(aloop *loop, aloop_prepare_cb on_prepare, void *arg,
                        aloop_prepare **ret_prepare)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_prepare *prepare;

    if (error < 0)
        return error;
    if (on_prepare == NULL || ret_prepare == NULL)
        return ALOOP_EINVAL;
    prepare = aloop__handle_new(loop, &prepare_ops);
    if (prepare == NULL)
        return ALOOP_ENOMEM;
    prepare->handle.is_referenced = false;
    prepare->on_prepare = on_prepare;
    prepare->arg = arg;
    aloop__handle_set_active(&prepare->handle, true);
    aloop__prepare_start(loop, &prepare->prepare, prepare_call);
    if (loop->is_embedded)
        aloop__host_update(loop);
    *ret_prepare = prepare;
    return 0;
}

/* A referenced prepare keeps the loop alive although it waits for nothing. */
void aloop_prepare_ref(aloop_prepare *prepare)
{
    aloop__handle_reference((struct aloop__handle *) prepare, true, __func__);
}

void aloop_prepare_unref(aloop_prepare *prepare)
{
    aloop__handle_reference((struct aloop__handle *) prepare, false, __func__);
}

void aloop_prepare_close(aloop_prepare *prepare)
{
    if (prepare != NULL && aloop__check_handle(prepare, __func__) == 0)
        prepare_close(&prepare->handle);
}
