/* Streams of descriptors that the reactor cannot watch: regular files, and
 * devices such as /dev/null. */

#include "support/stream_fixture.h"

#include <fcntl.h>

#include "aloop/fork.h"
#include "os/sys_file.h"
#include "os/sys_stream.h"
#include "simulator/sim_file.h"

enum { LARGE = 300000 };
static char large[LARGE], got[LARGE + 1];

static int open_fd(const char *path, int flags)
{
    int fd = aloop__sys_openat(SYS_CWD, path, flags, 0600);

    assert_true(fd >= 0);
    return fd;
}

static aloop_stream *open_stream(const char *path, int flags)
{
    aloop_stream *stream = NULL;

    assert_int_equal(aloop_stream_open(t.loop, open_fd(path, flags), &stream),
                     0);
    return stream;
}

static ssize_t read_some(aloop_stream *stream, size_t size)
{
    return aloop_await(aloop_stream_read(stream, got, size));
}

static void assert_file(const char *path, const void *data, size_t size)
{
    assert_int_equal(sim_file_get(path, got, sizeof got), size);
    assert_memory_equal(got, data, size);
}

static void fill_large(void)
{
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char) (i * 7 + i / 256);
}

/* Reading. */

static void a_cached_file_is_read_without_a_thread(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_file_put("/a", "hello", 5);
    stream = open_stream("/a", O_RDONLY);
    assert_int_equal(read_some(stream, 3), 3);
    assert_memory_equal(got, "hel", 3);
    assert_int_equal(read_some(stream, 9), 2);
    assert_int_equal(read_some(stream, 9), 0);
    assert_int_equal(sim_threads_open(), 0);
    assert_int_equal(aloop_stream_put(stream, "a", 1), ALOOP_EPIPE);
    aloop_stream_close(stream);
}

static void check_large(void)
{
    aloop_stream *stream = open_stream("/a", O_RDONLY);
    unsigned before = sim_file_blocking_calls();

    assert_int_equal(
        aloop_await(aloop_stream_read_to_end(stream, got, sizeof got)), LARGE);
    assert_memory_equal(got, large, LARGE);
    assert_int_equal(sim_file_blocking_calls(), before);
    aloop_stream_close(stream);
}

static void a_file_is_read_by_threads_if_it_is_not_cached(void **state)
{
    (void) state;
    sim_file_put("/a", large, LARGE);
    sim_file_evict("/a");
    check_large();
    assert_true(sim_threads_open() > 0);
    sim_device("/")->cached_read_error = ALOOP_ENOTSUP;
    check_large();
}

static void a_callback_gets_a_file_and_its_end(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_file_put("/a", large, 5000);
    sim_file_evict("/a");
    stream = open_stream("/a", O_RDONLY);
    c.got_size = 0;
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(c.got_size, 5000);
    assert_memory_equal(c.got, large, 5000);
    assert_noted(0);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

static void an_error_of_a_read_ends_the_stream(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    stream = open_stream("/a", O_RDONLY);
    sim_fail("aloop__sys_read", 1, ALOOP_EIO);
    assert_int_equal(read_some(stream, 9), ALOOP_EIO);
    aloop_stream_close(stream);
}

/* A stream of a file that is not in the page cache needs a thread. */
static void expect_no_thread(const char *call)
{
    aloop_stream *stream;

    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    stream = open_stream("/a", O_RDWR);
    sim_fail_from(call, 1, ALOOP_EAGAIN);
    assert_int_equal(read_some(stream, 9), ALOOP_ENOMEM);
    assert_int_equal(aloop_stream_put(stream, "a", 1), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), ALOOP_ENOMEM);
    sim_forgive();
    aloop_stream_close(stream);
}

static void a_thread_that_cannot_start_is_an_error(void **state)
{
    (void) state;
    expect_no_thread("aloop__sys_thread_start");
}

/* EAGAIN of a mutex is no EAGAIN of the file, after which the loop would try
 * again in each turn. */
static void a_pool_that_cannot_be_made_is_an_error(void **state)
{
    (void) state;
    expect_no_thread("aloop__sys_mutex_open");
}

/* The position. */

static int64_t position_of(int fd)
{
    return aloop__sys_seek(fd, 0, SYS_SEEK_CURRENT);
}

