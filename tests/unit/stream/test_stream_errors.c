/* Tests that reading returns the error of a connection even if another call has
 * consumed SO_ERROR.  Only the peer's end is reported as an end. */

#include "support/stream_fixture.h"

#include <errno.h>

#include "os/sys.h"

static const int errors[] = {
    ALOOP_ECONNRESET,  ALOOP_ECONNABORTED,
    ALOOP_ETIMEDOUT,   ALOOP_EHOSTUNREACH,
    ALOOP_ENETUNREACH, -ENETDOWN,
    ALOOP_EACCES,      ALOOP_EPERM,
    -EPROTO,           -EIO,
    ALOOP_EINVAL,      -ENETRESET,
};

enum { ERRORS = sizeof errors / sizeof errors[0] };

static const char big[2 * BUFFER];

/* The ways in which the library gets the error of a connection.  Each consumes
 * SO_ERROR, so that the next receive returns 0. */

static void fail_in_send(aloop_stream *stream, int error)
{
    sim_peer_break(c.peer, error);
    aloop_detach(aloop_stream_write(stream, "x", 1));
    run_for(MS);
}

static void fail_in_gathered_send(aloop_stream *stream, int error)
{
    sim_peer_break(c.peer, error);
    aloop_detach(aloop_stream_write(stream, "x", 1));
    fail_in_send(stream, error);
}

/* The library queries SO_ERROR: no read is pending, and the peer takes no
 * bytes. */
static void fail_in_query(aloop_stream *stream, int error)
{
    aloop_detach(aloop_stream_write(stream, big, sizeof big));
    run_for(MS);
    sim_peer_break(c.peer, error);
    run_for(MS);
}

static void fail_in_shutdown(aloop_stream *stream, int error)
{
    sim_peer_break(c.peer, error);
    aloop_detach(aloop_stream_shutdown(stream));
    run_for(MS);
}

/* The wait consumes SO_ERROR, like a kqueue that is emulated with epoll. */
static void fail_in_wait(aloop_stream *stream, int error)
{
    sim_options()->is_error_cleared = true;
    sim_peer_break(c.peer, error);
    (void) stream;
    run_for(MS);
}

static void fail_in_wait_for_writing(aloop_stream *stream, int error)
{
    sim_options()->is_error_cleared = true;
    fail_in_query(stream, error);
}

/* Only the failed call reports the reason. */
static void fail_by_send(aloop_stream *stream, int error)
{
    sim_fail("aloop__sys_send", 1, error);
    aloop_detach(aloop_stream_write(stream, "x", 1));
    run_for(MS);
    sim_peer_reset(c.peer);
    run_for(MS);
    aloop__sys_socket_error(aloop_stream_fd(stream));
}

static void fail_by_shutdown(aloop_stream *stream, int error)
{
    sim_fail("aloop__sys_shutdown_write", 1, error);
    aloop_detach(aloop_stream_shutdown(stream));
    run_for(MS);
    sim_peer_reset(c.peer);
    run_for(MS);
    aloop__sys_socket_error(aloop_stream_fd(stream));
}

static void fail_in_receive(aloop_stream *stream, int error)
{
    (void) stream;
    sim_peer_break(c.peer, error);
}

static void (*const ways[])(aloop_stream *stream, int error) = {
    fail_in_send,     fail_in_gathered_send, fail_in_query,
    fail_in_shutdown, fail_in_wait,          fail_in_wait_for_writing,
    fail_in_receive,  fail_by_send,          fail_by_shutdown,
};

enum { WAYS = sizeof ways / sizeof ways[0] };

/* Makes a new world, and a stream in it with four unread bytes. */
static aloop_stream *stream_with_unread_bytes(void)
{
    aloop_stream *stream;

    assert_true(renew(1));
    stream = connected();
    sim_peer_send(c.peer, "half", 4);
    sim_pass(MS);
    return stream;
}

static void a_later_read_fails_with_an_error_that_another_call_consumed(
    void **state)
{
    char buffer[8];

    (void) state;
    for (size_t i = 0; i < ERRORS * WAYS; i++) {
        int error = errors[i % ERRORS];
        aloop_stream *stream = stream_with_unread_bytes();

        ways[i / ERRORS](stream, error);

        assert_int_equal(
            aloop_await(aloop_stream_read(stream, buffer, sizeof buffer)), 4);
        for (int again = 0; again < 2; again++)
            assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 8)),
                             error);
        aloop_stream_close(stream);
        leave();
    }
}

