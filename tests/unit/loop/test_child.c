/* A loop in a forked child, on the simulated system.  The child must not change
 * an object that it shares with its parent, whatever it does and whatever
 * fails.  sim_harms() counts such changes. */

#include "support/stream_fixture.h"

#include <signal.h>

#include "loop/state.h"

static aloop_stream *stream;
static aloop_listener *listener;
static aloop_signal *watch;

static void count_signal(aloop_signal *signal, int number, void *arg)
{
    (void) signal;
    (void) number;
    (void) arg;
    t.calls++;
}

static void count_stream(aloop_listener *from, aloop_stream *accepted,
                         void *arg)
{
    (void) from;
    (void) arg;
    t.calls++;
    aloop_stream_close(accepted);
}

static void count_future(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) status;
    (void) arg;
    t.calls++;
}

static ssize_t write_at_the_end(aloop *loop, void *arg)
{
    (void) arg;
    (void) aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));
    aloop_stream_put(stream, "the end", 7);
    t.calls++;
    return 0;
}

/* Starts an operation of each kind.  Most of them have something to do. */
static void use_everything(void)
{
    aloop_stream *other;
    aloop_timer *timer;

    stream = connected();
    aloop_stream_start(stream, ignore, NULL);
    aloop_tcp_listen(t.loop, "127.0.0.1", "81", count_stream, NULL, &listener);
    aloop_timer_start(t.loop, 0, MS, count_timer, NULL, &timer);
    aloop_detach(aloop_spawn(t.loop, write_at_the_end, NULL));
    aloop_signal_start(t.loop, SIGUSR1, count_signal, NULL, &watch);
    assert_true(aloop_fd(t.loop) >= 0);
    aloop_step(t.loop, 0);
    aloop_detach(aloop_tcp_connect(t.loop, "localhost", "82", &other));
    aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "82", &other));
    sim_peer_send(c.peer, "for the parent", 14);
    assert_true(sim_connect(81) >= 0);
    sim_pass(MS);
    aloop_stream_put(stream, "from the parent", 15);
    aloop_detach(aloop_stream_shutdown(stream));
    aloop_then(aloop_stream_drain(stream), count_future, NULL);
    aloop_defer(t.loop, count_call, NULL);
    aloop_post(t.loop, count_call, NULL);
    sim_raise(SIGUSR1);
    t.calls = 0;
}

static void assert_parent_is_unaffected(void)
{
    sim_pass(ALOOP_SEC(1));
    assert_int_equal(sim_harms(), 0);
    assert_int_equal(sim_peer_receive(c.peer, c.in, sizeof c.in), 0);
    assert_false(sim_peer_eof(c.peer));
    assert_true(sim_peer_connected(c.peer));
}

static void free_in_child(void)
{
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    assert_int_equal(t.calls, 0);
    assert_parent_is_unaffected();
}

static void a_child_that_frees_the_loop_runs_and_changes_nothing(void **state)
{
    (void) state;
    assert_true(renew(1));
    use_everything();
    sim_fork();

    free_in_child();

    assert_int_equal(memory.bytes, 0);
}

static void a_child_whose_after_fork_fails_can_free_the_loop(void **state)
{
    static const char *const calls[] = {
        "aloop__reactor_renew",
        "aloop__sys_wake_open",
        "aloop__reactor_set",
    };

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(renew(1));
        use_everything();
        sim_fork();
        sim_fail_from(calls[i], 1, ALOOP_EMFILE);

        assert_int_equal(aloop_after_fork(t.loop), ALOOP_EMFILE);

        free_in_child();
        assert_int_equal(memory.bytes, 0);
    }
}

/* The parent's wake-up channel must not be drained for it. */
static void a_child_that_is_refused_a_watch_changes_nothing(void **state)
{
    (void) state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        assert_true(renew(1));
        use_everything();
        sim_fork();
        sim_fail_from("aloop__reactor_set", nth, ALOOP_EPERM);

        assert_int_equal(aloop_after_fork(t.loop), ALOOP_EPERM);

        free_in_child();
        assert_int_equal(memory.bytes, 0);
    }
}

