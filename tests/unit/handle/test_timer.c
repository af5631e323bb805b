/* Timers and sleeps. */

#include "loop/clock.h"
#include "support/memory_fixture.h"

static void note_arg(aloop_timer *timer, void *arg)
{
    (void) timer;
    t.calls++;
    note((int) (intptr_t) arg);
}

static aloop_timer *start(int64_t delay_ns, int64_t period_ns, int name)
{
    aloop_timer *timer = NULL;

    assert_int_equal(aloop_timer_start(t.loop, delay_ns, period_ns, note_arg,
                                       (void *) (intptr_t) name, &timer),
                     0);
    return timer;
}

static void a_timer_fires_at_its_deadline_and_never_early(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start(5 * MS + 1, 0, 1);
    sim_advance(5 * MS); /* One nanosecond is left. */
    aloop_step(t.loop, 0);
    assert_int_equal(t.noted, 0);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_noted(1);
    assert_true(aloop_now(t.loop) - begin == 5 * MS + 1);
}

static void timers_fire_in_order_of_deadline(void **state)
{
    (void) state;
    start(3 * MS, 0, 3);
    start(1 * MS, 0, 1);
    start(2 * MS, 0, 2);

    aloop_run(t.loop);

    assert_noted(1, 2, 3);
}

static void equal_deadlines_fire_in_start_order(void **state)
{
    int64_t when = aloop_now(t.loop) + MS;
    aloop_timer *first;

    (void) state;
    first = start(MS, 0, 1);
    for (int i = 2; i <= 9; i++)
        aloop_timer_restart_at(start(MS, 0, i), when);
    aloop_timer_restart_at(first, when); /* This moves it behind the others. */

    aloop_run(t.loop);

    assert_noted(2, 3, 4, 5, 6, 7, 8, 9, 1);
}

static void equal_deadlines_fire_in_start_order_after_lazy_moves(void **state)
{
    int64_t when = aloop_now(t.loop) + 9 * MS;
    aloop_timer *timers[5];

    (void) state;
    for (int i = 0; i < 5; i++)
        timers[i] = start(MS, 0, i);
    for (int i = 4; i >= 0; i--)
        aloop_timer_restart_at(timers[i], when);

    aloop_run(t.loop);

    assert_noted(4, 3, 2, 1, 0);
}

static void start_again(aloop_timer *timer, void *arg)
{
    (void) arg;
    note(1);
    if (++t.calls < 3)
        aloop_timer_restart(timer, 0);
}

static void note_two(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    note(2);
}

static void a_zero_delay_expires_in_the_next_turn(void **state)
{
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, 0, 0, start_again, NULL, &timer);
    aloop_step(t.loop, 0);
    assert_noted(1); /* It does not run twice in a turn. */
    aloop_step(t.loop, 0);
    assert_noted(1, 1);
}

static aloop_timer *other;

static void stop_other(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    t.calls++;
    aloop_timer_stop(other);
}

static void close_other(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    t.calls++;
    aloop_timer_close(other);
    other = NULL;
}

/* Runs a timer whose callback ends `other`, which is later in the same
 * batch. */
static void expect_one_of_a_batch(aloop_timer_cb callback)
{
    int64_t when = aloop_now(t.loop) + MS;
    aloop_timer *timer;

    aloop_timer_start(t.loop, MS, 0, callback, NULL, &timer);
    aloop_timer_restart_at(timer, when);
    other = start(MS, 0, 9);
    aloop_timer_restart_at(other, when);

    aloop_run(t.loop);

    assert_int_equal(t.calls, 1);
    assert_int_equal(t.noted, 0);
}

static void a_timer_stopped_by_another_of_its_batch_does_not_fire(void **state)
{
    (void) state;
    expect_one_of_a_batch(stop_other);
    assert_false(aloop_timer_is_active(other));
}

static void a_timer_closed_by_another_of_its_batch_does_not_fire(void **state)
{
    (void) state;
    expect_one_of_a_batch(close_other);
}

/* Failure class 8: a timer is closed in its own callback. */
static void close_self(aloop_timer *timer, void *arg)
{
    (void) arg;
    t.calls++;
    aloop_timer_close(timer);
}

static void a_timer_may_close_itself(void **state)
{
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, MS, MS, close_self, NULL, &timer);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 1);
}

