/* map: a task for each item, and so many of them at a time. */

#include "support/memory_fixture.h"

static void a_map_over_more_than_memory_can_hold_has_no_memory(void **state)
{
    ssize_t item = 0;

    (void) state;
    assert_int_equal(aloop_await(aloop_map(t.loop, just_return, &item,
                                           SIZE_MAX, 0, 0)),
                     ALOOP_ENOMEM);
    assert_int_equal(t.noted, 0);
}

static void a_map_has_no_more_lanes_than_items(void **state)
{
    ssize_t items[3] = {0, 0, 0};

    (void) state;
    assert_int_equal(aloop_await(aloop_map(t.loop, just_return, items, 3,
                                           sizeof *items, SIZE_MAX)),
                     0);
    assert_noted(9, 9, 9);
}

static ssize_t sleep_long(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(60)));
}

static void a_map_all_of_whose_items_run_is_cancelled_with_them(void **state)
{
    char items[2];
    aloop_future *map =
        aloop_map(t.loop, sleep_long, items, sizeof items, 1, 0);

    (void) state;
    assert_int_equal(aloop_step(t.loop, 0), 1); /* Both are asleep. */

    aloop_cancel(map);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_future_status(map), ALOOP_ECANCELED);
    aloop_future_unref(map);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_map_over_more_than_memory_can_hold_has_no_memory),
        TEST(a_map_has_no_more_lanes_than_items),
        TEST(a_map_all_of_whose_items_run_is_cancelled_with_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
