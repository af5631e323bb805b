/* The reactor when system calls fail, also in a child process. */

#define _GNU_SOURCE

#include "support/refusal_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifdef SYS_epoll_pwait2

/* Makes epoll_pwait2() fail with `error` in this process from now on. */
static bool forbid_pwait2(int error)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(steps), steps};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int wait_without_pwait2(int error)
{
    struct epoll_event event = {.events = EPOLLIN}, got;
    int epoll = aloop__sys_epoll_open(), fds[2];
    int64_t start_ns;
    sigset_t all;

    sigfillset(&all); /* Only signals may end a wait early. */
    sigprocmask(SIG_BLOCK, &all, NULL);
    start_ns = aloop__sys_clock_ns();
    if (!forbid_pwait2(error))
        return CHILD_SKIPPED;
    if (aloop__sys_wake_open(fds) < 0 ||
        aloop__sys_epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event) < 0)
        return CHILD_FAILED;
    for (int i = 0; i < 3; i++)
        if (aloop__sys_epoll_wait(epoll, &got, 1, 1500000) != 0)
            return CHILD_FAILED;
    if (aloop__sys_clock_ns() - start_ns < 3 * 1500000)
        return CHILD_FAILED; /* A wait must not be shorter than requested. */
    aloop__sys_wake_signal(fds[1]);
    return aloop__sys_epoll_wait(epoll, &got, 1, 1500000) == 1 ? CHILD_OK
                                                               : CHILD_FAILED;
}

static void waits_work_on_a_kernel_without_epoll_pwait2(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        pid_t child = fork();
        int end;

        if (child == 0)
            _exit(wait_without_pwait2(refusals[i]));
        end = end_of(child);
        if (end == CHILD_SKIPPED)
            skip();
        assert_int_equal(end, CHILD_OK);
    }
}

#else

static void waits_work_on_a_kernel_without_epoll_pwait2(void **state)
{
    (void) state;
    skip();
}

#endif

static int bits_of(struct aloop__reactor *reactor, int fd)
{
    struct aloop__event event;

    if (aloop__reactor_wait(reactor, 0, &event, 1) != 1 ||
        aloop__event_fd(&event) != fd)
        return -1;
    return (int) aloop__event_bits(&event);
}

/* Makes every call that takes resources of the system.  Returns the first
 * error, or 0. */
static int use_all(struct aloop__reactor *reactor, int fd)
{
    int error = aloop__reactor_set(reactor, fd, 1, 0, REACTOR_READ);

    if (error == 0)
        error = aloop__reactor_fd(reactor);
    if (error >= 0)
        error = aloop__reactor_alarm(reactor, aloop__sys_clock_ns() + 1000000);
    if (error == 0)
        error = aloop__reactor_renew(reactor);
    if (error == 0)
        error = aloop__reactor_set(reactor, fd, 2, 0, REACTOR_READ);
    return error < 0 ? error : aloop__reactor_alarm(reactor, INT64_MAX);
}

static void a_reactor_works_after_any_refused_call(void **state)
{
    int pair[2], before, error = -ENOMEM;

    (void) state;
    open_pair(pair);
    assert_int_equal(aloop__sys_send(pair[1], "x", 1), 1);
    before = open_descriptors(FDS_MAX);
    for (int n = 1; error < 0; n++) {
        struct aloop__reactor *reactor = NULL;

        refuse_nth(n, ENOMEM);
        error = aloop__reactor_open(&aloop__alloc_default, &reactor);
        if (error == 0)
            error = use_all(reactor, pair[0]);
        assert_int_equal(error, was_refused() ? -ENOMEM : 0);

        if (reactor != NULL) {
            assert_int_equal(aloop__reactor_renew(reactor), 0);
            assert_int_equal(use_all(reactor, pair[0]), 0);
            assert_true(is_readable(aloop__reactor_fd(reactor)));
            assert_int_equal(bits_of(reactor, pair[0]), REACTOR_READ);
        }
        aloop__reactor_close(reactor);
        assert_int_equal(open_descriptors(FDS_MAX), before);
    }
    close_pair(pair);
}

