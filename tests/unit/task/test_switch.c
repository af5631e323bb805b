/* How tasks follow each other: the order of what runs, and what a task that
 * runs on the stack of another one finds. */

#include <errno.h>
#include <fenv.h>
#include <stdlib.h>

#include "loop/state.h"
#include "support/fixture.h"

static ssize_t notes_twice(aloop *loop, void *arg)
{
    int number = (int) (intptr_t) arg;

    note(number);
    aloop_yield(loop);
    note(number + 10);
    return number;
}

static void notes(aloop *loop, void *arg)
{
    (void) loop;
    note((int) (intptr_t) arg);
}

static void tasks_and_deferred_calls_run_in_the_order_of_the_queue(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, notes_twice, (void *) 1));
    aloop_defer(t.loop, notes, (void *) 2);
    aloop_detach(aloop_spawn(t.loop, notes_twice, (void *) 3));
    aloop_detach(aloop_spawn(t.loop, notes_twice, (void *) 4));
    aloop_defer(t.loop, notes, (void *) 5);
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 4, 5, 11, 13, 14);
}

static ssize_t sets_errno_and_rounding(aloop *loop, void *arg)
{
    (void) loop;
    errno = EDOM;
    if (arg != NULL)
        fesetround(FE_UPWARD);
    return 0;
}

static ssize_t finds_a_fresh_state(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return errno == 0 && fegetround() == FE_TONEAREST;
}

static void a_task_after_an_ended_one_has_a_fresh_errno_and_rounding(
    void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        aloop_future *last;

        aloop_detach(aloop_spawn(t.loop, sets_errno_and_rounding,
                                 i == 0 ? NULL : t.loop));
        last = aloop_spawn(t.loop, finds_a_fresh_state, NULL);
        assert_int_equal(aloop_await(last), 1);
    }
}

static ssize_t awaits_with_its_own_rounding(aloop *loop, void *arg)
{
    ssize_t status;

    (void) arg;
    fesetround(FE_UPWARD);
    status = aloop_await(aloop_spawn(loop, finds_a_fresh_state, NULL));
    return status == 1 && fegetround() == FE_UPWARD;
}

static void a_task_that_another_one_awaits_has_the_rounding_of_the_loop(
    void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, awaits_with_its_own_rounding, NULL)),
        1);
}

static ssize_t awaits_two_in_turn(aloop *loop, void *arg)
{
    aloop_await(aloop_spawn(loop, sets_errno_and_rounding, arg));
    errno = ERANGE;
    if (aloop_await(aloop_spawn(loop, finds_a_fresh_state, NULL)) != 1)
        return ALOOP_EINVAL;
    return errno == ERANGE;
}

/* The second one begins on the stack that was kept after the first one. */
static void a_task_after_an_awaited_one_has_a_fresh_errno_and_rounding(
    void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_await(aloop_spawn(t.loop, awaits_two_in_turn,
                                                 i == 0 ? NULL : t.loop)),
                         1);
}

/* The loop itself begins the second one, after its own rounding has changed. */
static void a_task_on_a_kept_stack_has_the_present_rounding_of_the_loop(
    void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, finds_a_fresh_state, NULL)), 1);
    fesetround(FE_UPWARD);
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, finds_a_fresh_state, NULL)), 0);
    fesetround(FE_TONEAREST);
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, finds_a_fresh_state, NULL)), 1);
}

static ssize_t yields_with_errno(aloop *loop, void *arg)
{
    (void) arg;
    errno = EDOM;
    aloop_yield(loop);
    return errno == EDOM;
}

/* An allocator of the application, which may change errno. */
static void *resize_with_errno(void *context, void *old, size_t old_size,
                               size_t new_size)
{
    void *memory = NULL;

    (void) context;
    (void) old_size;
    if (new_size > 0)
        memory = realloc(old, new_size);
    else
        free(old);
    errno = ENOMEM;
    return memory;
}

/* A large stack is mapped by the task before, and unmapped by the one after. */
static void errno_of_a_task_survives_the_start_and_end_of_others(void **state)
{
    enum { TASKS = 10 };
    aloop_task_options large = {.size = sizeof large, .stack_size = 1 << 20};
    aloop_options options = {.size = sizeof options,
                             .resize = resize_with_errno};
    aloop *loop = aloop_new(&options);
    aloop_future *tasks[TASKS];

    (void) state;
    assert_non_null(loop);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = aloop_spawn_at(loop, yields_with_errno, NULL,
                                  i % 2 == 0 ? NULL : &large, "task", "here");
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(aloop_await(tasks[i]), 1);
    aloop_free(loop);
}

