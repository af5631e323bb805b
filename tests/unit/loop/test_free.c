/* Freeing a loop: what still runs, what does not run, and that aloop_free()
 * always returns. */

#include "support/memory_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "os/tools.h"

/* The thread sanitizer supports about 8,000 tasks. */
enum { CHAIN = WITH_TSAN ? 3000 : 12000, TURNS_AFTER = 20 };

static aloop_future *held; /* A future that is never released. */

static void free_loop(void)
{
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
}

/* Callbacks of handles.  Each accesses the object that its `arg` points to. */

static void add_arg(void *arg)
{
    t.calls += *(int *) arg;
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    add_arg(arg);
}

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) number;
    add_arg(arg);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    add_arg(arg);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    add_arg(arg);
    aloop_stream_start(stream, on_data, arg);
}

/* Needs a few turns, in which callbacks of handles could run. */
static ssize_t takes_turns(aloop *loop, void *arg)
{
    aloop_timer *timer;

    for (int i = 0; i < TURNS_AFTER; i++)
        aloop_await(aloop_sleep(loop, MS));
    note(1);
    aloop_timer_start(loop, 0, 0, on_timer, arg, &timer);
    aloop_await(aloop_sleep(loop, MS));
    note(2);
    return 0;
}

static void no_callback_of_a_handle_runs_while_a_loop_is_freed(void **state)
{
    int *one = malloc(sizeof *one);
    aloop_listener *listener;
    aloop_signal *watch;
    aloop_timer *timer;
    int peer, late;

    (void) state;
    assert_non_null(one);
    *one = 1;
    aloop_tcp_listen(t.loop, "127.0.0.1", "9", on_stream, one, &listener);
    peer = sim_connect(9);
    aloop_step(t.loop, MS);
    assert_int_equal(t.calls, 1); /* The connection is accepted. */
    aloop_timer_start(t.loop, 0, 0, on_timer, one, &timer);
    aloop_timer_start(t.loop, 0, 1, on_timer, one, &timer);
    aloop_signal_start(t.loop, 10, on_signal, one, &watch);
    sim_raise(10);
    sim_peer_send(peer, "x", 1);
    late = sim_connect(9);
    sim_pass(MS);
    aloop_detach(aloop_spawn(t.loop, takes_turns, one));
    free(one);
    free_loop();
    assert_int_equal(t.calls, 1);
    assert_noted(1, 2);
    sim_peer_close(peer);
    sim_peer_close(late);
}

static void note_whether_cancelled(aloop_future *future, ssize_t status,
                                   void *arg)
{
    (void) future;
    (void) arg;
    note(status == ALOOP_ECANCELED ? 3 : 4);
}

static void continuations_and_tasks_run_while_a_loop_is_freed(void **state)
{
    (void) state;
    aloop_then(aloop_sleep(t.loop, ALOOP_SEC(1)), note_whether_cancelled, NULL);
    aloop_detach(aloop_spawn(t.loop, takes_turns, &t.calls));
    free_loop();
    assert_noted(3, 1, 2);
}

/* Chains. */

enum { SMALL_STACK = 32 * 1024 };

static ssize_t awaits_the_next(aloop *loop, void *arg)
{
    char *left = arg;

    if (*left == 0)
        aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    else
        aloop_await(aloop_spawn_with(loop, awaits_the_next, left + 1,
                                     .stack_size = SMALL_STACK));
    t.calls++;
    return 0;
}

static void a_chain_of_tasks_that_await_each_other_ends_properly(void **state)
{
    static char links[CHAIN]; /* The last element is 0. */

    (void) state;
    for (int i = 0; i + 1 < CHAIN; i++)
        links[i] = 1;
    aloop_detach(aloop_spawn_with(t.loop, awaits_the_next, links,
                                  .stack_size = SMALL_STACK));
    for (int i = 0; i <= CHAIN; i++)
        aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 0);
    free_loop();
    assert_int_equal(t.calls, CHAIN);
}

static ssize_t spawns_the_next(aloop *loop, void *arg)
{
    int max = *(int *) arg;

    aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    if (++t.calls < max)
        aloop_detach(aloop_spawn(loop, spawns_the_next, arg));
    return 0;
}

static void a_chain_of_tasks_that_spawn_each_other_ends_properly(void **state)
{
    static int max = CHAIN;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, spawns_the_next, &max));
    free_loop();
    assert_int_equal(t.calls, CHAIN);
}

static void tasks_that_always_spawn_another_do_not_block_free(void **state)
{
    static int max = INT32_MAX;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, spawns_the_next, &max));
    free_loop();
    assert_true(t.calls > CHAIN);
}

static ssize_t never_ends(aloop *loop, void *arg)
{
    (void) arg;
    for (;;) {
        t.calls++;
        aloop_await(
            aloop_gather(loop, aloop_sleep(loop, 1), aloop_sleep(loop, 2)));
    }
    return 0;
}

