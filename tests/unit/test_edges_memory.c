/* Memory that runs out in between, and loops that are freed in the middle of
 * things.  Every test counts the bytes that the loop leaves behind. */

#include "os/tools.h"
#include "support/memory_fixture.h"

/* Without memory. */

/* Starts timers until there is no room for another deadline. */
static void use_up_deadlines(void)
{
    aloop_timer *timer;
    int error = 0;

    memory.is_growth_off = true;
    for (int i = 0; i < 10000 && error == 0; i++)
        error = aloop_timer_start(t.loop, ALOOP_SEC(3600), 0, ignore_timer,
                                  NULL, &timer);
    assert_int_equal(error, ALOOP_ENOMEM);
}

static void assert_limit_is_refused_and_the_target_ended(
    aloop_future *target, bool *is_running)
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
    assert_limit_is_refused_and_the_target_ended(target, &is_running);
}

static void a_timeout_without_room_for_a_deadline_ends_its_target_first(
    void **state)
{
    bool is_running = false;
    aloop_future *target = aloop_spawn(t.loop, ends_after_10_ms, &is_running);

    (void) state;
    aloop_step(t.loop, 0);
    use_up_deadlines();
    assert_limit_is_refused_and_the_target_ended(target, &is_running);
}

static void a_sleep_without_memory_is_null_and_reported_to_nobody(
    void **state)
{
    (void) state;
    use_up_deadlines();
    assert_null(aloop_sleep(t.loop, MS));
    aloop_step(t.loop, 0);
    assert_int_equal(t.unhandled, 0);
}

static ssize_t returns_zero(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

static void a_task_without_memory_for_its_name_is_reported_to_nobody(
    void **state)
{
    aloop_task_options options = {.size = sizeof options, .name = "named"};
    unsigned points = 0;
    bool has_failed = true;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, returns_zero, NULL));
    aloop_run(t.loop);
    for (unsigned n = 1; has_failed; n++) {
        aloop_future *task;

        memory.fails_at = memory.calls + n;
        task = aloop_spawn_with(t.loop, returns_zero, NULL, &options);
        has_failed = memory.calls >= memory.fails_at;
        memory.fails_at = 0;
        /* A debug loop has some memory of its own that it can use. */
        assert_true(has_failed || task != NULL);
        points += task == NULL;
        aloop_detach(task);
        aloop_run(t.loop);
    }
    /* The name, if not the task as well. */
    assert_true(points >= 1 || WITH_ASAN);
    assert_int_equal(t.unhandled, 0);
}

/* Freed in the middle. */

static void keep(aloop_future *future)
{
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(future), 0);
}

static void a_settled_connect_that_is_held_is_freed_with_the_loop(
    void **state)
{
    int listener = sim_listen("127.0.0.1", 80, 8);
    aloop_stream *stream = NULL;

    (void) state;
    keep(aloop_tcp_connect(t.loop, "127.0.0.1", "80", &stream));
    assert_non_null(stream);
    sim_peer_close(listener);
    free_counted_loop();
}

static void settled_groups_that_are_held_are_freed_with_the_loop(void **state)
{
    (void) state;
    keep(aloop_gather(t.loop, aloop_sleep(t.loop, 1),
                      aloop_sleep(t.loop, 2)));
    keep(aloop_race(t.loop, aloop_sleep(t.loop, 1),
                    aloop_sleep(t.loop, 2)));
    free_counted_loop();
}

static void a_settled_map_that_is_held_is_freed_with_the_loop(void **state)
{
    int items[3] = {0, 0, 0};

    (void) state;
    keep(aloop_map(t.loop, returns_zero, items, 3, sizeof *items, 2));
    free_counted_loop();
}

/* Waits for itself, by a detour that nothing can see through. */
static ssize_t gathers_itself(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(
        aloop_gather(loop, aloop_future_ref(aloop_current_task())));
}

static void a_group_that_never_ends_is_freed_with_the_loop(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, gathers_itself, NULL));
    aloop_step(t.loop, 0);
    free_counted_loop();
}

