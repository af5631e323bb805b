/* Waiting for one signal: a future that owns a watch.
 *
 * The watch is its own pair, so that the handler ends it.  Therefore the next
 * signal has its previous effect even if the loop is blocked. */

#include "handle/signal.h"
#include "loop/debug.h"
#include "loop/future.h"

struct signal_wait {
    aloop_future future;
    aloop_signal *watch;
};

/* ops->cancel.  The watch is closed first, so that signal_waited() cannot run
 * any more. */
static void signal_wait_cancel(aloop_future *future)
{
    aloop_signal_close(CONTAINER_OF(future, struct signal_wait, future)->watch);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

static const struct aloop__future_ops signal_wait_ops = {
    .name = "signal wait",
    .size = sizeof(struct signal_wait),
    .cancel = signal_wait_cancel,
    .is_live = true,
};

/* The callback of the watch.  The handler has ended the watch for the system
 * already; this frees its memory. */
static void signal_waited(aloop_signal *watch, int number, void *arg)
{
    struct signal_wait *wait = arg;

    aloop_signal_close(watch);
    aloop__future_settle(&wait->future, number);
}

aloop_future *aloop_signal_wait(aloop *loop, int number)
{
    int error = aloop__check_loop(loop, __func__);
    struct signal_wait *wait;

    if (error < 0)
        return aloop__future_refused(error);
    wait = aloop__future_new(loop, &signal_wait_ops);
    if (wait == NULL)
        return NULL;
    error = aloop_signal_start(loop, number, signal_waited, wait, &wait->watch);
    if (error < 0) {
        aloop__future_settle(&wait->future, error);
        return &wait->future;
    }
    aloop_signal_unref(wait->watch); /* The future keeps the loop alive. */
    aloop__signal_pair(wait->watch, wait->watch);
    return &wait->future;
}
