/* Stack overruns in loops with options.debug, and uses of stacks whose tasks
 * have ended: the report, and the handling of
 * the signals involved. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop.h"
#include "os/tools.h"
#include "support/patient.h"

enum { HANDLED = 42 };

/* What a child wrote to standard error, and its exit status. */
static char text[64 * 1024];
static int status;

static const aloop_options debug = {.size = sizeof debug, .debug = true};

static volatile int steps_left = 1 << 20;

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char frame[512];

    frame[0] = (char) depth;
    return steps_left-- > 0 ? recurse(depth + 1) + frame[0] : frame[0];
}

static ssize_t recurses(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return recurse(0);
}

static volatile size_t large = 400000;

/* The array extends beyond the guard into the next stack, which is not mapped
 * there. */
static ssize_t steps_over(aloop *loop, void *arg)
{
    volatile char *array = __builtin_alloca(large);

    (void) arg;
    array[0] = 1;
    aloop_yield(loop);
    return array[0];
}

static ssize_t yields(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_yield(loop);
}

/* An invalid address, but not NULL itself, which UBSan detects. */
static volatile uintptr_t bad_address = 64;

/* Reads several times: valgrind keeps few registers exact at a fault, and may
 * repeat the read with another address after the handler has returned. */
static char read_at(const volatile uintptr_t *address)
{
    char value = 0;

    for (int i = 0; i < 1000; i++)
        value = *(volatile char *) *address;
    return value;
}

static ssize_t reads_bad_address(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return read_at(&bad_address);
}

static volatile uintptr_t local; /* Of a task that has ended. */

static ssize_t leaves_a_pointer(aloop *loop, void *arg)
{
    volatile char own[16] = "local";

    (void) loop;
    (void) arg;
    local = (uintptr_t) own;
    return 0;
}

static ssize_t reads_the_local_of_another(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_spawn(loop, leaves_a_pointer, NULL));
    return read_at(&local);
}

static ssize_t writes_later(aloop *loop, void *arg)
{
    ssize_t r = aloop_await(aloop_sleep(loop, ALOOP_MS(1)));

    *(int *) arg = 1;
    return r;
}

static ssize_t spawns_and_ends(aloop *loop, void *arg)
{
    int result = 0;

    (void) arg;
    aloop_detach(aloop_spawn(loop, writes_later, &result));
    return result;
}

static void write_local(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    *(volatile char *) local = 1;
}

static ssize_t defers_a_write(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_spawn(loop, leaves_a_pointer, NULL));
    return aloop_defer(loop, write_local, NULL);
}

static ssize_t sends_itself_sigsegv(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return pthread_kill(pthread_self(), SIGSEGV);
}

static void exit_in_handler(int number)
{
    (void) number;
    _exit(HANDLED);
}

/* Runs four tasks in the child, the third of which is `fn`. */
static void run_child(aloop_task_fn fn, void (*handler)(int number))
{
    aloop *loop;

    (void) signal(SIGSEGV, handler);
    (void) signal(SIGBUS, handler);
    loop = aloop_new(&debug);
    for (int i = 0; i < 4; i++)
        aloop_detach(aloop_spawn(loop, i == 2 ? fn : yields, NULL));
    aloop_run(loop);
    _exit(0);
}

/* Returns whether the child was killed by the fault. */
static bool dies(aloop_task_fn fn, void (*handler)(int number))
{
    size_t length = 0;
    ssize_t count;
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void) dup2(fds[1], STDERR_FILENO);
        run_child(fn, handler);
    }
    (void) close(fds[1]);
    do {
        count = patient_read(fds[0], text + length, sizeof text - 1 - length);
        length += count > 0 ? (size_t) count : 0;
    } while (count > 0);
    text[length] = '\0';
    (void) close(fds[0]);
    assert_int_equal(patient_waitpid(pid, &status, 0), pid);
    /* Sanitizers report the fault and exit with a status of their own. */
    return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

static void an_overrun_reports_the_task_and_its_stack_size(void **state)
{
    const char *line;
    size_t size = 0;

    (void) state;
    assert_true(dies(recurses, SIG_DFL));
    line = strstr(text, "aloop: task fn (");
    if (line == NULL)
        line = strstr(text, "aloop: task i == 2 ? fn : yields (");
    assert_non_null(line);
    assert_non_null(strstr(line, "test_overrun.c:"));
    line = strstr(line, ") has overrun its stack of ");
    assert_non_null(line);
    assert_int_equal(
        sscanf(line, ") has overrun its stack of %zu bytes\n", &size), 1);
    assert_true(size >= 32 * 1024);
}

static void a_frame_larger_than_the_guard_is_reported(void **state)
{
    (void) state;
    if (sizeof(void *) < 8 || WITH_ASAN) /* Stacks under ASan are larger. */
        skip();
    assert_true(dies(steps_over, SIG_DFL));
    assert_non_null(strstr(text, ") has overrun its stack of "));
}

/* ASan has a report of its own. */
static bool reports_the_end_of(const char *name)
{
    if (WITH_ASAN)
        return strstr(text, "use-after-poison") != NULL;

    const char *line = strstr(text, name);

    return line != NULL && strstr(line, "test_overrun.c:") != NULL &&
           strstr(line, ") has ended, but a local variable of it was used");
}

