/* Streams where two rules meet: bytes that are given back while more arrive,
 * an error hook that ends what fails, descriptors that others close, marks
 * that move, and closing between the turns of an embedded loop. */

#include "support/stream_fixture.h"

#include <string.h>

#include "stream/stream.h"
#include "loop/buffers.h"
#include "os/sys.h"

enum { SOME_MORE = 100000 };

static char bytes[200000]; /* A pattern that no part of it repeats soon. */
static char got[sizeof bytes];
static size_t got_size;

static int set_up_bytes(void **state)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char) (i * 7 + i / 251);
    got_size = 0;
    return set_up(state);
}

#define STREAM(name) \
    cmocka_unit_test_setup_teardown(name, set_up_bytes, tear_down)

/* Gives a stream more than its connection takes at once. */
static void block(aloop_stream *stream)
{
    assert_int_equal(aloop_stream_put(stream, bytes, SOME_MORE), 1);
    run_for(MS);
    assert_true(aloop_stream_queued(stream) > SOME_MORE / 2);
}

/* Bytes that are given back. */

static char line[SOME_MORE];

static void keep(const void *data, size_t size)
{
    assert_true(size <= sizeof got - got_size);
    memcpy(got + got_size, data, size);
    got_size += size;
}

/* The first time, asks for a line, changes its mind, and notes what the line's
 * status was before it was cancelled. */
static void asks_for_a_line_at_first(aloop_stream *stream, const void *data,
                                     ssize_t size, void *arg)
{
    aloop_future *read;

    note((int) size);
    if (size <= 0)
        return;
    keep(data, (size_t) size);
    if (t.calls++ > 0)
        return;
    aloop_stream_stop(stream);
    read = aloop_stream_read_until(stream, line, sizeof line, "no such", 7);
    note((int) aloop_future_status(read));
    aloop_future_unref(read);
    aloop_stream_start(stream, asks_for_a_line_at_first, arg);
}

static void bytes_given_back_in_the_callback_come_before_newer_ones(
    void **state)
{
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_buffer_size(1 << 20);
    stream = connected_to(&peer);
    assert_int_equal(sim_peer_send(peer, bytes, sizeof bytes), sizeof bytes);
    sim_pass(MS);
    aloop_stream_start(stream, asks_for_a_line_at_first, NULL);
    run_for(MS);

    assert_true(t.noted >= 3);
    assert_int_equal(t.order[0], RECEIVE_SIZE);
    assert_int_equal(t.order[1], ALOOP_PENDING);
    assert_int_equal(got_size, sizeof bytes);
    assert_memory_equal(got, bytes, sizeof bytes);
    aloop_stream_close(stream);
    sim_peer_close(peer);
}

/* The line fills its buffer exactly, so that it goes on to meet the end. */
static void the_end_is_told_after_bytes_given_back_in_the_callback(
    void **state)
{
    const size_t rest = BUFFER_SMALL - sizeof(struct aloop__input);
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_buffer_size(1 << 20);
    stream = connected_to(&peer);
    sim_peer_send(peer, bytes, RECEIVE_SIZE + rest);
    sim_peer_shutdown(peer);
    sim_pass(MS);
    aloop_stream_start(stream, asks_for_a_line_at_first, NULL);
    run_for(MS);

    assert_noted(RECEIVE_SIZE, ALOOP_EOF, (int) rest, 0);
    assert_int_equal(got_size, RECEIVE_SIZE + rest);
    assert_memory_equal(got, bytes, got_size);
    aloop_stream_close(stream);
    sim_peer_close(peer);
}

/* The first time, closes the stream's descriptor behind the loop's back and
 * has a connection take its number over. */
static void is_robbed_at_first(aloop_stream *stream, const void *data,
                               ssize_t size, void *arg)
{
    asks_for_a_line_at_first(stream, data, size, NULL);
    sys_close(aloop_stream_fd(stream));
    aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "81", arg));
}

