/* Streams of existing descriptors, pairs, pipes, and the way back. */

#include "support/stream_fixture.h"

#include <fcntl.h>

#include "os/sys_file.h"
#include "os/sys_stream.h"
#include "simulator/sim_file.h"

enum { LARGE = 200000 }; /* More than a pair or a pipe holds. */
static const char large[LARGE];

static void open_pair(aloop_stream *ends[2])
{
    assert_int_equal(aloop_stream_pair(t.loop, &ends[0], &ends[1]), 0);
}

static void open_pipe(aloop_stream *ends[2])
{
    assert_int_equal(aloop_pipe_open(t.loop, &ends[0], &ends[1]), 0);
}

static void close_both(aloop_stream *ends[2])
{
    aloop_stream_close(ends[0]);
    aloop_stream_close(ends[1]);
}

/* Reads `text`, no more and no less. */
static void expect_text(aloop_stream *stream, const char *text)
{
    char buffer[64];
    ssize_t size =
        aloop_await(aloop_stream_read_exactly(stream, buffer, strlen(text)));

    assert_int_equal(size, strlen(text));
    assert_memory_equal(buffer, text, strlen(text));
}

static void expect_end(aloop_stream *stream)
{
    char byte;

    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 0);
}

static void put_text(aloop_stream *stream, const char *text)
{
    assert_int_equal(aloop_stream_put(stream, text, strlen(text)), 0);
}

/* Pairs. */

static void what_one_end_of_a_pair_writes_the_other_one_reads(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pair(ends);
    put_text(ends[0], "there");
    put_text(ends[1], "back");
    expect_text(ends[1], "there");
    expect_text(ends[0], "back");
    assert_int_equal(aloop_await(aloop_stream_shutdown(ends[0])), 0);
    expect_end(ends[1]);
    put_text(ends[1], "more");
    expect_text(ends[0], "more");
    aloop_stream_close(ends[1]);
    expect_end(ends[0]);
    aloop_stream_close(ends[0]);
}

static void a_pair_has_no_address(void **state)
{
    aloop_stream *ends[2];
    aloop_address address;

    (void) state;
    open_pair(ends);
    assert_int_equal(aloop_stream_peer_address(ends[0], &address),
                     ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_stream_local_address(ends[0], &address),
                     ALOOP_EAFNOSUPPORT);
    close_both(ends);
}

static void an_end_of_a_pair_that_closes_with_unread_bytes_ends_orderly(
    void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pair(ends);
    put_text(ends[0], "unread");
    put_text(ends[1], "read");
    run_for(MS);
    aloop_stream_close(ends[1]);
    expect_text(ends[0], "read");
    expect_end(ends[0]);
    aloop_stream_close(ends[0]);
}

/* Pipes. */

static void a_pipe_has_one_direction(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pipe(ends);
    put_text(ends[1], "through");
    expect_text(ends[0], "through");
    assert_int_equal(aloop_stream_put(ends[0], "a", 1), ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_write(ends[0], "a", 1)),
                     ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_shutdown(ends[0])), ALOOP_EPIPE);
    expect_end(ends[1]);
    assert_int_equal(aloop_stream_start(ends[1], note_size, NULL), 0);
    turns(2);
    assert_noted(0);
    close_both(ends);
}

static void a_shutdown_of_a_pipe_ends_it_after_all_bytes(void **state)
{
    static char buffer[LARGE];
    aloop_stream *ends[2];
    aloop_future *shutdown;

    (void) state;
    open_pipe(ends);
    assert_int_equal(aloop_stream_put(ends[1], large, LARGE), 1);
    shutdown = aloop_stream_shutdown(ends[1]);
    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(ends[0], buffer, LARGE)), LARGE);
    assert_int_equal(aloop_await(shutdown), 0);
    expect_end(ends[0]);
    assert_int_equal(aloop_stream_put(ends[1], "a", 1), ALOOP_EPIPE);
    assert_int_equal(aloop_stream_fd(ends[1]), ALOOP_EBADF);
    assert_int_equal(aloop_stream_detach(ends[1], NULL, NULL), ALOOP_EBADF);
    close_both(ends);
}

static void a_pipe_without_a_reader_fails_what_is_queued(void **state)
{
    aloop_stream *ends[2];
    aloop_future *write;

    (void) state;
    open_pipe(ends);
    write = aloop_stream_write(ends[1], large, LARGE);
    run_for(MS);
    assert_false(aloop_future_is_settled(write));
    aloop_stream_close(ends[0]);
    assert_int_equal(aloop_await(write), ALOOP_EPIPE);
    assert_int_equal(aloop_stream_put(ends[1], "a", 1), ALOOP_EPIPE);
    aloop_stream_close(ends[1]);
}

