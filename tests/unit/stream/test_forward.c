/* Tests of aloop_stream_forward(), which moves the bytes of one stream into
 * another. */

#include "support/forward_fixture.h"

/* Runs the loop until the peer has received `size` bytes, or the end after
 * `until` has settled. */
static size_t receive_until(int peer, char *buffer, size_t size,
                            aloop_future *until)
{
    size_t got = 0;

    for (int i = 0; i < 10000 && got < size; i++) {
        ssize_t n = sim_peer_receive(peer, buffer + got, size - got);

        got += n > 0 ? (size_t) n : 0;
        if (n <= 0 && aloop_future_is_settled(until) && sim_peer_eof(peer))
            break;
        aloop_step(t.loop, 0);
        sim_pass(ALOOP_MS(1)); /* The loop may have nothing to wait for. */
    }
    return got;
}

static char data[300000], back[300001];

static void fill_data(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char) (i * 7 + i / 251);
}

static void forward_through(int peers[2])
{
    aloop_future *forward = aloop_stream_forward(streams[0], streams[1]);
    size_t sent = 0, got = 0;

    for (int i = 0; i < 10000 && sent < sizeof data; i++) {
        ssize_t n = sim_peer_send(peers[0], data + sent, sizeof data - sent);

        sent += n > 0 ? (size_t) n : 0;
        if (sent == sizeof data)
            sim_peer_shutdown(peers[0]);
        aloop_step(t.loop, ALOOP_MS(1));
        n = sim_peer_receive(peers[1], back + got, sizeof back - got);
        got += n > 0 ? (size_t) n : 0;
    }
    got += receive_until(peers[1], back + got, sizeof back - got, forward);
    assert_int_equal(got, sizeof data);
    assert_memory_equal(back, data, sizeof data);
    assert_true(sim_peer_eof(peers[1]));
    assert_int_equal(aloop_await(forward), (ssize_t) sizeof data);
}

static void a_forward_moves_all_bytes_and_then_the_end(void **state)
{
    int peers[2];

    (void) state;
    fill_data();
    connect_two(peers);
    forward_through(peers);
    close_all(peers);
}

static void a_forward_is_correct_in_a_chaotic_world(void **state)
{
    int peers[2];

    (void) state;
    fill_data();
    sim_chaos();
    connect_two(peers);
    forward_through(peers);
    close_all(peers);
}

static void a_forward_stops_reading_if_its_target_takes_nothing(void **state)
{
    int peers[2];
    aloop_future *forward;
    const void *cursor = NULL;
    size_t sent = 0;

    (void) state;
    fill_data();
    sim_buffer_size(4096);
    connect_two(peers);
    forward = aloop_stream_forward(streams[0], streams[1]);
    for (int i = 0; i < 500; i++) {
        ssize_t n = sim_peer_send(peers[0], data, sizeof data);

        sent += n > 0 ? (size_t) n : 0;
        aloop_step(t.loop, ALOOP_MS(1));
    }
    assert_true(aloop_stream_queued(streams[1]) <= 2 * 64 * 1024);
    assert_true(sent < 300000);
    assert_false(aloop_future_is_settled(forward));
    assert_non_null(aloop__future_next(forward, &cursor)); /* A drain. */
    assert_int_equal(aloop_cancel(forward), 1);
    assert_int_equal(aloop_future_status(forward), ALOOP_ECANCELED);
    aloop_future_unref(forward);
    aloop_stream_abort(streams[0]);
    aloop_stream_abort(streams[1]);
    sim_peer_close(peers[0]);
    sim_peer_close(peers[1]);
}

static void closing_either_stream_cancels_the_forward(void **state)
{
    (void) state;
    for (int which = 0; which < 2; which++) {
        int peers[2];
        aloop_future *forward;

        connect_two(peers);
        forward = aloop_stream_forward(streams[0], streams[1]);
        assert_int_equal(
            aloop_future_status(aloop_stream_forward(streams[0], streams[1])),
            ALOOP_EBUSY);
        aloop_stream_close(streams[which]);
        assert_int_equal(aloop_await(forward), ALOOP_EABORTED);
        aloop_stream_close(streams[!which]);
        sim_peer_close(peers[0]);
        sim_peer_close(peers[1]);
    }
}

