/* Tests of the pause of reading while too many replies are queued, and of
 * queued bytes that must not cause it. */

#include "support/stream_fixture.h"

#include <string.h>

enum { LOW = 300, HIGH = 1000 };

static char text[20 * BUFFER]; /* A pattern with a long period. */

static int set_up_text(void **state)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char) (i * 7 + i / 251);
    return set_up(state);
}

#define PAUSE(name) \
    cmocka_unit_test_setup_teardown(name, set_up_text, tear_down)
#ifdef FILTER_STEP
#define PLAIN_PAUSE(name) PLAIN_TEST(name)
#else
#define PLAIN_PAUSE(name) PAUSE(name)
#endif
#ifdef FILTER_TLS
#define WIRE_PAUSE(name) WIRE_TEST(name)
#else
#define WIRE_PAUSE(name) PAUSE(name)
#endif

/* Replies to the first call with as many bytes as `arg` points to. */
static void reply(aloop_stream *stream, const void *data, ssize_t size,
                  void *arg)
{
    const size_t *reply_size = arg;

    (void) data;
    if (size > 0 && t.calls++ == 0)
        assert_true(aloop_stream_put(stream, text, *reply_size) >= 0);
}

/* Makes a stream whose callback was called once and replied with *reply_size
 * bytes.  Nothing can be sent before the peer receives. */
static aloop_stream *replied(const size_t *reply_size)
{
    aloop_stream *stream = connected();

    assert_int_equal(aloop_stream_set_watermarks(stream, LOW, HIGH), 0);
    fill(stream);
    assert_int_equal(aloop_stream_start(stream, reply, (void *) reply_size), 0);
    sim_peer_send(c.peer, "a", 1);
    run_for(MS);
    assert_int_equal(t.calls, 1);
    return stream;
}

/* Returns true if the callback is called for a byte from the peer. */
static bool is_called(void)
{
    int before = t.calls;

    sim_peer_send(c.peer, "b", 1);
    run_for(MS);
    return t.calls > before;
}

static void reading_pauses_above_the_high_mark_and_resumes_at_the_low(
    void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *stream = replied(&size);

    (void) state;
    sim_peer_send(c.peer, "b", 1);
    assert_quiet_for_a_second();
    assert_int_equal(t.calls, 1);

    receive(HIGH - LOW);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), LOW + 1);
    assert_int_equal(t.calls, 1);
    receive(1);
    run_for(MS);

    assert_int_equal(t.calls, 2);
    aloop_stream_abort(stream);
}

static void replies_up_to_the_high_mark_do_not_pause(void **state)
{
    static const size_t size = HIGH;
    aloop_stream *stream = replied(&size);

    (void) state;
    assert_true(is_called());
    aloop_stream_abort(stream);
}

static void new_marks_resume_and_pause_reading_immediately(void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *stream = replied(&size);
    aloop_future *drain = aloop_stream_drain(stream);

    (void) state;
    assert_false(is_called());
    aloop_stream_set_watermarks(stream, 2000, 3000);
    run_for(MS); /* The peer receives nothing meanwhile. */
    assert_int_equal(aloop_future_status(drain), 0);
    aloop_future_unref(drain);
    assert_int_equal(t.calls, 2);

    aloop_stream_set_watermarks(stream, 10, HIGH);
    assert_false(is_called());
    aloop_stream_abort(stream);
}

static void the_pause_can_be_turned_off_and_on(void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *stream = replied(&size);

    (void) state;
    assert_false(is_called());
    assert_int_equal(aloop_stream_set_auto_pause(stream, false), 0);
    run_for(MS);
    assert_int_equal(t.calls, 2);
    assert_true(is_called());

    assert_int_equal(aloop_stream_set_auto_pause(stream, true), 0);
    assert_false(is_called());
    assert_int_equal(aloop_stream_set_auto_pause(NULL, true), ALOOP_EINVAL);
    aloop_stream_abort(stream);
}

static void a_stream_whose_pause_is_off_never_pauses(void **state)
{
    static const size_t size = 10 * BUFFER;
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_set_auto_pause(stream, false);
    aloop_stream_start(stream, reply, (void *) &size);
    assert_true(is_called());
    assert_true(aloop_stream_queued(stream) > 2 * BUFFER);
    assert_true(is_called());
    aloop_stream_abort(stream);
}

static void puts_and_writes_outside_the_callback_do_not_pause(void **state)
{
    static const size_t size = 0;
    aloop_stream *stream = replied(&size);
    aloop_future *write = aloop_stream_write(stream, text, sizeof text);

    (void) state;
    assert_int_equal(aloop_stream_put(stream, text, sizeof text), 1);
    run_for(MS);
    assert_true(aloop_stream_queued(stream) > sizeof text);
    assert_true(is_called());
    aloop_future_unref(write);
    aloop_stream_abort(stream);
}

static void write_back(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    (void) data;
    (void) arg;
    if (size > 0 && t.calls++ == 0)
        aloop_detach(aloop_stream_write(stream, text, sizeof text));
}

