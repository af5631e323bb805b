/* gather, gather_settled, any, race, map, timeout. */

#include "support/fixture.h"

struct job {
    int64_t delay_ns;
    ssize_t result;
    ssize_t seen; /* What its await gave. */
    bool ended;
};

static ssize_t work(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    job->ended = true;
    return job->seen < 0 ? job->seen : job->result;
}

/* Takes 5 ms to end when it is cancelled. */
static ssize_t ends_slowly(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 5 * MS));
    aloop_shield_end();
    job->ended = true;
    return job->seen < 0 ? job->seen : job->result;
}

static aloop_future *spawn(struct job *job)
{
    return aloop_spawn(t.loop, work, job);
}

static void gather_waits_for_all(void **state)
{
    struct job a = {3 * MS, 1, 0, false}, b = {MS, 2, 0, false};
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_gather(t.loop, spawn(&a), spawn(&b))),
                     0);
    assert_true(a.ended && b.ended);
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
    assert_true(slow.ended && bad.ended && worse.ended);
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

static void nothing_gathered_is_settled_at_once(void **state)
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

static void a_null_member_is_one_that_failed(void **state)
{
    struct job slow = {ALOOP_SEC(1), 1, 0, false};

    (void) state;
    assert_int_equal(aloop_await(aloop_gather(t.loop, spawn(&slow), NULL)),
                     ALOOP_ENOMEM);
    assert_int_equal(slow.seen, ALOOP_ECANCELED);
}

static void a_member_somebody_cancelled_aborts_the_gather(void **state)
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
    aloop_future *all = aloop_gather(t.loop, spawn(&a),
                                     aloop_spawn(t.loop, ends_slowly, &b));

    (void) state;
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_cancel(all), 1);
    assert_int_equal(aloop_await(all), ALOOP_EABORTED);
    assert_true(a.ended && b.ended);
    assert_int_equal(a.seen, ALOOP_ECANCELED);
}

static ssize_t gathers(aloop *loop, void *arg)
{
    struct job *jobs = arg;

    return aloop_await(aloop_gather(loop, aloop_spawn(loop, work, &jobs[0]),
                                    aloop_spawn(loop, ends_slowly,
                                                &jobs[1])));
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
    assert_true(jobs[0].ended && jobs[1].ended);
}

static void any_is_the_first_success_and_awaits_the_losers(void **state)
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
    assert_int_equal(
        aloop_await(aloop_any_array(t.loop, 3, futures, &index)), 7);
    assert_int_equal(index, 2);
    assert_true(slow.ended);
    assert_int_equal(slow.seen, ALOOP_ECANCELED);
    assert_true(aloop_now(t.loop) - begin == 7 * MS);
    assert_int_equal(t.unhandled, 0);
}

static void any_gives_the_first_error_if_all_fail(void **state)
{
    struct job late = {2 * MS, ALOOP_ECONNRESET, 0, false};
    struct job soon = {MS, ALOOP_EPIPE, 0, false};

    (void) state;
    assert_int_equal(
        aloop_await(aloop_any(t.loop, spawn(&late), spawn(&soon))),
        ALOOP_EPIPE);
}

static void race_is_the_first_to_settle_well_or_not(void **state)
{
    struct job soon = {MS, ALOOP_EPIPE, 0, false};
    struct job slow = {ALOOP_SEC(1), 8, 0, false};

    (void) state;
    assert_int_equal(
        aloop_await(aloop_race(t.loop, spawn(&slow), spawn(&soon))),
        ALOOP_EPIPE);
    assert_true(slow.ended);
    soon.result = 5;
    assert_int_equal(
        aloop_await(aloop_race(t.loop, spawn(&slow), spawn(&soon))), 5);
}

static void timeout_settles_after_its_target_has_ended(void **state)
{
    struct job slow = {ALOOP_SEC(1), 8, 0, false};
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_spawn(t.loop, ends_slowly, &slow),
                                  3 * MS)),
        ALOOP_ETIMEDOUT);
    assert_true(slow.ended);
    assert_true(aloop_now(t.loop) - begin == 8 * MS);
}

