/* Functions on real threads of the pool. */

#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop.h"
#include "support/patient.h"
#include "support/threads.h"

enum { JOBS = 10000, FLYING = 64, ROUNDS = 100, ROUND_JOBS = 50 };

/* A function with an argument that the thread writes to. */
struct job {
    aloop_future *future; /* NULL if it was dropped or has settled. */
    atomic_int begun, ended;
    int number;
    char bytes[64];
};

static struct {
    aloop *loop;
    struct job *jobs;
    uint32_t random;
    int completed, cancelled, dropped;
    int threads; /* Threads of this process before the test. */
    atomic_size_t bytes;
    atomic_uint resizes_on_threads;
    pthread_t main_thread;
} f;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    atomic_fetch_add(&f.bytes, new_size - old_size);
    if (!pthread_equal(pthread_self(), f.main_thread))
        atomic_fetch_add(&f.resizes_on_threads, 1);
    if (new_size > 0)
        return realloc(old, new_size);
    free(old);
    return NULL;
}

static aloop *new_loop(void)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .work_threads = 4};

    return aloop_new(&options);
}

static int set_up(void **state)
{
    (void) state;
    memset((void *) &f, 0, sizeof f);
    f.random = 1;
    f.main_thread = pthread_self();
    f.threads = count_threads();
    f.jobs = calloc(JOBS, sizeof *f.jobs);
    f.loop = new_loop();
    return f.jobs == NULL || f.loop == NULL;
}

/* A thread is in the list of the system for a moment after it was joined. */
static int tear_down(void **state)
{
    (void) state;
    aloop_free(f.loop);
    free(f.jobs);
    assert_int_equal(f.bytes, 0);
    assert_int_equal(f.resizes_on_threads, 0);
    while (count_threads() > f.threads)
        sched_yield();
    return 0;
}

static uint32_t draw(uint32_t bound)
{
    f.random ^= f.random << 13;
    f.random ^= f.random >> 17;
    f.random ^= f.random << 5;
    return f.random % bound;
}

static ssize_t fill(void *arg)
{
    struct job *job = arg;

    atomic_fetch_add(&job->begun, 1);
    for (size_t i = 0; i < sizeof job->bytes; i++)
        job->bytes[i] = (char) job->number;
    if (job->number % 7 == 0)
        sched_yield();
    atomic_fetch_add(&job->ended, 1);
    return job->number;
}

static void start(aloop *loop, int number)
{
    struct job *job = &f.jobs[number];

    job->number = number;
    job->future = aloop_work(loop, fill, job);
    assert_non_null(job->future);
}

/* Writes what only the thread may write until the future has settled. */
static void check_settled(struct job *job)
{
    ssize_t status = aloop_future_status(job->future);

    assert_int_equal(job->begun, status == ALOOP_ECANCELED ? 0 : 1);
    assert_int_equal(job->ended, job->begun);
    if (status != ALOOP_ECANCELED)
        assert_int_equal(status, job->number);
    f.cancelled += status == ALOOP_ECANCELED;
    f.completed += status != ALOOP_ECANCELED;
    memset(job->bytes, -1, sizeof job->bytes);
    aloop_future_unref(job->future);
    job->future = NULL;
}

static void meddle(struct job *job)
{
    uint32_t choice = draw(4);

    if (job->future == NULL)
        return;
    if (aloop_future_status(job->future) != ALOOP_PENDING) {
        check_settled(job);
    } else if (choice == 0) {
        aloop_cancel(job->future);
    } else if (choice == 1) {
        aloop_future_unref(job->future);
        job->future = NULL;
        f.dropped++;
    }
}

static void functions_can_be_cancelled_and_dropped_at_any_time(void **state)
{
    (void) state;
    for (int i = 0; i < JOBS; i++) {
        start(f.loop, i);
        for (uint32_t n = draw(4); n > 0; n--)
            meddle(&f.jobs[i -
                           (int) draw(i < FLYING ? (uint32_t) i + 1 : FLYING)]);
        if (draw(8) == 0)
            assert_true(aloop_step(f.loop, 0) >= 0);
    }
    assert_int_equal(aloop_run(f.loop), 0);
    for (int i = 0; i < JOBS; i++)
        if (f.jobs[i].future != NULL)
            check_settled(&f.jobs[i]);

    for (int i = 0; i < JOBS; i++)
        assert_int_equal(f.jobs[i].begun, f.jobs[i].ended);
    assert_int_equal(f.completed + f.cancelled + f.dropped, JOBS);
    assert_true(f.completed > 100 && f.cancelled > 100 && f.dropped > 100);
}

