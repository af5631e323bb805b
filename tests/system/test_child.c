/* A forked child must not disturb its parent's loop: when the child frees the
 * loop, exits, is refused by aloop_after_fork(), receives signals or comes from
 * vfork().  The child runs and ends first; then the parent's loop must work as
 * before. */

#define _GNU_SOURCE /* For unshare() and vfork(). */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/tools.h"
#include "support/fork_fixture.h"
#include "support/patient.h"

/* vfork() is deprecated on macOS, but programs call it. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    f.bytes += size > 0 ? (int) size : 0;
}

static void post_from_a_thread(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post, NULL), 0);
    pthread_join(thread, NULL);
}

/* Opens a connection on which data has arrived, and queues a post.  Both are
 * meant for the parent, whose loop has not handled them yet. */
static void prepare(void)
{
    connect_both();
    aloop_stream_start(f.server, on_data, NULL);
    f.host = (struct pollfd){.fd = aloop_fd(f.loop), .events = POLLIN};
    assert_true(f.host.fd >= 0);
    assert_int_equal(patient_write(aloop_stream_fd(f.client), "secret", 6), 6);
    post_from_a_thread();
}

static void host_until(const int *value, int wanted)
{
    while (*value < wanted) {
        assert_int_equal(patient_poll(&f.host, 1, 20000), 1);
        assert_true(aloop_step(f.loop, 0) >= 0);
    }
    assert_int_equal(*value, wanted);
}

/* Checks that pending data and posts are delivered exactly once, and that new
 * ones are delivered too. */
static void assert_parent_works(void)
{
    host_until(&f.posts, 1);
    host_until(&f.bytes, 6);
    post_from_a_thread();
    host_until(&f.posts, 2);
    assert_int_equal(aloop_stream_put(f.client, "hello", 5), 0);
    host_until(&f.bytes, 11);
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
}

static int status_of(pid_t child)
{
    int status = -1;

    assert_true(child > 0);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    return status;
}

static void a_child_that_frees_the_loop_runs_no_callbacks(void **state)
{
    pid_t child;

    (void) state;
    prepare();
    child = fork();
    if (child == 0) {
        int error = aloop_free(f.loop);

        _exit(error == 0 && f.posts == 0 && f.bytes == 0 ? 0 : 1);
    }

    assert_int_equal(status_of(child), 0);
    assert_parent_works();
}

static void free_at_exit(void)
{
    if (f.is_child && aloop_free(f.loop) == 0 && f.posts == 0 && f.bytes == 0)
        _exit(0);
}

static void a_child_that_exits_frees_the_loop_without_effect(void **state)
{
    pid_t child;

    (void) state;
    prepare();
    fflush(stdout);
    child = fork();
    if (child == 0) {
        f.is_child = true;
        atexit(free_at_exit);
        exit(1);
    }

    assert_int_equal(status_of(child), 0);
    assert_parent_works();
}

static void a_child_without_descriptors_can_free_the_loop(void **state)
{
    pid_t child;

    (void) state;
    if (patient_runs_on_valgrind()) /* Valgrind needs descriptors itself. */
        skip();
    prepare();
    child = fork();
    if (child == 0) {
        struct rlimit none = {3, 3};
        int error;

        setrlimit(RLIMIT_NOFILE, &none);
        error = aloop_after_fork(f.loop);
        if (error != ALOOP_EMFILE && strcmp(aloop_reactor(), "poll") != 0)
            _exit(1);
        if (error < 0 && aloop_step(f.loop, 0) != ALOOP_EPERM)
            _exit(2);
        _exit(aloop_free(f.loop) == 0 ? 0 : 1);
    }

    assert_int_equal(status_of(child), 0);
    assert_parent_works();
}

static void a_child_that_closes_streams_before_after_fork_has_no_effect(
    void **state)
{
    pid_t child;

    (void) state;
    /* Under QEMU, a child is recognized by its pid only. */
    if (patient_runs_on_qemu())
        skip();
    prepare();
    aloop_stream_put(f.server, "to the client", 13);
    child = fork();
    if (child == 0) {
        aloop_stream_abort(f.client);
        aloop_stream_close(f.server);
        _exit(aloop_post(f.loop, on_post, NULL) == 0 ? 0 : 1);
    }

    assert_int_equal(status_of(child), 0);
    assert_parent_works();
}

/* Returns whether a child can continue with a loop that has a descriptor.  The
 * poll reactor starts a thread for that descriptor, and the parent has such a
 * thread already.  TSan terminates such a child, even with die_after_fork=0. */
static bool can_continue_in_a_child(void)
{
    return !WITH_TSAN || strcmp(aloop_reactor(), "poll") != 0;
}

static void a_forked_child_does_not_read_data_of_its_parent(void **state)
{
    pid_t child;

    (void) state;
    if (!can_continue_in_a_child())
        skip();
    prepare();
    child = fork();
    if (child == 0) {
        int error = aloop_after_fork(f.loop);

        for (int i = 0; i < 5 && error >= 0; i++)
            error = aloop_step(f.loop, ALOOP_MS(1));
        if (error < 0 || f.bytes != 0 || f.posts != 1)
            _exit(1);
        _exit(aloop_free(f.loop) == 0 ? 0 : 1);
    }

    assert_int_equal(status_of(child), 0);
    assert_parent_works();
}

/* Returns whether a wake-up is pending for the loop, or other work is due. */
static bool is_readable(void)
{
    struct pollfd host = {.fd = aloop_fd(f.loop), .events = POLLIN};

    return patient_poll(&host, 1, 0) != 0;
}

static void count_timer(aloop_timer *timer, void *arg)
{
    *(int *) arg += 1;
    aloop_timer_close(timer);
}

