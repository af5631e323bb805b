/* Terminals: their streams, sizes and modes. */

#include "support/stream_fixture.h"

#include <errno.h>
#include <signal.h>

#include "simulator/sim_tty.h"

static struct sim_tty *tty;

static aloop_stream *open_terminal(void)
{
    aloop_stream *stream = NULL;
    int fd;

    tty = sim_tty_open(&fd);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    return stream;
}

/* Opens another stream of the same terminal. */
static aloop_stream *open_again(void)
{
    aloop_stream *stream = NULL;

    assert_int_equal(
        aloop_stream_open(t.loop, sim_tty_open_again(tty), &stream), 0);
    return stream;
}

static void expect_read(aloop_stream *stream, const char *text)
{
    char buffer[64];
    ssize_t size = (ssize_t) strlen(text);

    assert_int_equal(
        aloop_await(aloop_stream_read(stream, buffer, sizeof buffer)), size);
    assert_memory_equal(buffer, text, strlen(text));
}

static void expect_output(const char *text)
{
    char buffer[64];

    run_for(MS);
    assert_int_equal(sim_tty_take(tty, buffer, sizeof buffer), strlen(text));
    assert_memory_equal(buffer, text, strlen(text));
}

/* Reading and writing. */

static void a_terminal_is_read_by_lines_and_written(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    sim_tty_type(tty, "one\ntwo");
    expect_read(stream, "one\n");
    sim_tty_type(tty, "\n");
    expect_read(stream, "two\n");
    assert_int_equal(aloop_stream_put(stream, "out", 3), 0);
    expect_output("out");
    assert_int_equal(aloop_await(aloop_stream_write(stream, "more", 4)), 4);
    expect_output("more");
    aloop_stream_close(stream);
}

static void echo(aloop_stream *stream, const void *data, ssize_t size,
                 void *arg)
{
    (void) arg;
    if (size > 0)
        assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
}

static void an_echo_on_a_terminal_is_sent(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, echo, NULL), 0);
    sim_tty_type(tty, "a\nb\n");
    run_for(MS);
    expect_output("a\nb\n");
    aloop_stream_close(stream);
}

static void other_descriptors_of_the_terminal_keep_blocking(void **state)
{
    aloop_stream *stream = NULL;
    int fd, other;

    (void) state;
    tty = sim_tty_open(&fd);
    other = sim_keep_open(fd);
    assert_int_equal(other, 0);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_int_equal(aloop_stream_fd(stream), fd);
    assert_false(sim_tty_blocks(fd)); /* A file of its own. */
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fd);
    assert_true(sim_tty_blocks(fd));
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_terminal_that_cannot_be_opened_again_never_blocks_the_loop(
    void **state)
{
    static char many[20000];
    aloop_stream *stream = NULL;
    size_t taken = 0;
    int fd;

    (void) state;
    tty = sim_tty_open(&fd);
    sim_tty_unname(tty);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_true(sim_tty_blocks(fd));
    sim_tty_type(tty, "one\ntwo\n");
    expect_read(stream, "one\n");
    expect_read(stream, "two\n");
    assert_int_equal(aloop_stream_put(stream, many, sizeof many), 0);
    assert_int_equal(aloop_stream_put(stream, "end", 3), 0);
    for (int i = 0; i < 1000 && taken < sizeof many + 3; i++) {
        taken += sim_tty_take(tty, c.in, sizeof c.in);
        run_for(MS);
    }
    assert_int_equal(taken, sizeof many + 3);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fd);
    assert_true(sim_tty_blocks(fd));
    assert_int_equal(sim_bad_uses(), 0);
    assert_int_equal(aloop__sys_close(fd), 0);
}

/* A longer write may block after POLLOUT. */
static void a_shared_terminal_is_written_in_small_parts(void **state)
{
    aloop_stream *stream = NULL;
    int fd;

    (void) state;
    tty = sim_tty_open(&fd);
    sim_tty_unname(tty);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_int_equal(aloop_stream_put(stream, c.in, 1000), 0);
    turns(1);
    assert_in_range(sim_tty_take(tty, c.in, sizeof c.in), 1, 512);
    aloop_stream_close(stream);
}