static void a_reset_of_either_side_ends_the_forward_with_its_error(void **state)
{
    (void) state;
    for (int which = 0; which < 2; which++) {
        int peers[2];
        aloop_future *forward;
        ssize_t status;

        connect_two(peers);
        forward = aloop_stream_forward(streams[0], streams[1]);
        sim_peer_reset(peers[which]);
        for (int i = 0; i < 10 && !aloop_future_is_settled(forward); i++) {
            sim_peer_send(peers[0], "x", 1);
            aloop_step(t.loop, ALOOP_MS(1));
        }
        status = aloop_await(forward);
        assert_true(status == ALOOP_ECONNRESET || status == ALOOP_EPIPE);
        close_all(peers);
    }
}

static void no_data(aloop_stream *stream, const void *bytes, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) bytes;
    (void) size;
    (void) arg;
    t.calls++;
}

/* Asserts that no function can read from a stream that is forwarded. */
static void assert_busy(aloop_stream *stream)
{
    char buffer[8];
    aloop_future *reads[] = {
        aloop_stream_read(stream, buffer, sizeof buffer),
        aloop_stream_read_exactly(stream, buffer, sizeof buffer),
        aloop_stream_read_until(stream, buffer, sizeof buffer, "x", 1),
        aloop_stream_read_to_end(stream, buffer, sizeof buffer),
        aloop_stream_forward(stream, streams[0]),
    };

    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        assert_int_equal(aloop_future_status(reads[i]), ALOOP_EBUSY);
        aloop_future_unref(reads[i]);
    }
    assert_int_equal(aloop_stream_start(stream, no_data, NULL), ALOOP_EBUSY);
    assert_int_equal(aloop_stream_stop(stream), ALOOP_EBUSY);
}

/* Lets the source send until the forward waits for a drain of its target. */
static size_t block(int source)
{
    size_t sent = 0;

    for (int i = 0; i < 500; i++) {
        ssize_t n = sim_peer_send(source, data + sent, sizeof data - sent);

        sent += n > 0 ? (size_t) n : 0;
        aloop_step(t.loop, ALOOP_MS(1));
    }
    return sent;
}

/* Streams whose peers the test controls, over each carrier and filter. */
static aloop_future *forward_any(int *source, int *sink)
{
    sim_buffer_size(4096);
    streams[0] = connected_to(source);
    streams[1] = connected_to(sink);
    return aloop_stream_forward(streams[0], streams[1]);
}

static void a_failed_send_ends_the_forward_without_more_bytes(void **state)
{
    int source, sink;
    aloop_future *forward = forward_any(&source, &sink);

    (void) state;
    sim_fail_from("aloop__sys_send", 1, ALOOP_ENOBUFS);
    sim_peer_send(source, "x", 1);
    run_for(ALOOP_MS(1));
    assert_int_equal(aloop_future_status(forward), ALOOP_ENOBUFS);
    sim_forgive();
    aloop_future_unref(forward);
    close_all((int[]){source, sink});
}

static void a_reset_of_an_idle_target_ends_the_forward(void **state)
{
    int source, sink;
    aloop_future *forward = forward_any(&source, &sink);
    ssize_t status;

    (void) state;
    run_for(ALOOP_MS(1));
    sim_peer_reset(sink);
    run_for(ALOOP_MS(1));
    status = aloop_future_status(forward);
    assert_true(status == ALOOP_ECONNRESET || status == ALOOP_EPIPE);
    assert_int_equal(aloop_stream_put(streams[1], "x", 1), status);
    assert_int_equal(aloop_stream_start(streams[0], no_data, NULL), 0);
    aloop_future_unref(forward);
    close_all((int[]){source, sink});
}

static void an_error_that_the_reader_of_the_target_took_ends_the_forward(
    void **state)
{
    int source, sink;
    aloop_future *forward = forward_any(&source, &sink), *read;
    char buffer[8];

    (void) state;
    read = aloop_stream_read(streams[1], buffer, sizeof buffer);
    run_for(ALOOP_MS(1));
    sim_peer_reset(sink);
    run_for(ALOOP_MS(1));
    assert_int_equal(aloop_await(read), ALOOP_ECONNRESET);
    assert_int_equal(aloop_await(forward), ALOOP_ECONNRESET);
    close_all((int[]){source, sink});
}

