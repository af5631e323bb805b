/* A child that was forked in a callback of a loop, on the simulated system.
 * The first call of any of the functions below forks, and later calls are
 * counted.  The child must not continue with the work of its parent. */

#include "support/stream_fixture.h"

#include <signal.h>

static aloop_stream *stream;
static aloop_listener *listener;
static aloop_signal *watch;
static bool has_forked;
static bool is_adopting; /* The child calls aloop_after_fork() immediately. */

static void fork_once(void)
{
    if (has_forked)
        return;
    has_forked = true;
    sim_fork();
    if (is_adopting)
        assert_int_equal(aloop_after_fork(t.loop), 0);
}

static void fork_or_count(aloop *loop, void *arg)
{
    t.calls += has_forked;
    fork_once();
    (void) loop;
    (void) arg;
}

static void fork_or_count_in_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    fork_or_count(t.loop, arg);
}

static void fork_or_count_in_hook(aloop *loop, int error, const char *what,
                                  void *arg)
{
    (void) what;
    if (error == ALOOP_EBUSY)
        fork_or_count(loop, arg);
}

static ssize_t fork_or_count_in_task(aloop *loop, void *arg)
{
    fork_or_count(loop, arg);
    return 0;
}

static void defer_two(void)
{
    aloop_defer(t.loop, fork_or_count, NULL);
    aloop_defer(t.loop, fork_or_count, NULL);
}

static void post_two(void)
{
    aloop_post(t.loop, fork_or_count, NULL);
    aloop_post(t.loop, fork_or_count, NULL);
}

static void start_two_timers(void)
{
    static aloop_timer *timers[2];

    for (int i = 0; i < 2; i++)
        aloop_timer_start(t.loop, 0, 0, fork_or_count_in_timer, NULL,
                          &timers[i]);
}

static void spawn_two(void)
{
    aloop_detach(aloop_spawn(t.loop, fork_or_count_in_task, NULL));
    aloop_detach(aloop_spawn(t.loop, fork_or_count_in_task, NULL));
}

static void fail_two(void)
{
    aloop_detach(aloop_future_new_settled(t.loop, ALOOP_EBUSY));
    aloop_detach(aloop_future_new_settled(t.loop, ALOOP_EBUSY));
}

static void (*const queue_two[])(void) = {defer_two, post_two, start_two_timers,
                                          spawn_two, fail_two};
enum { QUEUES = sizeof queue_two / sizeof queue_two[0] };

static void queue(int i, bool is_taken_over)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = fork_or_count_in_hook};

    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    t.calls = 0;
    has_forked = false;
    is_adopting = is_taken_over;
    queue_two[i]();
}

static void a_child_runs_nothing_after_the_callback_that_forked(void **state)
{
    (void) state;
    for (int i = 0; i < QUEUES; i++) {
        queue(i, false);
        aloop_step(t.loop, 0);
        assert_true(has_forked);
        assert_int_equal(t.calls, 0);

        assert_int_equal(aloop_step(t.loop, 0), ALOOP_EPERM);
        assert_int_equal(t.calls, 0);
        assert_int_equal(aloop_free(t.loop), 0);
        t.loop = NULL;
        assert_int_equal(t.calls, 0);
    }
}

static void after_fork_continues_with_the_rest_of_the_turn(void **state)
{
    (void) state;
    for (int i = 0; i < QUEUES; i++) {
        queue(i, false);
        assert_true(aloop_fd(t.loop) >= 0);
        aloop_step(t.loop, 0);
        assert_int_equal(t.calls, 0);

        assert_int_equal(aloop_after_fork(t.loop), 0);

        assert_true(sim_fd_readable(aloop_fd(t.loop)));
        aloop_step(t.loop, 0);
        assert_int_equal(t.calls, 1);
    }
}

static void after_fork_in_the_callback_continues_the_turn(void **state)
{
    (void) state;
    for (int i = 0; i < QUEUES; i++) {
        queue(i, true);

        aloop_step(t.loop, 0);

        assert_int_equal(t.calls, 1);
    }
}

static void fork_or_count_signal(aloop_signal *signal, int number, void *arg)
{
    (void) signal;
    (void) number;
    fork_or_count(t.loop, arg);
}

static void a_child_forked_in_a_signal_callback_gets_no_old_signals(
    void **state)
{
    aloop_signal *other;

    (void) state;
    for (int i = 0; i < 2; i++) {
        has_forked = false;
        is_adopting = i == 1;
        aloop_signal_start(t.loop, SIGUSR1, fork_or_count_signal, NULL, &watch);
        aloop_signal_start(t.loop, SIGUSR1, fork_or_count_signal, NULL, &other);
        for (int k = 0; k < 3; k++)
            sim_raise(SIGUSR1);

        aloop_step(t.loop, 0);

        assert_true(has_forked);
        assert_int_equal(aloop_after_fork(t.loop), 0);
        aloop_step(t.loop, 0);
        assert_int_equal(t.calls, 0);
        sim_raise(SIGUSR1);
        aloop_step(t.loop, 0);
        assert_int_equal(t.calls, 2);
        t.calls = 0;
        aloop_signal_close(watch);
        aloop_signal_close(other);
    }
}