static void a_task_that_always_awaits_again_does_not_block_free(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, never_ends, NULL));
    free_loop();
    assert_in_range(t.calls, 1000, 20000);
}

/* Futures that were never released. */

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return ALOOP_ECONNRESET;
}

static void futures_that_are_held_to_the_end_are_reported(void **state)
{
    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(NULL); /* It has the default report. */
    held = aloop_spawn(t.loop, fails, NULL);
    held = aloop_sleep(t.loop, ALOOP_SEC(9));
    aloop_step(t.loop, 0);
    free_loop();
    assert_non_null(strstr(sim_stderr(),
                           "aloop: 2 futures: never awaited, detached or "
                           "unreferenced\n"
                           "aloop: future still held: task fails ("));
    assert_non_null(strstr(sim_stderr(),
                           ") failed: connection reset by peer\n"
                           "aloop: future still held: sleep: never awaited"));
}

static void only_the_first_of_many_held_futures_are_named(void **state)
{
    (void) state;
    for (int i = 0; i < 100; i++)
        held = aloop_future_new_settled(t.loop, i);
    free_loop();
    assert_int_equal(t.unhandled, 1 + 5);
    assert_int_equal(t.unhandled_error, ALOOP_EHELD);
    assert_string_equal(t.unhandled_what, "future still held: operation");
}

static ssize_t waits_for_operation(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_operation_new(loop, NULL, NULL));
}

static void held_futures_that_never_settle_are_reported(void **state)
{
    (void) state;
    held = aloop_operation_new(t.loop, NULL, NULL);
    aloop_detach(aloop_operation_new(t.loop, NULL, NULL));
    held = aloop_spawn(t.loop, waits_for_operation, NULL);
    aloop_detach(aloop_spawn(t.loop, waits_for_operation, NULL));

    free_loop();

    assert_int_equal(t.unhandled, 1 + 2);
    assert_int_equal(t.unhandled_error, ALOOP_EHELD);
    assert_memory_equal(t.unhandled_what, "future still held: task ", 24);
}

static void a_future_that_was_released_in_any_way_is_not_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_await(aloop_sleep(t.loop, MS));
    aloop_await(aloop_gather(t.loop, aloop_sleep(t.loop, MS),
                             aloop_spawn(t.loop, fails, NULL),
                             aloop_future_ref(promise)));
    aloop_future_unref(promise);
    aloop_detach(aloop_sleep(t.loop, ALOOP_SEC(9)));
    aloop_future_unref(aloop_future_new_settled(t.loop, 1));
    aloop_then(aloop_sleep(t.loop, ALOOP_SEC(9)), note_whether_cancelled, NULL);
    promise = aloop_future_new(t.loop);
    aloop_future_resolve(promise, 1);
    aloop_future_unref(promise);
    free_loop();
    assert_int_equal(t.unhandled, 0);
}

static void free_again(aloop *loop, int error, const char *what, void *arg)
{
    (void) what;
    (void) arg;
    assert_int_equal(error, ALOOP_EHELD);
    assert_int_equal(aloop_free(loop), ALOOP_EBUSY);
    assert_int_equal(aloop_run(loop), ALOOP_EBUSY);
    t.calls++;
}

static void a_hook_cannot_run_or_free_a_loop_that_is_freed(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = free_again};

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    held = aloop_sleep(t.loop, MS);
    free_loop();
    assert_int_equal(t.calls, 2);
}

static ssize_t releases_none_of_two(aloop *loop, void *arg)
{
    (void) arg;
    held = aloop_spawn(loop, fails, NULL);
    held = aloop_sleep(loop, ALOOP_SEC(9));
    return aloop_await(aloop_sleep(loop, MS));
}

static void aloop_main_reports_futures_that_were_not_released(void **state)
{
    (void) state;
    assert_int_equal(aloop_main(releases_none_of_two, NULL), 0);
    assert_non_null(strstr(sim_stderr(), "aloop: 2 futures: never"));
    assert_non_null(strstr(sim_stderr(), "connection reset by peer"));
}

static ssize_t always_yields(aloop *loop, void *arg)
{
    (void) arg;
    for (;;)
        aloop_yield(loop);
    return 0;
}

static void a_gather_of_an_endless_task_is_freed_with_the_loop(void **state)
{
    aloop *loop = memory_loop(0);
    aloop_future *gather = aloop_gather(
        loop, aloop_spawn(loop, always_yields, NULL), aloop_sleep(loop, MS));

    (void) state;
    assert_int_equal(aloop_step(loop, 0), 1);
    assert_false(aloop_future_is_settled(gather));

    assert_int_equal(aloop_free(loop), 0); /* Leak checkers verify it. */
}

static void run_and_hold(aloop_future *future)
{
    aloop_run(t.loop);
    assert_int_equal(aloop_future_status(future), 0);
}

