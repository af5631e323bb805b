/* The loop: liveness, stopping, embedding, options. */

#include "support/memory_fixture.h"

static void a_new_loop_is_not_alive_and_run_returns_immediately(void **state)
{
    (void) state;
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_step(t.loop, -1), 0);
}

static void run_returns_zero_when_nothing_is_left(void **state)
{
    (void) state;
    start_timer(MS, 1);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_false(aloop_alive(t.loop));
    assert_noted(1);
}

static void stop_before_run_returns_one_without_a_turn(void **state)
{
    (void) state;
    start_timer(0, 1);
    aloop_stop(t.loop);
    assert_int_equal(aloop_run(t.loop), 1);
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1);
}

static void stop_in_a_callback_returns_one_and_run_can_be_repeated(void **state)
{
    (void) state;
    start_timer(MS, 1);
    aloop_defer(t.loop, stop_now, NULL);
    assert_int_equal(aloop_run(t.loop), 1);
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1);
}

static void post_here(void *arg)
{
    aloop_post(t.loop, note_call, arg);
}

static void a_hold_keeps_the_loop_alive_until_released(void **state)
{
    (void) state;
    aloop_hold(t.loop);
    aloop_hold(t.loop);
    assert_true(aloop_alive(t.loop));
    aloop_release(t.loop);
    assert_true(aloop_alive(t.loop));
    aloop_release(t.loop);
    aloop_release(t.loop); /* An extra release is ignored. */
    assert_false(aloop_alive(t.loop));
}

static void on_connected(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) arg;
    t.calls++;
    note((int) status);
}

static void holds_of_library_and_application_are_counted_apart(void **state)
{
    static const char *const addresses[] = {"10.0.0.1", NULL};
    int peer = sim_listen("10.0.0.1", 80, 5);
    aloop_stream *stream;

    (void) state;
    sim_host("example.org", addresses);
    aloop_then(aloop_tcp_connect(t.loop, "example.org", "80", &stream),
               on_connected, NULL);
    aloop_release(t.loop); /* This one is extra. */
    aloop_hold(t.loop);
    for (int i = 0; i < 9 && t.calls == 0; i++)
        aloop_step(t.loop, MS);
    assert_noted(0);
    assert_true(aloop_alive(t.loop)); /* The look-up released its own hold. */
    aloop_release(t.loop);
    assert_false(aloop_alive(t.loop));
    aloop_stream_abort(stream);
    sim_peer_close(peer);
}

/* The descriptor of the loop. */

static void the_descriptor_is_readable_only_if_there_is_work(void **state)
{
    int fd = aloop_fd(t.loop);
    aloop_timer *timer;

    (void) state;
    assert_true(fd >= 0);
    assert_false(sim_poll(fd, 0));
    timer = start_timer(5 * MS, 1);
    assert_false(sim_poll(fd, 4 * MS));
    assert_true(sim_poll(fd, 2 * MS));
    aloop_step(t.loop, 0);
    assert_noted(1);
    assert_false(sim_poll(fd, 0));

    aloop_defer(t.loop, note_call, as_arg(2));
    assert_true(sim_poll(fd, 0));
    aloop_step(t.loop, 0);
    assert_false(sim_poll(fd, 0));

    sim_as_thread(post_here, as_arg(3));
    assert_true(sim_poll(fd, 0));
    aloop_step(t.loop, 0);
    assert_noted(1, 2, 3);
    assert_false(sim_poll(fd, 0));
    aloop_timer_close(timer);
    aloop_step(t.loop, 0);
    assert_false(sim_poll(fd, 0));
    assert_int_equal(aloop_fd(t.loop), fd);
}

static void the_descriptor_is_not_readable_after_an_await_outside(void **state)
{
    int fd = aloop_fd(t.loop);

    (void) state;
    assert_int_equal(aloop_await(aloop_sleep(t.loop, MS)), 0);
    assert_false(sim_poll(fd, 0));
}

