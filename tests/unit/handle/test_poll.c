/* Descriptors of the application: polls, and waits for readiness. */

#include "support/poll_fixture.h"

static void hang_up(void)
{
    aloop__sys_shutdown_write(fds[0]);
    close_end(1);
    sim_pass(MS);
}

static unsigned sets(void)
{
    return sim_calls("aloop__reactor_set");
}

static bool is_watched(int fd)
{
    return aloop__reactor_is_watching(t.loop->reactor, fd, 1, REACTOR_READ);
}

static void readiness_is_reported_until_it_is_used(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    turns(1);
    assert_int_equal(p[0].calls, 0);

    send_bytes(1, 2);
    turns(3);
    assert_int_equal(p[0].calls, 3);
    assert_int_equal(p[0].events, READABLE);

    p[0].is_reading = true;
    turns(4);
    assert_int_equal(p[0].calls, 5); /* One for each byte. */
}

static void only_watched_events_are_reported(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    start(&p[1], fds[0], WRITABLE);
    start(&p[2], fds[0], READABLE | WRITABLE);
    start(&p[3], fds[0], PRIORITY);
    send_bytes(1, 1);

    turns(1);
    assert_int_equal(p[0].events, READABLE);
    assert_int_equal(p[1].events, WRITABLE);
    assert_int_equal(p[2].events, READABLE | WRITABLE);
    assert_int_equal(p[3].calls, 0);

    sim_set_urgent(fds[0], true);
    turns(1);
    assert_int_equal(p[0].events, READABLE);
    assert_int_equal(p[3].events, PRIORITY);
}

static void a_hang_up_comes_with_what_was_watched(void **state)
{
    static const unsigned masks[POLLS] = {READABLE, WRITABLE,
                                          READABLE | WRITABLE, PRIORITY};

    (void) state;
    for (int i = 0; i < POLLS; i++)
        start(&p[i], fds[0], masks[i]);

    hang_up();
    turns(1);

    for (int i = 0; i < POLLS; i++)
        assert_int_equal(p[i].events,
                         (masks[i] & (READABLE | WRITABLE)) | HANGUP);
}

static void a_hang_up_can_be_watched_alone(void **state)
{
    (void) state;
    start(&p[0], fds[0], HANGUP);
    start(&p[1], fds[0], ERROR);
    send_bytes(1, 1);
    turns(1);
    assert_int_equal(p[0].calls + p[1].calls, 0);

    hang_up();
    turns(1);

    assert_int_equal(p[0].events, HANGUP);
    assert_int_equal(p[1].events, HANGUP);
}

/* The peer that has ended its direction can still receive. */
static void the_end_of_the_input_is_not_a_hang_up(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    aloop__sys_shutdown_write(fds[1]);
    assert_true(sim_poll(fds[0], -1));

    turns(1);

    assert_int_equal(p[0].events, READABLE);
}

static void an_error_comes_with_what_was_watched(void **state)
{
    int listener = sim_listen("127.0.0.1", 80, 4), peer;
    struct sys_address address;
    int fd = aloop__sys_tcp_socket(SYS_INET);

    (void) state;
    aloop__sys_address_parse("127.0.0.1", "80", &address);
    aloop__sys_connect(fd, &address);
    sim_pass(MS);
    peer = sim_accept(listener);
    start(&p[0], fd, READABLE);
    start(&p[1], fd, WRITABLE);
    start(&p[2], fd, PRIORITY);

    sim_peer_reset(peer);
    sim_pass(MS);
    turns(1);

    assert_int_equal(p[0].events & ~(unsigned) HANGUP, READABLE | ERROR);
    assert_int_equal(p[1].events & ~(unsigned) HANGUP, WRITABLE | ERROR);
    assert_int_equal(p[2].events & ~(unsigned) HANGUP, ERROR);
    for (int i = 0; i < 3; i++)
        aloop_poll_close(p[i].poll);
    aloop__sys_close(fd);
    sim_peer_close(listener);
}

static void a_change_of_events_is_one_call(void **state)
{
    unsigned before;

    (void) state;
    start(&p[0], fds[0], READABLE);
    before = sets();

    assert_int_equal(aloop_poll_set_events(p[0].poll, READABLE), 0);
    assert_int_equal(aloop_poll_set_events(p[0].poll, READABLE | ERROR), 0);
    assert_int_equal(sets(), before);
    assert_int_equal(aloop_poll_set_events(p[0].poll, WRITABLE), 0);
    assert_int_equal(aloop_poll_set_events(p[0].poll, WRITABLE), 0);
    assert_int_equal(sets(), before + 1);
    turns(1);
    assert_int_equal(p[0].events, WRITABLE);
    assert_int_equal(sets(), before + 1);
}

