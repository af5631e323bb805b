/* Tests of the ways in which streams end: half-close, close with its time
 * limit, and abort. */

#include "support/stream_fixture.h"

#include <string.h>

/* Half-close. */

static void a_shutdown_sends_queued_bytes_and_then_the_end(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *shutdown;

    (void) state;
    aloop_stream_put(stream, "bye", 3);
    shutdown = aloop_stream_shutdown(stream);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "x", 1)),
                     ALOOP_EPIPE);

    assert_int_equal(aloop_await(shutdown), 0);
    run_for(MS);
    assert_int_equal(sim_peer_receive(c.peer, c.in, sizeof c.in), 3);
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    aloop_stream_close(stream);
}

static void reading_continues_after_a_shutdown(void **state)
{
    aloop_stream *stream = connected();
    char buffer[8];

    (void) state;
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    sim_peer_send(c.peer, "answer", 6);
    sim_peer_shutdown(c.peer);

    assert_int_equal(aloop_await(aloop_stream_read_to_end(stream, buffer, 8)),
                     6);
    aloop_stream_close(stream);
}

static void writing_continues_after_the_peers_end(void **state)
{
    aloop_stream *stream = connected();
    char buffer[8];

    (void) state;
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 8)), 0);

    assert_int_equal(aloop_await(aloop_stream_write(stream, "late", 4)), 4);
    run_for(MS);
    assert_int_equal(sim_peer_receive(c.peer, c.in, sizeof c.in), 4);
    aloop_stream_close(stream);
}

static void a_shutdown_waits_until_all_has_been_sent(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *shutdown;

    (void) state;
    fill(stream);
    aloop_stream_put(stream, "rest", 4);
    shutdown = aloop_stream_shutdown(stream);
    run_for(10 * MS);
    assert_false(aloop_future_is_settled(shutdown));
    assert_false(sim_peer_eof(c.peer));

    sim_peer_receive(c.peer, c.in, BUFFER);
    assert_int_equal(aloop_await(shutdown), 0);
    aloop_stream_close(stream);
}

/* Close. */

static void a_close_sends_queued_bytes_and_then_the_end(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write;

    (void) state;
    aloop_stream_put(stream, "one ", 4);
    write = aloop_stream_write(stream, "two", 3);
    aloop_stream_close(stream);
    assert_true(aloop_alive(t.loop));

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(aloop_future_status(write), 3);
    aloop_future_unref(write);
    sim_pass(MS);
    assert_int_equal(sim_peer_receive(c.peer, c.in, sizeof c.in), 7);
    assert_true(sim_peer_eof(c.peer));
}

static void drain_peer(void *arg)
{
    (void) arg;
    sim_peer_receive(c.peer, c.in, BUFFER);
}

static void a_closed_stream_keeps_the_loop_alive_until_its_bytes_are_sent(
    void **state)
{
    static const char rest[1000];
    aloop_stream *stream = connected();
    int64_t begin;

    (void) state;
    fill(stream);
    aloop_stream_unref(stream);
    aloop_stream_put(stream, rest, sizeof rest);
    aloop_stream_close(stream);
    begin = aloop_now(t.loop);
    sim_at(ALOOP_SEC(20), drain_peer, NULL);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_true(aloop_now(t.loop) - begin == ALOOP_SEC(20));
    sim_pass(MS);
    assert_int_equal(sim_peer_receive(c.peer, c.in, BUFFER), 1000);
    assert_true(sim_peer_eof(c.peer));
}

static void a_peer_that_receives_nothing_for_30_s_gets_a_reset(void **state)
{
    aloop_stream *stream = connected();
    int64_t begin;

    (void) state;
    fill(stream);
    aloop_stream_put(stream, "never", 5);
    begin = aloop_now(t.loop);
    aloop_stream_close(stream);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_true(aloop_now(t.loop) - begin == ALOOP_SEC(30));
    sim_pass(MS);
    assert_reset(c.peer);
}

static void the_time_for_a_peer_that_receives_nothing_can_be_set(void **state)
{
    aloop_stream *stream = connected();
    int64_t begin;

    (void) state;
    assert_int_equal(aloop_stream_set_linger(stream, ALOOP_SEC(5)), 0);
    assert_int_equal(aloop_stream_set_linger(stream, ALOOP_SEC(3)), 0);
    fill(stream);
    aloop_stream_put(stream, "never", 5);
    begin = aloop_now(t.loop);
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) - begin == ALOOP_SEC(3));
    sim_pass(MS);
    assert_reset(c.peer);
}

