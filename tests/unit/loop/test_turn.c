/* Turns of the loop: what runs in one, and what ends it. */

#include "support/fixture.h"

static void a_stop_ends_a_step_and_nothing_else(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_detach(aloop_sleep(t.loop, 5 * MS));
    aloop_defer(t.loop, stop_now, NULL);
    assert_int_equal(aloop_step(t.loop, -1), 1);
    assert_true(aloop_now(t.loop) == begin);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
}

static void a_stop_before_a_step_or_an_await_ends_the_next_run(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_future *sleep = aloop_sleep(t.loop, 5 * MS);

    (void) state;
    aloop_stop(t.loop);
    assert_int_equal(aloop_step(t.loop, 3 * MS), 1);
    assert_true(aloop_now(t.loop) == begin + 3 * MS);
    assert_int_equal(aloop_await(sleep), 0);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
    assert_int_equal(aloop_run(t.loop), 1); /* The stop applied to this run. */
    assert_int_equal(aloop_run(t.loop), 0);
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    note((int) (intptr_t) arg);
}

static void stopped_timers_do_not_end_a_step(void **state)
{
    enum { TIMERS = 1000 };
    aloop_timer *timers[TIMERS + 1];
    int64_t begin = aloop_now(t.loop);

    (void) state;
    for (int i = 0; i < TIMERS; i++)
        aloop_timer_start(t.loop, MS + i, 0, on_timer, NULL, &timers[i]);
    aloop_timer_start(t.loop, 5 * MS, 0, on_timer, (void *) 1, &timers[TIMERS]);
    for (int i = 0; i < TIMERS; i++)
        aloop_timer_stop(timers[i]);
    aloop_step(t.loop, -1);
    assert_noted(1);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
    for (int i = 0; i <= TIMERS; i++)
        aloop_timer_close(timers[i]);
}

static void is_busy_and_defers_again(aloop *loop, void *arg)
{
    sim_advance(MS);
    if (++t.calls < 5)
        aloop_defer(loop, is_busy_and_defers_again, arg);
}

/* No timer is started, so only the decision to poll reads the clock. */
static void a_busy_loop_polls_the_reactor_from_the_beginning(void **state)
{
    unsigned before = sim_wakes();

    (void) state;
    aloop_post(t.loop, is_busy_and_defers_again, NULL);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 5);
    assert_int_equal(sim_wakes() - before, 5);
}

static void defer_again(aloop *loop, void *arg)
{
    int *left = arg;

    note(*left);
    if (--*left > 0)
        aloop_defer(loop, defer_again, arg);
}

static void work_queued_by_a_callback_runs_in_the_next_turn(void **state)
{
    static int left; /* The last call runs while the loop is freed. */

    (void) state;
    left = 3;
    aloop_defer(t.loop, defer_again, &left);
    aloop_step(t.loop, 0);
    assert_noted(3);
    aloop_step(t.loop, 0);
    assert_noted(3, 2);
}

static void deferred_calls_run_first_in_first_out(void **state)
{
    (void) state;
    for (int i = 1; i <= 5; i++)
        aloop_defer(t.loop, note_call, as_arg(i));
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 4, 5);
}

static void a_turn_runs_timers_then_queued_work_then_waits(void **state)
{
    (void) state;
    aloop_defer(t.loop, note_call, as_arg(2));
    start_timer(0, 1);
    start_timer(MS, 3);
    aloop_step(t.loop, -1); /* It has called back, so it does not wait. */
    assert_noted(1, 2);
    aloop_step(t.loop, -1);
    assert_noted(1, 2, 3);
}

static void a_step_waits_no_longer_than_its_timeout(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start_timer(10 * MS, 1);
    assert_int_equal(aloop_step(t.loop, 0), 1);
    assert_true(aloop_now(t.loop) == begin);
    assert_int_equal(aloop_step(t.loop, 3 * MS), 1);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
    aloop_step(t.loop, -1);
    assert_true(aloop_now(t.loop) - begin == 10 * MS);
    assert_int_equal(aloop_step(t.loop, 0), 0);
    assert_noted(1);
}

static void done(void)
{
    t.calls++;
}

static void done_by_timer(aloop_timer *timer, void *arg)
{
    (void) arg;
    aloop_timer_close(timer);
    done();
}

static void begin_timer(void)
{
    aloop_timer *timer;

    aloop_timer_start(t.loop, 10 * MS, 0, done_by_timer, NULL, &timer);
}

static ssize_t done_by_task(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_gather(loop, aloop_sleep(loop, 10 * MS),
                             aloop_sleep(loop, 10 * MS)));
    done();
    return 0;
}

static void begin_task(void)
{
    aloop_detach(aloop_spawn(t.loop, done_by_task, NULL));
    aloop_step(t.loop, 0); /* The first run of a task is a call, too. */
}

static void done_by_call(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    done();
}

static void begin_defer(void)
{
    aloop_defer(t.loop, done_by_call, NULL);
}

static void begin_post(void)
{
    aloop_post(t.loop, done_by_call, NULL);
}

static void post_it(void *arg)
{
    (void) arg;
    begin_post();
}

static void begin_post_later(void)
{
    sim_at(10 * MS, post_it, NULL);
}

static void done_by_then(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) status;
    (void) arg;
    done();
}

static void begin_continuation(void)
{
    aloop_then(aloop_sleep(t.loop, 10 * MS), done_by_then, NULL);
}

