/* Streams of descriptors that other programs share. */

#include "support/stream_fixture.h"

#include <fcntl.h>

#include "os/sys_file.h"
#include "os/sys_stream.h"
#include "simulator/sim_file.h"
#include "simulator/sim_tty.h"

enum { LARGE = 200000 }; /* More than a pipe holds. */
static const char large[LARGE];
static char taken[LARGE];

/* What the "other program" has: the simulator counts a call that would block
 * as a bad use, which the fixture finds. */
static int ends[2];

static void make_pipe(void)
{
    assert_int_equal(aloop__sys_pipe(ends), 0);
    assert_int_equal(aloop__sys_file_set_blocking(ends[0], true), 0);
    assert_int_equal(aloop__sys_file_set_blocking(ends[1], true), 0);
}

static void make_fifo(void)
{
    sim_file_fifo("/fifo");
    ends[0] = aloop__sys_openat(SYS_CWD, "/fifo", O_RDONLY | O_NONBLOCK, 0);
    ends[1] = aloop__sys_openat(SYS_CWD, "/fifo", O_WRONLY | O_NONBLOCK, 0);
    assert_true(ends[0] >= 0 && ends[1] >= 0);
    assert_int_equal(aloop__sys_file_set_blocking(ends[0], true), 0);
    assert_int_equal(aloop__sys_file_set_blocking(ends[1], true), 0);
}

static void refuse_nowait(void)
{
    sim_device("/")->cached_read_error = ALOOP_EOPNOTSUPP;
}

static void make_old_pipe(void)
{
    refuse_nowait();
    make_pipe();
}

static void make_lonely_fifo(void)
{
    sim_device("/")->reopen_error = ALOOP_EACCES;
    make_fifo();
}

static bool blocks(int fd)
{
    struct sys_descriptor what;

    assert_int_equal(aloop__sys_examine(fd, &what), 0);
    return what.is_blocking;
}

static void close_end(int *end)
{
    assert_int_equal(aloop__sys_close(*end), 0);
    *end = -1;
}

static aloop_stream *share_fd(int fd)
{
    aloop_stream *stream = NULL;

    assert_int_equal(aloop_stdio_open(t.loop, fd, &stream), 0);
    assert_int_not_equal(aloop_stream_fd(stream), fd);
    return stream;
}

static void write_end(const char *text)
{
    struct sys_piece piece = {text, strlen(text)};

    assert_int_equal(aloop__sys_writev(ends[1], &piece, 1), strlen(text));
}

static void read_text(aloop_stream *stream, const char *text)
{
    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(stream, taken, strlen(text))),
        strlen(text));
    assert_memory_equal(taken, text, strlen(text));
}

static void late_text(void *arg)
{
    write_end(arg);
}

/* All kinds of pipe. */

typedef void make_fn(void);
static make_fn *const makes[] = {make_pipe, make_fifo, make_old_pipe,
                                 make_lonely_fifo};
enum { MAKES = sizeof makes / sizeof makes[0] };

static void check_reading(make_fn *make)
{
    aloop_stream *in;

    make();
    in = share_fd(ends[0]);
    write_end("hello");
    read_text(in, "hello");
    sim_at(MS, late_text, "later");
    read_text(in, "later");
    assert_true(blocks(ends[0]));
    assert_int_equal(aloop_stream_put(in, "a", 1), ALOOP_EPIPE);
    write_end("last");
    close_end(&ends[1]);
    read_text(in, "last");
    assert_int_equal(aloop_await(aloop_stream_read(in, taken, 9)), 0);
    aloop_stream_close(in);
    assert_true(blocks(ends[0]));
    close_end(&ends[0]);
}

static void every_pipe_is_read_and_stays_blocking(void **state)
{
    (void) state;
    for (size_t i = 0; i < MAKES; i++) {
        check_reading(makes[i]);
        sim_device("/")->cached_read_error = 0;
        sim_device("/")->reopen_error = 0;
    }
}

