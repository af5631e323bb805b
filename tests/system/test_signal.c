/* Signals of the kernel. */

#define _XOPEN_SOURCE 700 /* For SIGTRAP. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop.h"
#include "os/tools.h"
#include "support/patient.h"

static struct {
    aloop *loop;
    int calls;
    int last;
    /* Calls of a handler that the application installed. */
    volatile sig_atomic_t own_calls;
} f;

static int set_up(void **state)
{
    (void) state;
    memset((void *) &f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    return f.loop == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    return aloop_free(f.loop);
}

static void count(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) arg;
    f.calls++;
    f.last = number;
}

static aloop_signal *watch(int number)
{
    aloop_signal *signal = NULL;

    assert_int_equal(aloop_signal_start(f.loop, number, count, NULL, &signal),
                     0);
    return signal;
}

static void step_until(int calls)
{
    while (f.calls < calls)
        assert_int_equal(aloop_step(f.loop, -1), 1);
}

static void ten_raised_signals_give_ten_calls(void **state)
{
    aloop_signal *signal = watch(SIGUSR1);

    (void) state;
    for (int i = 0; i < 10; i++)
        raise(SIGUSR1);
    assert_int_equal(f.calls, 0);
    step_until(10);
    aloop_step(f.loop, 0);

    assert_int_equal(f.calls, 10);
    assert_int_equal(f.last, SIGUSR1);
    aloop_signal_close(signal);
}

static void on_own(int number)
{
    (void) number;
    f.own_calls++;
}

static void closing_the_last_watch_restores_the_disposition(void **state)
{
    struct sigaction own = {0}, before, after;
    aloop_signal *a, *b;

    (void) state;
    own.sa_handler = on_own;
    sigemptyset(&own.sa_mask);
    sigaddset(&own.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &own, &before);
    a = watch(SIGUSR1);
    b = watch(SIGUSR1);
    raise(SIGUSR1);
    assert_int_equal(f.own_calls, 0);
    aloop_signal_close(a);
    aloop_signal_close(b);

    raise(SIGUSR1);
    sigaction(SIGUSR1, &before, &after);

    assert_int_equal(f.own_calls, 1);
    assert_true(after.sa_handler == on_own);
    assert_int_equal(sigismember(&after.sa_mask, SIGUSR2), 1);
}

/* Closing the last watch does not overwrite a disposition that the application
 * has changed. */
static void a_handler_installed_after_the_watch_is_kept(void **state)
{
    aloop_signal *first = watch(SIGUSR1), *second;
    struct sigaction now;

    (void) state;
    signal(SIGUSR1, on_own);
    second = watch(SIGUSR1); /* Installs the library's handler again. */
    raise(SIGUSR1);
    step_until(2);
    assert_int_equal(f.own_calls, 0);
    aloop_signal_close(second);
    aloop_signal_close(first);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == on_own);

    first = watch(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    aloop_signal_close(first);

    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
}

static void a_loop_without_watches_changes_no_disposition(void **state)
{
    struct sigaction now;

    (void) state;
    for (int number = 1; number < 32; number++) {
        if (number == SIGKILL || number == SIGSTOP)
            continue;
        assert_int_equal(sigaction(number, NULL, &now), 0);
        /* Sanitizers and cmocka catch signals that report crashes. */
        if (number != SIGSEGV && number != SIGBUS && number != SIGFPE &&
            number != SIGILL && number != SIGABRT && number != SIGSYS &&
            number != SIGTRAP)
            assert_true(now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN);
    }
}

/* Failure class 27: SIGPIPE. */
static void sigpipe_is_a_signal_like_any_other(void **state)
{
    aloop_signal *signal = watch(SIGPIPE);
    int fds[2];

    (void) state;
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(patient_write(fds[1], "x", 1), -1);
    close(fds[1]);
    step_until(1);

    assert_int_equal(f.last, SIGPIPE);
    aloop_signal_close(signal);
}

/* Failure class 37: a signal is pending when its watch is closed. */
static void a_signal_before_the_close_is_not_called_back(void **state)
{
    aloop_signal *signal = watch(SIGPIPE);

    (void) state;
    raise(SIGPIPE);
    aloop_signal_close(signal);
    assert_int_equal(aloop_step(f.loop, 0), 0);

    assert_int_equal(f.calls, 0);
}

static void signals_that_cannot_be_caught_are_refused(void **state)
{
    static const int numbers[] = {0, -1, SIGKILL, SIGSTOP, 4096};
    aloop_signal *signal = NULL;

    (void) state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_int_equal(
            aloop_signal_start(f.loop, numbers[i], count, NULL, &signal),
            ALOOP_EINVAL);
    assert_null(signal);
}

static void *raise_many(void *arg)
{
    pthread_t *target = arg;

    for (int i = 0; i < 50000; i++)
        pthread_kill(*target, SIGUSR1);
    return NULL;
}

static void *raise_here(void *arg)
{
    (void) arg;
    for (int i = 0; i < 50000; i++)
        raise(SIGUSR1); /* Each is handled on this thread. */
    return NULL;
}

