/* Tests of tasks: spawning, awaiting, yielding, errors, and aloop_main(). */

#include <errno.h>
#include <fenv.h>
#include <string.h>

#include "support/memory_fixture.h"
#include "os/tools.h"

static ssize_t returns_arg(aloop *loop, void *arg)
{
    (void) loop;
    note((int) (intptr_t) arg);
    return (intptr_t) arg;
}

static void a_task_is_a_future_with_the_functions_result(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, returns_arg, as_arg(42))),
                     42);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, returns_arg, as_arg(-5))),
                     -5);
}

static void spawning_runs_nothing_before_the_next_turn(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, returns_arg, as_arg(1));

    (void) state;
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_await(task), 1);
    assert_noted(1);
}

static void tasks_start_in_the_order_of_spawning(void **state)
{
    (void) state;
    for (int i = 1; i <= 4; i++)
        aloop_detach(aloop_spawn(t.loop, returns_arg, as_arg(i)));
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 4);
}

static ssize_t sleeps_a_while(aloop *loop, void *arg)
{
    int local = (int) (intptr_t) arg; /* It must survive the await. */
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(local)));

    note(local);
    return status;
}

static void locals_survive_an_await_and_tasks_run_concurrently(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    for (int i = 5; i >= 1; i--)
        aloop_detach(aloop_spawn(t.loop, sleeps_a_while, as_arg(i)));
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 4, 5);
    assert_true(aloop_now(t.loop) - begin == ALOOP_MS(5));
}

static ssize_t awaits_itself(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return aloop_await(aloop_future_ref(aloop_current_task()));
}

static void a_task_that_awaits_itself_is_a_deadlock(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, awaits_itself, NULL)),
                     ALOOP_EDEADLK);
}

struct pair {
    aloop_future *task[2];
    ssize_t status[2];
};

static ssize_t awaits_the_other(struct pair *pair, int me)
{
    pair->status[me] = aloop_await(aloop_future_ref(pair->task[!me]));
    return 0;
}

static ssize_t awaits_second(aloop *loop, void *arg)
{
    (void) loop;
    return awaits_the_other(arg, 0);
}

static ssize_t awaits_first(aloop *loop, void *arg)
{
    (void) loop;
    return awaits_the_other(arg, 1);
}

static void two_tasks_that_await_each_other_are_a_deadlock(void **state)
{
    struct pair pair;

    (void) state;
    pair.task[0] = aloop_spawn(t.loop, awaits_second, &pair);
    pair.task[1] = aloop_spawn(t.loop, awaits_first, &pair);
    aloop_run(t.loop);
    assert_int_equal(pair.status[0], 0);
    assert_int_equal(pair.status[1], ALOOP_EDEADLK);
    aloop_future_unref(pair.task[0]);
    aloop_future_unref(pair.task[1]);
}

static void awaits_in_callback(aloop *loop, void *arg)
{
    int64_t begin = aloop_now(loop);

    (void) arg;
    t.calls++;
    assert_int_equal(aloop_await(aloop_sleep(loop, ALOOP_SEC(1))),
                     ALOOP_EDEADLK);
    assert_int_equal(aloop_yield(loop), ALOOP_EDEADLK);
    assert_int_equal(aloop_run(loop), ALOOP_EBUSY);
    assert_int_equal(aloop_step(loop, 0), ALOOP_EBUSY);
    assert_int_equal(aloop_free(loop), ALOOP_EBUSY);
    assert_true(aloop_now(loop) == begin);
}

static void an_await_in_a_callback_is_a_deadlock_immediately(void **state)
{
    (void) state;
    aloop_defer(t.loop, awaits_in_callback, NULL);
    aloop_run(t.loop);
    assert_int_equal(t.calls, 1);
}

static void awaiting_a_future_that_cannot_settle_is_a_deadlock(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_future_ref(promise)), ALOOP_EDEADLK);
    assert_int_equal(aloop_await(promise), ALOOP_EDEADLK);
}