static void the_position_of_a_file_is_used_and_moved(void **state)
{
    aloop_stream *stream = NULL;
    int fd;

    (void) state;
    sim_file_put("/a", "hello", 5);
    fd = open_fd("/a", O_RDONLY);
    assert_int_equal(aloop__sys_seek(fd, 1, SYS_SEEK_START), 1);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, got, 2)), 2);
    assert_memory_equal(got, "el", 2);
    assert_int_equal(position_of(fd), 5);
    aloop_stream_close(stream);
}

static void what_no_reader_has_taken_goes_back_to_the_file(void **state)
{
    aloop_stream *stream = NULL;
    aloop_future *read;
    int fd;

    (void) state;
    sim_options()->file_delay_max_ns = MS;
    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    fd = open_fd("/a", O_RDONLY);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    read = aloop_stream_read(stream, got, 4096);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), ALOOP_EBUSY);
    aloop_future_unref(read);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), ALOOP_EBUSY);
    run_for(MS);
    assert_int_equal(position_of(fd), 5);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fd);
    assert_int_equal(position_of(fd), 0);
    assert_int_equal(aloop__sys_close(fd), 0);
}

/* A stream of a duplicate, as the next program would find the position. */
static int open_duplicate(const char *path, int flags, aloop_stream **ret)
{
    int fd = open_fd(path, flags), copy = aloop__sys_duplicate(fd);

    assert_true(copy >= 0);
    assert_int_equal(aloop_stream_open(t.loop, copy, ret), 0);
    return fd;
}

static void what_follows_a_line_goes_back_to_the_file(void **state)
{
    aloop_stream *stream = NULL;
    void *data;
    size_t size;
    int fd;

    (void) state;
    sim_file_put("/a", "one\ntwo\n", 8);
    fd = open_duplicate("/a", O_RDONLY, &stream);
    assert_int_equal(
        aloop_await(aloop_stream_read_until(stream, got, 9, "\n", 1)), 4);
    assert_int_equal(position_of(fd), 8);
    aloop_stream_close(stream);
    assert_int_equal(position_of(fd), 4);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    assert_int_equal(read_some(stream, 1), 1);
    assert_int_equal(aloop_stream_detach(stream, &data, &size), fd);
    assert_int_equal(size, 3);
    aloop_data_free(t.loop, data);
    assert_int_equal(position_of(fd), 8); /* The caller has the bytes. */
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void nothing_goes_back_to_a_file_after_a_write(void **state)
{
    aloop_stream *stream = NULL;
    int fd;

    (void) state;
    sim_file_put("/a", "one\ntwo\n", 8);
    fd = open_duplicate("/a", O_RDWR, &stream);
    assert_int_equal(read_some(stream, 1), 1);
    assert_int_equal(aloop_stream_put(stream, "end", 3), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    aloop_stream_close(stream);
    assert_int_equal(position_of(fd), 11);
    assert_file("/a", "one\ntwo\nend", 11);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_stream_may_be_closed_while_a_thread_reads(void **state)
{
    aloop_stream *stream = NULL;
    int fd;

    (void) state;
    sim_options()->file_delay_max_ns = MS;
    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    fd = open_fd("/a", O_RDONLY);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), 0);
    aloop_detach(aloop_stream_read(stream, got, 9));
    aloop_step(t.loop, 0);
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
}

/* Writing. */

static void a_shutdown_waits_until_a_file_is_written(void **state)
{
    aloop_stream *stream;
    unsigned before;

    (void) state;
    stream = open_stream("/a", O_WRONLY | O_CREAT);
    before = sim_file_blocking_calls();
    assert_int_equal(read_some(stream, 9), 0);
    assert_int_equal(aloop_stream_put(stream, "hel", 3), 0);
    assert_int_equal(aloop_stream_put(stream, "lo", 2), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_file("/a", "hello", 5);
    assert_int_equal(sim_file_blocking_calls(), before);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

static void a_filter_of_a_file_ends_when_it_is_written(void **state)
{
    aloop_stream *stream;

    (void) state;
    fill_large();
    for (int i = 0; i < 2; i++) {
        sim_file_put("/a", "", 0);
        stream = open_stream("/a", O_WRONLY);
        assert_int_equal(aloop_await(aloop_stream_filter(
                             stream, &passing_filter, new_passing(5000, 5000))),
                         0);
        assert_true(aloop_stream_put(stream, large, LARGE) >= 0);
        if (i == 0) {
            assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
            assert_file("/a", large, LARGE);
            assert_quiet_for_a_second();
        }
        aloop_stream_close(stream);
        assert_int_equal(aloop_run(t.loop), 0);
        assert_file("/a", large, LARGE);
    }
}

static void a_close_writes_everything(void **state)
{
    aloop_stream *stream;

    (void) state;
    stream = open_stream("/a", O_WRONLY | O_CREAT);
    assert_int_equal(aloop_stream_put(stream, large, LARGE), 1);
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_file("/a", large, LARGE);
}

static void a_close_without_time_keeps_what_a_thread_has(void **state)
{
    aloop_stream *stream;
    aloop_future *shutdown;

    (void) state;
    stream = open_stream("/a", O_WRONLY | O_CREAT);
    assert_int_equal(aloop_stream_set_linger(stream, 0), 0);
    assert_int_equal(aloop_stream_put(stream, "hello", 5), 0);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_stream_queued(stream), 0);
    shutdown = aloop_stream_shutdown(stream);
    aloop_stream_close(stream);
    assert_int_equal(aloop_await(shutdown), 0);
    assert_file("/a", "hello", 5);
}

static void a_write_of_many_bytes_settles_when_they_were_taken(void **state)
{
    aloop_stream *stream;

    (void) state;
    stream = open_stream("/a", O_WRONLY | O_CREAT | O_APPEND);
    assert_int_equal(aloop_await(aloop_stream_write(stream, large, LARGE)),
                     LARGE);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "end", 3)), 3);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_int_equal(sim_file_get("/a", got, sizeof got), LARGE + 3);
    aloop_stream_close(stream);
}

