/* Tests of conditions: no notification is lost, and each wait returns with the
 * mutex locked. */

#include "support/memory_fixture.h"
#include "support/sync_fixture.h"

static ssize_t wait_until_ready(aloop *loop, void *arg)
{
    struct worker *worker = arg;
    ssize_t status = aloop_await(aloop_mutex_lock(shared.mutex));

    while (status == 0 && !shared.is_ready)
        status = aloop_condition_wait(shared.condition, shared.mutex);
    worker->status = status;
    note(worker->id);
    if (++shared.inside == 1)
        t.calls++; /* No other task has the mutex. */
    aloop_yield(loop);
    shared.inside--;
    aloop_mutex_unlock(shared.mutex);
    return status;
}

/* Waits for a single notification, without a predicate. */
static ssize_t wait_once(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    aloop_await(aloop_mutex_lock(shared.mutex));
    worker->status = aloop_condition_wait(shared.condition, shared.mutex);
    note(worker->id);
    if (aloop_mutex_is_locked(shared.mutex))
        t.calls++;
    aloop_mutex_unlock(shared.mutex);
    return worker->status;
}

static void a_condition_wait_unlocks_the_mutex(void **state)
{
    (void) state;
    prepare(wait_until_ready, 3);
    turns(5);
    assert_int_equal(aloop_mutex_try_lock(shared.mutex), 0);

    shared.is_ready = true;
    assert_int_equal(aloop_condition_notify_all(shared.condition), 0);
    turns(5);
    assert_int_equal(t.noted, 0); /* The test has the mutex. */
    aloop_mutex_unlock(shared.mutex);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(i), 0);

    assert_noted(0, 1, 2);
    assert_int_equal(t.calls, 3);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void a_notification_wakes_the_first_waiter(void **state)
{
    (void) state;
    prepare(wait_once, 3);
    assert_int_equal(aloop_condition_notify(shared.condition), 0);
    turns(5);
    assert_int_equal(t.noted, 0);

    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    turns(5);
    assert_noted(0);
    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    assert_int_equal(aloop_condition_notify(shared.condition), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(i), 0);
    assert_noted(0, 1, 2);
}

static void a_notification_skips_a_cancelled_waiter(void **state)
{
    (void) state;
    prepare(wait_once, 2);
    turns(5);

    aloop_cancel(shared.workers[0].task);
    assert_int_equal(aloop_condition_notify(shared.condition), 1);

    assert_int_equal(join(1), 0);
    assert_int_equal(join(0), ALOOP_EABORTED);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_int_equal(t.calls, 2);
}

static void a_notification_before_the_cancel_is_delivered(void **state)
{
    (void) state;
    prepare(wait_once, 2);
    turns(5);

    assert_int_equal(aloop_condition_notify(shared.condition), 1);
    aloop_cancel(shared.workers[0].task);

    assert_int_equal(join(0), 0);
    assert_int_equal(shared.workers[1].status, ALOOP_PENDING);
    aloop_condition_notify(shared.condition);
    assert_int_equal(join(1), 0);
}

static void a_cancelled_condition_wait_returns_with_the_mutex(void **state)
{
    (void) state;
    prepare(wait_once, 1);
    turns(5);
    assert_int_equal(aloop_mutex_try_lock(shared.mutex), 0);

    aloop_cancel(shared.workers[0].task);
    turns(5);
    assert_int_equal(shared.workers[0].status, ALOOP_PENDING);
    aloop_mutex_unlock(shared.mutex);

    assert_int_equal(join(0), ALOOP_EABORTED);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_int_equal(t.calls, 1);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static ssize_t wait_with_deadline(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, ALOOP_MS(5));
    ssize_t status = wait_once(loop, arg);

    assert_int_equal(aloop_deadline_end(deadline), 1);
    return status;
}

