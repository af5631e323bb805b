/* Signal dispositions of the real system, and the lock that handlers share. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sys.h"
#include "os/tools.h"
#include "support/patient.h"
#include "support/storm.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void on_other(int number)
{
    (void) number;
}

static void restoring_a_signal_restores_its_old_disposition(void **state)
{
    struct sigaction mine = {
        .sa_handler = on_other,
        .sa_flags = SA_NODEFER,
    };
    struct sigaction now;
    int before = atomic_load(&signals);

    (void) state;
    sigemptyset(&mine.sa_mask);
    sigaddset(&mine.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &mine, NULL);

    assert_int_equal(aloop__sys_signal_catch(SIGUSR1, on_signal), 0);
    assert_int_equal(aloop__sys_signal_catch(SIGUSR1, on_signal), 0);
    raise(SIGUSR1);
    assert_int_equal(atomic_load(&signals), before + 1);
    sigaction(SIGUSR1, NULL, &now);
    assert_int_equal(now.sa_flags & (SA_RESTART | SA_ONSTACK),
                     SA_RESTART | (tools_allow_onstack() ? SA_ONSTACK : 0));
    assert_true(sigismember(&now.sa_mask, SIGTERM));

    aloop__sys_signal_restore(SIGUSR1);
    aloop__sys_signal_restore(SIGUSR1);

    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == on_other);
    assert_true((now.sa_flags & SA_NODEFER) != 0);
    assert_true((now.sa_flags & (SA_RESTART | SA_ONSTACK)) == 0);
    assert_true(sigismember(&now.sa_mask, SIGUSR2));
    assert_false(sigismember(&now.sa_mask, SIGTERM));
    signal(SIGUSR1, SIG_DFL);
}

static void an_ignored_interrupt_is_not_listed(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    int numbers[SYS_INTERRUPTS] = {0};

    (void) state;
    assert_int_equal(aloop__sys_signal_interrupts(numbers), 2);
    assert_int_equal(numbers[0], SIGINT);
    assert_int_equal(numbers[1], SIGTERM);
    sigaction(SIGINT, &ignore, &before);
    assert_int_equal(aloop__sys_signal_interrupts(numbers), 1);
    assert_int_equal(numbers[0], SIGTERM);
    sigaction(SIGINT, &before, NULL);
}

static void a_disposition_that_the_program_set_later_is_kept(void **state)
{
    struct sigaction now;
    unsigned before = aloop__sys_signal_received(SIGUSR1);

    (void) state;
    signal(SIGUSR1, SIG_DFL);
    assert_int_equal(aloop__sys_signal_catch(SIGUSR1, on_signal), 0);
    signal(SIGUSR1, on_other);
    aloop__sys_signal_restore(SIGUSR1);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == on_other);

    assert_int_equal(aloop__sys_signal_catch(SIGUSR1, on_signal), 0);
    signal(SIGUSR1, SIG_IGN);
    assert_int_equal(aloop__sys_signal_catch(SIGUSR1, on_signal), 0);
    raise(SIGUSR1);
    assert_int_equal(aloop__sys_signal_received(SIGUSR1), before + 1);
    aloop__sys_signal_restore(SIGUSR1);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
}

static void a_signal_that_cannot_be_caught_is_refused(void **state)
{
    static const int numbers[] = {
        INT32_MIN, -1, 0, SIGKILL, SIGSTOP, SYS_SIGNAL_MAX + 1, INT32_MAX,
    };

    (void) state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        assert_int_equal(aloop__sys_signal_catch(numbers[i], on_signal),
                         -EINVAL);
        aloop__sys_signal_restore(numbers[i]);
    }
}

/* `total` is changed only under the lock, by two threads and by the signal
 * handlers of one of them. */
static struct {
    long total;
    atomic_long from_handlers;
} guarded;

enum { ROUNDS = 20000 };

static void count_in_handler(int number)
{
    (void) number;
    aloop__sys_signal_lock_in_handler();
    guarded.total++;
    aloop__sys_signal_unlock_in_handler();
    atomic_fetch_add(&guarded.from_handlers, 1);
}

static void count_in_thread(void *arg)
{
    (void) arg;
    for (int i = 0; i < ROUNDS; i++) {
        aloop__sys_signal_lock();
        guarded.total++;
        aloop__sys_signal_unlock();
    }
}

static void the_lock_is_shared_with_handlers(void **state)
{
    struct itimerval timer = {
        .it_interval = {.tv_usec = 1000},
        .it_value = {.tv_usec = 1000},
    };
    struct sys_thread *thread;
    sigset_t before, after;

    (void) state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    signal(SIGALRM, SIG_IGN); /* One may arrive after the restore. */
    assert_int_equal(aloop__sys_signal_catch(SIGALRM, count_in_handler), 0);
    assert_int_equal(aloop__sys_thread_start(count_in_thread, NULL, 0, &thread),
                     0);
    setitimer(ITIMER_REAL, &timer, NULL);

    while (atomic_load(&guarded.from_handlers) == 0)
        poll(NULL, 0, 1);
    count_in_thread(NULL);
    aloop__sys_thread_join(thread);

    timer = (struct itimerval){.it_value = {0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGALRM),
                     sigismember(&before, SIGALRM));
    aloop__sys_signal_lock();
    assert_int_equal(guarded.total,
                     2 * ROUNDS + atomic_load(&guarded.from_handlers));
    aloop__sys_signal_unlock();
    aloop__sys_signal_restore(SIGALRM);
}

/* Otherwise a handler could wait for the thread that it interrupted, which is a
 * deadlock. */
static void signals_are_blocked_while_the_lock_is_held(void **state)
{
    (void) state;
    assert_false(is_blocked(SIGUSR1));

    aloop__sys_signal_lock();

    assert_true(is_blocked(SIGUSR1) && is_blocked(SIGALRM));
    aloop__sys_signal_unlock();
    assert_false(is_blocked(SIGUSR1));
}

static void a_forked_child_finds_the_lock_free(void **state)
{
    int status = -1;
    pid_t child;

    (void) state;
    aloop__sys_signal_lock();
    child = fork();
    if (child == 0) {
        struct rlimit second = {1, 1}; /* Ends a child that spins. */

        setrlimit(RLIMIT_CPU, &second);
        aloop__sys_signal_lock();
        aloop__sys_signal_unlock();
        aloop__sys_signal_lock_in_handler();
        aloop__sys_signal_unlock_in_handler();
        _exit(0);
    }
    aloop__sys_signal_unlock();

    assert_true(child > 0);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(restoring_a_signal_restores_its_old_disposition),
        cmocka_unit_test(an_ignored_interrupt_is_not_listed),
        cmocka_unit_test(a_disposition_that_the_program_set_later_is_kept),
        cmocka_unit_test(a_signal_that_cannot_be_caught_is_refused),
        cmocka_unit_test(the_lock_is_shared_with_handlers),
        cmocka_unit_test(signals_are_blocked_while_the_lock_is_held),
        cmocka_unit_test(a_forked_child_finds_the_lock_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
