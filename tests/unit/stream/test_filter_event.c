/* Messages for a stream whose filter is at rest, and what is not usual about
 * one of them: the driver of the filters then has to continue in the middle.
 *
 * Each test begins with a message that was served, so that the stream is at
 * rest. */

#include "support/script_fixture.h"

/* What on_data does after its answer to the next message. */
static void (*then)(aloop_stream *stream);

static void answer(aloop_stream *stream, const void *data, ssize_t size,
                   void *arg)
{
    void (*now)(aloop_stream * stream) = then;

    (void) arg;
    then = NULL;
    if (size <= 0) {
        note((int) size);
        return;
    }
    t.calls++;
    aloop_stream_put(stream, data, (size_t) size);
    if (now != NULL)
        now(stream);
}

static bool script_is_idle(void *context)
{
    (void) context;
    return s.in_size == 0 && s.out_size == 0 && !s.has_input_ended &&
           !s.has_output_ended && s.read == 0 && s.pull == 0;
}

static aloop_filter idle_script(void)
{
    aloop_filter filter = plain_script;

    filter.is_idle = script_is_idle;
    return filter;
}

static void begin(void)
{
    s = (struct script){0};
    then = NULL;
    t.noted = 0;
}

/* Has the stream serve a message, and forgets what it has done. */
static aloop_stream *rested(aloop_stream *stream)
{
    aloop_stream_start(stream, answer, NULL);
    send_text("first");
    assert_received("first");
    s.calls_count = 0;
    c.in_size = 0;
    t.calls = 0;
    return stream;
}

static aloop_stream *resting_with(const aloop_filter *filter, void *context)
{
    aloop_stream *stream = connected();

    begin();
    assert_int_equal(aloop_await(aloop_stream_filter(stream, filter, context)),
                     0);
    return rested(stream);
}

static aloop_stream *resting(void)
{
    aloop_filter filter = idle_script();

    return resting_with(&filter, &s);
}

static void assert_calls(const char *calls)
{
    s.calls[s.calls_count] = '\0';
    assert_string_equal(s.calls, calls);
}

static void a_message_needs_four_calls(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    send_text("abc");
    send_text("def");
    assert_received("abcdef");
    assert_calls("FRWPFRWP");
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

/* What the filter refuses. */

static void a_refused_message_is_fed_later(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    s.feed = ALOOP_EAGAIN;
    send_text("abc");
    assert_int_equal(t.calls, 0);
    s.feed = 0;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    send_text("def");
    assert_received("abcdef");
    aloop_stream_close(stream);
}

static void a_refused_answer_is_written_later(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    s.write = ALOOP_EAGAIN;
    send_text("abc");
    send_text("def");
    assert_int_equal(aloop_stream_queued(stream), 6);
    s.write = 0;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_received("abcdef");
    aloop_stream_close(stream);
}

/* Takes two bytes, and more only after a pull. */
static ssize_t write_two(void *context, const void *data, size_t size)
{
    if (size > 0 && s.out_size > 0)
        return ALOOP_EAGAIN;
    return script_write(context, data, size < 2 ? size : 2);
}

static void a_partly_refused_answer_leaves_in_order(void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    filter.write = write_two;
    stream = resting_with(&filter, &s);
    send_text("abcdefg");
    send_text("hij");
    assert_received("abcdefghij");
    aloop_stream_close(stream);
}

/* The first of its bytes wait in the wire when the last one is taken. */
static void a_partly_refused_answer_that_is_not_accepted_leaves_in_order(
    void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    filter.write = write_two;
    stream = resting_with(&filter, &s);
    sim_fail("aloop__sys_send", 1, ALOOP_EAGAIN);
    send_text("abcdefg");
    assert_received("abcdefg");
    aloop_stream_close(stream);
}

static size_t feed_room; /* So many bytes are taken. */

static ssize_t feed_into_room(void *context, const void *data, size_t size)
{
    if (size > feed_room)
        size = feed_room;
    if (size == 0 && data != NULL)
        return ALOOP_EAGAIN;
    feed_room -= size;
    return script_feed(context, data, size);
}

static void a_message_does_not_pass_the_refused_rest_of_another(void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    filter.feed = feed_into_room;
    feed_room = 8;
    stream = resting_with(&filter, &s);
    send_text("abcdef"); /* Three are left. */
    feed_room = 100;
    send_text("ghi");
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_received("abcdefghi");
    aloop_stream_close(stream);
}

static void messages_of_all_sizes_come_back(void **state)
{
    static char sent[2 * BUFFER];
    static const size_t sizes[] = {1, 4095, 8192, 8193, 40000, BUFFER};
    aloop_stream *stream =
        resting_with(&passing_filter, new_passing(PASSING_ROOM, PASSING_ROOM));

    (void) state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        c.in_size = 0;
        send_bytes(sent + i, sizes[i]);
        receive_all();
        assert_int_equal(c.in_size, sizes[i]);
        assert_memory_equal(c.in, sent + i, sizes[i]);
    }
    aloop_stream_close(stream);
}

