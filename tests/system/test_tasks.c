/* Large numbers of tasks, and whole programs, on the real system. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "aloop.h"
#include "os/tools.h"
#include "support/patient.h"

enum { MANY = 100000, FEWER = 20000, SLOW = 500, TSAN = 100 };

/* Returns how many tasks to park.  Each costs a fiber under TSan, and time
 * under Valgrind, ASan and an emulator. */
static size_t count_of_tasks(void)
{
    size_t count = WITH_ASAN || patient_runs_on_qemu() ? FEWER : MANY;

#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        count = SLOW;
#endif
    if (WITH_TSAN)
        count = TSAN;
    print_message("parking %zu tasks\n", count);
    return count;
}

/* Counts the bytes that are allocated. */
static void *counted_resize(void *context, void *old, size_t old_size,
                            size_t size)
{
    size_t *used = context;
    void *memory = NULL;

    if (size > 0)
        memory = realloc(old, size);
    else
        free(old);
    if (size == 0 || memory != NULL)
        *used += size - old_size;
    return memory;
}

struct counts {
    size_t parked;
    size_t cancelled;
    size_t resumed;
};

static ssize_t parks(aloop *loop, void *arg)
{
    struct counts *counts = arg;
    ssize_t status;

    counts->parked++;
    status = aloop_await(aloop_sleep(loop, ALOOP_SEC(3600)));
    if (status == ALOOP_ECANCELED)
        counts->cancelled++;
    return status;
}

static void a_hundred_thousand_parked_tasks_all_end_when_cancelled(void **state)
{
    size_t used = 0, count = count_of_tasks();
    aloop_options options = {.size = sizeof options,
                             .resize = counted_resize,
                             .resize_context = &used};
    aloop *loop = aloop_new(&options);
    aloop_future **tasks = calloc(count, sizeof(aloop_future *));
    struct counts counts = {0, 0, 0};
    aloop_future *all;

    (void) state;
    for (size_t i = 0; tasks != NULL && i < count; i++)
        tasks[i] = aloop_spawn(loop, parks, &counts);
    aloop_step(loop, 0);
    assert_int_equal(counts.parked, count);

    all = aloop_gather_settled(loop, count, tasks, NULL);
    aloop_cancel(all);
    assert_int_equal(aloop_await(all), ALOOP_EABORTED);
    assert_int_equal(counts.cancelled, count);
    assert_false(aloop_alive(loop));

    assert_int_equal(aloop_free(loop), 0);
    assert_int_equal(used, 0);
    free(tasks);
}

static ssize_t wakes(aloop *loop, void *arg)
{
    struct counts *counts = arg;

    if (aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0)
        counts->resumed++;
    return 0;
}

static void each_of_many_sleeping_tasks_wakes(void **state)
{
    size_t count = count_of_tasks();
    aloop *loop = aloop_new(NULL);
    struct counts counts = {0, 0, 0};

    (void) state;
    for (size_t i = 0; i < count; i++)
        aloop_detach(aloop_spawn(loop, wakes, &counts));
    assert_int_equal(aloop_run(loop), 0);
    assert_int_equal(counts.resumed, count);
    aloop_free(loop);
}

static ssize_t fails_with_epipe(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    return ALOOP_EPIPE;
}

static void a_program_exits_with_the_result_of_its_task(void **state)
{
    (void) state;
    assert_int_equal(aloop_main(fails_with_epipe, NULL), ALOOP_EPIPE);
}

static void a_sleep_is_never_shorter_than_asked(void **state)
{
    aloop *loop = aloop_new(NULL);

    (void) state;
    for (int64_t ns = 0; ns < ALOOP_MS(3); ns += 137001) {
        int64_t begin = aloop_now(loop);

        assert_int_equal(aloop_await(aloop_sleep(loop, ns)), 0);
        assert_true(aloop_now(loop) - begin >= ns);
    }
    aloop_free(loop);
}

/* A thread that runs a loop and is cancelled while the loop runs. */
struct cancelled {
    _Atomic(aloop *) loop;
    bool has_timer;
    bool is_busy; /* The thread of the loop never sleeps. */
    atomic_bool has_returned;
};

static void ignore_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
}

static void defer_again(aloop *loop, void *arg)
{
    aloop_defer(loop, defer_again, arg);
}

static void *run_a_loop(void *arg)
{
    struct cancelled *test = arg;
    aloop *loop = aloop_new(NULL);
    aloop_timer *timer;

    aloop_hold(loop);
    if (test->has_timer)
        aloop_timer_start(loop, ALOOP_SEC(1000), 0, ignore_timer, NULL, &timer);
    if (test->is_busy)
        aloop_defer(loop, defer_again, NULL);
    atomic_store(&test->loop, loop);
    aloop_run(loop);
    atomic_store(&test->has_returned, aloop_free(loop) == 0);
    pthread_testcancel();
    return NULL;
}