static void a_pending_read_fails_with_the_error_and_loses_no_bytes(void **state)
{
    char buffer[8];

    (void) state;
    for (size_t i = 0; i < ERRORS * WAYS; i++) {
        int error = errors[i % ERRORS];
        aloop_stream *stream = stream_with_unread_bytes();
        aloop_future *read =
            aloop_stream_read_to_end(stream, buffer, sizeof buffer);

        run_for(MS);
        ways[i / ERRORS](stream, error);

        assert_int_equal(aloop_await(read), error);
        assert_int_equal(
            aloop_await(aloop_stream_read(stream, buffer, sizeof buffer)), 4);
        assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 8)),
                         error);
        aloop_stream_close(stream);
        leave();
    }
}

static void a_callback_gets_an_error_that_another_call_consumed(void **state)
{
    (void) state;
    for (size_t i = 0; i < ERRORS * WAYS; i++) {
        int error = errors[i % ERRORS];
        aloop_stream *stream = stream_with_unread_bytes();

        t.noted = 0;
        aloop_stream_start(stream, collect, NULL);
        run_for(MS);
        ways[i / ERRORS](stream, error);
        run_for(MS);

        assert_int_equal(c.got_size, 4);
        assert_noted(error);
        aloop_stream_close(stream);
        leave();
    }
}

static void a_forward_fails_with_the_error_and_sends_no_end(void **state)
{
    (void) state;
    for (size_t i = 0; i < ERRORS * WAYS; i++) {
        int error = errors[i % ERRORS], sink;
        aloop_stream *from = stream_with_unread_bytes();
        aloop_stream *to = connected_to(&sink);
        aloop_future *forward = aloop_stream_forward(from, to);

        run_for(MS);
        ways[i / ERRORS](from, error);

        assert_int_equal(aloop_await(forward), error);
        run_for(MS);
        assert_int_equal(sim_peer_receive(sink, c.in, sizeof c.in), 4);
        assert_false(sim_peer_eof(sink));
        aloop_stream_abort(from);
        aloop_stream_abort(to);
        leave();
    }
}

/* EPIPE means that the peer ended first and then refused the data, so that the
 * end is still the peer's. */
static void the_end_can_be_read_after_a_write_failed_with_epipe(void **state)
{
    aloop_stream *stream = connected();
    char buffer[8];

    (void) state;
    for (int takes = 0; takes < 2; takes++) {
        sim_options()->is_error_cleared = takes;
        if (takes)
            stream = connected();
        sim_peer_send(c.peer, "all", 3);
        sim_peer_close(c.peer);
        run_for(MS);
        aloop_detach(aloop_stream_write(stream, "x", 1));
        run_for(MS);
        assert_int_equal(aloop_await(aloop_stream_write(stream, "y", 1)),
                         ALOOP_EPIPE);

        assert_int_equal(
            aloop_await(aloop_stream_read_to_end(stream, buffer, 8)), 3);
        aloop_stream_close(stream);
    }
}

static void a_send_without_memory_does_not_fail_reads(void **state)
{
    static const int transient[] = {ALOOP_ENOMEM, ALOOP_ENOBUFS};
    char buffer[8];

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        aloop_stream *stream = connected();

        sim_fail("aloop__sys_send", 1, transient[i]);
        assert_int_equal(aloop_await(aloop_stream_write(stream, "x", 1)),
                         transient[i]);
        sim_peer_send(c.peer, "all", 3);
        sim_peer_shutdown(c.peer);

        assert_int_equal(
            aloop_await(aloop_stream_read_to_end(stream, buffer, 8)), 3);
        aloop_stream_close(stream);
    }
}

/* The write fails with the error itself, not with one that follows from it. */
static void a_write_fails_with_the_error_that_the_reactor_consumed(void **state)
{
    aloop_stream *stream = connected();
    char buffer[8];

    (void) state;
    sim_options()->is_error_cleared = true;
    sim_peer_break(c.peer, ALOOP_EHOSTUNREACH);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 8)),
                     ALOOP_EHOSTUNREACH);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "x", 1)),
                     ALOOP_EHOSTUNREACH);
    aloop_stream_close(stream);
}