static void the_system_is_called_only_for_what_no_other_poll_watches(
    void **state)
{
    unsigned before;

    (void) state;
    start(&p[0], fds[0], READABLE | WRITABLE);
    before = sets();
    start(&p[1], fds[0], READABLE);
    assert_int_equal(aloop_poll_set_events(p[1].poll, WRITABLE), 0);
    assert_int_equal(aloop_poll_set_events(p[0].poll, READABLE), 0);
    assert_int_equal(sets(), before);

    aloop_poll_close(p[1].poll);
    assert_int_equal(sets(), before + 1);
}

static void a_paused_poll_leaves_the_set(void **state)
{
    unsigned wakes;

    (void) state;
    start(&p[0], fds[0], READABLE);
    p[0].is_pausing = true;
    hang_up();
    turns(1);
    assert_int_equal(p[0].calls, 1);
    assert_false(is_watched(fds[0]));

    assert_false(aloop_alive(t.loop));
    wakes = sim_wakes();
    assert_int_equal(aloop_await(aloop_sleep(t.loop, MS)), 0);
    assert_true(sim_wakes() - wakes <= 3);
    assert_int_equal(p[0].calls, 1);

    assert_int_equal(aloop_poll_set_events(p[0].poll, READABLE), 0);
    assert_true(aloop_alive(t.loop));
    turns(1);
    assert_int_equal(p[0].events, READABLE | HANGUP);
}

static void a_poll_may_start_paused(void **state)
{
    (void) state;
    start(&p[0], fds[0], 0);
    assert_false(is_watched(fds[0]));
    assert_false(aloop_alive(t.loop));
    send_bytes(1, 1);
    turns(1);
    assert_int_equal(p[0].calls, 0);

    assert_int_equal(aloop_poll_set_events(p[0].poll, READABLE), 0);
    turns(1);
    assert_int_equal(p[0].events, READABLE);
    hang_up();
    assert_int_equal(aloop_poll_set_events(p[0].poll, 0), 0);
    turns(1);
    assert_int_equal(p[0].calls, 1);
}

static void a_close_is_immediate(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    send_bytes(1, 1);
    aloop_poll_close(p[0].poll);
    assert_false(is_watched(fds[0]));

    turns(2);

    assert_int_equal(p[0].calls, 0);
    assert_true(sim_fd_readable(fds[0])); /* It is open and unread. */
    aloop_poll_close(NULL);
}

static void a_poll_may_be_closed_in_its_callback(void **state)
{
    (void) state;
    p[0].is_closing = true;
    start(&p[0], fds[0], READABLE);
    start(&p[1], fds[0], READABLE);
    send_bytes(1, 1);

    turns(2);

    assert_int_equal(p[0].calls, 1);
    assert_int_equal(p[1].calls, 2);
}

static void a_callback_may_close_another_poll_of_its_descriptor(void **state)
{
    (void) state;
    for (int closer = 0; closer < 2; closer++) {
        for (int i = 0; i < 2; i++) {
            p[i] = (struct watched){0};
            start(&p[i], fds[0], READABLE);
        }
        p[closer].closes_other = &p[1 - closer];
        if (!sim_fd_readable(fds[0]))
            send_bytes(1, 1);

        turns(1);
        p[closer].closes_other = NULL;
        turns(1);

        assert_int_equal(p[closer].calls, 2);
        assert_int_equal(p[1 - closer].calls, closer); /* Only if it was
                                                        * called first. */
        aloop_poll_close(p[closer].poll);
    }
}

static void a_poll_that_a_callback_starts_begins_in_the_next_turn(void **state)
{
    (void) state;
    p[0].starts_other = &p[1];
    start(&p[0], fds[0], READABLE);
    send_bytes(1, 1);

    turns(1);
    assert_int_equal(p[1].calls, 0);
    turns(1);
    assert_int_equal(p[1].calls, 1);
}

static void a_poll_that_is_not_referenced_does_not_keep_the_loop_alive(
    void **state)
{
    int file = sim_file();

    (void) state;
    start(&p[0], fds[0], READABLE);
    start(&p[1], file, READABLE);
    aloop_poll_unref(p[0].poll);
    aloop_poll_unref(p[0].poll);
    assert_true(aloop_alive(t.loop));
    aloop_poll_unref(p[1].poll);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    turns(2);
    assert_int_equal(p[1].calls, 2);

    aloop_poll_ref(p[0].poll);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_poll_set_events(p[0].poll, 0), 0);
    assert_false(aloop_alive(t.loop));
    aloop_poll_ref(NULL);
    aloop_poll_unref(NULL);
    aloop__sys_close(file);
}

