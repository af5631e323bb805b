/* Tests of aloop_timeout(), which limits the time of a future. */

#include "support/compose_fixture.h"

static void a_timeout_made_outside_a_turn_wakes_the_host(void **state)
{
    int fd = aloop_fd(t.loop);
    int64_t begin = aloop_now(t.loop);
    aloop_future *promise = aloop_future_new(t.loop);
    aloop_future *limited;

    (void) state;
    assert_false(sim_poll(fd, 0));
    limited = aloop_timeout(aloop_future_ref(promise), MS);
    assert_true(sim_poll(fd, ALOOP_SEC(1)));
    assert_true(aloop_now(t.loop) == begin + MS);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_future_status(limited), ALOOP_ETIMEDOUT);
    assert_false(sim_poll(fd, ALOOP_SEC(1)));
    aloop_future_unref(limited);
    aloop_future_unref(promise);
}

static void a_timeout_keeps_the_loop_alive_for_its_target(void **state)
{
    aloop_channel *channel = aloop_channel_new(t.loop, sizeof(int), 1);
    int64_t begin = aloop_now(t.loop);
    int item = 5;

    (void) state;
    assert_int_equal(aloop_await(aloop_channel_receive(channel, &item)),
                     ALOOP_EDEADLK);
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_channel_receive(channel, &item), MS)),
        ALOOP_ETIMEDOUT);
    assert_true(aloop_now(t.loop) == begin + MS);
    assert_int_equal(item, 5);
    aloop_channel_free(channel);
}

static void assert_timeout_fails_after_its_target(aloop_future *target,
                                                  bool *is_running)
{
    int64_t begin = aloop_now(t.loop);
    aloop_future *limited = aloop_timeout(target, MS);

    assert_ptr_equal(limited, target);
    memory.fails_at = 0;
    memory.is_growth_off = false;
    assert_true(*is_running);
    assert_int_equal(aloop_await(limited), ALOOP_EABORTED);
    assert_false(*is_running);
    assert_true(aloop_now(t.loop) == begin + 10 * MS);
}

static void a_timeout_without_memory_ends_its_target_first(void **state)
{
    bool is_running = false;
    aloop_future *target = aloop_spawn(t.loop, ends_after_10_ms, &is_running);

    (void) state;
    aloop_step(t.loop, 0);
    memory.fails_at = memory.calls + 1;
    assert_timeout_fails_after_its_target(target, &is_running);
}

static void a_timeout_without_memory_in_the_timer_heap_ends_its_target(
    void **state)
{
    bool is_running = false;
    aloop_future *target = aloop_spawn(t.loop, ends_after_10_ms, &is_running);

    (void) state;
    aloop_step(t.loop, 0);
    use_up_deadlines();
    assert_timeout_fails_after_its_target(target, &is_running);
}

static void a_timeout_settles_after_its_target_has_ended(void **state)
{
    struct job slow = {ALOOP_SEC(1), 8, 0, false};
    int64_t begin = aloop_now(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_timeout(
                         aloop_spawn(t.loop, ends_slowly, &slow), 3 * MS)),
                     ALOOP_ETIMEDOUT);
    assert_true(slow.has_ended);
    assert_true(aloop_now(t.loop) - begin == 8 * MS);
}

static void a_timeout_returns_the_status_of_a_target_that_ends_in_time(
    void **state)
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

static void a_target_that_succeeds_despite_its_timeout_has_succeeded(
    void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_timeout(
                         aloop_spawn(t.loop, succeeds_anyway, NULL), MS)),
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
    assert_int_equal(aloop_await(aloop_timeout(aloop_future_new(NULL), MS)),
                     ALOOP_EINVAL);
}

/* Needs 50 ms to clean up, longer than all limits here.  Fails if job->result
 * is an error. */
static ssize_t cleans_up(aloop *loop, void *arg)
{
    struct job *job = arg;

    job->seen = aloop_await(aloop_sleep(loop, job->delay_ns));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 50 * MS));
    aloop_shield_end();
    job->has_ended = true;
    return job->result < 0 ? job->result : job->seen;
}

