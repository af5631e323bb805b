/* Tests of futures that wait for each other in long chains, in wide
 * compositions and in cycles. */

#include "loop/future.h"
#include "support/fixture.h"

/* With a sanitizer each object is an allocation of its own, which takes
 * longer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { DEPTH = 20000, TASKS = 1000, WIDTH = 4000 };
#else
enum { DEPTH = 1000000, TASKS = 10000, WIDTH = 64000 };
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
    return aloop_await(aloop_gather(loop,
                                    aloop_spawn(loop, awaits_the_next, next),
                                    aloop_sleep(loop, ALOOP_SEC(1))));
}

static aloop_future *nested_tasks(int depth)
{
    aloop_future *task =
        aloop_spawn(t.loop, awaits_the_next, (void *) (intptr_t) depth);

    while (t.calls <= depth)
        aloop_step(t.loop, 0);
    return task;
}

/* Runs on the small stack of a task, which a recursion would overflow. */
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

enum { SHARED = 200 };

static ssize_t awaits_shared_future(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_await(aloop_future_ref(arg));
}

static int count_pending(void)
{
    int count = 0;

    for (const struct aloop__node *node = t.loop->pending.next;
         node != &t.loop->pending; node = node->next)
        count++;
    return count;
}

/* Each link of the chain ends when the task that awaits it has ended: one link
 * a turn. */
static void the_end_of_a_program_visits_each_link_of_a_chain_twice(void **state)
{
    aloop_future *links[SHARED + 1] = {aloop_sleep(t.loop, ALOOP_SEC(1))};
    int turns = 0, visits = 0;

    (void) state;
    for (int i = 1; i <= SHARED; i++)
        links[i] = aloop_spawn(t.loop, awaits_shared_future, links[i - 1]);
    aloop_step(t.loop, 0);
    for (; aloop__futures_are_pending(t.loop); turns++) {
        visits += count_pending();
        aloop__futures_cancel_all(t.loop, false);
        aloop_step(t.loop, 0);
    }
    assert_true(turns >= SHARED);
    assert_true(visits <= 2 * (SHARED + 1));
    for (int i = 0; i <= SHARED; i++)
        aloop_future_unref(links[i]);
}

static void a_cancel_reaches_every_future_before_it_returns(void **state)
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

/* Notes `arg`, which shows the order in which futures settle. */
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

static void a_member_of_two_gathers_is_cancelled_with_the_first(void **state)
{
    aloop_future *twice[] = {noted(1), noted(2), noted(4)};
    aloop_future *all[] = {
        aloop_gather(t.loop, twice[0]),
        aloop_gather(t.loop, aloop_timeout(twice[1], ALOOP_SEC(2))),
        noted(3),
        aloop_future_ref(twice[1]),
        twice[2],
        noted(5),
        aloop_future_ref(twice[2]),
        aloop_future_ref(twice[0]),
    };
    aloop_future *gather = aloop_gather_array(t.loop, 8, all);

    (void) state;
    aloop_cancel(gather);
    aloop_future_unref(gather);
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 4, 5);
}

/* Cycles. */

static ssize_t gathers_itself(aloop *loop, void *arg)
{
    aloop_future *self = aloop_future_ref(aloop_current_task());

    (void) arg;
    return aloop_await(aloop_gather(loop, aloop_sleep(loop, ALOOP_SEC(1)),
                                    aloop_timeout(self, ALOOP_SEC(9))));
}

static void a_task_that_awaits_a_composition_of_itself_is_refused(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_spawn(t.loop, gathers_itself, NULL),
                                  ALOOP_SEC(5))),
        ALOOP_EDEADLK);
    assert_true(aloop_now(t.loop) == begin);
}

static ssize_t awaits_first_of_itself(aloop *loop, void *arg)
{
    aloop_future *self = aloop_future_ref(aloop_current_task());
    aloop_future *sleep = aloop_sleep(loop, ALOOP_SEC(1));

    return aloop_await(arg == NULL ? aloop_any(loop, sleep, self)
                                   : aloop_race(loop, self, sleep));
}

static void any_and_race_of_the_task_itself_are_refused(void **state)
{
    aloop_future *any = aloop_spawn(t.loop, awaits_first_of_itself, NULL);
    aloop_future *race = aloop_spawn(t.loop, awaits_first_of_itself, t.loop);

    (void) state;
    /* A composition waits for each, as in most programs. */
    assert_int_equal(aloop_await(aloop_gather(t.loop, any)), ALOOP_EDEADLK);
    assert_int_equal(aloop_await(aloop_gather(t.loop, race)), ALOOP_EDEADLK);
}

static ssize_t waits_for_its_group(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_await(aloop_group_wait(*(aloop_group **) arg));
}

static void a_member_that_waits_for_its_group_is_refused(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);

    (void) state;
    aloop_group_spawn(group, waits_for_its_group, &group);
    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EDEADLK);
    aloop_group_free(group);
}

static aloop_future *tasks[2];

