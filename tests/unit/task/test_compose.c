/* Tests of gather, gather_settled, any and race. */

#include "support/compose_fixture.h"

static void gather_waits_for_all(void **state)
{
    struct job a = {3 * MS, 1, 0, false}, b = {MS, 2, 0, false};
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_gather(t.loop, spawn(&a), spawn(&b))),
                     0);
    assert_true(a.has_ended && b.has_ended);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
}

static void gather_cancels_the_rest_on_the_first_error_and_awaits_them(
    void **state)
{
    struct job slow = {ALOOP_SEC(1), 1, 0, false};
    struct job bad = {MS, ALOOP_EPIPE, 0, false};
    struct job worse = {2 * MS, ALOOP_ECONNRESET, 0, false};
    int64_t begin = aloop_now(t.loop);
    ssize_t status = aloop_await(
        aloop_gather(t.loop, aloop_spawn(t.loop, ends_slowly, &slow),
                     spawn(&bad), spawn(&worse)));

    (void) state;
    assert_int_equal(status, ALOOP_EPIPE);
    assert_true(slow.has_ended && bad.has_ended && worse.has_ended);
    assert_int_equal(slow.seen, ALOOP_ECANCELED);
    assert_int_equal(worse.seen, ALOOP_ECANCELED);
    assert_true(aloop_now(t.loop) - begin == 6 * MS);
    assert_int_equal(t.unhandled, 0);
}

static void gather_settled_never_cancels_and_reports_in_order(void **state)
{
    struct job jobs[3] = {{3 * MS, 11, 0, false},
                          {MS, ALOOP_EPIPE, 0, false},
                          {2 * MS, 13, 0, false}};
    aloop_future *futures[3];
    ssize_t statuses[3];

    (void) state;
    for (int i = 0; i < 3; i++)
        futures[i] = spawn(&jobs[i]);
    assert_int_equal(
        aloop_await(aloop_gather_settled(t.loop, 3, futures, statuses)), 2);
    assert_int_equal(statuses[0], 11);
    assert_int_equal(statuses[1], ALOOP_EPIPE);
    assert_int_equal(statuses[2], 13);
    assert_int_equal(t.unhandled, 0);
}

static void an_empty_gather_settles_immediately(void **state)
{
    aloop_future *none = aloop_gather_array(t.loop, 0, NULL);

    (void) state;
    assert_int_equal(aloop_future_status(none), 0);
    aloop_future_unref(none);
    none = aloop_gather_settled(t.loop, 0, NULL, NULL);
    assert_int_equal(aloop_future_status(none), 0);
    aloop_future_unref(none);
    assert_int_equal(aloop_await(aloop_any_array(t.loop, 0, NULL, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_race_array(t.loop, 0, NULL, NULL)),
                     ALOOP_EINVAL);
}

static void duplicates_are_allowed(void **state)
{
    struct job c = {MS, 7, 0, false}, d = {2 * MS, 8, 0, false};
    aloop_future *one = spawn(&c), *two = spawn(&d);
    aloop_future *futures[4];
    ssize_t statuses[4];

    (void) state;
    futures[0] = aloop_future_ref(one);
    futures[1] = one;
    futures[2] = two;
    futures[3] = aloop_future_ref(one);
    assert_int_equal(
        aloop_await(aloop_gather_settled(t.loop, 4, futures, statuses)), 4);
    assert_int_equal(statuses[0], 7);
    assert_int_equal(statuses[1], 7);
    assert_int_equal(statuses[2], 8);
    assert_int_equal(statuses[3], 7);
}

static void a_null_member_counts_as_a_failure(void **state)
{
    struct job slow = {ALOOP_SEC(1), 1, 0, false};

    (void) state;
    assert_int_equal(aloop_await(aloop_gather(t.loop, spawn(&slow), NULL)),
                     ALOOP_ENOMEM);
    assert_int_equal(slow.seen, ALOOP_ECANCELED);
}

static void a_member_that_others_cancelled_aborts_the_gather(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));
    aloop_future *all = aloop_gather(t.loop, aloop_future_ref(sleep),
                                     aloop_sleep(t.loop, ALOOP_SEC(1)));

    (void) state;
    aloop_cancel(sleep);
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(all), ALOOP_EABORTED);
    aloop_future_unref(all);
    aloop_future_unref(sleep);
}

static void a_group_passes_a_cancel_on_to_its_members(void **state)
{
    struct job a = {ALOOP_SEC(1), 1, 0, false};
    struct job b = {ALOOP_SEC(1), 1, 0, false};
    aloop_future *all =
        aloop_gather(t.loop, spawn(&a), aloop_spawn(t.loop, ends_slowly, &b));

    (void) state;
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_cancel(all), 1);
    assert_int_equal(aloop_await(all), ALOOP_EABORTED);
    assert_true(a.has_ended && b.has_ended);
    assert_int_equal(a.seen, ALOOP_ECANCELED);
}

