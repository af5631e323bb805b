/* Tests of semaphores: waiters are served in order, and no permit is lost. */

#include "support/sync_fixture.h"

static ssize_t acquire_two(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status =
        aloop_await(aloop_semaphore_acquire(shared.semaphore, 2));
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

/* Many tasks acquire up to three of three permits and are cancelled at random.
 * At most three permits are acquired at any time, and all are released. */
struct crowd {
    aloop_semaphore *semaphore;
    size_t out;
    size_t served;
};

static ssize_t take_some(aloop *loop, void *arg)
{
    struct crowd *crowd = arg;
    size_t count = 1 + (size_t) sim_random(3);

    for (int i = 0; i < 20; i++) {
        ssize_t status =
            aloop_await(aloop_semaphore_acquire(crowd->semaphore, count));
        if (status < 0)
            return status;
        crowd->out += count;
        crowd->served++;
        assert_true(crowd->out <= 3);
        aloop_await(aloop_sleep(loop, (int64_t) sim_random(1000)));
        crowd->out -= count;
        aloop_semaphore_release(crowd->semaphore, count);
    }
    return 0;
}

static void no_permit_is_lost_if_waiters_are_cancelled_at_random(void **state)
{
    enum { TASKS = 40 };
    struct crowd crowd = {.semaphore = aloop_semaphore_new(t.loop, 3)};
    aloop_future *tasks[TASKS];

    (void) state;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = aloop_spawn(t.loop, take_some, &crowd);
    for (int i = 0; i < 600; i++) {
        turns(1);
        sim_advance(100);
        if (sim_random(20) == 0)
            aloop_cancel(tasks[sim_random(TASKS)]);
        if (sim_random(5) == 0)
            aloop_future_unref(aloop_semaphore_acquire(crowd.semaphore, 1));
    }
    for (int i = 0; i < TASKS; i++)
        aloop_await(tasks[i]);

    assert_true(crowd.served > TASKS);
    assert_int_equal(crowd.out, 0);
    assert_int_equal(aloop_semaphore_count(crowd.semaphore), 3);
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
        TEST(no_permit_is_lost_if_waiters_are_cancelled_at_random),
        TEST(the_count_of_a_semaphore_saturates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
