/* Tests of semaphores: waiters are served in order, and no permit is lost. */

#include "support/sync_fixture.h"

static ssize_t acquire_two(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_semaphore_acquire(shared.semaphore, 2));
    note(worker->id);
    return worker->status;
}

static void a_semaphore_counts_its_permits(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 3);

    (void) state;
    assert_int_equal(aloop_await(aloop_semaphore_acquire(semaphore, 2)), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 1);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 2), ALOOP_EAGAIN);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 1), 0);
    assert_int_equal(aloop_semaphore_release(semaphore, 5), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 5);
    assert_int_equal(aloop_semaphore_release(semaphore, SIZE_MAX - 4),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_release(semaphore, SIZE_MAX - 5), 0);
}

static void a_waiter_for_many_permits_is_not_overtaken(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 2);
    aloop_future *many = aloop_semaphore_acquire(semaphore, 3);
    aloop_future *one = aloop_semaphore_acquire(semaphore, 1);

    (void) state;
    assert_false(aloop_future_is_settled(one));
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 1), ALOOP_EAGAIN);

    aloop_semaphore_release(semaphore, 1);
    assert_int_equal(aloop_future_status(many), 0);
    assert_false(aloop_future_is_settled(one));

    aloop_semaphore_release(semaphore, 1);
    assert_int_equal(aloop_future_status(one), 0);
    aloop_future_unref(many);
    aloop_future_unref(one);
    assert_int_equal(aloop_semaphore_count(semaphore), 0);
}

static void cancelling_a_waiter_for_many_permits_serves_the_next_ones(
    void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 2);
    aloop_future *many = aloop_semaphore_acquire(semaphore, 3);
    aloop_future *one = aloop_semaphore_acquire(semaphore, 1);
    aloop_future *other = aloop_semaphore_acquire(semaphore, 1);

    (void) state;
    assert_int_equal(aloop_cancel(many), 1);

    assert_int_equal(aloop_future_status(many), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(one), 0);
    assert_int_equal(aloop_future_status(other), 0);
    aloop_future_unref(many);
    aloop_future_unref(one);
    aloop_future_unref(other);
}

static void one_release_serves_as_many_waiters_as_possible(void **state)
{
    (void) state;
    prepare(acquire_two, 3);
    turns(2);

    aloop_semaphore_release(shared.semaphore, 5);
    assert_int_equal(join(0), 0);
    assert_int_equal(join(1), 0);
    assert_int_equal(aloop_semaphore_count(shared.semaphore), 1);
    assert_int_equal(shared.workers[2].status, ALOOP_PENDING);

    aloop_semaphore_release(shared.semaphore, 1);
    assert_int_equal(join(2), 0);
    assert_noted(0, 1, 2);
}

static void permits_whose_status_was_not_read_are_given_back(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 5);

    (void) state;
    aloop_future_unref(aloop_semaphore_acquire(semaphore, 4));
    assert_int_equal(aloop_semaphore_count(semaphore), 5);

    aloop_future *given = aloop_semaphore_acquire(semaphore, 5);
    aloop_semaphore_free(semaphore);
    aloop_future_unref(given);
}

/* The permits that are given back may exceed the maximum. */
static void the_count_of_a_semaphore_saturates(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 2);
    aloop_future *granted = aloop_semaphore_acquire(semaphore, 2);

    (void) state;
    assert_true(aloop_future_is_settled(granted));
    assert_int_equal(aloop_semaphore_release(semaphore, SIZE_MAX), 0);
    assert_int_equal(aloop_semaphore_release(semaphore, 1), ALOOP_EINVAL);

    aloop_future_unref(granted); /* Its status was not read. */

    assert_true(aloop_semaphore_count(semaphore) == SIZE_MAX);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, SIZE_MAX), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 0);
    aloop_semaphore_free(semaphore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_semaphore_counts_its_permits),
        TEST(a_waiter_for_many_permits_is_not_overtaken),
        TEST(cancelling_a_waiter_for_many_permits_serves_the_next_ones),
        TEST(one_release_serves_as_many_waiters_as_possible),
        TEST(permits_whose_status_was_not_read_are_given_back),
        TEST(the_count_of_a_semaphore_saturates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
