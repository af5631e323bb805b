/* Signal watches, their callbacks and their wake-ups, on the simulated
 * system. */

#include "support/fixture.h"

#include <signal.h>

#include "os/sys.h"

static void count(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) arg;
    t.calls++;
    note(number);
}

static aloop_signal *watch(int number, aloop_signal_cb on_signal, void *arg)
{
    aloop_signal *signal = NULL;

    assert_int_equal(
        aloop_signal_start(t.loop, number, on_signal, arg, &signal), 0);
    return signal;
}

static void run_for(int64_t ns)
{
    assert_int_equal(aloop_await(aloop_sleep(t.loop, ns)), 0);
}

static void ten_signals_are_ten_callbacks(void **state)
{
    aloop_signal *signal = watch(SIGUSR1, count, NULL);

    (void) state;
    for (int i = 0; i < 10; i++)
        assert_true(sim_raise(SIGUSR1));
    assert_int_equal(t.calls, 0); /* No callback runs inside the handler. */
    run_for(MS);

    assert_int_equal(t.calls, 10);
    aloop_signal_close(signal);
}

static void raise_it(void *arg)
{
    (void) arg;
    sim_raise(SIGUSR1);
}

static void a_signal_ends_the_wait_of_a_loop(void **state)
{
    aloop_signal *signal = watch(SIGUSR1, count, NULL);

    (void) state;
    sim_at(5 * MS, raise_it, NULL);
    while (t.calls == 0)
        assert_int_equal(aloop_step(t.loop, -1), 1);

    assert_true(sim_wakes() <= 3);
    aloop_signal_close(signal);
}

static void every_watch_of_a_signal_gets_it_and_no_other_signal(void **state)
{
    aloop_signal *a = watch(SIGUSR1, count, NULL);
    aloop_signal *b = watch(SIGUSR1, count, NULL);
    aloop_signal *other = watch(SIGUSR2, count, NULL);

    (void) state;
    sim_raise(SIGUSR1);
    run_for(MS);
    assert_noted(SIGUSR1, SIGUSR1);
    aloop_signal_close(a);
    sim_raise(SIGUSR2);
    sim_raise(SIGUSR1);
    run_for(MS);

    assert_int_equal(t.calls, 4);
    aloop_signal_close(b);
    aloop_signal_close(other);
}

static void a_signal_reaches_watches_of_several_loops(void **state)
{
    aloop_signal *here = watch(SIGUSR1, count, NULL), *there;
    aloop *second = aloop_new(NULL);

    (void) state;
    aloop_signal_start(second, SIGUSR1, count, NULL, &there);
    sim_raise(SIGUSR1);
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 1);
    aloop_step(second, 0);
    assert_int_equal(t.calls, 2);

    aloop_free(second); /* This closes only its own watch. */
    sim_raise(SIGUSR1);
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 3);
    aloop_signal_close(here);
}

static void the_first_watch_catches_and_the_last_restores_a_signal(void **state)
{
    aloop_signal *a, *b;

    (void) state;
    assert_false(sim_signal_caught(SIGUSR1));
    a = watch(SIGUSR1, count, NULL);
    b = watch(SIGUSR1, count, NULL);
    aloop_signal_close(a);
    assert_true(sim_signal_caught(SIGUSR1));

    aloop_signal_close(b);
    assert_false(sim_signal_caught(SIGUSR1));
    a = watch(SIGUSR1, count, NULL);
    assert_true(sim_signal_caught(SIGUSR1));
    aloop_signal_close(a);
}

/* Failure class 37: a signal is pending when its watch is closed. */
static void a_signal_received_before_the_close_has_no_callback(void **state)
{
    aloop_signal *signal = watch(SIGPIPE, count, NULL);

    (void) state;
    sim_raise(SIGPIPE);
    aloop_signal_close(signal);
    run_for(MS);

    assert_int_equal(t.calls, 0);
}

static aloop_signal *victims[3];

static void close_all(aloop_signal *signal, int number, void *arg)
{
    count(signal, number, arg);
    for (int i = 0; i < 3; i++)
        aloop_signal_close(victims[i]);
}

static void a_watch_that_closes_itself_and_others_runs_last(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        victims[i] = watch(SIGUSR1, close_all, NULL);
    sim_raise(SIGUSR1);
    sim_raise(SIGUSR1);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(t.calls, 1);
}

