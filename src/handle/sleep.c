/* Sleeping: a deadline as a future. */

#include "aloop/timer.h"
#include "loop/debug.h"

struct sleep {
    aloop_future future;
    struct aloop__timed timed;
};

static void sleep_cancel(aloop_future *future)
{
    struct sleep *sleep = CONTAINER_OF(future, struct sleep, future);

    aloop__timed_clear(future->loop, &sleep->timed);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

static const struct aloop__future_ops sleep_ops = {
    .name = "sleep",
    .size = sizeof(struct sleep),
    .cancel = sleep_cancel,
    .is_live = true};

static void on_due(struct aloop__timed *timed)
{
    struct sleep *sleep = CONTAINER_OF(timed, struct sleep, timed);

    aloop__future_settle(&sleep->future, 0);
}

aloop_future *aloop_sleep_until(aloop *loop, int64_t when_ns)
{
    int error = aloop__check_loop(loop, __func__);
    struct sleep *sleep;

    if (error < 0)
        return aloop__future_refused(error);
    sleep = aloop__future_new(loop, &sleep_ops);
    if (sleep == NULL)
        return NULL;
    aloop__timed_init(&sleep->timed, on_due);
    if (aloop__timed_set(loop, &sleep->timed, when_ns) < 0)
        return aloop__future_discard(&sleep->future);
    return &sleep->future;
}

aloop_future *aloop_sleep(aloop *loop, int64_t delay_ns)
{
    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return aloop__future_refused(error);
    return aloop_sleep_until(loop, aloop__after(aloop__now(loop), delay_ns));
}