/* Programs close all descriptors in a child, for example. */
static void a_child_may_have_closed_the_wake_up_channel(void **state)
{
    (void) state;
    aloop_post(t.loop, count_call, NULL);
    sim_fork();
    aloop__sys_wake_close(t.loop->wake_fds);

    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_int_equal(t.calls, 0);
    assert_int_equal(sim_harms(), 0);
    assert_int_equal(aloop_post(t.loop, count_call, NULL), 0);
    turns(1);
    assert_int_equal(t.calls, 2);
}

static void a_failed_after_fork_can_be_repeated(void **state)
{
    (void) state;
    use_everything();
    sim_fork();
    sim_fail("aloop__sys_wake_open", 1, ALOOP_EMFILE);
    assert_int_equal(aloop_after_fork(t.loop), ALOOP_EMFILE);
    assert_int_equal(aloop_step(t.loop, 0), ALOOP_EPERM);

    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_int_equal(aloop_step(t.loop, 0), 1);
    assert_true(t.calls > 0);
    assert_int_equal(sim_harms(), 0);
}

static void without_after_fork_a_child_cannot_use_the_loop(void **state)
{
    char byte;

    (void) state;
    use_everything();
    sim_fork();

    assert_int_equal(aloop_step(t.loop, 0), ALOOP_EPERM);
    assert_int_equal(aloop_run(t.loop), ALOOP_EPERM);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, 0)), ALOOP_EPERM);
    aloop_wake(t.loop);
    aloop_post(t.loop, count_call, NULL);
    aloop_stream_stop(stream);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)),
                     ALOOP_EPERM);
    assert_int_equal(aloop_stream_start(stream, ignore, NULL), ALOOP_EPERM);
    aloop_listener_close(listener);
    aloop_signal_close(watch);
    aloop_stream_close(stream);

    free_in_child();
}

static void streams_are_inactive_in_a_child_until_it_uses_them(void **state)
{
    (void) state;
    stream = connected();
    aloop_stream_start(stream, collect, NULL);
    aloop_step(t.loop, 0);
    sim_peer_send(c.peer, "for the parent", 14);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    run_for(MS);
    assert_int_equal(t.calls, 0);
    assert_int_equal(sim_harms(), 0);

    assert_int_equal(aloop_stream_put(stream, "hello", 5), 0);

    run_for(MS);
    assert_received("hello");
    assert_int_equal(t.calls, 1);
    assert_int_equal(c.got_size, 14);
    aloop_stream_close(stream);
}

static void a_waiting_read_continues_in_a_child_at_the_next_use(void **state)
{
    char text[4];
    aloop_future *read;

    (void) state;
    stream = connected();
    read = aloop_stream_read(stream, text, sizeof text);
    aloop_step(t.loop, 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    sim_peer_send(c.peer, "ping", 4);
    run_for(MS);
    assert_false(aloop_future_is_settled(read));

    aloop_detach(aloop_stream_write(stream, "x", 1));

    assert_int_equal(aloop_await(read), 4);
    aloop_stream_close(stream);
}

static void output_queued_before_a_fork_is_sent_only_by_the_parent(void **state)
{
    aloop_future *write, *drain, *shutdown;

    (void) state;
    stream = connected();
    fill(stream);
    aloop_stream_start(stream, collect, NULL);
    aloop_stream_put(stream, "put", 3);
    write = aloop_stream_write(stream, "written", 7);
    drain = aloop_stream_shutdown(stream);
    aloop_stream_set_watermarks(stream, 0, 1);
    shutdown = aloop_stream_drain(stream);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    receive(SIZE_MAX);

    assert_int_equal(aloop_await(write), ALOOP_EPIPE);
    assert_int_equal(aloop_await(drain), ALOOP_EPIPE);
    assert_int_equal(aloop_await(shutdown), ALOOP_EPIPE);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    run_for(MS);

    assert_int_equal(t.calls, 0); /* Reading continues. */
    c.in_size = 0;
    assert_parent_is_unaffected();
    aloop_stream_close(stream);
}

static void listeners_accept_in_a_child_too(void **state)
{
    (void) state;
    aloop_tcp_listen(t.loop, "127.0.0.1", "81", count_stream, NULL, &listener);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_true(sim_connect(81) >= 0);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    aloop_listener_close(listener);
}

static void leftover_bytes_wait_until_the_child_uses_the_stream(void **state)
{
    char text[4];

    (void) state;
    stream = connected();
    sim_peer_send(c.peer, "pingpong", 8);
    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(stream, text, sizeof text)), 4);
    aloop_stream_start(stream, collect, NULL);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    run_for(MS);
    assert_int_equal(t.calls, 0);

    assert_int_equal(aloop_stream_put(stream, "hello", 5), 0);

    run_for(MS);
    assert_int_equal(c.got_size, 4);
    assert_memory_equal(c.got, "pong", 4);
    aloop_stream_close(stream);
}