/* The future of the write reports when the callback should continue. */
static void a_write_from_the_callback_does_not_pause(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_set_watermarks(stream, LOW, HIGH);
    fill(stream);
    aloop_stream_start(stream, write_back, NULL);
    assert_true(is_called());
    assert_int_equal(aloop_stream_queued(stream), sizeof text);
    assert_true(is_called());
    aloop_stream_abort(stream);
}

/* The replies and the upload share one buffer of the queue. */
static void an_upload_queued_after_replies_does_not_prolong_the_pause(
    void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *stream = replied(&size);

    (void) state;
    assert_int_equal(aloop_stream_put(stream, text, 2000), 1);
    assert_false(is_called());
    receive(size - LOW);
    run_for(MS);

    assert_int_equal(aloop_stream_queued(stream), 2000 + LOW);
    assert_int_equal(t.calls, 2);
    aloop_stream_abort(stream);
}

static void replies_queued_after_an_upload_still_pause(void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_set_watermarks(stream, LOW, HIGH);
    fill(stream);
    assert_int_equal(aloop_stream_put(stream, text, 20), 0);
    aloop_stream_start(stream, reply, (void *) &size);
    assert_true(is_called());
    assert_false(is_called());
    receive_all();
    run_for(MS);

    assert_int_equal(t.calls, 2);
    aloop_stream_abort(stream);
}

static void a_read_future_is_never_paused(void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *stream = replied(&size);
    char buffer[4];

    (void) state;
    assert_int_equal(aloop_stream_stop(stream), 0);
    sim_peer_send(c.peer, "abcd", 4);

    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, buffer, 4)),
                     4);
    aloop_stream_abort(stream);
}

static void a_forward_is_not_paused_by_earlier_replies(void **state)
{
    static const size_t size = HIGH + 1;
    aloop_stream *from = replied(&size), *to;
    aloop_future *forward;
    int sink;

    (void) state;
    to = connected_to(&sink);
    assert_int_equal(aloop_stream_stop(from), 0);
    forward = aloop_stream_forward(from, to);
    sim_peer_send(c.peer, "through", 7);
    run_for(MS);

    assert_int_equal(sim_peer_receive(sink, c.in, sizeof c.in), 7);
    aloop_future_unref(forward);
    aloop_stream_abort(from);
    aloop_stream_abort(to);
}

static void echo(aloop_stream *stream, const void *data, ssize_t size,
                 void *arg)
{
    size_t *most = arg;

    if (size > 0)
        aloop_stream_put(stream, data, (size_t) size);
    if (most != NULL && aloop_stream_queued(stream) > *most)
        *most = aloop_stream_queued(stream);
}

/* Failure class 24: there is no back pressure, and memory runs out. */
static void a_peer_that_sends_and_never_reads_costs_bounded_memory(void **state)
{
    aloop_stream *stream = connected();
    size_t most = 0, taken = 0;

    (void) state;
    aloop_stream_start(stream, echo, &most);
    for (int i = 0; i < 1000; i++) {
        ssize_t n = sim_peer_send(c.peer, text, 10000);

        taken += n > 0 ? (size_t) n : 0;
        run_for(MS);
    }

    assert_true(most <= 2 * BUFFER); /* The high mark, and one receive. */
    assert_true(taken <= 4 * BUFFER);
    aloop_stream_abort(stream);
}

/* Connections that have both ends in the loop. */

static struct {
    aloop_stream *accepted[2];
    int count;
} pair;

static void on_accepted(aloop_listener *listener, aloop_stream *stream,
                        void *arg)
{
    (void) listener;
    (void) arg;
    pair.accepted[pair.count++] = stream;
}

/* Makes two connections.  ends[2 * i] has connected to ends[2 * i + 1]. */
static void connect_ends(aloop_stream *ends[4])
{
    aloop_listener *listener;

    pair.count = 0;
    assert_int_equal(
        aloop_tcp_listen(t.loop, "::1", "7", on_accepted, NULL, &listener), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            aloop_await(aloop_tcp_connect(t.loop, "::1", "7", &ends[2 * i])),
            0);
        run_for(MS);
        assert_int_equal(pair.count, i + 1);
        ends[2 * i + 1] = pair.accepted[i];
    }
    aloop_listener_close(listener);
}

/* Compares the data with the pattern and counts its bytes. */
static void count(aloop_stream *stream, const void *data, ssize_t size,
                  void *arg)
{
    size_t *got = arg;

    (void) stream;
    if (size <= 0)
        return;
    assert_true(*got + (size_t) size <= sizeof text);
    assert_memory_equal(data, text + *got, (size_t) size);
    *got += (size_t) size;
}

static void an_upload_to_an_echo_server_finishes(void **state)
{
    aloop_stream *ends[4];
    size_t got = 0;

    (void) state;
    connect_ends(ends);
    aloop_stream_start(ends[1], echo, NULL);
    aloop_stream_start(ends[0], count, &got);
    assert_int_equal(aloop_stream_put(ends[0], text, sizeof text), 1);

    for (int i = 0; i < 1000 && got < sizeof text; i++)
        run_for(MS);
    assert_int_equal(got, sizeof text);
    for (int i = 0; i < 4; i++)
        aloop_stream_abort(ends[i]);
}

