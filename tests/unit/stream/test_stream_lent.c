/* Bytes of the receive buffer that on_data puts: they are sent without a copy
 * when it returns.  Small answers, which are sent from the cork.  And the
 * writing half of a stream, which is given back. */

#include "support/stream_fixture.h"

#include "stream/stream.h"

enum { LONG = 3000 };

/* What on_data does with the bytes that it receives. */
typedef void reply_fn(aloop_stream *stream, const char *data, size_t size);

static void reply(aloop_stream *stream, const void *data, ssize_t size,
                  void *arg)
{
    reply_fn *const *fn = arg;

    if (size > 0)
        (*fn)(stream, data, (size_t) size);
}

/* Starts a stream that replies with `fn`, and sends `text` to it. */
static aloop_stream *started(reply_fn *const *fn, const char *text)
{
    aloop_stream *stream = connected();

    assert_int_equal(aloop_stream_start(stream, reply, (void *) (uintptr_t) fn),
                     0);
    send_text(text);
    return stream;
}

static void put_in_parts(aloop_stream *stream, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(aloop_stream_put(stream, data + i, 1), 0);
    assert_int_equal(aloop_stream_queued(stream), size);
}

static void received_bytes_put_in_a_row_are_sent_in_one_call(void **state)
{
    static reply_fn *const fn = put_in_parts;
    unsigned before = sim_calls("aloop__sys_send");
    unsigned gathered = sim_calls("aloop__sys_sendv");
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "one call");
    assert_received("one call");
    assert_int_equal(sim_calls("aloop__sys_send") - before, 1);
    assert_int_equal(sim_calls("aloop__sys_sendv") - gathered, 0);
    assert_int_equal(aloop_stream_queued(stream), 0);
    aloop_stream_abort(stream);
}

static void put_nothing_of_it(aloop_stream *stream, const char *data,
                              size_t size)
{
    (void) stream;
    (void) data;
    (void) size;
}

static void a_full_receive_buffer_is_followed_by_a_receive_in_the_same_turn(
    void **state)
{
    static const char full[BUFFER];
    static reply_fn *const fn = put_nothing_of_it;
    aloop_stream *stream = connected();
    unsigned before;

    (void) state;
    assert_int_equal(sim_peer_send(c.peer, full, BUFFER), BUFFER);
    sim_pass(MS);
    aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn);
    before = sim_calls("aloop__sys_recv");

    aloop_step(t.loop, 0);

    assert_int_equal(sim_calls("aloop__sys_recv") - before, 2);
    aloop_stream_abort(stream);
}

static void put_backwards(aloop_stream *stream, const char *data, size_t size)
{
    for (size_t i = size; i-- > 0;)
        assert_int_equal(aloop_stream_put(stream, data + i, 1), 0);
}

static void received_bytes_put_out_of_order_keep_the_order_of_puts(void **state)
{
    static reply_fn *const fn = put_backwards;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "drawer");
    assert_received("reward");
    aloop_stream_abort(stream);
}

static void put_between(aloop_stream *stream, const char *data, size_t size)
{
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_put(stream, "-", 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
}

static void other_bytes_follow_received_ones(void **state)
{
    static reply_fn *const fn = put_between;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "ab");
    assert_received("ab-ab");
    aloop_stream_abort(stream);
}

static aloop_future *operation;

static void put_and_write(aloop_stream *stream, const char *data, size_t size)
{
    aloop_stream_put(stream, data, size);
    operation = aloop_stream_write(stream, "written", 7);
}

static void a_write_follows_received_bytes(void **state)
{
    static reply_fn *const fn = put_and_write;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "put, ");
    assert_received("put, written");
    assert_int_equal(aloop_await(operation), 7);
    aloop_stream_abort(stream);
}

static void write_and_put(aloop_stream *stream, const char *data, size_t size)
{
    operation = aloop_stream_write(stream, "written ", 8);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
}

static void received_bytes_follow_a_write(void **state)
{
    static reply_fn *const fn = write_and_put;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "received");
    assert_received("written received");
    assert_int_equal(aloop_await(operation), 8);
    aloop_stream_abort(stream);
}

static void put_and_shut(aloop_stream *stream, const char *data, size_t size)
{
    aloop_stream_put(stream, data, size);
    operation = aloop_stream_shutdown(stream);
    assert_int_equal(aloop_stream_put(stream, data, size), ALOOP_EPIPE);
}