/* Runs in a child whose nth call is refused.  The reactor must work as the
 * child's own after a second renewal. */
static int renew_refused(struct aloop__reactor *reactor, int n, int fd)
{
    int host_fd = aloop__reactor_fd(reactor), error;
    bool is_refused;

    refuse_nth(n, ENOMEM);
    error = aloop__reactor_renew(reactor);
    is_refused = was_refused();
    if (error != (is_refused ? -ENOMEM : 0) ||
        aloop__reactor_renew(reactor) < 0 ||
        aloop__reactor_set(reactor, fd, 2, 0, REACTOR_READ) < 0 ||
        aloop__reactor_alarm(reactor, INT64_MAX) < 0 ||
        aloop__reactor_fd(reactor) != host_fd || !is_readable(host_fd) ||
        bits_of(reactor, fd) != REACTOR_READ)
        return CHILD_FAILED;
    aloop__reactor_close(reactor);
    return is_refused ? CHILD_OK : CHILD_UNREFUSED;
}

/* The poll reactor needs a thread to serve a host, and a child may be unable to
 * start one; see HAS_THREADS_AFTER_FORK. */
static bool has_host_in_child(void)
{
    return HAS_THREADS_AFTER_FORK || strcmp(aloop__reactor_name, "poll") != 0;
}

/* Opens a reactor that watches pair[0].  There is a byte to read, and the
 * host's descriptor is readable. */
static struct aloop__reactor *open_watching(int pair[2])
{
    struct aloop__reactor *reactor;

    open_pair(pair);
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
    assert_int_equal(aloop__reactor_set(reactor, pair[0], 1, 0, REACTOR_READ),
                     0);
    assert_int_equal(aloop__sys_send(pair[1], "x", 1), 1);
    assert_true(is_readable(aloop__reactor_fd(reactor)));
    return reactor;
}

static void a_child_s_reactor_works_after_any_refused_call(void **state)
{
    struct aloop__reactor *reactor;
    int pair[2], end = CHILD_OK, host_fd;

    (void) state;
    if (!has_host_in_child())
        skip();
    reactor = open_watching(pair);
    host_fd = aloop__reactor_fd(reactor);
    for (int n = 1; end == CHILD_OK; n++) {
        pid_t child = fork();

        if (child == 0)
            _exit(renew_refused(reactor, n, pair[0]));
        end = end_of(child);
    }

    assert_int_equal(end, CHILD_UNREFUSED);
    assert_true(is_readable(host_fd));
    assert_int_equal(bits_of(reactor, pair[0]), REACTOR_READ);
    aloop__reactor_close(reactor);
    close_pair(pair);
}

static int renew_interrupted(struct aloop__reactor *reactor, const char *call,
                             int error, int fd)
{
    int host_fd = aloop__reactor_fd(reactor), result;

    refuse(call, error, 3);
    result = aloop__reactor_renew(reactor);
    was_refused();
    if (result < 0 || aloop__reactor_fd(reactor) != host_fd ||
        aloop__reactor_set(reactor, fd, 2, 0, REACTOR_READ) < 0 ||
        aloop__reactor_alarm(reactor, INT64_MAX) < 0 || !is_readable(host_fd))
        return CHILD_FAILED;
    aloop__reactor_close(reactor);
    return CHILD_OK;
}

static void a_child_keeps_the_host_s_number_if_dup_calls_fail(void **state)
{
    static const struct {
        const char *call;
        int error;
    } rows[] = {{"dup2", EINTR}, {"dup2", EBUSY}};
    struct aloop__reactor *reactor;
    int pair[2];

    (void) state;
    if (!has_host_in_child())
        skip();
    reactor = open_watching(pair);
    for (size_t i = 0; i < COUNT(rows); i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(renew_interrupted(reactor, rows[i].call, rows[i].error,
                                    pair[0]));
        assert_int_equal(end_of(child), CHILD_OK);
    }
    aloop__reactor_close(reactor);
    close_pair(pair);
}

