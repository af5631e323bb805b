/* Tests of deadline scopes in which several deadlines or cancels end the same
 * awaits. */

#include "support/fixture.h"

/* The results of a scope of 5 ms within a scope of `outer_ns`. */
struct scopes {
    int64_t outer_ns;
    int64_t clean_up_ns; /* After the first await, in a shield. */
    ssize_t status;      /* Of the first await. */
    int inner, outer;    /* Results of aloop_deadline_end(). */
};

static ssize_t cleans_up_in_scopes(aloop *loop, void *arg)
{
    struct scopes *scopes = arg;
    aloop_deadline *outer = aloop_deadline_begin(loop, scopes->outer_ns);
    aloop_deadline *inner = aloop_deadline_begin(loop, 5 * MS);

    scopes->status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, scopes->clean_up_ns));
    aloop_shield_end();
    scopes->inner = aloop_deadline_end(inner);
    scopes->outer = aloop_deadline_end(outer);
    return scopes->status;
}

static void run_scopes(struct scopes *scopes, int64_t cancel_ns)
{
    aloop_future *task = aloop_spawn(t.loop, cleans_up_in_scopes, scopes);

    aloop_await(aloop_sleep(t.loop, cancel_ns));
    aloop_cancel(task);
    aloop_await(task);
}

static void a_scope_that_expires_after_a_cancel_is_not_the_reason(void **state)
{
    struct scopes scopes = {20 * MS, 50 * MS, 0, -1, -1};

    (void) state;
    run_scopes(&scopes, MS);
    assert_int_equal(scopes.status, ALOOP_ECANCELED);
    assert_int_equal(scopes.inner, 0);
    assert_int_equal(scopes.outer, 0);
}

static void a_scope_that_expires_before_a_cancel_is_the_reason(void **state)
{
    struct scopes scopes = {60 * MS, 50 * MS, 0, -1, -1};

    (void) state;
    run_scopes(&scopes, 10 * MS);
    assert_int_equal(scopes.status, ALOOP_ETIMEDOUT);
    assert_int_equal(scopes.inner, 1);
    assert_int_equal(scopes.outer, 0);
}

static void of_nested_scopes_the_first_that_expires_is_the_reason(void **state)
{
    struct scopes inner = {20 * MS, 50 * MS, 0, -1, -1};
    struct scopes outer = {2 * MS, 50 * MS, 0, -1, -1};

    (void) state;
    aloop_await(aloop_spawn(t.loop, cleans_up_in_scopes, &inner));
    assert_int_equal(inner.status, ALOOP_ETIMEDOUT);
    assert_int_equal(inner.inner, 1);
    /* The outer one is the reason after the inner one has ended. */
    assert_int_equal(inner.outer, 1);
    aloop_await(aloop_spawn(t.loop, cleans_up_in_scopes, &outer));
    assert_int_equal(outer.status, ALOOP_ETIMEDOUT);
    assert_int_equal(outer.inner, 0);
    assert_int_equal(outer.outer, 1);
}

static ssize_t restarts_the_outer_scope(aloop *loop, void *arg)
{
    int *ends = arg;
    aloop_deadline *outer = aloop_deadline_begin(loop, MS);
    aloop_deadline *inner = aloop_deadline_begin(loop, 2 * MS);

    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 5 * MS));
    aloop_shield_end();
    aloop_deadline_restart(outer, ALOOP_SEC(1));
    ends[0] = aloop_deadline_end(inner);
    ends[1] = aloop_deadline_end(outer);
    return 0;
}

static void a_scope_becomes_the_reason_if_the_outer_one_is_restarted(
    void **state)
{
    int ends[2] = {-1, -1};

    (void) state;
    aloop_await(aloop_spawn(t.loop, restarts_the_outer_scope, ends));
    assert_int_equal(ends[0], 1);
    assert_int_equal(ends[1], 0);
}

static ssize_t ends_scopes_out_of_order(aloop *loop, void *arg)
{
    int *ends = arg;
    aloop_deadline *outer = aloop_deadline_begin(loop, MS);
    aloop_deadline *inner = aloop_deadline_begin(loop, 5 * MS);

    ends[0] = aloop_deadline_end(outer);
    ends[1] = (int) aloop_await(aloop_sleep(loop, 3 * MS));
    ends[2] = aloop_deadline_end(outer);
    ends[3] = aloop_deadline_end(inner);
    ends[4] = aloop_deadline_end(outer);
    return 0;
}