static void a_closed_writer_of_a_pipe_sends_what_is_queued(void **state)
{
    static char buffer[LARGE];
    aloop_stream *ends[2];

    (void) state;
    open_pipe(ends);
    assert_int_equal(aloop_stream_put(ends[1], large, LARGE), 1);
    aloop_stream_close(ends[1]);
    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(ends[0], buffer, LARGE)), LARGE);
    expect_end(ends[0]);
    aloop_stream_close(ends[0]);
}

static void a_pipe_calls_back_for_bytes_and_their_end(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pipe(ends);
    assert_int_equal(aloop_stream_start(ends[0], note_size, NULL), 0);
    put_text(ends[1], "four");
    run_for(MS);
    aloop_stream_close(ends[1]);
    run_for(MS);
    assert_noted(4, 0);
    aloop_stream_close(ends[0]);
}

static void a_pipe_has_no_address_and_no_delay(void **state)
{
    aloop_stream *ends[2];
    aloop_address address;
    char text[96];

    (void) state;
    open_pipe(ends);
    assert_int_equal(aloop_stream_peer_address(ends[0], &address),
                     ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_stream_local(ends[0], text, sizeof text),
                     ALOOP_EAFNOSUPPORT);
    assert_true(aloop_tcp_set_nodelay(ends[0], true) < 0);
    close_both(ends);
}

/* A reader of a FIFO that other processes read too must not take more than the
 * application has asked for. */
static void closing_a_pipe_receives_nothing(void **state)
{
    aloop_stream *ends[2];
    unsigned before;

    (void) state;
    open_pipe(ends);
    put_text(ends[1], "left");
    run_for(MS);
    before = sim_calls("aloop__sys_read");
    close_both(ends);
    assert_int_equal(sim_calls("aloop__sys_read"), before);
}

/* Existing descriptors. */

static int open_fifo(int flags)
{
    int fd;

    sim_file_fifo("/fifo");
    fd = aloop__sys_openat(SYS_CWD, "/fifo", flags, 0);
    assert_true(fd >= 0);
    return fd;
}

static bool is_blocking(int fd)
{
    return (aloop__sys_file_flags(fd) & O_NONBLOCK) == 0;
}

static void an_opened_socket_is_a_stream(void **state)
{
    aloop_stream *ends[2];
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_socket_pair(fds), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_stream_open(t.loop, fds[i], &ends[i]), 0);
    put_text(ends[0], "hello");
    expect_text(ends[1], "hello");
    assert_int_equal(aloop_stream_fd(ends[0]), fds[0]);
    close_both(ends);
}

static void an_opened_fifo_does_not_block_until_it_is_detached(void **state)
{
    int fd = open_fifo(O_RDWR);
    aloop_stream *stream;

    (void) state;
    aloop__sys_file_set_blocking(fd, true);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_false(is_blocking(fd));
    put_text(stream, "loop");
    expect_text(stream, "loop");
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), ALOOP_ENOTSUP);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fd);
    assert_true(is_blocking(fd));
    aloop__sys_close(fd);
}

static void a_detached_descriptor_that_did_not_block_still_does_not(
    void **state)
{
    int fd = open_fifo(O_RDWR | O_NONBLOCK);
    aloop_stream *stream;

    (void) state;
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fd);
    assert_false(is_blocking(fd));
    aloop__sys_close(fd);
}

static void a_descriptor_that_cannot_be_a_stream_is_refused(void **state)
{
    int socket = aloop__sys_tcp_socket(SYS_INET);
    int file = aloop__sys_openat(SYS_CWD, "/tmp", O_RDONLY, 0);
    aloop_stream *stream = NULL;
    aloop_listener *listener;

    (void) state;
    assert_int_equal(aloop_stream_open(t.loop, socket, &stream),
                     ALOOP_ENOTCONN);
    assert_int_equal(aloop_stream_open(t.loop, file, &stream), ALOOP_ENOTSUP);
    assert_int_equal(aloop_stream_open(t.loop, 99, &stream), ALOOP_EBADF);
    assert_int_equal(aloop_stream_open(t.loop, -1, &stream), ALOOP_EBADF);
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "80", close_accepted,
                                      NULL, &listener),
                     0);
    assert_int_equal(
        aloop_stream_open(t.loop, aloop_listener_fd(listener), &stream),
        ALOOP_ENOTSUP);
    assert_null(stream);
    aloop_listener_close(listener);
    aloop__sys_close(socket);
    aloop__sys_close(file);
}