static void a_time_of_0_makes_a_close_with_queued_bytes_an_abort(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_set_linger(stream, 0), 0);
    aloop_stream_close(stream); /* Nothing is queued. */
    run_for(MS);
    assert_true(sim_peer_eof(c.peer));
    sim_peer_close(c.peer);
    run_for(MS);
    stream = connected();
    assert_int_equal(aloop_stream_set_linger(stream, 0), 0);
    fill(stream);
    aloop_stream_put(stream, "never", 5);
    aloop_stream_close(stream);
    assert_false(aloop_alive(t.loop));
    sim_pass(MS);
    assert_reset(c.peer);
}

static void a_time_of_0_lets_a_shutdown_end_without_queued_bytes(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *shutdown;

    (void) state;
    assert_int_equal(aloop_stream_set_linger(stream, 0), 0);
    aloop_stream_put(stream, "sent", 4);
    run_for(MS);
    shutdown = aloop_stream_shutdown(stream);
    aloop_stream_close(stream);
    assert_int_equal(aloop_await(shutdown), 0);
    assert_received("sent");
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(sim_peer_error(c.peer), 0);
    sim_peer_close(c.peer);
    run_for(MS);
    assert_false(aloop_alive(t.loop));
}

static void a_time_that_cannot_be_set_is_refused(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_set_linger(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_linger(stream, -1), ALOOP_EINVAL);
    aloop_stream_close(stream);
}

static void a_host_loop_is_woken_after_the_30_s(void **state)
{
    int fd = aloop_fd(t.loop);
    aloop_stream *stream = connected();

    (void) state;
    fill(stream);
    aloop_stream_put(stream, "never", 5);
    aloop_step(t.loop, 0);
    aloop_stream_close(stream); /* Outside of turns. */

    while (aloop_alive(t.loop)) {
        assert_true(sim_poll(fd, -1));
        aloop_step(t.loop, 0);
    }

    sim_pass(MS);
    assert_reset(c.peer);
}

static void a_slow_peer_receives_everything_after_a_close(void **state)
{
    static const char rest[2 * BUFFER];
    aloop_stream *stream = connected();

    (void) state;
    fill(stream);
    aloop_stream_put(stream, rest, sizeof rest);
    aloop_stream_close(stream);
    for (int i = 1; i <= 3; i++)
        sim_at(ALOOP_SEC(29) * i, drain_peer, NULL);

    assert_int_equal(aloop_run(t.loop), 0);

    sim_pass(MS);
    assert_int_equal(sim_peer_error(c.peer), 0);
    assert_true(sim_peer_eof(c.peer) ||
                sim_peer_receive(c.peer, c.in, BUFFER) == BUFFER);
}

static void pending_writes_and_shutdowns_settle_after_a_close(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    fill(stream);
    aloop_then(aloop_stream_write(stream, "12345", 5), note_status, NULL);
    aloop_then(aloop_stream_shutdown(stream), note_status, NULL);
    aloop_stream_close(stream);
    sim_at(MS, drain_peer, NULL);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_noted(5, 0);
}

static void cancelling_the_last_write_of_a_closed_stream_ends_it(void **state)
{
    aloop_stream *stream = connected();
    int64_t begin = aloop_now(t.loop);
    aloop_future *write;

    (void) state;
    fill(stream);
    write = aloop_stream_write(stream, "12345", 5);
    run_for(MS);
    aloop_stream_close(stream);
    aloop_future_unref(write);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_true(aloop_now(t.loop) - begin < ALOOP_SEC(1));
    sim_pass(MS);
    sim_peer_receive(c.peer, c.in, BUFFER);
    assert_true(sim_peer_eof(c.peer));
}