static void a_deadline_ends_a_condition_wait_with_the_mutex(void **state)
{
    (void) state;
    prepare(wait_with_deadline, 1);

    assert_int_equal(join(0), ALOOP_ETIMEDOUT);
    assert_int_equal(t.calls, 1);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void freeing_a_condition_returns_its_waits_with_the_mutex(void **state)
{
    (void) state;
    prepare(wait_once, 2);
    turns(5);

    aloop_condition_free(shared.condition);

    assert_int_equal(join(0), ALOOP_ECLOSED);
    assert_int_equal(join(1), ALOOP_ECLOSED);
    assert_int_equal(t.calls, 2);
}

static ssize_t wait_for_freed_mutex(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    aloop_await(aloop_mutex_lock(shared.mutex));
    worker->status = aloop_condition_wait(shared.condition, shared.mutex);
    return worker->status;
}

static void a_condition_wait_fails_if_its_mutex_was_freed(void **state)
{
    (void) state;
    prepare(wait_for_freed_mutex, 2);
    turns(5);

    aloop_mutex_free(shared.mutex);
    aloop_condition_notify(shared.condition);
    aloop_cancel(shared.workers[1].task);

    assert_int_equal(join(0), ALOOP_ECLOSED);
    assert_int_equal(join(1), ALOOP_ECLOSED);
}

static void a_notified_waiter_fails_if_its_mutex_is_freed(void **state)
{
    (void) state;
    prepare(wait_for_freed_mutex, 1);
    turns(5);
    aloop_mutex_try_lock(shared.mutex);
    aloop_condition_notify(shared.condition);
    turns(5);

    aloop_mutex_free(shared.mutex);

    assert_int_equal(join(0), ALOOP_ECLOSED);
}

static ssize_t misuse_condition(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    assert_int_equal(aloop_condition_wait(shared.condition, shared.mutex),
                     ALOOP_EPERM);
    assert_int_equal(aloop_condition_wait(NULL, shared.mutex), ALOOP_EINVAL);
    assert_int_equal(aloop_condition_wait(shared.condition, NULL),
                     ALOOP_EINVAL);
    return 0;
}

static void a_condition_wait_requires_a_task_that_has_the_mutex(void **state)
{
    (void) state;
    prepare(misuse_condition, 1);
    assert_int_equal(join(0), 0);

    aloop_mutex_try_lock(shared.mutex);
    assert_int_equal(aloop_condition_wait(shared.condition, shared.mutex),
                     ALOOP_EINVAL);
    assert_true(aloop_mutex_is_locked(shared.mutex));
}

static void a_freed_loop_ends_condition_waits_with_the_mutex(void **state)
{

    prepare(wait_once, 3);
    turns(5);

    aloop_free(t.loop);

    for (int i = 0; i < 3; i++)
        assert_int_equal(shared.workers[i].status, ALOOP_ECANCELED);
    assert_int_equal(t.calls, 3);
    set_up(state);
}

struct locks {
    aloop_mutex *mine, *others;
    aloop_condition *my_condition, *others_condition;
};

static ssize_t wait_with_wrong_loop(aloop *loop, void *arg)
{
    const struct locks *locks = arg;

    (void) loop;
    assert_int_equal(aloop_condition_wait(locks->others_condition, locks->mine),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_condition_wait(locks->my_condition, locks->others),
                     ALOOP_EINVAL);
    assert_true(aloop_mutex_is_locked(locks->mine));
    assert_true(aloop_mutex_is_locked(locks->others));
    note(1);
    return 0;
}

static void a_condition_requires_a_mutex_of_the_same_loop(void **state)
{
    aloop *other = other_loop();
    struct locks locks = {
        aloop_mutex_new(t.loop),
        aloop_mutex_new(other),
        aloop_condition_new(t.loop),
        aloop_condition_new(other),
    };

    (void) state;
    assert_int_equal(aloop_mutex_try_lock(locks.mine), 0);
    assert_int_equal(aloop_mutex_try_lock(locks.others), 0);

    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, wait_with_wrong_loop, &locks)), 0);

    assert_noted(1);
    aloop_condition_free(locks.my_condition);
    aloop_condition_free(locks.others_condition);
    aloop_mutex_free(locks.mine);
    aloop_mutex_free(locks.others);
    assert_int_equal(aloop_free(other), 0);
}

/* State of the tests in which a waiter cleans up while the loop is freed. */
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

/* Starts a task that waits for the condition, and then locks the mutex.  The
 * test never unlocks it. */
static void start_to_wait_for_condition(void)
{
    work.mutex = aloop_mutex_new(t.loop);
    work.condition = aloop_condition_new(t.loop);
    work.task = aloop_spawn(t.loop, waits_for_condition, NULL);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_mutex_try_lock(work.mutex), 0);
}

static void a_condition_waiter_cleans_up_when_the_loop_is_freed(void **state)
{
    (void) state;
    start_to_wait_for_condition();
    free_counted_loop();
    assert_int_equal(work.status, ALOOP_ECANCELED);
    assert_true(work.has_cleaned_up);
}

static void a_notified_waiter_cleans_up_when_the_loop_is_freed(void **state)
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

static void a_cancelled_waiter_cleans_up_when_the_loop_is_freed(void **state)
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

static void a_waiter_gets_the_mutex_after_its_holder_has_cleaned_up(
    void **state)
{
    (void) state;
    start_to_wait_for_condition();
    aloop_mutex_unlock(work.mutex);
    aloop_detach(aloop_spawn(t.loop, unlocks_after_a_while, NULL));
    aloop_step(t.loop, 0);
    assert_true(aloop_mutex_is_locked(work.mutex));
    free_counted_loop();
    assert_noted(false); /* The waiter did not overtake the holder. */
    assert_int_equal(work.status, ALOOP_ECANCELED);
    assert_true(work.has_cleaned_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_condition_wait_unlocks_the_mutex),
        TEST(a_notification_wakes_the_first_waiter),
        TEST(a_notification_skips_a_cancelled_waiter),
        TEST(a_notification_before_the_cancel_is_delivered),
        TEST(a_cancelled_condition_wait_returns_with_the_mutex),
        TEST(a_deadline_ends_a_condition_wait_with_the_mutex),
        TEST(freeing_a_condition_returns_its_waits_with_the_mutex),
        TEST(a_condition_wait_fails_if_its_mutex_was_freed),
        TEST(a_notified_waiter_fails_if_its_mutex_is_freed),
        TEST(a_condition_wait_requires_a_task_that_has_the_mutex),
        TEST(a_freed_loop_ends_condition_waits_with_the_mutex),
        TEST(a_condition_requires_a_mutex_of_the_same_loop),
        MEMORY_TEST(a_condition_waiter_cleans_up_when_the_loop_is_freed),
        MEMORY_TEST(a_notified_waiter_cleans_up_when_the_loop_is_freed),
        MEMORY_TEST(a_cancelled_waiter_cleans_up_when_the_loop_is_freed),
        MEMORY_TEST(a_waiter_gets_the_mutex_after_its_holder_has_cleaned_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