static void a_task_that_awaits_its_own_promise_is_a_deadlock(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, awaits_arg, aloop_future_new(t.loop))),
        ALOOP_EDEADLK);
}

static void resolve_with_nine(void *arg, ssize_t status)
{
    (void) status;
    aloop_future_resolve(arg, 9);
}

static void on_slept(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    resolve_with_nine(arg, status);
}

static void all_waiters_of_a_future_get_its_status(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);
    aloop_future *waiters[3];

    (void) state;
    for (int i = 0; i < 3; i++)
        waiters[i] = aloop_spawn(t.loop, awaits_arg, aloop_future_ref(promise));
    aloop_then(aloop_sleep(t.loop, 1), on_slept, promise);
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(waiters[i]), 9);
    assert_int_equal(aloop_await(promise), 9);
}

static ssize_t awaits_settled_futures(aloop *loop, void *arg)
{
    int *other_ran = arg;
    int awaits = 0;

    while (*other_ran == 0 && awaits < 10000) {
        if (aloop_await(aloop_future_new_settled(loop, 1)) != 1)
            return -1;
        awaits++;
    }
    return awaits;
}

static ssize_t sets_flag(aloop *loop, void *arg)
{
    (void) loop;
    *(int *) arg = 1;
    return 0;
}

static void awaiting_settled_futures_yields_every_few_dozen_times(void **state)
{
    int other_ran = 0;
    aloop_future *first;
    ssize_t awaits;

    (void) state;
    first = aloop_spawn(t.loop, awaits_settled_futures, &other_ran);
    aloop_detach(aloop_spawn(t.loop, sets_flag, &other_ran));
    awaits = aloop_await(first);
    assert_true(awaits > 1 && awaits <= 64);
}

static ssize_t yields_thrice(aloop *loop, void *arg)
{
    for (int i = 0; i < 3; i++) {
        note((int) (intptr_t) arg);
        if (aloop_yield(loop) != 0)
            return -1;
    }
    return 0;
}

static void yield_lets_every_other_ready_task_run_once(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, yields_thrice, as_arg(1)));
    aloop_detach(aloop_spawn(t.loop, yields_thrice, as_arg(2)));
    aloop_run(t.loop);
    assert_noted(1, 2, 1, 2, 1, 2);
}

static ssize_t sets_errno(aloop *loop, void *arg)
{
    int mine = (int) (intptr_t) arg;

    errno = mine;
    fesetround(mine == 1 ? FE_UPWARD : FE_DOWNWARD);
    for (int i = 0; i < 3; i++) {
        aloop_yield(loop);
        if (errno != mine ||
            fegetround() != (mine == 1 ? FE_UPWARD : FE_DOWNWARD))
            return -1;
    }
    return 0;
}

static void errno_and_the_rounding_mode_belong_to_the_task(void **state)
{
    aloop_future *one = aloop_spawn(t.loop, sets_errno, as_arg(1));
    aloop_future *two = aloop_spawn(t.loop, sets_errno, as_arg(2));

    (void) state;
    errno = 77;
    assert_int_equal(aloop_await(one), 0);
    assert_int_equal(aloop_await(two), 0);
    assert_int_equal(fegetround(), FE_TONEAREST);
}

static ssize_t checks_current(aloop *loop, void *arg)
{
    aloop_future **self = arg;

    for (int i = 0; i < 3; i++) {
        if (aloop_current_task() != *self || aloop_current() != loop)
            return -1;
        aloop_yield(loop);
    }
    return 0;
}

static void the_current_task_is_correct_if_tasks_interleave(void **state)
{
    aloop_future *one, *two;

    (void) state;
    assert_null(aloop_current_task());
    assert_null(aloop_current());
    one = aloop_spawn(t.loop, checks_current, &one);
    two = aloop_spawn(t.loop, checks_current, &two);
    aloop_future_ref(one);
    aloop_future_ref(two);
    assert_int_equal(aloop_await(one), 0);
    assert_int_equal(aloop_await(two), 0);
    assert_null(aloop_current_task());
    aloop_future_unref(one);
    aloop_future_unref(two);
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return ALOOP_EPIPE;
}

