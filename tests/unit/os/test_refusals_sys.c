/* Sockets, wake-ups and threads when system calls fail. */

#define _GNU_SOURCE

#include "support/refusal_fixture.h"

/* The rows of the table that make one call of libc. */

enum { AGAIN = 1, NEVER, ERRORS_MAX = 8, PERSISTENT = 1000 };

#define CALLS(function, libc, on_eintr, arguments, ...) \
    static long call_##function(void) \
    { \
        return (long) aloop__##function arguments; \
    }
#include "support/sys_calls.def"

#define LIST(...) \
    { \
        __VA_ARGS__ \
    }

static const struct {
    const char *name, *libc;
    int on_eintr;
    long (*call)(void);
    int lasting[ERRORS_MAX], passing[ERRORS_MAX];
} rows[] = {
#define CALLS(function, libc, on_eintr, arguments, lasting, passing) \
    {#function, #libc, on_eintr, call_##function, LIST lasting, LIST passing},
#include "support/sys_calls.def"
};

/* The system may lack RWF_NOSIGNAL.  Then pwritev2() is tried only once. */
static bool is_called(const char *libc)
{
    static const struct iovec vector = {(void *) "a", 1};
    int pair[2];
    long written;

    if (strcmp(libc, "pwritev2") != 0)
        return true;
    open_pair(pair);
    written =
        __real_syscall(SYS_pwritev2, pair[1], &vector, 1L, -1L, -1L, 0x100L);
    close_pair(pair);
    return written == 1;
}

static void an_interrupted_call_is_repeated_or_has_a_result(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool is_repeated = rows[i].on_eintr == AGAIN;
        int times = is_repeated ? 3 : 1;
        long result;

        if (rows[i].on_eintr == NEVER || !is_called(rows[i].libc))
            continue;
        refuse(rows[i].libc, EINTR, times);
        result = rows[i].call();
        if (f.refused != times ||
            (is_repeated ? result == -EINTR : result != rows[i].on_eintr))
            fail_msg("%s: %ld after %d signals", rows[i].name, result,
                     f.refused);
    }
}

/* With other errors the next call may be an older one. */
static void expect_error(size_t row, int error)
{
    long result;

    if (error == 0 || is_refusal(-error) || !is_called(rows[row].libc))
        return;
    refuse(rows[row].libc, -error, PERSISTENT);
    result = rows[row].call();
    if (!was_refused() || result != error)
        fail_msg("%s: %ld instead of %d", rows[row].name, result, error);
}

static void each_error_of_a_call_is_returned(void **state)
{
    int before = open_descriptors(FDS_MAX);

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < ERRORS_MAX; j++) {
            expect_error(i, rows[i].lasting[j]);
            expect_error(i, rows[i].passing[j]);
        }
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

static void assert_flags(int fd)
{
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

/* The options of tcp_options.h and udp_options.h that a kernel may not know. */
static void an_option_that_the_kernel_does_not_know_is_not_supported(
    void **state)
{
    static const int errors[] = {ENOPROTOOPT, EOPNOTSUPP};
    struct sys_udp udp;
    int fd = aloop__sys_tcp_socket(SYS_INET);

    (void) state;
    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_udp_open(SYS_INET, false, &udp), 0);
    for (size_t i = 0; i < COUNT(errors); i++) {
        refuse("setsockopt", errors[i], 1);
        assert_int_equal(aloop__sys_reuse_port(fd), ALOOP_ENOTSUP);
        refuse("setsockopt", errors[i], 1);
        assert_int_equal(aloop__sys_udp_set(&udp, SYS_UDP_REUSE_PORT, 1),
                         ALOOP_ENOTSUP);
    }
    aloop__sys_close(fd);
    aloop__sys_close(udp.fd);
}

static void accept_works_without_accept4(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address);

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        int client = aloop__sys_tcp_socket(SYS_INET), accepted;

        aloop__sys_connect(client, &address);
        assert_true(is_readable(listener));
        refuse("accept4", refusals[i], 1);
        accepted = aloop__sys_accept(listener);
        assert_flags(accepted);
        close_pair((int[2]){client, accepted});
    }
    refuse("accept4", EPERM, 1);
    assert_int_equal(aloop__sys_accept(listener), -EAGAIN);
    aloop__sys_close(listener);
}