static ssize_t returns_its_number(aloop *loop, void *arg)
{
    (void) loop;
    return (intptr_t) arg;
}

/* The second and fourth have another size, so that they cannot run where the
 * one before them has ended. */
static void tasks_with_stacks_of_several_sizes_follow_each_other(void **state)
{
    aloop_task_options large = {.size = sizeof large, .stack_size = 1 << 20};
    aloop_future *tasks[5];

    (void) state;
    for (intptr_t i = 0; i < 5; i++)
        tasks[i] = aloop_spawn_at(t.loop, returns_its_number, (void *) i,
                                  i % 2 == 0 ? NULL : &large, "task", "here");
    for (int i = 0; i < 5; i++)
        assert_int_equal(aloop_await(tasks[i]), i);
}

static ssize_t awaits_several_sizes(aloop *loop, void *arg)
{
    aloop_task_options large = {.size = sizeof large, .stack_size = 1 << 20};

    (void) arg;
    for (intptr_t i = 0; i < 6; i++)
        if (aloop_await(aloop_spawn_at(loop, returns_its_number, (void *) i,
                                       i % 3 == 0 ? NULL : &large, "task",
                                       "here")) != i)
            return ALOOP_EINVAL;
    return 0;
}

static void awaited_tasks_with_stacks_of_several_sizes_follow_each_other(
    void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, awaits_several_sizes, NULL)), 0);
}

static ssize_t yields_often(aloop *loop, void *arg)
{
    int count = (int) (intptr_t) arg;

    for (int i = 0; i < count; i++)
        aloop_yield(loop);
    return 0;
}

static void tasks_that_yield_ask_the_reactor_after_32_turns(void **state)
{
    aloop_future *task;
    unsigned before;

    (void) state;
    before = sim_wakes();
    task = aloop_spawn(t.loop, yields_often, (void *) 330);
    assert_int_equal(aloop_await(task), 0);
    assert_in_range(sim_wakes() - before, 10, 12);
}

static ssize_t returns_nothing(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

static ssize_t awaits_often(aloop *loop, void *arg)
{
    int count = (int) (intptr_t) arg;

    for (int i = 0; i < count; i++)
        aloop_await(aloop_spawn(loop, returns_nothing, NULL));
    return 0;
}

/* The turn of a task that ends without a wait counts with the turn of the task
 * that awaits it, except in a debug loop, where both go through the loop. */
static void a_task_that_awaits_short_ones_asks_the_reactor_after_32_of_them(
    void **state)
{
    aloop_future *task;
    unsigned before, turns = t.loop->debug != NULL ? 2 : 1;

    (void) state;
    before = sim_wakes();
    task = aloop_spawn(t.loop, awaits_often, (void *) 330);
    assert_int_equal(aloop_await(task), 0);
    assert_in_range(sim_wakes() - before, 10 * turns, 12 * turns);
}

static ssize_t yields_once(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_yield(loop);
}

static ssize_t awaits_waiting_ones(aloop *loop, void *arg)
{
    int count = (int) (intptr_t) arg;

    for (int i = 0; i < count; i++)
        aloop_await(aloop_spawn(loop, yields_once, NULL));
    return 0;
}

/* There are three turns for each: until it waits, until it ends, and that of
 * the task that awaits it. */
static void each_turn_counts_of_a_task_that_has_waited(void **state)
{
    aloop_future *task;
    unsigned before;

    (void) state;
    before = sim_wakes();
    task = aloop_spawn(t.loop, awaits_waiting_ones, (void *) 110);
    assert_int_equal(aloop_await(task), 0);
    assert_in_range(sim_wakes() - before, 10, 12);
}

static ssize_t spawns_its_like(aloop *loop, void *arg)
{
    int *left = arg;

    if (--*left > 0)
        aloop_detach(
            aloop_spawn_at(loop, spawns_its_like, arg, NULL, "task", "here"));
    return 0;
}

static ssize_t yields_while(aloop *loop, void *arg)
{
    const int *left = arg;

    while (*left > 0)
        aloop_yield(loop);
    return 0;
}

/* A task begins in each turn, either alone or after one that has waited.  With
 * ucontext each one begins in the loop, and only every second turn counts. */
static void of_short_tasks_in_a_row_at_least_each_second_turn_counts(
    void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        int left = 330;
        unsigned before = sim_wakes();

        aloop_detach(aloop_spawn(t.loop, spawns_its_like, &left));
        if (i > 0)
            aloop_detach(aloop_spawn(t.loop, yields_while, &left));
        aloop_run(t.loop);
        assert_in_range(sim_wakes() - before, 5, 13);
    }
}