static void a_shutdown_follows_received_bytes(void **state)
{
    static reply_fn *const fn = put_and_shut;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "the last ones");
    assert_received("the last ones");
    assert_int_equal(aloop_await(operation), 0);
    assert_true(sim_peer_eof(c.peer));
    aloop_stream_abort(stream);
}

static void put_and_close(aloop_stream *stream, const char *data, size_t size)
{
    aloop_stream_put(stream, data, size);
    aloop_stream_close(stream);
}

static void a_close_sends_received_bytes_first(void **state)
{
    static reply_fn *const fn = put_and_close;

    (void) state;
    started(&fn, "goodbye");
    assert_received("goodbye");
    assert_true(sim_peer_eof(c.peer));
}

static void put_and_abort(aloop_stream *stream, const char *data, size_t size)
{
    aloop_stream_put(stream, data, size);
    aloop_stream_abort(stream);
}

static void an_abort_drops_received_bytes(void **state)
{
    static reply_fn *const fn = put_and_abort;
    char byte;

    (void) state;
    started(&fn, "dropped");
    assert_true(sim_peer_receive(c.peer, &byte, 1) <= 0);
    assert_reset(c.peer);
}

static void put_and_drain(aloop_stream *stream, const char *data, size_t size)
{
    aloop_stream_set_watermarks(stream, 0, 0);
    aloop_stream_put(stream, data, size);
    operation = aloop_stream_drain(stream);
    assert_false(aloop_future_is_settled(operation));
}

static void a_drain_waits_for_received_bytes(void **state)
{
    static reply_fn *const fn = put_and_drain;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "drained");
    assert_int_equal(aloop_await(operation), 0);
    assert_received("drained");
    aloop_stream_abort(stream);
}

static void put_all(aloop_stream *stream, const char *data, size_t size)
{
    t.calls++;
    aloop_stream_put(stream, data, size);
}

static void received_bytes_that_the_kernel_does_not_accept_are_kept(
    void **state)
{
    static reply_fn *const fn = put_all;
    static char text[LONG + 1];
    aloop_stream *stream = connected();

    (void) state;
    memset(text, 'x', LONG);
    fill(stream);
    receive(1000);
    c.in_size = 0;
    assert_int_equal(
        aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn), 0);
    send_text(text);
    assert_int_equal(aloop_stream_queued(stream), LONG - 1000);
    send_text("overwrites the receive buffer");

    receive_all();
    receive_all();
    assert_int_equal(c.in_size, BUFFER - 1000 + LONG + 29);
    assert_memory_equal(c.in + BUFFER - 1000, text, LONG);
    assert_int_equal(aloop_stream_queued(stream), 0);
    aloop_stream_abort(stream);
}

static void a_pause_by_lent_bytes_ends_when_they_are_sent(void **state)
{
    static reply_fn *const fn = put_all;
    static char text[LONG + 1];
    aloop_stream *stream = connected();

    (void) state;
    memset(text, 'x', LONG);
    aloop_stream_set_watermarks(stream, 100, 200);
    fill(stream);
    assert_int_equal(
        aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn), 0);
    send_text(text);
    send_text("more");
    assert_int_equal(t.calls, 1);

    receive_all();
    receive_all();
    assert_int_equal(t.calls, 2);
    aloop_stream_abort(stream);
}

static void a_failed_send_of_received_bytes_ends_writing(void **state)
{
    static reply_fn *const fn = put_all;
    aloop_stream *stream;

    (void) state;
    stream = connected();
    aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn);
    sim_fail("aloop__sys_send", 1, -EPIPE);
    send_text("lost");
    assert_int_equal(t.calls, 1);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    aloop_stream_abort(stream);
}

/* Small answers. */

static void put_an_answer(aloop_stream *stream, const char *data, size_t size)
{
    assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_put(stream, ">", 1), 0);
    assert_int_equal(aloop_stream_queued(stream), size + 2);
    assert_null(stream->sender);
}

static void small_answers_leave_in_one_call_and_need_no_writing_half(
    void **state)
{
    static reply_fn *const fn = put_an_answer;
    unsigned before = sim_calls("aloop__sys_send");
    unsigned gathered = sim_calls("aloop__sys_sendv");
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "answer");
    assert_received("<answer>");
    assert_int_equal(sim_calls("aloop__sys_send") - before, 1);
    assert_int_equal(sim_calls("aloop__sys_sendv") - gathered, 0);
    aloop_stream_abort(stream);
}

static void put_large_ones(aloop_stream *stream, const char *data, size_t size)
{
    static char large[CORK_SIZE];

    memset(large, '#', sizeof large);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_put(stream, ":", 1), 0);
    assert_int_equal(aloop_stream_put(stream, large, sizeof large), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
}

