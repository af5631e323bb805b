/* Tests of locks and permits that a composition was granted.  They belong to
 * the caller after it has read the status of the composition; otherwise they
 * are given back. */

#include "support/fixture.h"

enum { DEPTH = 100000 };

static aloop_mutex *a, *b;

static int set_up_locks(void **state)
{
    int result = set_up(state);

    a = aloop_mutex_new(t.loop);
    b = aloop_mutex_new(t.loop);
    return result;
}

static int tear_down_locks(void **state)
{
    aloop_mutex_free(a);
    aloop_mutex_free(b);
    return tear_down(state);
}

static aloop_future *both(void)
{
    return aloop_gather(t.loop, aloop_mutex_lock(a), aloop_mutex_lock(b));
}

static void locks_of_an_awaited_gather_belong_to_the_caller(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(both()), 0);
    assert_true(aloop_mutex_is_locked(a));
    assert_true(aloop_mutex_is_locked(b));
}

static void a_dropped_gather_gives_its_locks_back(void **state)
{
    aloop_future *gather;

    (void) state;
    aloop_mutex_try_lock(b);
    gather = both();
    aloop_run(t.loop);
    assert_true(aloop_mutex_is_locked(a));
    aloop_future_unref(gather);
    aloop_run(t.loop);
    assert_false(aloop_mutex_is_locked(a));
}

static void a_settled_gather_that_is_dropped_gives_its_locks_back(void **state)
{
    aloop_future *gather = both();

    (void) state;
    aloop_run(t.loop);
    assert_true(aloop_future_is_settled(gather));
    aloop_future_unref(gather);
    assert_false(aloop_mutex_is_locked(a));
    assert_false(aloop_mutex_is_locked(b));
}

static void a_gather_whose_status_was_read_keeps_its_locks(void **state)
{
    aloop_future *gather = both();

    (void) state;
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(gather), 0);
    aloop_future_unref(gather);
    assert_true(aloop_mutex_is_locked(a));
}

static void a_failed_gather_gives_its_locks_back(void **state)
{
    aloop_future *failed = aloop_future_new_settled(t.loop, ALOOP_EPERM);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_gather(t.loop, aloop_mutex_lock(a), failed)),
        ALOOP_EPERM);
    assert_false(aloop_mutex_is_locked(a));
}

static ssize_t locks_both(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return aloop_await(both());
}

static void a_task_that_is_cancelled_in_a_gather_has_no_lock(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, locks_both, NULL);

    (void) state;
    aloop_mutex_try_lock(b);
    for (int i = 0; i < 4; i++)
        aloop_step(t.loop, 0);
    assert_true(aloop_mutex_is_locked(a));
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_false(aloop_mutex_is_locked(a));
}

static void statuses_report_which_locks_belong_to_the_caller(void **state)
{
    aloop_future *members[] = {aloop_mutex_lock(a),
                               aloop_future_new_settled(t.loop, ALOOP_EPERM)};
    ssize_t statuses[2];

    (void) state;
    assert_int_equal(
        aloop_await(aloop_gather_settled(t.loop, 2, members, statuses)), 1);
    assert_int_equal(statuses[0], 0);
    assert_true(aloop_mutex_is_locked(a));
}

static void any_and_race_keep_only_the_lock_of_the_winner(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_any(t.loop, aloop_mutex_lock(a),
                                           aloop_mutex_lock(b))),
                     0);
    assert_true(aloop_mutex_is_locked(a));
    assert_false(aloop_mutex_is_locked(b));
    aloop_mutex_unlock(a);
    assert_int_equal(aloop_await(aloop_race(t.loop, aloop_mutex_lock(b),
                                            aloop_mutex_lock(a))),
                     0);
    assert_true(aloop_mutex_is_locked(b));
    assert_false(aloop_mutex_is_locked(a));
    aloop_future_unref(aloop_race(t.loop, aloop_mutex_lock(a)));
    aloop_run(t.loop);
    assert_false(aloop_mutex_is_locked(a));
}

static void an_awaited_timeout_keeps_its_lock_and_a_dropped_one_does_not(
    void **state)
{
    aloop_future *timeout = aloop_timeout(aloop_mutex_lock(a), ALOOP_SEC(1));

    (void) state;
    aloop_run(t.loop);
    aloop_future_unref(timeout);
    assert_false(aloop_mutex_is_locked(a));
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_mutex_lock(a), ALOOP_SEC(1))), 0);
    assert_true(aloop_mutex_is_locked(a));
}

