/* Tests of cancellation, shields and deadline scopes. */

#include "support/fixture.h"

static ssize_t sleeps_twice(aloop *loop, void *arg)
{
    ssize_t *statuses = arg;

    statuses[0] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    statuses[1] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    return statuses[0];
}

static void cancel_ends_the_present_await_and_every_later_one(void **state)
{
    ssize_t statuses[2] = {0, 0};
    int64_t begin = aloop_now(t.loop);
    aloop_future *task = aloop_spawn(t.loop, sleeps_twice, statuses);

    (void) state;
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_cancel(task), 1);
    aloop_run(t.loop);
    assert_int_equal(statuses[0], ALOOP_ECANCELED);
    assert_int_equal(statuses[1], ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(task), ALOOP_ECANCELED);
    assert_int_equal(aloop_cancel(task), 0);
    aloop_future_unref(task);
    assert_true(aloop_now(t.loop) == begin);
    assert_int_equal(t.unhandled, 0);
}

static void a_body_always_starts_even_if_cancelled_before(void **state)
{
    ssize_t statuses[2] = {0, 0};
    aloop_future *task = aloop_spawn(t.loop, sleeps_twice, statuses);

    (void) state;
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_int_equal(statuses[0], ALOOP_ECANCELED);
}

static ssize_t notes_between_awaits(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 3; i++) {
        note(1);
        if (aloop_await(aloop_sleep(loop, MS)) != ALOOP_ECANCELED)
            return -1;
    }
    return 0;
}

static void note_two(aloop *loop, void *arg)
{
    note(2);
    if (++t.calls < 3)
        aloop_defer(loop, note_two, arg);
}

static void each_cancelled_await_yields_once(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, notes_between_awaits, NULL);

    (void) state;
    aloop_cancel(task);
    aloop_defer(t.loop, note_two, NULL);
    aloop_run(t.loop);
    assert_noted(1, 2, 1, 2, 1, 2);
    aloop_future_unref(task);
}

/* The completed future wins, so that its result is not lost. */
static void an_await_whose_future_has_settled_delivers_its_value(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);
    aloop_future *task =
        aloop_spawn(t.loop, awaits_arg, aloop_future_ref(promise));

    (void) state;
    aloop_step(t.loop, 0);
    aloop_future_resolve(promise, 42);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), 42);
    aloop_future_unref(promise);
}

static ssize_t awaits_settled_then_sleeps(aloop *loop, void *arg)
{
    ssize_t *statuses = arg;

    statuses[0] = aloop_await(aloop_future_new_settled(loop, 7));
    statuses[1] = aloop_await(aloop_sleep(loop, MS));
    return 0;
}

static void a_cancel_ends_the_next_await_that_would_wait(void **state)
{
    ssize_t statuses[2];
    aloop_future *task =
        aloop_spawn(t.loop, awaits_settled_then_sleeps, statuses);

    (void) state;
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), 0);
    assert_int_equal(statuses[0], 7);
    assert_int_equal(statuses[1], ALOOP_ECANCELED);
}

static ssize_t cleans_up_slowly(aloop *loop, void *arg)
{
    int *cleaned = arg;
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));

    aloop_shield_begin();
    if (aloop_await(aloop_sleep(loop, 5 * MS)) == 0)
        *cleaned = 1;
    aloop_shield_end();
    return status;
}

static ssize_t awaits_inner(aloop *loop, void *arg)
{
    return aloop_await(aloop_spawn(loop, cleans_up_slowly, arg));
}

static void cancelling_the_only_owner_cancels_its_future_and_waits(void **state)
{
    int cleaned = 0;
    int64_t begin = aloop_now(t.loop);
    aloop_future *outer = aloop_spawn(t.loop, awaits_inner, &cleaned);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    aloop_cancel(outer);
    assert_int_equal(aloop_await(outer), ALOOP_EABORTED);
    assert_int_equal(cleaned, 1);
    assert_true(aloop_now(t.loop) - begin == 5 * MS);
}

static void cancelling_a_waiter_leaves_a_future_with_another_owner(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, 3 * MS);
    aloop_future *task =
        aloop_spawn(t.loop, awaits_arg, aloop_future_ref(sleep));

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_false(aloop_future_is_settled(sleep));
    assert_int_equal(aloop_await(sleep), 0);
}

static struct {
    aloop_future *first, *second;
    ssize_t first_status, second_status;
} pair;

static ssize_t awaits_the_second(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    pair.first_status = aloop_await(aloop_future_ref(pair.second));
    return 3;
}

/* The first task, which awaits this one, drops its reference, so that this one
 * has no other owner. */
static ssize_t cancels_and_awaits_the_first(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    aloop_cancel(pair.first);
    aloop_future_unref(pair.second);
    pair.second_status = aloop_await(pair.first);
    return 4;
}

