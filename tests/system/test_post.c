/* Posts and wake-ups from other threads. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aloop.h"
#include "support/patient.h"

enum { THREADS = 4, POSTS = 25000 };

struct poster {
    pthread_t thread;
    int posted; /* Counted by the thread. */
    int ran;    /* Counted by the loop. */
    bool is_disordered;
};

static struct {
    aloop *loop;
    struct poster posters[THREADS];
    int ran;
    atomic_bool is_over;
} f;

/* The sender of a message, and the number of its earlier messages. */
struct message {
    struct poster *poster;
    int number;
};

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

static void on_message(aloop *loop, void *arg)
{
    struct message *message = arg;
    struct poster *poster = message->poster;

    poster->is_disordered |= message->number != poster->ran;
    if (++poster->ran == POSTS)
        aloop_release(loop);
    f.ran++;
    free(message);
}

static void *post_many(void *arg)
{
    struct poster *poster = arg;

    for (int i = 0; i < POSTS; i++) {
        struct message *message = malloc(sizeof *message);

        if (message == NULL)
            break;
        *message = (struct message){poster, i};
        if (aloop_post(f.loop, on_message, message) == 0)
            poster->posted++;
    }
    return NULL;
}

/* Failure class 43: a wake-up is lost, or the queue is corrupted. */
static void posts_of_several_threads_run_in_order_per_thread(void **state)
{
    (void) state;
    for (int i = 0; i < THREADS; i++) {
        aloop_hold(f.loop);
        pthread_create(&f.posters[i].thread, NULL, post_many, &f.posters[i]);
    }

    assert_int_equal(aloop_run(f.loop), 0);

    for (int i = 0; i < THREADS; i++) {
        pthread_join(f.posters[i].thread, NULL);
        assert_int_equal(f.posters[i].posted, POSTS);
        assert_int_equal(f.posters[i].ran, POSTS);
        assert_false(f.posters[i].is_disordered);
    }
    assert_int_equal(f.ran, THREADS * POSTS);
}

static void answer(aloop *loop, void *arg)
{
    (void) loop;
    atomic_store((atomic_int *) arg, 1);
}

static void release(aloop *loop, void *arg)
{
    (void) arg;
    aloop_release(loop);
}

/* Posts one call at a time, each after the one before has run.  The loop is
 * asleep, or about to sleep, at nearly every post. */
static void *post_and_wait(void *arg)
{
    (void) arg;
    for (int i = 0; i < 2000; i++) {
        atomic_int is_served = 0;

        aloop_post(f.loop, answer, &is_served);
        while (atomic_load(&is_served) == 0)
            sched_yield();
    }
    aloop_post(f.loop, release, NULL);
    return NULL;
}

static void a_post_wakes_a_sleeping_loop(void **state)
{
    pthread_t thread;

    (void) state;
    aloop_hold(f.loop);
    pthread_create(&thread, NULL, post_and_wait, NULL);

    assert_int_equal(aloop_run(f.loop), 0);

    pthread_join(thread, NULL);
}

static void *wake_many(void *arg)
{
    (void) arg;
    while (!atomic_load(&f.is_over)) {
        aloop_wake(f.loop);
        sched_yield();
    }
    return NULL;
}

static void wake_ups_end_waits_and_run_no_callbacks(void **state)
{
    pthread_t thread;

    (void) state;
    aloop_hold(f.loop);
    pthread_create(&thread, NULL, wake_many, NULL);
    for (int i = 0; i < 1000; i++)
        /* A wake-up ends the wait. */
        assert_int_equal(aloop_step(f.loop, -1), 1);
    atomic_store(&f.is_over, true);
    pthread_join(thread, NULL);
    aloop_release(f.loop);

    assert_int_equal(aloop_run(f.loop), 0);
}

static void *post_release(void *arg)
{
    aloop_post(arg, release, NULL);
    return NULL;
}

static void a_hold_keeps_the_loop_alive_until_its_release(void **state)
{
    pthread_t thread;

    (void) state;
    assert_false(aloop_alive(f.loop));
    aloop_hold(f.loop);
    aloop_hold(f.loop);
    aloop_release(f.loop);
    assert_true(aloop_alive(f.loop));
    pthread_create(&thread, NULL, post_release, f.loop);

    assert_int_equal(aloop_run(f.loop), 0);

    pthread_join(thread, NULL);
    assert_false(aloop_alive(f.loop));
}