static void a_shutdown_of_a_terminal_only_ends_writing(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_stream_put(stream, "last", 4), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    expect_output("last");
    assert_int_equal(aloop_stream_put(stream, "a", 1), ALOOP_EPIPE);
    sim_tty_type(tty, "in\n");
    expect_read(stream, "in\n");
    aloop_stream_abort(stream);
}

static void a_terminal_that_hangs_up_ends(void **state)
{
    aloop_stream *stream = open_terminal();
    char byte;

    (void) state;
    sim_tty_type(tty, "lost");
    sim_tty_hang_up(tty);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 0);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "a", 1)),
                     ALOOP_EIO);
    aloop_stream_close(stream);
}

static void a_hang_up_fails_writing_if_nothing_reads(void **state)
{
    static char many[20000];
    aloop_stream *stream = open_terminal();
    aloop_future *future = aloop_stream_write(stream, many, sizeof many);

    (void) state;
    run_for(MS);
    sim_tty_hang_up(tty);
    assert_int_equal(aloop_await(future), ALOOP_EIO);
    aloop_stream_close(stream);
}

static void a_master_becomes_non_blocking_and_ends_with_its_slave(void **state)
{
    aloop_stream *stream = NULL;
    char byte;
    int fd;

    (void) state;
    tty = sim_tty_open(&fd);
    sim_tty_make_master(tty);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_false(sim_tty_blocks(fd));
    sim_tty_type(tty, "output");
    sim_tty_hang_up(tty);
    expect_read(stream, "output");
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 0);
    assert_int_equal(aloop_tty_set_raw(stream, true), ALOOP_ENOTSUP);
    aloop_stream_close(stream);
}

/* The background. */

static void a_read_in_the_background_continues_in_the_foreground(void **state)
{
    aloop_stream *stream = open_terminal();
    char buffer[8];
    aloop_future *future;
    unsigned wakes;

    (void) state;
    sim_tty_background(tty, true, false);
    sim_tty_type(tty, "line\n");
    future = aloop_stream_read(stream, buffer, sizeof buffer);
    run_for(ALOOP_MS(10));
    wakes = sim_wakes();
    run_for(ALOOP_SEC(5));
    assert_true(sim_wakes() - wakes <= 15); /* It does not spin. */
    assert_int_equal(aloop_stream_put(stream, "out", 3), 0);
    expect_output("out");
    sim_tty_background(tty, false, false);
    assert_int_equal(aloop_await(future), 5);
    aloop_stream_close(stream);
}

static void a_write_in_the_background_continues_in_the_foreground(void **state)
{
    aloop_stream *stream = open_terminal();
    unsigned wakes;

    (void) state;
    sim_tty_background(tty, true, true);
    assert_int_equal(aloop_stream_put(stream, "out", 3), 0);
    run_for(ALOOP_MS(10));
    wakes = sim_wakes();
    run_for(ALOOP_SEC(5));
    assert_true(sim_wakes() - wakes <= 15);
    assert_int_equal(aloop_stream_queued(stream), 3);
    sim_tty_background(tty, false, false);
    run_for(ALOOP_SEC(2));
    expect_output("out");
    aloop_stream_close(stream);
}

static void move_to_background(aloop_stream *stream, const void *data,
                               ssize_t size, void *arg)
{
    sim_tty_background(tty, true, true);
    echo(stream, data, size, arg);
}

static void an_echo_in_the_background_is_sent_in_the_foreground(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, move_to_background, NULL), 0);
    sim_tty_type(tty, "echo\n");
    run_for(MS);
    sim_tty_background(tty, false, false);
    run_for(ALOOP_SEC(2));
    expect_output("echo\n");
    aloop_stream_close(stream);
}

static void an_error_of_the_foreground_is_reported(void **state)
{
    aloop_stream *stream = open_terminal();
    char byte;

    (void) state;
    sim_tty_type(tty, "a\n");
    sim_fail_from("aloop__sys_read", 1, ALOOP_EIO);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)),
                     ALOOP_EIO);
    sim_forgive();
    aloop_stream_close(stream);
}