static void start_another(aloop_signal *signal, int number, void *arg)
{
    count(signal, number, NULL);
    *(aloop_signal **) arg = watch(number, count, NULL);
    aloop_signal_close(signal);
}

static void a_watch_started_in_a_callback_gets_the_next_signal(void **state)
{
    aloop_signal *second;

    (void) state;
    watch(SIGUSR1, start_another, &second);
    sim_raise(SIGUSR1);
    run_for(MS);
    assert_int_equal(t.calls, 1);
    sim_raise(SIGUSR1);
    run_for(MS);

    assert_int_equal(t.calls, 2);
    aloop_signal_close(second);
}

static void raise_in_the_callback(aloop_signal *signal, int number, void *arg)
{
    count(signal, number, arg);
    if (t.calls < 50)
        sim_raise(number);
}

static void a_signal_raised_in_its_callback_is_not_lost(void **state)
{
    aloop_signal *signal = watch(SIGUSR1, raise_in_the_callback, NULL);

    (void) state;
    sim_raise(SIGUSR1);
    run_for(MS);

    assert_int_equal(t.calls, 50);
    aloop_signal_close(signal);
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) arg;
    note(-t.calls);
    aloop_timer_close(timer);
}

static void only_count(aloop_signal *watch_, int number, void *arg)
{
    (void) watch_;
    (void) number;
    (void) arg;
    t.calls++;
}

/* Failure class 36: many signals arrive while the loop is busy. */
static void a_storm_of_signals_is_counted_and_starves_no_timer(void **state)
{
    aloop_signal *signal = watch(SIGUSR1, only_count, NULL);
    aloop_timer *timer;

    (void) state;
    for (int i = 0; i < 100000; i++)
        sim_raise(SIGUSR1);
    aloop_timer_start(t.loop, 0, 0, on_timer, NULL, &timer);
    for (int i = 0; i < 3; i++)
        aloop_step(t.loop, 0);
    assert_int_equal(t.noted, 1);
    assert_true(-t.order[0] < 1000);
    run_for(MS);

    assert_int_equal(t.calls, 100000);
    aloop_signal_close(signal);
}

static void numbers_that_cannot_be_caught_are_refused(void **state)
{
    aloop_signal *signal = NULL;

    (void) state;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(
            aloop_signal_start(t.loop,
                               (const int[]){0, -1, SIGKILL, SIGSTOP, 4096,
                                             SYS_SIGNAL_MAX + 1}[i],
                               count, NULL, &signal),
            ALOOP_EINVAL);
    assert_int_equal(aloop_signal_start(NULL, SIGUSR1, count, NULL, &signal),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_signal_start(t.loop, SIGUSR1, NULL, NULL, &signal),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_signal_start(t.loop, SIGUSR1, count, NULL, NULL),
                     ALOOP_EINVAL);
    assert_null(signal);
    aloop_signal_close(NULL);
    aloop_signal_ref(NULL);
    aloop_signal_unref(NULL);
    assert_false(aloop_alive(t.loop));
}

static void a_watch_keeps_the_loop_alive_unless_unreferenced(void **state)
{
    aloop_signal *signal = watch(SIGUSR1, count, NULL);

    (void) state;
    assert_true(aloop_alive(t.loop));
    aloop_signal_unref(signal);
    aloop_signal_unref(signal);
    assert_int_equal(aloop_run(t.loop), 0);
    aloop_signal_ref(signal);
    assert_true(aloop_alive(t.loop));

    aloop_signal_close(signal);
    assert_false(aloop_alive(t.loop));
}

static void a_loop_is_freed_with_its_watches_and_pending_signals(void **state)
{
    (void) state;
    watch(SIGUSR1, count, NULL);
    watch(SIGUSR2, count, NULL);
    sim_raise(SIGUSR1);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_false(sim_signal_caught(SIGUSR1));
}

static void a_watch_that_cannot_be_installed_leaves_nothing(void **state)
{
    aloop_signal *signal = NULL;

    (void) state;
    sim_fail("aloop__sys_signal_catch", 1, ALOOP_ENOMEM);
    assert_int_equal(aloop_signal_start(t.loop, SIGUSR1, count, NULL, &signal),
                     ALOOP_ENOMEM);
    assert_null(signal);
    assert_false(aloop_alive(t.loop));

    aloop_signal_close(watch(SIGUSR1, count, NULL));
}