/* What the peer does not accept. */

static void an_answer_to_a_full_connection_is_sent_later(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    for (int i = 0; i < 8; i++)
        assert_true(aloop_stream_put(stream, c.in, BUFFER / 8) >= 0);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 0);
    send_text("abc");
    send_text("def");
    assert_int_equal(aloop_stream_queued(stream), 6);
    receive_all();
    receive_all();
    assert_int_equal(c.in_size, BUFFER + 6);
    assert_memory_equal(c.in + BUFFER, "abcdef", 6);
    aloop_stream_close(stream);
}

static void too_many_unsent_answers_pause_on_data(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    assert_int_equal(aloop_stream_set_watermarks(stream, 1, 2), 0);
    for (int i = 0; i < 8; i++)
        assert_true(aloop_stream_put(stream, c.in, BUFFER / 8) >= 0);
    run_for(MS);
    send_text("abc");
    send_text("def");
    assert_int_equal(t.calls, 1);
    receive_all();
    receive_all();
    assert_int_equal(t.calls, 2);
    assert_memory_equal(c.in + BUFFER, "abcdef", 6);
    aloop_stream_close(stream);
}

/* The answers fill the connection.  They were sent, and do not count. */
static void other_unsent_bytes_do_not_pause_on_data(void **state)
{
    static const char other[100];
    aloop_stream *stream = resting();

    (void) state;
    assert_int_equal(aloop_stream_set_watermarks(stream, 1, 10), 0);
    for (int i = 0; i < 8; i++)
        send_bytes(c.in, BUFFER / 8);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_true(aloop_stream_put(stream, other, sizeof other) >= 0);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), sizeof other);
    t.calls = 0;
    send_text("abc");
    assert_int_equal(t.calls, 1);
    aloop_stream_close(stream);
}

static void a_send_that_fails_ends_writing(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    sim_fail("aloop__sys_send", 1, ALOOP_ENOBUFS);
    send_text("abc");
    assert_int_equal(aloop_stream_put(stream, "d", 1), ALOOP_ENOBUFS);
    run_for(MS);
    assert_noted(ALOOP_ENOBUFS); /* The answer was lost. */
    aloop_stream_close(stream);
}

