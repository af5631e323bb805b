/* Tests of reading with a callback: aloop_stream_start() and _stop(). */

#include "support/stream_fixture.h"
#include "loop/buffers.h"
#include "os/sys.h"
#include "stream/stream.h"

#include <string.h>

static void assert_got(const char *text)
{
    assert_int_equal(c.got_size, strlen(text));
    assert_memory_equal(c.got, text, c.got_size);
}

static void data_is_delivered_in_order_and_then_the_end(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    send_text("one ");
    send_text("two");
    assert_got("one two");
    assert_int_equal(t.calls, 2);

    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_run(t.loop), 0); /* Not alive any more. */

    assert_noted(0);
    aloop_stream_close(stream);
}

static void note_offset(aloop_stream *stream, const void *data, ssize_t size,
                        void *arg)
{
    (void) stream;
    (void) size;
    *(uintptr_t *) arg = (uintptr_t) data % 64;
}

static void received_bytes_begin_at_a_multiple_of_64(void **state)
{
    aloop_stream *stream = connected();
    uintptr_t offset = 1;

    (void) state;
    aloop_stream_start(stream, note_offset, &offset);
    send_text("one");
    assert_int_equal(offset, 0);
    aloop_stream_close(stream);
}

static void the_end_is_reported_once_for_each_start(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, collect, NULL);
    sim_peer_shutdown(c.peer);
    run_for(5 * MS);
    assert_noted(0);

    aloop_stream_start(stream, collect, NULL);
    run_for(5 * MS);

    assert_noted(0, 0);
    aloop_stream_close(stream);
}

static void a_reset_is_reported_once_after_the_data_before_it(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    sim_peer_send(c.peer, "last", 4);
    run_for(MS);
    sim_peer_reset(c.peer);
    run_for(MS);

    aloop_stream_start(stream, collect, NULL);
    run_for(5 * MS);

    assert_got("last");
    assert_noted(ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

static void a_stopped_stream_calls_nothing_back_and_loses_nothing(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, collect, NULL);
    assert_int_equal(aloop_stream_stop(stream), 0);
    assert_int_equal(aloop_stream_stop(stream), 0);
    send_text("kept");
    assert_int_equal(t.calls, 0);

    aloop_stream_start(stream, collect, NULL);
    run_for(MS);

    assert_got("kept");
    aloop_stream_close(stream);
}

static void stop_and_start(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    collect(stream, data, size, arg);
    aloop_stream_stop(stream);
    aloop_stream_start(stream, stop_and_start, arg);
}

static void stopping_and_starting_inside_the_callback_loses_nothing(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    sim_options()->short_recv_percent = 100;
    aloop_stream_start(stream, stop_and_start, NULL);
    for (int i = 0; i < 20; i++)
        send_text("0123456789");

    assert_int_equal(c.got_size, 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(c.got[i], '0' + (int) (i % 10));
    aloop_stream_close(stream);
}

static void count_only(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    (void) stream;
    (void) data;
    *(ssize_t *) arg += size;
}

static void a_second_start_replaces_callback_and_argument(void **state)
{
    aloop_stream *stream = connected();
    ssize_t count = 0;

    (void) state;
    aloop_stream_start(stream, collect, NULL);
    assert_int_equal(aloop_stream_start(stream, count_only, &count), 0);
    send_text("four");

    assert_int_equal(count, 4);
    assert_int_equal(t.calls, 0);
    aloop_stream_close(stream);
}

static void a_start_delivers_the_rest_of_a_read_and_then_the_end(void **state)
{
    aloop_stream *stream = connected();
    char one;

    (void) state;
    send_text("abc");
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &one, 1)), 1);

    aloop_stream_start(stream, collect, NULL);
    run_for(MS);

    assert_got("bc");
    assert_noted(0);
    aloop_stream_close(stream);
}

/* If a receive filled its buffer, another one follows in the same turn.  Bytes
 * that a read gave back between the two must come before the second. */
