/* The functions of os/sys_stdio.h on the real system. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/sys.h"
#include "os/sys_stdio.h"

enum { MANY = 1 << 20 };
static const char many[MANY];

static struct {
    char folder[64];
    char path[96];
} f;

static int make_folder(void **state)
{
    (void) state;
    (void) snprintf(f.folder, sizeof f.folder, "/tmp/aloop-stdio-XXXXXX");
    if (mkdtemp(f.folder) == NULL)
        return -1;
    (void) snprintf(f.path, sizeof f.path, "%s/name", f.folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void) state;
    unlink(f.path);
    return rmdir(f.folder);
}

static void close_ends(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void assert_blocking(int fd)
{
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

/* Returns whether the kernel can read a blocking pipe without blocking. */
static bool has_nowait(int empty)
{
    char byte;

    return aloop__sys_read_now(empty, &byte, 1) != -EOPNOTSUPP;
}

static void a_blocking_pipe_is_used_without_blocking(void **state)
{
    struct sys_piece byte = {"a", 1}, all = {many, MANY};
    char bytes[8];
    int fds[2];

    (void) state;
    assert_int_equal(pipe(fds), 0);
    if (!has_nowait(fds[0])) {
        close_ends(fds);
        skip();
    }
    assert_int_equal(aloop__sys_read_now(fds[0], bytes, 8), -EAGAIN);
    assert_int_equal(aloop__sys_write_now(fds[1], &byte, 1), 1);
    assert_int_equal(aloop__sys_read_now(fds[0], bytes, 8), 1);
    while (aloop__sys_write_now(fds[1], &all, 1) > 0)
        ;
    assert_int_equal(aloop__sys_write_now(fds[1], &byte, 1), -EAGAIN);
    assert_blocking(fds[0]);
    assert_blocking(fds[1]);
    close_ends(fds);
}

static void a_blocking_pipe_is_polled_before_it_is_used(void **state)
{
    struct sys_piece pieces[] = {{"ab", 2}, {many, MANY}};
    char bytes[8];
    int fds[2];

    (void) state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(aloop__sys_read_polled(fds[0], bytes, 8), -EAGAIN);
    assert_true(aloop__sys_write_polled(fds[1], pieces, 2) > 2);
    assert_int_equal(aloop__sys_read_polled(fds[0], bytes, 2), 2);
    assert_memory_equal(bytes, "ab", 2);
    while (aloop__sys_write_polled(fds[1], pieces, 2) > 0)
        ;
    assert_int_equal(aloop__sys_write_polled(fds[1], pieces, 2), -EAGAIN);
    assert_blocking(fds[1]);
    close_ends(fds);
}

static void a_pipe_without_a_reader_raises_no_signal(void **state)
{
    struct sys_piece byte = {"a", 1};
    int fds[2];

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(pipe(fds), 0);
    if (has_nowait(fds[0])) {
        close(fds[0]);
        assert_int_equal(aloop__sys_write_now(fds[1], &byte, 1), -EPIPE);
    } else {
        close(fds[0]);
    }
    assert_int_equal(aloop__sys_write_polled(fds[1], &byte, 1), -EPIPE);
    close(fds[1]);
}

static void a_pipe_with_a_name_has_no_calls_that_do_not_block(void **state)
{
    struct sys_piece byte = {"a", 1};
    char bytes[8];
    int fd, again;

    (void) state;
    assert_int_equal(mkfifo(f.path, 0600), 0);
    fd = open(f.path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_read_now(fd, bytes, 8), -EOPNOTSUPP);
    assert_int_equal(aloop__sys_write_now(fd, &byte, 1), -EOPNOTSUPP);
    again = aloop__sys_reopen(fd);
    if (again != -ENOTSUP) {
        assert_true(again >= 0);
        assert_int_equal(read(again, bytes, 8), -1);
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(write(fd, "b", 1), 1);
        assert_int_equal(read(again, bytes, 8), 1);
        assert_true((fcntl(again, F_GETFD) & FD_CLOEXEC) != 0);
        close(again);
    }
    assert_blocking(fd);
    close(fd);
}

static void what_is_not_open_cannot_be_opened_again(void **state)
{
    (void) state;
    assert_int_equal(aloop__sys_reopen(-1), -EBADF);
}

static void cached_bytes_of_a_file_are_read_at_its_position(void **state)
{
    char bytes[8] = "";
    ssize_t count;
    int fd = open(f.path, O_RDWR | O_CREAT, 0600);

    (void) state;
    assert_int_equal(write(fd, "hello", 5), 5);
    assert_int_equal(lseek(fd, 1, SEEK_SET), 1);
    count = aloop__sys_read_now(fd, bytes, 2);
    if (count != -EOPNOTSUPP && count != -EAGAIN) {
        assert_int_equal(count, 2);
        assert_memory_equal(bytes, "el", 2);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
    }
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test(name)
#define FOLDER(name) \
    cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    static const struct CMUnitTest tests[] = {
        TEST(a_blocking_pipe_is_used_without_blocking),
        TEST(a_blocking_pipe_is_polled_before_it_is_used),
        TEST(a_pipe_without_a_reader_raises_no_signal),
        FOLDER(a_pipe_with_a_name_has_no_calls_that_do_not_block),
        TEST(what_is_not_open_cannot_be_opened_again),
        FOLDER(cached_bytes_of_a_file_are_read_at_its_position),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
