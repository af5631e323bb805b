/* Tests of events: each waiter is woken once. */

#include "support/sync_fixture.h"

static ssize_t wait_for_event(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_event_wait(shared.event));
    note(worker->id);
    return worker->status;
}

static void an_event_wakes_each_waiter_once_even_if_it_is_cleared(void **state)
{
    (void) state;
    prepare(wait_for_event, 3);
    turns(2);

    aloop_event_set(shared.event);
    aloop_event_clear(shared.event);
    aloop_event_set(shared.event);
    aloop_event_clear(shared.event);

    for (int i = 0; i < 3; i++)
        assert_int_equal(join(i), 0);
    assert_noted(0, 1, 2);
    assert_false(aloop_event_is_set(shared.event));
    assert_int_equal(aloop_await(aloop_event_wait(shared.event)),
                     ALOOP_EDEADLK);
}

static void a_wait_for_a_set_event_returns_immediately(void **state)
{
    aloop_event *event = aloop_event_new(t.loop);

    (void) state;
    assert_false(aloop_event_is_set(event));
    assert_int_equal(aloop_event_set(event), 0);
    assert_int_equal(aloop_event_set(event), 0);
    assert_true(aloop_event_is_set(event));

    assert_int_equal(aloop_await(aloop_event_wait(event)), 0);
    assert_int_equal(aloop_await(aloop_event_wait(event)), 0);
}

static void a_cancelled_wait_for_an_event_does_not_end_others(void **state)
{
    (void) state;
    prepare(wait_for_event, 2);
    turns(2);
    aloop_cancel(shared.workers[0].task);
    turns(2);
    assert_int_equal(shared.workers[0].status, ALOOP_ECANCELED);
    assert_int_equal(shared.workers[1].status, ALOOP_PENDING);

    aloop_event_set(shared.event);
    assert_int_equal(join(1), 0);
    assert_int_equal(join(0), ALOOP_EABORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_wakes_each_waiter_once_even_if_it_is_cleared),
        TEST(a_wait_for_a_set_event_returns_immediately),
        TEST(a_cancelled_wait_for_an_event_does_not_end_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