static void stop_loop(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
}

static void a_cancelled_thread_ends_after_its_loop_is_stopped(void **state)
{
    (void) state;
    if (WITH_ASAN) /* Clang's ASan cannot end such a thread. */
        skip();
    for (int i = 0; i < 2; i++) {
        struct cancelled test = {.has_timer = i > 0};
        pthread_t thread;
        void *result;

        assert_int_equal(pthread_create(&thread, NULL, run_a_loop, &test), 0);
        while (atomic_load(&test.loop) == NULL)
            sched_yield();
        assert_int_equal(pthread_cancel(thread), 0);
        /* The thread frees the loop only after this call has run. */
        assert_int_equal(aloop_post(test.loop, stop_loop, NULL), 0);
        assert_int_equal(pthread_join(thread, &result), 0);

        assert_true(atomic_load(&test.has_returned));
        assert_ptr_equal(result, PTHREAD_CANCELED);
    }
}

/* A loop that does not sleep can run the post, end and be freed while
 * aloop_post() is still running. */
static void a_post_may_end_and_free_its_loop(void **state)
{
    /* These take long to let another thread run. */
    bool is_slow = patient_runs_on_valgrind() || patient_runs_on_qemu();

    (void) state;
    for (int i = 0; i < (is_slow ? 20 : 200); i++) {
        struct cancelled test = {.is_busy = true};
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, run_a_loop, &test), 0);
        while (atomic_load(&test.loop) == NULL)
            sched_yield();
        assert_int_equal(aloop_post(test.loop, stop_loop, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(atomic_load(&test.has_returned));
    }
}

static void *post_while_cancelled(void *arg)
{
    int before;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(before, NULL);
    aloop_post(arg, stop_loop, NULL);
    pthread_testcancel();
    return NULL;
}

static void a_cancelled_thread_ends_after_its_post(void **state)
{
    struct pollfd wake = {.events = POLLIN};
    pthread_t thread;
    void *result;
    aloop *loop;

    (void) state;
    if (WITH_ASAN) /* Clang's ASan cannot end such a thread. */
        skip();
    loop = aloop_new(NULL);
    wake.fd = aloop_fd(loop);
    aloop_step(loop, 0);
    assert_int_equal(patient_poll(&wake, 1, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, post_while_cancelled, loop),
                     0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(patient_poll(&wake, 1, 1000), 1);
    assert_int_equal(aloop_run(loop), 1);
    assert_int_equal(aloop_free(loop), 0);
}

/* An allocator at which pthread_cancel() ends a thread. */
static void *resize_at_a_point(void *context, void *old, size_t old_size,
                               size_t new_size)
{
    void *memory = new_size > 0 ? realloc(old, new_size) : NULL;

    if (new_size == 0)
        free(old);
    else
        pthread_testcancel();
    if (new_size == 0 || memory != NULL)
        *(size_t *) context += new_size - old_size;
    return memory;
}

/* It must not end while it alone may use the memory for posts. */
static void a_thread_cancelled_in_the_allocator_completes_its_post(void **state)
{
    size_t bytes = 0;
    aloop_options options = {.size = sizeof options,
                             .resize = resize_at_a_point,
                             .resize_context = &bytes};
    aloop *loop;
    pthread_t thread;
    void *result;

    (void) state;
    if (WITH_ASAN) /* Clang's ASan cannot end such a thread. */
        skip();
    loop = aloop_new(&options);
    assert_non_null(loop);
    assert_int_equal(pthread_create(&thread, NULL, post_while_cancelled, loop),
                     0);
    assert_int_equal(pthread_join(thread, &result), 0);

    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(aloop_run(loop), 1); /* The post has stopped it. */
    assert_int_equal(aloop_free(loop), 0);
    assert_int_equal(bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_hundred_thousand_parked_tasks_all_end_when_cancelled),
        cmocka_unit_test(each_of_many_sleeping_tasks_wakes),
        cmocka_unit_test(a_program_exits_with_the_result_of_its_task),
        cmocka_unit_test(a_sleep_is_never_shorter_than_asked),
        cmocka_unit_test(a_cancelled_thread_ends_after_its_loop_is_stopped),
        cmocka_unit_test(a_post_may_end_and_free_its_loop),
        cmocka_unit_test(a_cancelled_thread_ends_after_its_post),
        cmocka_unit_test(
            a_thread_cancelled_in_the_allocator_completes_its_post),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