static void a_wait_settles_with_the_number_of_the_signal(void **state)
{
    aloop_future *wait = aloop_signal_wait(t.loop, SIGUSR1);

    (void) state;
    assert_true(aloop_alive(t.loop));
    assert_true(sim_signal_caught(SIGUSR1));
    assert_true(sim_raise(SIGUSR1));
    assert_false(sim_signal_caught(SIGUSR1)); /* Before the loop runs. */
    assert_int_equal(aloop_await(wait), SIGUSR1);
    assert_false(aloop_alive(t.loop));
}

static void a_cancelled_wait_restores_the_signal(void **state)
{
    aloop_future *waits[2];
    size_t first = 9;

    (void) state;
    waits[0] = aloop_signal_wait(t.loop, SIGUSR1);
    waits[1] = aloop_signal_wait(t.loop, SIGUSR2);
    assert_true(sim_raise(SIGUSR2));
    assert_int_equal(aloop_await(aloop_race_array(t.loop, 2, waits, &first)),
                     SIGUSR2);
    assert_int_equal(first, 1);
    assert_false(sim_signal_caught(SIGUSR1));
    assert_false(sim_signal_caught(SIGUSR2));
}

static void a_wait_for_a_signal_that_cannot_be_caught_fails(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_signal_wait(t.loop, 0)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_signal_wait(NULL, SIGUSR1)),
                     ALOOP_EINVAL);
    sim_fail("aloop__sys_signal_catch", 1, ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_signal_wait(t.loop, SIGUSR1)),
                     ALOOP_EINVAL);
}

/* The handler has ended the watch, so that no other signal can end the wait. */
static void a_signal_before_a_fork_ends_the_wait_in_the_child_too(void **state)
{
    aloop_future *wait = aloop_signal_wait(t.loop, SIGUSR1);

    (void) state;
    assert_true(sim_raise(SIGUSR1));
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_await(wait), SIGUSR1);
    assert_false(sim_signal_caught(SIGUSR1));
    assert_int_equal(sim_harms(), 0);
}

static void a_child_waits_for_signals_of_its_own(void **state)
{
    aloop_future *wait = aloop_signal_wait(t.loop, SIGUSR1);

    (void) state;
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_true(sim_raise(SIGUSR1));
    assert_false(sim_signal_caught(SIGUSR1));
    assert_int_equal(aloop_await(wait), SIGUSR1);
    assert_int_equal(sim_harms(), 0);
}

static void a_loop_is_freed_with_a_pending_signal_wait(void **state)
{
    (void) state;
    aloop_detach(aloop_signal_wait(t.loop, SIGUSR1));
    turns(1); /* tear_down() frees the loop. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ten_signals_are_ten_callbacks),
        TEST(a_signal_ends_the_wait_of_a_loop),
        TEST(every_watch_of_a_signal_gets_it_and_no_other_signal),
        TEST(a_signal_reaches_watches_of_several_loops),
        TEST(the_first_watch_catches_and_the_last_restores_a_signal),
        TEST(a_signal_received_before_the_close_has_no_callback),
        TEST(a_watch_that_closes_itself_and_others_runs_last),
        TEST(a_watch_started_in_a_callback_gets_the_next_signal),
        TEST(a_signal_raised_in_its_callback_is_not_lost),
        TEST(a_storm_of_signals_is_counted_and_starves_no_timer),
        TEST(numbers_that_cannot_be_caught_are_refused),
        TEST(a_watch_keeps_the_loop_alive_unless_unreferenced),
        TEST(a_loop_is_freed_with_its_watches_and_pending_signals),
        TEST(a_watch_that_cannot_be_installed_leaves_nothing),
        TEST(a_wait_settles_with_the_number_of_the_signal),
        TEST(a_cancelled_wait_restores_the_signal),
        TEST(a_wait_for_a_signal_that_cannot_be_caught_fails),
        TEST(a_signal_before_a_fork_ends_the_wait_in_the_child_too),
        TEST(a_child_waits_for_signals_of_its_own),
        TEST(a_loop_is_freed_with_a_pending_signal_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
