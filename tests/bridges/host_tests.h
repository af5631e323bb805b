/* Tests of a loop inside the loop of another library, the host.  The file that
 * includes this one defines the functions at the beginning, and before that
 * HOST_ALLOCATES: whether the start of the bridge allocates memory itself. */

#ifndef HOST_TESTS_H
#define HOST_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "aloop.h"
#include "support/child.h"
#include "support/child_result.h"
#include "support/refused_memory.h"

enum { FDS_MAX = 200 };

typedef void (*host_fn)(void);

/* Makes and ends the host, which has no loop in it. */
static void host_open(void);
static void host_close(void);

/* The functions of the bridge.  host_stop() allows that nothing was started,
 * and a second call. */
static int host_start(aloop *loop,
                      void (*on_idle)(aloop *loop, int status, void *arg));
static int host_start_without_loop(void);
static void host_stop(void);

/* Runs the host's loop until host_end(). */
static void host_run(void);
static void host_end(void);

/* Calls a function in the host's loop, once. */
static void host_after_ms(int delay_ms, host_fn fn);

/* Makes the host usable in a forked child. */
static void host_after_fork(void);

static struct {
    aloop *loop;
    int fds; /* Open descriptors before the test. */
    int calls, idle_calls, idle_status;
    int turns;
} f;