static void an_abort_drops_queued_bytes_and_resets_the_connection(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    fill(stream);
    aloop_then(aloop_stream_write(stream, "12345", 5), note_status, NULL);
    aloop_then(aloop_stream_read(stream, buffer, 4), note_status, NULL);
    aloop_then(aloop_stream_shutdown(stream), note_status, NULL);

    aloop_stream_abort(stream);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 2); /* The read's was removed. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(t.order[i], ALOOP_ECANCELED);
    sim_pass(MS);
    assert_reset(c.peer);
}

static void a_close_removes_the_continuations_of_pending_reads(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    aloop_then(aloop_stream_read(stream, buffer, 4), note_status, NULL);
    /* This read is refused because one is pending. */
    aloop_then(aloop_stream_read(stream, buffer, 4), note_status, NULL);
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 0);
    assert_int_equal(t.unhandled, 0);
}

static void a_close_removes_the_continuations_of_settled_reads(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *first, *second;
    char buffer[4];

    (void) state;
    first = aloop_stream_read(stream, buffer, 1);
    sim_peer_send(c.peer, "ab", 2);
    while (!aloop_future_is_settled(first))
        aloop_step(t.loop, ALOOP_MS(1));
    second = aloop_stream_read(stream, buffer, 1); /* Settles immediately. */
    aloop_then(aloop_future_ref(first), note_status, NULL);
    aloop_then(second, note_status, NULL);
    aloop_stream_abort(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 0);
    /* The test still owns the future. */
    assert_int_equal(aloop_await(first), 1);
}

static ssize_t reads_once(aloop *loop, void *stream)
{
    char buffer[4];

    (void) loop;
    return aloop_await(aloop_stream_read(stream, buffer, sizeof buffer));
}

static void a_close_aborts_the_read_of_a_task(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *task = aloop_spawn(t.loop, reads_once, stream);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_stream_close(stream);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
}

static void closing_and_aborting_null_has_no_effect(void **state)
{
    (void) state;
    aloop_stream_close(NULL);
    aloop_stream_abort(NULL);
    aloop_stream_ref(NULL);
    aloop_stream_unref(NULL);
    assert_false(aloop_alive(t.loop));
}

/* Forked children.  Failure class 38: an operation of a child on a shared
 * socket affects the connection of its parent. */

/* Makes this process a forked child, which shares all descriptors with its
 * parent. */
static void become_forked_child(void)
{
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
}

static void assert_peer_noticed_nothing(void)
{
    sim_pass(ALOOP_SEC(1));
    assert_int_equal(sim_peer_receive(c.peer, c.in, sizeof c.in), 0);
    assert_false(sim_peer_eof(c.peer));
    assert_true(sim_peer_connected(c.peer));
}

static void a_close_in_a_forked_child_does_not_affect_the_parent(void **state)
{
    void (*const ends[])(aloop_stream *) = {aloop_stream_close,
                                            aloop_stream_abort};

    (void) state;
    for (int i = 0; i < 2; i++) {
        aloop_stream *stream = connected();

        assert_int_equal(aloop_stream_start(stream, ignore, NULL), 0);
        sim_peer_send(c.peer, "for the parent", 14);
        sim_pass(MS);
        aloop_stream_put(stream, "from the parent", 15);
        become_forked_child();

        ends[i](stream);

        assert_int_equal(aloop_run(t.loop), 0);
        assert_int_equal(sim_harms(), 0);
        assert_int_equal(t.calls, 0);
        assert_peer_noticed_nothing();
    }
}

static void freeing_the_loop_in_a_forked_child_does_not_affect_the_parent(
    void **state)
{
    aloop_stream *stream = connected(), *other;
    aloop_listener *listener;

    (void) state;
    aloop_stream_start(stream, ignore, NULL);
    aloop_stream_put(stream, "from the parent", 15);
    aloop_detach(aloop_stream_shutdown(stream));
    aloop_tcp_listen(t.loop, "127.0.0.1", "81", count_and_close, NULL,
                     &listener);
    aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "82", &other));
    aloop_step(t.loop, 0);
    sim_peer_send(c.peer, "for the parent", 14);
    aloop_stream_put(stream, "x", 1);
    assert_true(sim_connect(81) >= 0);
    sim_pass(MS);
    become_forked_child();
    receive(SIZE_MAX);

    aloop_free(t.loop);
    t.loop = NULL;

    assert_int_equal(sim_harms(), 0);
    assert_int_equal(t.calls, 0);
}

static void bytes_that_a_forked_child_queues_are_sent_by_its_close(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    become_forked_child();
    assert_int_equal(aloop_stream_put(stream, "hello", 5), 0);

    aloop_stream_close(stream);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_received("hello");
}