static void a_cancelled_waiter_does_not_wait_for_its_own_waiter(void **state)
{
    (void) state;
    pair.first = aloop_spawn(t.loop, awaits_the_second, NULL);
    pair.second = aloop_spawn(t.loop, cancels_and_awaits_the_first, NULL);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(pair.first_status, ALOOP_ECANCELED);
    assert_int_equal(pair.second_status, 3);
}

static void awaiting_a_future_that_others_cancelled_returns_eaborted(
    void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, 3 * MS);
    aloop_future *task =
        aloop_spawn(t.loop, awaits_arg, aloop_future_ref(sleep));

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(sleep);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    aloop_future_unref(sleep);
}

static void task_and_inner_future_may_both_be_cancelled(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, 3 * MS);
    aloop_future *task =
        aloop_spawn(t.loop, awaits_arg, aloop_future_ref(sleep));

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(sleep);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_int_equal(aloop_await(sleep), ALOOP_EABORTED);
}

static void cancelling_a_waiter_leaves_a_detached_future(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, 3 * MS);
    aloop_future *task =
        aloop_spawn(t.loop, awaits_arg, aloop_future_ref(sleep));
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_detach(sleep);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    aloop_run(t.loop);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
}

static ssize_t ignores_cancel(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    return 42;
}

static ssize_t awaits_ignorer(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_spawn(loop, ignores_cancel, NULL));
}

static void a_task_that_completes_despite_a_cancel_succeeds(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, awaits_ignorer, NULL);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), 42);
}

static ssize_t cancels_itself(aloop *loop, void *arg)
{
    (void) arg;
    assert_int_equal(aloop_cancel(aloop_current_task()), 1);
    assert_true(aloop_is_cancelled());
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(100)));
}

static void a_task_may_cancel_itself(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, cancels_itself, NULL)),
                     ALOOP_EABORTED);
    assert_true(aloop_now(t.loop) == begin);
}

static ssize_t awaits_in_shields(aloop *loop, void *arg)
{
    ssize_t *statuses = arg;

    aloop_shield_begin();
    aloop_shield_begin();
    statuses[0] = aloop_await(aloop_sleep(loop, MS));
    aloop_shield_end();
    statuses[1] = aloop_await(aloop_sleep(loop, MS));
    assert_int_equal(aloop_shield_end(), 0);
    statuses[2] = aloop_await(aloop_sleep(loop, MS));
    assert_int_equal(aloop_shield_end(), ALOOP_EINVAL);
    return 0;
}

static void shields_nest_and_defer_a_cancel(void **state)
{
    ssize_t statuses[3];
    aloop_future *task = aloop_spawn(t.loop, awaits_in_shields, statuses);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), 0);
    assert_int_equal(statuses[0], 0);
    assert_int_equal(statuses[1], 0);
    assert_int_equal(statuses[2], ALOOP_ECANCELED);
}

static void dropping_a_tasks_future_cancels_it(void **state)
{
    ssize_t statuses[2] = {0, 0};
    aloop_future *task = aloop_spawn(t.loop, sleeps_twice, statuses);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_future_unref(task);
    aloop_run(t.loop);
    assert_int_equal(statuses[0], ALOOP_ECANCELED);
    assert_int_equal(t.unhandled, 0);
}

static ssize_t yields(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_yield(loop);
}

static void yield_reports_a_cancel(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, yields, NULL);

    (void) state;
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
}

/* Deadline scopes. */

static ssize_t sleeps_in_scope(aloop *loop, void *arg)
{
    int64_t *statuses = arg;
    aloop_deadline *deadline = aloop_deadline_begin(loop, 5 * MS);

    statuses[0] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    statuses[1] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    statuses[2] = aloop_deadline_end(deadline);
    statuses[3] = aloop_await(aloop_sleep(loop, MS));
    return 0;
}

static void a_deadline_ends_every_await_in_its_scope_and_none_after(
    void **state)
{
    int64_t statuses[4], begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, sleeps_in_scope, statuses)), 0);
    assert_int_equal(statuses[0], ALOOP_ETIMEDOUT);
    assert_int_equal(statuses[1], ALOOP_ETIMEDOUT);
    assert_int_equal(statuses[2], 1);
    assert_int_equal(statuses[3], 0);
    assert_true(aloop_now(t.loop) - begin == 6 * MS);
}

static ssize_t nests_scopes(aloop *loop, void *arg)
{
    int64_t *statuses = arg;
    aloop_deadline *outer = aloop_deadline_begin(loop, 5 * MS);
    aloop_deadline *inner = aloop_deadline_begin(loop, 50 * MS);

    statuses[0] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    statuses[1] = aloop_deadline_end(inner);
    statuses[2] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    statuses[3] = aloop_deadline_end(outer);
    return 0;
}