static void note_post(aloop *loop, void *arg)
{
    (void) loop;
    f.posters[0].ran = f.posters[0].ran * 10 + *(int *) arg;
}

static void *post_hello(void *arg)
{
    static int one = 1;

    (void) arg;
    aloop_post(f.loop, note_post, &one);
    return NULL;
}

static void a_post_of_another_thread_runs_before_a_later_own_post(void **state)
{
    pthread_t thread;
    int two = 2;

    (void) state;
    pthread_create(&thread, NULL, post_hello, NULL);
    pthread_join(thread, NULL);
    aloop_post(f.loop, note_post, &two);

    assert_int_equal(aloop_run(f.loop), 0);

    assert_int_equal(f.posters[0].ran, 12);
}

/* Failure class 45: an object that the posting thread still uses is destroyed
 * right after the post. */
static void a_loop_is_freed_right_after_the_post_that_ends_it(void **state)
{
    (void) state;
    for (int i = 0; i < 200; i++) {
        aloop *loop = aloop_new(NULL);
        pthread_t thread;

        aloop_hold(loop);
        pthread_create(&thread, NULL, post_release, loop);
        assert_int_equal(aloop_run(loop), 0);
        assert_int_equal(aloop_free(loop), 0);
        pthread_join(thread, NULL);
    }
}

/* One of two loops, each on a thread of its own. */
struct side {
    aloop *loop;
    /* Counts loops that exist, then loops that have ended. */
    atomic_int *ready;
    struct side *other;
    int hits;
};

enum { HITS = 5000 };

static void hit(aloop *loop, void *arg)
{
    struct side *side = arg;

    if (++side->hits == HITS)
        aloop_release(loop);
    if (side->hits <= HITS)
        aloop_post(side->other->loop, hit, side->other);
}

static void wait_until(atomic_int *value, int wanted)
{
    while (atomic_load(value) < wanted)
        sched_yield();
}

static void *play(void *arg)
{
    struct side *side = arg;

    side->loop = aloop_new(NULL);
    aloop_hold(side->loop);
    atomic_fetch_add(side->ready, 1);
    wait_until(side->ready, 2);
    aloop_post(side->other->loop, hit, side->other);
    aloop_run(side->loop);
    atomic_fetch_add(side->ready, 1);
    wait_until(side->ready, 4); /* The other loop may still post to this one. */
    aloop_free(side->loop);
    return NULL;
}

static void two_loops_on_two_threads_post_to_each_other(void **state)
{
    atomic_int ready = 0;
    struct side sides[2] = {{.ready = &ready, .other = &sides[1]},
                            {.ready = &ready, .other = &sides[0]}};
    pthread_t threads[2];

    (void) state;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, play, &sides[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);

    assert_true(sides[0].hits >= HITS && sides[1].hits >= HITS);
}

static void posts_queued_when_the_loop_is_freed_do_not_leak(void **state)
{
    aloop *loop = aloop_new(NULL);

    (void) state;
    for (int i = 0; i < 100; i++)
        aloop_post(loop, release, NULL);

    assert_int_equal(aloop_free(loop), 0);
}

static void release_nothing(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
}

static void *defer_from_a_thread(void *arg)
{
    *(int *) arg = aloop_defer(f.loop, release_nothing, NULL);
    return NULL;
}

static int defer_elsewhere(void)
{
    pthread_t thread;
    int result = 1;

    pthread_create(&thread, NULL, defer_from_a_thread, &result);
    pthread_join(thread, NULL);
    return result;
}

static void note_refusal(aloop *loop, void *arg)
{
    (void) loop;
    *(int *) arg = defer_elsewhere();
}

static void count_mistake(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    assert_int_equal(error, ALOOP_EMISUSE);
    assert_non_null(strstr(what, "aloop_defer() on another thread"));
    *(int *) arg += 1;
}

static void a_call_from_another_thread_is_refused_while_a_debug_loop_runs(
    void **state)
{
    int mistakes = 0, result = 1;
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = count_mistake,
                             .on_unhandled_arg = &mistakes,
                             .debug = true};
    aloop *before = f.loop;

    (void) state;
    f.loop = aloop_new(&options);
    assert_int_equal(defer_elsewhere(), 0);
    aloop_defer(f.loop, note_refusal, &result);
    assert_int_equal(aloop_run(f.loop), 0);

    assert_int_equal(result, ALOOP_EPERM);
    assert_int_equal(mistakes, 1);
    aloop_free(f.loop);
    f.loop = before;
}

