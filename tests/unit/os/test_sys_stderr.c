/* Writing to standard error: a write never waits, and never goes to another
 * file. */

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
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sys.h"
#include "support/patient.h"
#include "support/sockets.h"

static int write_line(const char *line, size_t size)
{
    struct sys_stderr file;

    aloop__sys_stderr_look(&file);
    return aloop__sys_stderr_write(&file, line, size);
}

/* Complains into a pipe whose reading end is closed. */
static void write_to_closed_pipe(void)
{
    int ends[2], before = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close_pair(ends);
    assert_int_equal(write_line("lost\n", 5), -EPIPE);
    dup2(before, STDERR_FILENO);
    close(before);
}

static bool is_pending(int number)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, number) == 1;
}

static void a_report_to_a_closed_pipe_raises_no_signal(void **state)
{
    sigset_t broken_pipe, before;
    int number;

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    write_to_closed_pipe();
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    write_to_closed_pipe();
    assert_false(is_pending(SIGPIPE));

    raise(SIGPIPE);
    write_to_closed_pipe();

    assert_true(is_pending(SIGPIPE)); /* The test raised this one. */
    sigwait(&broken_pipe, &number);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void a_report_is_written_to_standard_error(void **state)
{
    int ends[2], before = dup(STDERR_FILENO);
    char text[16];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);

    assert_int_equal(write_line("a line\n", 7), 0);

    dup2(before, STDERR_FILENO);
    assert_int_equal(read(ends[0], text, sizeof text), 7);
    assert_memory_equal(text, "a line\n", 7);
    close(before);
    close_pair(ends);
}

/* Writes until the descriptor is full, and then restores its flags. */
static void fill(int fd)
{
    static const char zeros[4096];
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    while (write(fd, zeros, 1) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

/* Complains to a descriptor that is full.  If the call waited, the alarm would
 * end the test. */
static int write_to_full(int fd)
{
    int before = dup(STDERR_FILENO), flags = fcntl(fd, F_GETFL);
    int error;

    fill(fd);
    dup2(fd, STDERR_FILENO);
    alarm(20);
    error = write_line("a line\n", 7);
    alarm(0);
    dup2(before, STDERR_FILENO);
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    close(before);
    return error;
}

static void a_report_never_waits(void **state)
{
    int ends[2], terminal, other, error;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write_to_full(ends[1]), -EAGAIN);
    close_pair(ends);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write_to_full(ends[1]), -EAGAIN);
    close_pair(ends);
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
        return; /* There is no pseudo-terminal. */
    other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(other >= 0);
    error = write_to_full(other);
    /* A terminal may pass bytes on. */
    assert_true(error == 0 || error == -EAGAIN);
    close(other);
    close(terminal);
}

static void a_report_reaches_a_socket_and_a_file(void **state)
{
    int before = dup(STDERR_FILENO), pair[2];
    FILE *file = tmpfile();
    char text[16];

    (void) state;
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    assert_int_equal(write_line("a line\n", 7), 0);
    assert_int_equal(pread(fileno(file), text, sizeof text, 0), 7);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[1], STDERR_FILENO);
    assert_int_equal(write_line("a line\n", 7), 0);
    assert_int_equal(read(pair[0], text, sizeof text), 7);
    dup2(before, STDERR_FILENO);
    close(before);
    close_pair(pair);
    fclose(file);
}

static bool is_usable(int fd)
{
    struct sys_stderr file;

    dup2(fd, STDERR_FILENO);
    aloop__sys_stderr_look(&file);
    return file.is_usable;
}

static void a_file_that_only_has_the_number_of_stderr_is_not_used(void **state)
{
    int before = dup(STDERR_FILENO), ends[2], error;
    int tcp = aloop__sys_tcp_socket(SYS_INET);
    struct sys_stderr file;
    bool are_usable;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    are_usable = is_usable(tcp) || is_usable(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    fcntl(STDERR_FILENO, F_SETFD, FD_CLOEXEC); /* It was not inherited. */
    aloop__sys_stderr_look(&file);
    are_usable = are_usable || file.is_usable;
    close(STDERR_FILENO);
    aloop__sys_stderr_look(&file);
    error = aloop__sys_stderr_write(&file, "a line\n", 7);
    dup2(before, STDERR_FILENO);
    assert_false(are_usable || file.is_usable);
    assert_int_equal(error, -EBADF);
    close(before);
    close_pair(ends);
    aloop__sys_close(tcp);
}

static void a_report_does_not_go_to_a_file_that_replaced_stderr(void **state)
{
    int before = dup(STDERR_FILENO), pair[2], error;
    struct sys_stderr file;
    char text[16];

    (void) state;
    aloop__sys_stderr_look(&file);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[1], STDERR_FILENO);
    error = aloop__sys_stderr_write(&file, "a line\n", 7);
    dup2(before, STDERR_FILENO);
    assert_int_equal(error, -EBADF);
    assert_true(recv(pair[0], text, sizeof text, MSG_DONTWAIT) < 0);
    close(before);
    close_pair(pair);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_to_a_closed_pipe_raises_no_signal),
        cmocka_unit_test(a_report_is_written_to_standard_error),
        cmocka_unit_test(a_report_never_waits),
        cmocka_unit_test(a_report_reaches_a_socket_and_a_file),
        cmocka_unit_test(a_file_that_only_has_the_number_of_stderr_is_not_used),
        cmocka_unit_test(a_report_does_not_go_to_a_file_that_replaced_stderr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