static void note_time_and_stop_at_five(aloop_timer *timer, void *arg)
{
    int64_t *begin = arg;

    note((int) ((aloop_now(t.loop) - *begin) / MS));
    if (++t.calls == 5)
        aloop_timer_close(timer);
    sim_advance(MS / 2); /* A slow callback must not shift the grid. */
}

static void a_periodic_timer_does_not_drift(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, 10 * MS, 10 * MS, note_time_and_stop_at_five,
                      &begin, &timer);
    aloop_run(t.loop);
    assert_noted(10, 20, 30, 40, 50);
}

static void be_late(aloop_timer *timer, void *arg)
{
    int64_t *begin = arg;

    note((int) ((aloop_now(t.loop) - *begin) / MS));
    if (++t.calls == 1)
        sim_advance(35 * MS);
    if (t.calls == 3)
        aloop_timer_close(timer);
}

/* Failure class 34: the callback of a periodic timer takes longer than the
 * period. */
static void a_periodic_timer_never_fires_twice_to_catch_up(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, 10 * MS, 10 * MS, be_late, &begin, &timer);
    aloop_run(t.loop);
    /* Due at 20, runs at 45, then returns to the grid. */
    assert_noted(10, 45, 50);
}

/* Failure classes 30 and 31: huge delays. */
static void delays_beyond_the_end_of_time_saturate(void **state)
{
    (void) state;
    start(INT64_MAX, 0, 9);
    start(INT64_MAX - 1, INT64_MAX, 8);
    start(MS, 0, 1);

    aloop_step(t.loop, -1);
    aloop_step(t.loop, 0);

    assert_noted(1);
    assert_true(aloop_alive(t.loop));
}

static void long_delays_fire_after_exactly_that_time(void **state)
{
    static const int64_t delays[] = {
        ALOOP_SEC(40 * 60),          ALOOP_SEC(25 * 86400),
        ALOOP_SEC(50 * 86400),       ALOOP_SEC(100LL * 365 * 86400),
        (INT64_C(1) << 31) * MS + 1, ((INT64_C(1) << 32) + 1) * MS};

    (void) state;
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        int64_t begin = aloop_now(t.loop);
        aloop_timer *timer = start(delays[i], 0, 1);

        aloop_run(t.loop);
        assert_true(aloop_now(t.loop) - begin == delays[i]);
        aloop_timer_close(timer);
    }
}

/* Failure class 33: a cached time makes a timer fire too soon. */
static void a_timer_started_after_long_work_counts_from_its_start(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_step(t.loop, 0);
    sim_advance(400 * MS);
    start(200 * MS, 0, 1);
    aloop_run(t.loop);
    assert_true(aloop_now(t.loop) - begin == 600 * MS);
}

/* Failure class 35: the clock goes back. */
static void a_clock_that_goes_back_fires_nothing_early_or_late(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start(10 * MS, 0, 1);
    sim_jump(-ALOOP_SEC(3600));
    assert_true(aloop_now(t.loop) == begin);
    aloop_step(t.loop, 5 * MS);
    assert_int_equal(t.noted, 0);
}

static void moving_a_deadline_takes_effect_both_ways(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *later = start(5 * MS, 0, 1);
    aloop_timer *sooner = start(50 * MS, 0, 2);

    (void) state;
    assert_int_equal(aloop_timer_restart(later, 20 * MS), 0);
    assert_int_equal(aloop_timer_restart(sooner, 10 * MS), 0);
    assert_true(aloop_timer_due_ns(later) == 20 * MS);
    aloop_run(t.loop);
    assert_noted(2, 1);
    assert_true(aloop_now(t.loop) - begin == 20 * MS);
}

static void a_lazily_moved_timer_costs_at_most_one_wait(void **state)
{
    aloop_timer *timer = start(MS, 0, 1);
    unsigned wakes;

    (void) state;
    for (int i = 0; i < 1000; i++)
        aloop_timer_restart(timer, 5 * MS);
    wakes = sim_wakes();
    aloop_run(t.loop);
    assert_noted(1);
    assert_true(sim_wakes() - wakes <= 2);
}

static void a_stopped_timer_does_not_fire_and_can_be_restarted(void **state)
{
    aloop_timer *timer = start(MS, 0, 1);

    (void) state;
    assert_int_equal(aloop_timer_stop(timer), 0);
    assert_int_equal(aloop_timer_stop(timer), 0);
    assert_false(aloop_timer_is_active(timer));
    assert_true(aloop_timer_due_ns(timer) == -1);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 0);
    aloop_timer_restart(timer, MS);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1);
}

