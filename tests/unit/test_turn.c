/* Turns of the loop: when they end, and what ends them. */

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

static void a_stop_before_a_step_or_an_await_is_for_the_next_run(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_future *sleep = aloop_sleep(t.loop, 5 * MS);

    (void) state;
    aloop_stop(t.loop);
    assert_int_equal(aloop_step(t.loop, 3 * MS), 1);
    assert_true(aloop_now(t.loop) == begin + 3 * MS);
    assert_int_equal(aloop_await(sleep), 0);
    assert_true(aloop_now(t.loop) == begin + 5 * MS);
    assert_int_equal(aloop_run(t.loop), 1); /* It was meant for this. */
    assert_int_equal(aloop_run(t.loop), 0);
}

static void is_busy_and_defers_again(aloop *loop, void *arg)
{
    sim_advance(MS);
    if (++t.calls < 5)
        aloop_defer(loop, is_busy_and_defers_again, arg);
}

/* No clock but the one that decides this was ever asked. */
static void a_busy_loop_asks_the_reactor_in_time_from_the_beginning(
    void **state)
{
    unsigned before = sim_wakes();

    (void) state;
    aloop_post(t.loop, is_busy_and_defers_again, NULL);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 5);
    assert_int_equal(sim_wakes() - before, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stop_ends_a_step_and_nothing_else),
        TEST(a_stop_before_a_step_or_an_await_is_for_the_next_run),
        TEST(a_busy_loop_asks_the_reactor_in_time_from_the_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