static void timeout_of_what_ends_in_time_is_its_status(void **state)
{
    struct job good = {MS, 8, 0, false};
    struct job bad = {MS, ALOOP_EPIPE, 0, false};

    (void) state;
    assert_int_equal(aloop_await(aloop_timeout(spawn(&good), 3 * MS)), 8);
    assert_int_equal(aloop_await(aloop_timeout(spawn(&bad), 3 * MS)),
                     ALOOP_EPIPE);
    assert_false(aloop_alive(t.loop));
}

static ssize_t succeeds_anyway(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    return 42;
}

static void what_succeeds_in_spite_of_a_timeout_has_succeeded(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_spawn(t.loop, succeeds_anyway, NULL),
                                  MS)),
        42);
}

static void a_cancelled_timeout_cancels_its_target(void **state)
{
    struct job slow = {ALOOP_SEC(1), 8, 0, false};
    aloop_future *limited = aloop_timeout(spawn(&slow), ALOOP_SEC(5));

    (void) state;
    aloop_step(t.loop, 0);
    aloop_cancel(limited);
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(limited), ALOOP_ECANCELED);
    assert_int_equal(slow.seen, ALOOP_ECANCELED);
    aloop_future_unref(limited);
    assert_int_equal(aloop_await(aloop_timeout(
                         aloop_future_new(NULL), MS)),
                     ALOOP_EINVAL);
}

/* Cleans up for longer than any limit here, and then fails or not. */
static ssize_t cleans_up(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 50 * MS));
    aloop_shield_end();
    job->ended = true;
    return job->result < 0 ? job->result : job->seen;
}

/* The status of a timeout of 5 ms, whose target or which itself (or none of
 * them) is cancelled after `cancel_ns`. */
static ssize_t limited_to_5_ms(struct job *job, int64_t cancel_ns,
                               bool cancels_target)
{
    aloop_future *target = aloop_spawn(t.loop, cleans_up, job);
    aloop_future *limited = aloop_timeout(aloop_future_ref(target), 5 * MS);
    ssize_t status;

    if (cancel_ns >= 0) {
        aloop_await(aloop_sleep(t.loop, cancel_ns));
        aloop_cancel(cancels_target ? target : limited);
    }
    while (!aloop_future_is_settled(limited))
        aloop_step(t.loop, -1);
    assert_true(job->ended);
    status = aloop_future_status(limited);
    aloop_future_unref(target);
    aloop_future_unref(limited);
    return status;
}

static void a_timeout_reports_what_cancelled_its_target_first(void **state)
{
    static const struct {
        int64_t cancel_ns; /* Less than 0: never. */
        bool cancels_target;
        ssize_t status;
    } cases[] = {
        {-1, false, ALOOP_ETIMEDOUT},    {0, true, ALOOP_EABORTED},
        {MS, true, ALOOP_EABORTED},      {0, false, ALOOP_ECANCELED},
        {MS, false, ALOOP_ECANCELED},    {10 * MS, true, ALOOP_ETIMEDOUT},
        {10 * MS, false, ALOOP_ETIMEDOUT}};

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job job = {ALOOP_SEC(1), 0, 0, false};

        assert_int_equal(limited_to_5_ms(&job, cases[i].cancel_ns,
                                         cases[i].cancels_target),
                         cases[i].status);
        assert_int_equal(job.seen, ALOOP_ECANCELED);
    }
}

static void a_timeout_cancelled_together_with_its_target_is_cancelled(
    void **state)
{
    ssize_t statuses[2];
    aloop_future *target = aloop_sleep(t.loop, ALOOP_SEC(1));
    aloop_future *members[2] = {
        aloop_timeout(aloop_future_ref(target), 5 * MS), target};
    aloop_future *both = aloop_gather_settled(t.loop, 2, members, statuses);

    (void) state;
    aloop_cancel(both);

    assert_int_equal(aloop_await(both), ALOOP_EABORTED);
    assert_int_equal(statuses[0], ALOOP_ECANCELED);
    assert_int_equal(statuses[1], ALOOP_ECANCELED);
}