static void done_by_signal(aloop_signal *watch, int number, void *arg)
{
    (void) number;
    (void) arg;
    aloop_signal_close(watch);
    done();
}

static void raise_it(void *arg)
{
    (void) arg;
    sim_raise(10);
}

static void begin_signal(void)
{
    aloop_signal *watch;

    aloop_signal_start(t.loop, 10, done_by_signal, NULL, &watch);
    sim_at(10 * MS, raise_it, NULL);
}

static void done_by_accept(aloop_listener *listener, aloop_stream *stream,
                           void *arg)
{
    (void) listener;
    (void) arg;
    aloop_stream_abort(stream);
    done();
}

static void connect_it(void *arg)
{
    (void) arg;
    sim_peer_close(sim_connect(9));
}

static void begin_accept(void)
{
    sim_at(10 * MS, connect_it, NULL);
}

static void begin_report(void)
{
    aloop_future_unref(aloop_future_new_settled(t.loop, ALOOP_EPERM));
}

static void a_step_returns_once_something_has_run(void **state)
{
    static void (*const begin[])(void) = {
        begin_timer,      begin_task,   begin_defer,  begin_post,
        begin_post_later, begin_accept, begin_report, begin_continuation,
    };
    aloop_listener *listener;

    (void) state;
    aloop_tcp_listen(t.loop, "127.0.0.1", "9", done_by_accept, NULL, &listener);
    for (int i = 0; i < (int) (sizeof begin / sizeof begin[0]); i++) {
        begin[i]();
        assert_int_equal(aloop_step(t.loop, -1), 1);
        assert_int_equal(t.calls + t.unhandled, i + 1);
    }
}

/* The kernel interrupts the wait, and reports nothing that is ready then. */
static void the_step_after_an_interrupted_one_calls_back(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    begin_signal();
    assert_int_equal(aloop_step(t.loop, ALOOP_SEC(2)), 1);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_step(t.loop, ALOOP_SEC(2)), 0);
    assert_int_equal(t.calls, 1);
    assert_true(aloop_now(t.loop) == begin + 10 * MS);
}

static void a_step_that_has_called_back_does_not_wait(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start_timer(0, 1);
    start_timer(10 * MS, 2);
    aloop_step(t.loop, -1);
    assert_noted(1);
    assert_true(aloop_now(t.loop) == begin);
}

static void a_step_with_only_unreferenced_handles_waits(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *timer = start_timer(50 * MS, 1);

    (void) state;
    aloop_timer_unref(timer);
    assert_int_equal(aloop_step(t.loop, 20 * MS), 0);
    assert_true(aloop_now(t.loop) == begin + 20 * MS);
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_step(t.loop, -1), 0);
    assert_true(aloop_now(t.loop) == begin + 50 * MS);
    assert_noted(1);
}

/* The timer has expired, and is not active any more. */
static void a_step_that_nothing_could_end_returns_immediately(void **state)
{
    aloop_timer *timer = start_timer(0, 1);
    int64_t begin;

    (void) state;
    aloop_step(t.loop, 0);
    begin = aloop_now(t.loop);
    assert_int_equal(aloop_step(t.loop, -1), 0);
    assert_true(aloop_now(t.loop) == begin);
    assert_int_equal(aloop_step(t.loop, 5 * MS), 0);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
    aloop_timer_close(timer);
}

static void wake_it(void *arg)
{
    aloop_wake(arg);
}

static void a_wake_up_ends_a_step_without_a_call(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start_timer(50 * MS, 1);
    sim_at(5 * MS, wake_it, t.loop);
    assert_int_equal(aloop_step(t.loop, -1), 1);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
    assert_int_equal(t.noted, 0);
}

static int rounds;

static void defer_many_times(aloop *loop, void *arg)
{
    if (++rounds < 100000)
        aloop_defer(loop, defer_many_times, arg);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    if (size > 0)
        note(rounds);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    aloop_stream_start(stream, on_data, NULL);
    aloop_stream_unref(stream);
    aloop_listener_close(listener);
}

static void queued_work_does_not_starve_io(void **state)
{
    aloop_listener *listener;
    int peer;

    (void) state;
    rounds = 0;
    aloop_tcp_listen(t.loop, "127.0.0.1", "7", on_stream, NULL, &listener);
    peer = sim_connect(7);
    assert_int_equal(sim_peer_send(peer, "x", 1), 1);
    sim_pass(MS);
    aloop_defer(t.loop, defer_many_times, NULL);
    aloop_run(t.loop);
    assert_int_equal(t.noted, 1);
    assert_true(t.order[0] < 200);
    sim_peer_close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stop_ends_a_step_and_nothing_else),
        TEST(a_stop_before_a_step_or_an_await_ends_the_next_run),
        TEST(stopped_timers_do_not_end_a_step),
        TEST(a_busy_loop_polls_the_reactor_from_the_beginning),
        TEST(work_queued_by_a_callback_runs_in_the_next_turn),
        TEST(deferred_calls_run_first_in_first_out),
        TEST(a_turn_runs_timers_then_queued_work_then_waits),
        TEST(a_step_waits_no_longer_than_its_timeout),
        TEST(a_step_returns_once_something_has_run),
        TEST(the_step_after_an_interrupted_one_calls_back),
        TEST(a_step_that_has_called_back_does_not_wait),
        TEST(a_step_with_only_unreferenced_handles_waits),
        TEST(a_step_that_nothing_could_end_returns_immediately),
        TEST(a_wake_up_ends_a_step_without_a_call),
        TEST(queued_work_does_not_starve_io),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