static void a_failure_to_watch_again_is_reported(void **state)
{
    static char many[10000];
    aloop_stream *stream = open_terminal();
    aloop_future *write;
    char byte;

    (void) state;
    write = aloop_stream_write(stream, many, sizeof many);
    run_for(MS);
    sim_tty_background(tty, true, true);
    assert_true(sim_tty_take(tty, c.in, sizeof c.in) > 0);
    sim_tty_type(tty, "a\n");
    {
        aloop_future *read = aloop_stream_read(stream, &byte, 1);

        run_for(MS);
        sim_fail_from("aloop__reactor_set", 1, ALOOP_ENOMEM);
        assert_int_equal(aloop_await(read), ALOOP_ENOMEM);
    }
    assert_int_equal(aloop_await(write), ALOOP_ENOMEM);
    sim_forgive();
    aloop_stream_close(stream);
}

/* The size. */

static void on_resize(aloop_stream *stream, unsigned columns, unsigned rows,
                      void *arg)
{
    (void) arg;
    assert_non_null(stream);
    note((int) columns);
    note((int) rows);
}

static void close_in_resize(aloop_stream *stream, unsigned columns,
                            unsigned rows, void *arg)
{
    on_resize(stream, columns, rows, arg);
    aloop_stream_close(stream);
}

static void a_terminal_reports_its_size_and_each_change(void **state)
{
    aloop_stream *stream = open_terminal();
    unsigned columns, rows;

    (void) state;
    assert_int_equal(aloop_tty_size(stream, &columns, &rows), 0);
    assert_int_equal(columns, 80);
    assert_int_equal(rows, 24);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    sim_tty_resize(tty, 100, 30);
    run_for(MS);
    sim_tty_resize(tty, 100, 30); /* No change. */
    run_for(MS);
    sim_tty_resize(tty, 1, 1);
    sim_tty_resize(tty, 100, 40); /* Two in one turn. */
    run_for(MS);
    assert_noted(100, 30, 100, 40);
    assert_int_equal(aloop_tty_on_resize(stream, NULL, NULL), 0);
    assert_false(sim_signal_caught(SIGWINCH));
    sim_tty_resize(tty, 5, 5);
    run_for(MS);
    assert_int_equal(t.noted, 4);
    aloop_stream_close(stream);
}

static void on_signal(aloop_signal *signal, int number, void *arg)
{
    (void) signal;
    (void) number;
    (void) arg;
    t.calls++;
}

static void the_application_may_watch_the_same_signal(void **state)
{
    aloop_stream *stream = open_terminal();
    aloop_signal *signal = NULL;

    (void) state;
    assert_int_equal(
        aloop_signal_start(t.loop, SIGWINCH, on_signal, NULL, &signal), 0);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    sim_tty_resize(tty, 3, 4);
    run_for(MS);
    assert_noted(3, 4);
    assert_int_equal(t.calls, 1);
    aloop_stream_close(stream);
    assert_true(sim_signal_caught(SIGWINCH));
    aloop_signal_close(signal);
    assert_false(sim_signal_caught(SIGWINCH));
}

static void the_callback_of_the_size_may_close_its_stream(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_tty_on_resize(stream, close_in_resize, NULL), 0);
    sim_tty_resize(tty, 3, 4);
    run_for(MS);
    sim_tty_resize(tty, 5, 6);
    run_for(MS);
    assert_noted(3, 4);
}

static void no_change_is_reported_after_the_close(void **state)
{
    static char many[20000];
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    assert_int_equal(aloop_stream_put(stream, many, sizeof many), 0);
    aloop_stream_close(stream); /* It lingers. */
    sim_tty_resize(tty, 3, 4);
    run_for(MS);
    assert_int_equal(t.noted, 0);
    for (int i = 0; i < 10; i++) {
        sim_tty_take(tty, c.in, sizeof c.in);
        run_for(MS);
    }
    assert_false(sim_signal_caught(SIGWINCH));
}

static void a_callback_of_the_size_keeps_no_loop_alive(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    aloop_stream_close(stream);
}

