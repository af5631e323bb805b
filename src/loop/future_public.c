/* The public functions of aloop/future.h.
 *
 * They check their arguments, and call the core, future.c.  NULL and the
 * constants without a loop are valid arguments of all of them.  Functions that
 * may have cancelled an operation of the application call its on_cancel before
 * they return (operation.c); the library itself calls the *_checked ones, which
 * do not. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/operation.h"

aloop_future *aloop_future_new_settled(aloop *loop, ssize_t status)
{
    if (loop == NULL || status == ALOOP_PENDING)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    return aloop__future_new_settled(loop, status);
}

/* ops->cancel: a promise has no work that would have to end first. */
static void promise_cancel(aloop_future *future)
{
    aloop__future_settle(future, ALOOP_ECANCELED);
}

static const struct aloop__future_ops promise_ops = {
    .name = "promise",
    .size = sizeof(aloop_future),
    .cancel = promise_cancel,
    .is_promise = true,
};

aloop_future *aloop_future_new(aloop *loop)
{
    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return aloop__future_refused(error);
    return aloop__future_new(loop, &promise_ops);
}

/* Only promises are settled by the application in this way. */
int aloop_future_resolve(aloop_future *future, ssize_t status)
{
    int error = aloop__check_future(future, __func__, USE_LOOK);

    if (error < 0)
        return error;
    if (future == NULL || future->ops != &promise_ops ||
        status == ALOOP_PENDING)
        return ALOOP_EINVAL;
    if (!aloop__future_is_pending(future))
        return ALOOP_EALREADY;
    aloop__future_settle(future, status);
    return 0;
}

aloop_future *aloop_future_ref(aloop_future *future)
{
    if (aloop__check_future(future, __func__, USE_MORE) == 0 &&
        future != NULL && future->loop != NULL)
        future->refs++;
    return future;
}

/* Returns whether dropping the reference cancels a task that was not cancelled
 * before. */
static bool is_lost_task(const aloop_future *future)
{
    return future->ops->is_task && aloop__future_is_pending(future) &&
           aloop__future_is_ours(future) && !future->is_cancelling &&
           !future->loop->is_dying;
}

/* Drops the caller's reference, and returns the loop of the future, which
 * itself may be freed.  Returns NULL if the check has failed, or if there is no
 * loop. */
static aloop *unref(aloop_future *future)
{
    static const char function[] = "aloop_future_unref";
    aloop *loop;

    if (aloop__check_future(future, function, USE_UP) < 0 || future == NULL ||
        future->loop == NULL)
        return NULL;
    loop = future->loop;
    if (loop->debug != NULL && is_lost_task(future))
        aloop__debug_report_future(MISTAKE_DROPPED, function, future);
    aloop__future_unref(future);
    return loop;
}

void aloop__future_unref_checked(aloop_future *future)
{
    (void) unref(future);
}

void aloop_future_unref(aloop_future *future)
{
    aloop *loop = unref(future);

    if (loop != NULL)
        aloop__operations_notify(loop);
}

/* Requests the end of a future.  Sets *ret_loop if the future was pending; the
 * future may be freed. */
static int cancel(aloop_future *future, aloop **ret_loop)
{
    int error = aloop__check_future(future, "aloop_cancel", USE_LOOK);

    if (error < 0)
        return error;
    if (future == NULL || future->loop == NULL ||
        !aloop__future_is_pending(future))
        return 0;
    *ret_loop = future->loop;
    aloop__future_cancel(future);
    return 1;
}

int aloop__future_cancel_checked(aloop_future *future)
{
    aloop *loop;

    return cancel(future, &loop);
}

int aloop_cancel(aloop_future *future)
{
    aloop *loop = NULL;
    int result = cancel(future, &loop);

    if (loop != NULL)
        aloop__operations_notify(loop);
    return result;
}

/* The mark comes first, so that dropping the last reference does not cancel. */
void aloop_detach(aloop_future *future)
{
    if (aloop__check_future(future, __func__, USE_UP) < 0 || future == NULL ||
        future->loop == NULL)
        return;
    future->is_detached = true;
    aloop__future_unref(future);
}

/* A status that was read counts as delivered: an error needs no report, and a
 * grant belongs to the caller. */
ssize_t aloop_future_status(aloop_future *future)
{
    int error = aloop__check_future(future, __func__, USE_LOOK);

    if (error < 0 || future == NULL)
        return error < 0 ? error : ALOOP_ENOMEM;
    if (future->loop != NULL && !aloop__future_is_pending(future)) {
        future->is_handled = true;
        future->is_taken = true;
    }
    return future->status;
}

bool aloop_future_is_settled(const aloop_future *future)
{
    return future == NULL ||
           aloop__check_future(future, __func__, USE_LOOK) < 0 ||
           !aloop__future_is_pending(future);
}
