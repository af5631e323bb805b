/* Awaiting: outside of tasks, in callbacks, and what ends it early. */

#include "support/memory_fixture.h"
#include <errno.h>

static void yield_in_a_callback(aloop_timer *timer, void *arg)
{
    aloop_future *failed = aloop_future_new_settled(t.loop, -EIO);

    (void) arg;
    assert_int_equal(aloop_yield(t.loop), ALOOP_EDEADLK);
    assert_int_equal(aloop_await(failed), ALOOP_EDEADLK);
    assert_false(aloop_is_cancelled());
    note(1);
    aloop_timer_close(timer);
}

/* Whoever is told EDEADLK has been told enough: not a word of the EIO. */
static void a_callback_can_neither_yield_nor_await(void **state)
{
    aloop_timer *timer;

    (void) state;
    assert_int_equal(aloop_timer_start(t.loop, 0, 0, yield_in_a_callback,
                                       NULL, &timer),
                     0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1);
    assert_int_equal(t.unhandled, 0);
}

static void outside_of_tasks_a_yield_is_a_turn(void **state)
{
    ssize_t result = 3;
    aloop_future *task = aloop_spawn(t.loop, just_return, &result);

    (void) state;
    assert_int_equal(aloop_yield(t.loop), 0);

    assert_noted(9);
    assert_int_equal(aloop_future_status(task), 3);
    aloop_future_unref(task);
    assert_false(aloop_is_cancelled());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_callback_can_neither_yield_nor_await),
        TEST(outside_of_tasks_a_yield_is_a_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