static ssize_t connects_for_ever(aloop *loop, void *arg)
{
    for (;;) {
        aloop_future *connect = aloop_tcp_connect(loop, "127.0.0.9", "81",
                                                  arg);

        aloop_yield(loop);
        aloop_detach(connect);
        t.calls++;
    }
    return 0;
}

static void a_task_that_never_ends_leaves_no_descriptor(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_blackhole("127.0.0.9");
    aloop_detach(aloop_spawn(t.loop, connects_for_ever, &stream));
    aloop_step(t.loop, 0);
    free_counted_loop();
    assert_true(t.calls >= 9999); /* It got the turns it was promised. */
}

/* Shared by the tests of clean-up. */
static struct {
    aloop_mutex *mutex;
    aloop_condition *condition;
    aloop_future *task;
    ssize_t status;
    bool has_cleaned_up;
} work;

static ssize_t waits_for_condition(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    work.status = 1;
    work.has_cleaned_up = false;
    aloop_mutex_try_lock(work.mutex);
    work.status = aloop_condition_wait(work.condition, work.mutex);
    work.has_cleaned_up = true;
    return 0;
}

/* And has the mutex locked by somebody who never unlocks it. */
static void start_to_wait_for_condition(void)
{
    work.mutex = aloop_mutex_new(t.loop);
    work.condition = aloop_condition_new(t.loop);
    work.task = aloop_spawn(t.loop, waits_for_condition, NULL);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_mutex_try_lock(work.mutex), 0);
}

static void a_waiter_for_a_condition_cleans_up_as_the_loop_is_freed(
    void **state)
{
    (void) state;
    start_to_wait_for_condition();
    free_counted_loop();
    assert_int_equal(work.status, ALOOP_ECANCELED);
    assert_true(work.has_cleaned_up);
}

static void a_notified_waiter_for_the_mutex_cleans_up_as_the_loop_is_freed(
    void **state)
{
    (void) state;
    start_to_wait_for_condition();
    assert_int_equal(aloop_condition_notify(work.condition), 1);
    aloop_step(t.loop, 0);
    assert_int_equal(work.status, 1);
    free_counted_loop();
    assert_int_equal(work.status, ALOOP_ECANCELED);
    assert_true(work.has_cleaned_up);
}

static void a_waiter_for_the_mutex_that_was_cancelled_before_cleans_up_too(
    void **state)
{
    (void) state;
    start_to_wait_for_condition();
    assert_int_equal(aloop_condition_notify(work.condition), 1);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_cancel(work.task), 1);
    aloop_step(t.loop, 0);
    assert_int_equal(work.status, 1);
    free_counted_loop();
    assert_true(work.has_cleaned_up);
}

static ssize_t unlocks_after_a_while(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_mutex_lock(work.mutex));
    aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    for (int i = 0; i < 5; i++)
        aloop_yield(loop);
    note(work.has_cleaned_up);
    aloop_mutex_unlock(work.mutex);
    return 0;
}

static void the_mutex_still_comes_first_while_its_holder_cleans_up(
    void **state)
{
    (void) state;
    start_to_wait_for_condition();
    aloop_mutex_unlock(work.mutex);
    aloop_detach(aloop_spawn(t.loop, unlocks_after_a_while, NULL));
    aloop_step(t.loop, 0);
    assert_true(aloop_mutex_is_locked(work.mutex));
    free_counted_loop();
    assert_noted(false); /* The holder was not overtaken. */
    assert_int_equal(work.status, ALOOP_ECANCELED);
    assert_true(work.has_cleaned_up);
}

static ssize_t sleeps_shielded(aloop *loop, void *arg)
{
    (void) arg;
    aloop_shield_begin();
    work.status = aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    return 0;
}

static void a_shielded_task_sees_a_cancel_as_the_loop_is_freed(void **state)
{
    (void) state;
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        aloop_future *task = aloop_spawn(t.loop, sleeps_shielded, NULL);

        work.status = 1;
        aloop_step(t.loop, 0);
        if (is_cancelled)
            aloop_cancel(task);
        aloop_step(t.loop, 0);
        assert_int_equal(work.status, 1);
        free_counted_loop();
        assert_int_equal(work.status, ALOOP_ECANCELED);
        t.loop = memory_loop(0);
    }
}

