/* Polls whose numbers belong to other descriptors, in particular to regular
 * files. */

#include "support/poll_fixture.h"

/* Gives the number of fds[0] to another socket, outside the loop's control. */
static void replace_number(void)
{
    int number = fds[0], other;

    close_end(0);
    close_end(1);
    assert_int_equal(sim_pair(fds), 0);
    if (fds[0] != number) {
        other = fds[0];
        fds[0] = fds[1];
        fds[1] = other;
    }
    assert_int_equal(fds[0], number);
}

/* Gives the number of fds[0] to a regular file, outside the loop's control. */
static void replace_number_by_file(void)
{
    int number = fds[0];

    close_end(0);
    fds[0] = sim_file();
    assert_int_equal(fds[0], number);
}

static void a_number_that_is_used_again_can_be_watched_again(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++) {
        p[0].calls = 0;
        start(&p[0], fds[0], READABLE);
        turns(1);
        assert_int_equal(p[0].calls, 0);
        send_bytes(1, 1);
        turns(1);
        assert_int_equal(p[0].calls, 1);
        aloop_poll_close(p[0].poll);
        replace_number();
    }
}

/* The application has closed the descriptor, and opened another one, while the
 * old one was still watched. */
static void a_poll_of_a_replaced_descriptor_is_silent(void **state)
{
    aloop_future *wait = aloop_poll_wait(t.loop, fds[0], READABLE);

    (void) state;
    start(&p[0], fds[0], READABLE);
    replace_number();
    start(&p[1], fds[0], READABLE);
    assert_int_equal(aloop_await(wait), ALOOP_EBADF);
    send_bytes(1, 1);

    turns(1);

    assert_int_equal(p[0].calls, 0);
    assert_int_equal(p[1].calls, 1);
    assert_int_equal(aloop_poll_fd(p[0].poll), fds[0]);
    assert_int_equal(aloop_poll_set_events(p[0].poll, 0), 0);
    assert_int_equal(aloop_poll_set_events(p[0].poll, READABLE), ALOOP_EBADF);
    aloop_poll_close(p[0].poll);
    turns(1);
    assert_int_equal(p[1].calls, 2);
    aloop_poll_close(p[1].poll);
    assert_false(aloop_alive(t.loop));
}

static void a_close_after_the_descriptor_was_closed_changes_nothing(
    void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    start(&p[1], fds[1], READABLE);
    close_end(0);
    aloop_poll_close(p[0].poll);
    close_end(1);
    assert_int_equal(sim_pair(fds), 0);
    aloop_poll_close(p[1].poll);
    start(&p[2], fds[0], READABLE);
    send_bytes(1, 1);

    turns(1);

    assert_int_equal(p[0].calls + p[1].calls, 0);
    assert_int_equal(p[2].calls, 1);
}

/* The kernel reports a closed descriptor while a duplicate of it is open. */
static void a_poll_whose_descriptor_lives_on_elsewhere_does_not_spin(
    void **state)
{
    unsigned renewals = sim_calls("aloop__reactor_renew");

    (void) state;
    start(&p[0], fds[0], READABLE);
    send_bytes(1, 1);
    sim_keep_open(fds[0]);
    close_end(0);
    aloop_poll_close(p[0].poll);

    turns(4);

    assert_int_equal(p[0].calls, 0);
    assert_int_equal(sim_calls("aloop__reactor_renew"), renewals + 1);
}

/* The loop watches all numbers again, and whatever they belong to then. */
static void a_renewal_that_finds_a_regular_file_makes_it_always_ready(
    void **state)
{
    aloop_future *wait = aloop_poll_wait(t.loop, fds[0], READABLE);
    aloop_future *endless = aloop_poll_wait(t.loop, fds[0], PRIORITY);

    (void) state;
    start(&p[0], fds[0], READABLE | PRIORITY);
    start(&p[1], fds[0], PRIORITY);
    start(&p[2], fds[0], 0);
    replace_number_by_file();

    assert_int_equal(aloop__io_renew(t.loop), 0);

    turns(2);
    assert_int_equal(p[0].calls, 2);
    assert_int_equal(p[0].events, READABLE);
    assert_int_equal(aloop_await(wait), READABLE);
    assert_int_equal(aloop_future_status(endless), ALOOP_PENDING);
    assert_int_equal(p[1].calls + p[2].calls, 0);
    assert_int_equal(aloop_poll_set_events(p[1].poll, WRITABLE), 0);
    assert_int_equal(aloop_poll_set_events(p[2].poll, WRITABLE), 0);
    turns(1);
    assert_int_equal(p[1].events & p[2].events, WRITABLE);
    aloop_future_unref(endless);
}

static void a_change_of_events_finds_a_regular_file_for_all_polls(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        start(&p[i], fds[0], READABLE);
    replace_number_by_file();

    assert_int_equal(aloop_poll_set_events(p[0].poll, WRITABLE), 0);
    assert_int_equal(aloop_poll_set_events(p[1].poll, READABLE | WRITABLE), 0);

    turns(3);
    assert_int_equal(p[0].calls, 3);
    assert_int_equal(p[0].events, WRITABLE);
    assert_int_equal(p[1].calls, 3);
    assert_int_equal(p[1].events, READABLE | WRITABLE);
    assert_int_equal(p[2].calls, 2); /* The first turn renews the set. */
    assert_int_equal(p[2].events, READABLE);
    turns(1);
    assert_int_equal(sim_calls("aloop__reactor_renew"), 1);
}