static void the_report_of_a_failed_task_contains_its_name_and_place(
    void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, fails, NULL));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
    assert_non_null(strstr(t.unhandled_what, "task fails ("));
    assert_non_null(strstr(t.unhandled_what, "test_task.c:"));
}

static void the_default_report_is_one_line_on_standard_error(void **state)
{
    aloop *loop = aloop_new(NULL);

    (void) state;
    aloop_detach(aloop_spawn(loop, fails, NULL));
    aloop_run(loop);
    aloop_free(loop);
    assert_non_null(strstr(sim_stderr(), "task fails ("));
    assert_non_null(strstr(sim_stderr(), "failed: broken pipe\n"));
}

static void a_task_has_a_name(void **state)
{
    aloop_future *plain = aloop_spawn(t.loop, fails, NULL);
    aloop_future *named =
        aloop_spawn_with(t.loop, fails, NULL, .name = "crawler");

    (void) state;
    assert_string_equal(aloop_task_name(plain), "fails");
    assert_string_equal(aloop_task_name(named), "crawler");
    assert_null(aloop_task_name(NULL));
    assert_int_equal(aloop_await(plain), ALOOP_EPIPE);
    assert_int_equal(aloop_await(named), ALOOP_EPIPE);
}

/* The frame of this function exceeds the limit of the build on purpose. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wframe-larger-than="
static ssize_t uses_much_stack(aloop *loop, void *arg)
{
    volatile char big[700 * 1024];

    (void) loop;
    (void) arg;
    for (size_t i = 0; i < sizeof big; i += 1024)
        big[i] = 1;
    return big[1024];
}
#pragma GCC diagnostic pop

static void a_task_may_ask_for_a_larger_stack(void **state)
{
    aloop_future *task = aloop_spawn_with(t.loop, uses_much_stack, NULL,
                                          .stack_size = 1024 * 1024);

    (void) state;
    assert_int_equal(aloop_await(task), 1);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_task_options options = {.size = 1};

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(NULL, fails, NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, NULL, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_spawn_at(t.loop, fails, NULL, &options,
                                                "fails", ALOOP_HERE)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_yield(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_shield_begin(), ALOOP_EINVAL);
    assert_int_equal(aloop_shield_end(), ALOOP_EINVAL);
    assert_null(aloop_deadline_begin(t.loop, 1));
    assert_int_equal(aloop_deadline_restart(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_deadline_end(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_main(NULL, NULL), ALOOP_EINVAL);
}

static ssize_t awaits_in_other_loop(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_await(aloop_sleep(arg, 1));
}

static void awaiting_a_future_of_another_loop_is_refused(void **state)
{
    aloop *other = aloop_new(NULL);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, awaits_in_other_loop, other)),
        ALOOP_EINVAL);
    aloop_free(other);
}

static ssize_t awaits_deeper(aloop *loop, void *arg)
{
    int depth = *(int *) arg;

    if (depth == 0)
        return aloop_await(aloop_sleep(loop, 1));
    depth--;
    return 1 + aloop_await(aloop_spawn(loop, awaits_deeper, &depth));
}

static void a_chain_of_a_thousand_awaits_works(void **state)
{
    int depth = 1000;

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, awaits_deeper, &depth)),
                     1000);
}

static ssize_t stops_loop(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
}

static void a_stopped_loop_leaves_tasks_pending_and_can_run_again(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, stops_loop, NULL);

    (void) state;
    assert_int_equal(aloop_run(t.loop), 1);
    assert_false(aloop_future_is_settled(task));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_await(task), 0);
}

static ssize_t never_ends(aloop *loop, void *arg)
{
    int *freed = arg;

    aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));
    (*freed)++;
    return 0;
}

static void freeing_the_loop_lets_tasks_clean_up(void **state)
{
    int freed = 0;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, never_ends, &freed));
    aloop_detach(aloop_spawn(t.loop, never_ends, &freed));
    aloop_step(t.loop, 0);
    aloop_detach(aloop_spawn(t.loop, never_ends, &freed)); /* Not run yet. */
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(freed, 3);
}

