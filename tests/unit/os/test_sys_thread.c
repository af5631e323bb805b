/* Threads, mutexes and conditions of the real system. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
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
    assert_int_equal(aloop__sys_thread_start(record_self, &other, 0, &thread),
                     0);
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
    struct sys_mutex *mutex;
    struct sys_condition *filled;
    int items, taken, waiting, errors;
    bool is_closed;
};

static void take_items(void *arg)
{
    struct slot *slot = arg;

    aloop__sys_mutex_lock(slot->mutex);
    slot->waiting++;
    for (;;) {
        while (slot->items == 0 && !slot->is_closed)
            slot->errors +=
                aloop__sys_condition_wait(slot->filled, slot->mutex, -1) != 0;
        if (slot->items == 0)
            break;
        slot->items--;
        slot->taken++;
    }
    aloop__sys_mutex_unlock(slot->mutex);
}

static void a_condition_wakes_one_or_all(void **state)
{
    enum { THREADS = 3, ITEMS = 1000 };
    struct sys_thread *threads[THREADS];
    struct slot slot = {0};

    (void) state;
    assert_int_equal(aloop__sys_mutex_open(&slot.mutex), 0);
    assert_int_equal(aloop__sys_condition_open(&slot.filled), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            aloop__sys_thread_start(take_items, &slot, 0, &threads[i]), 0);

    storm(5000); /* A signal must not end a wait. */
    for (int i = 0; i < ITEMS; i++) {
        aloop__sys_mutex_lock(slot.mutex);
        slot.items++;
        aloop__sys_condition_notify(slot.filled);
        aloop__sys_mutex_unlock(slot.mutex);
    }
    aloop__sys_mutex_lock(slot.mutex);
    slot.is_closed = true;
    aloop__sys_condition_notify_all(slot.filled);
    aloop__sys_mutex_unlock(slot.mutex);
    for (int i = 0; i < THREADS; i++)
        aloop__sys_thread_join(threads[i]);
    storm(0);

    assert_int_equal(slot.taken, ITEMS);
    assert_int_equal(slot.waiting, THREADS);
    assert_int_equal(slot.errors, 0);
    aloop__sys_condition_close(slot.filled);
    aloop__sys_mutex_close(slot.mutex);
    aloop__sys_condition_close(NULL);
    aloop__sys_mutex_close(NULL);
}

/* A wait may end early without a reason. */
static void a_wait_ends_after_its_time_on_the_monotonic_clock(void **state)
{
    const int64_t wait_ns = 10000000;
    int64_t begin_ns = aloop__sys_clock_ns();
    struct sys_condition *condition;
    struct sys_mutex *mutex;
    int error;

    (void) state;
    assert_int_equal(aloop__sys_mutex_open(&mutex), 0);
    assert_int_equal(aloop__sys_condition_open(&condition), 0);
    aloop__sys_mutex_lock(mutex);
    storm(5000); /* Signals neither end a wait nor begin it again. */
    do
        error = aloop__sys_condition_wait(condition, mutex, wait_ns);
    while (error == 0);
    storm(0);
    aloop__sys_mutex_unlock(mutex);
    assert_int_equal(error, -ETIMEDOUT);
    assert_true(aloop__sys_clock_ns() - begin_ns >= wait_ns);
    aloop__sys_condition_close(condition);
    aloop__sys_mutex_close(mutex);
}

/* Fills the slot once. */
static void put_item(void *arg)
{
    struct slot *slot = arg;

    aloop__sys_mutex_lock(slot->mutex);
    slot->items++;
    aloop__sys_mutex_unlock(slot->mutex);
    aloop__sys_condition_notify(slot->filled);
}

static void a_wait_may_be_as_long_as_can_be_said_or_have_no_time(void **state)
{
    static const int64_t times_ns[] = {INT64_MAX, -1, INT64_MIN};
    struct sys_thread *thread;
    struct slot slot = {0};

    (void) state;
    assert_int_equal(aloop__sys_mutex_open(&slot.mutex), 0);
    assert_int_equal(aloop__sys_condition_open(&slot.filled), 0);
    for (int i = 0; i < 3; i++) {
        slot.items = 0;
        aloop__sys_mutex_lock(slot.mutex);
        assert_int_equal(aloop__sys_thread_start(put_item, &slot, 0, &thread),
                         0);
        while (slot.items == 0)
            assert_int_equal(
                aloop__sys_condition_wait(slot.filled, slot.mutex, times_ns[i]),
                0);
        aloop__sys_mutex_unlock(slot.mutex);
        aloop__sys_thread_join(thread);
    }
    aloop__sys_mutex_lock(slot.mutex);
    while (aloop__sys_condition_wait(slot.filled, slot.mutex, 0) == 0)
        continue;
    aloop__sys_mutex_unlock(slot.mutex);
    aloop__sys_condition_close(slot.filled);
    aloop__sys_mutex_close(slot.mutex);
}

#if defined(__linux__) && defined(__GLIBC__) && defined(__LP64__)

/* The number of glibc's lock is 1 while no other thread waits for it, and 2 if
 * one may do so.  Only then the unlock is a system call.  A struct sys_mutex
 * begins with the mutex of POSIX. */
static void the_unlock_after_a_wait_is_no_system_call(void **state)
{
    struct sys_condition *condition;
    struct sys_mutex *mutex;
    int before, after;

    (void) state;
    assert_int_equal(aloop__sys_mutex_open(&mutex), 0);
    assert_int_equal(aloop__sys_condition_open(&condition), 0);
    aloop__sys_mutex_lock(mutex);
    before = ((const pthread_mutex_t *) (const void *) mutex)->__data.__lock;
    while (aloop__sys_condition_wait(condition, mutex, 1) == 0)
        continue;
    after = ((const pthread_mutex_t *) (const void *) mutex)->__data.__lock;
    aloop__sys_mutex_unlock(mutex);
    aloop__sys_condition_close(condition);
    aloop__sys_mutex_close(mutex);
    assert_int_equal(before, 1);
    assert_int_equal(after, 1);
}

#endif

static void use_stack(void *arg)
{
    volatile unsigned char bytes[60 * 1024];

    for (size_t i = 0; i < sizeof bytes; i += 512)
        bytes[i] = 1;
    *(int *) arg = bytes[512];
}

static void a_thread_can_use_the_stack_that_was_chosen(void **state)
{
    static const size_t sizes[] = {0, 64 * 1024, 1024 * 1024};

    (void) state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sys_thread *thread;
        int result = 0;

        assert_int_equal(
            aloop__sys_thread_start(use_stack, &result, sizes[i], &thread), 0);
        aloop__sys_thread_join(thread);
        assert_int_equal(result, 1);
    }
}

static void there_is_at_least_one_processor(void **state)
{
    (void) state;
    assert_true(aloop__sys_processors() >= 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_own_id_and_blocks_signals),
        cmocka_unit_test(a_condition_wakes_one_or_all),
        cmocka_unit_test(a_wait_ends_after_its_time_on_the_monotonic_clock),
        cmocka_unit_test(a_wait_may_be_as_long_as_can_be_said_or_have_no_time),
#if defined(__linux__) && defined(__GLIBC__) && defined(__LP64__)
        cmocka_unit_test(the_unlock_after_a_wait_is_no_system_call),
#endif
        cmocka_unit_test(a_thread_can_use_the_stack_that_was_chosen),
        cmocka_unit_test(there_is_at_least_one_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