/* Checks the host's descriptor and what makes it readable.  Returns 0, or the
 * number of the step that failed. */
static int check_host(struct aloop__reactor *reactor, const int pair[2])
{
    int fd = aloop__reactor_fd(reactor);
    struct pollfd host = {.fd = fd, .events = POLLIN};
    char byte;

    if (fd < 0 || patient_poll(&host, 1, 0) != 0)
        return 1;
    if (aloop__reactor_alarm(reactor, 0) < 0 || !is_readable(fd))
        return 2;
    if (aloop__reactor_alarm(reactor, INT64_MAX) < 0 ||
        patient_poll(&host, 1, 0) != 0)
        return 3;
    if (aloop__reactor_alarm(reactor, aloop__sys_clock_ns() + 1000000) < 0 ||
        !is_readable(fd) || bits_of(reactor, pair[0]) != -1)
        return 4;
    aloop__reactor_alarm(reactor, INT64_MAX);
    if (aloop__sys_send(pair[1], "x", 1) != 1 || !is_readable(fd) ||
        aloop__reactor_set(reactor, pair[0], 9, REACTOR_READ, 0) < 0 ||
        patient_poll(&host, 1, 0) != 0 ||
        aloop__reactor_set(reactor, pair[0], 9, 0, REACTOR_READ) < 0 ||
        !is_readable(fd) || bits_of(reactor, pair[0]) != REACTOR_READ ||
        aloop__sys_recv(pair[0], &byte, 1) != 1)
        return 5;
    return aloop__reactor_alarm(reactor, INT64_MAX) < 0 ? 6 : 0;
}

static int renew_without_timerfd(struct aloop__reactor *reactor,
                                 const int pair[2])
{
    int fd = aloop__reactor_fd(reactor);

    if (aloop__reactor_renew(reactor) < 0 || aloop__reactor_fd(reactor) != fd ||
        aloop__reactor_set(reactor, pair[0], 2, 0, REACTOR_READ) < 0 ||
        check_host(reactor, pair) != 0)
        return CHILD_FAILED;
    aloop__reactor_close(reactor);
    return CHILD_OK;
}

static void without_a_timerfd_a_thread_serves_the_host(void **state)
{
    struct aloop__reactor *reactor;
    int pair[2], before;

    (void) state;
    if (strcmp(aloop__reactor_name, "epoll") != 0)
        skip();
    open_pair(pair);
    before = open_descriptors(FDS_MAX);
    for (size_t i = 0; i < COUNT(refusals); i++) {
        assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &reactor),
                         0);
        aloop__reactor_set(reactor, pair[0], 1, 0, REACTOR_READ);
        refuse("timerfd_create", refusals[i], 1);
        assert_int_equal(check_host(reactor, pair), 0);
        assert_int_equal(f.refused, 1);
        assert_int_equal(aloop__reactor_renew(reactor), 0);
        aloop__reactor_set(reactor, pair[0], 2, 0, REACTOR_READ);
        assert_int_equal(check_host(reactor, pair), 0);
        if (HAS_THREADS_AFTER_FORK) {
            pid_t child = fork();

            if (child == 0)
                _exit(renew_without_timerfd(reactor, pair));
            assert_int_equal(end_of(child), CHILD_OK);
        }
        aloop__reactor_close(reactor);
        assert_int_equal(open_descriptors(FDS_MAX), before);
    }
    refuse("timerfd_create", EMFILE, 1);
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
    assert_int_equal(aloop__reactor_fd(reactor), -EMFILE);
    aloop__reactor_close(reactor);
    close_pair(pair);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(waits_work_on_a_kernel_without_epoll_pwait2),
        TEST(without_a_timerfd_a_thread_serves_the_host),
        TEST(a_reactor_works_after_any_refused_call),
        TEST(a_child_s_reactor_works_after_any_refused_call),
        TEST(a_child_keeps_the_host_s_number_if_dup_calls_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