static void a_stopped_timer_does_not_make_the_descriptor_readable(void **state)
{
    int fd = aloop_fd(t.loop);
    aloop_timer *timer = start_timer(5 * MS, 1);

    (void) state;
    aloop_timer_stop(timer);
    assert_false(sim_poll(fd, 10 * MS));
    aloop_timer_restart(timer, MS);
    aloop_timer_restart(timer, 20 * MS);
    assert_false(sim_poll(fd, 10 * MS));
    assert_true(sim_poll(fd, 11 * MS));
}

static ssize_t sleeps_thrice(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 3; i++) {
        aloop_await(aloop_sleep(loop, MS));
        note(i);
    }
    return 0;
}

static void tasks_run_in_an_embedded_loop_without_a_timeout(void **state)
{
    int fd = aloop_fd(t.loop);
    int64_t begin = aloop_now(t.loop);
    unsigned steps = 0;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, sleeps_thrice, NULL));
    while (aloop_alive(t.loop)) {
        assert_true(sim_poll(fd, ALOOP_SEC(10)));
        aloop_step(t.loop, 0);
        steps++;
    }
    assert_noted(0, 1, 2);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
    assert_true(steps <= 10);
}

/* Options. */

static int64_t frozen_clock(void *context)
{
    return *(int64_t *) context;
}

static void a_clock_of_the_application_is_used(void **state)
{
    int64_t now = 12345;
    aloop_options options = {.size = sizeof options,
                             .clock_ns = frozen_clock,
                             .clock_context = &now};
    aloop *loop = aloop_new(&options);
    aloop_timer *timer;

    (void) state;
    assert_true(aloop_now(loop) == 12345);
    aloop_timer_start(loop, 100, 0, note_timer, as_arg(1), &timer);
    aloop_step(loop, 0);
    assert_int_equal(t.noted, 0);
    now += 100;
    aloop_step(loop, 0);
    assert_noted(1);
    aloop_free(loop);
}

struct jumping {
    int64_t now_ns[2]; /* The first reading, and all later ones. */
    unsigned readings;
};

static int64_t jumping_clock(void *context)
{
    struct jumping *jumping = context;

    return jumping->now_ns[jumping->readings++ > 0];
}

static void defer_and_start(aloop *loop, void *arg)
{
    aloop_timer *timer;

    note(1);
    aloop_defer(loop, note_call, as_arg(2));
    aloop_timer_start(loop, INT64_MAX, 0, note_timer, arg, &timer);
    aloop_timer_unref(timer);
    aloop_timer_start(loop, 1, 3, note_timer, arg, &timer);
    aloop_timer_unref(timer);
}

static void a_clock_may_jump_from_one_end_of_time_to_the_other(void **state)
{
    static const int64_t ends_ns[][2] = {
        {INT64_MIN, INT64_MAX},
        {INT64_MIN, 0},
        {-INT64_C(9000000000000000000), INT64_C(9000000000000000000)},
        {INT64_MAX, INT64_MIN},
    };

    (void) state;
    for (size_t i = 0; i < sizeof ends_ns / sizeof ends_ns[0]; i++) {
        struct jumping jumping = {{ends_ns[i][0], ends_ns[i][1]}, 0};
        aloop_options options = {.size = sizeof options,
                                 .clock_ns = jumping_clock,
                                 .clock_context = &jumping};
        aloop *loop = aloop_new(&options);

        t.noted = 0;
        aloop_defer(loop, defer_and_start, as_arg(3));
        assert_int_equal(aloop_run(loop), 0);
        assert_noted(1, 2);
        aloop_free(loop);
    }
}

static void a_delay_beyond_the_end_of_time_never_ends(void **state)
{
    int64_t now_ns = INT64_MAX;
    aloop_options options = {.size = sizeof options,
                             .clock_ns = frozen_clock,
                             .clock_context = &now_ns};
    aloop *loop = aloop_new(&options);
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(loop, 10, 0, note_timer, as_arg(1), &timer);
    aloop_step(loop, 0);
    aloop_step(loop, 0);
    assert_int_equal(t.noted, 0);
    assert_true(aloop_timer_is_active(timer));
    aloop_free(loop);
}