static void a_new_timer_is_stopped_until_it_is_restarted(void **state)
{
    aloop_timer *timer = aloop_timer_new(t.loop, note_arg, as_arg(1));
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_non_null(timer);
    assert_false(aloop_timer_is_active(timer));
    assert_true(aloop_timer_due_ns(timer) == -1);
    assert_int_equal(aloop_timer_stop(timer), 0);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 0);

    assert_int_equal(aloop_timer_restart(timer, 2 * MS), 0);
    assert_true(aloop_alive(t.loop));
    aloop_run(t.loop);
    assert_noted(1);
    assert_true(aloop_now(t.loop) - begin == 2 * MS);

    assert_int_equal(aloop_timer_restart_at(timer, begin + 5 * MS), 0);
    aloop_run(t.loop);
    assert_noted(1, 1);
    assert_true(aloop_now(t.loop) - begin == 5 * MS);
    aloop_timer_close(timer);
}

static void a_new_timer_can_be_given_a_period(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *timer =
        aloop_timer_new(t.loop, note_time_and_stop_at_five, &begin);

    (void) state;
    assert_int_equal(aloop_timer_set_period(timer, 10 * MS), 0);
    assert_false(aloop_alive(t.loop));
    aloop_timer_restart(timer, MS);
    aloop_run(t.loop);
    assert_noted(1, 11, 21, 31, 41);
}

static void a_new_timer_without_memory_is_null(void **state)
{
    (void) state;
    memory.is_out = true;
    while (aloop_timer_new(t.loop, note_arg, NULL) != NULL)
        t.calls++;
    memory.is_out = false;
    assert_true(t.calls < 1000);
    assert_non_null(aloop_timer_new(t.loop, note_arg, NULL));
}

static void an_unreferenced_timer_does_not_keep_the_loop_alive(void **state)
{
    aloop_timer *timer = start(MS, 0, 1);

    (void) state;
    aloop_timer_unref(timer);
    aloop_timer_unref(timer);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 0);
    aloop_timer_ref(timer);
    aloop_timer_ref(timer);
    assert_true(aloop_alive(t.loop));
    aloop_timer_unref(timer); /* References do not add up. */
    assert_false(aloop_alive(t.loop));
}

static void a_new_period_applies_after_the_next_expiry(void **state)
{
    aloop_timer *timer = start(MS, MS, 1);

    (void) state;
    aloop_step(t.loop, -1);
    aloop_step(t.loop, 0);
    assert_noted(1); /* The second expiry is already set. */
    assert_int_equal(aloop_timer_set_period(timer, 0), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1, 1);
    assert_int_equal(aloop_timer_set_period(timer, -1), ALOOP_EINVAL);
}

static void bad_arguments_are_refused(void **state)
{
    aloop_timer *timer = NULL;

    (void) state;
    assert_int_equal(aloop_timer_start(NULL, 0, 0, note_arg, NULL, &timer),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_timer_start(t.loop, 0, 0, NULL, NULL, &timer),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_timer_start(t.loop, 0, 0, note_arg, NULL, NULL),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_timer_start(t.loop, 0, -1, note_arg, NULL, &timer),
                     ALOOP_EINVAL);
    assert_null(timer);
    assert_null(aloop_timer_new(NULL, note_arg, NULL));
    assert_null(aloop_timer_new(t.loop, NULL, NULL));
    assert_int_equal(aloop_timer_restart(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_timer_restart_at(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_timer_stop(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_timer_set_period(NULL, 0), ALOOP_EINVAL);
    assert_false(aloop_timer_is_active(NULL));
    assert_true(aloop_timer_due_ns(NULL) == -1);
    aloop_timer_ref(NULL);
    aloop_timer_unref(NULL);
    aloop_timer_close(NULL);
    assert_int_equal(aloop_await(aloop_sleep(NULL, 0)), ALOOP_EINVAL);
}

static void a_slow_chain_of_zero_timers_does_not_keep_io_waiting(void **state)
{
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, 0, 0, start_again, NULL, &timer);
    aloop_defer(t.loop, note_two, NULL);
    aloop_step(t.loop, 0);
    assert_noted(1, 2); /* Timers run first, and only once. */
}

static void units_accept_fractions(void **state)
{
    (void) state;
    assert_true(ALOOP_SEC(0.5) == 500000000);
    assert_true(ALOOP_MS(1.5) == 1500000);
    assert_true(ALOOP_SEC(-2) == -2000000000);
    assert_true(ALOOP_US(INT64_C(9000000000)) == INT64_C(9000000000000));
}

static void a_sleep_lasts_as_long_as_requested(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 7 * MS)), 0);
    assert_true(aloop_now(t.loop) - begin == 7 * MS);
    assert_int_equal(aloop_await(aloop_sleep_until(t.loop, begin + 9 * MS)), 0);
    assert_true(aloop_now(t.loop) - begin == 9 * MS);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, -5)), 0);
}

