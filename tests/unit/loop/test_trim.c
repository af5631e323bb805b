/* Trimming, which frees the memory that a burst of tasks used: when it happens,
 * and what it must not disturb. */

#include "aloop/task.h"
#include "loop/buffers.h"
#include "loop/state.h"
#include "os/stack.h"
#include "support/memory_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { BURST = 200 };

static ssize_t sleeps(aloop *loop, void *arg)
{
    int64_t *delay_ns = arg;

    return aloop_await(aloop_sleep(loop, *delay_ns));
}

/* Runs BURST tasks simultaneously, until all have ended. */
static void run_burst(void)
{
    int64_t delay_ns = ALOOP_MS(1);
    aloop_future *tasks[BURST];

    for (int i = 0; i < BURST; i++)
        tasks[i] = aloop_spawn(t.loop, sleeps, &delay_ns);
    for (int i = 0; i < BURST; i++)
        assert_int_equal(aloop_await(tasks[i]), 0);
    assert_true(aloop__stacks_have_spare(t.loop->stacks));
}

static void sleep_for(int64_t delay_ns)
{
    assert_int_equal(aloop_await(aloop_sleep(t.loop, delay_ns)), 0);
}

static void an_idle_loop_frees_the_memory_of_a_burst(void **state)
{
    (void) state;
    run_burst();
    sleep_for(ALOOP_SEC(5));
    assert_false(aloop__stacks_have_spare(t.loop->stacks));
}

static void a_loop_that_was_trimmed_waits_without_wake_ups(void **state)
{
    unsigned wakes;

    (void) state;
    run_burst();
    wakes = sim_wakes();
    sleep_for(ALOOP_SEC(5));
    assert_true(sim_wakes() - wakes <= 5);
    wakes = sim_wakes();
    sleep_for(ALOOP_SEC(3600));
    assert_true(sim_wakes() - wakes <= 2);
}

static void a_sleep_ends_on_time_while_memory_is_trimmed(void **state)
{
    int64_t start_ns;

    (void) state;
    run_burst();
    start_ns = aloop_now(t.loop);
    sleep_for(ALOOP_MS(4500));
    assert_int_equal(aloop_now(t.loop) - start_ns, ALOOP_MS(4500));
}

static void spare_memory_does_not_keep_the_loop_alive(void **state)
{
    unsigned wakes;

    (void) state;
    run_burst();
    wakes = sim_wakes();
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_step(t.loop, -1), 0);
    assert_true(sim_wakes() - wakes <= 1);
}

static void a_busy_loop_frees_the_memory_of_a_burst(void **state)
{
    (void) state;
    run_burst();
    for (int i = 0; i < 5000; i++) {
        sim_advance(ALOOP_MS(1));
        (void) aloop_yield(t.loop);
    }
    assert_false(aloop__stacks_have_spare(t.loop->stacks));
}

static void post_now(void *arg)
{
    (void) aloop_post(arg, count_call, NULL);
}

static void a_post_ends_a_wait_that_trimming_shortened(void **state)
{
    (void) state;
    run_burst();
    aloop_hold(t.loop);
    sim_at(ALOOP_MS(1500), post_now, t.loop);
    for (int i = 0; i < 2 && t.calls == 0; i++)
        assert_int_equal(aloop_step(t.loop, ALOOP_SEC(10)), 1);
    assert_int_equal(t.calls, 1);
    aloop_release(t.loop);
}

static void a_host_is_woken_to_trim_and_then_not_again(void **state)
{
    int fd = aloop_fd(t.loop), wakes = 0;

    (void) state;
    run_burst();
    aloop_hold(t.loop);
    assert_false(sim_fd_readable(fd));
    while (wakes < 10 && sim_poll(fd, ALOOP_SEC(3600))) {
        assert_true(aloop_step(t.loop, 0) >= 0);
        wakes++;
    }
    assert_true(wakes > 0 && wakes < 10);
    assert_false(aloop__stacks_have_spare(t.loop->stacks));
    aloop_release(t.loop);
}

static void an_idle_loop_frees_the_memory_of_sleeps_and_posts(void **state)
{
    enum { COUNT = 20000 };
    static aloop_future *sleeps[COUNT];
    aloop *loop = memory_loop(0);
    size_t before;

    (void) state;
    assert_int_equal(aloop_await(aloop_sleep(loop, ALOOP_MS(1))), 0);
    before = memory.bytes;
    for (int i = 0; i < COUNT; i++) {
        sleeps[i] = aloop_sleep(loop, ALOOP_SEC(100));
        assert_int_equal(aloop_post(loop, count_call, NULL), 0);
    }
    for (int i = 0; i < COUNT; i++)
        aloop_future_unref(sleeps[i]);
    assert_int_equal(aloop_await(aloop_sleep(loop, ALOOP_SEC(5))), 0);
    assert_int_equal(t.calls, COUNT);
    assert_true(memory.bytes < before + (memory.peak - before) / 8);
    aloop_free(loop);
    assert_int_equal(memory.bytes, 0);
}

static size_t largest_shrink;

static void *note_shrink(void *context, void *old, size_t old_size,
                         size_t new_size)
{
    if (new_size > 0 && new_size + largest_shrink < old_size)
        largest_shrink = old_size - new_size;
    return aloop__alloc_default.resize(context, old, old_size, new_size);
}