static void give_back(aloop_stream *stream, const void *data, ssize_t size,
                      void *arg)
{
    static char whole[65536];
    aloop_future *read;

    (void) arg;
    (void) data;
    assert_int_equal(size, 65536);
    assert_true(sim_peer_send(c.peer, "bc", 2) == 2);
    sim_pass(MS);
    aloop_stream_stop(stream);
    read = aloop_stream_read_until(stream, whole, sizeof whole, "\n", 1);
    aloop_future_unref(read); /* The read took "bc" and gives it back. */
    assert_int_equal(sim_peer_send(c.peer, "d", 1), 1);
    sim_pass(MS);
    aloop_stream_start(stream, collect, NULL);
}

static void bytes_that_a_read_gave_back_come_before_newer_ones(void **state)
{
    static char full[65536];
    aloop_stream *stream = connected();

    (void) state;
    memset(full, 'a', sizeof full);
    assert_int_equal(sim_peer_send(c.peer, full, sizeof full),
                     (ssize_t) sizeof full);
    run_for(MS);
    aloop_stream_start(stream, give_back, NULL);
    run_for(MS);

    assert_got("bcd");
    aloop_stream_close(stream);
}

static void a_stream_that_was_stopped_is_not_notified_of_the_end(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_start(stream, ignore, NULL);
    send_text("x");
    aloop_stream_stop(stream);
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_run(t.loop), 0); /* The loop is not alive. */

    assert_int_equal(t.calls, 1);
    aloop_stream_close(stream);
}

static char bytes[200000]; /* A pattern with a long period. */
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
#ifdef FILTER_STEP
#define PLAIN_STREAM(name) PLAIN_TEST(name)
#else
#define PLAIN_STREAM(name) STREAM(name)
#endif
#ifdef FILTER_TLS
#define WIRE_STREAM(name) \
    { \
        ((void) (name), #name), does_not_concern_filters, set_up_bytes, \
            tear_down, NULL \
    }
#else
#define WIRE_STREAM(name) STREAM(name)
#endif

/* Sends `count` full buffers one after the other, and returns how many receives
 * they have taken. */
static unsigned receives_of_full_buffers(int peer, int count)
{
    unsigned before = sim_calls("aloop__sys_recv");

    for (int i = 0; i < count; i++) {
        assert_int_equal(sim_peer_send(peer, bytes, RECEIVE_SIZE),
                         RECEIVE_SIZE);
        run_for(MS);
    }
    return sim_calls("aloop__sys_recv") - before;
}

static void most_full_buffers_that_were_all_are_received_by_one_call(
    void **state)
{
    aloop_stream *stream;
    ssize_t count = 0;
    int peer;

    (void) state;
    sim_buffer_size(1 << 20);
    stream = connected_to(&peer);
    aloop_stream_start(stream, count_only, &count);
    assert_int_equal(receives_of_full_buffers(peer, 1), 2);
    assert_int_equal(receives_of_full_buffers(peer, 3), 3);
    assert_int_equal(receives_of_full_buffers(peer, 1), 2);
    assert_int_equal(count, 5 * RECEIVE_SIZE);
    aloop_stream_close(stream);
    sim_peer_close(peer);
}

static void full_buffers_are_received_until_there_is_no_more(void **state)
{
    aloop_stream *stream;
    ssize_t count = 0;
    int peer;

    (void) state;
    sim_buffer_size(1 << 20);
    stream = connected_to(&peer);
    aloop_stream_start(stream, count_only, &count);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(sim_peer_send(peer, bytes, sizeof bytes),
                         sizeof bytes);
        sim_pass(MS);
        aloop_step(t.loop, 0);
        assert_int_equal(count, (ssize_t) sizeof bytes * i);
    }
    aloop_stream_close(stream);
    sim_peer_close(peer);
}

static char line[100000];

static void keep(const void *data, size_t size)
{
    assert_true(size <= sizeof got - got_size);
    memcpy(got + got_size, data, size);
    got_size += size;
}