/* Before the first test: the host opens what it keeps until the end. */
static inline int host_warm_up(void **state)
{
    (void) state;
    host_open();
    host_close();
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    host_open();
    assert_int_equal(host_start(f.loop, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    host_stop();
    assert_int_equal(aloop_free(f.loop), 0);
    host_close();
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

static ssize_t sleep_and_end(aloop *loop, void *arg)
{
    ssize_t status = 0;

    for (int i = 0; i < 5 && status == 0; i++)
        status = aloop_await(aloop_sleep(loop, ALOOP_MS(10)));
    (void) arg;
    f.calls++;
    host_end();
    return status;
}

static void spawn(aloop_task_fn body)
{
    aloop_detach(aloop_spawn(f.loop, body, NULL));
}

/* The host waits for nothing else. */
static void a_task_sleeps_in_the_host(void **state)
{
    int64_t start_ns = aloop_now(f.loop);

    (void) state;
    spawn(sleep_and_end);

    host_run();

    assert_int_equal(f.calls, 1);
    assert_true(aloop_now(f.loop) - start_ns >= ALOOP_MS(50));
}

static void host_spawns(void)
{
    spawn(sleep_and_end);
}

static void a_task_that_the_host_spawns_runs_without_another_event(void **state)
{
    (void) state;
    host_after_ms(1, host_spawns);

    host_run();

    assert_int_equal(f.calls, 1);
}

static void count_and_end(void)
{
    f.calls++;
    host_end();
}

static ssize_t start_host_timer(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(30)));

    (void) arg;
    host_after_ms(10, count_and_end);
    return status;
}

static void a_timer_of_the_host_that_a_task_starts_runs(void **state)
{
    (void) state;
    spawn(start_host_timer);

    host_run();

    assert_int_equal(f.calls, 1);
}

static void post_ran(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    if (++f.calls == 100)
        host_end();
}

static void *post_many(void *arg)
{
    (void) arg;
    for (int i = 0; i < 100; i++)
        assert_int_equal(aloop_post(f.loop, post_ran, NULL), 0);
    return NULL;
}

static void posts_of_another_thread_run_in_the_host(void **state)
{
    pthread_t thread;

    (void) state;
    assert_int_equal(pthread_create(&thread, NULL, post_many, NULL), 0);

    host_run();

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(f.calls, 100);
}

/* Messages to itself, over a connection. */

static ssize_t echo_back(aloop *loop, void *arg)
{
    char byte;
    ssize_t size;

    (void) loop;
    while ((size = aloop_await(aloop_stream_read(arg, &byte, 1))) > 0)
        aloop_stream_put(arg, &byte, 1);
    return size;
}

static ssize_t echo_100(aloop *loop, void *arg)
{
    aloop_stream *pair[2];
    aloop_future *peer;
    ssize_t status = aloop_stream_pair(loop, &pair[0], &pair[1]);
    char byte;

    (void) arg;
    peer = aloop_spawn(loop, echo_back, pair[1]);
    for (int i = 0; i < 100 && status >= 0; i++) {
        aloop_stream_put(pair[0], "x", 1);
        status = aloop_await(aloop_stream_read(pair[0], &byte, 1));
        f.calls += (int) status;
    }
    aloop_stream_close(pair[0]);
    aloop_await(peer);
    aloop_stream_close(pair[1]);
    host_end();
    return 0;
}

static void streams_work_in_the_host(void **state)
{
    (void) state;
    spawn(echo_100);

    host_run();

    assert_int_equal(f.calls, 100);
}

static ssize_t yield_always(aloop *loop, void *arg)
{
    (void) arg;
    while (f.calls == 0 && aloop_yield(loop) == 0)
        f.turns++;
    return 0;
}

static void a_loop_that_always_has_work_leaves_time_to_the_host(void **state)
{
    (void) state;
    spawn(yield_always);
    host_after_ms(20, count_and_end);

    host_run();

    assert_int_equal(f.calls, 1);
    assert_true(f.turns > 0);
}

static void await_in_host(void)
{
    f.calls = aloop_await(aloop_sleep(f.loop, ALOOP_MS(5))) == 0;
    host_end();
}

static void a_callback_of_the_host_may_run_the_loop(void **state)
{
    (void) state;
    host_after_ms(1, await_in_host);

    host_run();

    assert_int_equal(f.calls, 1);
}

/* Ends. */

static void idle(aloop *loop, int status, void *arg)
{
    assert_ptr_equal(loop, f.loop);
    assert_ptr_equal(arg, &f);
    f.idle_calls++;
    f.idle_status = status;
    host_stop();
    assert_int_equal(aloop_free(f.loop), 0);
    f.loop = NULL;
    host_end();
}

static void on_idle_may_free_a_loop_that_has_ended(void **state)
{
    (void) state;
    host_stop();
    assert_int_equal(host_start(f.loop, idle), 0);
    spawn(sleep_and_end);

    host_run();
    if (f.idle_calls == 0) /* The end of the task has ended the host's loop. */
        host_run();

    assert_int_equal(f.calls, 1);
    assert_int_equal(f.idle_calls, 1);
    assert_int_equal(f.idle_status, 0);
}

static void stop_in_timer(aloop_timer *timer, void *arg)
{
    (void) arg;
    f.calls++;
    aloop_timer_close(timer);
    host_stop();
    host_after_ms(20, host_end);
}

static void a_callback_of_the_loop_may_stop_it(void **state)
{
    aloop_timer *timer;

    (void) state;
    host_stop();
    assert_int_equal(host_start(f.loop, idle), 0);
    assert_int_equal(
        aloop_timer_start(f.loop, 0, ALOOP_MS(1), stop_in_timer, NULL, &timer),
        0);

    host_run();

    assert_int_equal(f.calls, 1);
    assert_int_equal(f.idle_calls, 0);
}

static void stop_and_free(void)
{
    host_stop();
    assert_int_equal(aloop_free(f.loop), 0);
    f.loop = NULL;
    host_after_ms(10, count_and_end);
}

/* Descriptors that the host opens get the numbers of those that were closed. */
static void a_callback_of_the_host_may_stop_and_free_it(void **state)
{
    (void) state;
    spawn(sleep_and_end);
    host_after_ms(5, stop_and_free);

    host_run();

    assert_int_equal(f.calls, 1);
}

static void start_again(void)
{
    host_stop();
    assert_int_equal(host_start(f.loop, NULL), 0);
}

static void a_loop_can_be_stopped_and_started_again(void **state)
{
    (void) state;
    spawn(sleep_and_end);
    host_after_ms(15, start_again);

    host_run();

    assert_int_equal(f.calls, 1);
}

static void the_host_may_end_first(void **state)
{
    (void) state;
    aloop_detach(aloop_sleep(f.loop, ALOOP_MS(5)));
    host_stop();

    host_close();

    assert_int_equal(aloop_run(f.loop), 0);
    host_open();
}

/* Errors. */

static void missing_arguments_are_refused(void **state)
{
    (void) state;
    assert_int_equal(host_start_without_loop(), ALOOP_EINVAL);
}

static void start_reports_that_memory_is_exhausted(void **state)
{
    aloop *loop = aloop_new(NULL);
    int failed = 0;

    (void) state;
    host_stop();
    assert_true(aloop_fd(loop) >= 0); /* The stand-in for kqueue would abort. */
    for (int nth = 1; failed == nth - 1; nth++) {
        int error;

        refuse_memory(nth);
        error = host_start(loop, NULL);
        failed += refuse_memory(0);
        if (failed < nth) {
            assert_int_equal(error, 0);
            host_stop();
        } else {
            assert_int_equal(error, ALOOP_ENOMEM);
        }
    }
    assert_int_equal(aloop_free(loop), 0);
    assert_int_equal(failed >= 1, HOST_ALLOCATES);
}

static void start_reports_that_descriptors_are_exhausted(void **state)
{
    aloop *loop = aloop_new(NULL);
    struct rlimit old, none;
    int error;

    (void) state;
    host_stop();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

    error = host_start(loop, NULL);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    if (error == 0) /* The reactor of kqueue needs no further descriptor. */
        host_stop();
    else
        assert_int_equal(error, ALOOP_EMFILE);
    assert_int_equal(host_start(f.loop, NULL), 0);
    assert_int_equal(aloop_free(loop), 0);
    spawn(sleep_and_end);
    host_run();
    assert_int_equal(f.calls, 1);
}

/* Forks. */

static void count_idle_call(aloop *loop, int status, void *arg)
{
    (void) loop;
    (void) arg;
    f.idle_calls++;
    f.idle_status = status;
}

/* The child has what the loop has queued, and may not run it.  With kqueue it
 * does not have the descriptor either, which no host expects. */
static void a_child_that_forgets_aloop_after_fork_gets_an_error(void **state)
{
    pid_t child;

    (void) state;
    if (strcmp(aloop_reactor(), "kqueue") == 0)
        skip();
    host_stop();
    assert_int_equal(host_start(f.loop, count_idle_call), 0);
    spawn(sleep_and_end);

    child = fork();
    if (child == 0) {
        host_after_fork();
        host_after_ms(20, host_end);
        host_run();
        CHECK(f.idle_calls == 1); /* And not again. */
        CHECK(f.idle_status == ALOOP_EPERM);
        _exit(0);
    }
    assert_child_succeeded(child);
    host_run();
    assert_int_equal(f.calls, 1);
}

static void both_processes_continue_after_a_fork(void **state)
{
    pid_t child;

    (void) state;
    /* The reactor poll has a thread for its host. */
    if (!HAS_THREADS_AFTER_FORK && strcmp(aloop_reactor(), "poll") == 0)
        skip();
    spawn(sleep_and_end);

    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        host_after_fork();
        host_run();
        CHECK(f.calls == 1);
        _exit(0);
    }
    host_run();
    assert_int_equal(f.calls, 1);
    assert_child_succeeded(child);
}