static void an_answer_with_large_parts_keeps_the_order_of_puts(void **state)
{
    static reply_fn *const fn = put_large_ones;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "bytes");
    receive_all();
    assert_int_equal(c.in_size, CORK_SIZE + 11);
    assert_memory_equal(c.in, "bytes:##", 8);
    assert_memory_equal(c.in + CORK_SIZE + 4, "##bytes", 7);
    aloop_stream_abort(stream);
}

static void a_small_answer_that_the_kernel_does_not_accept_is_kept(void **state)
{
    static reply_fn *const fn = put_an_answer;
    aloop_stream *stream = connected();

    (void) state;
    fill(stream);
    assert_int_equal(
        aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn), 0);
    send_text("answer");
    receive_all();
    receive_all();
    assert_memory_equal(c.in + c.in_size - 8, "<answer>", 8);
    assert_int_equal(aloop_stream_queued(stream), 0);
    aloop_stream_abort(stream);
}

static aloop_stream *other;

static void put_on_both(aloop_stream *stream, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
        assert_int_equal(aloop_stream_put(other, data + i, 1), 0);
        assert_int_equal(aloop_stream_put(stream, data + i, 1), 0);
    }
    assert_int_equal(aloop_stream_queued(other), size);
    assert_int_equal(aloop_stream_queued(stream), 2 * size);
}

static void an_answer_does_not_mix_with_bytes_for_another_stream(void **state)
{
    static reply_fn *const fn = put_on_both;
    aloop_stream *stream;
    char text[8];

    (void) state;
    other = connected();
    stream = started(&fn, "abc");
    assert_received("<a<b<c");
    assert_int_equal(sim_peer_receive(c.other_peer, text, sizeof text), 3);
    assert_memory_equal(text, "abc", 3);
    aloop_stream_abort(stream);
    aloop_stream_abort(other);
}

static void put_and_replace(aloop_stream *stream, const char *data, size_t size)
{
    static reply_fn *const fn = put_between;

    assert_int_equal(aloop_stream_put(stream, "[", 1), 0);
    assert_int_equal(
        aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
}

static void an_answer_continues_after_its_callback_was_replaced(void **state)
{
    static reply_fn *const fn = put_and_replace;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "one");
    send_text("two");
    assert_received("[onetwo-two");
    aloop_stream_abort(stream);
}

static void put_and_forward(aloop_stream *stream, const char *data, size_t size)
{
    assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    operation = aloop_stream_forward(other, stream);
    assert_int_equal(aloop_stream_put(stream, ">", 1), 0);
}

static void forwarded_bytes_follow_an_answer(void **state)
{
    static reply_fn *const fn = put_and_forward;
    aloop_stream *stream;

    (void) state;
    other = connected();
    stream = started(&fn, "answer");
    sim_peer_send(c.other_peer, "forwarded", 9);
    assert_received("<answer>forwarded");
    aloop_stream_abort(other);
    assert_int_equal(aloop_await(operation), ALOOP_EABORTED);
    aloop_stream_abort(stream);
}

static void put_and_detach(aloop_stream *stream, const char *data, size_t size)
{
    assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), ALOOP_EBUSY);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
}

static void a_stream_with_an_answer_is_not_detached(void **state)
{
    static reply_fn *const fn = put_and_detach;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "answer");
    assert_received("<answer");
    aloop_stream_abort(stream);
}

static void put_and_configure(aloop_stream *stream, const char *data,
                              size_t size)
{
    assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
    assert_int_equal(aloop_stream_set_auto_pause(stream, false), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_set_watermarks(stream, 1, 2), 0);
    assert_int_equal(aloop_stream_put(stream, ">", 1), 1);
    assert_int_equal(aloop_stream_set_linger(stream, ALOOP_SEC(1)), 0);
    aloop_stream_close(stream);
}

static void an_answer_survives_changes_of_its_stream(void **state)
{
    static reply_fn *const fn = put_and_configure;

    (void) state;
    started(&fn, "answer");
    assert_received("<answer>");
    assert_true(sim_peer_eof(c.peer));
}

static void put_and_fork(aloop_stream *stream, const char *data, size_t size)
{
    if (t.calls++ > 0)
        return;
    assert_int_equal(aloop_stream_put(stream, data, 1), 0);
    assert_int_equal(aloop_stream_put(stream, "parent", 6), 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_int_equal(aloop_stream_put(stream, data + 1, size - 1), 0);
    assert_int_equal(aloop_stream_put(stream, "ren", 3), 0);
}

/* The parent has the same bytes to send. */
static void an_answer_before_a_fork_is_left_to_the_parent(void **state)
{
    static reply_fn *const fn = put_and_fork;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "-child");
    assert_int_equal(t.calls, 1);
    assert_received("children");
    aloop_stream_abort(stream);
}

