/* Files that wait: FIFOs, pipes and an eventfd, on the real system. */

#define _GNU_SOURCE /* For mkdtemp(), and pipes with a known size. */

#include "support/open_file_fixture.h"

#include <poll.h>
#include <sys/resource.h>

#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

#ifdef __linux__
#include <sys/eventfd.h>
#endif

enum { OTHER_USER = 12345 };

static void a_fifo_is_read_without_a_thread(void **state)
{
    aloop_file *reader, *writer;
    aloop_future *read;
    char text[16] = "";

    (void) state;
    assert_int_equal(mkfifo(in_folder("f"), 0600), 0);
    assert_int_equal(open_status(in_folder("f"), O_WRONLY), ALOOP_ENXIO);
    reader = open_here("f", O_RDONLY);
    assert_int_equal(aloop_file_position(reader), ALOOP_ESPIPE);
    assert_int_equal(aloop_file_seek(reader, 0, SEEK_SET), ALOOP_ESPIPE);
    assert_int_equal(aloop_await(aloop_file_seek_end(reader, 0)), ALOOP_ESPIPE);
    assert_int_equal(aloop_await(aloop_file_read_at(reader, text, 1, 0)),
                     ALOOP_ESPIPE);
    jam_files();
    read = aloop_file_read(reader, text, sizeof text);
    aloop_step(d.loop, 0);
    aloop_cancel(read);
    assert_int_equal(aloop_future_status(read), ALOOP_ECANCELED);
    aloop_future_unref(read);
    free_files();
    read = aloop_file_read(reader, text, sizeof text);
    aloop_step(d.loop, 0);
    writer = open_here("f", O_WRONLY);
    assert_int_equal(write_text(writer, "hello"), 5);
    assert_int_equal(aloop_await(read), 5);
    assert_string_equal(text, "hello");
    read = aloop_file_read(reader, text, sizeof text);
    aloop_file_close(writer);
    assert_int_equal(aloop_await(read), 0);
    aloop_file_close(reader);
}

#ifdef __linux__
/* It accepts seeks, but no reads at an offset. */
static void an_eventfd_has_no_position(void **state)
{
    uint64_t sent = 7, received = 0;
    aloop_file *file;
    aloop_future *read;
    int fd = eventfd(0, EFD_CLOEXEC);

    (void) state;
    assert_int_equal(aloop_file_adopt(d.loop, fd, &file), 0);
    assert_int_equal(aloop_file_position(file), ALOOP_ESPIPE);
    read = aloop_file_read(file, &received, sizeof received);
    aloop_step(d.loop, 0);
    assert_int_equal(patient_write(fd, &sent, sizeof sent), sizeof sent);
    assert_int_equal(aloop_await(read), sizeof received);
    assert_int_equal(received, sent);
    aloop_file_close(file);
}
#endif

static void a_close_ends_reads_that_wait(void **state)
{
    aloop_file *reader;
    aloop_future *reads[2];
    char text[16];

    (void) state;
    assert_int_equal(mkfifo(in_folder("f"), 0600), 0);
    reader = open_here("f", O_RDONLY);
    reads[0] = aloop_file_read(reader, text, sizeof text);
    reads[1] = aloop_file_read(reader, text, sizeof text);
    aloop_step(d.loop, 0);
    aloop_file_close(reader);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_future_status(reads[i]), ALOOP_ECANCELED);
        aloop_future_unref(reads[i]);
    }
}

/* Creates a pipe whose ends are files.  It has room for a page. */
static void open_pipe(aloop_file **ret_reader, aloop_file **ret_writer,
                      int flags)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(fds[i], F_SETFL, flags), 0);
#ifdef F_SETPIPE_SZ
    fcntl(fds[1], F_SETPIPE_SZ, 4096);
#endif
    assert_int_equal(aloop_file_adopt(d.loop, fds[0], ret_reader), 0);
    assert_int_equal(aloop_file_adopt(d.loop, fds[1], ret_writer), 0);
}

static void pass_through_pipe(int flags)
{
    static char sent[50000], received[sizeof sent];
    aloop_file *reader, *writer;
    aloop_future *write;
    size_t size = 0;
    ssize_t n;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i * 3 + i / 256);
    open_pipe(&reader, &writer, flags);
    write = aloop_file_write(writer, sent, sizeof sent);
    while (size < sizeof sent) {
        n = read_file(reader, received + size, sizeof received - size);
        assert_true(n > 0);
        size += (size_t) n;
    }
    assert_int_equal(aloop_await(write), sizeof sent);
    assert_memory_equal(sent, received, sizeof sent);
    aloop_file_close(writer);
    assert_int_equal(read_file(reader, received, 1), 0);
    aloop_file_close(reader);
}