static void a_local_of_an_ended_task_is_not_accessible(void **state)
{
    (void) state;
    assert_true(dies(reads_the_local_of_another, SIG_DFL));
    assert_true(reports_the_end_of("aloop: task leaves_a_pointer ("));
    assert_true(dies(spawns_and_ends, SIG_DFL));
    assert_true(reports_the_end_of("aloop: task "));
    assert_true(dies(defers_a_write, SIG_DFL));
    assert_true(reports_the_end_of("aloop: task leaves_a_pointer ("));
}

static ssize_t fills_its_stack(aloop *loop, void *arg)
{
    volatile char frame[16 * 1024];

    (void) arg;
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = 1;
    return aloop_yield(loop);
}

static void stacks_are_used_again_after_a_while(void **state)
{
    aloop *loop = aloop_new(&debug);

    (void) state;
    for (int i = 0; i < 300; i++)
        assert_int_equal(aloop_await(aloop_spawn(loop, fills_its_stack, NULL)),
                         0);
    aloop_free(loop);
}

static void another_fault_of_a_task_is_not_reported(void **state)
{
    (void) state;
    assert_true(dies(reads_bad_address, SIG_DFL));
    assert_null(strstr(text, "aloop:"));
}

static void a_sent_sigsegv_kills_without_a_report(void **state)
{
    (void) state;
    assert_true(dies(sends_itself_sigsegv, SIG_DFL));
    assert_null(strstr(text, "aloop:"));
}

static void a_sent_sigsegv_stays_ignored(void **state)
{
    (void) state;
    assert_false(dies(sends_itself_sigsegv, SIG_IGN));
}

static void an_earlier_handler_runs_after_the_report(void **state)
{
    (void) state;
    /* Valgrind reports the fault as an error. */
    if (patient_runs_on_valgrind())
        skip();
    assert_true(dies(recurses, exit_in_handler));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == HANDLED);
    assert_non_null(strstr(text, ") has overrun its stack of "));
    assert_true(dies(reads_bad_address, exit_in_handler));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == HANDLED);
    assert_null(strstr(text, "aloop:"));
}

static struct sigaction action_of(int number)
{
    struct sigaction action;

    assert_int_equal(sigaction(number, NULL, &action), 0);
    return action;
}

static void run_a_task(aloop *loop)
{
    assert_int_equal(aloop_await(aloop_spawn(loop, yields, NULL)), 0);
}

static void the_last_loop_restores_the_disposition(void **state)
{
    struct sigaction before = action_of(SIGSEGV);
    aloop *one = aloop_new(&debug), *two = aloop_new(&debug);

    (void) state;
    run_a_task(one);
    run_a_task(two);
    assert_true(action_of(SIGSEGV).sa_sigaction != before.sa_sigaction);
    aloop_free(one);
    assert_true(action_of(SIGSEGV).sa_sigaction != before.sa_sigaction);
    aloop_free(two);
    assert_true(action_of(SIGSEGV).sa_sigaction == before.sa_sigaction);
}

static void a_disposition_installed_later_is_kept(void **state)
{
    void (*before)(int) = signal(SIGSEGV, SIG_DFL);
    aloop *loop = aloop_new(&debug);

    (void) state;
    run_a_task(loop);
    (void) signal(SIGSEGV, exit_in_handler);
    aloop_free(loop);
    assert_true(signal(SIGSEGV, before) == exit_in_handler);
}

static void no_handler_is_installed_without_tasks(void **state)
{
    struct sigaction before = action_of(SIGSEGV);
    aloop *loop = aloop_new(&debug);

    (void) state;
    assert_true(action_of(SIGSEGV).sa_sigaction == before.sa_sigaction);
    aloop_free(loop);
}

static void no_handler_is_installed_without_the_debug_option(void **state)
{
    struct sigaction before = action_of(SIGSEGV);
    aloop *loop;

    (void) state;
#if !defined(NDEBUG)
    skip();
#endif
    loop = aloop_new(NULL);
    run_a_task(loop);
    assert_true(action_of(SIGSEGV).sa_sigaction == before.sa_sigaction);
    aloop_free(loop);
}

static void the_thread_has_a_signal_stack_only_within_a_turn(void **state)
{
    stack_t before, after;
    aloop *loop = aloop_new(&debug);

    (void) state;
    assert_int_equal(sigaltstack(NULL, &before), 0);
    run_a_task(loop);
    assert_int_equal(sigaltstack(NULL, &after), 0);
    assert_int_equal(before.ss_flags, after.ss_flags);
    if ((before.ss_flags & SS_DISABLE) == 0)
        assert_ptr_equal(before.ss_sp, after.ss_sp);
    aloop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overrun_reports_the_task_and_its_stack_size),
        cmocka_unit_test(a_frame_larger_than_the_guard_is_reported),
        cmocka_unit_test(a_local_of_an_ended_task_is_not_accessible),
        cmocka_unit_test(stacks_are_used_again_after_a_while),
        cmocka_unit_test(another_fault_of_a_task_is_not_reported),
        cmocka_unit_test(a_sent_sigsegv_kills_without_a_report),
        cmocka_unit_test(a_sent_sigsegv_stays_ignored),
        cmocka_unit_test(an_earlier_handler_runs_after_the_report),
        cmocka_unit_test(the_last_loop_restores_the_disposition),
        cmocka_unit_test(a_disposition_installed_later_is_kept),
        cmocka_unit_test(no_handler_is_installed_without_tasks),
        cmocka_unit_test(no_handler_is_installed_without_the_debug_option),
        cmocka_unit_test(the_thread_has_a_signal_stack_only_within_a_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