static void echo_and_fork(aloop_stream *stream, const char *data, size_t size)
{
    if (t.calls++ > 0)
        return;
    assert_int_equal(aloop_stream_put(stream, data, 1), 0);
    sim_fork();
    assert_int_equal(aloop_stream_put(stream, data + 1, 1), ALOOP_EPERM);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_stream_put(stream, data + 1, 1), 0);
    assert_int_equal(aloop_stream_put(stream, data + 2, size - 2), 0);
}

static void an_echo_before_a_fork_is_left_to_the_parent(void **state)
{
    static reply_fn *const fn = echo_and_fork;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "-child");
    assert_int_equal(t.calls, 1);
    assert_received("child");
    aloop_stream_abort(stream);
}

static void put_again_behind_a_write(aloop_stream *stream, const char *data,
                                     size_t size)
{
    assert_int_equal(aloop_stream_put(stream, data, 1), 0);
    operation = aloop_stream_write(stream, "written", 7);
    assert_int_equal(aloop_stream_put(stream, data, 1), 0);
    assert_int_equal(aloop_stream_put(stream, data + 1, size - 1), 0);
}

static void bytes_that_were_lent_may_be_put_again_behind_a_write(void **state)
{
    static reply_fn *const fn = put_again_behind_a_write;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "abc");
    assert_received("awrittenabc");
    assert_int_equal(aloop_await(operation), 7);
    aloop_stream_abort(stream);
}

static void note_put(aloop_stream *stream, const char *data, size_t size)
{
    note(aloop_stream_put(stream, data, size));
    sim_fail("aloop__sys_send", 1, -EPIPE);
}

static void an_echo_after_a_failed_send_is_refused(void **state)
{
    static reply_fn *const fn = note_put;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "1");
    send_text("2");
    assert_noted(0, ALOOP_EPIPE);
    aloop_stream_abort(stream);
}

static void put_nothing(aloop_stream *stream, const char *data, size_t size)
{
    (void) data;
    (void) size;
    t.calls++;
    assert_int_equal(aloop_stream_put(stream, "", 0), 0);
    assert_int_equal(aloop_stream_put(stream, NULL, 0), 0);
    assert_int_equal(aloop_stream_put(stream, "x", SIZE_MAX), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put(stream, NULL, 1), ALOOP_EINVAL);
}

/* Nothing was received before, so that nothing can be lent. */
static void puts_of_no_bytes_do_nothing_even_before_the_first_receive(
    void **state)
{
    static reply_fn *const fn = put_nothing;
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_unread(stream, "text", 4), 0);
    assert_int_equal(
        aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn), 0);
    run_for(MS);
    assert_int_equal(t.calls, 1);
    assert_int_equal(aloop_stream_queued(stream), 0);
    send_text("more");
    assert_int_equal(t.calls, 2);
    assert_received("");
    aloop_stream_abort(stream);
}

static void put_and_read(aloop_stream *stream, const char *data, size_t size)
{
    static char buffer[4096];

    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_put(stream, "!", 1), 0);
    assert_int_equal(aloop_stream_stop(stream), 0);
    operation = aloop_stream_read(stream, buffer, sizeof buffer);
}

static void an_answer_leaves_before_a_read_that_its_callback_begins(
    void **state)
{
    static reply_fn *const fn = put_and_read;
    aloop_stream *stream;

    (void) state;
    stream = started(&fn, "answer");
    assert_received("answer!");
    send_text("next");
    assert_int_equal(aloop_await(operation), 4);
    aloop_stream_abort(stream);
}

static void put_and_abort_small(aloop_stream *stream, const char *data,
                                size_t size)
{
    assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
    put_and_abort(stream, data, size);
}

static void an_abort_drops_an_answer(void **state)
{
    static reply_fn *const fn = put_and_abort_small;
    char byte;

    (void) state;
    started(&fn, "dropped");
    assert_true(sim_peer_receive(c.peer, &byte, 1) <= 0);
    assert_reset(c.peer);
}

static void put_parts_around_the_cork(aloop_stream *stream, const char *data,
                                      size_t size)
{
    static char part[CORK_SIZE];

    memset(part, '#', sizeof part);
    assert_int_equal(size, LONG);
    assert_int_equal(aloop_stream_put(stream, part, 100), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_put(stream, part, 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, size), 0);
    assert_int_equal(aloop_stream_queued(stream), 3 * LONG + 101);
}