/* Signals. */

static void a_child_has_no_callbacks_for_signals_of_its_parent(void **state)
{
    (void) state;
    aloop_signal_start(t.loop, SIGUSR1, count_signal, NULL, &watch);
    for (int i = 0; i < 100; i++)
        sim_raise(SIGUSR1);
    aloop_step(t.loop, 0); /* It calls back for some of them. */
    t.calls = 0;
    sim_raise(SIGUSR1);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    run_for(MS);
    assert_int_equal(t.calls, 0);

    sim_raise(SIGUSR1);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    aloop_signal_close(watch);
}

static void a_signal_between_fork_and_after_fork_reaches_the_child(void **state)
{
    (void) state;
    aloop_signal_start(t.loop, SIGUSR1, count_signal, NULL, &watch);
    sim_raise(SIGUSR1);
    sim_fork();
    sim_raise(SIGUSR1);
    sim_raise(SIGUSR1);
    assert_int_equal(sim_harms(), 0);
    assert_int_equal(aloop_after_fork(t.loop), 0);

    run_for(MS);

    assert_int_equal(t.calls, 2);
    assert_int_equal(sim_harms(), 0);
    aloop_signal_close(watch);
}

static void a_grandchild_gets_only_the_signals_it_received(void **state)
{
    (void) state;
    aloop_signal_start(t.loop, SIGUSR1, count_signal, NULL, &watch);
    sim_fork();
    sim_raise(SIGUSR1);
    sim_fork(); /* Before the child has called aloop_after_fork(). */
    sim_raise(SIGUSR1);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    run_for(MS);
    assert_int_equal(t.calls, 1);

    sim_raise(SIGUSR1);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    aloop_signal_close(watch);
}

static void two_loops_of_a_process_both_work_in_a_child(void **state)
{
    aloop *other = aloop_new(NULL);
    aloop_signal *second;

    (void) state;
    aloop_signal_start(t.loop, SIGUSR1, count_signal, NULL, &watch);
    aloop_signal_start(other, SIGUSR1, count_signal, NULL, &second);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    sim_raise(SIGUSR1);
    run_for(MS);
    assert_int_equal(t.calls, 1);
    assert_int_equal(aloop_step(other, 0), ALOOP_EPERM);

    assert_int_equal(aloop_after_fork(other), 0);
    aloop_step(other, 0);

    assert_int_equal(t.calls, 2);
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 2);
    assert_int_equal(aloop_free(other), 0);
    aloop_signal_close(watch);
    assert_int_equal(sim_harms(), 0);
}

/* The descriptor for a host. */

static void a_childs_descriptor_is_not_readable_if_nothing_is_due(void **state)
{
    aloop_timer *timer;
    int fd = aloop_fd(t.loop);

    (void) state;
    aloop_signal_start(t.loop, SIGUSR1, count_signal, NULL, &watch);
    sim_raise(SIGUSR1); /* The parent receives this one. */
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_int_equal(aloop_fd(t.loop), fd);
    assert_false(sim_fd_readable(fd));
    aloop_timer_start(t.loop, 5 * MS, 0, count_timer, NULL, &timer);
    assert_false(sim_fd_readable(fd));
    sim_pass(5 * MS);
    assert_true(sim_fd_readable(fd));
    aloop_timer_close(timer);
    aloop_signal_close(watch);
}

static void a_childs_descriptor_is_readable_if_something_is_due(void **state)
{
    aloop_timer *timer;
    int fd = aloop_fd(t.loop);

    (void) state;
    aloop_timer_start(t.loop, 5 * MS, 0, count_timer, NULL, &timer);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_false(sim_fd_readable(fd));
    assert_true(sim_poll(fd, 5 * MS));
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 1);
    aloop_timer_close(timer);
    aloop_step(t.loop, 0);

    aloop_post(t.loop, count_call, NULL);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_true(sim_fd_readable(fd));
    aloop_step(t.loop, 0);

    assert_int_equal(t.calls, 2);
    aloop_step(t.loop, 0);
    assert_false(sim_fd_readable(fd));
}