static void a_scope_that_is_not_the_innermost_cannot_be_ended(void **state)
{
    int ends[5];

    (void) state;
    aloop_await(aloop_spawn(t.loop, ends_scopes_out_of_order, ends));
    assert_int_equal(ends[0], ALOOP_EINVAL);
    assert_int_equal(ends[1], ALOOP_ETIMEDOUT); /* The outer deadline. */
    assert_int_equal(ends[2], ALOOP_EINVAL);
    assert_int_equal(ends[3], 0);
    assert_int_equal(ends[4], 1);
}

static ssize_t cleans_up_slowly(aloop *loop, void *arg)
{
    ssize_t *result = arg;
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));

    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 50 * MS));
    aloop_shield_end();
    return *result < 0 ? *result : status;
}

/* Awaits a child in a scope of 5 ms.  The child is cancelled after 1 ms if *arg
 * is positive. */
static ssize_t awaits_child_in_scope(aloop *loop, void *arg)
{
    ssize_t *result = arg;
    aloop_deadline *deadline = aloop_deadline_begin(loop, 5 * MS);
    aloop_future *child = aloop_spawn(loop, cleans_up_slowly, result);

    aloop_await(aloop_sleep(loop, MS));
    if (*result > 0)
        aloop_cancel(child);
    *result = aloop_await(child);
    return aloop_deadline_end(deadline);
}

static void an_await_in_a_scope_returns_the_first_reason(void **state)
{
    static const ssize_t cases[][2] = {{0, ALOOP_ETIMEDOUT},
                                       {1, ALOOP_EABORTED},
                                       {ALOOP_EPIPE, ALOOP_EPIPE}};

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ssize_t status = cases[i][0];

        assert_int_equal(
            aloop_await(aloop_spawn(t.loop, awaits_child_in_scope, &status)),
            1);
        assert_int_equal(status, cases[i][1]);
    }
}

static void the_present_await_of_a_cancelled_task_returns_ecanceled(
    void **state)
{
    ssize_t status = 1;
    aloop_future *task = aloop_spawn(t.loop, awaits_child_in_scope, &status);

    (void) state;
    aloop_await(aloop_sleep(t.loop, 10 * MS));
    aloop_cancel(task);
    aloop_await(task);
    assert_int_equal(status, ALOOP_ECANCELED);
}

static aloop_deadline *shared_deadline;

static ssize_t sleeps_within_a_deadline(aloop *loop, void *arg)
{
    ssize_t *status = arg;

    shared_deadline = aloop_deadline_begin(loop, ALOOP_SEC(50));
    *status = aloop_await(aloop_sleep(loop, ALOOP_SEC(40)));
    return aloop_deadline_end(shared_deadline);
}

static void a_deadline_restarted_outside_a_turn_wakes_the_host(void **state)
{
    int fd = aloop_fd(t.loop);
    int64_t begin = aloop_now(t.loop);
    ssize_t status = 1;
    aloop_future *task = aloop_spawn(t.loop, sleeps_within_a_deadline, &status);

    (void) state;
    aloop_step(t.loop, 0);
    assert_false(sim_poll(fd, 0));
    assert_int_equal(aloop_deadline_restart(shared_deadline, MS), 0);
    assert_true(sim_poll(fd, ALOOP_SEC(1)));
    assert_true(aloop_now(t.loop) == begin + MS);
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    assert_int_equal(status, ALOOP_ETIMEDOUT);
    assert_int_equal(aloop_future_status(task), 1);
    aloop_future_unref(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scope_that_expires_after_a_cancel_is_not_the_reason),
        TEST(a_scope_that_expires_before_a_cancel_is_the_reason),
        TEST(of_nested_scopes_the_first_that_expires_is_the_reason),
        TEST(a_scope_becomes_the_reason_if_the_outer_one_is_restarted),
        TEST(a_scope_that_is_not_the_innermost_cannot_be_ended),
        TEST(an_await_in_a_scope_returns_the_first_reason),
        TEST(the_present_await_of_a_cancelled_task_returns_ecanceled),
        TEST(a_deadline_restarted_outside_a_turn_wakes_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
