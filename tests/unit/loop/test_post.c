/* Posts, on the simulated system.  A wake-up may be late,
 * because the posting thread can be delayed between its push and its write. */

#include "support/memory_fixture.h"

#include <signal.h>

#include "loop/state.h"
#include "loop/wake.h"

static void note_post(aloop *loop, void *arg)
{
    (void) loop;
    note(*(const int *) arg);
}

static void note_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) arg;
    note(number);
}

static const int one = 1, two = 2, three = 3;

/* Imitates a thread that has set the flag and has not written yet. */
static void delay_wake_up(void)
{
    atomic_store(&t.loop->is_waking, true);
}

static void write_wake_up(void *arg)
{
    (void) arg;
    aloop__sys_wake_signal(t.loop->wake_fds[1]);
}

static void post(const int *number)
{
    assert_int_equal(aloop_post(t.loop, note_post, (void *) (uintptr_t) number),
                     0);
}

static void post_one(void *arg)
{
    (void) arg;
    delay_wake_up();
    post(&one);
}

static void a_post_whose_wake_up_is_late_runs_in_the_next_turn(void **state)
{
    (void) state;
    post_one(NULL);

    aloop_step(t.loop, -1);

    assert_noted(1);
    assert_int_equal(sim_wakes(), 1);
}

static void a_late_wake_up_ends_one_wait_and_runs_nothing(void **state)
{
    (void) state;
    post_one(NULL);
    aloop_step(t.loop, 0);
    aloop_hold(t.loop);
    sim_at(5 * MS, write_wake_up, NULL);

    aloop_step(t.loop, ALOOP_SEC(1));

    assert_noted(1);
    assert_int_equal(sim_calls("aloop__sys_wake_drain"), 1);
    aloop_step(t.loop, MS);
    assert_int_equal(sim_wakes(), 3);
    post(&two); /* This post wakes the loop again. */
    assert_true(sim_poll(t.loop->wake_fds[0], 0));
    aloop_step(t.loop, -1);
    assert_noted(1, 2);
    aloop_release(t.loop);
}

static void a_loop_does_not_spin_while_a_wake_up_is_late(void **state)
{
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, 5 * MS, 5 * MS, ignore_timer, NULL, &timer);
    sim_at(12 * MS, post_one, NULL);
    sim_at(ALOOP_SEC(1), write_wake_up, NULL);

    assert_int_equal(aloop_await(aloop_sleep(t.loop, ALOOP_SEC(1))), 0);

    assert_noted(1);
    assert_true(sim_wakes() <= 210);
    aloop_timer_close(timer);
}

static void posts_run_in_order_with_or_without_a_wake_up(void **state)
{
    (void) state;
    post_one(NULL);
    post(&two);
    aloop_step(t.loop, 0);
    post(&three);
    write_wake_up(NULL);
    post(&one);
    aloop_step(t.loop, 0);

    assert_noted(1, 2, 3, 1);
}

static void post_again(aloop *loop, void *arg)
{
    (void) arg;
    t.calls++;
    aloop_post(loop, post_again, NULL);
}

static void a_post_that_posts_itself_does_not_prolong_a_turn(void **state)
{
    (void) state;
    aloop_post(t.loop, post_again, NULL);
    for (int i = 0; i < 10; i++)
        aloop_step(t.loop, 0);

    assert_true(t.calls >= 10 && t.calls <= 20);
}

static void a_signal_whose_wake_up_is_late_runs_in_the_next_turn(void **state)
{
    aloop_signal *watch;

    (void) state;
    aloop_signal_start(t.loop, SIGUSR1, note_signal, NULL, &watch);
    delay_wake_up();
    sim_raise(SIGUSR1);

    aloop_step(t.loop, 0);

    assert_noted(SIGUSR1);
    aloop_signal_close(watch);
}

static void post_here(void *arg)
{
    aloop_post(t.loop, note_call, arg);
}

static void a_queued_post_keeps_the_loop_alive(void **state)
{
    (void) state;
    sim_as_thread(post_here, as_arg(1));
    sim_as_thread(post_here, as_arg(2));
    aloop_post(t.loop, note_call, as_arg(3));
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1, 2, 3);
}

static void posts_wake_a_loop_that_sleeps(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start_timer(ALOOP_SEC(1), 9);
    sim_at(5 * MS, post_here, as_arg(1));
    aloop_step(t.loop, -1);
    assert_noted(1);
    assert_true(aloop_now(t.loop) - begin == 5 * MS);
}

static void a_burst_of_posts_costs_one_wake_up(void **state)
{
    unsigned before = sim_calls("aloop__sys_wake_signal");

    (void) state;
    for (int i = 0; i < 60; i++)
        sim_as_thread(post_here, as_arg(i));
    aloop_run(t.loop);
    assert_int_equal(t.calls, 60);
    assert_true(sim_calls("aloop__sys_wake_signal") - before <= 1);
}