/* Callbacks and threads. */

static void fork_in_call(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    sim_fork();
}

static void a_child_forked_in_a_callback_gets_no_event_of_its_parent(
    void **state)
{
    (void) state;
    stream = connected();
    aloop_stream_start(stream, collect, NULL);
    aloop_step(t.loop, 0);
    sim_peer_send(c.peer, "for the parent", 14);
    sim_pass(MS);
    aloop_defer(t.loop, fork_in_call, NULL);

    assert_int_equal(aloop_run(t.loop), ALOOP_EPERM);

    assert_int_equal(t.calls, 0);
    assert_parent_is_unaffected();
}

/* Returns how often the mutex and the threads of the parent were used. */
static unsigned uses_of_threads(void)
{
    return sim_calls("aloop__sys_mutex_lock") +
           sim_calls("aloop__sys_thread_join") +
           sim_calls("aloop__sys_thread_detach") +
           sim_calls("aloop__sys_thread_start");
}

static void a_child_does_not_affect_the_look_ups_of_its_parent(void **state)
{
    aloop_stream *streams[3];
    aloop_future *connects[3];
    unsigned before;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(1));
    for (int i = 0; i < 2; i++)
        connects[i] = aloop_tcp_connect(t.loop, "slow", "82", &streams[i]);
    aloop_step(t.loop, 0);
    sim_fork();
    before = uses_of_threads();

    for (int i = 0; i < 2; i++)
        aloop_future_unref(connects[i]);
    connects[2] = aloop_tcp_connect(t.loop, "slow", "82", &streams[2]);
    assert_int_equal(aloop_future_status(connects[2]), ALOOP_EPERM);
    aloop_future_unref(connects[2]);
    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(uses_of_threads(), before);
    assert_int_equal(sim_harms(), 0);
}

/* Processes that did not fork, and vfork(). */

static void after_fork_without_a_fork_changes_nothing(void **state)
{
    (void) state;
    stream = connected();
    aloop_stream_start(stream, collect, NULL);

    assert_int_equal(aloop_after_fork(t.loop), 0);

    send_text("hello");
    assert_int_equal(c.got_size, 5);
    assert_int_equal(sim_calls("aloop__reactor_renew"), 0);
    aloop_stream_close(stream);
}

static void a_vforked_child_cannot_free_or_take_over_the_loop(void **state)
{
    (void) state;
    use_everything();
    sim_vfork(true);

    assert_int_equal(aloop_free(t.loop), ALOOP_EPERM);
    assert_int_equal(aloop_after_fork(t.loop), ALOOP_EPERM);

    assert_int_equal(sim_harms(), 0);
    sim_vfork(false);
    aloop_step(t.loop, 0);
    assert_true(t.calls > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_that_frees_the_loop_runs_and_changes_nothing),
        TEST(a_child_whose_after_fork_fails_can_free_the_loop),
        TEST(a_child_that_is_refused_a_watch_changes_nothing),
        TEST(a_child_may_have_closed_the_wake_up_channel),
        TEST(a_failed_after_fork_can_be_repeated),
        TEST(without_after_fork_a_child_cannot_use_the_loop),
        TEST(streams_are_inactive_in_a_child_until_it_uses_them),
        TEST(a_waiting_read_continues_in_a_child_at_the_next_use),
        TEST(output_queued_before_a_fork_is_sent_only_by_the_parent),
        TEST(listeners_accept_in_a_child_too),
        TEST(leftover_bytes_wait_until_the_child_uses_the_stream),
        TEST(a_child_has_no_callbacks_for_signals_of_its_parent),
        TEST(a_signal_between_fork_and_after_fork_reaches_the_child),
        TEST(a_grandchild_gets_only_the_signals_it_received),
        TEST(two_loops_of_a_process_both_work_in_a_child),
        TEST(a_childs_descriptor_is_not_readable_if_nothing_is_due),
        TEST(a_childs_descriptor_is_readable_if_something_is_due),
        TEST(a_child_forked_in_a_callback_gets_no_event_of_its_parent),
        TEST(a_child_does_not_affect_the_look_ups_of_its_parent),
        TEST(after_fork_without_a_fork_changes_nothing),
        TEST(a_vforked_child_cannot_free_or_take_over_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