/* Returns the status of a timeout of 5 ms.  After `cancel_ns` its target, or
 * the timeout itself, is cancelled. */
static ssize_t limited_to_5_ms(struct job *job, int64_t cancel_ns,
                               bool is_target_cancelled)
{
    aloop_future *target = aloop_spawn(t.loop, cleans_up, job);
    aloop_future *limited = aloop_timeout(aloop_future_ref(target), 5 * MS);
    ssize_t status;

    if (cancel_ns >= 0) {
        aloop_await(aloop_sleep(t.loop, cancel_ns));
        aloop_cancel(is_target_cancelled ? target : limited);
    }
    while (!aloop_future_is_settled(limited))
        aloop_step(t.loop, -1);
    assert_true(job->has_ended);
    status = aloop_future_status(limited);
    aloop_future_unref(target);
    aloop_future_unref(limited);
    return status;
}

static void a_timeout_reports_the_first_reason_of_the_cancel(void **state)
{
    static const struct {
        int64_t cancel_ns; /* Negative: never. */
        bool is_target_cancelled;
        ssize_t status;
    } cases[] = {
        {-1, false, ALOOP_ETIMEDOUT},      {0, true, ALOOP_EABORTED},
        {MS, true, ALOOP_EABORTED},        {0, false, ALOOP_ECANCELED},
        {MS, false, ALOOP_ECANCELED},      {10 * MS, true, ALOOP_ETIMEDOUT},
        {10 * MS, false, ALOOP_ETIMEDOUT},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job job = {ALOOP_SEC(1), 0, 0, false};

        assert_int_equal(limited_to_5_ms(&job, cases[i].cancel_ns,
                                         cases[i].is_target_cancelled),
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
        aloop_timeout(aloop_future_ref(target), 5 * MS),
        target,
    };
    aloop_future *both = aloop_gather_settled(t.loop, 2, members, statuses);

    (void) state;
    aloop_cancel(both);

    assert_int_equal(aloop_await(both), ALOOP_EABORTED);
    assert_int_equal(statuses[0], ALOOP_ECANCELED);
    assert_int_equal(statuses[1], ALOOP_ECANCELED);
}

static void a_timeout_returns_an_error_of_the_clean_up(void **state)
{
    static const int64_t cancels_ns[] = {-1, 0, MS, 10 * MS};

    (void) state;
    for (size_t i = 0; i < sizeof cancels_ns / sizeof cancels_ns[0]; i++) {
        struct job job = {ALOOP_SEC(1), ALOOP_EPIPE, 0, false};

        assert_int_equal(limited_to_5_ms(&job, cancels_ns[i], i % 2 == 0),
                         ALOOP_EPIPE);
    }
}

static void a_limit_that_expires_after_the_first_error_changes_nothing(
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
    assert_true(slow.has_ended);
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

static void either_of_two_nested_limits_is_a_timeout(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_timeout_made_outside_a_turn_wakes_the_host),
        TEST(a_timeout_keeps_the_loop_alive_for_its_target),
        MEMORY_TEST(a_timeout_without_memory_ends_its_target_first),
        MEMORY_TEST(a_timeout_without_memory_in_the_timer_heap_ends_its_target),
        TEST(a_timeout_settles_after_its_target_has_ended),
        TEST(a_timeout_returns_the_status_of_a_target_that_ends_in_time),
        TEST(a_target_that_succeeds_despite_its_timeout_has_succeeded),
        TEST(a_cancelled_timeout_cancels_its_target),
        TEST(a_timeout_reports_the_first_reason_of_the_cancel),
        TEST(a_timeout_cancelled_together_with_its_target_is_cancelled),
        TEST(a_timeout_returns_an_error_of_the_clean_up),
        TEST(a_limit_that_expires_after_the_first_error_changes_nothing),
        TEST(of_two_limits_of_one_target_the_first_expires),
        TEST(either_of_two_nested_limits_is_a_timeout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