static void a_full_disk_fails_what_follows(void **state)
{
    aloop_stream *stream;

    (void) state;
    stream = open_stream("/a", O_WRONLY | O_CREAT);
    sim_device("/")->size_max = 4096;
    assert_int_equal(aloop_stream_put(stream, large, LARGE), 1);
    assert_int_equal(aloop_await(aloop_stream_drain(stream)), ALOOP_ENOSPC);
    assert_int_equal(aloop_stream_put(stream, "a", 1), ALOOP_ENOSPC);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), ALOOP_ENOSPC);
    aloop_stream_close(stream);
    stream = open_stream("/a", O_WRONLY | O_APPEND);
    assert_int_equal(aloop_stream_put(stream, "a", 1), 0);
    aloop_stream_close(stream); /* The error has no receiver. */
    assert_int_equal(aloop_run(t.loop), 0);
}

static void an_abort_drops_what_no_thread_has_begun(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_options()->file_delay_max_ns = MS;
    stream = open_stream("/a", O_WRONLY | O_CREAT);
    assert_int_equal(aloop_stream_put(stream, "hello", 5), 0);
    aloop_stream_abort(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_file("/a", "", 0);
    stream = open_stream("/a", O_WRONLY);
    assert_int_equal(aloop_stream_put(stream, large, LARGE), 1);
    aloop_step(t.loop, 0);
    aloop_stream_abort(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(sim_file_get("/a", got, sizeof got) < LARGE);
}

static void a_file_is_read_and_written_in_turns(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    stream = open_stream("/a", O_RDWR);
    assert_int_equal(aloop_stream_put(stream, "H", 1), 0);
    run_for(MS);
    assert_int_equal(read_some(stream, 4096), 4);
    assert_memory_equal(got, "ello", 4);
    assert_int_equal(aloop_stream_put(stream, "!", 1), 0);
    assert_int_equal(read_some(stream, 4096), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_file("/a", "Hello!", 6);
    aloop_stream_close(stream);
}

static void a_loop_is_freed_while_threads_use_a_file(void **state)
{
    (void) state;
    sim_options()->file_delay_max_ns = MS;
    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    aloop_detach(aloop_stream_read(open_stream("/a", O_RDONLY), got, 9));
    assert_true(
        aloop_stream_put(open_stream("/b", O_WRONLY | O_CREAT), "a", 1) == 0);
    aloop_step(t.loop, 0);
}

static void a_forked_child_reads_a_file_itself(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_file_put("/a", "hello", 5);
    sim_file_evict("/a");
    stream = open_stream("/a", O_RDWR);
    c.got_size = 0;
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_step(t.loop, 0) >= 0, 1);
    assert_int_equal(c.got_size, 0);
    assert_int_equal(aloop_stream_put(stream, "", 0), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(c.got_size, 5);
    aloop_stream_close(stream);
}

static void a_forked_child_leaves_what_was_read_to_its_parent(void **state)
{
    aloop_stream *stream = NULL;
    int fd;

    (void) state;
    sim_file_put("/a", "one\ntwo\n", 8);
    fd = open_duplicate("/a", O_RDONLY, &stream);
    assert_int_equal(read_some(stream, 1), 1);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(read_some(stream, 1), 1); /* It takes the stream over. */
    aloop_stream_close(stream);
    assert_int_equal(position_of(fd), 8);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_forked_child_leaves_what_was_read_for_a_filter(void **state)
{
    aloop_stream *stream = NULL;
    int fd;

    (void) state;
    sim_file_put("/a", "one\ntwo\n", 8);
    sim_file_evict("/a");
    fd = open_duplicate("/a", O_RDWR, &stream);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &passing_filter,
                                                     new_passing(4, 4))),
                     0);
    aloop_detach(aloop_stream_read(stream, got, 1));
    while (position_of(fd) == 0)
        aloop_step(t.loop, 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_stream_put(stream, "", 0), 0);
    aloop_stream_close(stream);
    assert_int_equal(position_of(fd), 8);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_file_that_was_closed_outside_is_reported(void **state)
{
    aloop_stream *stream, *second = NULL;
    int fd, other;

    (void) state;
    sim_file_put("/a", "hello", 5);
    stream = open_stream("/a", O_RDONLY);
    fd = aloop_stream_fd(stream);
    assert_int_equal(aloop_stream_start(stream, note_size, NULL), 0);
    assert_int_equal(aloop__sys_close(fd), 0);
    other = open_fd("/a", O_RDONLY);
    assert_int_equal(other, fd);
    assert_int_equal(aloop_stream_open(t.loop, other, &second), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(ALOOP_EBADF);
    aloop_stream_close(stream);
    assert_int_equal(read_some(second, 9), 5);
    aloop_stream_close(second);
}

/* Devices. */

static void a_device_that_is_always_ready_needs_no_thread(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_file_null("/null");
    stream = open_stream("/null", O_RDWR);
    assert_int_equal(aloop_await(aloop_stream_write(stream, large, LARGE)),
                     LARGE);
    assert_int_equal(read_some(stream, 9), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_int_equal(sim_threads_open(), 0);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
    stream = open_stream("/null", O_RDWR);
    assert_int_equal(aloop_stream_start(stream, note_size, NULL), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(0);
    aloop_stream_close(stream);
}

/* Its driver has no poll, and knows no call that does not block. */
static void a_device_that_blocks_is_used_by_threads(void **state)
{
    aloop_stream *stream;
    unsigned before;

    (void) state;
    sim_file_slow("/slow", "hello", 5);
    stream = open_stream("/slow", O_RDWR);
    before = sim_file_blocking_calls();
    assert_int_equal(read_some(stream, 3), 3);
    assert_memory_equal(got, "hel", 3);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "p!", 2)), 2);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_file("/slow", "hellop!", 7); /* The stream has read ahead. */
    assert_int_equal(sim_threads_open(), 1);
    assert_int_equal(sim_file_blocking_calls(), before);
    aloop_stream_close(stream);
}

/* Without O_NONBLOCK the thread waits. */
static void a_device_that_blocks_is_used_without_o_nonblock(void **state)
{
    static const int flags[] = {0, O_NONBLOCK};

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        aloop_stream *stream;
        int fd;

        sim_file_slow("/slow", "hello", 5);
        stream = open_stream("/slow", O_RDWR | flags[i]);
        assert_int_equal(read_some(stream, 5), 5);
        assert_memory_equal(got, "hello", 5);
        assert_int_equal(aloop_await(aloop_stream_write(stream, "!", 1)), 1);
        assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
        fd = aloop_stream_detach(stream, NULL, NULL);
        assert_int_equal(aloop__sys_file_flags(fd) & O_NONBLOCK, flags[i]);
        assert_int_equal(aloop__sys_close(fd), 0);
    }
}

static void a_device_whose_flags_cannot_be_set_is_not_opened(void **state)
{
    aloop_stream *stream;
    int fd;

    (void) state;
    sim_file_slow("/slow", "hello", 5);
    fd = open_fd("/slow", O_RDWR | O_NONBLOCK);
    sim_fail("aloop__sys_file_set_blocking", 1, ALOOP_EIO);
    assert_int_equal(aloop_stream_open(t.loop, fd, &stream), ALOOP_EIO);
    assert_int_equal(aloop__sys_close(fd), 0);
}

/* Cancels a read after a thread has begun with it, and lets that read. */
static void cancel_read(aloop_stream *stream)
{
    aloop_future *read = aloop_stream_read(stream, got, 3);
    unsigned before = sim_calls("aloop__sys_read");

    aloop_step(t.loop, 0);
    aloop_cancel(read);
    aloop_future_unref(read);
    run_for(MS);
    assert_int_equal(sim_calls("aloop__sys_read"), before + 1);
}

/* What a thread has read cannot be read again. */
static void a_detached_device_gives_what_no_reader_has_taken(void **state)
{
    aloop_stream *stream;
    void *bytes;
    size_t size;
    int fd;

    (void) state;
    sim_file_slow("/slow", "hello", 5);
    stream = open_stream("/slow", O_RDONLY);
    cancel_read(stream);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), ALOOP_EBUSY);
    fd = aloop_stream_detach(stream, &bytes, &size);
    assert_true(fd >= 0);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "hello", 5);
    aloop_data_free(t.loop, bytes);
    assert_int_equal(aloop__sys_close(fd), 0);
}

