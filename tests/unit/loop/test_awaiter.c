/* What a future waits for: aloop__future_next(), for every kind that has
 * awaiters. */

#include "aloop/group.h"
#include "loop/future.h"
#include "support/compose_fixture.h"

/* Asserts that `future` waits for these futures, in this order. */
static void assert_waits_for(aloop_future *future, size_t count,
                             aloop_future *const *expected)
{
    const void *cursor = NULL;

    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(aloop__future_next(future, &cursor), expected[i]);
    assert_null(aloop__future_next(future, &cursor));
}

static aloop_future *nth_awaited(aloop_future *future, int n)
{
    const void *cursor = NULL;
    aloop_future *next = aloop__future_next(future, &cursor);

    while (n-- > 0)
        next = aloop__future_next(future, &cursor);
    return next;
}

static void an_operation_and_a_settled_future_wait_for_nothing(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, MS);
    aloop_future *settled = aloop_future_new_settled(t.loop, 0);

    (void) state;
    assert_waits_for(sleep, 0, NULL);
    assert_waits_for(settled, 0, NULL);
    aloop_future_unref(sleep);
    aloop_future_unref(settled);
}

static void a_task_waits_for_the_future_that_it_awaits(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, MS);
    aloop_future *task = aloop_spawn(t.loop, awaits_arg, sleep);

    (void) state;
    assert_waits_for(task, 0, NULL); /* It has not begun. */
    aloop_step(t.loop, 0);
    assert_waits_for(task, 1, &sleep);
    aloop_run(t.loop);
    assert_waits_for(task, 0, NULL);
    aloop_future_unref(task);
}

static void a_timeout_waits_for_its_target(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, MS);
    aloop_future *timeout = aloop_timeout(sleep, ALOOP_SEC(1));

    (void) state;
    assert_waits_for(timeout, 1, &sleep);
    assert_int_equal(aloop_await(aloop_future_ref(timeout)), 0);
    assert_waits_for(timeout, 0, NULL);
    aloop_future_unref(timeout);
}

static void a_gather_waits_for_the_members_that_have_not_ended(void **state)
{
    aloop_future *members[] = {aloop_sleep(t.loop, 3 * MS),
                               aloop_sleep(t.loop, MS), NULL,
                               aloop_sleep(t.loop, 3 * MS)};
    aloop_future *left[] = {members[0], members[3]};
    aloop_future *gather = aloop_gather_settled(t.loop, 4, members, NULL);

    (void) state;
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 2 * MS)), 0);
    assert_waits_for(gather, 2, left);
    assert_int_equal(aloop_await(aloop_future_ref(gather)), 3);
    assert_waits_for(gather, 0, NULL);
    aloop_future_unref(gather);
}

static void a_map_waits_for_the_tasks_that_run(void **state)
{
    struct job jobs[3] = {{MS, 0, 0, false},
                          {3 * MS, 0, 0, false},
                          {3 * MS, 0, 0, false}};
    aloop_future *map = aloop_map(t.loop, work, jobs, 3, sizeof jobs[0], 2);
    aloop_future *second = nth_awaited(map, 1);

    (void) state;
    assert_non_null(second);
    assert_null(nth_awaited(map, 2));
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 2 * MS)), 0);
    assert_non_null(nth_awaited(map, 0));
    assert_ptr_equal(nth_awaited(map, 1), second);
    assert_int_equal(aloop_await(map), 0);
}

static void a_wait_of_a_group_waits_for_the_members(void **state)
{
    struct job jobs[2] = {{MS, 0, 0, false}, {3 * MS, 0, 0, false}};
    aloop_group *group = aloop_group_new(t.loop);
    aloop_future *wait;

    (void) state;
    aloop_group_spawn(group, work, &jobs[0]);
    aloop_group_spawn(group, work, &jobs[1]);
    wait = aloop_group_wait(group);
    assert_non_null(nth_awaited(wait, 1));
    assert_null(nth_awaited(wait, 2));
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 2 * MS)), 0);
    assert_non_null(nth_awaited(wait, 0));
    assert_null(nth_awaited(wait, 1));
    assert_int_equal(aloop_await(wait), 0);
    aloop_group_free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_operation_and_a_settled_future_wait_for_nothing),
        TEST(a_task_waits_for_the_future_that_it_awaits),
        TEST(a_timeout_waits_for_its_target),
        TEST(a_gather_waits_for_the_members_that_have_not_ended),
        TEST(a_map_waits_for_the_tasks_that_run),
        TEST(a_wait_of_a_group_waits_for_the_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