static void a_timeout_passes_an_error_of_the_clean_up_on(void **state)
{
    static const int64_t cancels_ns[] = {-1, 0, MS, 10 * MS};

    (void) state;
    for (size_t i = 0; i < sizeof cancels_ns / sizeof cancels_ns[0]; i++) {
        struct job job = {ALOOP_SEC(1), ALOOP_EPIPE, 0, false};

        assert_int_equal(limited_to_5_ms(&job, cancels_ns[i], i % 2 == 0),
                         ALOOP_EPIPE);
    }
}

static void a_limit_that_passes_after_the_first_error_changes_nothing(
    void **state)
{
    struct job slow = {ALOOP_SEC(1), 0, 0, false};
    struct job bad = {MS, ALOOP_ECONNRESET, 0, false};

    (void) state;
    assert_int_equal(
        aloop_await(aloop_timeout(
            aloop_gather(t.loop, aloop_spawn(t.loop, cleans_up, &slow),
                         spawn(&bad)),
            5 * MS)),
        ALOOP_ECONNRESET);
    assert_true(slow.ended);
}

static void of_two_limits_of_one_target_the_first_expires(void **state)
{
    struct job job = {ALOOP_SEC(1), 0, 0, false};
    aloop_future *target = aloop_spawn(t.loop, cleans_up, &job);
    aloop_future *late = aloop_timeout(aloop_future_ref(target), 6 * MS);
    aloop_future *soon = aloop_timeout(target, 5 * MS);

    (void) state;
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(soon), ALOOP_ETIMEDOUT);
    assert_int_equal(aloop_future_status(late), ALOOP_EABORTED);
    aloop_future_unref(soon);
    aloop_future_unref(late);
}

static void of_two_nested_limits_either_is_a_timeout(void **state)
{
    struct job job = {ALOOP_SEC(1), 0, 0, false};

    (void) state;
    assert_int_equal(
        aloop_await(aloop_timeout(
            aloop_timeout(aloop_spawn(t.loop, cleans_up, &job), 5 * MS),
            10 * MS)),
        ALOOP_ETIMEDOUT);
    assert_int_equal(
        aloop_await(aloop_timeout(
            aloop_timeout(aloop_spawn(t.loop, cleans_up, &job), 10 * MS),
            5 * MS)),
        ALOOP_ETIMEDOUT);
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
    assert_true(slow.ended && fast.ended);
    assert_false(aloop_alive(t.loop));
}

static int running, running_max;

static ssize_t counts_itself(aloop *loop, void *arg)
{
    struct job *job = arg;

    if (++running > running_max)
        running_max = running;
    note((int) job->result);
    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    running--;
    job->ended = true;
    return job->seen < 0 || job->result >= 0 ? job->seen : job->result;
}

static void map_runs_so_many_at_a_time_in_order(void **state)
{
    struct job jobs[7];

    (void) state;
    running = running_max = 0;
    for (int i = 0; i < 7; i++)
        jobs[i] = (struct job){MS, i, 0, false};
    assert_int_equal(aloop_await(aloop_map(t.loop, counts_itself, jobs, 7,
                                           sizeof jobs[0], 3)),
                     0);
    assert_int_equal(running_max, 3);
    assert_noted(0, 1, 2, 3, 4, 5, 6);
}

static void map_stops_at_the_first_error(void **state)
{
    struct job jobs[7];

    (void) state;
    running = running_max = 0;
    for (int i = 0; i < 7; i++)
        jobs[i] = (struct job){ALOOP_MS(10), i, 0, false};
    jobs[1] = (struct job){MS, ALOOP_EPIPE, 0, false};
    assert_int_equal(aloop_await(aloop_map(t.loop, counts_itself, jobs, 7,
                                           sizeof jobs[0], 2)),
                     ALOOP_EPIPE);
    assert_int_equal(jobs[0].seen, ALOOP_ECANCELED);
    assert_false(jobs[2].ended);
    assert_int_equal(running, 0);
    assert_int_equal(aloop_await(aloop_map(t.loop, counts_itself, NULL, 0, 1,
                                           0)),
                     0);
    assert_int_equal(aloop_await(aloop_map(t.loop, NULL, NULL, 0, 1, 0)),
                     ALOOP_EINVAL);
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    t.calls++;
    return ALOOP_EPIPE;
}

