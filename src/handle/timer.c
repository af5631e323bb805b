/* Timers as handles, and sleeping as a future.
 *
 * Both embed an entry of the queue of deadlines (loop/timed.c).  A timer is
 * active exactly while its entry is started or due.  The entry of a periodic
 * timer is started again before the callback, so that the callback may stop,
 * change or close the timer like any other code. */

#include "aloop/timer.h"

#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/quarantine.h"
#include "loop/report.h"
#include "loop/timed.h"

struct aloop_timer {
    struct aloop__handle handle;
    struct aloop__timed timed;
    int64_t period_ns; /* 0 if the timer is one-shot. */
    aloop_timer_cb on_expire;
    void *arg;
};

/* handle->close; also takes a timer that is due but has not fired out of the
 * batch. */
static void timer_close(struct aloop__handle *handle)
{
    aloop_timer *timer = CONTAINER_OF(handle, aloop_timer, handle);

    aloop__timed_clear(handle->loop, &timer->timed);
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops timer_ops = {
    .name = "timer",
    .size = sizeof(aloop_timer),
    .close = timer_close,
};

/* Returns the first point of the timer's grid after now_ns.  It computes with
 * unsigned numbers, because the distance to a time far in the past may not fit
 * into an int64_t. */
static int64_t next_point(const aloop_timer *timer, int64_t now_ns)
{
    uint64_t late_ns = (uint64_t) now_ns - (uint64_t) timer->timed.when_ns;
    uint64_t past_ns = late_ns % (uint64_t) timer->period_ns;

    return aloop__after(now_ns, timer->period_ns - (int64_t) past_ns);
}

/* timed->fire.  A periodic timer keeps its grid: it does not drift if it fires
 * late, and after a long delay it fires once instead of catching up. */
static void timer_due(struct aloop__timed *timed)
{
    aloop_timer *timer = CONTAINER_OF(timed, aloop_timer, timed);
    aloop *loop = timer->handle.loop;
    /* A one-shot timer ends like a periodic one that cannot be started
     * again. */
    int error = ALOOP_EAGAIN;

    if (timer->period_ns > 0 && !loop->is_dying) /* It would end each wait. */
        error =
            aloop__timed_set(loop, timed, next_point(timer, aloop__now(loop)));
    if (error < 0)
        aloop__handle_set_active(&timer->handle, false);
    if (error < 0 && timer->period_ns > 0 && !loop->is_dying)
        aloop__unhandled(loop, error, "periodic timer");
    if (aloop__may_call(loop)) {
        timer->on_expire(timer, timer->arg); /* It may close the timer. */
        aloop__called(loop, "the callback of a timer");
    }
}

/* Starts the timer, or moves it.  After an error it is as it was before. */
static int set(aloop_timer *timer, int64_t when_ns)
{
    int error = aloop__timed_set(timer->handle.loop, &timer->timed, when_ns);

    if (error == 0)
        aloop__handle_set_active(&timer->handle, true);
    return error;
}

/* The time may be in the past, and the timer fires in the next turn then. */
int aloop_timer_restart_at(aloop_timer *timer, int64_t when_ns)
{
    int error = aloop__check_handle(timer, __func__);

    return error < 0 ? error : set(timer, when_ns);
}

/* The sum saturates: a delay of INT64_MAX is valid. */
static int restart(aloop_timer *timer, int64_t delay_ns)
{
    return set(timer, aloop__after(aloop__now(timer->handle.loop), delay_ns));
}

int aloop_timer_restart(aloop_timer *timer, int64_t delay_ns)
{
    int error = aloop__check_handle(timer, __func__);

    return error < 0 ? error : restart(timer, delay_ns);
}

static aloop_timer *new_timer(aloop *loop, aloop_timer_cb on_expire, void *arg)
{
    aloop_timer *timer = aloop__object_take(loop, sizeof *timer);

    if (timer == NULL)
        return NULL;
    *timer = (aloop_timer){.timed.fire = timer_due,
                           .on_expire = on_expire,
                           .arg = arg};
    aloop__handle_begin(&timer->handle, loop, &timer_ops);
    return timer;
}

aloop_timer *aloop_timer_new(aloop *loop, aloop_timer_cb on_expire, void *arg)
{
    if (aloop__check_loop(loop, __func__) < 0 || on_expire == NULL)
        return NULL;
    return new_timer(loop, on_expire, arg);
}

/* The timer is handed over only after it was started, so that a failure leaves
 * nothing behind. */
int aloop_timer_start(aloop *loop, int64_t delay_ns, int64_t period_ns,
                      aloop_timer_cb on_expire, void *arg,
                      aloop_timer **ret_timer)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_timer *timer;

    if (error < 0)
        return error;
    if (on_expire == NULL || ret_timer == NULL || period_ns < 0)
        return ALOOP_EINVAL;
    timer = new_timer(loop, on_expire, arg);
    if (timer == NULL)
        return ALOOP_ENOMEM;
    timer->period_ns = period_ns;
    error = restart(timer, delay_ns);
    if (error < 0)
        timer_close(&timer->handle);
    else
        *ret_timer = timer;
    return error;
}