_Noreturn static ssize_t never_returns(aloop *loop, void *arg)
{
    (void) arg;
    aloop_shield_begin();
    for (;;)
        aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
}

static void freeing_the_loop_ends_a_task_that_never_returns(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, never_returns, NULL));
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
}

static ssize_t spawns_and_returns(aloop *loop, void *arg)
{
    aloop_detach(aloop_spawn(loop, never_ends, arg));
    aloop_await(aloop_sleep(loop, 1));
    return 5;
}

static void main_cancels_and_awaits_the_remaining_tasks(void **state)
{
    int freed = 0;

    (void) state;
    assert_int_equal(aloop_main(spawns_and_returns, &freed), 5);
    assert_int_equal(freed, 1);
}

static ssize_t cancels_itself_and_sleeps(aloop *loop, void *arg)
{
    (void) arg;
    aloop_cancel(aloop_current_task());
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
}

static ssize_t returns_the_status_of_an_await(aloop *loop, void *arg)
{
    aloop_future *child = aloop_spawn(loop, cancels_itself_and_sleeps, arg);

    return aloop_await(child);
}

static void main_returns_the_result_of_its_function(void **state)
{
    (void) state;
    assert_int_equal(aloop_main(cancels_itself_and_sleeps, NULL),
                     ALOOP_ECANCELED);
    assert_int_equal(aloop_main(returns_the_status_of_an_await, NULL),
                     ALOOP_EABORTED);
    assert_int_equal(aloop_main(returns_arg, as_arg(9)), 9);
}

static ssize_t runs_main(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_main(spawns_and_returns, arg);
}

static void main_inside_a_running_loop_is_refused(void **state)
{
    int freed = 0;

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, runs_main, &freed)),
                     ALOOP_EDEADLK);
    assert_int_equal(freed, 0);
}

static ssize_t leaves_a_group(aloop *loop, void *arg)
{
    aloop_group *group = aloop_group_new(loop);

    aloop_group_spawn(group, never_ends, arg);
    aloop_await(aloop_sleep(loop, 1));
    return 5;
}

static void main_ends_the_members_of_a_group_that_is_not_awaited(void **state)
{
    int freed = 0;
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(aloop_main(leaves_a_group, &freed), 5);
    assert_int_equal(freed, 1);
    assert_true(aloop_now(t.loop) - begin < ALOOP_SEC(1));
}

static ssize_t notes_around_an_await(aloop *loop, void *arg)
{
    (void) arg;
    note(1);
    aloop_await(aloop_future_new_settled(loop, 0));
    note(2);
    return 0;
}

static void a_settled_future_is_returned_without_a_switch(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, notes_around_an_await, NULL));
    aloop_detach(aloop_spawn(t.loop, returns_arg, as_arg(3)));
    aloop_step(t.loop, 0);
    assert_noted(1, 2, 3);
}

static ssize_t use_other_loop(aloop *loop, void *arg)
{
    aloop *other = arg;

    assert_ptr_not_equal(loop, other);
    assert_int_equal(aloop_yield(other), ALOOP_EINVAL);
    assert_null(aloop_deadline_begin(other, MS));
    assert_int_equal(aloop_await(aloop_sleep(other, MS)), ALOOP_EINVAL);
    note(1);
    return 0;
}

static void a_task_can_wait_only_on_its_own_loop(void **state)
{
    aloop *other = other_loop();

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, use_other_loop, other)),
                     0);

    assert_noted(1);
    assert_int_equal(aloop_run(other), 0); /* No sleep is pending. */
    assert_int_equal(aloop_free(other), 0);
}