static void an_error_is_told_after_bytes_given_back_in_the_callback(
    void **state)
{
    aloop_stream *stream, *thief = NULL;
    int listener = sim_listen("127.0.0.1", 81, 8);
    int fd, peer;

    (void) state;
    sim_buffer_size(1 << 20);
    stream = connected_to(&peer);
    fd = aloop_stream_fd(stream);
    sim_peer_send(peer, bytes, sizeof bytes);
    sim_pass(MS);
    aloop_stream_start(stream, is_robbed_at_first, &thief);
    run_for(MS);

    assert_int_equal(t.noted, 4);
    assert_int_equal(t.order[1], ALOOP_PENDING);
    assert_int_equal(t.order[3], ALOOP_EBADF);
    assert_int_equal(got_size, RECEIVE_SIZE + t.order[2]);
    assert_memory_equal(got, bytes, got_size);
    assert_int_equal(aloop_stream_fd(thief), fd);
    assert_int_equal(aloop_stream_fd(stream), ALOOP_EBADF);
    aloop_stream_close(stream);
    aloop_stream_close(thief);
    sim_peer_close(listener);
}

/* The hook for errors that nobody looked at. */

static aloop_stream *doomed;

static void abort_doomed(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    (void) what;
    (void) arg;
    note(error);
    aloop_stream_abort(doomed);
    doomed = NULL;
}

static void use_hook(aloop_error_cb hook)
{
    aloop_options options = {.size = sizeof options, .on_unhandled = hook};

    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    assert_non_null(t.loop);
}

static void the_hook_may_abort_the_stream_whose_drains_fail(void **state)
{
    unsigned open;
    int peer;

    (void) state;
    use_hook(abort_doomed);
    open = sim_descriptors_open();
    sim_buffer_size(1024);
    doomed = connected_to(&peer);
    block(doomed);
    for (int i = 0; i < 3; i++)
        aloop_detach(aloop_stream_drain(doomed));
    sim_peer_reset(peer);
    run_for(MS);

    assert_noted(ALOOP_ECONNRESET, ALOOP_ECONNRESET, ALOOP_ECONNRESET);
    assert_null(doomed);
    assert_int_equal(sim_descriptors_open(), open);
}

static void the_hook_runs_as_the_turn_ends_and_not_within_a_call(void **state)
{
    aloop_future *drain;
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    block(stream);
    drain = aloop_stream_drain(stream);
    aloop_detach(drain);
    aloop_stream_abort(stream);
    assert_int_equal(t.unhandled, 0);
    aloop_step(t.loop, 0);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ECANCELED);

    aloop_future_unref(aloop_future_new_settled(t.loop, ALOOP_EPIPE));
    assert_int_equal(t.unhandled, 1);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.unhandled, 2);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
}

/* A descriptor that somebody else closes while a duplicate lives on. */

static void a_closed_number_with_a_duplicate_is_told_once_without_a_spin(
    void **state)
{
    aloop_stream *stream;
    int64_t begin;
    unsigned before;
    int fd, peer;

    (void) state;
    stream = connected_to(&peer);
    aloop_stream_start(stream, note_size, NULL);
    run_for(MS);
    fd = aloop_stream_fd(stream);
    sim_keep_open(fd);
    sys_close(fd);
    sim_peer_send(peer, "x", 1);
    before = sim_wakes();
    begin = aloop_now(t.loop);
    sim_fail("aloop__reactor_wait", 50, ALOOP_EACCES);
    run_for(10 * MS);

    assert_noted(ALOOP_EBADF);
    assert_true(aloop_now(t.loop) == begin + 10 * MS);
    assert_true(sim_wakes() - before <= 4);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(sim_descriptors_open(), 0);
    sim_reset(1); /* The bad use and the bad close were this test's. */
}

/* Pipes. */

static void take(int peer)
{
    ssize_t n = sim_peer_receive(peer, got + got_size, sizeof got - got_size);

    assert_true(n >= 0);
    got_size += (size_t) n;
}

