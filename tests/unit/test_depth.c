/* Futures that wait for each other in long chains. */

#include "support/fixture.h"

/* Sanitizers give each object an allocation of its own, which takes longer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { DEPTH = 20000, TASKS = 1000 };
#else
enum { DEPTH = 1000000, TASKS = 10000 };
#endif

static aloop_future *nested_gathers(int depth)
{
    aloop_future *future = aloop_sleep(t.loop, ALOOP_SEC(1));

    for (int i = 0; i < depth; i++)
        future = aloop_gather(t.loop, future);
    return future;
}

static aloop_future *nested_timeouts(int depth)
{
    aloop_future *future = aloop_sleep(t.loop, ALOOP_SEC(1));

    for (int i = 0; i < depth; i++)
        future = aloop_timeout(future, ALOOP_SEC(2));
    return future;
}

static ssize_t awaits_the_next(aloop *loop, void *arg)
{
    int left = (int) (intptr_t) arg;
    void *next = (void *) (intptr_t) (left - 1);

    t.calls++;
    if (left == 0)
        return aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    return aloop_await(
        aloop_gather(loop, aloop_spawn(loop, awaits_the_next, next),
                     aloop_sleep(loop, ALOOP_SEC(1))));
}

static aloop_future *nested_tasks(int depth)
{
    aloop_future *task = aloop_spawn(t.loop, awaits_the_next,
                                     (void *) (intptr_t) depth);

    while (t.calls <= depth)
        aloop_step(t.loop, 0);
    return task;
}

/* On a task's small stack, where recursion would soon end. */
static ssize_t cancels(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_cancel(arg);
}

static ssize_t drops(aloop *loop, void *arg)
{
    (void) loop;
    aloop_future_unref(arg);
    return 0;
}

static void a_gather_nested_a_million_times_can_be_cancelled(void **state)
{
    aloop_future *gather = nested_gathers(DEPTH);

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, cancels, gather)), 1);
    assert_int_equal(aloop_await(gather), ALOOP_EABORTED);
}

static void a_gather_nested_a_million_times_can_be_dropped(void **state)
{
    aloop_future *gather = nested_gathers(DEPTH);

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, drops, gather)), 0);
    aloop_run(t.loop);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(t.unhandled, 0);
}

static void a_timeout_nested_a_million_times_can_be_cancelled(void **state)
{
    aloop_future *timeout = nested_timeouts(DEPTH);

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, cancels, timeout)), 1);
    assert_int_equal(aloop_await(timeout), ALOOP_EABORTED);
}

static void deep_compositions_end_when_the_loop_is_freed(void **state)
{
    (void) state;
    nested_gathers(DEPTH);
    nested_timeouts(DEPTH); /* The fixture frees the loop. */
}

static void a_long_chain_of_tasks_can_be_cancelled(void **state)
{
    aloop_future *task = nested_tasks(TASKS);

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, cancels, task)), 1);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_int_equal(t.calls, TASKS + 1);
}

static void a_cancel_reaches_all_before_it_returns(void **state)
{
    aloop_future *inner = aloop_sleep(t.loop, ALOOP_SEC(1));
    aloop_future *outer;

    (void) state;
    aloop_future_ref(inner);
    outer = aloop_gather(t.loop, aloop_gather(t.loop, inner));
    aloop_cancel(outer);
    assert_int_equal(aloop_future_status(inner), ALOOP_ECANCELED);
    aloop_future_unref(inner);
    aloop_future_unref(outer);
}

/* Settles in an order that can be seen. */
static void on_settled(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    assert_int_equal(status, ALOOP_ECANCELED);
    note((int) (intptr_t) arg);
}

static aloop_future *noted(int n)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));

    aloop_then(aloop_future_ref(sleep), on_settled, (void *) (intptr_t) n);
    return sleep;
}

static void members_are_cancelled_depth_first_and_in_order(void **state)
{
    aloop_future *gather;

    (void) state;
    gather = aloop_gather(
        t.loop, aloop_gather(t.loop, noted(1), noted(2)), noted(3),
        aloop_gather(t.loop, noted(4), aloop_gather(t.loop, noted(5))));
    aloop_cancel(gather);
    aloop_future_unref(gather);
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 4, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_gather_nested_a_million_times_can_be_cancelled),
        TEST(a_gather_nested_a_million_times_can_be_dropped),
        TEST(a_timeout_nested_a_million_times_can_be_cancelled),
        TEST(deep_compositions_end_when_the_loop_is_freed),
        TEST(a_long_chain_of_tasks_can_be_cancelled),
        TEST(a_cancel_reaches_all_before_it_returns),
        TEST(members_are_cancelled_depth_first_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