static void deadlines_saturate_at_the_largest_time(void **state)
{
    (void) state;
    assert_true(aloop__until(-5, INT64_MAX) == INT64_MAX);
    assert_true(aloop__until(INT64_MIN, 0) == INT64_MAX);
    assert_true(aloop__until(INT64_MIN, -1) == INT64_MAX);
    assert_true(aloop__until(-5, 5) == 10);
    assert_true(aloop__until(-5, -5) == 0);
    assert_true(aloop__after(INT64_MAX - 1, 5) == INT64_MAX);
}

enum { ROOM = 62 }; /* Entries of the queue before it has to grow. */

/* Takes the entry that the next timer has just left. */
static void start_more(aloop_timer *timer, void *arg)
{
    aloop_timer **more = arg;

    memory.is_out = true;
    assert_int_equal(aloop_timer_restart_at(timer, INT64_MAX), 0);
    assert_int_equal(aloop_timer_restart_at(*more, INT64_MAX), 0);
    note(1);
}

static void a_periodic_timer_that_cannot_continue_is_reported(void **state)
{
    aloop *loop = memory_loop(0);
    aloop_timer *timer, *more;

    (void) state;
    assert_int_equal(aloop_timer_start(loop, 0, 0, count_timer, NULL, &more),
                     0);
    assert_int_equal(aloop_run(loop), 0);
    assert_int_equal(t.calls, 1); /* It was `more`, which is idle now. */
    assert_int_equal(aloop_timer_start(loop, MS, 0, start_more, &more, &timer),
                     0);
    assert_int_equal(aloop_timer_start(loop, MS, MS, count_timer, NULL, &timer),
                     0);
    for (int i = 2; i < ROOM; i++)
        assert_int_equal(
            aloop_timer_start(loop, ALOOP_SEC(9), 0, count_timer, NULL, &timer),
            0);

    while (t.noted == 0)
        assert_int_equal(aloop_step(loop, -1), 1);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ENOMEM);
    assert_string_equal(t.unhandled_what, "periodic timer");
    assert_int_equal(t.calls, 2); /* The periodic timer has fired once. */
    memory.is_out = false;
    assert_int_equal(aloop_free(loop), 0);
}

static void set_to_smallest_time(aloop *loop, void *arg)
{
    (void) loop;
    assert_int_equal(aloop_timer_restart_at(arg, INT64_MIN), 0);
}

static void a_timer_set_to_the_smallest_time_is_due_immediately(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, ALOOP_SEC(1), 0, note_timer, NULL, &timer);
    aloop_defer(t.loop, set_to_smallest_time, timer);
    assert_int_equal(aloop_run(t.loop), 0);

    assert_noted(0);
    assert_true(aloop_now(t.loop) == begin);
}

static void a_period_from_the_smallest_time_keeps_its_grid(void **state)
{
    static const int64_t periods[] = {1, 7, 3 * MS, INT64_MAX};

    (void) state;
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        uint64_t late = (uint64_t) aloop_now(t.loop) - (uint64_t) INT64_MIN;
        int64_t left = periods[i] - (int64_t) (late % (uint64_t) periods[i]);
        aloop_timer *timer;

        aloop_timer_start(t.loop, ALOOP_SEC(1), periods[i], note_timer, NULL,
                          &timer);
        aloop_timer_restart_at(timer, INT64_MIN);
        aloop_step(t.loop, 0);
        assert_int_equal(t.noted, i + 1); /* It fires once. */
        assert_true(aloop_timer_due_ns(timer) == left);
        aloop_timer_close(timer);
    }
}