static void all_bytes_pass_through_a_small_pipe(void **state)
{
    (void) state;
    pass_through_pipe(O_NONBLOCK);
}

static void all_bytes_pass_through_a_pipe_that_blocks(void **state)
{
    (void) state;
    pass_through_pipe(0);
}

static void a_write_that_waits_for_room_can_be_cancelled(void **state)
{
    static char data[50000];
    aloop_file *reader, *writer;
    aloop_future *write, *read;
    char byte;

    (void) state;
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        open_pipe(&reader, &writer, flags);
        write = aloop_file_write(writer, data, sizeof data);
        read = aloop_file_read(reader, &byte, 1);
        assert_int_equal(aloop_await(read), 1);
        aloop_cancel(write);
        assert_int_equal(aloop_await(write), ALOOP_EABORTED);
        aloop_file_close(reader);
        aloop_file_close(writer);
    }
}

static void a_broken_pipe_raises_no_signal(void **state)
{
    aloop_file *reader, *writer;

    (void) state;
    open_pipe(&reader, &writer, O_NONBLOCK);
    aloop_file_close(reader);
    assert_int_equal(aloop_run(d.loop), 0);
    assert_int_equal(write_text(writer, "x"), ALOOP_EPIPE);
    aloop_file_close(writer);
}

static bool is_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return patient_poll(&wait, 1, 0) == 1;
}

#ifdef __linux__
static void *run_no_thread(void *arg)
{
    return arg;
}
#endif

/* Becomes a user who may have no process.  Returns whether the system refuses
 * threads then. */
static bool forbid_threads(void)
{
#ifdef __linux__
    struct rlimit none = {0, 0};
    pthread_t thread;

    if (setrlimit(RLIMIT_NPROC, &none) < 0 ||
        (geteuid() == 0 && setresuid(OTHER_USER, OTHER_USER, 0) < 0))
        return false;
    if (pthread_create(&thread, NULL, run_no_thread, NULL) != 0)
        return true;
    pthread_join(thread, NULL);
#endif
    return false;
}

/* The write has filled the pipe and waits.  No thread can continue it in the
 * child. */
static void a_write_that_has_waited_fails_without_a_thread(void **state)
{
    static char sent[50000];
    aloop_file *reader, *writer;
    aloop_future *write;
    bool is_tested;
    pid_t child;

    (void) state;
    if (!HAS_THREADS_AFTER_FORK)
        skip();
    open_pipe(&reader, &writer, O_NONBLOCK);
    write = aloop_file_write(writer, sent, sizeof sent);
    do
        wait_for_threads();
    while (!is_readable(aloop_file_fd(reader)));
    child = fork();
    if (child == 0) {
        uid_t user = geteuid();

        CHECK(aloop_after_fork(d.loop) == 0);
        if (!forbid_threads())
            _exit(CHILD_SKIPS);
        CHECK(patient_read(aloop_file_fd(reader), sent, sizeof sent) > 0);
        for (int i = 0; i < 100; i++)
            aloop_step(d.loop, 0);
        CHECK(aloop_future_status(write) == ALOOP_EAGAIN);
        aloop_future_unref(write);
        CHECK(aloop_free(d.loop) == 0);
        CHECK(seteuid(user) == 0); /* For coverage data. */
        _exit(0);
    }
    is_tested = has_child_succeeded(child);
    aloop_cancel(write);
    aloop_future_unref(write);
    aloop_file_close(writer);
    aloop_file_close(reader);
    if (!is_tested)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef __linux__
        TEST(an_eventfd_has_no_position),
#endif
        TEST(a_fifo_is_read_without_a_thread),
        TEST(a_close_ends_reads_that_wait),
        TEST(all_bytes_pass_through_a_small_pipe),
        TEST(all_bytes_pass_through_a_pipe_that_blocks),
        TEST(a_write_that_has_waited_fails_without_a_thread),
        TEST(a_write_that_waits_for_room_can_be_cancelled),
        TEST(a_broken_pipe_raises_no_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