/* The bytes that the source has sent before are not lost. */
static void a_reset_source_ends_the_forward_whose_target_takes_nothing(
    void **state)
{
    int source, sink;
    aloop_future *forward = forward_any(&source, &sink);
    size_t sent, got;

    (void) state;
    fill_data();
    sent = block(source);
    assert_false(aloop_future_is_settled(forward));
    sim_peer_reset(source);
    for (int i = 0; i < 50; i++)
        run_for(ALOOP_MS(1));
    assert_int_equal(aloop_future_status(forward), ALOOP_ECONNRESET);
    got = receive_until(sink, back, sent, forward);
    assert_int_equal(got, sent);
    assert_memory_equal(back, data, sent);
    aloop_future_unref(forward);
    close_all((int[]){source, sink});
}

/* A Unix socket hangs up at its end. */
static void a_source_that_ends_while_the_target_takes_nothing_is_no_error(
    void **state)
{
    int source, sink;
    aloop_future *forward = forward_any(&source, &sink);
    size_t sent, got, turns;

    (void) state;
    fill_data();
    sent = block(source);
    aloop_await(aloop_stream_shutdown(streams[0]));
    sim_peer_close(source);
    run_for(ALOOP_MS(1));
    turns = sim_calls("aloop__reactor_wait");
    for (int i = 0; i < 50; i++)
        run_for(ALOOP_MS(1));
    assert_false(aloop_future_is_settled(forward));
    assert_true(sim_calls("aloop__reactor_wait") - turns < 200);
    got = receive_until(sink, back, sizeof back, forward);
    assert_int_equal(got, sent);
    assert_int_equal(aloop_await(forward), (ssize_t) sent);
    aloop_stream_close(streams[0]);
    aloop_stream_close(streams[1]);
    sim_peer_close(sink);
}

static void a_forward_to_a_stream_that_has_failed_fails(void **state)
{
    aloop_stream *reader, *writer;
    int source;
    aloop_stream *from = connected_to(&source);

    (void) state;
    assert_int_equal(aloop_pipe_open(t.loop, &reader, &writer), 0);
    assert_int_equal(aloop_await(aloop_stream_forward(from, reader)),
                     ALOOP_EPIPE);
    aloop_stream_close(reader);
    assert_int_equal(aloop_await(aloop_stream_forward(from, writer)),
                     ALOOP_EPIPE);
    assert_int_equal(aloop_stream_put(writer, "x", 1), ALOOP_EPIPE);
    aloop_stream_close(writer);
    aloop_stream_close(from);
    sim_peer_close(source);
}

static void a_forward_whose_target_has_bytes_settles_once_as_the_loop_ends(
    void **state)
{
    int source, sink;
    aloop_future *forward = forward_any(&source, &sink);

    (void) state;
    fill_data();
    aloop_stream_put(streams[1], data, 60000);
    run_for(ALOOP_MS(1));
    assert_false(aloop_future_is_settled(forward));
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    sim_peer_close(source);
    sim_peer_close(sink);
}

static void a_stream_that_is_forwarded_is_busy_in_every_state_of_the_forward(
    void **state)
{
    int peers[2];
    aloop_future *forward;
    size_t sent, got;

    (void) state;
    fill_data();
    sim_buffer_size(4096);
    connect_two(peers);
    forward = aloop_stream_forward(streams[0], streams[1]);
    assert_busy(streams[0]); /* The forward moves bytes. */
    sent = block(peers[0]);
    assert_busy(streams[0]); /* The forward waits for a drain. */
    sim_peer_shutdown(peers[0]);
    aloop_stream_set_watermarks(streams[1], 200000, 300000);
    for (int i = 0; i < 20; i++)
        aloop_step(t.loop, ALOOP_MS(1));
    assert_false(aloop_future_is_settled(forward));
    assert_busy(streams[0]); /* It has received the end and shuts down. */

    got = receive_until(peers[1], back, sizeof back, forward);
    assert_int_equal(got, sent);
    assert_memory_equal(back, data, sent);
    assert_int_equal(aloop_await(forward), (ssize_t) sent);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_await(aloop_stream_read(streams[0], back, 1)), 0);
    close_all(peers);
}