static void a_socket_has_its_flags_even_if_socket_refuses_them(void **state)
{
    int before = open_descriptors(FDS_MAX);

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        int fd;

        refuse("socket", refusals[i], 1);
        fd = aloop__sys_tcp_socket(SYS_INET);
        assert_flags(fd);
        aloop__sys_close(fd);
        refuse("socket", refusals[i], 2);
        assert_int_equal(aloop__sys_tcp_socket(SYS_INET), -refusals[i]);
    }
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

static void pairs_have_their_flags_even_if_the_system_refuses_them(void **state)
{
    static int (*const opens[])(int fds[2]) = {aloop__sys_socket_pair,
                                               aloop__sys_pipe};
    static const char *const calls[] = {"socketpair", "pipe2"};
    int before = open_descriptors(FDS_MAX), fds[2];

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++)
        for (size_t j = 0; j < COUNT(opens); j++) {
            refuse(calls[j], refusals[i], 1);
            assert_int_equal(opens[j](fds), 0);
            assert_flags(fds[0]);
            assert_flags(fds[1]);
            close_pair(fds);
        }
    refuse("socketpair", EPERM, 2);
    assert_int_equal(aloop__sys_socket_pair(fds), -EPERM);
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

static void a_pair_whose_flags_cannot_be_set_is_closed(void **state)
{
    int before = open_descriptors(FDS_MAX), fds[2];

    (void) state;
    f.also = "fcntl";
    refuse("pipe2", ENOSYS, 2);
    assert_int_equal(aloop__sys_pipe(fds), -ENOSYS);
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

/* The ends of a pair get the numbers 0 and 1, and cannot be moved. */
static void a_descriptor_that_cannot_be_moved_is_closed(void **state)
{
    static int (*const opens[])(int fds[2]) = {
        aloop__sys_wake_open, aloop__sys_socket_pair, aloop__sys_pipe};
    int copies[2], results[3], left[3], fds[2];

    (void) state;
    fflush(NULL);
    for (int fd = 0; fd < 2; fd++)
        copies[fd] = __real_fcntl(fd, F_DUPFD, (void *) 100);
    for (int i = 0; i < 3; i++) {
        __real_close(0);
        __real_close(1);
        refuse("fcntl", EMFILE, i == 2 ? 1 : 2);
        results[i] = opens[i](fds);
        left[i] = open_descriptors(2);
    }
    for (int fd = 0; fd < 2; fd++) {
        dup2(copies[fd], fd);
        __real_close(copies[fd]);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(results[i], -EMFILE);
        assert_int_equal(left[i], 0);
    }
}

static void a_flag_is_given_up_only_if_the_call_works_without_it(void **state)
{
    struct sys_piece piece = {"a", 1};
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_pipe(fds), 0);
    refuse("pwritev2", EOPNOTSUPP, 2);
    assert_int_equal(aloop__sys_write_now(fds[1], &piece, 1), -EOPNOTSUPP);
    assert_int_equal(__real_close(fds[0]), 0);
    assert_int_equal(__real_close(fds[1]), 0);
}

/* This comes last in its process, because the flag is asked for only once. */
static void a_pipe_is_written_to_without_a_flag_that_is_refused(void **state)
{
    struct sys_piece piece = {"a", 1};
    int fds[2];

    (void) state;
    if (!is_called("pwritev2"))
        skip();
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(aloop__sys_pipe(fds), 0);
    refuse("pwritev2", EOPNOTSUPP, 1);
    assert_int_equal(aloop__sys_pipe_write(fds[1], &piece, 1), 1);
    assert_int_equal(__real_close(fds[0]), 0);
    assert_int_equal(aloop__sys_pipe_write(fds[1], &piece, 1), -EPIPE);
    assert_int_not_equal(aloop__sys_write_now(fds[1], &piece, 1), 1);
    assert_int_equal(__real_close(fds[1]), 0);
}

static void a_pipe_replaces_an_eventfd_that_is_refused(void **state)
{
    int before = open_descriptors(FDS_MAX);

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        int fds[2];

        refuse("eventfd", refusals[i], 1);
        assert_int_equal(aloop__sys_wake_open(fds), 0);
        assert_int_not_equal(fds[0], fds[1]);
        assert_flags(fds[0]);
        assert_flags(fds[1]);
        aloop__sys_wake_signal(fds[1]);
        assert_true(is_readable(fds[0]));
        aloop__sys_wake_drain(fds[0]);
        assert_false(is_ready(fds[0], 0));
        aloop__sys_wake_close(fds);
    }
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