static void a_failed_open_leaves_the_descriptor_as_it_was(void **state)
{
    int fd = open_fifo(O_RDWR);
    aloop_stream *stream = NULL;

    (void) state;
    aloop__sys_file_set_blocking(fd, true);
    sim_fail("aloop__sys_file_set_blocking", 1, ALOOP_EBADF);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), ALOOP_EBADF);
    memory.is_out = true;
    while (aloop_stream_open(t.loop, fd, &stream) == 0) {
        assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fd);
        stream = NULL; /* The memory of the handle is freed in a turn. */
    }
    memory.is_out = false;
    assert_null(stream);
    assert_true(is_blocking(fd));
    aloop__sys_close(fd);
}

static int open_two(bool is_pipe, aloop_stream *ends[2])
{
    return is_pipe ? aloop_pipe_open(t.loop, &ends[0], &ends[1])
                   : aloop_stream_pair(t.loop, &ends[0], &ends[1]);
}

static void pairs_and_pipes_fail_at_every_step_without_a_leak(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        int error = ALOOP_ENOMEM;

        for (unsigned n = 1; error < 0; n++) {
            if (!renew(1))
                fail();
            memory.fails_at = memory.calls + n;
            error = open_two(i == 1, ends);
            memory.fails_at = 0;
            assert_true(error == 0 || error == ALOOP_ENOMEM);
        }
        close_both(ends);
    }
    sim_descriptors_max(sim_descriptors_open() + 1);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(open_two(i == 1, ends), ALOOP_EMFILE);
}

/* Unread. */

static void unread_bytes_are_read_first(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pair(ends);
    put_text(ends[0], "one\ntwo\nthree");
    expect_text(ends[1], "one\n");
    assert_int_equal(aloop_stream_unread(ends[1], "one\n", 4), 0);
    assert_int_equal(aloop_stream_unread(ends[1], "zero\n", 5), 0);
    assert_int_equal(aloop_stream_unread(ends[1], NULL, 0), 0);
    expect_text(ends[1], "zero\none\ntwo\nthree");
    aloop_stream_close(ends[0]);
    expect_end(ends[1]);
    assert_int_equal(aloop_stream_unread(ends[1], "last", 4), 0);
    expect_text(ends[1], "last");
    expect_end(ends[1]);
    aloop_stream_close(ends[1]);
}

/* Puts the first bytes back, once, and stops. */
static void put_back(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    note((int) size);
    if (t.calls++ > 0)
        return;
    assert_int_equal(aloop_stream_unread(stream, data, (size_t) size), 0);
    if (arg != NULL)
        aloop_stream_stop(stream);
}

static void a_callback_gets_unread_bytes_in_the_next_turn(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pair(ends);
    assert_int_equal(aloop_stream_start(ends[1], put_back, NULL), 0);
    put_text(ends[0], "four");
    run_for(MS);
    assert_noted(4, 4);
    assert_int_equal(aloop_stream_unread(ends[1], "ab", 2), 0);
    assert_int_equal(t.noted, 2);
    put_text(ends[0], "seven..");
    run_for(MS);
    assert_noted(4, 4, 2, 7);
    close_both(ends);
}

static void a_callback_can_leave_its_bytes_to_a_read(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pair(ends);
    assert_int_equal(aloop_stream_start(ends[1], put_back, as_arg(1)), 0);
    put_text(ends[0], "STARTTLS\nhello");
    run_for(MS);
    assert_noted(14);
    expect_text(ends[1], "STARTTLS\nhello");
    close_both(ends);
}

/* Replies with more than the high-water mark, and puts one byte back. */
static void reply_too_much(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    (void) arg;
    note((int) size);
    if (t.calls++ > 0)
        return;
    assert_int_equal(aloop_stream_put(stream, large, LARGE), 1);
    assert_int_equal(aloop_stream_unread(stream, data, 1), 0);
}

static void unread_bytes_wait_for_the_end_of_a_pause(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, reply_too_much, NULL), 0);
    send_text("abc");
    assert_noted(3);
    for (int i = 0; i < 8; i++)
        receive_all();
    assert_int_equal(c.in_size, LARGE);
    assert_noted(3, 1);
    send_text("de");
    assert_noted(3, 1, 2);
    aloop_stream_close(stream);
}