static ssize_t fails_when_cancelled(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    t.calls++;
    return ALOOP_EBADF;
}

static void errors_that_nobody_read_are_reported_as_the_loop_is_freed(
    void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_detach(aloop_spawn(t.loop, fails_when_cancelled, NULL));
    aloop_step(t.loop, 0);
    aloop_future_unref(aloop_future_new_settled(t.loop, ALOOP_EINVAL));
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    assert_int_equal(t.unhandled, 0);

    free_counted_loop();
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.unhandled, 2); /* Not what failed by the freeing. */
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
}

/* The end of a whole program. */

struct clean_up {
    ssize_t statuses[4];
    int64_t begin_ns, end_ns;
};

static ssize_t sleeps_and_returns_four(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, MS));

    (void) arg;
    return status < 0 ? status : 4;
}

static ssize_t cleans_up_behind_a_shield(aloop *loop, void *arg)
{
    struct clean_up *clean_up = arg;
    ssize_t *statuses = clean_up->statuses;

    clean_up->begin_ns = aloop_now(loop);
    statuses[0] = aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    aloop_shield_begin();
    statuses[1] = aloop_await(aloop_sleep(loop, 5 * MS));
    statuses[2] = aloop_await(aloop_gather(
        loop, aloop_sleep(loop, 3 * MS),
        aloop_timeout(aloop_sleep(loop, 2 * MS), ALOOP_SEC(1))));
    statuses[3] = aloop_await(
        aloop_spawn(loop, sleeps_and_returns_four, NULL));
    aloop_shield_end();
    clean_up->end_ns = aloop_now(loop);
    return 0;
}

static ssize_t leaves_a_task_behind(aloop *loop, void *arg)
{
    aloop_detach(aloop_spawn(loop, cleans_up_behind_a_shield, arg));
    aloop_yield(loop);
    return 3;
}

static void a_shielded_clean_up_is_left_alone_at_the_end_of_main(void **state)
{
    struct clean_up clean_up = {{1, 1, 1, 1}, 0, 0};

    (void) state;
    assert_int_equal(aloop_main(leaves_a_task_behind, &clean_up), 3);

    assert_int_equal(clean_up.statuses[0], ALOOP_ECANCELED);
    assert_int_equal(clean_up.statuses[1], 0);
    assert_int_equal(clean_up.statuses[2], 0);
    assert_int_equal(clean_up.statuses[3], 4);
    assert_true(clean_up.end_ns - clean_up.begin_ns == 9 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(a_timeout_without_memory_ends_its_target_first),
        MEMORY_TEST(
            a_timeout_without_room_for_a_deadline_ends_its_target_first),
        MEMORY_TEST(a_sleep_without_memory_is_null_and_reported_to_nobody),
        MEMORY_TEST(a_task_without_memory_for_its_name_is_reported_to_nobody),
        MEMORY_TEST(a_settled_connect_that_is_held_is_freed_with_the_loop),
        MEMORY_TEST(settled_groups_that_are_held_are_freed_with_the_loop),
        MEMORY_TEST(a_settled_map_that_is_held_is_freed_with_the_loop),
        MEMORY_TEST(a_group_that_never_ends_is_freed_with_the_loop),
        MEMORY_TEST(a_task_that_never_ends_leaves_no_descriptor),
        MEMORY_TEST(a_waiter_for_a_condition_cleans_up_as_the_loop_is_freed),
        MEMORY_TEST(
            a_notified_waiter_for_the_mutex_cleans_up_as_the_loop_is_freed),
        MEMORY_TEST(
            a_waiter_for_the_mutex_that_was_cancelled_before_cleans_up_too),
        MEMORY_TEST(the_mutex_still_comes_first_while_its_holder_cleans_up),
        MEMORY_TEST(a_shielded_task_sees_a_cancel_as_the_loop_is_freed),
        MEMORY_TEST(errors_that_nobody_read_are_reported_as_the_loop_is_freed),
        MEMORY_TEST(a_shielded_clean_up_is_left_alone_at_the_end_of_main),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