static void a_stream_closed_before_a_fork_is_sent_by_the_parent(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    fill(stream);
    aloop_stream_put(stream, "late", 4);
    aloop_stream_close(stream);
    become_forked_child();
    receive(SIZE_MAX);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(sim_harms(), 0);
    c.in_size = 0;
    assert_peer_noticed_nothing();
}

/* A reset could destroy the reply on its way to the peer. */
static void a_close_with_unread_input_does_not_reset(void **state)
{
    aloop_stream *stream = connected();
    char reply[8];

    (void) state;
    send_text("a long question");
    aloop_stream_put(stream, "reply", 5);
    aloop_stream_close(stream);
    aloop_step(t.loop, MS);
    sim_pass(MS);
    assert_int_equal(sim_peer_receive(c.peer, reply, sizeof reply), 5);
    assert_int_equal(sim_peer_error(c.peer), 0);
    assert_true(sim_peer_eof(c.peer));
}

/* Failure class 28: close() is repeated after EINTR.  The interrupted call has
 * closed the descriptor, and the second one would close a new descriptor with
 * the same number. */
static void an_interrupted_close_is_not_repeated(void **state)
{
    aloop_stream *stream = connected();
    unsigned closes = sim_calls("aloop__sys_close");
    unsigned open = sim_descriptors_open();

    (void) state;
    sim_fail("aloop__sys_close", 1, -EINTR);
    aloop_stream_abort(stream);
    run_for(MS);

    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(sim_calls("aloop__sys_close"), closes + 1);
    assert_int_equal(sim_descriptors_open(), open - 1);
}

static void a_close_outside_a_turn_wakes_the_host_after_30_s(void **state)
{
    aloop_stream *stream;
    int64_t begin;
    int fd, peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    overfill(stream);
    fd = aloop_fd(t.loop);
    aloop_step(t.loop, 0);
    assert_false(sim_poll(fd, 0));
    aloop_stream_close(stream);
    begin = aloop_now(t.loop);
    assert_true(sim_poll(fd, ALOOP_SEC(100)));
    assert_true(aloop_now(t.loop) == begin + ALOOP_SEC(30));
    assert_int_equal(sim_peer_error(peer), 0);
    aloop_step(t.loop, 0);
    sim_pass(MS);
    assert_reset(peer);
    assert_false(aloop_alive(t.loop));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_shutdown_sends_queued_bytes_and_then_the_end),
        TEST(reading_continues_after_a_shutdown),
        TEST(writing_continues_after_the_peers_end),
        TEST(a_shutdown_waits_until_all_has_been_sent),
        TEST(a_close_sends_queued_bytes_and_then_the_end),
        PLAIN_TEST(
            a_closed_stream_keeps_the_loop_alive_until_its_bytes_are_sent),
        TEST(a_peer_that_receives_nothing_for_30_s_gets_a_reset),
        TEST(a_host_loop_is_woken_after_the_30_s),
        WIRE_TEST(a_slow_peer_receives_everything_after_a_close),
        TEST(pending_writes_and_shutdowns_settle_after_a_close),
        PLAIN_TEST(cancelling_the_last_write_of_a_closed_stream_ends_it),
        TEST(an_abort_drops_queued_bytes_and_resets_the_connection),
        TEST(a_close_removes_the_continuations_of_pending_reads),
        TEST(a_close_removes_the_continuations_of_settled_reads),
        TEST(a_close_aborts_the_read_of_a_task),
        TEST(closing_and_aborting_null_has_no_effect),
        TEST(a_close_in_a_forked_child_does_not_affect_the_parent),
        TEST(freeing_the_loop_in_a_forked_child_does_not_affect_the_parent),
        TEST(bytes_that_a_forked_child_queues_are_sent_by_its_close),
        TEST(a_stream_closed_before_a_fork_is_sent_by_the_parent),
        TEST(a_close_with_unread_input_does_not_reset),
        TEST(an_interrupted_close_is_not_repeated),
        TEST(the_time_for_a_peer_that_receives_nothing_can_be_set),
        TEST(a_time_of_0_makes_a_close_with_queued_bytes_an_abort),
        TEST(a_time_of_0_lets_a_shutdown_end_without_queued_bytes),
        TEST(a_time_that_cannot_be_set_is_refused),
        TEST(a_close_outside_a_turn_wakes_the_host_after_30_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
