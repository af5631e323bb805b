/* Loops whose timers may be late, so that they share wake-ups. */

#include "support/fixture.h"

enum { TIMERS = 50 };

/* A timer, and when it is due. */
struct deadline {
    int64_t due_ns;
    aloop_timer *timer;
};

static struct deadline deadlines[TIMERS];
static const int64_t slack_ns = 2 * MS;

static int set_up_slack(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled,
                             .timer_slack_ns = slack_ns};
    int error = set_up(state);

    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    return t.loop == NULL ? -1 : error;
}

static void check_time(aloop_timer *timer, void *arg)
{
    const struct deadline *deadline = arg;
    int64_t late_ns = aloop_now(t.loop) - deadline->due_ns;

    assert_true(late_ns >= 0);
    assert_true(late_ns <= slack_ns);
    assert_ptr_equal(&deadlines[t.calls], deadline); /* They are in order. */
    t.calls++;
    aloop_timer_close(timer);
}

static void start(struct deadline *deadline, int64_t delay_ns)
{
    deadline->due_ns = aloop_now(t.loop) + delay_ns;
    assert_int_equal(aloop_timer_start(t.loop, delay_ns, 0, check_time,
                                       deadline, &deadline->timer),
                     0);
}

static void timers_share_a_wake_up_and_are_never_early(void **state)
{
    unsigned wakes = sim_wakes();

    (void) state;
    for (int i = 0; i < TIMERS; i++)
        start(&deadlines[i], MS + i * (MS / 5)); /* Over 10 ms. */

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(t.calls, TIMERS);
    assert_true(sim_wakes() - wakes <= 6);
}

static void what_is_due_is_not_delayed(void **state)
{
    int64_t begin_ns = aloop_now(t.loop);

    (void) state;
    start(&deadlines[0], 0);
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 1);

    assert_int_equal(aloop_await(aloop_sleep(t.loop, 0)), 0);
    assert_true(aloop_now(t.loop) - begin_ns < MS);
}

static void a_caller_waits_as_long_as_it_has_asked_for(void **state)
{
    int64_t begin_ns = aloop_now(t.loop);

    (void) state;
    start(&deadlines[0], MS);
    assert_int_equal(aloop_step(t.loop, MS / 2), 1); /* It is alive. */
    assert_true(aloop_now(t.loop) - begin_ns < MS);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 1);
}

static void a_host_wakes_once_for_several_timers(void **state)
{
    int fd = aloop_fd(t.loop);

    (void) state;
    start(&deadlines[0], MS);
    start(&deadlines[1], 2 * MS);

    assert_false(sim_poll(fd, MS + MS / 2));
    assert_true(sim_poll(fd, 10 * MS));
    assert_int_equal(aloop_step(t.loop, 0), 0);
    assert_int_equal(t.calls, 2);
}

static void wake_loop(void *arg)
{
    (void) arg;
    aloop_wake(t.loop);
}

static void with_an_endless_slack_timers_expire_after_another_wait(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .timer_slack_ns = INT64_MAX};
    int64_t begin_ns;

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    begin_ns = aloop_now(t.loop);
    sim_at(20 * MS, wake_loop, NULL);

    assert_int_equal(aloop_await(aloop_sleep(t.loop, MS)), 0);

    assert_true(aloop_now(t.loop) - begin_ns >= 20 * MS);
}

static void a_negative_slack_is_none(void **state)
{
    aloop_options options = {.size = sizeof options, .timer_slack_ns = -1};
    int64_t begin_ns;

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    begin_ns = aloop_now(t.loop);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, MS)), 0);
    assert_true(aloop_now(t.loop) - begin_ns < MS + MS / 2);
}

int main(void)
{
#define SLACK_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_slack, tear_down)
    const struct CMUnitTest tests[] = {
        SLACK_TEST(timers_share_a_wake_up_and_are_never_early),
        SLACK_TEST(what_is_due_is_not_delayed),
        SLACK_TEST(a_caller_waits_as_long_as_it_has_asked_for),
        SLACK_TEST(a_host_wakes_once_for_several_timers),
        SLACK_TEST(with_an_endless_slack_timers_expire_after_another_wait),
        SLACK_TEST(a_negative_slack_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