static void check_writing(make_fn *make)
{
    aloop_stream *out;
    aloop_future *write;
    size_t size = 0;

    make();
    out = share_fd(ends[1]);
    assert_int_equal(aloop_stream_put(out, "ab", 2), 0);
    assert_int_equal(aloop_stream_put(out, "c", 1), 0);
    write = aloop_stream_write(out, large, LARGE);
    while (size < LARGE + 3) {
        ssize_t n;

        run_for(MS);
        n = aloop__sys_read(ends[0], taken, LARGE);
        assert_true(n > 0);
        if (size == 0)
            assert_memory_equal(taken, "abc", 3);
        size += (size_t) n;
    }
    assert_int_equal(aloop_await(write), LARGE);
    assert_int_equal(aloop_await(aloop_stream_shutdown(out)), 0);
    assert_true(blocks(ends[1]));
    aloop_stream_close(out);
    write_end("still open");
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void every_pipe_is_written_and_stays_blocking(void **state)
{
    (void) state;
    for (size_t i = 0; i < MAKES; i++) {
        check_writing(makes[i]);
        sim_device("/")->cached_read_error = 0;
        sim_device("/")->reopen_error = 0;
    }
}

static void check_no_reader(make_fn *make)
{
    aloop_stream *out;

    make();
    out = share_fd(ends[1]);
    assert_int_equal(aloop_stream_put(out, large, LARGE), 1);
    run_for(MS);
    close_end(&ends[0]);
    assert_int_equal(aloop_await(aloop_stream_drain(out)), ALOOP_EPIPE);
    assert_int_equal(aloop_stream_put(out, "a", 1), ALOOP_EPIPE);
    assert_quiet_for_a_second();
    aloop_stream_close(out);
    close_end(&ends[1]);
}

static void an_output_without_a_reader_fails(void **state)
{
    (void) state;
    for (size_t i = 0; i < MAKES; i++) {
        if (makes[i] != make_fifo && makes[i] != make_old_pipe)
            check_no_reader(makes[i]);
        sim_device("/")->cached_read_error = 0;
        sim_device("/")->reopen_error = 0;
    }
}

static void a_fifo_that_lost_its_reader_before_the_first_write_fails(
    void **state)
{
    aloop_stream *out;

    (void) state;
    make_fifo();
    out = share_fd(ends[1]);
    close_end(&ends[0]);
    assert_int_equal(aloop_await(aloop_stream_write(out, "a", 1)), ALOOP_EPIPE);
    aloop_stream_close(out);
    close_end(&ends[1]);
}

/* The first read opens the FIFO again, while the stream has the carrier of its
 * filters. */
static void a_fifo_that_has_a_filter_is_read_through_it(void **state)
{
    struct passing_filter *filter = new_passing(PASSING_ROOM, PASSING_ROOM);
    aloop_stream *stream;

    (void) state;
    make_fifo();
    stream = share_fd(ends[0]);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &passing_filter, filter)), 0);
    write_end("first");
    read_text(stream, "first");
    write_end("second");
    read_text(stream, "second");
    aloop_stream_close(stream);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void a_callback_reads_what_is_shared(void **state)
{
    aloop_stream *in;

    (void) state;
    make_pipe();
    in = share_fd(ends[0]);
    c.got_size = 0;
    assert_int_equal(aloop_stream_start(in, collect, NULL), 0);
    write_end("hello");
    run_for(MS);
    assert_int_equal(c.got_size, 5);
    close_end(&ends[1]);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(0);
    aloop_stream_close(in);
    close_end(&ends[0]);
}

/* Other kinds. */

static void a_shared_socket_is_neither_shut_nor_reset(void **state)
{
    aloop_stream *stream, *other = NULL;
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_socket_pair(fds), 0);
    stream = share_fd(fds[0]);
    assert_int_equal(aloop_stream_open(t.loop, fds[1], &other), 0);
    assert_int_equal(aloop_stream_put(stream, "a", 1), 0);
    assert_int_equal(aloop_stream_put(stream, "bc", 2), 0);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "d", 1)), 1);
    read_text(other, "abcd");
    assert_int_equal(aloop_stream_put(other, "unread", 6), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    run_for(MS);
    aloop_stream_abort(stream);
    stream = share_fd(fds[0]);
    read_text(stream, "unread");
    assert_int_equal(aloop_stream_put(stream, "more", 4), 0);
    read_text(other, "more");
    aloop_stream_close(other);
    assert_int_equal(aloop_await(aloop_stream_read(stream, taken, 9)), 0);
    aloop_stream_close(stream);
    assert_int_equal(aloop__sys_close(fds[0]), 0);
}

static void a_shared_socket_reports_its_error(void **state)
{
    aloop_stream *stream = connected(), *shared;

    (void) state;
    shared = share_fd(aloop_stream_fd(stream));
    fill(shared);
    aloop_detach(aloop_stream_write(shared, large, LARGE));
    run_for(MS);
    sim_peer_break(c.peer, ALOOP_ETIMEDOUT);
    assert_int_equal(aloop_await(aloop_stream_drain(shared)), ALOOP_ETIMEDOUT);
    aloop_stream_close(shared);
    aloop_stream_close(stream);
}