static ssize_t posts_and_yields(aloop *loop, void *arg)
{
    (void) arg;
    aloop_yield(loop);
    assert_int_equal(aloop_post(loop, notes, (void *) 1), 0);
    aloop_yield(loop);
    note(2);
    return 0;
}

/* Posts come after the batch of the turn in which they were made. */
static void a_post_runs_before_the_next_turn_of_a_task_that_yields(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, posts_and_yields, NULL));
    aloop_run(t.loop);
    assert_noted(1, 2);
}

static ssize_t computes_and_yields(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 50; i++)
        aloop_yield(loop); /* Short turns, so that few read the clock. */
    for (int i = 0; i < 20; i++) {
        sim_advance(MS);
        aloop_yield(loop);
    }
    return 0;
}

/* The clock is read again in the eighth of the long turns at the latest. */
static void tasks_that_compute_ask_the_reactor_in_each_turn(void **state)
{
    aloop_future *task;
    unsigned before;

    (void) state;
    before = sim_wakes();
    task = aloop_spawn(t.loop, computes_and_yields, NULL);
    assert_int_equal(aloop_await(task), 0);
    assert_in_range(sim_wakes() - before, 1 + 13, 1 + 21);
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) arg;
    note(100);
    aloop_timer_close(timer);
}

static ssize_t waits_for_the_timer(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 1000 && t.noted == 0; i++) {
        sim_advance(ALOOP_US(5));
        aloop_yield(loop);
    }
    note(1);
    return 0;
}

static void a_timer_fires_between_tasks_that_yield(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, MS, 0, on_timer, NULL, &timer);
    aloop_detach(aloop_spawn(t.loop, waits_for_the_timer, NULL));
    aloop_detach(aloop_spawn(t.loop, waits_for_the_timer, NULL));
    aloop_run(t.loop);
    assert_noted(100, 1, 1);
    assert_in_range(aloop_now(t.loop) - begin, MS, MS + ALOOP_US(20));
}

static void on_timer_of_task(aloop_timer *timer, void *arg)
{
    *(bool *) arg = true;
    aloop_timer_close(timer);
}

static ssize_t computes_past_a_timer(aloop *loop, void *arg)
{
    bool has_fired = false;
    aloop_timer *timer;

    (void) arg;
    aloop_timer_start(loop, MS, 0, on_timer_of_task, &has_fired, &timer);
    for (int i = 0; i < 50; i++)
        aloop_yield(loop);
    sim_advance(MS);
    aloop_yield(loop);
    return has_fired;
}

static void a_timer_fires_after_the_first_long_turn(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, computes_past_a_timer, NULL)), true);
}

static ssize_t computes_a_little_past_a_timer(aloop *loop, void *arg)
{
    bool has_fired = false;
    aloop_timer *timer;

    (void) arg;
    aloop_timer_start(loop, ALOOP_US(10), 0, on_timer_of_task, &has_fired,
                      &timer);
    aloop_yield(loop);
    sim_advance(ALOOP_US(11));
    aloop_yield(loop);
    return has_fired;
}

/* Too little time has passed for the loop to ask the reactor. */
static void a_timer_fires_after_the_first_turn_behind_its_deadline(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, computes_a_little_past_a_timer, NULL)),
        true);
}

static ssize_t yields_until_all_have_ended(aloop *loop, void *arg)
{
    aloop_future *other = arg;

    while (!aloop_future_is_settled(other))
        aloop_yield(loop);
    t.calls++;
    aloop_future_unref(other);
    aloop_yield(loop);
    t.calls++;
    return 0;
}

static void an_await_outside_returns_in_the_turn_in_which_it_settles(
    void **state)
{
    aloop_future *first = aloop_spawn(t.loop, yields_often, (void *) 3);
    aloop_future *second = aloop_spawn(t.loop, yields_until_all_have_ended,
                                       aloop_future_ref(first));

    (void) state;
    assert_int_equal(aloop_await(first), 0);
    assert_int_equal(t.calls, 1);
    assert_int_equal(aloop_await(second), 0);
    assert_int_equal(t.calls, 2);
}

static ssize_t frees_a_stack_after_many(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 100; i++) {
        aloop_future *tasks[3];

        for (intptr_t j = 0; j < 3; j++)
            tasks[j] = aloop_spawn(
                loop, j == 1 ? yields_often : returns_its_number, (void *) j);
        for (int j = 2; j >= 0; j--)
            if (aloop_await(tasks[j]) != (j == 1 ? 0 : j))
                return ALOOP_EINVAL;
    }
    return 0;
}

static void many_tasks_that_end_and_wait_in_turn_leave_nothing(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, frees_a_stack_after_many, NULL)), 0);
}