static void a_wait_ends_with_the_events(void **state)
{
    aloop_future *both = aloop_poll_wait(t.loop, fds[0], READABLE | WRITABLE);
    aloop_future *wait;

    (void) state;
    assert_int_equal(aloop_await(both), WRITABLE);
    wait = aloop_poll_wait(t.loop, fds[0], READABLE);
    assert_int_equal(aloop_await(aloop_timeout(
                         aloop_poll_wait(t.loop, fds[0], READABLE), MS)),
                     ALOOP_ETIMEDOUT);
    send_bytes(1, 1);
    assert_int_equal(aloop_await(wait), READABLE);
    assert_false(is_watched(fds[0]));
    hang_up();
    wait = aloop_poll_wait(t.loop, fds[0], WRITABLE);
    assert_int_equal(aloop_await(wait), WRITABLE | HANGUP);
}

static void several_waits_for_one_descriptor_are_independent(void **state)
{
    aloop_future *waits[3];

    (void) state;
    for (int i = 0; i < 3; i++)
        waits[i] = aloop_poll_wait(t.loop, fds[0], READABLE);
    start(&p[0], fds[0], READABLE);
    aloop_future_unref(waits[1]);
    send_bytes(1, 1);

    assert_int_equal(aloop_await(waits[0]), READABLE);
    assert_int_equal(aloop_await(waits[2]), READABLE);
    assert_true(p[0].calls > 0);
}

static void a_cancelled_wait_watches_no_longer(void **state)
{
    aloop_future *wait = aloop_poll_wait(t.loop, fds[0], READABLE);

    (void) state;
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_cancel(wait), 1);
    assert_false(is_watched(fds[0]));
    assert_int_equal(aloop_await(wait), ALOOP_EABORTED);

    aloop_future_unref(aloop_poll_wait(t.loop, fds[0], READABLE));
    assert_false(is_watched(fds[0]));
    turns(1);
    assert_int_equal(t.unhandled, 0);
    assert_false(aloop_alive(t.loop));
}

static int start_of(int fd, unsigned events)
{
    aloop_poll *poll = NULL;
    int error = aloop_poll_start(t.loop, fd, events, on_ready, NULL, &poll);

    assert_null(poll);
    return error;
}

static void a_descriptor_that_is_not_open_is_refused(void **state)
{
    static const int numbers[] = {-1, INT32_MIN, 0, 5000, INT32_MAX};

    (void) state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(start_of(numbers[i], READABLE), ALOOP_EBADF);
        assert_int_equal(start_of(numbers[i], 0), ALOOP_EBADF);
        assert_int_equal(
            aloop_await(aloop_poll_wait(t.loop, numbers[i], READABLE)),
            ALOOP_EBADF);
    }
    assert_false(aloop_alive(t.loop));
}

static void wrong_arguments_are_refused(void **state)
{
    aloop_poll *poll = NULL;

    (void) state;
    assert_int_equal(start_of(fds[0], 32), ALOOP_EINVAL);
    assert_int_equal(
        aloop_poll_start(NULL, fds[0], READABLE, on_ready, NULL, &poll),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_poll_start(t.loop, fds[0], READABLE, NULL, NULL, &poll),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_poll_start(t.loop, fds[0], READABLE, on_ready, NULL, NULL),
        ALOOP_EINVAL);
    assert_int_equal(aloop_poll_set_events(NULL, READABLE), ALOOP_EINVAL);
    assert_int_equal(aloop_poll_fd(NULL), ALOOP_EINVAL);
    start(&p[0], fds[0], READABLE);
    assert_int_equal(aloop_poll_set_events(p[0].poll, ~0U), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_poll_wait(NULL, fds[0], READABLE)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_poll_wait(t.loop, fds[0], 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_poll_wait(t.loop, fds[0], 33)),
                     ALOOP_EINVAL);
}

static void a_change_that_fails_leaves_the_poll_as_it_was(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    sim_fail("aloop__reactor_set", 1, -ENOMEM);
    assert_int_equal(aloop_poll_set_events(p[0].poll, WRITABLE), ALOOP_ENOMEM);
    send_bytes(1, 1);
    turns(1);
    assert_int_equal(p[0].events, READABLE);

    sim_fail("aloop__reactor_set", 1, -ENOSPC);
    assert_int_equal(start_of(fds[0], WRITABLE), -ENOSPC);
    sim_fail("aloop__reactor_set", 1, -ENOTSUP);
    assert_int_equal(start_of(fds[0], PRIORITY), ALOOP_ENOTSUP);
}

