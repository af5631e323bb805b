/* Tests of what a peer observes when the loop is freed: a reset, unless all
 * queued bytes were sent. */

#include "support/stream_fixture.h"

static const char big[3 * BUFFER];

/* Receives everything.  Returns true if the peer observes an end, and false if
 * it observes a reset. */
static bool has_end(int peer)
{
    ssize_t n = 1;

    while (n > 0) {
        sim_pass(MS);
        n = sim_peer_receive(peer, c.in, sizeof c.in);
        c.in_size += n > 0 ? (size_t) n : 0;
    }
    if (!sim_peer_eof(peer))
        assert_int_equal(sim_peer_error(peer), ALOOP_ECONNRESET);
    return sim_peer_eof(peer);
}

static void assert_no_end(int peer)
{
    assert_int_equal(has_end(peer), !has_resets());
}

static void free_loop(void)
{
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
}

static void freeing_the_loop_resets_streams_with_queued_bytes(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_put(stream, big, sizeof big);
    run_for(MS);
    free_loop();
    assert_no_end(c.peer);
}

static void freeing_the_loop_resets_closed_streams_with_queued_bytes(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_put(stream, big, sizeof big);
    aloop_stream_close(stream);
    run_for(MS);
    free_loop();
    assert_no_end(c.peer);
}

static void a_pending_shutdown_becomes_a_reset_when_the_loop_ends(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_put(stream, big, sizeof big);
    aloop_detach(aloop_stream_shutdown(stream));
    run_for(MS);
    free_loop();
    assert_no_end(c.peer);
}

static void a_partly_sent_write_becomes_a_reset_when_the_loop_ends(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_detach(aloop_stream_write(stream, big, sizeof big));
    run_for(MS);
    free_loop();
    assert_no_end(c.peer);
}

/* The write has sent nothing, but the peer has received only a part of what was
 * queued in all. */
static void an_unsent_write_becomes_a_reset_when_the_loop_ends(void **state)
{
    (void) state;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        aloop_stream *stream;

        assert_true(renew(1));
        stream = connected();
        fill(stream);
        aloop_detach(aloop_stream_write(stream, "the rest", 8));
        run_for(MS);
        if (is_closed)
            aloop_stream_close(stream);
        free_loop();
        assert_no_end(c.peer);
        assert_int_equal(c.in_size, BUFFER);
    }
}

static void an_unfinished_forward_resets_its_target(void **state)
{
    aloop_stream *from = connected(), *to;
    int sink;

    (void) state;
    to = connected_to(&sink);
    aloop_detach(aloop_stream_forward(from, to));
    send_text("a part");
    run_for(MS);
    assert_int_equal(sim_peer_receive(sink, c.in, sizeof c.in), 6);
    free_loop();
    assert_no_end(sink);
    assert_true(has_end(c.peer)); /* Nothing was queued for it. */
}

static void a_stream_that_sent_everything_ends_without_a_reset(void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++) {
        aloop_stream *stream;

        assert_true(renew(1));
        stream = connected();
        aloop_stream_put(stream, "all", 3); /* Freeing sends it. */
        if (i == 1)
            run_for(MS);
        if (i == 2)
            aloop_stream_close(stream);
        if (i == 3) /* Unread input causes no reset. */
            send_text("unread");
        free_loop();
        assert_true(has_end(c.peer));
        assert_int_equal(c.in_size, 3);
    }
}

/* A program that uses aloop_main(). */

static int program_listener;

static ssize_t writes_and_returns(aloop *loop, void *arg)
{
    aloop_stream *stream;
    ssize_t error =
        aloop_await(aloop_tcp_connect(loop, "127.0.0.1", "81", &stream));

    (void) arg;
    assert_int_equal(error, 0);
    aloop_stream_put(stream, big, BUFFER);
    error = aloop_await(aloop_sleep(loop, MS));
    aloop_detach(aloop_stream_write(stream, big, 5));
    return error;
}

static void the_end_of_a_program_resets_streams_with_cancelled_writes(
    void **state)
{
    int peer;

    (void) state;
    program_listener = sim_listen("127.0.0.1", 81, 1);
    assert_int_equal(aloop_main(writes_and_returns, NULL), 0);
    sim_pass(MS);
    peer = sim_accept(program_listener);
    assert_false(has_end(peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(freeing_the_loop_resets_streams_with_queued_bytes),
        TEST(freeing_the_loop_resets_closed_streams_with_queued_bytes),
        TEST(a_pending_shutdown_becomes_a_reset_when_the_loop_ends),
        TEST(a_partly_sent_write_becomes_a_reset_when_the_loop_ends),
        WIRE_TEST(an_unsent_write_becomes_a_reset_when_the_loop_ends),
        WIRE_TEST(an_unfinished_forward_resets_its_target),
        WIRE_TEST(a_stream_that_sent_everything_ends_without_a_reset),
        TEST(the_end_of_a_program_resets_streams_with_cancelled_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