/* As a program does that is to be started. */
static void a_child_that_closes_all_descriptors_changes_nothing(void **state)
{
    pid_t child;

    (void) state;
    spawn(sleep_and_end);

    child = fork();
    if (child == 0) {
        for (int fd = 3; fd < FDS_MAX; fd++)
            close(fd);
        _exit(0);
    }

    assert_child_succeeded(child);
    host_run();
    assert_int_equal(f.calls, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define HOST_TESTS \
    TEST(a_task_sleeps_in_the_host), \
        TEST(a_task_that_the_host_spawns_runs_without_another_event), \
        TEST(a_timer_of_the_host_that_a_task_starts_runs), \
        TEST(posts_of_another_thread_run_in_the_host), \
        TEST(streams_work_in_the_host), \
        TEST(a_loop_that_always_has_work_leaves_time_to_the_host), \
        TEST(a_callback_of_the_host_may_run_the_loop), \
        TEST(on_idle_may_free_a_loop_that_has_ended), \
        TEST(a_callback_of_the_loop_may_stop_it), \
        TEST(a_callback_of_the_host_may_stop_and_free_it), \
        TEST(a_loop_can_be_stopped_and_started_again), \
        TEST(the_host_may_end_first), TEST(missing_arguments_are_refused), \
        TEST(start_reports_that_memory_is_exhausted), \
        TEST(start_reports_that_descriptors_are_exhausted), \
        TEST(a_child_that_forgets_aloop_after_fork_gets_an_error), \
        TEST(both_processes_continue_after_a_fork), \
        TEST(a_child_that_closes_all_descriptors_changes_nothing)

#endif