/* The present deadline stays; the new period counts from it. */
int aloop_timer_set_period(aloop_timer *timer, int64_t period_ns)
{
    int error = aloop__check_handle(timer, __func__);

    if (error < 0 || period_ns < 0)
        return error < 0 ? error : ALOOP_EINVAL;
    timer->period_ns = period_ns;
    return 0;
}

int aloop_timer_stop(aloop_timer *timer)
{
    int error = aloop__check_handle(timer, __func__);
    aloop *loop;

    if (error < 0)
        return error;
    loop = timer->handle.loop;
    aloop__timed_suspend(loop, &timer->timed);
    aloop__handle_set_active(&timer->handle, false);
    return 0;
}

/* NULL is allowed: a program may ask before it has started the timer. */
bool aloop_timer_is_active(const aloop_timer *timer)
{
    return timer != NULL && aloop__check_handle(timer, __func__) == 0 &&
           aloop__handle_is_active(&timer->handle);
}

/* Never negative for an active timer: one that is late has 0 ns left. */
int64_t aloop_timer_due_ns(const aloop_timer *timer)
{
    if (timer == NULL || aloop__check_handle(timer, __func__) < 0 ||
        !aloop__handle_is_active(&timer->handle))
        return -1;
    return aloop__until(aloop__now(timer->handle.loop), timer->timed.when_ns);
}

void aloop_timer_ref(aloop_timer *timer)
{
    aloop__handle_reference((struct aloop__handle *) timer, true, __func__);
}

void aloop_timer_unref(aloop_timer *timer)
{
    aloop__handle_reference((struct aloop__handle *) timer, false, __func__);
}

void aloop_timer_close(aloop_timer *timer)
{
    if (timer != NULL && aloop__check_handle(timer, __func__) == 0)
        timer_close(&timer->handle);
}

/* Sleeping. */

struct sleep {
    aloop_future future;
    struct aloop__timed timed;
};

/* ops->cancel: settles immediately. */
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
    .is_live = true,
};

/* timed->fire.  The task that awaits the sleep resumes in the next turn. */
static void sleep_due(struct aloop__timed *timed)
{
    struct sleep *sleep = CONTAINER_OF(timed, struct sleep, timed);

    aloop__future_settle(&sleep->future, 0);
}

/* A time that has passed settles in the next turn, like any other deadline. */
aloop_future *aloop_sleep_until(aloop *loop, int64_t when_ns)
{
    int error = aloop__check_loop(loop, __func__);
    struct sleep *sleep;

    if (error < 0)
        return aloop__future_refused(error);
    sleep = aloop__future_new(loop, &sleep_ops);
    if (sleep == NULL)
        return NULL;
    aloop__timed_init(&sleep->timed, sleep_due);
    if (aloop__timed_set(loop, &sleep->timed, when_ns) < 0)
        return aloop__future_drop_new(&sleep->future);
    return &sleep->future;
}

aloop_future *aloop_sleep(aloop *loop, int64_t delay_ns)
{
    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return aloop__future_refused(error);
    return aloop_sleep_until(loop, aloop__after(aloop__now(loop), delay_ns));
}
