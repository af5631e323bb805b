/* Timers of all kinds, and futures that are settled by callbacks. */

#include "torture.h"

enum { TICKS = 40, PERIODS = 4, PROMISES = 6 };

struct tick {
    struct torture_watch watch;
    aloop *loop;
    aloop_timer *timer;
    int64_t due_ns;
    bool was_started;
};

static struct tick ticks[TICKS];
static struct tick periodic, stopped, again, sooner;

static void on_tick(aloop_timer *timer, void *arg)
{
    struct tick *tick = arg;

    torture_called(&tick->watch);
    torture_expect(timer == tick->timer, "the callback of another timer");
    torture_expect(aloop_now(tick->loop) >= tick->due_ns, "a timer is early");
    tick->watch.is_closed = true;
    aloop_timer_close(timer);
}

static void on_period(aloop_timer *timer, void *arg)
{
    struct tick *tick = arg;

    torture_called(&tick->watch);
    if (tick->watch.calls < PERIODS)
        return;
    tick->watch.is_closed = true;
    aloop_timer_close(timer);
    if (stopped.was_started)
        torture_expect(aloop_timer_stop(stopped.timer) == 0, "stop fails");
    stopped.watch.is_closed = true;
}

static void start(aloop *loop, struct tick *tick, int64_t delay_ns,
                  int64_t period_ns, aloop_timer_cb callback, ssize_t *error)
{
    int status;

    tick->watch.what = "a stopped timer runs";
    tick->watch.calls_max = period_ns > 0 ? PERIODS : 1;
    tick->loop = loop;
    tick->due_ns = aloop_now(loop) + delay_ns;
    status = aloop_timer_start(loop, delay_ns, period_ns, callback, tick,
                               &tick->timer);
    torture_expect((status == 0) == (tick->timer != NULL),
                   "a failed start writes its result, or a good one does not");
    tick->was_started = status == 0;
    torture_keep(error, status);
}

static void expect_all_ran(void)
{
    for (size_t i = 0; i < TICKS; i++)
        torture_expect(ticks[i].watch.calls == ticks[i].was_started,
                       "a timer never ran");
    torture_expect(!periodic.was_started || periodic.watch.calls == PERIODS,
                   "a periodic timer has stopped");
}

ssize_t torture_timers(aloop *loop)
{
    ssize_t error = 0, passed;

    for (int i = 0; i < TICKS; i++)
        start(loop, &ticks[i], i * 37 % 20 * MS, 0, on_tick, &error);
    start(loop, &periodic, 3 * MS, 3 * MS, on_period, &error);
    start(loop, &stopped, 100 * MS, 0, on_tick, &error);
    start(loop, &again, MS, 0, on_tick, &error);
    if (again.was_started && aloop_timer_restart(again.timer, 300 * MS) < 0)
        error = ALOOP_ENOMEM;
    start(loop, &sooner, 500 * MS, 0, on_tick, &error);
    sooner.due_ns = aloop_now(loop) + 5 * MS;
    if (sooner.was_started && aloop_timer_restart(sooner.timer, 5 * MS) < 0)
        error = ALOOP_ENOMEM;
    if (stopped.was_started && !periodic.was_started)
        aloop_timer_stop(stopped.timer);
    passed = torture_pass(loop, 30 * MS);
    torture_keep(&error, passed);
    torture_expect(passed < 0 || sooner.watch.calls == sooner.was_started,
                   "a moved timer does not run when due");
    if (again.was_started) {
        aloop_timer_close(again.timer);
        again.watch.is_closed = true;
    }
    int status = aloop_run(loop);
    torture_keep(&error, status);
    if (status == 0)
        expect_all_ran();
    return error;
}

static aloop_future *promises[PROMISES];
static struct torture_watch promise_watches[PROMISES];
static struct torture_watch done = {"settled twice", 0, 1, false};
static struct torture_watch deferred = {"deferred twice", 0, 1, false};

static void on_promise(aloop_future *future, ssize_t status, void *arg)
{
    struct torture_watch *watch = arg;

    torture_called(watch);
    torture_expect(aloop_future_is_settled(future),
                   "called back before it has settled");
    /* Dropping the only owning reference cancels a promise. */
    torture_expect(status == 7 ||
                       (status == ALOOP_ECANCELED && deferred.calls == 0),
                   "wrong status");
}

static void resolve_all(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    torture_called(&deferred);
    for (size_t i = 0; i < PROMISES; i++) {
        if (promises[i] == NULL)
            continue;
        torture_expect(aloop_future_resolve(promises[i], 7) == 0,
                       "a promise cannot be settled");
        torture_expect(aloop_future_resolve(promises[i], 8) == ALOOP_EALREADY,
                       "a promise is settled twice");
    }
}

/* Promises with callbacks. */
ssize_t torture_then(aloop *loop)
{
    bool is_attached[PROMISES] = {false};
    ssize_t error = 0;
    int status;

    for (size_t i = 0; i < PROMISES; i++) {
        promise_watches[i] =
            (struct torture_watch){"a continuation runs twice", 0, 1, false};
        promises[i] = aloop_future_new(loop);
        status = promises[i] == NULL
                     ? ALOOP_ENOMEM
                     : aloop_then(aloop_future_ref(promises[i]), on_promise,
                                  &promise_watches[i]);
        is_attached[i] = status == 0;
        torture_keep(&error, status);
    }
    torture_keep(&error, aloop_defer(loop, resolve_all, NULL));
    torture_keep(&error, aloop_then(aloop_future_new_settled(loop, 7),
                                    on_promise, &done));
    aloop_future_unref(aloop_sleep(loop, ALOOP_SEC(1)));
    aloop_detach(aloop_sleep(loop, MS));
    status = aloop_run(loop);
    torture_keep(&error, status);
    for (size_t i = 0; i < PROMISES; i++) {
        if (status == 0 && is_attached[i] && deferred.calls > 0)
            torture_expect(promise_watches[i].calls == 1,
                           "a continuation never runs");
        aloop_future_unref(promises[i]);
    }
    return error;
}
