/* Continuations of futures without a loop: NULL, which is returned if out of
 * memory, and the constants that misuse returns.  The loop that runs on this
 * thread calls them. */

#include "loop/callback.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/running.h"

/* A continuation that is called with an error.  It is never chained to a
 * future, so that aloop_unthen() does not find it. */
struct failed_then {
    struct aloop__ready ready; /* In the ready queue. */
    aloop *loop;
    aloop_future *future;
    aloop_future_cb callback;
    void *arg;
};

/* ready->run.  It is freed before the callback runs. */
static void run_failed(struct aloop__ready *ready)
{
    struct failed_then *failed = CONTAINER_OF(ready, struct failed_then, ready);
    struct failed_then copy = *failed;

    aloop__slab_put(&copy.loop->slab, failed, sizeof *failed);
    aloop__calling(copy.loop);
    copy.callback(copy.future, aloop_future_status(copy.future), copy.arg);
}

/* Without a loop there is no turn that could call back.  The caller then
 * receives the error itself. */
int aloop__then_failed(aloop_future *future, aloop_future_cb callback,
                       void *arg)
{
    aloop *loop = aloop__running();
    struct failed_then *failed = NULL;

    if (callback == NULL)
        return ALOOP_EINVAL;
    if (loop != NULL)
        failed = aloop__slab_take(&loop->slab, sizeof *failed);
    if (failed == NULL)
        return (int) aloop_future_status(future);
    list_init(&failed->ready.node);
    failed->ready.run = run_failed;
    failed->loop = loop;
    failed->future = future;
    failed->callback = callback;
    failed->arg = arg;
    aloop__ready_push(loop, &failed->ready);
    return 0;
}
