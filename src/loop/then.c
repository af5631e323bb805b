/* Continuations: a callback once a future has settled. */

#include "loop/future.h"

struct then {
    struct aloop__wait wait;
    aloop_future *future; /* Holds a reference. */
    aloop_future_cb callback;
    void *arg;
};

static void run(struct aloop__ready *ready)
{
    struct then *then = CONTAINER_OF(ready, struct then, wait.ready);
    aloop_future *future = then->future;
    aloop_future_cb callback = then->callback;
    void *arg = then->arg;

    aloop__slab_put(&future->loop->slab, then, sizeof *then);
    aloop__calling(future->loop);
    callback(future, future->status, arg);
    aloop_future_unref(future);
}

bool aloop__is_then(const struct aloop__wait *wait)
{
    return wait->ready.run == run;
}

int aloop_then(aloop_future *future, aloop_future_cb callback, void *arg)
{
    struct then *then = NULL;

    if (future == NULL || future->loop == NULL)
        return aloop__then_failed(future, callback, arg);
    if (callback != NULL)
        then = aloop__slab_take(&future->loop->slab, sizeof *then);
    if (then == NULL) {
        aloop_future_unref(future);
        return callback == NULL ? ALOOP_EINVAL : ALOOP_ENOMEM;
    }
    list_init(&then->wait.ready.node);
    then->wait.ready.run = run;
    then->wait.owner = NULL;
    then->future = future;
    then->callback = callback;
    then->arg = arg;
    aloop__future_wait(future, &then->wait);
    return 0;
}