static void a_task_without_a_name_has_a_default_name(void **state)
{
    ssize_t result = 0;
    aloop_future *task =
        aloop_spawn_at(t.loop, just_return, &result, NULL, NULL, NULL);
    aloop_future *sleep = aloop_sleep(t.loop, MS);

    (void) state;
    assert_string_equal(aloop_task_name(task), "?");
    assert_null(aloop_task_name(sleep));
    assert_null(aloop_task_name(NULL));
    assert_null(aloop_task_name(aloop_sleep(NULL, MS)));
    aloop_future_unref(sleep);
    assert_int_equal(aloop_await(task), 0);
}

static void a_task_that_returns_aloop_pending_has_failed(void **state)
{
    ssize_t result = ALOOP_PENDING;

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, just_return, &result)),
                     ALOOP_EINVAL);
}

static void a_task_without_memory_for_its_name_is_not_reported(void **state)
{
    unsigned points = 0;
    bool has_failed = true;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, returns_zero, NULL));
    aloop_run(t.loop);
    for (unsigned n = 1; has_failed; n++) {
        aloop_future *task;

        memory.fails_at = memory.calls + n;
        task = aloop_spawn_with(t.loop, returns_zero, NULL, .name = "named");
        has_failed = memory.calls >= memory.fails_at;
        memory.fails_at = 0;
        /* A debug loop has a reserve of memory. */
        assert_true(has_failed || task != NULL);
        points += task == NULL;
        aloop_detach(task);
        aloop_run(t.loop);
    }
    /* At least the name cannot be allocated, even if the task can. */
    assert_true(points >= 1 || WITH_ASAN);
    assert_int_equal(t.unhandled, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_a_future_with_the_functions_result),
        TEST(spawning_runs_nothing_before_the_next_turn),
        TEST(tasks_start_in_the_order_of_spawning),
        TEST(locals_survive_an_await_and_tasks_run_concurrently),
        TEST(a_task_that_awaits_itself_is_a_deadlock),
        TEST(two_tasks_that_await_each_other_are_a_deadlock),
        TEST(an_await_in_a_callback_is_a_deadlock_immediately),
        TEST(awaiting_a_future_that_cannot_settle_is_a_deadlock),
        TEST(a_task_that_awaits_its_own_promise_is_a_deadlock),
        TEST(all_waiters_of_a_future_get_its_status),
        TEST(awaiting_settled_futures_yields_every_few_dozen_times),
        TEST(yield_lets_every_other_ready_task_run_once),
        TEST(errno_and_the_rounding_mode_belong_to_the_task),
        TEST(the_current_task_is_correct_if_tasks_interleave),
        TEST(the_report_of_a_failed_task_contains_its_name_and_place),
        TEST(the_default_report_is_one_line_on_standard_error),
        TEST(a_task_has_a_name),
        TEST(a_task_may_ask_for_a_larger_stack),
        TEST(invalid_arguments_are_refused),
        TEST(awaiting_a_future_of_another_loop_is_refused),
        TEST(a_chain_of_a_thousand_awaits_works),
        TEST(a_stopped_loop_leaves_tasks_pending_and_can_run_again),
        TEST(freeing_the_loop_lets_tasks_clean_up),
        TEST(freeing_the_loop_ends_a_task_that_never_returns),
        TEST(main_cancels_and_awaits_the_remaining_tasks),
        TEST(main_returns_the_result_of_its_function),
        TEST(main_inside_a_running_loop_is_refused),
        TEST(main_ends_the_members_of_a_group_that_is_not_awaited),
        TEST(a_settled_future_is_returned_without_a_switch),
        TEST(a_task_can_wait_only_on_its_own_loop),
        TEST(a_task_without_a_name_has_a_default_name),
        TEST(a_task_that_returns_aloop_pending_has_failed),
        MEMORY_TEST(a_task_without_memory_for_its_name_is_not_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