/* If each failure went through all items, this would take minutes. */
static void a_map_of_many_items_that_all_fail_ends_soon(void **state)
{
    static char items[500000];

    (void) state;
    assert_int_equal(aloop_await(aloop_map(t.loop, fails, items, sizeof items,
                                           1, 0)),
                     ALOOP_EPIPE);
    assert_int_equal(t.calls, sizeof items);
}

static void a_cancelled_map_starts_no_more(void **state)
{
    struct job jobs[7];
    aloop_future *map;

    (void) state;
    running = running_max = 0;
    for (int i = 0; i < 7; i++)
        jobs[i] = (struct job){MS, i, 0, false};
    map = aloop_map(t.loop, counts_itself, jobs, 7, sizeof jobs[0], 2);
    aloop_step(t.loop, 0);
    aloop_cancel(map);
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(map), ALOOP_ECANCELED);
    aloop_future_unref(map);
    assert_noted(0, 1);
    assert_int_equal(running, 0);
}

static void bad_arguments_are_refused(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_gather_array(NULL, 0, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, 2, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_any_array(t.loop, SIZE_MAX,
                                                 (aloop_future *[]){NULL},
                                                 NULL)),
                     ALOOP_EINVAL);
}

static void a_future_of_another_loop_fails_the_gather(void **state)
{
    aloop *other = other_loop();
    aloop_future *stranger = aloop_future_new(other);
    aloop_future *mine = aloop_sleep(t.loop, MS);

    (void) state;
    aloop_future_ref(mine);

    assert_int_equal(aloop_await(aloop_gather(
                         t.loop, mine, aloop_future_ref(stranger))),
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

static aloop_future *as_race(aloop *loop, size_t count,
                             aloop_future **futures)
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
        aloop_future_unref(group); /* The last reference to both. */
        aloop_run(t.loop);
        assert_int_equal(status, ALOOP_ECANCELED);
    }
}

static void race_tells_whose_status_it_is(void **state)
{
    aloop_future *futures[2];
    size_t index = 99;

    (void) state;
    futures[0] = aloop_sleep(t.loop, 2 * MS);
    futures[1] = aloop_sleep(t.loop, MS);
    assert_int_equal(
        aloop_await(aloop_race_array(t.loop, 2, futures, &index)), 0);
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
        TEST(nothing_gathered_is_settled_at_once),
        TEST(duplicates_are_allowed),
        TEST(a_null_member_is_one_that_failed),
        TEST(a_member_somebody_cancelled_aborts_the_gather),
        TEST(a_group_passes_a_cancel_on_to_its_members),
        TEST(cancelling_a_task_in_a_gather_ends_it_after_its_children),
        TEST(any_is_the_first_success_and_awaits_the_losers),
        TEST(any_gives_the_first_error_if_all_fail),
        TEST(race_is_the_first_to_settle_well_or_not),
        TEST(timeout_settles_after_its_target_has_ended),
        TEST(timeout_of_what_ends_in_time_is_its_status),
        TEST(what_succeeds_in_spite_of_a_timeout_has_succeeded),
        TEST(a_cancelled_timeout_cancels_its_target),
        TEST(a_timeout_reports_what_cancelled_its_target_first),
        TEST(a_timeout_cancelled_together_with_its_target_is_cancelled),
        TEST(a_timeout_passes_an_error_of_the_clean_up_on),
        TEST(a_limit_that_passes_after_the_first_error_changes_nothing),
        TEST(of_two_limits_of_one_target_the_first_expires),
        TEST(of_two_nested_limits_either_is_a_timeout),
        TEST(timeouts_of_gathers_of_anys_compose),
        TEST(map_runs_so_many_at_a_time_in_order),
        TEST(map_stops_at_the_first_error),
        TEST(a_map_of_many_items_that_all_fail_ends_soon),
        TEST(a_cancelled_map_starts_no_more),
        TEST(bad_arguments_are_refused),
        TEST(a_future_of_another_loop_fails_the_gather),
        TEST(a_group_without_a_loop_takes_the_references_over),
        TEST(every_kind_of_group_passes_a_cancel_on),
        TEST(every_kind_of_group_takes_the_references_over),
        TEST(race_tells_whose_status_it_is),
        TEST(any_that_fails_leaves_the_index_untouched),
        TEST(race_cancels_and_awaits_the_losers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