static void a_closed_handle_is_freed_at_the_end_of_the_turn(void **state)
{
    aloop_timer *timer;
    char *first, *second;

    (void) state;
    aloop_timer_start(t.loop, MS, 0, count_timer, NULL, &timer);
    first = (char *) timer;
    aloop_timer_close(timer);
    aloop_timer_start(t.loop, MS, 0, count_timer, NULL, &timer);
    second = (char *) timer;
    assert_ptr_not_equal(first, second); /* It is not freed before. */
    aloop_timer_close(timer);
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 0);
    assert_false(aloop_alive(t.loop));
}

static void a_sleep_without_memory_is_null_and_not_reported(void **state)
{
    (void) state;
    use_up_deadlines();
    assert_null(aloop_sleep(t.loop, MS));
    aloop_step(t.loop, 0);
    assert_int_equal(t.unhandled, 0);
}

static void note_due(aloop_timer *timer, void *arg)
{
    int64_t *due_ns = arg;

    (void) timer;
    assert_true(aloop_now(t.loop) >= *due_ns);
    t.calls++;
}

/* Failure class 32: deadlines are rounded to whole milliseconds, so that a
 * timer fires early or the loop spins during the last one. */
static void a_fraction_of_a_millisecond_neither_spins_nor_fires_early(
    void **state)
{
    static const int64_t delays_ns[] = {
        1, 999, 500000, 999999, 1000001, 1500000, 1999999, 1000000001,
    };
    enum { COUNT = sizeof delays_ns / sizeof delays_ns[0] };

    (void) state;
    for (int i = 0; i < COUNT; i++) {
        unsigned wakes = sim_wakes();
        aloop_timer *timer;
        int64_t due_ns = aloop_now(t.loop) + delays_ns[i];

        assert_int_equal(aloop_timer_start(t.loop, delays_ns[i], 0, note_due,
                                           &due_ns, &timer),
                         0);
        assert_int_equal(aloop_run(t.loop), 0);
        assert_int_equal(t.calls, i + 1);
        assert_true(sim_wakes() - wakes <= 2);
        aloop_timer_close(timer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_timer_fires_at_its_deadline_and_never_early),
        TEST(timers_fire_in_order_of_deadline),
        TEST(equal_deadlines_fire_in_start_order),
        TEST(equal_deadlines_fire_in_start_order_after_lazy_moves),
        TEST(a_zero_delay_expires_in_the_next_turn),
        TEST(a_timer_stopped_by_another_of_its_batch_does_not_fire),
        TEST(a_timer_closed_by_another_of_its_batch_does_not_fire),
        TEST(a_timer_may_close_itself),
        TEST(a_periodic_timer_does_not_drift),
        TEST(a_periodic_timer_never_fires_twice_to_catch_up),
        TEST(delays_beyond_the_end_of_time_saturate),
        TEST(long_delays_fire_after_exactly_that_time),
        TEST(a_timer_started_after_long_work_counts_from_its_start),
        TEST(a_clock_that_goes_back_fires_nothing_early_or_late),
        TEST(moving_a_deadline_takes_effect_both_ways),
        TEST(a_lazily_moved_timer_costs_at_most_one_wait),
        TEST(a_stopped_timer_does_not_fire_and_can_be_restarted),
        TEST(a_new_timer_is_stopped_until_it_is_restarted),
        TEST(a_new_timer_can_be_given_a_period),
        MEMORY_TEST(a_new_timer_without_memory_is_null),
        TEST(an_unreferenced_timer_does_not_keep_the_loop_alive),
        TEST(a_new_period_applies_after_the_next_expiry),
        TEST(bad_arguments_are_refused),
        TEST(a_slow_chain_of_zero_timers_does_not_keep_io_waiting),
        TEST(units_accept_fractions),
        TEST(a_sleep_lasts_as_long_as_requested),
        TEST(a_periodic_timer_that_cannot_continue_is_reported),
        TEST(deadlines_saturate_at_the_largest_time),
        TEST(a_timer_set_to_the_smallest_time_is_due_immediately),
        TEST(a_period_from_the_smallest_time_keeps_its_grid),
        TEST(a_closed_handle_is_freed_at_the_end_of_the_turn),
        MEMORY_TEST(a_sleep_without_memory_is_null_and_not_reported),
        TEST(a_fraction_of_a_millisecond_neither_spins_nor_fires_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
