/* The functions of os/sys_stream.h on the real system. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sys_stream.h"
#include "support/patient.h"

static void assert_flags(int fd)
{
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void pairs_and_pipes_are_non_blocking_and_close_on_exec(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_socket_pair(fds), 0);
    assert_flags(fds[0]);
    assert_flags(fds[1]);
    close_both(fds);
    assert_int_equal(aloop__sys_pipe(fds), 0);
    assert_flags(fds[0]);
    assert_flags(fds[1]);
    close_both(fds);
}

static enum sys_kind kind_of(int fd)
{
    struct sys_descriptor what = {.kind = SYS_KIND_OTHER};

    assert_int_equal(aloop__sys_examine(fd, &what), 0);
    return what.kind;
}

static enum sys_kind kind_of_path(const char *path, int flags)
{
    int fd = open(path, flags);
    enum sys_kind kind;

    assert_true(fd >= 0);
    kind = kind_of(fd);
    close(fd);
    return kind;
}

static enum sys_kind kind_of_socket(int type, bool is_listening)
{
    int fd = socket(AF_INET, type, 0);
    enum sys_kind kind;

    assert_true(fd >= 0);
    if (is_listening)
        assert_int_equal(listen(fd, 1), 0);
    kind = kind_of(fd);
    close(fd);
    return kind;
}

static void a_descriptor_has_one_of_several_kinds(void **state)
{
    char path[] = "/tmp/aloop-kind-XXXXXX";
    int file = mkstemp(path), fds[2], terminal;

    (void) state;
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(kind_of(file), SYS_KIND_FILE);
    close(file);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(kind_of(fds[0]), SYS_KIND_PIPE);
    close_both(fds);
    assert_int_equal(kind_of_socket(SOCK_STREAM, false), SYS_KIND_SOCKET);
    assert_int_equal(kind_of_socket(SOCK_STREAM, true), SYS_KIND_LISTENER);
    assert_int_equal(kind_of_socket(SOCK_DGRAM, false), SYS_KIND_OTHER);
    assert_int_equal(kind_of_path("/dev/null", O_RDWR), SYS_KIND_DEVICE);
    assert_int_equal(kind_of_path("/", O_RDONLY), SYS_KIND_OTHER);
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal >= 0)
        assert_int_equal(kind_of(terminal), SYS_KIND_TERMINAL);
    close(terminal);
#ifdef O_PATH
    assert_int_equal(kind_of_path("/dev/null", O_PATH), SYS_KIND_OTHER);
#endif
}

static void a_descriptor_has_directions_and_may_block(void **state)
{
    struct sys_descriptor what;
    int fds[2];

    (void) state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(aloop__sys_examine(fds[0], &what), 0);
    assert_true(what.can_read && !what.can_write && what.is_blocking);
    assert_int_equal(aloop__sys_examine(fds[1], &what), 0);
    assert_true(!what.can_read && what.can_write && what.is_blocking);
    close_both(fds);
    assert_int_equal(aloop__sys_socket_pair(fds), 0);
    assert_int_equal(aloop__sys_examine(fds[0], &what), 0);
    assert_true(what.can_read && what.can_write && !what.is_blocking);
    close_both(fds);
    assert_int_equal(aloop__sys_examine(fds[0], &what), -EBADF);
}

static void a_pipe_takes_several_pieces_until_it_is_full(void **state)
{
    static char large[1 << 17];
    struct sys_piece pieces[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    char text[8];
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_pipe(fds), 0);
    assert_int_equal(aloop__sys_pipe_write(fds[1], pieces, 3), 5);
    assert_int_equal(read(fds[0], text, sizeof text), 5);
    assert_memory_equal(text, "abcde", 5);
    pieces[0] = (struct sys_piece){large, sizeof large};
    assert_true(aloop__sys_pipe_write(fds[1], pieces, 1) > 0);
    assert_int_equal(aloop__sys_pipe_write(fds[1], pieces, 1), -EAGAIN);
    close_both(fds);
}

/* Class 27: SIGPIPE has its default disposition, which would kill the
 * process. */
static void writing_to_a_pipe_without_a_reader_is_an_error_and_no_signal(
    void **state)
{
    struct sys_piece piece = {"a", 1};
    int fds[2];

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(aloop__sys_pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(aloop__sys_pipe_write(fds[1], &piece, 1), -EPIPE);
    close(fds[1]);
}

static void descriptors_are_received_with_the_bytes_of_their_message(
    void **state)
{
    int pair[2], copies[2];
    struct sys_fds received;
    char text[8];

    (void) state;
    assert_int_equal(aloop__sys_socket_pair(pair), 0);
    for (int i = 0; i < 2; i++) {
        copies[i] = aloop__sys_duplicate(pair[i]);
        assert_true(copies[i] >= 3);
        assert_true((fcntl(copies[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    assert_int_equal(aloop__sys_send_fds(pair[0], "ab", 2, copies, 2), 2);
    assert_int_equal(aloop__sys_send(pair[0], "cd", 2), 2);
    close_both(copies);
    assert_int_equal(aloop__sys_recv_fds(pair[1], text, sizeof text, &received),
                     2);
    assert_int_equal(received.count, 2);
    assert_int_equal(received.error, 0);
    assert_true((fcntl(received.fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    close_both(received.fds);
    assert_int_equal(aloop__sys_recv_fds(pair[1], text, sizeof text, &received),
                     2);
    assert_int_equal(received.count, 0);
    assert_int_equal(aloop__sys_recv_fds(pair[1], text, sizeof text, &received),
                     -EAGAIN);
    assert_int_equal(aloop__sys_duplicate(-1), -EBADF);
    close_both(pair);
}

#ifdef __linux__

/* Sends five descriptors, and receives them with so few numbers left that three
 * of them are lost. */
static void descriptors_without_a_number_are_reported_as_lost(void **state)
{
    struct rlimit before, limit;
    struct sys_fds received;
    int pair[2], five[5];
    char byte;

    (void) state;
    if (patient_runs_on_valgrind()) /* It has limits of its own. */
        skip();
    assert_int_equal(aloop__sys_socket_pair(pair), 0);
    for (int i = 0; i < 5; i++)
        five[i] = pair[0];
    assert_int_equal(aloop__sys_send_fds(pair[0], "a", 1, five, 5), 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    five[0] = aloop__sys_duplicate(pair[0]);
    five[1] = aloop__sys_duplicate(pair[0]);
    limit.rlim_cur = (rlim_t) five[1] + 1;
    close(five[0]);
    close(five[1]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(aloop__sys_recv_fds(pair[1], &byte, 1, &received), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(received.count, 2);
    assert_int_equal(received.error, -EMFILE);
    close_both(received.fds);
    close_both(pair);
}

#endif

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_and_pipes_are_non_blocking_and_close_on_exec),
        cmocka_unit_test(a_descriptor_has_one_of_several_kinds),
        cmocka_unit_test(a_descriptor_has_directions_and_may_block),
        cmocka_unit_test(a_pipe_takes_several_pieces_until_it_is_full),
        cmocka_unit_test(
            writing_to_a_pipe_without_a_reader_is_an_error_and_no_signal),
        cmocka_unit_test(
            descriptors_are_received_with_the_bytes_of_their_message),
#ifdef __linux__ /* Other systems report this in other ways. */
        cmocka_unit_test(descriptors_without_a_number_are_reported_as_lost),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
