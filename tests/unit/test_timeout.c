/* timeout: a limit on the time of a future. */

#include "support/memory_fixture.h"

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
    assert_true(sim_poll(fd, 0));
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_future_status(limited), ALOOP_ETIMEDOUT);
    assert_false(sim_poll(fd, ALOOP_SEC(1)));
    aloop_future_unref(limited);
    aloop_future_unref(promise);
}

static void a_timeout_keeps_the_loop_for_what_would_not(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_timeout_made_outside_a_turn_wakes_the_host),
        TEST(a_timeout_keeps_the_loop_for_what_would_not),
        MEMORY_TEST(a_timeout_without_memory_ends_its_target_first),
        MEMORY_TEST(
            a_timeout_without_room_for_a_deadline_ends_its_target_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