static ssize_t awaits_the_other(aloop *loop, void *arg)
{
    aloop_future *other = aloop_future_ref(tasks[arg == NULL]);

    return aloop_await(aloop_timeout(
        aloop_gather(loop, other, aloop_sleep(loop, ALOOP_SEC(1))),
        ALOOP_SEC(5)));
}

static void a_cycle_of_two_tasks_and_their_compositions_is_refused(void **state)
{
    (void) state;
    tasks[0] = aloop_spawn(t.loop, awaits_the_other, NULL);
    tasks[1] = aloop_spawn(t.loop, awaits_the_other, t.loop);
    aloop_run(t.loop);
    /* The refused composition is dropped, which cancels its members. */
    assert_int_equal(aloop_await(tasks[1]), ALOOP_EDEADLK);
    assert_int_equal(aloop_await(tasks[0]), ALOOP_EABORTED);
}

static ssize_t map_item(aloop *loop, void *item)
{
    (void) loop;
    return aloop_await(aloop_future_ref(*(aloop_future **) item));
}

static ssize_t maps_over_itself(aloop *loop, void *arg)
{
    aloop_future *items[2];

    (void) arg;
    items[0] = items[1] = aloop_current_task();
    return aloop_await(aloop_map(loop, map_item, items, 2, sizeof *items, 0));
}

static void a_map_whose_tasks_await_the_mapping_task_is_refused(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, maps_over_itself, NULL)),
                     ALOOP_EDEADLK);
}

static ssize_t naps(aloop *loop, void *arg)
{
    t.calls++;
    return aloop_await(aloop_sleep(loop, (int64_t) (intptr_t) arg));
}

static ssize_t awaits_argument(aloop *loop, void *arg)
{
    (void) loop;
    t.calls++;
    return aloop_await(arg);
}

static void a_chain_of_tasks_can_be_built_from_its_end(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, naps, (void *) (intptr_t) 1000);

    (void) state;
    for (int i = 1; i <= TASKS; i++) {
        task = aloop_spawn(t.loop, awaits_argument, aloop_gather(t.loop, task));
        aloop_step(t.loop, 0);
    }
    assert_int_equal(t.calls, TASKS + 1);
    assert_int_equal(aloop_await(task), 0);
}

/* Gathers WIDTH sleeps in a task that is awaited itself. */
static ssize_t gathers_many(aloop *loop, void *arg)
{
    aloop_future **members = arg;

    for (int i = 0; i < WIDTH; i++)
        members[i] = aloop_sleep(loop, 1000);
    return aloop_await(aloop_gather_array(loop, WIDTH, members));
}

static void a_wide_gather_is_no_cycle(void **state)
{
    static aloop_future *members[WIDTH];

    (void) state;
    assert_int_equal(aloop_await(aloop_gather(
                         t.loop, aloop_spawn(t.loop, gathers_many, members))),
                     0);
}

/* Awaits the same future in two ways, without a cycle. */
static ssize_t awaits_both(aloop *loop, void *arg)
{
    return aloop_await(aloop_gather(loop, aloop_future_ref(arg),
                                    aloop_gather(loop, aloop_future_ref(arg)),
                                    aloop_sleep(loop, 500)));
}

static void two_ways_to_the_same_future_are_no_cycle(void **state)
{
    aloop_future *shared = aloop_spawn(t.loop, naps, (void *) (intptr_t) 1000);
    aloop_future *both[2];

    (void) state;
    both[0] = aloop_spawn(t.loop, awaits_both, shared);
    both[1] = aloop_spawn(t.loop, awaits_both, shared);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, 2, both)), 0);
    assert_int_equal(aloop_await(shared), 0);
}

static ssize_t gather_refused_future(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_gather(loop, aloop_sleep(NULL, 0),
                                    aloop_sleep(loop, ALOOP_MS(1))));
}

static void a_member_without_a_loop_is_in_no_cycle(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, gather_refused_future, NULL)),
        ALOOP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_gather_nested_a_million_times_can_be_cancelled),
        TEST(a_gather_nested_a_million_times_can_be_dropped),
        TEST(a_timeout_nested_a_million_times_can_be_cancelled),
        TEST(deep_compositions_end_when_the_loop_is_freed),
        TEST(a_long_chain_of_tasks_can_be_cancelled),
        TEST(the_end_of_a_program_visits_each_link_of_a_chain_twice),
        TEST(a_cancel_reaches_every_future_before_it_returns),
        TEST(members_are_cancelled_depth_first_and_in_order),
        TEST(a_member_of_two_gathers_is_cancelled_with_the_first),
        TEST(a_task_that_awaits_a_composition_of_itself_is_refused),
        TEST(any_and_race_of_the_task_itself_are_refused),
        TEST(a_member_that_waits_for_its_group_is_refused),
        TEST(a_cycle_of_two_tasks_and_their_compositions_is_refused),
        TEST(a_map_whose_tasks_await_the_mapping_task_is_refused),
        TEST(a_chain_of_tasks_can_be_built_from_its_end),
        TEST(a_wide_gather_is_no_cycle),
        TEST(two_ways_to_the_same_future_are_no_cycle),
        TEST(a_member_without_a_loop_is_in_no_cycle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