/* The second put of the received bytes does not fit into the cork any more. */
static void answers_at_the_limit_of_the_cork_keep_the_order_of_puts(
    void **state)
{
    static reply_fn *const fn = put_parts_around_the_cork;
    static char text[LONG + 1];
    aloop_stream *stream;

    (void) state;
    for (size_t i = 0; i < LONG; i++)
        text[i] = (char) ('a' + i % 23);
    stream = started(&fn, text);
    receive_all();
    assert_int_equal(c.in_size, 3 * LONG + 101);
    assert_memory_equal(c.in + 100, text, LONG);
    assert_memory_equal(c.in + 100 + LONG, text, LONG);
    assert_memory_equal(c.in + 100 + 2 * LONG, "#a", 2);
    assert_memory_equal(c.in + 101 + 2 * LONG, text, LONG);
    aloop_stream_abort(stream);
}

static void a_stream_that_has_sent_everything_keeps_no_writing_half(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_null(stream->sender);
    aloop_stream_put(stream, "x", 1);
    assert_non_null(stream->sender);
    run_for(MS);
    assert_null(stream->sender);
    aloop_stream_abort(stream);
}

static void put_more_than_the_mark(aloop_stream *stream, const char *data,
                                   size_t size)
{
    t.calls++;
    assert_int_equal(aloop_stream_put(stream, data, size), 1);
}

static void a_put_of_received_bytes_reports_the_high_water_mark(void **state)
{
    static reply_fn *const fn = put_more_than_the_mark;
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_set_watermarks(stream, 2, 4), 0);
    assert_int_equal(
        aloop_stream_start(stream, reply, (void *) (uintptr_t) &fn), 0);
    send_text("12345");
    assert_int_equal(t.calls, 1);
    aloop_stream_abort(stream);
}

static void changed_watermarks_outlive_the_queued_bytes(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_set_watermarks(stream, 1, 2), 0);
    assert_int_equal(aloop_stream_put(stream, "abc", 3), 1);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_int_equal(aloop_stream_put(stream, "abc", 3), 1);
    aloop_stream_abort(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIRE_TEST(received_bytes_put_in_a_row_are_sent_in_one_call),
        TEST(a_full_receive_buffer_is_followed_by_a_receive_in_the_same_turn),
        TEST(received_bytes_put_out_of_order_keep_the_order_of_puts),
        TEST(other_bytes_follow_received_ones),
        TEST(a_write_follows_received_bytes),
        TEST(received_bytes_follow_a_write),
        TEST(a_shutdown_follows_received_bytes),
        TEST(a_close_sends_received_bytes_first),
        TEST(an_abort_drops_received_bytes),
        TEST(a_drain_waits_for_received_bytes),
        WIRE_TEST(received_bytes_that_the_kernel_does_not_accept_are_kept),
        TEST(a_pause_by_lent_bytes_ends_when_they_are_sent),
        TEST(a_failed_send_of_received_bytes_ends_writing),
        PLAIN_TEST(small_answers_leave_in_one_call_and_need_no_writing_half),
        TEST(an_answer_with_large_parts_keeps_the_order_of_puts),
        PLAIN_TEST(a_small_answer_that_the_kernel_does_not_accept_is_kept),
        TEST(an_answer_does_not_mix_with_bytes_for_another_stream),
        TEST(an_answer_continues_after_its_callback_was_replaced),
        TEST(forwarded_bytes_follow_an_answer),
        TEST(a_stream_with_an_answer_is_not_detached),
        TEST(an_answer_survives_changes_of_its_stream),
        TEST(an_answer_before_a_fork_is_left_to_the_parent),
        TEST(an_echo_before_a_fork_is_left_to_the_parent),
        TEST(bytes_that_were_lent_may_be_put_again_behind_a_write),
        WIRE_TEST(an_echo_after_a_failed_send_is_refused),
        TEST(puts_of_no_bytes_do_nothing_even_before_the_first_receive),
        TEST(an_answer_leaves_before_a_read_that_its_callback_begins),
        TEST(an_abort_drops_an_answer),
        TEST(answers_at_the_limit_of_the_cork_keep_the_order_of_puts),
        PLAIN_TEST(a_stream_that_has_sent_everything_keeps_no_writing_half),
        TEST(a_put_of_received_bytes_reports_the_high_water_mark),
        TEST(changed_watermarks_outlive_the_queued_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