/* The wait has consumed the errors of both streams.  The callback of one stream
 * reads from the other, whose last receive filled its buffer. */
static aloop_stream *neighbour;
static char tail[2048];

static void read_neighbour(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    if (size < 0)
        aloop_then(aloop_stream_read(neighbour, tail, sizeof tail), note_status,
                   NULL);
}

static void an_error_that_the_reactor_consumed_reaches_all_callbacks(
    void **state)
{
    static const char bytes[2048];
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_options()->is_error_cleared = true;
    stream = connected_to(&peer);
    neighbour = connected();
    sim_peer_send(c.peer, bytes, sizeof bytes);
    assert_int_equal(
        aloop_await(aloop_stream_read(neighbour, tail, sizeof tail)),
        sizeof tail);
    aloop_stream_start(stream, read_neighbour, NULL);
    aloop_detach(aloop_stream_write(neighbour, big, sizeof big));
    run_for(MS);
    sim_peer_break(peer, ALOOP_ECONNABORTED);
    sim_peer_break(c.peer, -ENETDOWN);
    run_for(MS);

    assert_noted(-ENETDOWN);
    aloop_stream_close(stream);
    aloop_stream_close(neighbour);
}

static void the_address_of_a_lost_peer_fails_with_the_error_of_the_loss(
    void **state)
{
    aloop_stream *stream = connected();
    char text[96];
    aloop_address address;

    (void) state;
    sim_peer_reset(c.peer);
    run_for(MS);
    assert_int_equal(aloop_stream_peer(stream, text, sizeof text),
                     ALOOP_ECONNRESET);
    assert_int_equal(aloop_stream_peer_address(stream, &address),
                     ALOOP_ECONNRESET);
    aloop_stream_close(stream);

    stream = connected();
    fail_in_send(stream, ALOOP_ETIMEDOUT);
    assert_int_equal(aloop_stream_peer(stream, text, sizeof text),
                     ALOOP_ETIMEDOUT);
    assert_true(aloop_stream_local(stream, text, sizeof text) >= 0);
    aloop_stream_close(stream);

    /* Both ends have shut down, and the connection was not lost. */
    stream = connected();
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 1)), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    sim_fail("aloop__sys_peer_address", 1, ALOOP_ENOTCONN);
    assert_int_equal(aloop_stream_peer(stream, text, sizeof text),
                     ALOOP_ENOTCONN);
    aloop_stream_close(stream);
}

static void a_shutdown_of_a_lost_connection_fails_with_its_error(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    sim_peer_reset(c.peer);
    run_for(MS);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)),
                     ALOOP_ECONNRESET);
    aloop_stream_close(stream);

    stream = connected();
    sim_fail("aloop__sys_shutdown_write", 1, ALOOP_ENOTCONN);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)),
                     ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

static void a_put_that_cannot_be_sent_is_reported_and_ends_in_a_reset(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, note_size, NULL);
    sim_fail("aloop__sys_send", 1, -ENOBUFS);
    assert_int_equal(aloop_stream_put(stream, "reply", 5), 0);
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    assert_noted(-ENOBUFS);
    aloop_stream_close(stream);
    sim_pass(MS);
    assert_reset(c.peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_later_read_fails_with_an_error_that_another_call_consumed),
        TEST(a_pending_read_fails_with_the_error_and_loses_no_bytes),
        TEST(a_callback_gets_an_error_that_another_call_consumed),
        TEST(a_forward_fails_with_the_error_and_sends_no_end),
        TEST(the_end_can_be_read_after_a_write_failed_with_epipe),
        TEST(a_send_without_memory_does_not_fail_reads),
        TEST(a_write_fails_with_the_error_that_the_reactor_consumed),
        TEST(an_error_that_the_reactor_consumed_reaches_all_callbacks),
        TEST(the_address_of_a_lost_peer_fails_with_the_error_of_the_loss),
        TEST(a_shutdown_of_a_lost_connection_fails_with_its_error),
        TEST(a_put_that_cannot_be_sent_is_reported_and_ends_in_a_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