static void permits_of_a_dropped_gather_go_to_the_next_waiter(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 3);
    aloop_future *gather = aloop_gather(
        t.loop, aloop_timeout(aloop_semaphore_acquire(semaphore, 2), 1000),
        aloop_sleep(t.loop, ALOOP_SEC(1)));
    aloop_future *next;

    (void) state;
    aloop_step(t.loop, 0);
    next = aloop_semaphore_acquire(semaphore, 3);
    aloop_future_unref(gather);
    assert_int_equal(aloop_await(next), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 0);
    aloop_semaphore_free(semaphore);
}

static void a_lock_in_many_nested_gathers_is_given_back(void **state)
{
    aloop_future *future = aloop_mutex_lock(a);

    (void) state;
    for (int i = 0; i < DEPTH; i++)
        future = aloop_gather(t.loop, future);
    aloop_run(t.loop);
    assert_true(aloop_future_is_settled(future));
    assert_true(aloop_mutex_is_locked(a));
    aloop_future_unref(future);
    assert_false(aloop_mutex_is_locked(a));

    future = aloop_gather(t.loop, aloop_gather(t.loop, aloop_mutex_lock(a)));
    assert_int_equal(aloop_await(future), 0);
    assert_true(aloop_mutex_is_locked(a));
}

static void a_lock_that_another_owner_has_read_stays_locked(void **state)
{
    aloop_future *lock = aloop_mutex_lock(a);
    aloop_future *first = aloop_gather(t.loop, aloop_future_ref(lock));
    aloop_future *second = aloop_gather(t.loop, aloop_future_ref(lock));

    (void) state;
    aloop_run(t.loop);
    assert_int_equal(aloop_await(lock), 0);
    aloop_future_unref(first);
    aloop_future_unref(second);
    assert_true(aloop_mutex_is_locked(a));
}

static void ignore(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) status;
    (void) arg;
    t.calls++;
}

static void a_continuation_that_was_called_keeps_the_lock(void **state)
{
    aloop_future *gather = both();

    (void) state;
    aloop_then(gather, ignore, NULL);
    aloop_run(t.loop);
    assert_int_equal(t.calls, 1);
    assert_true(aloop_mutex_is_locked(a));
    aloop_mutex_unlock(a);

    gather = aloop_timeout(aloop_mutex_lock(a), ALOOP_SEC(1));
    aloop_then(gather, ignore, NULL);
    while (!aloop_future_is_settled(gather))
        aloop_step(t.loop, 0);
    aloop_unthen(gather, ignore, NULL);
    assert_false(aloop_mutex_is_locked(a));
}

static void a_partial_count_without_statuses_gives_the_locks_back(void **state)
{
    (void) state;
    aloop_mutex_try_lock(b);
    assert_int_equal(
        aloop_await(aloop_gather_settled(
            t.loop, 2,
            (aloop_future *[]){aloop_mutex_lock(a),
                               aloop_timeout(aloop_mutex_lock(b), 1)},
            NULL)),
        1);
    assert_false(aloop_mutex_is_locked(a));
    aloop_mutex_unlock(b);
    assert_int_equal(
        aloop_await(aloop_gather_settled(
            t.loop, 2,
            (aloop_future *[]){aloop_mutex_lock(a), aloop_mutex_lock(b)},
            NULL)),
        2);
    assert_true(aloop_mutex_is_locked(a) && aloop_mutex_is_locked(b));
}

#define LOCK_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_locks, tear_down_locks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCK_TEST(locks_of_an_awaited_gather_belong_to_the_caller),
        LOCK_TEST(a_dropped_gather_gives_its_locks_back),
        LOCK_TEST(a_settled_gather_that_is_dropped_gives_its_locks_back),
        LOCK_TEST(a_gather_whose_status_was_read_keeps_its_locks),
        LOCK_TEST(a_failed_gather_gives_its_locks_back),
        LOCK_TEST(a_task_that_is_cancelled_in_a_gather_has_no_lock),
        LOCK_TEST(statuses_report_which_locks_belong_to_the_caller),
        LOCK_TEST(a_partial_count_without_statuses_gives_the_locks_back),
        LOCK_TEST(any_and_race_keep_only_the_lock_of_the_winner),
        LOCK_TEST(an_awaited_timeout_keeps_its_lock_and_a_dropped_one_does_not),
        LOCK_TEST(permits_of_a_dropped_gather_go_to_the_next_waiter),
        LOCK_TEST(a_lock_in_many_nested_gathers_is_given_back),
        LOCK_TEST(a_lock_that_another_owner_has_read_stays_locked),
        LOCK_TEST(a_continuation_that_was_called_keeps_the_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