/* A loop that moves between threads. */

static void *run_to_the_end(void *arg)
{
    f.ran = aloop_run(arg);
    return NULL;
}

static void *free_loop(void *arg)
{
    f.ran = aloop_free(arg);
    return NULL;
}

static void *run_on_a_thread(void *(*run)(void *arg), void *arg)
{
    pthread_t thread;

    f.ran = -1;
    assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
    pthread_join(thread, NULL);
    assert_int_equal(f.ran, 0);
    return NULL;
}

static void on_timer(aloop_timer *timer, void *arg)
{
    *(int *) arg += 1;
    aloop_timer_close(timer);
}

static void a_loop_may_be_made_run_and_freed_on_three_threads(void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_timer *timer;
    int timers = 0;

    (void) state;
    for (int i = 1; i <= 3; i++) {
        aloop_timer_start(loop, 0, 0, on_timer, &timers, &timer);
        run_on_a_thread(run_to_the_end, loop);
        assert_int_equal(timers, i);
        aloop_timer_start(loop, 0, 0, on_timer, &timers, &timer);
        assert_int_equal(aloop_await(aloop_sleep(loop, ALOOP_MS(1))), 0);
        assert_int_equal(timers, i + 1);
        timers--;
    }
    aloop_timer_start(loop, 0, 0, on_timer, &timers, &timer);

    run_on_a_thread(free_loop, loop);
}

/* Accesses go through pointers, because a compiler may reuse the address of
 * errno within a function. */
static void assign_errno(int error)
{
    errno = error;
}

static int read_errno(void)
{
    return errno;
}

static void (*volatile set_errno)(int error) = assign_errno;
static int (*volatile get_errno)(void) = read_errno;

static ssize_t keep_errno(aloop *loop, void *arg)
{
    int *stage = arg;

    for (*stage = 1; *stage < 4; ++*stage) {
        set_errno(1000 + *stage);
        if (aloop_await(aloop_sleep(loop, ALOOP_MS(1))) < 0 ||
            get_errno() != 1000 + *stage)
            return -1;
    }
    return 0;
}

/* Steps the loop until its task has reached the next stage. */
static void *run_next_stage(void *arg)
{
    const int *stage = arg;

    f.ran = 0;
    for (int before = *stage; *stage == before && aloop_alive(f.loop);)
        f.ran |= aloop_step(f.loop, ALOOP_SEC(10)) < 0;
    return NULL;
}

static void a_task_keeps_its_errno_on_another_thread(void **state)
{
    int stage = 0;
    aloop_future *task = aloop_spawn(f.loop, keep_errno, &stage);

    (void) state;
    run_on_a_thread(run_next_stage, &stage);
    run_next_stage(&stage);
    run_on_a_thread(run_next_stage, &stage);
    run_next_stage(&stage);

    assert_int_equal(stage, 4);
    assert_int_equal(aloop_await(task), 0);
}

static void invalid_arguments_are_refused(void **state)
{
    (void) state;
    assert_int_equal(aloop_post(NULL, release, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_post(f.loop, NULL, NULL), ALOOP_EINVAL);
    aloop_wake(NULL);
    aloop_hold(NULL);
    aloop_release(NULL);
    aloop_release(f.loop); /* The loop is not held. */
    assert_false(aloop_alive(f.loop));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(posts_of_several_threads_run_in_order_per_thread),
        TEST(a_post_wakes_a_sleeping_loop),
        TEST(wake_ups_end_waits_and_run_no_callbacks),
        TEST(a_hold_keeps_the_loop_alive_until_its_release),
        TEST(a_post_of_another_thread_runs_before_a_later_own_post),
        TEST(a_loop_is_freed_right_after_the_post_that_ends_it),
        TEST(two_loops_on_two_threads_post_to_each_other),
        TEST(posts_queued_when_the_loop_is_freed_do_not_leak),
        TEST(a_call_from_another_thread_is_refused_while_a_debug_loop_runs),
        TEST(a_loop_may_be_made_run_and_freed_on_three_threads),
        TEST(a_task_keeps_its_errno_on_another_thread),
        TEST(invalid_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