static void a_scope_reports_whether_its_deadline_expired(void **state)
{
    int64_t statuses[4];

    (void) state;
    aloop_await(aloop_spawn(t.loop, nests_scopes, statuses));
    assert_int_equal(statuses[0], ALOOP_ETIMEDOUT);
    assert_int_equal(statuses[1], 0);
    assert_int_equal(statuses[2], ALOOP_ETIMEDOUT);
    assert_int_equal(statuses[3], 1);
}

static ssize_t inner_expires_first(aloop *loop, void *arg)
{
    int64_t *statuses = arg;
    aloop_deadline *outer = aloop_deadline_begin(loop, 20 * MS);
    aloop_deadline *inner = aloop_deadline_begin(loop, 5 * MS);

    statuses[0] = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    statuses[1] = aloop_deadline_end(inner);
    statuses[2] = aloop_await(aloop_sleep(loop, MS));
    statuses[3] = aloop_deadline_end(outer);
    return 0;
}

static void an_inner_scope_that_expired_leaves_the_outer_one_intact(
    void **state)
{
    int64_t statuses[4];

    (void) state;
    aloop_await(aloop_spawn(t.loop, inner_expires_first, statuses));
    assert_int_equal(statuses[0], ALOOP_ETIMEDOUT);
    assert_int_equal(statuses[1], 1);
    assert_int_equal(statuses[2], 0);
    assert_int_equal(statuses[3], 0);
}

static ssize_t restarts_scope(aloop *loop, void *arg)
{
    int64_t *statuses = arg;
    aloop_deadline *deadline = aloop_deadline_begin(loop, 5 * MS);

    aloop_deadline_restart(deadline, 50 * MS);
    statuses[0] = aloop_await(aloop_sleep(loop, 10 * MS));
    aloop_deadline_restart(deadline, 5 * MS);
    statuses[1] = aloop_await(aloop_sleep(loop, 10 * MS));
    /* The deadline has passed, and the scope starts again. */
    aloop_deadline_restart(deadline, 50 * MS);
    statuses[2] = aloop_await(aloop_sleep(loop, 10 * MS));
    statuses[3] = aloop_deadline_end(deadline);
    return 0;
}

static void a_deadline_can_be_restarted(void **state)
{
    int64_t statuses[4];

    (void) state;
    aloop_await(aloop_spawn(t.loop, restarts_scope, statuses));
    assert_int_equal(statuses[0], 0);
    assert_int_equal(statuses[1], ALOOP_ETIMEDOUT);
    assert_int_equal(statuses[2], 0);
    assert_int_equal(statuses[3], 0);
}

static void a_cancel_inside_a_scope_is_no_timeout(void **state)
{
    int64_t statuses[4];
    aloop_future *task = aloop_spawn(t.loop, sleeps_in_scope, statuses);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), 0);
    assert_int_equal(statuses[0], ALOOP_ECANCELED);
    assert_int_equal(statuses[2], 0);
}

static ssize_t leaves_scope_open(aloop *loop, void *arg)
{
    (void) arg;
    aloop_deadline_begin(loop, 5 * MS);
    aloop_deadline_begin(loop, 5 * MS);
    return 0;
}

static void scopes_end_with_their_task(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, leaves_scope_open, NULL)),
                     0);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 10 * MS)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cancel_ends_the_present_await_and_every_later_one),
        TEST(a_body_always_starts_even_if_cancelled_before),
        TEST(each_cancelled_await_yields_once),
        TEST(an_await_whose_future_has_settled_delivers_its_value),
        TEST(a_cancel_ends_the_next_await_that_would_wait),
        TEST(cancelling_the_only_owner_cancels_its_future_and_waits),
        TEST(cancelling_a_waiter_leaves_a_future_with_another_owner),
        TEST(cancelling_a_waiter_leaves_a_detached_future),
        TEST(a_cancelled_waiter_does_not_wait_for_its_own_waiter),
        TEST(awaiting_a_future_that_others_cancelled_returns_eaborted),
        TEST(task_and_inner_future_may_both_be_cancelled),
        TEST(a_task_that_completes_despite_a_cancel_succeeds),
        TEST(a_task_may_cancel_itself),
        TEST(shields_nest_and_defer_a_cancel),
        TEST(dropping_a_tasks_future_cancels_it),
        TEST(yield_reports_a_cancel),
        TEST(a_deadline_ends_every_await_in_its_scope_and_none_after),
        TEST(a_scope_reports_whether_its_deadline_expired),
        TEST(an_inner_scope_that_expired_leaves_the_outer_one_intact),
        TEST(a_deadline_can_be_restarted),
        TEST(a_cancel_inside_a_scope_is_no_timeout),
        TEST(scopes_end_with_their_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
