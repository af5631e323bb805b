/* Tests of mutexes: tasks get the lock in order, and no lock is lost. */

#include "support/sync_fixture.h"

static ssize_t lock_note_unlock(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_mutex_lock(shared.mutex));
    if (worker->status < 0)
        return worker->status;
    note(worker->id);
    return aloop_mutex_unlock(shared.mutex);
}

static void a_free_mutex_is_locked_immediately(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *lock = aloop_mutex_lock(mutex);

    (void) state;
    assert_int_equal(aloop_future_status(lock), 0);
    assert_true(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_try_lock(mutex), ALOOP_EAGAIN);
    aloop_future_unref(lock);

    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    assert_false(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    assert_true(aloop_mutex_is_locked(mutex));
}

static void a_mutex_that_is_not_locked_cannot_be_unlocked(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    assert_int_equal(aloop_mutex_unlock(mutex), ALOOP_EPERM);
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    assert_int_equal(aloop_mutex_unlock(mutex), ALOOP_EPERM);
}

static void tasks_get_the_mutex_in_the_order_of_their_requests(void **state)
{
    (void) state;
    prepare(lock_note_unlock, 4);
    aloop_mutex_try_lock(shared.mutex);
    turns(3);
    assert_int_equal(t.noted, 0);

    aloop_mutex_unlock(shared.mutex);
    for (int i = 0; i < 4; i++)
        assert_int_equal(join(i), 0);

    assert_noted(0, 1, 2, 3);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void an_unlock_passes_the_mutex_to_the_first_waiter(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *first, *second;

    (void) state;
    aloop_mutex_try_lock(mutex);
    first = aloop_mutex_lock(mutex);
    second = aloop_mutex_lock(mutex);
    aloop_mutex_unlock(mutex);

    assert_true(aloop_mutex_is_locked(mutex));
    assert_int_equal(aloop_mutex_try_lock(mutex), ALOOP_EAGAIN);
    assert_int_equal(aloop_future_status(first), 0);
    assert_int_equal(aloop_future_status(second), ALOOP_PENDING);
    aloop_future_unref(first);
    aloop_future_unref(second);
}

static void a_cancelled_waiter_does_not_block_the_next_one(void **state)
{
    (void) state;
    prepare(lock_note_unlock, 2);
    aloop_mutex_try_lock(shared.mutex);
    turns(2);

    aloop_cancel(shared.workers[0].task);
    aloop_mutex_unlock(shared.mutex);

    assert_int_equal(join(1), 0);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_noted(1);
    assert_int_equal(join(0), ALOOP_EABORTED);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void a_task_cancelled_after_it_got_the_mutex_keeps_it(void **state)
{
    (void) state;
    prepare(lock_note_unlock, 2);
    aloop_mutex_try_lock(shared.mutex);
    turns(2);

    aloop_mutex_unlock(shared.mutex);
    aloop_cancel(shared.workers[0].task);

    assert_int_equal(join(0), 0);
    assert_int_equal(join(1), 0);
    assert_noted(0, 1);
    assert_false(aloop_mutex_is_locked(shared.mutex));
}

static void a_lock_whose_status_was_not_read_passes_to_the_next_waiter(
    void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *first = aloop_mutex_lock(mutex);
    aloop_future *second = aloop_mutex_lock(mutex);

    (void) state;
    aloop_future_unref(first);
    assert_true(aloop_future_is_settled(second));
    assert_true(aloop_mutex_is_locked(mutex));

    aloop_future_unref(second);
    assert_false(aloop_mutex_is_locked(mutex));
}

static void a_lock_whose_status_was_read_outlives_its_future(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_mutex_lock(mutex)), 0);

    assert_true(aloop_mutex_is_locked(mutex));
}

static void any_number_of_detached_locks_is_skipped(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    aloop_mutex_try_lock(mutex);
    for (int i = 0; i < 200000; i++)
        aloop_detach(aloop_mutex_lock(mutex));
    aloop_future *last = aloop_mutex_lock(mutex);
    aloop_mutex_unlock(mutex);

    assert_int_equal(aloop_future_status(last), 0);
    assert_true(aloop_mutex_is_locked(mutex));
    aloop_future_unref(last);
}

static void dropping_a_pending_lock_leaves_the_queue(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    aloop_mutex_try_lock(mutex);
    aloop_future_unref(aloop_mutex_lock(mutex));
    aloop_mutex_unlock(mutex);

    assert_false(aloop_mutex_is_locked(mutex));
    assert_int_equal(t.unhandled, 0);
}

static void on_lock(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    t.calls++;
    note((int) status);
    aloop_mutex_unlock(arg);
}

static void a_continuation_gets_a_lock(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);

    (void) state;
    aloop_then(aloop_mutex_lock(mutex), on_lock, mutex);
    aloop_then(aloop_mutex_lock(mutex), on_lock, mutex);
    assert_int_equal(aloop_run(t.loop), 0);

    assert_noted(0, 0);
    assert_false(aloop_mutex_is_locked(mutex));
}