static void epoll_and_poll_work_without_their_newest_calls(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct pollfd none = {.fd = -1};
        int64_t start_ns;
        int fd;

        refuse("epoll_create1", refusals[i], 1);
        fd = aloop__sys_epoll_open();
        assert_true(fd >= 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        aloop__sys_close(fd);
        refuse("ppoll", refusals[i], 1);
        start_ns = aloop__sys_clock_ns();
        do
            assert_int_equal(aloop__sys_poll(&none, 1, 1500000), 0);
        while (aloop__sys_clock_ns() - start_ns < 1500000);
        assert_int_equal(f.refused, 1);
    }
}

/* A second close() could close a descriptor that another thread has just
 * opened. */
static void an_interrupted_close_is_not_repeated(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);

    refuse("close", EINTR, 1);
    assert_int_equal(aloop__sys_close(pair[0]), 0);
    refuse("close", EIO, 1);
    assert_int_equal(aloop__sys_close(pair[1]), -EIO);

    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    assert_int_equal(fcntl(pair[1], F_GETFD), -1);
}

static void an_interrupted_wake_up_is_repeated(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_wake_open(fds), 0);

    refuse("write", EINTR, 2);
    errno = 4711;
    aloop__sys_wake_signal(fds[1]);
    assert_int_equal(errno, 4711);
    assert_int_equal(f.refused, 2);
    assert_true(is_readable(fds[0]));
    refuse("read", EINTR, 2);
    aloop__sys_wake_drain(fds[0]);

    assert_int_equal(f.refused, 2);
    assert_false(is_ready(fds[0], 0));
    aloop__sys_wake_close(fds);
}

static int write_line(const char *line, size_t size)
{
    struct sys_stderr file;

    aloop__sys_stderr_look(&file);
    return aloop__sys_stderr_write(&file, line, size);
}

static void an_interrupted_write_to_stderr_is_repeated(void **state)
{
    int pair[2], before = dup(STDERR_FILENO);
    char text[16] = "";

    (void) state;
    open_pair(pair);
    __real_dup2(pair[1], STDERR_FILENO);

    refuse("send", EINTR, 2);
    write_line("a line\n", 7);

    __real_dup2(before, STDERR_FILENO);
    assert_int_equal(aloop__sys_recv(pair[0], text, sizeof text), 7);
    assert_string_equal(text, "a line\n");
    assert_int_equal(f.refused, 2);
    aloop__sys_close(before);
    close_pair(pair);
}

static void a_wake_up_pipe_is_drained_and_closed_at_both_ends(void **state)
{
    enum { SIGNALS = 1000 };
    int fds[2], before = open_descriptors(FDS_MAX);

    (void) state;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    for (int i = 0; i < SIGNALS; i++)
        aloop__sys_wake_signal(fds[1]);
    assert_true(is_readable(fds[0]));

    aloop__sys_wake_drain(fds[0]);

    assert_false(is_ready(fds[0], 0));
    aloop__sys_wake_close(fds);
    assert_int_equal(open_descriptors(FDS_MAX), before);
    assert_int_equal(fds[1], -1);
}

static void a_send_is_limited_to_what_every_system_accepts(void **state)
{
    const struct sys_piece pieces[] = {
        {NULL, PIECE_MAX - 5},
        {NULL, 3},
        {NULL, 10},
        {NULL, 1},
    };

    (void) state;
    assert_int_equal(aloop__sys_sendv(-1, pieces, COUNT(pieces)), PIECE_MAX);
    assert_int_equal(f.asked, PIECE_MAX);
    assert_int_equal(f.asked_in, 3);
}

static void a_thread_that_cannot_be_created_is_an_error(void **state)
{
    struct sys_thread *thread = NULL;

    (void) state;
    refuse("malloc", ENOMEM, 1);
    assert_int_equal(aloop__sys_thread_start(NULL, NULL, 0, &thread), -ENOMEM);
    refuse("pthread_create", EAGAIN, 1);
    assert_int_equal(aloop__sys_thread_start(NULL, NULL, 0, &thread), -EAGAIN);
    assert_null(thread);
    refuse("pthread_create", EAGAIN, 1);
    assert_int_equal(aloop__sys_thread_start(NULL, NULL, 1, &thread), -EAGAIN);
    assert_null(thread);
}