/* ends[0] and ends[3] communicate; the other two are the ends of a proxy. */
static void two_forwards_finish_when_both_ends_write_first(void **state)
{
    aloop_stream *ends[4];
    aloop_future *there, *back, *writes[2];
    size_t got[2] = {0};

    (void) state;
    connect_ends(ends);
    there = aloop_stream_forward(ends[1], ends[2]);
    back = aloop_stream_forward(ends[2], ends[1]);
    writes[0] = aloop_stream_write(ends[0], text, sizeof text);
    writes[1] = aloop_stream_write(ends[3], text, sizeof text);
    for (int i = 0; i < 100; i++) /* Until all buffers are full. */
        run_for(MS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_stream_start(ends[3 * i], count, &got[i]), 0);

    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_await(writes[i]), sizeof text);
    for (int i = 0; i < 2; i++)
        aloop_detach(aloop_stream_shutdown(ends[3 * i]));
    assert_int_equal(aloop_await(there), sizeof text);
    assert_int_equal(aloop_await(back), sizeof text);
    run_for(MS);
    assert_int_equal(got[0], sizeof text);
    assert_int_equal(got[1], sizeof text);
    for (int i = 0; i < 4; i++)
        aloop_stream_abort(ends[i]);
}

/* One end reads nothing until it has written everything, while the other end
 * sends as much.  The buffers of the proxy are full in one direction. */
static void a_forward_continues_while_the_opposite_one_is_full(void **state)
{
    aloop_stream *ends[4];
    aloop_future *there, *back, *up, *down;
    size_t got_up = 0, got_down = 0;

    (void) state;
    connect_ends(ends);
    there = aloop_stream_forward(ends[1], ends[2]);
    back = aloop_stream_forward(ends[2], ends[1]);
    down = aloop_stream_write(ends[3], text, sizeof text);
    for (int i = 0; i < 100; i++)
        run_for(MS);
    assert_false(aloop_future_is_settled(down));
    aloop_stream_start(ends[3], count, &got_up);
    up = aloop_stream_write(ends[0], text, sizeof text);

    assert_int_equal(aloop_await(up), sizeof text);
    aloop_stream_start(ends[0], count, &got_down);
    assert_int_equal(aloop_await(down), sizeof text);
    for (int i = 0; i < 100 && got_down < sizeof text; i++)
        run_for(MS);
    assert_int_equal(got_up, sizeof text);
    assert_int_equal(got_down, sizeof text);
    aloop_future_unref(there);
    aloop_future_unref(back);
    for (int i = 0; i < 4; i++)
        aloop_stream_abort(ends[i]);
}

/* Replies to the first call with more than the high mark. */
static void reply_or_note_errors(aloop_stream *stream, const void *data,
                                 ssize_t size, void *arg)
{
    static char bytes[2 * BUFFER];

    (void) data;
    (void) arg;
    if (size <= 0)
        note((int) size);
    else if (t.calls++ == 0)
        assert_int_equal(aloop_stream_put(stream, bytes, sizeof bytes), 1);
}

/* Reading was paused because replies were queued, and cannot be resumed. */
static void an_error_of_resuming_the_reading_is_reported(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, reply_or_note_errors, NULL), 0);
    assert_int_equal(sim_peer_send(c.peer, "question", 8), 8);
    run_for(MS);
    assert_int_equal(sim_peer_send(c.peer, "unread", 6), 6);
    run_for(MS);
    assert_int_equal(t.calls, 1);

    sim_fail("aloop__reactor_set", 1, -ENOMEM);
    for (int i = 0; i < 3; i++)
        receive_all();

    assert_noted(-ENOMEM);
    assert_int_equal(t.calls, 1);
    assert_int_equal(sim_faults_pending(), 0);
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIRE_PAUSE(reading_pauses_above_the_high_mark_and_resumes_at_the_low),
        PAUSE(replies_up_to_the_high_mark_do_not_pause),
        PAUSE(new_marks_resume_and_pause_reading_immediately),
        PAUSE(the_pause_can_be_turned_off_and_on),
        PAUSE(a_stream_whose_pause_is_off_never_pauses),
        PAUSE(puts_and_writes_outside_the_callback_do_not_pause),
        PLAIN_PAUSE(a_write_from_the_callback_does_not_pause),
        WIRE_PAUSE(an_upload_queued_after_replies_does_not_prolong_the_pause),
        PAUSE(replies_queued_after_an_upload_still_pause),
        PAUSE(a_read_future_is_never_paused),
        PAUSE(a_forward_is_not_paused_by_earlier_replies),
        PAUSE(a_peer_that_sends_and_never_reads_costs_bounded_memory),
        PAUSE(an_upload_to_an_echo_server_finishes),
        PAUSE(two_forwards_finish_when_both_ends_write_first),
        PAUSE(a_forward_continues_while_the_opposite_one_is_full),
        PLAIN_PAUSE(an_error_of_resuming_the_reading_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