static void a_timeout_gives_up_the_place_in_the_queue(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *limited, *next;

    (void) state;
    aloop_mutex_try_lock(mutex);
    limited = aloop_timeout(aloop_mutex_lock(mutex), ALOOP_MS(10));
    next = aloop_mutex_lock(mutex);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, ALOOP_MS(20))), 0);
    assert_int_equal(aloop_await(limited), ALOOP_ETIMEDOUT);

    aloop_mutex_unlock(mutex);
    assert_int_equal(aloop_future_status(next), 0);
    aloop_future_unref(next);
}

static void freeing_a_mutex_ends_its_waits(void **state)
{
    aloop_future *held;

    (void) state;
    prepare(lock_note_unlock, 2);
    held = aloop_mutex_lock(shared.mutex);
    turns(2);

    aloop_mutex_free(shared.mutex);

    assert_int_equal(join(0), ALOOP_ECLOSED);
    assert_int_equal(join(1), ALOOP_ECLOSED);
    /* The status was never read, and the mutex to unlock is freed. */
    aloop_future_unref(held);
}

static void a_pending_wait_does_not_keep_the_loop_alive(void **state)
{
    (void) state;
    prepare(NULL, 0);
    aloop_mutex_try_lock(shared.mutex);
    aloop_then(aloop_mutex_lock(shared.mutex), on_lock, shared.mutex);
    aloop_then(aloop_event_wait(shared.event), on_lock, shared.mutex);
    aloop_then(aloop_barrier_wait(shared.barrier), on_lock, shared.mutex);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_await(aloop_event_wait(shared.event)),
                     ALOOP_EDEADLK);
}

static void an_unlock_revokes_a_lock_whose_status_was_not_read(void **state)
{
    aloop_mutex *mutex = aloop_mutex_new(t.loop);
    aloop_future *lock = aloop_mutex_lock(mutex);

    (void) state;
    assert_true(aloop_future_is_settled(lock));
    assert_int_equal(aloop_mutex_unlock(mutex), 0);
    aloop_future_unref(lock); /* There is nothing to give back. */
    assert_int_equal(aloop_mutex_try_lock(mutex), 0);
    assert_int_equal(aloop_mutex_try_lock(mutex), ALOOP_EAGAIN);
    aloop_mutex_free(mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_mutex_is_locked_immediately),
        TEST(a_mutex_that_is_not_locked_cannot_be_unlocked),
        TEST(tasks_get_the_mutex_in_the_order_of_their_requests),
        TEST(an_unlock_passes_the_mutex_to_the_first_waiter),
        TEST(a_cancelled_waiter_does_not_block_the_next_one),
        TEST(a_task_cancelled_after_it_got_the_mutex_keeps_it),
        TEST(a_lock_whose_status_was_not_read_passes_to_the_next_waiter),
        TEST(a_lock_whose_status_was_read_outlives_its_future),
        TEST(any_number_of_detached_locks_is_skipped),
        TEST(dropping_a_pending_lock_leaves_the_queue),
        TEST(a_continuation_gets_a_lock),
        TEST(a_timeout_gives_up_the_place_in_the_queue),
        TEST(freeing_a_mutex_ends_its_waits),
        TEST(a_pending_wait_does_not_keep_the_loop_alive),
        TEST(an_unlock_revokes_a_lock_whose_status_was_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