static ssize_t gathers(aloop *loop, void *arg)
{
    struct job *jobs = arg;

    return aloop_await(aloop_gather(loop, aloop_spawn(loop, work, &jobs[0]),
                                    aloop_spawn(loop, ends_slowly, &jobs[1])));
}

static void cancelling_a_task_in_a_gather_ends_it_after_its_children(
    void **state)
{
    struct job jobs[2] = {{ALOOP_SEC(1), 1, 0, false},
                          {ALOOP_SEC(1), 1, 0, false}};
    aloop_future *task = aloop_spawn(t.loop, gathers, jobs);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_true(jobs[0].has_ended && jobs[1].has_ended);
}

static void any_returns_the_first_success_and_awaits_the_losers(void **state)
{
    struct job bad = {MS, ALOOP_EPIPE, 0, false};
    struct job good = {2 * MS, 7, 0, false};
    struct job slow = {ALOOP_SEC(1), 8, 0, false};
    aloop_future *futures[3];
    size_t index = 99;
    int64_t begin = aloop_now(t.loop);

    (void) state;
    futures[0] = spawn(&bad);
    futures[1] = aloop_spawn(t.loop, ends_slowly, &slow);
    futures[2] = spawn(&good);
    assert_int_equal(aloop_await(aloop_any_array(t.loop, 3, futures, &index)),
                     7);
    assert_int_equal(index, 2);
    assert_true(slow.has_ended);
    assert_int_equal(slow.seen, ALOOP_ECANCELED);
    assert_true(aloop_now(t.loop) - begin == 7 * MS);
    assert_int_equal(t.unhandled, 0);
}

static void any_returns_the_first_error_if_all_fail(void **state)
{
    struct job late = {2 * MS, ALOOP_ECONNRESET, 0, false};
    struct job soon = {MS, ALOOP_EPIPE, 0, false};

    (void) state;
    assert_int_equal(aloop_await(aloop_any(t.loop, spawn(&late), spawn(&soon))),
                     ALOOP_EPIPE);
}

static void race_returns_the_first_status_even_if_it_is_an_error(void **state)
{
    struct job soon = {MS, ALOOP_EPIPE, 0, false};
    struct job slow = {ALOOP_SEC(1), 8, 0, false};

    (void) state;
    assert_int_equal(
        aloop_await(aloop_race(t.loop, spawn(&slow), spawn(&soon))),
        ALOOP_EPIPE);
    assert_true(slow.has_ended);
    soon.result = 5;
    assert_int_equal(
        aloop_await(aloop_race(t.loop, spawn(&slow), spawn(&soon))), 5);
}

static void timeouts_of_gathers_of_anys_compose(void **state)
{
    struct job slow = {ALOOP_SEC(1), 8, 0, false};
    struct job fast = {MS, 1, 0, false};
    ssize_t status = aloop_await(aloop_timeout(
        aloop_gather(t.loop, aloop_any(t.loop, spawn(&slow), spawn(&fast)),
                     aloop_sleep(t.loop, ALOOP_SEC(9))),
        5 * MS));

    (void) state;
    assert_int_equal(status, ALOOP_ETIMEDOUT);
    assert_true(slow.has_ended && fast.has_ended);
    assert_false(aloop_alive(t.loop));
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    t.calls++;
    return ALOOP_EPIPE;
}

static void invalid_arguments_are_refused(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_gather_array(NULL, 0, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, 2, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_any_array(
                         t.loop, SIZE_MAX, (aloop_future *[]){NULL}, NULL)),
                     ALOOP_EINVAL);
}

static void a_future_of_another_loop_fails_the_gather(void **state)
{
    aloop *other = other_loop();
    aloop_future *stranger = aloop_future_new(other);
    aloop_future *mine = aloop_sleep(t.loop, MS);

    (void) state;
    aloop_future_ref(mine);

    assert_int_equal(
        aloop_await(aloop_gather(t.loop, mine, aloop_future_ref(stranger))),
        ALOOP_EINVAL);

    assert_int_equal(aloop_future_status(mine), ALOOP_ECANCELED);
    assert_false(aloop_future_is_settled(stranger));
    aloop_future_unref(mine);
    aloop_future_unref(stranger);
    assert_int_equal(aloop_free(other), 0);
}

static void a_group_without_a_loop_takes_the_references_over(void **state)
{
    aloop_future *sleeps[4][2], *groups[4];

    (void) state;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            sleeps[i][j] = aloop_sleep(t.loop, ALOOP_SEC(1));
    groups[0] = aloop_gather_array(NULL, 2, sleeps[0]);
    groups[1] = aloop_gather_settled(NULL, 2, sleeps[1], NULL);
    groups[2] = aloop_any_array(NULL, 2, sleeps[2], NULL);
    groups[3] = aloop_race_array(NULL, 2, sleeps[3], NULL);

    for (int i = 0; i < 4; i++)
        assert_int_equal(aloop_future_status(groups[i]), ALOOP_EINVAL);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(t.unhandled, 0);
}