static void a_large_heap_of_deadlines_shrinks_in_small_steps(void **state)
{
    enum { COUNT = 100000 };
    static aloop_future *sleeps[COUNT];
    aloop_options options = {.size = sizeof options, .resize = note_shrink};
    aloop *loop = aloop_new(&options);

    (void) state;
    largest_shrink = 0;
    for (int i = 0; i < COUNT; i++)
        sleeps[i] = aloop_sleep(loop, ALOOP_SEC(100));
    for (int i = 0; i < COUNT; i++)
        aloop_future_unref(sleeps[i]);
    assert_int_equal(aloop_await(aloop_sleep(loop, ALOOP_SEC(5))), 0);
    assert_true(loop->timers.room <= SPARE_ROOM_MIN);
    assert_in_range(largest_shrink, 1, COUNT * 2 * sizeof(void *) / 8);
    aloop_free(loop);
}

enum { FREE_NS = 10000 };

/* On this machine each release of memory takes FREE_NS. */
static void *free_slowly(void *context, void *old, size_t old_size,
                         size_t new_size)
{
    if (new_size < old_size && old != NULL)
        sim_advance(FREE_NS);
    return aloop__alloc_default.resize(context, old, old_size, new_size);
}

/* A timer may be late by one slice of trimming, which is longer than 100 us by
 * one release at most.  A few others, as those of the sleep itself, may follow
 * before this test looks at the clock. */
static void trimming_makes_no_sleep_late_by_more_than_150_us(void **state)
{
    enum { COUNT = 50000, DELAY_NS = 100000 };
    static aloop_future *sleeps[COUNT];
    aloop_options options = {.size = sizeof options, .resize = free_slowly};
    aloop *loop = aloop_new(&options);
    int64_t latest_ns = 0;

    (void) state;
    for (int i = 0; i < COUNT; i++)
        sleeps[i] = aloop_sleep(loop, ALOOP_SEC(100));
    for (int i = 0; i < COUNT; i++)
        aloop_future_unref(sleeps[i]);
    for (int i = 0; i < 20000; i++) {
        int64_t start_ns = aloop__sys_clock_ns(), late_ns;

        assert_int_equal(aloop_await(aloop_sleep(loop, DELAY_NS)), 0);
        late_ns = aloop__sys_clock_ns() - start_ns - DELAY_NS;
        if (late_ns > latest_ns)
            latest_ns = late_ns;
    }
    assert_false(aloop__slab_has_spare(&loop->slab));
    assert_in_range(latest_ns, FREE_NS, 100000 + 5 * FREE_NS);
    aloop_free(loop);
}

static void an_idle_loop_frees_the_memory_of_queued_output(void **state)
{
    enum { COUNT = 40, SIZE = 60000 };
    static char bytes[SIZE];
    aloop *loop = memory_loop(0);
    aloop_stream *stream;
    size_t before;

    (void) state;
    sim_listen("127.0.0.1", 9, 1);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(loop, "127.0.0.1", "9", &stream)), 0);
    before = memory.bytes;
    for (int i = 0; i < COUNT; i++)
        assert_true(aloop_stream_put(stream, bytes, SIZE) >= 0);
    aloop_stream_abort(stream);
    assert_int_equal(aloop_await(aloop_sleep(loop, ALOOP_SEC(5))), 0);
    assert_true(memory.peak > before + (COUNT - 1) * SIZE);
    assert_true(memory.bytes < before + SIZE);
    aloop_free(loop);
    assert_int_equal(memory.bytes, 0);
}

/* The buffers are taken again in each window, so that none is idle for a whole
 * window. */
static void buffers_that_are_used_in_each_window_are_kept(void **state)
{
    enum { COUNT = 4 };
    void *buffers[COUNT], *again[COUNT];

    (void) state;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) {
            size_t size = BUFFER_LARGE;

            again[i] = aloop__buffer_get(t.loop, &size);
            assert_non_null(again[i]);
            assert_true(round == 0 || again[i] == buffers[i]);
        }
        for (int i = COUNT; i-- > 0;)
            aloop__buffer_put(t.loop, again[i], BUFFER_LARGE);
        memcpy(buffers, again, sizeof buffers);
        assert_true(aloop__buffers_have_spare(t.loop));
        sleep_for(ALOOP_MS(300));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_loop_frees_the_memory_of_a_burst),
        TEST(a_loop_that_was_trimmed_waits_without_wake_ups),
        TEST(a_sleep_ends_on_time_while_memory_is_trimmed),
        TEST(spare_memory_does_not_keep_the_loop_alive),
        TEST(a_busy_loop_frees_the_memory_of_a_burst),
        TEST(a_post_ends_a_wait_that_trimming_shortened),
        TEST(a_host_is_woken_to_trim_and_then_not_again),
        TEST(an_idle_loop_frees_the_memory_of_sleeps_and_posts),
        TEST(a_large_heap_of_deadlines_shrinks_in_small_steps),
        TEST(trimming_makes_no_sleep_late_by_more_than_150_us),
        TEST(an_idle_loop_frees_the_memory_of_queued_output),
        TEST(buffers_that_are_used_in_each_window_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
