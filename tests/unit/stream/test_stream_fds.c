/* Descriptors that are passed through Unix sockets. */

#include "support/stream_fixture.h"

#include <errno.h>

#include "os/sys_stream.h"

static aloop_stream *ends[2];

static void open_ends(size_t fds_max)
{
    assert_int_equal(aloop_stream_pair(t.loop, &ends[0], &ends[1]), 0);
    assert_int_equal(aloop_stream_set_fds_max(ends[1], fds_max), 0);
}

static void close_ends(void)
{
    aloop_stream_close(ends[0]);
    aloop_stream_close(ends[1]);
}

/* Puts `text` with `count` descriptors of a file. */
static void put_with(const char *text, size_t count)
{
    int fds[600];

    for (size_t i = 0; i < count; i++)
        fds[i] = i == 0 ? sim_file() : fds[0];
    assert_int_equal(
        aloop_stream_put_fds(ends[0], text, strlen(text), fds, count), 0);
    aloop__sys_close(fds[0]);
}

static void expect_text(const char *text)
{
    char buffer[64];

    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(ends[1], buffer, strlen(text))),
        strlen(text));
    assert_memory_equal(buffer, text, strlen(text));
}

/* Takes and closes `count` descriptors, and asserts that there are no more. */
static void expect_fds(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int fd = aloop_stream_take_fd(ends[1]);

        assert_true(fd >= 0);
        assert_int_equal(aloop__sys_close(fd), 0);
    }
    assert_int_equal(aloop_stream_take_fd(ends[1]), ALOOP_EAGAIN);
}

/* Lets `ns` pass, and asserts that the loop wakes up at most so many times. */
static void assert_quiet_for(int64_t ns, unsigned wakes_max)
{
    unsigned before = sim_wakes();

    run_for(ns);
    assert_true(sim_wakes() - before <= wakes_max);
}

static void a_descriptor_arrives_with_the_bytes_of_its_call(void **state)
{
    (void) state;
    open_ends(4);
    assert_int_equal(aloop_stream_put(ends[0], "before", 6), 0);
    put_with("first", 1);
    assert_int_equal(aloop_stream_put(ends[0], "between", 7), 0);
    put_with("second", 2);
    expect_fds(0);
    expect_text("beforefirst");
    expect_fds(1);
    expect_text("betweensecond");
    expect_fds(2);
    close_ends();
}

static void descriptors_are_taken_in_the_order_of_the_call(void **state)
{
    int a[2], b[2], passed[2];
    char byte;

    (void) state;
    assert_int_equal(sim_pair(a), 0);
    assert_int_equal(sim_pair(b), 0);
    passed[0] = a[0];
    passed[1] = b[0];
    open_ends(2);
    assert_int_equal(aloop_stream_put_fds(ends[0], "ab", 2, passed, 2), 0);
    expect_text("ab");

    for (size_t i = 0; i < 2; i++) {
        passed[i] = aloop_stream_take_fd(ends[1]);
        assert_int_equal(aloop__sys_send(passed[i], &"ab"[i], 1), 1);
    }
    sim_pass(MS);

    assert_int_equal(aloop__sys_recv(a[1], &byte, 1), 1);
    assert_int_equal(byte, 'a');
    for (size_t i = 0; i < 2; i++) {
        aloop__sys_close(a[i]);
        aloop__sys_close(b[i]);
        aloop__sys_close(passed[i]);
    }
    close_ends();
}

static void a_stream_accepts_no_descriptors_at_first(void **state)
{
    (void) state;
    open_ends(0);
    put_with("text", 3);
    expect_text("text");
    expect_fds(0);
    close_ends();
}