static void a_receive_that_fails_is_reported(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    sim_fail("aloop__sys_recv", 1, ALOOP_ECONNRESET);
    send_text("abc");
    assert_noted(ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

static void an_event_without_a_message_changes_nothing(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    sim_fail("aloop__sys_recv", 1, ALOOP_EAGAIN);
    send_text("abc");
    assert_received("abc");
    aloop_stream_close(stream);
}

/* Errors of the filter. */

static void an_error_of_each_function_breaks_the_stream(void **state)
{
    ssize_t *results[] = {&s.feed, &s.read, &s.write, &s.pull};

    (void) state;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        aloop_stream *stream = resting();

        *results[i] = ALOOP_EPROTO;
        send_text("abc");
        if (results[i] == &s.feed)
            assert_int_equal(calls_of('R'), 0);
        assert_noted(ALOOP_EPROTO);
        assert_int_equal(aloop_stream_put(stream, "d", 1), ALOOP_EPROTO);
        aloop_stream_close(stream);
        assert_int_equal(calls_of('C'), 1);
    }
}

static ssize_t pull_the_end(void *context, void *data, size_t size)
{
    ssize_t n = script_pull(context, data, size);

    return n == ALOOP_EAGAIN && s.has_shaken ? 0 : n;
}

static bool has_no_end(void *context)
{
    return script_is_idle(context) && !s.has_shaken;
}

static void an_end_of_pull_is_sent_behind_the_answer(void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    filter.pull = pull_the_end;
    filter.is_idle = has_no_end;
    stream = resting_with(&filter, &s);
    s.has_shaken = true;
    send_text("abc");
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
    aloop_stream_close(stream);
}

/* The filter gives its end in the only pull, and is idle then. */
static ssize_t pull_only_the_end(void *context, void *data, size_t size)
{
    ssize_t n = script_pull(context, data, size);

    return n > 0 && s.has_shaken ? 0 : n;
}

static void an_end_behind_which_the_filter_is_idle_is_sent(void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    filter.pull = pull_only_the_end;
    stream = resting_with(&filter, &s);
    s.has_shaken = true;
    send_text("abc");
    assert_true(sim_peer_eof(c.peer));
    aloop_stream_close(stream);
}

static aloop_future *written;

static ssize_t cancel_and_take(void *context, const void *data, size_t size)
{
    if (written != NULL && size > 0) {
        aloop_future *write = written;
        ssize_t n = script_write(context, data, size);

        written = NULL;
        aloop_cancel(write);
        aloop_future_unref(write);
        return n;
    }
    return script_write(context, data, size);
}

static void write_more(aloop_stream *stream)
{
    written = aloop_stream_write(stream, "more", 4);
}

static void nothing_is_sent_behind_a_write_that_its_filter_cancels(void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    written = NULL;
    filter.write = cancel_and_take;
    stream = resting_with(&filter, &s);
    then = write_more;
    send_text("abc");
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    assert_received("");
    aloop_stream_close(stream);
}

/* What on_data does. */

static void a_close_in_on_data_sends_the_answer(void **state)
{
    resting();
    (void) state;
    then = aloop_stream_close;
    send_text("abc");
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(calls_of('w'), 1);
    assert_int_equal(s.calls[s.calls_count - 1], 'C');
}

static void an_abort_in_on_data_closes_the_filter(void **state)
{
    resting();
    (void) state;
    then = aloop_stream_abort;
    send_text("abc");
    assert_int_equal(s.calls[s.calls_count - 1], 'C');
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

static void shut_down(aloop_stream *stream)
{
    aloop_detach(aloop_stream_shutdown(stream));
}

static void a_shutdown_in_on_data_follows_the_answer(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    then = shut_down;
    send_text("abc");
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(calls_of('w'), 1);
    aloop_stream_close(stream);
}

static void shut_down_and_drop(aloop_stream *stream)
{
    aloop_future_unref(aloop_stream_shutdown(stream));
}

static void a_dropped_shutdown_in_on_data_follows_the_answer(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    then = shut_down_and_drop;
    send_text("abc");
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
    aloop_stream_close(stream);
}

static aloop_future *drained;

static void drain(aloop_stream *stream)
{
    drained = aloop_stream_drain(stream);
}

static void a_drain_of_on_data_settles_when_its_answer_is_sent(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    assert_int_equal(aloop_stream_set_watermarks(stream, 0, 10), 0);
    send_text("abc");
    then = drain;
    send_text("def");
    assert_true(aloop_future_is_settled(drained));
    assert_int_equal(aloop_await(drained), 0);
    assert_received("abcdef");
    aloop_stream_close(stream);
}

static void bytes_below_the_mark_are_drained_behind_a_message(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    send_text("abc");
    assert_int_equal(aloop_stream_put(stream, "def", 3), 0);
    drain(stream);
    assert_true(aloop_future_is_settled(drained));
    assert_int_equal(aloop_await(drained), 0);
    assert_received("abcdef");
    aloop_stream_close(stream);
}

/* Each message has the filter give the peer a byte of its own. */
static ssize_t read_and_reply(void *context, void *data, size_t size)
{
    ssize_t n = script_read(context, data, size);

    if (n > 0 && s.has_shaken)
        s.out[s.out_size++] = '!';
    return n;
}

static void become_a_child(aloop_stream *stream)
{
    (void) stream;
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
}

static void answer_nothing(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    (void) data;
    (void) arg;
    t.calls += size > 0;
    if (then != NULL)
        then(stream);
    then = NULL;
}

static void a_child_does_not_send_what_its_parent_has_to_send(void **state)
{
    aloop_filter filter = idle_script();
    aloop_stream *stream;

    (void) state;
    filter.read = read_and_reply;
    stream = resting_with(&filter, &s);
    aloop_stream_stop(stream);
    aloop_stream_start(stream, answer_nothing, NULL);
    send_text("first");
    s.has_shaken = true;
    then = become_a_child;
    send_text("abc");
    assert_int_equal(t.calls, 2);
    assert_received("");
    aloop_stream_stop(stream);
    aloop_stream_start(stream, answer_nothing, NULL);
    send_text("def");
    assert_int_equal(t.calls, 3);
    assert_received("!");
    aloop_stream_close(stream);
}

static void stop(aloop_stream *stream)
{
    aloop_stream_stop(stream);
}

static void a_stopped_stream_receives_nothing(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    then = stop;
    send_text("abc");
    assert_received("abc");
    send_text("def");
    assert_quiet_for_a_second();
    assert_int_equal(calls_of('F'), 1);
    aloop_stream_start(stream, answer, NULL);
    assert_received("abcdef");
    aloop_stream_close(stream);
}

static void add_filter(aloop_stream *stream)
{
    aloop_detach(aloop_stream_filter(stream, &passing_filter,
                                     new_passing(PASSING_ROOM, PASSING_ROOM)));
}

static void a_filter_that_on_data_puts_on_is_above(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    then = add_filter;
    send_text("abc");
    send_text("def");
    assert_received("abcdef");
    assert_int_equal(t.calls, 2);
    aloop_stream_close(stream);
}

static void put_more(aloop_stream *stream)
{
    static char more[6000]; /* Too many for the cork. */

    memset(more, 'x', sizeof more);
    aloop_stream_put(stream, more, sizeof more);
}

static void other_bytes_of_on_data_follow_its_answer(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    then = put_more;
    send_text("abc");
    send_text("def");
    receive_all();
    assert_int_equal(c.in_size, 6006);
    assert_memory_equal(c.in, "abcx", 4);
    assert_memory_equal(c.in + 6002, "xdef", 4);
    aloop_stream_close(stream);
}

static void a_write_of_on_data_settles_when_it_is_sent(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    then = write_more;
    send_text("abc");
    assert_true(aloop_future_is_settled(written));
    assert_int_equal(aloop_await(written), 4);
    send_text("def");
    assert_received("abcmoredef");
    aloop_stream_close(stream);
}

/* What others do. */

static void bytes_that_were_put_before_the_message_leave_before_it(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    assert_int_equal(sim_peer_send(c.peer, "abc", 3), 3);
    assert_int_equal(aloop_stream_put(stream, "x", 1), 0);
    assert_received("xabc");
    aloop_stream_close(stream);
}

static void a_wake_in_a_message_runs_the_filter_again(void **state)
{
    aloop_stream *stream = resting();

    (void) state;
    s.wakes = stream;
    send_text("abc");
    assert_received("abc");
    assert_calls("FRWPPRP");
    aloop_stream_close(stream);
}

static void read_operations_are_served_at_rest(void **state)
{
    aloop_stream *stream = resting();
    char text[8];

    (void) state;
    aloop_stream_stop(stream);
    for (int i = 0; i < 3; i++) {
        aloop_future *read = aloop_stream_read(stream, text, 2);

        run_for(MS);
        send_text("abc");
        assert_int_equal(aloop_await(read), 2);
        assert_memory_equal(text, "ab", 2);
        assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 1);
        assert_int_equal(text[0], 'c');
    }
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_needs_four_calls),
        TEST(a_refused_message_is_fed_later),
        TEST(a_refused_answer_is_written_later),
        TEST(a_partly_refused_answer_leaves_in_order),
        TEST(messages_of_all_sizes_come_back),
        TEST(an_answer_to_a_full_connection_is_sent_later),
        TEST(too_many_unsent_answers_pause_on_data),
        TEST(a_send_that_fails_ends_writing),
        TEST(a_receive_that_fails_is_reported),
        TEST(an_event_without_a_message_changes_nothing),
        TEST(an_error_of_each_function_breaks_the_stream),
        TEST(an_end_of_pull_is_sent_behind_the_answer),
        TEST(a_close_in_on_data_sends_the_answer),
        TEST(an_abort_in_on_data_closes_the_filter),
        TEST(a_shutdown_in_on_data_follows_the_answer),
        TEST(a_stopped_stream_receives_nothing),
        TEST(a_filter_that_on_data_puts_on_is_above),
        TEST(other_bytes_of_on_data_follow_its_answer),
        TEST(a_write_of_on_data_settles_when_it_is_sent),
        TEST(bytes_that_were_put_before_the_message_leave_before_it),
        TEST(a_wake_in_a_message_runs_the_filter_again),
        TEST(read_operations_are_served_at_rest),
        TEST(a_partly_refused_answer_that_is_not_accepted_leaves_in_order),
        TEST(a_message_does_not_pass_the_refused_rest_of_another),
        TEST(other_unsent_bytes_do_not_pause_on_data),
        TEST(nothing_is_sent_behind_a_write_that_its_filter_cancels),
        TEST(an_end_behind_which_the_filter_is_idle_is_sent),
        TEST(a_dropped_shutdown_in_on_data_follows_the_answer),
        TEST(a_drain_of_on_data_settles_when_its_answer_is_sent),
        TEST(bytes_below_the_mark_are_drained_behind_a_message),
        TEST(a_child_does_not_send_what_its_parent_has_to_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
