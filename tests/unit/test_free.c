/* Freeing a loop: what still runs in it, what does not, and that it ends. */

#include "support/fixture.h"

#include <stdlib.h>

#define MS ALOOP_MS(1)

enum { CHAIN = 12000, TURNS_AFTER = 20 };

static void free_loop(void)
{
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
}

/* Callbacks of handles: each would touch what its `arg` points to. */

static void touch(void *arg)
{
    t.calls += *(int *) arg;
}

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    touch(arg);
}

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) number;
    touch(arg);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    touch(arg);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream,
                      void *arg)
{
    (void) listener;
    touch(arg);
    aloop_stream_start(stream, on_data, arg);
}

/* Needs a few turns, in which handles have their chance. */
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
    assert_int_equal(t.calls, 1); /* It is accepted. */
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

static void note_status(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) arg;
    note(status == ALOOP_ECANCELED ? 3 : 4);
}

static void continuations_and_tasks_run_while_a_loop_is_freed(void **state)
{
    (void) state;
    aloop_then(aloop_sleep(t.loop, ALOOP_SEC(1)), note_status, NULL);
    aloop_detach(aloop_spawn(t.loop, takes_turns, &t.calls));
    free_loop();
    assert_noted(3, 1, 2);
}

/* Chains. */

static const aloop_task_options small = {.size = sizeof small,
                                         .stack_size = 32 * 1024};

static ssize_t awaits_the_next(aloop *loop, void *arg)
{
    char *left = arg;

    if (*left == 0)
        aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    else
        aloop_await(
            aloop_spawn_with(loop, awaits_the_next, left + 1, &small));
    t.calls++;
    return 0;
}

static void a_chain_of_tasks_that_await_each_other_ends_properly(void **state)
{
    static char links[CHAIN]; /* The last is 0. */

    (void) state;
    for (int i = 0; i + 1 < CHAIN; i++)
        links[i] = 1;
    aloop_detach(aloop_spawn_with(t.loop, awaits_the_next, links, &small));
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

static void tasks_that_always_spawn_another_do_not_keep_a_loop(void **state)
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
        aloop_await(aloop_gather(loop, aloop_sleep(loop, 1),
                                 aloop_sleep(loop, 2)));
    }
    return 0;
}

static void a_task_that_always_awaits_again_does_not_keep_a_loop(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, never_ends, NULL));
    free_loop();
    assert_in_range(t.calls, 1000, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_callback_of_a_handle_runs_while_a_loop_is_freed),
        TEST(continuations_and_tasks_run_while_a_loop_is_freed),
        TEST(a_chain_of_tasks_that_await_each_other_ends_properly),
        TEST(a_chain_of_tasks_that_spawn_each_other_ends_properly),
        TEST(tasks_that_always_spawn_another_do_not_keep_a_loop),
        TEST(a_task_that_always_awaits_again_does_not_keep_a_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