/* The turn must not wait for what its renewal has found. */
static void a_turn_that_finds_a_regular_file_does_not_wait(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    start(&p[1], fds[0], READABLE);
    p[1].is_closing = true;
    replace_number_by_file();
    assert_int_equal(aloop_poll_set_events(p[0].poll, WRITABLE), 0);
    aloop_poll_close(p[0].poll);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(p[1].calls, 1);
}

static void a_poll_that_cannot_be_made_always_ready_is_reported(void **state)
{
    (void) state;
    aloop_free(t.loop);
    t.loop = memory_loop(0);
    start(&p[0], fds[0], READABLE);
    replace_number_by_file();
    memory.is_out = true;

    assert_int_equal(aloop__io_renew(t.loop), 0);

    memory.is_out = false;
    turns(1);
    assert_int_equal(p[0].calls, 0);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ENOMEM);
}

static void a_regular_file_is_ready_once_in_each_turn(void **state)
{
    int file = sim_file();

    (void) state;
    start(&p[0], file, READABLE | PRIORITY);
    start(&p[1], file, READABLE | WRITABLE);
    start(&p[2], file, PRIORITY);
    start(&p[3], file, 0);
    assert_true(aloop_alive(t.loop));

    turns(3);
    assert_int_equal(p[0].calls, 3);
    assert_int_equal(p[0].events, READABLE);
    assert_int_equal(p[1].calls, 3);
    assert_int_equal(p[1].events, READABLE | WRITABLE);
    assert_int_equal(p[2].calls + p[3].calls, 0);

    assert_int_equal(aloop_poll_set_events(p[3].poll, WRITABLE), 0);
    assert_int_equal(aloop_poll_set_events(p[1].poll, 0), 0);
    p[0].is_closing = true;
    turns(2);
    assert_int_equal(p[0].calls, 4);
    assert_int_equal(p[1].calls, 3);
    assert_int_equal(p[3].calls, 2);
    assert_int_equal(p[3].events, WRITABLE);
    aloop__sys_close(file);
}

static void a_regular_file_keeps_nothing_else_from_running(void **state)
{
    int file = sim_file();

    (void) state;
    start(&p[0], file, READABLE);
    start(&p[1], fds[0], READABLE);
    send_bytes(1, 1);
    aloop_defer(t.loop, note_call, as_arg(1));

    turns(1);

    assert_noted(1);
    assert_int_equal(p[0].calls, 1);
    assert_int_equal(p[1].calls, 1);
    aloop__sys_close(file);
}

static void a_regular_file_makes_the_descriptor_of_the_loop_readable(
    void **state)
{
    int file = sim_file(), fd = aloop_fd(t.loop);

    (void) state;
    start(&p[0], file, READABLE);
    for (int i = 1; i <= 3; i++) {
        assert_true(sim_fd_readable(fd));
        turns(1);
        assert_int_equal(p[0].calls, i * 16); /* The turns of a step. */
    }
    assert_int_equal(aloop_poll_set_events(p[0].poll, 0), 0);
    turns(1);
    assert_false(sim_fd_readable(fd));
    aloop__sys_close(file);
}

static void a_wait_for_a_regular_file_ends_immediately(void **state)
{
    int file = sim_file();
    aloop_future *never = aloop_poll_wait(t.loop, file, PRIORITY);

    (void) state;
    assert_int_equal(aloop_await(aloop_poll_wait(t.loop, file, READABLE)),
                     READABLE);
    assert_int_equal(
        aloop_await(aloop_poll_wait(t.loop, file, READABLE | WRITABLE | ERROR)),
        READABLE | WRITABLE);
    assert_false(aloop_future_is_settled(never));
    aloop_cancel(never);
    assert_int_equal(aloop_await(never), ALOOP_EABORTED);
    aloop__sys_close(file);
}

static void a_child_finds_that_a_number_belongs_to_a_regular_file(void **state)
{
    (void) state;
    start(&p[0], fds[0], READABLE);
    sim_fork();
    replace_number_by_file();

    assert_int_equal(aloop_after_fork(t.loop), 0);

    turns(2);
    assert_int_equal(p[0].calls, 2);
    assert_int_equal(sim_harms(), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        POLL_TEST(a_number_that_is_used_again_can_be_watched_again),
        POLL_TEST(a_poll_of_a_replaced_descriptor_is_silent),
        POLL_TEST(a_close_after_the_descriptor_was_closed_changes_nothing),
        POLL_TEST(a_poll_whose_descriptor_lives_on_elsewhere_does_not_spin),
        POLL_TEST(a_renewal_that_finds_a_regular_file_makes_it_always_ready),
        POLL_TEST(a_change_of_events_finds_a_regular_file_for_all_polls),
        POLL_TEST(a_turn_that_finds_a_regular_file_does_not_wait),
        POLL_TEST(a_poll_that_cannot_be_made_always_ready_is_reported),
        POLL_TEST(a_regular_file_is_ready_once_in_each_turn),
        POLL_TEST(a_regular_file_keeps_nothing_else_from_running),
        POLL_TEST(a_regular_file_makes_the_descriptor_of_the_loop_readable),
        POLL_TEST(a_wait_for_a_regular_file_ends_immediately),
        POLL_TEST(a_child_finds_that_a_number_belongs_to_a_regular_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