/* A device may be a tape, whose position is not the stream's to change. */
static void a_closed_device_stays_where_the_read_has_ended(void **state)
{
    aloop_stream *stream, *other;
    int fd;

    (void) state;
    sim_file_slow("/slow", "hello", 5);
    fd = open_fd("/slow", O_RDONLY);
    assert_int_equal(
        aloop_stream_open(t.loop, aloop__sys_duplicate(fd), &stream), 0);
    cancel_read(stream);
    aloop_stream_close(stream);
    run_for(MS);
    assert_int_equal(aloop_stream_open(t.loop, fd, &other), 0);
    assert_int_equal(sim_calls("aloop__sys_seek"), 0);
    aloop_stream_close(other);
}

static void a_file_is_opened_with_little_memory_or_not_at_all(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    sim_file_put("/a", "hello", 5);
    sim_file_null("/null");
    for (int i = 0; i < 2; i++) {
        int fd = open_fd(i == 0 ? "/a" : "/null", O_RDWR);
        int error = ALOOP_ENOMEM;

        for (unsigned nth = 1; error == ALOOP_ENOMEM; nth++) {
            memory.fails_at = memory.calls + nth;
            error = aloop_stream_open(t.loop, fd, &stream);
        }
        memory.fails_at = 0;
        assert_int_equal(error, 0);
        aloop_stream_close(stream);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_cached_file_is_read_without_a_thread),
        TEST(a_file_is_read_by_threads_if_it_is_not_cached),
        TEST(a_callback_gets_a_file_and_its_end),
        TEST(an_error_of_a_read_ends_the_stream),
        TEST(a_thread_that_cannot_start_is_an_error),
        TEST(a_pool_that_cannot_be_made_is_an_error),
        TEST(the_position_of_a_file_is_used_and_moved),
        TEST(what_no_reader_has_taken_goes_back_to_the_file),
        TEST(what_follows_a_line_goes_back_to_the_file),
        TEST(nothing_goes_back_to_a_file_after_a_write),
        TEST(a_stream_may_be_closed_while_a_thread_reads),
        TEST(a_shutdown_waits_until_a_file_is_written),
        TEST(a_filter_of_a_file_ends_when_it_is_written),
        TEST(a_close_writes_everything),
        TEST(a_close_without_time_keeps_what_a_thread_has),
        TEST(a_write_of_many_bytes_settles_when_they_were_taken),
        TEST(a_full_disk_fails_what_follows),
        TEST(an_abort_drops_what_no_thread_has_begun),
        TEST(a_file_is_read_and_written_in_turns),
        TEST(a_loop_is_freed_while_threads_use_a_file),
        TEST(a_forked_child_reads_a_file_itself),
        TEST(a_forked_child_leaves_what_was_read_to_its_parent),
        TEST(a_forked_child_leaves_what_was_read_for_a_filter),
        TEST(a_file_that_was_closed_outside_is_reported),
        TEST(a_device_that_is_always_ready_needs_no_thread),
        TEST(a_device_that_blocks_is_used_by_threads),
        TEST(a_device_that_blocks_is_used_without_o_nonblock),
        TEST(a_device_whose_flags_cannot_be_set_is_not_opened),
        TEST(a_detached_device_gives_what_no_reader_has_taken),
        TEST(a_closed_device_stays_where_the_read_has_ended),
        MEMORY_TEST(a_file_is_opened_with_little_memory_or_not_at_all),
    };

    fill_large();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