static void a_second_pipe_from_a_stream_is_refused_while_one_waits(
    void **state)
{
    aloop_stream *from, *to, *other;
    aloop_future *pipe, *second;
    size_t sent = 0;
    ssize_t n;
    int source, sink, unused;

    (void) state;
    sim_buffer_size(1024);
    from = connected_to(&source);
    to = connected_to(&sink);
    other = connected_to(&unused);
    aloop_stream_set_watermarks(to, 0, 1);
    pipe = aloop_stream_forward(from, to);
    while ((n = sim_peer_send(source, bytes + sent, 1024)) > 0) {
        sent += (size_t) n;
        run_for(MS);
    }
    second = aloop_stream_forward(from, other);
    assert_int_equal(aloop_future_status(second), ALOOP_EBUSY);
    sim_peer_shutdown(source);
    for (int i = 0; i < 20; i++) {
        take(sink);
        run_for(MS);
    }

    assert_true(sent >= 3 * 1024);
    assert_int_equal(aloop_future_status(pipe), sent);
    assert_int_equal(got_size, sent);
    assert_memory_equal(got, bytes, sent);
    assert_true(sim_peer_eof(sink));
    assert_false(sim_peer_eof(unused));
    aloop_stream_close(from);
    run_for(MS);
    aloop_future_unref(pipe);
    aloop_future_unref(second);
    aloop_stream_close(to);
    aloop_stream_close(other);
}

/* Embedded: a close between the turns. */

static void a_close_outside_a_turn_wakes_the_host_to_give_the_peer_up(
    void **state)
{
    aloop_stream *stream;
    int64_t begin;
    int fd, peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    block(stream);
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
    assert_int_equal(sim_peer_error(peer), ALOOP_ECONNRESET);
    assert_false(aloop_alive(t.loop));
}

/* What waits for the queue to get shorter. */

static void higher_marks_settle_a_drain(void **state)
{
    aloop_future *drain;
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    block(stream);
    drain = aloop_stream_drain(stream);
    assert_false(aloop_future_is_settled(drain));
    assert_int_equal(
        aloop_stream_set_watermarks(stream, sizeof bytes, SIZE_MAX), 0);
    assert_int_equal(aloop_future_status(drain), 0);
    aloop_future_unref(drain);
    aloop_stream_abort(stream);
}

/* With other bytes before it that the peer does not take. */
static void a_cancelled_write_settles_a_drain(void **state)
{
    aloop_future *write, *drain;
    aloop_stream *stream;
    size_t queued;
    int peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    block(stream);
    queued = aloop_stream_queued(stream);
    aloop_stream_set_watermarks(stream, queued, queued + 1);
    write = aloop_stream_write(stream, bytes, 50000);
    drain = aloop_stream_drain(stream);
    run_for(MS);
    assert_false(aloop_future_is_settled(drain));

    aloop_future_unref(write);
    assert_int_equal(aloop_stream_queued(stream), queued);
    assert_int_equal(aloop_future_status(drain), 0);
    aloop_future_unref(drain);
    aloop_stream_abort(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM(bytes_given_back_in_the_callback_come_before_newer_ones),
        STREAM(the_end_is_told_after_bytes_given_back_in_the_callback),
        STREAM(an_error_is_told_after_bytes_given_back_in_the_callback),
        STREAM(the_hook_may_abort_the_stream_whose_drains_fail),
        STREAM(the_hook_runs_as_the_turn_ends_and_not_within_a_call),
        STREAM(a_closed_number_with_a_duplicate_is_told_once_without_a_spin),
        STREAM(a_second_pipe_from_a_stream_is_refused_while_one_waits),
        STREAM(a_close_outside_a_turn_wakes_the_host_to_give_the_peer_up),
        STREAM(higher_marks_settle_a_drain),
        STREAM(a_cancelled_write_settles_a_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