static void an_error_of_the_size_is_returned(void **state)
{
    aloop_stream *stream = open_terminal();
    unsigned columns, rows;

    (void) state;
    sim_fail("aloop__sys_tty_size", 1, ALOOP_EIO);
    assert_int_equal(aloop_tty_size(stream, &columns, &rows), ALOOP_EIO);
    sim_fail("aloop__sys_tty_size", 1, ALOOP_EIO);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), ALOOP_EIO);
    sim_fail("aloop__sys_signal_catch", 1, ALOOP_EINVAL);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    sim_fail("aloop__sys_tty_size", 1, ALOOP_EIO);
    sim_tty_resize(tty, 3, 4);
    run_for(MS);
    assert_int_equal(t.noted, 0);
    aloop_stream_close(stream);
}

/* Raw mode. */

static void a_raw_terminal_is_restored_by_each_end_of_its_stream(void **state)
{
    enum { SWITCHED, CLOSED, ABORTED, DETACHED, RESET, ENDS };

    (void) state;
    for (int end = 0; end < ENDS; end++) {
        aloop_stream *stream = open_terminal();
        int fd = -1;

        assert_int_equal(aloop_tty_set_raw(stream, true), 0);
        assert_true(sim_tty_is_raw(tty));
        sim_tty_type(tty, "x");
        expect_read(stream, "x");
        if (end == SWITCHED)
            assert_int_equal(aloop_tty_set_raw(stream, false), 0);
        if (end == RESET) {
            errno = EDOM;
            aloop_tty_reset();
            assert_int_equal(errno, EDOM);
        }
        if (end == ABORTED)
            aloop_stream_abort(stream);
        else if (end == DETACHED)
            fd = aloop_stream_detach(stream, NULL, NULL);
        else if (end == CLOSED)
            aloop_stream_close(stream);
        assert_false(sim_tty_is_raw(tty));
        if (end == SWITCHED || end == RESET)
            aloop_stream_close(stream);
        if (fd >= 0)
            assert_int_equal(aloop__sys_close(fd), 0);
    }
}

static void the_end_of_the_loop_restores_a_raw_terminal(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    assert_int_equal(aloop_tty_on_resize(stream, on_resize, NULL), 0);
    assert_int_equal(aloop_free(t.loop), 0);
    assert_false(sim_tty_is_raw(tty));
    assert_string_equal(sim_mess(), "");
    t.loop = aloop_new(NULL);
}

static void a_terminal_is_raw_while_one_stream_needs_it(void **state)
{
    aloop_stream *streams[2], *other;
    struct sim_tty *first;

    (void) state;
    other = open_terminal();
    first = tty;
    assert_int_equal(aloop_tty_set_raw(other, true), 0);
    streams[0] = open_terminal();
    streams[1] = open_again();
    assert_int_equal(aloop_tty_set_raw(streams[0], true), 0);
    assert_int_equal(aloop_tty_set_raw(streams[1], true), 0);
    aloop_stream_close(streams[0]);
    assert_true(sim_tty_is_raw(tty));
    aloop_stream_close(streams[1]);
    assert_false(sim_tty_is_raw(tty));
    assert_true(sim_tty_is_raw(first));
    aloop_stream_close(other);
    assert_false(sim_tty_is_raw(first));
}

static void raw_mode_can_be_set_again_after_a_reset(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    aloop_tty_reset(); /* There is nothing to restore. */
    assert_int_equal(aloop_tty_set_raw(stream, false), 0);
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    aloop_tty_reset();
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    assert_true(sim_tty_is_raw(tty));
    aloop_stream_close(stream);
    assert_false(sim_tty_is_raw(tty));
}

static void a_forked_child_does_not_restore_the_mode_of_its_parent(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    sim_fork();
    aloop_tty_reset();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    aloop_tty_reset();
    assert_true(sim_tty_is_raw(tty));
    aloop_stream_close(stream);
    assert_true(sim_tty_is_raw(tty));
    assert_int_equal(sim_harms(), 0);
}

static void a_forked_child_may_set_the_mode_itself(void **state)
{
    aloop_stream *stream = open_terminal();

    (void) state;
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    aloop_stream_close(stream);
    assert_true(sim_tty_is_raw(tty)); /* As it has found it. */
}