/* As if a thread woke the loop after the hook has looked. */
static void wake_again(struct aloop__wake_hook *hook)
{
    (void) hook;
    if (t.calls++ == 0)
        aloop_wake(t.loop);
}

static void a_wake_up_while_hooks_run_lets_them_run_again(void **state)
{
    struct aloop__wake_hook hook = {.run = wake_again};

    (void) state;
    list_init(&hook.node);
    aloop__wake_hook_add(t.loop, &hook);
    aloop_wake(t.loop);
    turns(4);
    assert_int_equal(t.calls, 2);
    aloop__wake_hook_remove(&hook);
}

static void queued_posts_are_dropped_with_the_loop(void **state)
{
    (void) state;
    sim_as_thread(post_here, as_arg(1));
    aloop_free(t.loop);
    t.loop = NULL;
    assert_true(t.noted <= 1);
}

static void return_from_the_post(void *arg)
{
    aloop *loop = arg;

    atomic_store(&loop->posting, 0);
    t.calls++;
}

/* A post can run, and end the loop, before aloop_post() has returned. */
static void a_loop_is_freed_after_its_last_post_has_returned(void **state)
{
    (void) state;
    atomic_store(&t.loop->posting, 1); /* A thread is in aloop_post(). */
    sim_at(3000, return_from_the_post, t.loop);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(t.calls, 1);
    assert_int_equal(sim_calls("aloop__sys_thread_yield"), 3);
}

/* Posts `count` calls, and runs them. */
static void post_and_run(int count)
{
    for (int i = 0; i < count; i++)
        post(&one);
    aloop_step(t.loop, 0);
    t.noted = 0;
}

static void posts_use_the_memory_of_earlier_ones(void **state)
{
    unsigned calls;

    (void) state;
    post_and_run(20); /* Of two blocks, which then alternate. */
    calls = memory.calls;

    for (int i = 0; i < 20; i++)
        post_and_run(10);

    assert_int_equal(memory.calls, calls);
}

static void the_memory_of_a_large_burst_is_freed(void **state)
{
    size_t bytes = memory.bytes;

    (void) state;
    for (int i = 0; i < 4; i++)
        post_and_run(20000);

    assert_true(memory.bytes <= bytes + 2048 * 4 * sizeof(void *));
}

/* Imitates a thread that has begun to take a post of a block.  What it changes
 * has no valid contents meanwhile. */
static void take_blocks(void)
{
    atomic_store(&t.loop->is_post_taken, true);
    t.loop->open_posts = t.loop->spare_posts = (void *) (uintptr_t) 1;
    t.loop->spare_count = 1;
}

static void a_post_beside_another_one_has_memory_of_its_own(void **state)
{
    size_t bytes = memory.bytes;

    (void) state;
    take_blocks();
    post(&one);
    assert_true(memory.bytes > bytes);
    aloop_step(t.loop, 0);

    assert_noted(1);
    assert_int_equal(memory.bytes, bytes);
    t.loop->open_posts = t.loop->spare_posts = NULL;
    t.loop->spare_count = 0;
    atomic_store(&t.loop->is_post_taken, false);
}

/* The thread does not exist in the child. */
static void a_child_forgets_what_a_thread_was_taking(void **state)
{
    (void) state;
    take_blocks();
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);

    post_and_run(40);

    assert_false(atomic_load(&t.loop->is_post_taken));
    assert_true(t.loop->spare_count > 0);
}

static void a_child_frees_nothing_that_a_thread_was_taking(void **state)
{
    (void) state;
    take_blocks();
    sim_fork();

    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_post_whose_wake_up_is_late_runs_in_the_next_turn),
        TEST(a_late_wake_up_ends_one_wait_and_runs_nothing),
        TEST(a_loop_does_not_spin_while_a_wake_up_is_late),
        TEST(posts_run_in_order_with_or_without_a_wake_up),
        TEST(a_post_that_posts_itself_does_not_prolong_a_turn),
        TEST(a_signal_whose_wake_up_is_late_runs_in_the_next_turn),
        TEST(a_queued_post_keeps_the_loop_alive),
        TEST(posts_wake_a_loop_that_sleeps),
        TEST(a_burst_of_posts_costs_one_wake_up),
        TEST(a_wake_up_while_hooks_run_lets_them_run_again),
        TEST(queued_posts_are_dropped_with_the_loop),
        TEST(a_loop_is_freed_after_its_last_post_has_returned),
        MEMORY_TEST(posts_use_the_memory_of_earlier_ones),
        MEMORY_TEST(the_memory_of_a_large_burst_is_freed),
        MEMORY_TEST(a_post_beside_another_one_has_memory_of_its_own),
        MEMORY_TEST(a_child_forgets_what_a_thread_was_taking),
        MEMORY_TEST(a_child_frees_nothing_that_a_thread_was_taking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