/* The first call starts to read a line, notes the status of that read, cancels
 * the read, and starts the stream again. */
static void read_line_in_first_call(aloop_stream *stream, const void *data,
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
    aloop_stream_start(stream, read_line_in_first_call, arg);
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
    aloop_stream_start(stream, read_line_in_first_call, NULL);
    run_for(MS);

    assert_true(t.noted >= 3);
    assert_int_equal(t.order[0], RECEIVE_SIZE);
    assert_int_equal(t.order[1], ALOOP_PENDING);
    assert_int_equal(got_size, sizeof bytes);
    assert_memory_equal(got, bytes, sizeof bytes);
    aloop_stream_close(stream);
    sim_peer_close(peer);
}

/* The line fills its buffer exactly, so that the read continues until the
 * end. */
static void the_end_is_reported_after_bytes_given_back_in_the_callback(
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
    aloop_stream_start(stream, read_line_in_first_call, NULL);
    run_for(MS);

    assert_noted(RECEIVE_SIZE, ALOOP_EOF, (int) rest, 0);
    assert_int_equal(got_size, RECEIVE_SIZE + rest);
    assert_memory_equal(got, bytes, got_size);
    aloop_stream_close(stream);
    sim_peer_close(peer);
}

/* The first call closes the stream's descriptor outside the loop's control, and
 * makes a connection that gets the same descriptor. */
static void lose_descriptor_in_first_call(aloop_stream *stream,
                                          const void *data, ssize_t size,
                                          void *arg)
{
    read_line_in_first_call(stream, data, size, NULL);
    aloop__sys_close(aloop_stream_fd(stream));
    aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "81", arg));
}

static void an_error_is_reported_after_bytes_given_back_in_the_callback(
    void **state)
{
    aloop_stream *stream, *successor = NULL;
    int listener = sim_listen("127.0.0.1", 81, 8);
    int fd, peer;

    (void) state;
    sim_buffer_size(1 << 20);
    stream = connected_to(&peer);
    fd = aloop_stream_fd(stream);
    sim_peer_send(peer, bytes, sizeof bytes);
    sim_pass(MS);
    aloop_stream_start(stream, lose_descriptor_in_first_call, &successor);
    run_for(MS);

    assert_int_equal(t.noted, 4);
    assert_int_equal(t.order[1], ALOOP_PENDING);
    assert_int_equal(t.order[3], ALOOP_EBADF);
    assert_int_equal(got_size, RECEIVE_SIZE + t.order[2]);
    assert_memory_equal(got, bytes, got_size);
    assert_int_equal(aloop_stream_fd(successor), fd);
    assert_int_equal(aloop_stream_fd(stream), ALOOP_EBADF);
    aloop_stream_close(stream);
    aloop_stream_close(successor);
    sim_peer_close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_is_delivered_in_order_and_then_the_end),
        TEST(received_bytes_begin_at_a_multiple_of_64),
        TEST(the_end_is_reported_once_for_each_start),
        TEST(a_reset_is_reported_once_after_the_data_before_it),
        TEST(a_stopped_stream_calls_nothing_back_and_loses_nothing),
        TEST(stopping_and_starting_inside_the_callback_loses_nothing),
        TEST(a_second_start_replaces_callback_and_argument),
        TEST(a_start_delivers_the_rest_of_a_read_and_then_the_end),
        WIRE_TEST(bytes_that_a_read_gave_back_come_before_newer_ones),
        TEST(a_stream_that_was_stopped_is_not_notified_of_the_end),
        PLAIN_STREAM(most_full_buffers_that_were_all_are_received_by_one_call),
        PLAIN_STREAM(full_buffers_are_received_until_there_is_no_more),
        WIRE_STREAM(bytes_given_back_in_the_callback_come_before_newer_ones),
        PLAIN_STREAM(
            the_end_is_reported_after_bytes_given_back_in_the_callback),
        PLAIN_STREAM(
            an_error_is_reported_after_bytes_given_back_in_the_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