static void a_failed_change_of_the_mode_leaves_nothing_behind(void **state)
{
    static const char *const calls[] = {
        "aloop__sys_tty_device", "aloop__sys_duplicate", "aloop__sys_tty_mode",
        "aloop__sys_tty_set_mode"};
    aloop_stream *stream = open_terminal();
    unsigned before = sim_descriptors_open();

    (void) state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        sim_fail(calls[i], 1, ALOOP_EIO);
        assert_int_equal(aloop_tty_set_raw(stream, true), ALOOP_EIO);
        assert_false(sim_tty_is_raw(tty));
        assert_int_equal(sim_descriptors_open(), before);
    }
    aloop_stream_close(stream);
}

/* Arguments. */

static void a_stream_that_is_no_terminal_is_refused(void **state)
{
    aloop_stream *ends[2];
    unsigned columns, rows;

    (void) state;
    assert_int_equal(aloop_stream_pair(t.loop, &ends[0], &ends[1]), 0);
    assert_int_equal(aloop_tty_size(ends[0], &columns, &rows), ALOOP_ENOTTY);
    assert_int_equal(aloop_tty_on_resize(ends[0], on_resize, NULL),
                     ALOOP_ENOTTY);
    assert_int_equal(aloop_tty_set_raw(ends[0], true), ALOOP_ENOTTY);
    aloop_stream_close(ends[0]);
    aloop_stream_close(ends[1]);
}

static void wrong_arguments_of_terminals_are_refused(void **state)
{
    aloop_stream *stream = open_terminal();
    unsigned count;

    (void) state;
    assert_int_equal(aloop_tty_size(NULL, &count, &count), ALOOP_EINVAL);
    assert_int_equal(aloop_tty_size(stream, NULL, &count), ALOOP_EINVAL);
    assert_int_equal(aloop_tty_size(stream, &count, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_tty_on_resize(NULL, on_resize, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_tty_on_resize(stream, NULL, NULL), 0);
    assert_int_equal(aloop_tty_set_raw(NULL, true), ALOOP_EINVAL);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_terminal_is_read_by_lines_and_written),
        TEST(an_echo_on_a_terminal_is_sent),
        TEST(other_descriptors_of_the_terminal_keep_blocking),
        TEST(a_terminal_that_cannot_be_opened_again_never_blocks_the_loop),
        TEST(a_shared_terminal_is_written_in_small_parts),
        TEST(a_shutdown_of_a_terminal_only_ends_writing),
        TEST(a_terminal_that_hangs_up_ends),
        TEST(a_hang_up_fails_writing_if_nothing_reads),
        TEST(a_master_becomes_non_blocking_and_ends_with_its_slave),
        TEST(a_read_in_the_background_continues_in_the_foreground),
        TEST(a_write_in_the_background_continues_in_the_foreground),
        TEST(an_echo_in_the_background_is_sent_in_the_foreground),
        TEST(an_error_of_the_foreground_is_reported),
        TEST(a_failure_to_watch_again_is_reported),
        TEST(a_terminal_reports_its_size_and_each_change),
        TEST(the_application_may_watch_the_same_signal),
        TEST(the_callback_of_the_size_may_close_its_stream),
        TEST(no_change_is_reported_after_the_close),
        TEST(a_callback_of_the_size_keeps_no_loop_alive),
        TEST(an_error_of_the_size_is_returned),
        TEST(a_raw_terminal_is_restored_by_each_end_of_its_stream),
        TEST(the_end_of_the_loop_restores_a_raw_terminal),
        TEST(a_terminal_is_raw_while_one_stream_needs_it),
        TEST(raw_mode_can_be_set_again_after_a_reset),
        TEST(a_forked_child_does_not_restore_the_mode_of_its_parent),
        TEST(a_forked_child_may_set_the_mode_itself),
        TEST(a_failed_change_of_the_mode_leaves_nothing_behind),
        TEST(a_stream_that_is_no_terminal_is_refused),
        TEST(wrong_arguments_of_terminals_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