static void a_forward_from_a_stream_that_is_read_is_refused(void **state)
{
    int peers[2];
    char buffer[8];
    aloop_future *read;

    (void) state;
    connect_two(peers);
    read = aloop_stream_read(streams[0], buffer, sizeof buffer);
    assert_int_equal(aloop_await(aloop_stream_forward(streams[0], streams[1])),
                     ALOOP_EBUSY);
    sim_peer_send(peers[0], "abc", 3);
    assert_int_equal(aloop_await(read), 3);
    close_all(peers);
}

static void invalid_arguments_are_refused(void **state)
{
    int peers[2];

    (void) state;
    connect_two(peers);
    assert_int_equal(aloop_await(aloop_stream_forward(NULL, streams[0])),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_forward(streams[0], NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_forward(streams[0], streams[0])),
                     ALOOP_EBUSY);
    close_all(peers);
}

static void a_forward_between_two_loops_is_refused(void **state)
{
    aloop *mine = t.loop, *other = other_loop();
    aloop_stream *from = connected(), *to;
    int peer;

    (void) state;
    t.loop = other;
    to = connected_to(&peer);
    t.loop = mine;

    assert_int_equal(aloop_await(aloop_stream_forward(from, to)), ALOOP_EINVAL);

    send_text("still mine");
    assert_int_equal(aloop_await(aloop_stream_read(from, c.got, 10)), 10);
    aloop_stream_close(from);
    aloop_stream_close(to);
    sim_peer_close(peer);
    assert_int_equal(aloop_free(other), 0);
}

static void a_second_forward_is_refused_while_the_first_waits(void **state)
{
    aloop_stream *from, *to, *other;
    aloop_future *forward, *second;
    size_t sent = 0, got;
    ssize_t n;
    int source, sink, unused;

    (void) state;
    fill_data();
    sim_buffer_size(1024);
    from = connected_to(&source);
    to = connected_to(&sink);
    other = connected_to(&unused);
    aloop_stream_set_watermarks(to, 0, 1);
    forward = aloop_stream_forward(from, to);
    while ((n = sim_peer_send(source, data + sent, 1024)) > 0) {
        sent += (size_t) n;
        run_for(MS);
    }
    second = aloop_stream_forward(from, other);
    assert_int_equal(aloop_future_status(second), ALOOP_EBUSY);
    sim_peer_shutdown(source);
    got = receive_until(sink, back, sizeof back, forward);

    assert_true(sent >= 3 * 1024);
    assert_int_equal(aloop_future_status(forward), sent);
    assert_int_equal(got, sent);
    assert_memory_equal(back, data, sent);
    assert_true(sim_peer_eof(sink));
    assert_false(sim_peer_eof(unused));
    aloop_stream_close(from);
    run_for(MS);
    aloop_future_unref(forward);
    aloop_future_unref(second);
    aloop_stream_close(to);
    aloop_stream_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_forward_moves_all_bytes_and_then_the_end),
        TEST(a_forward_is_correct_in_a_chaotic_world),
        TEST(a_forward_stops_reading_if_its_target_takes_nothing),
        TEST(closing_either_stream_cancels_the_forward),
        TEST(a_reset_of_either_side_ends_the_forward_with_its_error),
        TEST(a_failed_send_ends_the_forward_without_more_bytes),
        TEST(a_reset_of_an_idle_target_ends_the_forward),
        TEST(an_error_that_the_reader_of_the_target_took_ends_the_forward),
        WIRE_TEST(a_reset_source_ends_the_forward_whose_target_takes_nothing),
        WIRE_TEST(
            a_source_that_ends_while_the_target_takes_nothing_is_no_error),
        TEST(a_forward_to_a_stream_that_has_failed_fails),
        TEST(a_forward_whose_target_has_bytes_settles_once_as_the_loop_ends),
        TEST(a_stream_that_is_forwarded_is_busy_in_every_state_of_the_forward),
        TEST(a_forward_from_a_stream_that_is_read_is_refused),
        TEST(invalid_arguments_are_refused),
        TEST(a_forward_between_two_loops_is_refused),
        WIRE_TEST(a_second_forward_is_refused_while_the_first_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