static void an_allocator_of_the_application_gets_all_memory_back(void **state)
{
    aloop *loop = memory_loop(0);

    (void) state;
    assert_true(memory.bytes > 0);
    aloop_detach(aloop_spawn(loop, sleeps_thrice, NULL));
    aloop_run(loop);
    assert_non_null(aloop_sleep(loop, MS)); /* It is never released. */
    aloop_free(loop);
    assert_int_equal(memory.bytes, 0);
}

static void running_out_of_memory_at_any_point_loses_nothing(void **state)
{
    unsigned points = 0;

    (void) state;
    for (unsigned n = 1;; n++) {
        aloop *loop = memory_loop(n);
        ssize_t status = ALOOP_ENOMEM;

        if (loop != NULL)
            status = aloop_await(aloop_timeout(
                aloop_gather(loop, aloop_spawn(loop, sleeps_thrice, NULL),
                             aloop_sleep(loop, MS)),
                ALOOP_SEC(1)));
        assert_true(status == 0 || status == ALOOP_ENOMEM ||
                    status == ALOOP_EABORTED);
        aloop_free(loop);
        assert_int_equal(memory.bytes, 0);
        if (memory.calls < n)
            break;
        points++;
    }
    assert_true(points >= 5);
}

static void making_a_loop_fails_cleanly_without_descriptors(void **state)
{
    unsigned before = sim_descriptors_open();

    (void) state;
    for (unsigned n = 0; n < 3; n++) {
        aloop *loop;

        sim_descriptors_max(before + n);
        loop = aloop_new(NULL);
        assert_true(loop == NULL || n > 0);
        aloop_free(loop);
        assert_int_equal(sim_descriptors_open(), before);
    }
    sim_descriptors_max(1000);
}

static void bad_arguments_are_refused(void **state)
{
    (void) state;
    assert_int_equal(aloop_free(NULL), 0);
    assert_int_equal(aloop_run(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_step(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_defer(NULL, note_call, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_defer(t.loop, NULL, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_post(NULL, note_call, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_post(t.loop, NULL, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_after_fork(NULL), ALOOP_EINVAL);
    assert_false(aloop_alive(NULL));
    assert_true(aloop_now(NULL) == 0);
    aloop_stop(NULL);
    aloop_wake(NULL);
    aloop_hold(NULL);
    aloop_release(NULL);
}

static void run_inner(aloop *loop, void *arg)
{
    aloop *inner = arg;

    assert_ptr_equal(aloop_current(), loop);
    aloop_defer(inner, note_call, as_arg(1));
    assert_int_equal(aloop_run(inner), 0);
    assert_ptr_equal(aloop_current(), loop);
    note(2);
}

static void a_callback_may_run_another_loop(void **state)
{
    aloop *inner = aloop_new(NULL);

    (void) state;
    aloop_defer(t.loop, run_inner, inner);
    aloop_run(t.loop);
    assert_noted(1, 2);
    aloop_free(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_loop_is_not_alive_and_run_returns_immediately),
        TEST(run_returns_zero_when_nothing_is_left),
        TEST(stop_before_run_returns_one_without_a_turn),
        TEST(stop_in_a_callback_returns_one_and_run_can_be_repeated),
        TEST(a_hold_keeps_the_loop_alive_until_released),
        TEST(holds_of_library_and_application_are_counted_apart),
        TEST(the_descriptor_is_readable_only_if_there_is_work),
        TEST(the_descriptor_is_not_readable_after_an_await_outside),
        TEST(a_stopped_timer_does_not_make_the_descriptor_readable),
        TEST(tasks_run_in_an_embedded_loop_without_a_timeout),
        TEST(a_clock_of_the_application_is_used),
        TEST(a_clock_may_jump_from_one_end_of_time_to_the_other),
        TEST(a_delay_beyond_the_end_of_time_never_ends),
        TEST(an_allocator_of_the_application_gets_all_memory_back),
        TEST(running_out_of_memory_at_any_point_loses_nothing),
        TEST(making_a_loop_fails_cleanly_without_descriptors),
        TEST(bad_arguments_are_refused),
        TEST(a_callback_may_run_another_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