static ssize_t sleeps(aloop *loop, void *arg)
{
    ssize_t *status = arg;

    *status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    return *status;
}

typedef aloop_future *(*grouping)(aloop *loop, size_t count,
                                  aloop_future **futures);

static aloop_future *as_gather(aloop *loop, size_t count,
                               aloop_future **futures)
{
    return aloop_gather_array(loop, count, futures);
}

static aloop_future *as_settled(aloop *loop, size_t count,
                                aloop_future **futures)
{
    return aloop_gather_settled(loop, count, futures, NULL);
}

static aloop_future *as_any(aloop *loop, size_t count, aloop_future **futures)
{
    return aloop_any_array(loop, count, futures, NULL);
}

static aloop_future *as_race(aloop *loop, size_t count, aloop_future **futures)
{
    return aloop_race_array(loop, count, futures, NULL);
}

static const grouping groupings[] = {as_gather, as_settled, as_any, as_race};
enum { GROUPINGS = sizeof groupings / sizeof groupings[0] };

static void every_kind_of_group_passes_a_cancel_on(void **state)
{
    (void) state;
    for (int i = 0; i < GROUPINGS; i++) {
        ssize_t statuses[2] = {0, 0};
        aloop_future *members[2], *group;

        members[0] = aloop_spawn(t.loop, sleeps, &statuses[0]);
        members[1] = aloop_spawn(t.loop, sleeps, &statuses[1]);
        group = groupings[i](t.loop, 2, members);
        aloop_step(t.loop, 0);
        assert_int_equal(aloop_cancel(group), 1);
        assert_int_equal(aloop_await(group), ALOOP_EABORTED);
        assert_int_equal(statuses[0], ALOOP_ECANCELED);
        assert_int_equal(statuses[1], ALOOP_ECANCELED);
    }
}

static void every_kind_of_group_takes_the_references_over(void **state)
{
    (void) state;
    for (int i = 0; i < GROUPINGS; i++) {
        ssize_t status = 0;
        aloop_future *member = aloop_spawn(t.loop, sleeps, &status);
        aloop_future *group = groupings[i](t.loop, 1, &member);

        aloop_step(t.loop, 0);
        aloop_future_unref(group); /* The last reference. */
        aloop_run(t.loop);
        assert_int_equal(status, ALOOP_ECANCELED);
    }
}

static void race_stores_the_index_of_the_winner(void **state)
{
    aloop_future *futures[2];
    size_t index = 99;

    (void) state;
    futures[0] = aloop_sleep(t.loop, 2 * MS);
    futures[1] = aloop_sleep(t.loop, MS);
    assert_int_equal(aloop_await(aloop_race_array(t.loop, 2, futures, &index)),
                     0);
    assert_int_equal(index, 1);
}

static void any_that_fails_leaves_the_index_untouched(void **state)
{
    aloop_future *futures[2];
    size_t index = 99;

    (void) state;
    futures[0] = aloop_spawn(t.loop, fails, NULL);
    futures[1] = aloop_spawn(t.loop, fails, NULL);
    assert_int_equal(aloop_await(aloop_any_array(t.loop, 2, futures, &index)),
                     ALOOP_EPIPE);
    assert_int_equal(index, 99);
}

static void race_cancels_and_awaits_the_losers(void **state)
{
    ssize_t status = 0;
    aloop_future *slow = aloop_spawn(t.loop, sleeps, &status);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_race(t.loop, slow, aloop_sleep(t.loop, MS))), 0);
    assert_int_equal(status, ALOOP_ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gather_waits_for_all),
        TEST(gather_cancels_the_rest_on_the_first_error_and_awaits_them),
        TEST(gather_settled_never_cancels_and_reports_in_order),
        TEST(an_empty_gather_settles_immediately),
        TEST(duplicates_are_allowed),
        TEST(a_null_member_counts_as_a_failure),
        TEST(a_member_that_others_cancelled_aborts_the_gather),
        TEST(a_group_passes_a_cancel_on_to_its_members),
        TEST(cancelling_a_task_in_a_gather_ends_it_after_its_children),
        TEST(any_returns_the_first_success_and_awaits_the_losers),
        TEST(any_returns_the_first_error_if_all_fail),
        TEST(race_returns_the_first_status_even_if_it_is_an_error),
        TEST(timeouts_of_gathers_of_anys_compose),
        TEST(invalid_arguments_are_refused),
        TEST(a_future_of_another_loop_fails_the_gather),
        TEST(a_group_without_a_loop_takes_the_references_over),
        TEST(every_kind_of_group_passes_a_cancel_on),
        TEST(every_kind_of_group_takes_the_references_over),
        TEST(race_stores_the_index_of_the_winner),
        TEST(any_that_fails_leaves_the_index_untouched),
        TEST(race_cancels_and_awaits_the_losers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