static void the_descriptor_of_an_idle_child_is_not_readable(void **state)
{
    pid_t child;

    (void) state;
    if (!can_continue_in_a_child())
        skip();
    assert_false(is_readable());
    child = fork();
    if (child == 0) {
        int timers = 0;
        aloop_timer *timer;

        if (aloop_after_fork(f.loop) != 0 || is_readable())
            _exit(1);
        f.host = (struct pollfd){.fd = aloop_fd(f.loop), .events = POLLIN};
        aloop_timer_start(f.loop, ALOOP_MS(1), 0, count_timer, &timers, &timer);
        while (timers == 0)
            if (patient_poll(&f.host, 1, 20000) != 1 ||
                aloop_step(f.loop, 0) < 0)
                _exit(2);
        _exit(aloop_free(f.loop) == 0 ? 0 : 1);
    }

    assert_int_equal(status_of(child), 0);
}

/* Makes a PID namespace, in which the next child is process 1, or exits with
 * status 77. */
static void enter_namespace(void)
{
#ifdef CLONE_NEWPID
    if (unshare(CLONE_NEWPID) == 0 ||
        unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0)
        return;
#endif
    _exit(77);
}

static void run_as_process_1(void (*play)(void))
{
    pid_t child;
    int status = 0;

    enter_namespace();
    child = fork();
    if (child == 0) {
        if (getpid() != 1)
            _exit(77);
        play();
        _exit(0);
    }
    patient_waitpid(child, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Forks a child with the pid of its parent: both are process 1, each in a
 * namespace of its own. */
static void fork_with_the_same_pid(void)
{
    f.loop = aloop_new(NULL);
    prepare();
    enter_namespace();
    pid_t child = fork();

    if (child == 0) {
        if (getpid() != 1)
            _exit(77);
        if (aloop_after_fork(f.loop) != 0 || aloop_free(f.loop) != 0)
            _exit(1);
        _exit(0);
    }
    if (status_of(child) != 0)
        _exit(1);
    host_until(&f.posts, 1);
    host_until(&f.bytes, 6);
    aloop_stream_put(f.client, "hello", 5);
    host_until(&f.bytes, 11);
}

static void a_child_with_its_parents_pid_is_another_process(void **state)
{
    int status;
    pid_t child;

    (void) state;
    if (patient_runs_on_valgrind()) /* Children on Valgrind free nothing. */
        skip();
    if (!can_continue_in_a_child())
        skip();
    child = fork();
    if (child == 0)
        run_as_process_1(fork_with_the_same_pid);
    status = status_of(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* The process may not create namespaces. */
    assert_int_equal(status, 0);
}

/* Signals. */

static void step_some(void)
{
    for (int i = 0; i < 5; i++)
        (void) aloop_step(f.loop, ALOOP_MS(1));
}

static void a_signal_before_the_fork_is_delivered_to_the_parent(void **state)
{
    aloop_signal *watch;
    pid_t child;

    (void) state;
    aloop_signal_start(f.loop, SIGUSR1, on_signal, NULL, &watch);
    raise(SIGUSR1);
    child = fork();
    if (child == 0) {
        raise(SIGUSR1);
        if (aloop_after_fork(f.loop) != 0)
            _exit(1);
        step_some();
        if (f.signals > 1) /* If pages cannot be cleared on fork, it is lost. */
            _exit(2);
        f.signals = 0;
        raise(SIGUSR1);
        step_some();
        _exit(f.signals == 1 && aloop_free(f.loop) == 0 ? 0 : 1);
    }

    assert_int_equal(status_of(child), 0);
    step_some();
    assert_int_equal(f.signals, 1);
    aloop_signal_close(watch);
}

static void a_signal_to_a_child_does_not_wake_the_parent(void **state)
{
    aloop_signal *watch;
    pid_t child;

    (void) state;
    /* Under QEMU, a child is recognized by its pid only. */
    if (patient_runs_on_qemu())
        skip();
    aloop_signal_start(f.loop, SIGUSR1, on_signal, NULL, &watch);
    step_some();
    assert_false(is_readable());
    child = fork();
    if (child == 0) {
        raise(SIGUSR1);
        aloop_wake(f.loop);
        _exit(0);
    }

    assert_int_equal(status_of(child), 0);
    assert_false(is_readable());
    step_some();
    assert_int_equal(f.signals, 0);
    aloop_signal_close(watch);
}

/* vfork() may behave like fork() under an emulator or a checker. */
static void a_signal_to_a_vforked_child_does_not_reach_the_parent(void **state)
{
    aloop_signal *watch;
    pid_t child;

    (void) state;
    aloop_signal_start(f.loop, SIGUSR1, on_signal, NULL, &watch);
    step_some();
    child = vfork();
    if (child == 0) {
        kill(getpid(), SIGUSR1);
        _exit(0);
    }

    assert_int_equal(status_of(child), 0);
    assert_false(is_readable());
    step_some();
    assert_int_equal(f.signals, 0);
    aloop_signal_close(watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_that_frees_the_loop_runs_no_callbacks),
        TEST(a_child_that_exits_frees_the_loop_without_effect),
        TEST(a_child_without_descriptors_can_free_the_loop),
        TEST(a_child_that_closes_streams_before_after_fork_has_no_effect),
        TEST(a_forked_child_does_not_read_data_of_its_parent),
        TEST(the_descriptor_of_an_idle_child_is_not_readable),
        TEST(a_child_with_its_parents_pid_is_another_process),
        TEST(a_signal_before_the_fork_is_delivered_to_the_parent),
        TEST(a_signal_to_a_child_does_not_wake_the_parent),
        TEST(a_signal_to_a_vforked_child_does_not_reach_the_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