static uintptr_t lowest, highest; /* Addresses on the stacks of tasks. */

static ssize_t notes_its_stack(aloop *loop, void *arg)
{
    char here = 0;
    uintptr_t address = (uintptr_t) &here;

    (void) arg;
    lowest = address < lowest ? address : lowest;
    highest = address > highest ? address : highest;
    aloop_yield(loop);
    return here;
}

/* Two stacks are in use at a time, and one of them is kept when both tasks have
 * ended.  A stack that was lost in each round would take a range of its own. */
static void the_stacks_of_ended_tasks_are_used_again(void **state)
{
    enum { ROUNDS = 1000, RANGE = 64 << 20 };

    (void) state;
    lowest = UINTPTR_MAX;
    highest = 0;
    for (int i = 0; i < ROUNDS; i++) {
        aloop_future *first = aloop_spawn(t.loop, notes_its_stack, NULL);
        aloop_future *second = aloop_spawn(t.loop, notes_its_stack, NULL);

        assert_int_equal(aloop_await(first), 0);
        assert_int_equal(aloop_await(second), 0);
    }
    assert_in_range(highest - lowest, 0, RANGE);
}

static ssize_t tells_its_frame(aloop *loop, void *arg)
{
    (void) loop;
    *(uintptr_t *) arg = (uintptr_t) __builtin_frame_address(0);
    return 0;
}

/* The first task makes the loop map several stacks of the usual size, so that
 * none of these takes the place of the large one. */
static void a_large_stack_is_not_kept_for_tasks_of_the_usual_size(void **state)
{
    enum { NEAR = 16 * 1024 }; /* No stack is that small. */
    aloop_task_options large = {.size = sizeof large, .stack_size = 8 << 20};
    uintptr_t usual, on_large, after;

    (void) state;
    aloop_await(aloop_spawn(t.loop, tells_its_frame, &usual));
    aloop_await(aloop_spawn_at(t.loop, tells_its_frame, &on_large, &large,
                               "task", "here"));
    aloop_await(aloop_spawn(t.loop, tells_its_frame, &after));
    assert_false(on_large - after + NEAR < 2 * NEAR);
}

/* Both are queued, so that the large one begins when the other one ends. */
static void a_task_with_a_large_stack_does_not_run_where_a_usual_one_ended(
    void **state)
{
    enum { NEAR = 16 * 1024 };
    aloop_task_options large = {.size = sizeof large, .stack_size = 8 << 20};
    uintptr_t usual, on_large;
    aloop_future *first, *second;

    (void) state;
    first = aloop_spawn(t.loop, tells_its_frame, &usual);
    second = aloop_spawn_at(t.loop, tells_its_frame, &on_large, &large, "task",
                            "here");
    assert_int_equal(aloop_await(first), 0);
    assert_int_equal(aloop_await(second), 0);
    assert_false(on_large - usual + NEAR < 2 * NEAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tasks_and_deferred_calls_run_in_the_order_of_the_queue),
        TEST(a_task_after_an_ended_one_has_a_fresh_errno_and_rounding),
        TEST(a_task_that_another_one_awaits_has_the_rounding_of_the_loop),
        TEST(a_task_after_an_awaited_one_has_a_fresh_errno_and_rounding),
        TEST(a_task_on_a_kept_stack_has_the_present_rounding_of_the_loop),
        TEST(errno_of_a_task_survives_the_start_and_end_of_others),
        TEST(tasks_with_stacks_of_several_sizes_follow_each_other),
        TEST(awaited_tasks_with_stacks_of_several_sizes_follow_each_other),
        TEST(tasks_that_yield_ask_the_reactor_after_32_turns),
        TEST(a_task_that_awaits_short_ones_asks_the_reactor_after_32_of_them),
        TEST(each_turn_counts_of_a_task_that_has_waited),
        TEST(of_short_tasks_in_a_row_at_least_each_second_turn_counts),
        TEST(a_post_runs_before_the_next_turn_of_a_task_that_yields),
        TEST(tasks_that_compute_ask_the_reactor_in_each_turn),
        TEST(a_timer_fires_between_tasks_that_yield),
        TEST(a_timer_fires_after_the_first_long_turn),
        TEST(a_timer_fires_after_the_first_turn_behind_its_deadline),
        TEST(an_await_outside_returns_in_the_turn_in_which_it_settles),
        TEST(many_tasks_that_end_and_wait_in_turn_leave_nothing),
        TEST(the_stacks_of_ended_tasks_are_used_again),
        TEST(a_large_stack_is_not_kept_for_tasks_of_the_usual_size),
        TEST(a_task_with_a_large_stack_does_not_run_where_a_usual_one_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