static void add(aloop_signal *watch_, int number, void *arg)
{
    (void) watch_;
    (void) number;
    ++*(int *) arg;
}

/* Failure class 36: a storm of signals from two threads, while the loop opens
 * and closes watches and sleeps in between.  A signal that a thread raises for
 * itself is handled before raise() returns, so none of these may be lost. */
static void a_storm_from_two_threads_is_counted_completely(void **state)
{
    pthread_t threads[2], self = pthread_self();
    int kept = 0, others = 0;
    aloop_signal *keeper, *passing;

    (void) state;
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND) /* Valgrind does not survive such a storm. */
        skip();
#endif
    assert_int_equal(aloop_signal_start(f.loop, SIGUSR1, add, &kept, &keeper),
                     0);
    assert_int_equal(pthread_create(&threads[0], NULL, raise_many, &self), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, raise_here, NULL), 0);
    while (kept < 50000) {
        assert_int_equal(
            aloop_signal_start(f.loop, SIGUSR1, add, &others, &passing), 0);
        assert_int_equal(aloop_step(f.loop, -1), 1);
        aloop_signal_close(passing);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    for (int before = -1; before != kept;) {
        before = kept;
        aloop_step(f.loop, 0);
    }

    /* The kernel may merge signals that were sent to this thread. */
    assert_in_range(kept, 50001, 100000);
    assert_true(others <= kept);
    aloop_signal_close(keeper);
}

/* The clean-up of this task is not finished when the second signal arrives. */
static ssize_t raises_twice(aloop *loop, void *arg)
{
    const int *numbers = arg;

    raise(numbers[0]);
    if (aloop_await(aloop_sleep(loop, ALOOP_SEC(50))) != ALOOP_ECANCELED)
        return 1;
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    raise(numbers[1]);
    return 2;
}

static ssize_t raises_both_before_it_awaits(aloop *loop, void *arg)
{
    const int *numbers = arg;

    (void) loop;
    raise(numbers[0]);
    raise(numbers[1]);
    return 3;
}

/* A thread that sends one signal to another thread while that runs a task. */
struct sender {
    pthread_t thread;
    pthread_t target;
    atomic_int is_running;
    atomic_int has_sent;
};

static void *send_one(void *arg)
{
    struct sender *sender = arg;

    while (atomic_load(&sender->is_running) == 0)
        sched_yield();
    pthread_kill(sender->target, SIGUSR1);
    atomic_store(&sender->has_sent, 1);
    return NULL;
}

/* Calls no function while the signal arrives. */
static ssize_t computes_until_signalled(aloop *loop, void *arg)
{
    struct sender *sender = arg;

    (void) loop;
    atomic_store(&sender->is_running, 1);
    while (atomic_load(&sender->has_sent) == 0)
        continue;
    return 0;
}

/* TSan defers the handler, and keeps it for the task that was interrupted. */
static void a_signal_that_interrupts_a_task_is_received(void **state)
{
    struct sender sender = {.target = pthread_self()};
    aloop_future *wait = aloop_signal_wait(f.loop, SIGUSR1);
    aloop_future *task = aloop_spawn(f.loop, computes_until_signalled, &sender);

    (void) state;
    assert_int_equal(pthread_create(&sender.thread, NULL, send_one, &sender),
                     0);
    assert_int_equal(aloop_await(task), 0);
    assert_int_equal(
        aloop_await(aloop_timeout(wait, ALOOP_SEC(patient_limit(10)))),
        SIGUSR1);
    assert_int_equal(pthread_join(sender.thread, NULL), 0);
}

static void the_second_interrupt_ends_a_program(void **state)
{
    static const int pairs[][2] = {{SIGINT, SIGINT},
                                   {SIGINT, SIGTERM},
                                   {SIGTERM, SIGINT}};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};

    (void) state;
    for (size_t i = 0; i < 2 * sizeof pairs / sizeof pairs[0]; i++) {
        int numbers[2] = {pairs[i / 2][0], pairs[i / 2][1]}, status = 0;
        aloop_task_fn fn = i % 2 == 0 ? raises_twice
                                      : raises_both_before_it_awaits;
        pid_t child = fork();

        if (child == 0) {
            signal(SIGINT, SIG_DFL);
            _exit((int) aloop_main_with(fn, numbers, &options));
        }
        assert_int_equal(patient_waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[1]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_without_watches_changes_no_disposition),
        TEST(ten_raised_signals_give_ten_calls),
        TEST(closing_the_last_watch_restores_the_disposition),
        TEST(a_handler_installed_after_the_watch_is_kept),
        TEST(sigpipe_is_a_signal_like_any_other),
        TEST(a_signal_before_the_close_is_not_called_back),
        TEST(signals_that_cannot_be_caught_are_refused),
        TEST(a_storm_from_two_threads_is_counted_completely),
        TEST(a_signal_that_interrupts_a_task_is_received),
        TEST(the_second_interrupt_ends_a_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