static void bytes_cannot_be_unread_while_others_read(void **state)
{
    aloop_stream *ends[2], *others[2];
    aloop_future *future;
    char buffer[8];

    (void) state;
    open_pair(ends);
    open_pair(others);
    future = aloop_stream_read(ends[0], buffer, sizeof buffer);
    assert_int_equal(aloop_stream_unread(ends[0], "a", 1), ALOOP_EBUSY);
    aloop_future_unref(future);
    future = aloop_stream_forward(ends[0], others[0]);
    assert_int_equal(aloop_stream_unread(ends[0], "a", 1), ALOOP_EBUSY);
    aloop_future_unref(future);
    assert_int_equal(aloop_stream_unread(ends[0], NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_unread(ends[0], "a", SIZE_MAX), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_unread(NULL, "a", 1), ALOOP_EINVAL);
    close_both(ends);
    close_both(others);
}

static void an_unread_without_memory_changes_nothing(void **state)
{
    aloop_stream *ends[2];

    (void) state;
    open_pair(ends);
    put_text(ends[0], "rest");
    run_for(MS);
    memory.is_out = true;
    assert_int_equal(aloop_stream_unread(ends[1], large, LARGE), ALOOP_ENOMEM);
    memory.is_out = false;
    expect_text(ends[1], "rest");
    close_both(ends);
}

/* Detach. */

static void a_detached_descriptor_comes_with_its_unread_bytes(void **state)
{
    aloop_stream *ends[2];
    size_t size = 1;
    void *data = &size;
    int fd;

    (void) state;
    open_pair(ends);
    put_text(ends[0], "line\nrest");
    expect_text(ends[1], "line\n");
    assert_int_equal(aloop_stream_detach(ends[1], NULL, NULL), ALOOP_EBUSY);
    fd = aloop_stream_fd(ends[1]);
    assert_int_equal(aloop_stream_detach(ends[1], &data, &size), fd);
    assert_int_equal(size, 4);
    assert_memory_equal(data, "rest", 4);
    aloop_data_free(t.loop, data);
    put_text(ends[0], "more");
    run_for(MS);
    assert_int_equal(aloop_stream_open(t.loop, fd, &ends[1]), 0);
    expect_text(ends[1], "more");
    assert_int_equal(aloop_stream_detach(ends[1], &data, &size), fd);
    assert_null(data);
    assert_int_equal(size, 0);
    aloop_stream_close(ends[0]);
    aloop__sys_close(fd);
}

static void assert_busy(aloop_stream *stream)
{
    size_t size;
    void *data;

    assert_int_equal(aloop_stream_detach(stream, &data, &size), ALOOP_EBUSY);
}

static void a_stream_that_has_lost_bytes_cannot_be_detached(void **state)
{
    aloop_stream *ends[2];
    aloop_future *read;
    char buffer[8];
    size_t size;
    void *data;

    (void) state;
    open_pair(ends);
    put_text(ends[0], "part");
    read = aloop_stream_read_exactly(ends[1], buffer, sizeof buffer);
    run_for(MS);
    memory.is_out = true;
    aloop_future_unref(read); /* What it has received has no place. */
    memory.is_out = false;
    assert_int_equal(aloop_stream_detach(ends[1], &data, &size), ALOOP_ENOMEM);
    assert_int_equal(aloop_await(aloop_stream_read(ends[1], buffer, 1)),
                     ALOOP_ENOMEM);
    close_both(ends);
}

static void a_stream_with_something_pending_cannot_be_detached(void **state)
{
    aloop_stream *ends[2], *others[2];
    aloop_future *future;
    char byte;

    (void) state;
    open_pair(ends);
    open_pair(others);
    put_text(ends[0], "queued");
    assert_busy(ends[0]);
    run_for(MS);
    future = aloop_stream_shutdown(ends[0]);
    assert_busy(ends[0]);
    assert_int_equal(aloop_await(future), 0);
    expect_text(ends[1], "queued");
    future = aloop_stream_read(ends[1], &byte, 1);
    assert_busy(ends[1]);
    aloop_future_unref(future);
    future = aloop_stream_forward(others[0], ends[1]);
    assert_busy(others[0]);
    assert_busy(ends[1]);
    aloop_future_unref(future);
    assert_int_equal(aloop_stream_detach(NULL, NULL, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_detach(ends[0], (void **) &future, NULL),
                     ALOOP_EINVAL);
    close_both(ends);
    close_both(others);
}

/* Detaches inside its callback, where a reply keeps it. */
static void detach_now(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    int *fd = arg;

    if (t.calls++ == 0) {
        assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
        assert_busy(stream);
        return;
    }
    *fd = aloop_stream_detach(stream, NULL, NULL);
}

static void a_callback_can_detach_its_own_stream(void **state)
{
    aloop_stream *ends[2];
    int fd = -1;

    (void) state;
    open_pair(ends);
    assert_int_equal(aloop_stream_start(ends[1], detach_now, &fd), 0);
    put_text(ends[0], "a");
    expect_text(ends[0], "a");
    put_text(ends[0], "b");
    run_for(MS);
    assert_true(fd >= 0);
    put_text(ends[0], "c");
    run_for(MS);
    assert_int_equal(t.calls, 2);
    aloop_stream_close(ends[0]);
    aloop__sys_close(fd);
}

static void note_read(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    *(ssize_t *) arg = status;
}

static void a_read_that_has_completed_calls_back_after_a_detach(void **state)
{
    aloop_stream *ends[2];
    ssize_t status = ALOOP_PENDING;
    char buffer[8];
    size_t size;
    void *data;
    int fd;

    (void) state;
    open_pair(ends);
    put_text(ends[0], "line\nrest");
    expect_text(ends[1], "line\n");
    aloop_then(aloop_stream_read(ends[1], buffer, 3), note_read, &status);
    fd = aloop_stream_detach(ends[1], &data, &size);
    assert_true(fd >= 0);
    assert_int_equal(status, ALOOP_PENDING);
    run_for(MS);
    assert_int_equal(status, 3);
    assert_memory_equal(buffer, "res", 3);
    assert_int_equal(size, 1);
    aloop_data_free(t.loop, data);
    aloop_stream_close(ends[0]);
    aloop__sys_close(fd);
}

static void a_detach_reports_that_what_was_put_was_not_sent(void **state)
{
    aloop_stream *ends[2], *others[2];
    size_t size;
    void *data;
    int fd;

    (void) state;
    open_pipe(ends);
    open_pipe(others);
    aloop_stream_close(ends[0]);
    put_text(ends[1], "lost");
    run_for(MS);
    assert_int_equal(aloop_stream_detach(ends[1], &data, &size), ALOOP_EPIPE);
    assert_int_equal(aloop_stream_put(ends[1], "x", 1), ALOOP_EPIPE);
    aloop_stream_close(ends[1]);
    fd = aloop_stream_detach(others[0], &data, &size); /* It never sends. */
    assert_true(fd >= 0);
    aloop_stream_close(others[1]);
    aloop__sys_close(fd);
}

static void null_pointers_are_refused(void **state)
{
    aloop_stream *stream;

    (void) state;
    assert_int_equal(aloop_stream_open(NULL, 0, &stream), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_open(t.loop, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_pair(NULL, &stream, &stream), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_pair(t.loop, NULL, &stream), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_pair(t.loop, &stream, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_pipe_open(NULL, &stream, &stream), ALOOP_EINVAL);
    assert_int_equal(aloop_pipe_open(t.loop, NULL, &stream), ALOOP_EINVAL);
    assert_int_equal(aloop_pipe_open(t.loop, &stream, NULL), ALOOP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_end_of_a_pair_writes_the_other_one_reads),
        TEST(a_pair_has_no_address),
        TEST(an_end_of_a_pair_that_closes_with_unread_bytes_ends_orderly),
        TEST(a_pipe_has_one_direction),
        TEST(a_shutdown_of_a_pipe_ends_it_after_all_bytes),
        TEST(a_pipe_without_a_reader_fails_what_is_queued),
        TEST(a_closed_writer_of_a_pipe_sends_what_is_queued),
        TEST(a_pipe_calls_back_for_bytes_and_their_end),
        TEST(a_pipe_has_no_address_and_no_delay),
        TEST(closing_a_pipe_receives_nothing),
        TEST(an_opened_socket_is_a_stream),
        TEST(an_opened_fifo_does_not_block_until_it_is_detached),
        TEST(a_detached_descriptor_that_did_not_block_still_does_not),
        TEST(a_descriptor_that_cannot_be_a_stream_is_refused),
        MEMORY_TEST(a_failed_open_leaves_the_descriptor_as_it_was),
        MEMORY_TEST(pairs_and_pipes_fail_at_every_step_without_a_leak),
        TEST(unread_bytes_are_read_first),
        TEST(a_callback_gets_unread_bytes_in_the_next_turn),
        TEST(a_callback_can_leave_its_bytes_to_a_read),
        TEST(unread_bytes_wait_for_the_end_of_a_pause),
        TEST(bytes_cannot_be_unread_while_others_read),
        MEMORY_TEST(an_unread_without_memory_changes_nothing),
        TEST(a_detached_descriptor_comes_with_its_unread_bytes),
        MEMORY_TEST(a_stream_that_has_lost_bytes_cannot_be_detached),
        TEST(a_stream_with_something_pending_cannot_be_detached),
        TEST(a_callback_can_detach_its_own_stream),
        TEST(a_read_that_has_completed_calls_back_after_a_detach),
        TEST(a_detach_reports_that_what_was_put_was_not_sent),
        TEST(null_pointers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