static void a_shared_file_is_read_at_its_position(void **state)
{
    aloop_stream *in;
    int fd;

    (void) state;
    sim_file_put("/a", "hello", 5);
    fd = aloop__sys_openat(SYS_CWD, "/a", O_RDONLY, 0);
    assert_int_equal(aloop__sys_read(fd, taken, 2), 2);
    in = share_fd(fd);
    read_text(in, "llo");
    aloop_stream_close(in);
    assert_int_equal(aloop__sys_read(fd, taken, 2), 0);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_shared_device_is_used_directly(void **state)
{
    aloop_stream *stream;
    int fd;

    (void) state;
    sim_file_null("/null");
    fd = aloop__sys_openat(SYS_CWD, "/null", O_RDWR, 0);
    stream = share_fd(fd);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "a", 1)), 1);
    assert_int_equal(aloop_await(aloop_stream_read(stream, taken, 1)), 0);
    aloop_stream_close(stream);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_shared_device_that_blocks_is_used_by_threads(void **state)
{
    aloop_stream *stream;
    unsigned before;
    int fd;

    (void) state;
    sim_file_slow("/slow", "hello", 5);
    fd = aloop__sys_openat(SYS_CWD, "/slow", O_RDONLY, 0);
    before = sim_file_blocking_calls();
    stream = share_fd(fd);
    read_text(stream, "hello");
    assert_int_equal(aloop_await(aloop_stream_read(stream, taken, 1)), 0);
    assert_int_equal(sim_file_blocking_calls(), before);
    aloop_stream_close(stream);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_shared_terminal_stays_blocking(void **state)
{
    aloop_stream *stream;
    struct sim_tty *tty;
    int fd, detached;

    (void) state;
    tty = sim_tty_open(&fd);
    stream = share_fd(fd);
    sim_tty_type(tty, "line\n");
    read_text(stream, "line\n");
    assert_int_equal(aloop_await(aloop_stream_write(stream, "out", 3)), 3);
    assert_int_equal(sim_tty_take(tty, taken, sizeof taken), 3);
    assert_true(sim_tty_blocks(fd));
    assert_false(sim_tty_blocks(aloop_stream_fd(stream)));
    detached = aloop_stream_detach(stream, NULL, NULL);
    assert_true(detached >= 0 && detached != fd);
    assert_true(sim_tty_blocks(detached));
    assert_int_equal(aloop__sys_close(detached), 0);
    assert_int_equal(aloop__sys_close(fd), 0);
}

/* Errors. */

static void what_cannot_be_shared_is_refused(void **state)
{
    int fd = aloop__sys_openat(SYS_CWD, "/tmp", O_RDONLY, 0);
    aloop_stream *stream = NULL;

    (void) state;
    assert_int_equal(aloop_stdio_open(t.loop, fd, &stream), ALOOP_ENOTSUP);
    assert_int_equal(aloop__sys_close(fd), 0);
    assert_int_equal(aloop_stdio_open(t.loop, fd, &stream), ALOOP_EBADF);
    assert_int_equal(aloop_stdio_open(t.loop, -1, &stream), ALOOP_EBADF);
    assert_int_equal(aloop_stdio_open(NULL, 0, &stream), ALOOP_EINVAL);
    assert_int_equal(aloop_stdio_open(t.loop, 0, NULL), ALOOP_EINVAL);
    assert_null(stream);
}

static void without_descriptors_nothing_is_shared(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    make_pipe();
    sim_fail("aloop__sys_duplicate", 1, ALOOP_EMFILE);
    assert_int_equal(aloop_stdio_open(t.loop, ends[0], &stream), ALOOP_EMFILE);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void a_pipe_is_shared_with_little_memory_or_not_at_all(void **state)
{
    aloop_stream *stream = NULL;
    int error = ALOOP_ENOMEM;

    (void) state;
    make_pipe();
    for (unsigned nth = 1; error == ALOOP_ENOMEM; nth++) {
        memory.fails_at = memory.calls + nth;
        error = aloop_stdio_open(t.loop, ends[0], &stream);
    }
    memory.fails_at = 0;
    assert_int_equal(error, 0);
    aloop_stream_close(stream);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_pipe_is_read_and_stays_blocking),
        TEST(every_pipe_is_written_and_stays_blocking),
        TEST(an_output_without_a_reader_fails),
        TEST(a_fifo_that_lost_its_reader_before_the_first_write_fails),
        TEST(a_fifo_that_has_a_filter_is_read_through_it),
        TEST(a_callback_reads_what_is_shared),
        TEST(a_shared_socket_is_neither_shut_nor_reset),
        TEST(a_shared_socket_reports_its_error),
        TEST(a_shared_file_is_read_at_its_position),
        TEST(a_shared_device_is_used_directly),
        TEST(a_shared_device_that_blocks_is_used_by_threads),
        TEST(a_shared_terminal_stays_blocking),
        TEST(what_cannot_be_shared_is_refused),
        TEST(without_descriptors_nothing_is_shared),
        MEMORY_TEST(a_pipe_is_shared_with_little_memory_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