static void a_settled_connect_that_is_held_is_freed_with_the_loop(void **state)
{
    int listener = sim_listen("127.0.0.1", 80, 8);
    aloop_stream *stream = NULL;

    (void) state;
    run_and_hold(aloop_tcp_connect(t.loop, "127.0.0.1", "80", &stream));
    assert_non_null(stream);
    sim_peer_close(listener);
    free_counted_loop();
}

static void settled_groups_that_are_held_are_freed_with_the_loop(void **state)
{
    (void) state;
    run_and_hold(
        aloop_gather(t.loop, aloop_sleep(t.loop, 1), aloop_sleep(t.loop, 2)));
    run_and_hold(
        aloop_race(t.loop, aloop_sleep(t.loop, 1), aloop_sleep(t.loop, 2)));
    free_counted_loop();
}

static void a_settled_map_that_is_held_is_freed_with_the_loop(void **state)
{
    int items[3] = {0, 0, 0};

    (void) state;
    run_and_hold(aloop_map(t.loop, returns_zero, items, 3, sizeof *items, 2));
    free_counted_loop();
}

/* Waits for itself indirectly, which the library cannot detect. */
static ssize_t gathers_itself(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(
        aloop_gather(loop, aloop_future_ref(aloop_current_task())));
}

static void a_group_that_never_ends_is_freed_with_the_loop(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, gathers_itself, NULL));
    aloop_step(t.loop, 0);
    free_counted_loop();
}

static ssize_t always_connects(aloop *loop, void *arg)
{
    for (;;) {
        aloop_future *connect = aloop_tcp_connect(loop, "127.0.0.9", "81", arg);

        aloop_yield(loop);
        aloop_detach(connect);
        t.calls++;
    }
    return 0;
}

static void a_task_that_never_ends_leaves_no_descriptor(void **state)
{
    aloop_stream *stream;

    (void) state;
    sim_blackhole("127.0.0.9");
    aloop_detach(aloop_spawn(t.loop, always_connects, &stream));
    aloop_step(t.loop, 0);
    free_counted_loop();
    assert_true(t.calls >= 9999); /* It ran in each of the promised turns. */
}

static ssize_t sleeps_shielded(aloop *loop, void *arg)
{
    aloop_shield_begin();
    *(ssize_t *) arg = aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    return 0;
}

static void a_shielded_task_is_cancelled_when_the_loop_is_freed(void **state)
{
    (void) state;
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        ssize_t status = 1;
        aloop_future *task = aloop_spawn(t.loop, sleeps_shielded, &status);

        aloop_step(t.loop, 0);
        if (is_cancelled)
            aloop_cancel(task);
        aloop_step(t.loop, 0);
        assert_int_equal(status, 1);
        free_counted_loop();
        assert_int_equal(status, ALOOP_ECANCELED);
        t.loop = memory_loop(0);
    }
}

static ssize_t fails_when_cancelled(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    t.calls++;
    return ALOOP_EBADF;
}

static void unhandled_errors_are_reported_while_the_loop_is_freed(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_detach(aloop_spawn(t.loop, fails_when_cancelled, NULL));
    aloop_step(t.loop, 0);
    aloop_future_unref(aloop_future_new_settled(t.loop, ALOOP_EINVAL));
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    assert_int_equal(t.unhandled, 0);

    free_counted_loop();
    assert_int_equal(t.calls, 1);
    /* Errors that the freeing caused are not reported. */
    assert_int_equal(t.unhandled, 2);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_callback_of_a_handle_runs_while_a_loop_is_freed),
        TEST(continuations_and_tasks_run_while_a_loop_is_freed),
        TEST(a_chain_of_tasks_that_await_each_other_ends_properly),
        TEST(a_chain_of_tasks_that_spawn_each_other_ends_properly),
        TEST(tasks_that_always_spawn_another_do_not_block_free),
        TEST(a_task_that_always_awaits_again_does_not_block_free),
        TEST(futures_that_are_held_to_the_end_are_reported),
        TEST(only_the_first_of_many_held_futures_are_named),
        TEST(held_futures_that_never_settle_are_reported),
        TEST(a_future_that_was_released_in_any_way_is_not_reported),
        TEST(a_hook_cannot_run_or_free_a_loop_that_is_freed),
        TEST(aloop_main_reports_futures_that_were_not_released),
        TEST(a_gather_of_an_endless_task_is_freed_with_the_loop),
        MEMORY_TEST(a_settled_connect_that_is_held_is_freed_with_the_loop),
        MEMORY_TEST(settled_groups_that_are_held_are_freed_with_the_loop),
        MEMORY_TEST(a_settled_map_that_is_held_is_freed_with_the_loop),
        MEMORY_TEST(a_group_that_never_ends_is_freed_with_the_loop),
        MEMORY_TEST(a_task_that_never_ends_leaves_no_descriptor),
        MEMORY_TEST(a_shielded_task_is_cancelled_when_the_loop_is_freed),
        MEMORY_TEST(unhandled_errors_are_reported_while_the_loop_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