static void a_lock_that_cannot_be_created_is_an_error(void **state)
{
    struct sys_mutex *mutex = NULL;
    struct sys_condition *condition = NULL;

    (void) state;
    refuse("malloc", ENOMEM, 1);
    assert_int_equal(aloop__sys_mutex_open(&mutex), -ENOMEM);
    refuse("pthread_mutex_init", EAGAIN, 1);
    assert_int_equal(aloop__sys_mutex_open(&mutex), -EAGAIN);
    assert_null(mutex);
    refuse("malloc", ENOMEM, 1);
    assert_int_equal(aloop__sys_condition_open(&condition), -ENOMEM);
#if !defined(__linux__) || !defined(__LP64__) /* Those have futexes. */
    refuse("pthread_cond_init", ENOMEM, 1);
    assert_int_equal(aloop__sys_condition_open(&condition), -ENOMEM);
#endif
    assert_null(condition);
}

static void a_terminal_that_cannot_be_opened_again_stays_as_it_is(void **state)
{
    static const struct {
        const char *libc;
        int error;
    } steps[] = {{"fcntl", EBADF}, {"openat", EACCES}, {"dup2", EBADF}};
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
    int before;

    (void) state;
    assert_true(master >= 0);
    assert_int_equal(unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    before = open_descriptors(FDS_MAX);
    assert_int_equal(aloop__sys_tty_separate(master), -ENOTSUP);
    for (size_t i = 0; i < COUNT(steps); i++) {
        refuse(steps[i].libc, steps[i].error, 1);
        assert_int_equal(aloop__sys_tty_separate(slave), -steps[i].error);
        assert_int_equal(open_descriptors(FDS_MAX), before);
        assert_int_equal(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
    }
    refuse("openat", EINTR, 1);
    assert_int_equal(aloop__sys_tty_separate(slave), 0);
    assert_true((fcntl(slave, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(fcntl(slave, F_GETFD), 0); /* Still inherited. */
    assert_true(aloop__sys_tty_is_ready(slave, true));
    assert_false(aloop__sys_tty_is_ready(slave, false));
    close_pair((int[2]){master, slave});
}

/* Number 0 is free, and at first no other one. */
static void a_connection_without_a_number_stays_in_the_backlog(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address);
    int client = aloop__sys_tcp_socket(SYS_INET), copy, results[3];

    (void) state;
    (void) aloop__sys_connect(client, &address);
    assert_true(is_readable(listener));
    fflush(NULL);
    copy = __real_fcntl(0, F_DUPFD, (void *) 100);
    __real_close(0);
    results[0] = aloop__sys_tcp_socket(SYS_INET); /* Is moved. */
    refuse("fcntl", EMFILE, 1);
    results[1] = aloop__sys_accept(listener);
    refuse("accept4", EMFILE, 1); /* Because of the reservation. */
    results[2] = aloop__sys_accept(listener);
    dup2(copy, 0);
    __real_close(copy);
    assert_true(was_refused());
    assert_true(results[0] >= 3);
    assert_int_equal(results[1], -EMFILE);
    assert_true(results[2] >= 3);
    aloop__sys_close(results[0]);
    aloop__sys_close(results[2]);
    aloop__sys_close(client);
    aloop__sys_close(listener);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_interrupted_call_is_repeated_or_has_a_result),
        TEST(each_error_of_a_call_is_returned),
        TEST(an_option_that_the_kernel_does_not_know_is_not_supported),
        TEST(accept_works_without_accept4),
        TEST(a_socket_has_its_flags_even_if_socket_refuses_them),
        TEST(pairs_have_their_flags_even_if_the_system_refuses_them),
        TEST(a_pair_whose_flags_cannot_be_set_is_closed),
        TEST(a_descriptor_that_cannot_be_moved_is_closed),
        TEST(a_connection_without_a_number_stays_in_the_backlog),
        TEST(a_pipe_replaces_an_eventfd_that_is_refused),
        TEST(epoll_and_poll_work_without_their_newest_calls),
        TEST(an_interrupted_close_is_not_repeated),
        TEST(an_interrupted_wake_up_is_repeated),
        TEST(an_interrupted_write_to_stderr_is_repeated),
        TEST(a_wake_up_pipe_is_drained_and_closed_at_both_ends),
        TEST(a_send_is_limited_to_what_every_system_accepts),
        TEST(a_thread_that_cannot_be_created_is_an_error),
        TEST(a_lock_that_cannot_be_created_is_an_error),
        TEST(a_flag_is_given_up_only_if_the_call_works_without_it),
        TEST(a_pipe_is_written_to_without_a_flag_that_is_refused),
        TEST(a_terminal_that_cannot_be_opened_again_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
