/* Threads and monitors of the real system. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "os/sys.h"
#include "support/storm.h"

static void record_self(void *arg)
{
    if (is_blocked(SIGTERM) && is_blocked(SIGALRM) && is_blocked(SIGUSR1))
        *(uintptr_t *) arg = aloop__sys_thread_self();
}

static void a_thread_has_its_own_id_and_blocks_signals(void **state)
{
    struct sys_thread *thread;
    uintptr_t other = 0;
    sigset_t before, after;

    (void) state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(aloop__sys_thread_start(record_self, &other, &thread), 0);
    aloop__sys_thread_join(thread);
    pthread_sigmask(SIG_SETMASK, NULL, &after);

    assert_true(other != 0);
    assert_true(aloop__sys_thread_self() != 0);
    assert_true(other != aloop__sys_thread_self());
    assert_int_equal(sigismember(&after, SIGTERM),
                     sigismember(&before, SIGTERM));
}

/* A slot that one thread fills and others empty. */
struct slot {
    struct sys_monitor *monitor;
    int items, taken, waiting, errors;
    bool is_closed;
};

static void take_items(void *arg)
{
    struct slot *slot = arg;

    aloop__sys_monitor_enter(slot->monitor);
    slot->waiting++;
    for (;;) {
        while (slot->items == 0 && !slot->is_closed)
            slot->errors += aloop__sys_monitor_wait(slot->monitor) != 0;
        if (slot->items == 0)
            break;
        slot->items--;
        slot->taken++;
    }
    aloop__sys_monitor_leave(slot->monitor);
}

static void a_monitor_wakes_one_or_all(void **state)
{
    enum { THREADS = 3, ITEMS = 1000 };
    struct sys_thread *threads[THREADS];
    struct slot slot = {0};

    (void) state;
    assert_int_equal(aloop__sys_monitor_open(&slot.monitor), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            aloop__sys_thread_start(take_items, &slot, &threads[i]), 0);

    storm(5000); /* A signal must not end a wait. */
    for (int i = 0; i < ITEMS; i++) {
        aloop__sys_monitor_enter(slot.monitor);
        slot.items++;
        aloop__sys_monitor_notify(slot.monitor);
        aloop__sys_monitor_leave(slot.monitor);
    }
    aloop__sys_monitor_enter(slot.monitor);
    slot.is_closed = true;
    aloop__sys_monitor_notify_all(slot.monitor);
    aloop__sys_monitor_leave(slot.monitor);
    for (int i = 0; i < THREADS; i++)
        aloop__sys_thread_join(threads[i]);
    storm(0);

    assert_int_equal(slot.taken, ITEMS);
    assert_int_equal(slot.waiting, THREADS);
    assert_int_equal(slot.errors, 0);
    aloop__sys_monitor_close(slot.monitor);
    aloop__sys_monitor_close(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_own_id_and_blocks_signals),
        cmocka_unit_test(a_monitor_wakes_one_or_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
