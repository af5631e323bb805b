/* Tests of barriers: full rounds, and waiters that leave a round. */

#include "support/sync_fixture.h"

static ssize_t wait_at_barrier(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_barrier_wait(shared.barrier));
    return worker->status;
}

static void a_barrier_lets_a_full_round_through(void **state)
{
    (void) state;
    prepare(wait_at_barrier, 7);
    turns(5);

    assert_int_equal(aloop_barrier_waiting(shared.barrier), 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(shared.workers[i].status, i % 3);
    assert_int_equal(shared.workers[6].status, ALOOP_PENDING);
    for (int i = 0; i < 7; i++)
        aloop_future_unref(shared.workers[i].task);
}

static void a_cancelled_waiter_leaves_the_barrier(void **state)
{
    (void) state;
    prepare(wait_at_barrier, 2);
    turns(2);
    assert_int_equal(aloop_barrier_waiting(shared.barrier), 2);

    aloop_cancel(shared.workers[0].task);
    assert_int_equal(aloop_barrier_waiting(shared.barrier), 1);
    assert_int_equal(aloop_future_is_settled(shared.workers[1].task), false);

    aloop_future *second = aloop_barrier_wait(shared.barrier);
    assert_int_equal(aloop_future_status(second), ALOOP_PENDING);
    aloop_future *third = aloop_barrier_wait(shared.barrier);
    assert_int_equal(join(1), 0);
    assert_int_equal(aloop_await(second), 1);
    assert_int_equal(aloop_await(third), 2);
    assert_int_equal(join(0), ALOOP_EABORTED);
}

static void a_barrier_of_one_never_waits(void **state)
{
    aloop_barrier *barrier = aloop_barrier_new(t.loop, 1);

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(aloop_barrier_wait(barrier)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_barrier_lets_a_full_round_through),
        TEST(a_cancelled_waiter_leaves_the_barrier),
        TEST(a_barrier_of_one_never_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