static void a_stream_and_a_poll_may_share_a_descriptor(void **state)
{
    int listener = sim_listen("127.0.0.1", 80, 4), peer;
    aloop_stream *stream = NULL;
    char byte;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "127.0.0.1", "80", &stream)), 0);
    peer = sim_accept(listener);
    start(&p[0], aloop_stream_fd(stream), READABLE);
    sim_peer_send(peer, "x", 1);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 1);
    assert_true(p[0].calls > 0);
    aloop_poll_close(p[0].poll);
    aloop_stream_close(stream);
    turns(2);
    sim_peer_close(peer);
    sim_peer_close(listener);
}

static void a_poll_continues_in_a_child(void **state)
{
    int file = sim_file();
    aloop_poll *poll;
    aloop_future *wait = aloop_poll_wait(t.loop, fds[0], READABLE);

    (void) state;
    start(&p[0], fds[0], READABLE);
    start(&p[1], file, READABLE);
    sim_fork();
    assert_int_equal(
        aloop_poll_start(t.loop, fds[0], READABLE, on_ready, NULL, &poll),
        ALOOP_EPERM);
    assert_int_equal(aloop_await(aloop_poll_wait(t.loop, fds[0], READABLE)),
                     ALOOP_EPERM);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(sim_harms(), 0);
    send_bytes(1, 1);

    turns(1);

    assert_int_equal(p[0].calls, 1);
    assert_int_equal(p[1].calls, 1);
    assert_int_equal(aloop_await(wait), READABLE);
    aloop__sys_close(file);
}

static void a_child_that_is_not_marked_cannot_watch(void **state)
{
    aloop_poll *poll;

    (void) state;
    aloop_free(t.loop);
    sim_unmark();
    t.loop = aloop_new(NULL);
    sim_fork();

    assert_int_equal(
        aloop_poll_start(t.loop, fds[0], READABLE, on_ready, NULL, &poll),
        ALOOP_EPERM);
    assert_int_equal(sim_harms(), 0);
}

static void the_end_of_the_loop_ends_all_polls(void **state)
{
    int file = sim_file();
    aloop_future *wait = aloop_poll_wait(t.loop, fds[0], READABLE);

    (void) state;
    start(&p[0], fds[0], READABLE);
    start(&p[1], file, READABLE);
    send_bytes(1, 1);
    aloop_detach(wait);

    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;

    assert_int_equal(p[0].calls + p[1].calls, 0);
    aloop__sys_close(file);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        POLL_TEST(readiness_is_reported_until_it_is_used),
        POLL_TEST(only_watched_events_are_reported),
        POLL_TEST(a_hang_up_comes_with_what_was_watched),
        POLL_TEST(a_hang_up_can_be_watched_alone),
        POLL_TEST(the_end_of_the_input_is_not_a_hang_up),
        POLL_TEST(an_error_comes_with_what_was_watched),
        POLL_TEST(a_change_of_events_is_one_call),
        POLL_TEST(the_system_is_called_only_for_what_no_other_poll_watches),
        POLL_TEST(a_paused_poll_leaves_the_set),
        POLL_TEST(a_poll_may_start_paused),
        POLL_TEST(a_close_is_immediate),
        POLL_TEST(a_poll_may_be_closed_in_its_callback),
        POLL_TEST(a_callback_may_close_another_poll_of_its_descriptor),
        POLL_TEST(a_poll_that_a_callback_starts_begins_in_the_next_turn),
        POLL_TEST(a_poll_that_is_not_referenced_does_not_keep_the_loop_alive),
        POLL_TEST(a_wait_ends_with_the_events),
        POLL_TEST(several_waits_for_one_descriptor_are_independent),
        POLL_TEST(a_cancelled_wait_watches_no_longer),
        POLL_TEST(a_descriptor_that_is_not_open_is_refused),
        POLL_TEST(wrong_arguments_are_refused),
        POLL_TEST(a_change_that_fails_leaves_the_poll_as_it_was),
        POLL_TEST(a_stream_and_a_poll_may_share_a_descriptor),
        POLL_TEST(a_poll_continues_in_a_child),
        POLL_TEST(a_child_that_is_not_marked_cannot_watch),
        POLL_TEST(the_end_of_the_loop_ends_all_polls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