static void fork_in_data(aloop_stream *from, const void *data, ssize_t size,
                         void *arg)
{
    (void) from;
    (void) data;
    (void) size;
    fork_or_count(t.loop, arg);
}

static void a_child_forked_in_on_data_receives_nothing_more(void **state)
{
    static const char full[BUFFER];

    (void) state;
    for (int i = 0; i < 2; i++) {
        has_forked = false;
        is_adopting = i == 1;
        stream = connected();
        assert_int_equal(sim_peer_send(c.peer, full, BUFFER), BUFFER);
        sim_pass(MS);
        aloop_stream_start(stream, fork_in_data, NULL);

        aloop_step(t.loop, MS);

        assert_true(has_forked);
        assert_int_equal(sim_harms(), 0);
        assert_int_equal(aloop_after_fork(t.loop), 0);
        aloop_stream_close(stream);
        aloop_step(t.loop, 0);
    }
}

static void answer_and_fork(aloop_stream *from, const void *data, ssize_t size,
                            void *arg)
{
    (void) arg;
    assert_int_equal(aloop_stream_put(from, data, (size_t) size), 0);
    fork_once();
}

static void a_child_forked_in_on_data_leaves_the_answer_to_its_parent(
    void **state)
{
    char byte;

    (void) state;
    has_forked = is_adopting = false;
    stream = connected();
    assert_int_equal(sim_peer_send(c.peer, "x", 1), 1);
    sim_pass(MS);
    aloop_stream_start(stream, answer_and_fork, NULL);

    aloop_step(t.loop, MS);
    sim_pass(MS);

    assert_true(has_forked);
    assert_int_equal(sim_peer_receive(c.peer, &byte, 1), 0);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    aloop_stream_close(stream);
    aloop_step(t.loop, 0);
}

static void fork_in_accept(aloop_listener *from, aloop_stream *accepted,
                           void *arg)
{
    (void) from;
    aloop_stream_close(accepted);
    (void) arg;
    /* This is the first of two that are accepted together. */
    if (++t.noted == 2)
        fork_once();
}

static void a_child_forked_in_an_accept_callback_accepts_no_more(void **state)
{
    (void) state;
    has_forked = is_adopting = false;
    aloop_tcp_listen(t.loop, "127.0.0.1", "81", fork_in_accept, NULL,
                     &listener);
    for (int i = 0; i < 6; i++)
        assert_true(sim_connect(81) >= 0);
    sim_pass(MS);

    for (int i = 0; i < 6 && !has_forked; i++)
        aloop_step(t.loop, 0);
    assert_true(has_forked);
    assert_int_equal(t.noted, 2);

    assert_int_equal(aloop_after_fork(t.loop), 0);
    run_for(MS);
    assert_int_equal(t.noted, 6);
    t.noted = 0;
    aloop_listener_close(listener);
}

static ssize_t fork_at_the_end(aloop *loop, void *arg)
{
    (void) aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));
    fork_or_count(loop, arg);
    return 0;
}

static void a_child_forked_while_the_loop_is_freed_waits_for_no_thread(
    void **state)
{
    aloop_stream *other;
    unsigned before;

    (void) state;
    has_forked = is_adopting = false;
    assert_true(renew(1));
    sim_host_delay("slow", ALOOP_SEC(1));
    aloop_detach(aloop_tcp_connect(t.loop, "localhost", "82", &other));
    aloop_step(t.loop, 0);
    aloop_detach(aloop_spawn(t.loop, fork_at_the_end, NULL));
    aloop_detach(aloop_spawn(t.loop, fork_at_the_end, NULL));
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    before = sim_calls("aloop__sys_thread_join");

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_true(has_forked);
    assert_int_equal(sim_calls("aloop__sys_thread_join"), before);
    assert_int_equal(t.calls, 0);
    assert_int_equal(sim_harms(), 0);
    assert_int_equal(memory.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_runs_nothing_after_the_callback_that_forked),
        TEST(after_fork_continues_with_the_rest_of_the_turn),
        TEST(after_fork_in_the_callback_continues_the_turn),
        TEST(a_child_forked_in_a_signal_callback_gets_no_old_signals),
        TEST(a_child_forked_in_on_data_receives_nothing_more),
        TEST(a_child_forked_in_on_data_leaves_the_answer_to_its_parent),
        TEST(a_child_forked_in_an_accept_callback_accepts_no_more),
        TEST(a_child_forked_while_the_loop_is_freed_waits_for_no_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