static void a_loop_can_be_freed_while_functions_run(void **state)
{
    (void) state;
    for (int round = 0; round < ROUNDS; round++) {
        aloop *loop = new_loop();
        int first = round * ROUND_JOBS;

        assert_non_null(loop);
        for (int i = first; i < first + ROUND_JOBS; i++) {
            start(loop, i);
            aloop_detach(f.jobs[i].future);
            if (draw(10) == 0)
                aloop_step(loop, 0);
        }
        assert_int_equal(aloop_free(loop), 0);
        for (int i = first; i < first + ROUND_JOBS; i++) {
            assert_int_equal(f.jobs[i].begun, f.jobs[i].ended);
            memset(f.jobs[i].bytes, -1, sizeof f.jobs[i].bytes);
        }
    }
}

static ssize_t increment(void *arg)
{
    ++*(int *) arg;
    return 0;
}

static void a_map_runs_each_item_once(void **state)
{
    int *items = calloc(JOBS, sizeof *items);

    (void) state;
    assert_non_null(items);
    assert_int_equal(aloop_await(aloop_work_map(f.loop, increment, items, JOBS,
                                                sizeof *items, 0)),
                     0);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(items[i], 1);
    free(items);
}

static struct {
    atomic_bool may_continue;
    int posts;
} progress;

static void note_post(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    if (++progress.posts == 3)
        atomic_store(&progress.may_continue, false);
}

/* Returns only after the loop has run some of the posts. */
static ssize_t post_until_noted(void *arg)
{
    ssize_t posted = 0;

    while (atomic_load(&progress.may_continue)) {
        if (aloop_post(arg, note_post, NULL) == 0)
            posted++;
        sched_yield();
    }
    return posted;
}

static void a_function_reports_its_progress_by_posts(void **state)
{
    aloop_future *future;

    (void) state;
    atomic_store(&progress.may_continue, true);
    progress.posts = 0;
    future = aloop_work(f.loop, post_until_noted, f.loop);

    assert_true(aloop_await(future) >= 3);

    atomic_store(&f.resizes_on_threads, 0); /* The posts'. */
}

static void posts_run_while_a_loop_that_is_freed_waits(void **state)
{
    (void) state;
    atomic_store(&progress.may_continue, true);
    progress.posts = 0;
    aloop_detach(aloop_work(f.loop, post_until_noted, f.loop));
    aloop_step(f.loop, 0);

    assert_int_equal(aloop_free(f.loop), 0);

    f.loop = NULL;
    assert_true(progress.posts >= 3 || atomic_load(&progress.may_continue));
    atomic_store(&f.resizes_on_threads, 0);
}

static __attribute__((noinline)) ssize_t use_much_stack(void *arg)
{
    volatile char bytes[20000];

    memset((void *) bytes, 1, sizeof bytes);
    *(int *) arg -= bytes[0];
    return *(int *) arg > 0 ? use_much_stack(arg) : 0;
}

static void a_function_has_as_much_stack_as_other_threads(void **state)
{
    int depth = 15; /* 300 KB; the system's default is more. */

    (void) state;
    assert_int_equal(aloop_await(aloop_work(f.loop, use_much_stack, &depth)),
                     0);
}

/* Forks, and returns in the child, which a signal ends if it still runs after
 * ten seconds.  Returns 1 in the parent if the child has ended by itself. */
static ssize_t forks_and_returns(void *arg)
{
    sigset_t alarm_signal;
    int status;
    pid_t child = fork();

    (void) arg;
    if (child == 0) {
        sigemptyset(&alarm_signal);
        sigaddset(&alarm_signal, SIGALRM);
        pthread_sigmask(SIG_UNBLOCK, &alarm_signal, NULL);
        alarm(10);
        return 0;
    }
    return child > 0 && patient_waitpid(child, &status, 0) == child &&
           WIFEXITED(status);
}

static ssize_t writes_a_byte(void *arg)
{
    return patient_write(*(int *) arg, "x", 1);
}

static void a_child_that_returns_from_a_function_runs_no_other(void **state)
{
    aloop_options options = {.size = sizeof options, .work_threads = 1};
    aloop *loop = aloop_new(&options);
    aloop_future *forker, *writer;
    ssize_t statuses[2], size;
    char bytes[8];
    int ends[2];

    (void) state;
    assert_non_null(loop);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL); /* The child ends by exit(). */
    forker = aloop_work(loop, forks_and_returns, NULL);
    writer = aloop_work(loop, writes_a_byte, &ends[1]);
    statuses[0] = aloop_await(forker);
    statuses[1] = aloop_await(writer);
    size = patient_read(ends[0], bytes, sizeof bytes);
    aloop_free(loop); /* tear_down() waits for its threads. */
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(statuses[0], 1);
    assert_int_equal(statuses[1], 1);
    assert_int_equal(size, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(functions_can_be_cancelled_and_dropped_at_any_time),
        TEST(a_loop_can_be_freed_while_functions_run),
        TEST(a_map_runs_each_item_once),
        TEST(a_function_reports_its_progress_by_posts),
        TEST(posts_run_while_a_loop_that_is_freed_waits),
        TEST(a_function_has_as_much_stack_as_other_threads),
        TEST(a_child_that_returns_from_a_function_runs_no_other),
    };

    return cmocka_run_group_tests(tests, start_first_thread, NULL);
}