static void descriptors_beyond_the_limit_are_closed(void **state)
{
    unsigned before;

    (void) state;
    open_ends(2);
    before = sim_descriptors_open();
    put_with("text", 3);
    expect_text("text");
    assert_int_equal(sim_descriptors_open(), before + 2);
    assert_int_equal(aloop_stream_set_fds_max(ends[1], 1), 0);
    assert_int_equal(sim_descriptors_open(), before + 1);
    assert_int_equal(aloop_stream_detach(ends[1], NULL, NULL), ALOOP_EBUSY);
    expect_fds(1);
    put_with("more", 2);
    expect_text("more");
    close_ends(); /* The last one is closed with the stream. */
}

static void many_descriptors_need_several_messages(void **state)
{
    int fds[600] = {0};

    (void) state;
    open_ends(600);
    assert_int_equal(aloop_stream_put_fds(ends[0], "ab", 2, fds, 507),
                     ALOOP_EINVAL);
    put_with("abc", 507);
    expect_text("abc");
    expect_fds(507);
    close_ends();
}

static void queued_descriptors_are_closed_with_the_stream(void **state)
{
    (void) state;
    open_ends(1);
    put_with("text", 5);
    aloop_stream_abort(ends[0]);
    aloop_stream_close(ends[1]);
}

static void descriptors_for_which_no_number_is_left_are_reported_once(
    void **state)
{
    (void) state;
    open_ends(4);
    put_with("text", 3);
    aloop_step(t.loop, 0); /* They are sent. */
    sim_descriptors_max(sim_descriptors_open() + 1);
    expect_text("text");
    aloop__sys_close(aloop_stream_take_fd(ends[1]));
    assert_int_equal(aloop_stream_take_fd(ends[1]), ALOOP_EMFILE);
    expect_fds(0);
    sim_descriptors_max(0);
    close_ends();
}

static void a_change_of_the_limit_keeps_the_report_of_lost_descriptors(
    void **state)
{
    (void) state;
    open_ends(4);
    put_with("text", 3);
    aloop_step(t.loop, 0); /* They are sent. */
    sim_descriptors_max(sim_descriptors_open() + 1);
    expect_text("text");
    assert_int_equal(aloop_stream_set_fds_max(ends[1], 5), 0);
    aloop__sys_close(aloop_stream_take_fd(ends[1]));
    assert_int_equal(aloop_stream_take_fd(ends[1]), ALOOP_EMFILE);
    sim_descriptors_max(0);
    close_ends();
}

/* With a filter, aloop_stream_take_fd() cannot return or report them. */
static void with_a_filter_received_and_lost_descriptors_are_dropped(
    void **state)
{
    (void) state;
    open_ends(4);
    assert_int_equal(aloop_await(aloop_stream_filter(ends[1], &passing_filter,
                                                     new_passing(64, 64))),
                     0);
    put_with("text", 3);
    aloop_step(t.loop, 0); /* They are sent. */
    sim_descriptors_max(sim_descriptors_open() + 1);
    expect_text("text");
    assert_int_equal(aloop_stream_take_fd(ends[1]), ALOOP_ENOTSUP);
    sim_descriptors_max(0);
    close_ends();
}

/* Other streams of the user have too many descriptors in flight. */
static void a_put_waits_while_too_many_descriptors_are_in_flight(void **state)
{
    (void) state;
    open_ends(4);
    sim_fail_from("aloop__sys_send_fds", 1, -ETOOMANYREFS);
    put_with("text", 2);
    assert_int_equal(aloop_stream_put(ends[0], "more", 4), 0);
    run_for(MS);
    assert_quiet_for(ALOOP_MS(500), 20);
    assert_int_equal(aloop_stream_queued(ends[0]), 8);
    sim_forgive();
    expect_text("textmore");
    expect_fds(2);
    close_ends();
}

static void a_put_does_not_shorten_the_wait_to_pass_descriptors(void **state)
{
    unsigned calls;

    (void) state;
    open_ends(4);
    sim_fail_from("aloop__sys_send_fds", 1, -ETOOMANYREFS);
    put_with("text", 2);
    turns(1);
    calls = sim_calls("aloop__sys_send_fds");
    assert_int_equal(aloop_stream_put(ends[0], "more", 4), 0);
    turns(1);
    assert_int_equal(sim_calls("aloop__sys_send_fds"), calls);
    sim_forgive();
    expect_text("textmore");
    expect_fds(2);
    close_ends();
}

