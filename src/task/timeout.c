/* A future with a time limit.  It cancels its target when the limit has passed,
 * and settles when the target has settled.
 *
 * A limit that passes after the target was cancelled for another reason has no
 * effect.  If that target then ends with ALOOP_ECANCELED, the timeout settles
 * with ALOOP_ECANCELED if it was cancelled as well, and with ALOOP_EABORTED
 * otherwise. */

#include "aloop/timeout.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/timed.h"

/* `is_live` keeps the loop alive for a target that does not, such as a promise:
 * otherwise the loop could end before the limit. */
struct timeout {
    aloop_future future;
    struct aloop__awaiter target;
    struct aloop__tie tie;
    struct aloop__timed timed;
    struct aloop__node grants; /* The target, if it settled with one. */
    int reason; /* Why this future cancelled its target; 0: it did not. */
};

/* Cancels the target and notes why, unless something else has cancelled it
 * before.  A target that has settled is not cancelled any more, although
 * timeout_target_ended() has not run yet. */
static void end_target(struct timeout *timeout, int reason)
{
    aloop_future *target = timeout->target.future;

    if (!target->is_cancelling && aloop__future_cancel_checked(target) == 1)
        timeout->reason = reason;
}

static void timeout_cancel(aloop_future *future)
{
    end_target(CONTAINER_OF(future, struct timeout, future), ALOOP_ECANCELED);
}

/* If the caller has not received the success of the target, its grant is given
 * back. */
static void timeout_fini(aloop_future *future)
{
    struct timeout *timeout = CONTAINER_OF(future, struct timeout, future);

    aloop__grants_drop(&timeout->grants,
                       future->is_taken && future->status >= 0);
}

static const struct aloop__future_ops timeout_ops = {
    .name = "timeout",
    .size = sizeof(struct timeout),
    .tie = offsetof(struct timeout, tie),
    .awaiter = offsetof(struct timeout, target),
    .cancel = timeout_cancel,
    .fini = timeout_fini,
    .is_live = true,
};

/* timed->fire: the limit has passed.  The timeout still waits for the
 * target. */
static void timeout_due(struct aloop__timed *timed)
{
    end_target(CONTAINER_OF(timed, struct timeout, timed), ALOOP_ETIMEDOUT);
}

/* The status for a target that ended with ALOOP_ECANCELED.  If the target and
 * the timeout were cancelled together, the target may have been marked first,
 * so that `reason` is 0. */
static int cancel_status(const struct timeout *timeout)
{
    if (timeout->reason != 0)
        return timeout->reason;
    return timeout->future.is_cancelling ? ALOOP_ECANCELED : ALOOP_EABORTED;
}

/* ready->run of the awaiter: the target has settled, with or without the
 * limit. */
static void timeout_target_ended(struct aloop__ready *ready)
{
    struct timeout *timeout = CONTAINER_OF(ready, struct timeout, target.ready);
    aloop_future *target = timeout->target.future;
    aloop *loop = timeout->future.loop;
    ssize_t status = target->status;

    timeout->target.future = NULL;
    aloop__future_include(target);
    aloop__grants_keep(&timeout->grants, target);
    timeout->future.is_grant = !list_is_empty(&timeout->grants);
    aloop__timed_clear(loop, &timeout->timed);
    if (status == ALOOP_ECANCELED)
        status = cancel_status(timeout);
    aloop__future_settle(&timeout->future, status);
}

/* Cancels a target that there is no memory to limit: it should not run without
 * a limit.  The caller still waits until it has ended. */
static aloop_future *without_limit(aloop_future *target)
{
    aloop__future_cancel_checked(target);
    return target;
}

/* A future that has failed without a loop needs no limit and is returned as it
 * is. */
aloop_future *aloop_timeout(aloop_future *future, int64_t delay_ns)
{
    int error = aloop__check_future(future, __func__, USE_UP);
    struct timeout *timeout;
    aloop *loop;
    int64_t when_ns;

    if (error < 0)
        return aloop__future_refused(error);
    if (future == NULL || future->loop == NULL)
        return future;
    loop = future->loop;
    timeout = aloop__future_new(loop, &timeout_ops);
    if (timeout == NULL)
        return without_limit(future);
    aloop__awaiter_init(&timeout->target, timeout_target_ended,
                        &timeout->future);
    list_init(&timeout->grants);
    aloop__timed_init(&timeout->timed, timeout_due);
    when_ns = aloop__after(aloop__now(loop), delay_ns);
    if (aloop__timed_set(loop, &timeout->timed, when_ns) < 0) {
        aloop__future_drop_new(&timeout->future);
        return without_limit(future);
    }
    aloop__awaiter_add(&timeout->target, future);
    return &timeout->future;
}
