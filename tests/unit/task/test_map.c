/* Tests of aloop_map(), which runs a task for each item, a limited number at a
 * time. */

#include "support/compose_fixture.h"

#include "os/tools.h"

/* The thread sanitizer clears 0.8 MB for each task. */
enum { MANY_ITEMS = WITH_TSAN ? 20000 : 500000 };

static void a_map_over_too_many_items_fails_with_enomem(void **state)
{
    ssize_t item = 0;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_map(t.loop, just_return, &item, SIZE_MAX, 0, 0)),
        ALOOP_ENOMEM);
    assert_int_equal(t.noted, 0);
}

static void a_limit_above_the_number_of_items_is_valid(void **state)
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

static void a_cancelled_map_cancels_its_running_tasks(void **state)
{
    char items[2];
    aloop_future *map =
        aloop_map(t.loop, sleep_long, items, sizeof items, 1, 0);

    (void) state;
    assert_int_equal(aloop_step(t.loop, 0), 1); /* Both tasks sleep. */

    aloop_cancel(map);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_future_status(map), ALOOP_ECANCELED);
    aloop_future_unref(map);
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
    job->has_ended = true;
    return job->seen < 0 || job->result >= 0 ? job->seen : job->result;
}

static void map_starts_items_in_order_and_runs_a_limited_number(void **state)
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
    assert_false(jobs[2].has_ended);
    assert_int_equal(running, 0);
    assert_int_equal(
        aloop_await(aloop_map(t.loop, counts_itself, NULL, 0, 1, 0)), 0);
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

/* This would take minutes if each failure visited all items. */
static void a_map_of_many_items_that_all_fail_ends_quickly(void **state)
{
    static char items[MANY_ITEMS];

    (void) state;
    assert_int_equal(
        aloop_await(aloop_map(t.loop, fails, items, sizeof items, 1, 0)),
        ALOOP_EPIPE);
    assert_int_equal(t.calls, sizeof items);
}

static void a_cancelled_map_starts_no_further_items(void **state)
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_map_over_too_many_items_fails_with_enomem),
        TEST(a_limit_above_the_number_of_items_is_valid),
        TEST(a_cancelled_map_cancels_its_running_tasks),
        TEST(map_starts_items_in_order_and_runs_a_limited_number),
        TEST(map_stops_at_the_first_error),
        TEST(a_map_of_many_items_that_all_fail_ends_quickly),
        TEST(a_cancelled_map_starts_no_further_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