static void a_stream_that_waits_to_pass_descriptors_can_end(void **state)
{
    unsigned before = sim_descriptors_open();

    (void) state;
    for (int i = 0; i < 3; i++) {
        open_ends(4);
        sim_fail_from("aloop__sys_send_fds", 1, -ETOOMANYREFS);
        put_with("text", 2);
        run_for(MS);
        if (i == 0)
            aloop_stream_abort(ends[0]);
        else
            aloop_stream_close(ends[0]);
        if (i == 1)
            sim_forgive();
        run_for(ALOOP_SEC(40)); /* It lingers for 30 s. */
        sim_forgive();
        assert_int_equal(sim_descriptors_open(), before + 1);
        if (i == 1)
            expect_text("text");
        aloop_stream_close(ends[1]);
        assert_int_equal(sim_descriptors_open(), before);
    }
}

static void a_put_that_fails_keeps_no_descriptors(void **state)
{
    int fds[2], file = sim_file();
    unsigned before;
    int error = ALOOP_ENOMEM;

    (void) state;
    fds[0] = fds[1] = file;
    open_ends(1);
    before = sim_descriptors_open();
    for (unsigned n = 1; error < 0; n++) {
        memory.fails_at = memory.calls + n;
        error = aloop_stream_put_fds(ends[0], "a", 1, fds, 2);
        memory.fails_at = 0;
        assert_true(error == 0 || error == ALOOP_ENOMEM);
        if (error < 0)
            assert_int_equal(sim_descriptors_open(), before);
    }
    fds[1] = 999;
    assert_int_equal(aloop_stream_put_fds(ends[0], "a", 1, fds, 2),
                     ALOOP_EBADF);
    assert_int_equal(sim_descriptors_open(), before + 2);
    close_ends();
    aloop__sys_close(file);
}

static void wrong_arguments_are_refused(void **state)
{
    aloop_stream *stream = connected();
    int fd = 0;

    (void) state;
    open_ends(1);
    assert_int_equal(aloop_stream_put_fds(ends[0], "a", 0, &fd, 1),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put_fds(ends[0], "a", 1, &fd, 0),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put_fds(ends[0], NULL, 1, &fd, 1),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put_fds(NULL, "a", 1, &fd, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_fds_max(ends[0], 65537), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_fds_max(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_take_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put_fds(stream, "a", 1, &fd, 1),
                     ALOOP_ENOTSUP);
    assert_int_equal(aloop_stream_set_fds_max(stream, 1), ALOOP_ENOTSUP);
    assert_int_equal(aloop_stream_take_fd(stream), ALOOP_ENOTSUP);
    aloop_stream_close(stream);
    close_ends();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_descriptor_arrives_with_the_bytes_of_its_call),
        TEST(descriptors_are_taken_in_the_order_of_the_call),
        TEST(a_stream_accepts_no_descriptors_at_first),
        TEST(descriptors_beyond_the_limit_are_closed),
        TEST(many_descriptors_need_several_messages),
        TEST(queued_descriptors_are_closed_with_the_stream),
        TEST(descriptors_for_which_no_number_is_left_are_reported_once),
        TEST(a_change_of_the_limit_keeps_the_report_of_lost_descriptors),
        TEST(with_a_filter_received_and_lost_descriptors_are_dropped),
        TEST(a_put_waits_while_too_many_descriptors_are_in_flight),
        TEST(a_put_does_not_shorten_the_wait_to_pass_descriptors),
        TEST(a_stream_that_waits_to_pass_descriptors_can_end),
        MEMORY_TEST(a_put_that_fails_keeps_no_descriptors),
        TEST(wrong_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
