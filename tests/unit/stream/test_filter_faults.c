/* Filters that break their contract, and limits of what filters do. */

#include "support/debug_fixture.h"
#include "support/script_fixture.h"

/* Filters that break their contract. */

static void results_that_are_not_allowed_break_the_stream(void **state)
{
    static const ssize_t wrong[] = {1 << 20, ALOOP_EBADF, ALOOP_PENDING,
                                    -100000};
    char text[8];

    (void) state;
    for (size_t i = 0; i < 4; i++)
        for (int function = 0; function < 4; function++) {
            aloop_stream *stream = scripted();
            ssize_t *results[] = {&s.feed, &s.read, &s.write, &s.pull};

            *results[function] = wrong[i];
            aloop_stream_put(stream, "abc", 3);
            sim_peer_send(c.peer, "def", 3);
            assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                             ALOOP_EINVAL);
            assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EINVAL);
            assert_quiet_for_a_second();
            aloop_stream_close(stream);
            assert_int_equal(calls_of('C'), 1);
        }
}

static void a_read_has_what_the_filter_had_refused_before_it(void **state)
{
    static char text[3 * sizeof s.in], answer[sizeof text];
    aloop_stream *stream = scripted();

    (void) state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char) i;
    assert_int_equal(sim_peer_send(c.peer, text, sizeof text), sizeof text);
    assert_int_equal(
        aloop_await(aloop_stream_read(stream, answer, sizeof answer)),
        sizeof text);
    assert_memory_equal(answer, text, sizeof text);
    aloop_stream_close(stream);
}

static ssize_t pull_once_then_fail(void *context, void *data, size_t size)
{
    (void) context;
    (void) size;
    note_letter('P');
    if (calls_of('P') > 1)
        return ALOOP_EPROTO;
    memcpy(data, "half", 4);
    return 4;
}

static void an_error_of_pull_is_no_end(void **state)
{
    aloop_filter filter = plain_script;

    (void) state;
    filter.pull = pull_once_then_fail;
    for (int below = 0; below < 2; below++) {
        aloop_stream *stream = connected();
        aloop_future *shutdown;

        s = (struct script){0};
        if (below > 0)
            assert_int_equal(aloop_await(aloop_stream_filter(
                                 stream, &passing_filter, new_passing(8, 8))),
                             0);
        assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                         0);
        aloop_stream_put(stream, "abc", 3);
        shutdown = aloop_stream_shutdown(stream);
        assert_int_equal(aloop_await(shutdown), ALOOP_EPROTO);
        assert_received("half");
        assert_false(sim_peer_eof(c.peer));
        aloop_stream_close(stream);
        run_for(MS);
        assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
    }
}

static void a_shutdown_fails_if_the_filter_refuses_the_end(void **state)
{
    aloop_stream *stream = scripted();
    aloop_future *shutdown = aloop_stream_shutdown(stream);

    (void) state;
    s.write = ALOOP_EPROTO;
    s.has_output_ended = true;
    assert_int_equal(aloop_await(shutdown), ALOOP_EPROTO);
    aloop_stream_close(stream);
}

static void an_error_fails_all_that_waits_behind_the_bytes_before_it(
    void **state)
{
    aloop_stream *stream = scripted();
    aloop_future *read, *write, *drain;
    char text[8];

    (void) state;
    s.write = ALOOP_EAGAIN;
    send_text("abc");
    write = aloop_stream_write(stream, text, 8);
    aloop_stream_set_watermarks(stream, 0, 4);
    drain = aloop_stream_drain(stream);
    read = aloop_stream_read_exactly(stream, text, 8);
    run_for(MS);
    s.read = ALOOP_EPROTO;
    send_text("d");
    assert_int_equal(aloop_await(read), ALOOP_EPROTO);
    assert_int_equal(aloop_await(write), ALOOP_EPROTO);
    assert_int_equal(aloop_await(drain), ALOOP_EPROTO);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 3);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                     ALOOP_EPROTO);
    aloop_stream_abort(stream);
    assert_int_equal(calls_of('w'), 0);
    assert_int_equal(calls_of('C'), 1);
}

static void a_filter_that_takes_nothing_costs_no_time(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.feed = ALOOP_EAGAIN;
    s.write = ALOOP_EAGAIN;
    aloop_stream_start(stream, collect, NULL);
    aloop_stream_put(stream, "abc", 3);
    send_text("def");
    assert_quiet_for_a_second();
    assert_int_equal(aloop_stream_queued(stream), 3);
    aloop_stream_close(stream); /* What was refused is lost. */
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

/* Takes bytes only directly after a read.  The next pull uses the room. */
static ssize_t feed_after_read(void *context, const void *data, size_t size)
{
    if (s.calls_count == 0 || s.calls[s.calls_count - 1] != 'R')
        return ALOOP_EAGAIN;
    return script_feed(context, data, size);
}

/* The reader of the first one is the application, that of the second one is
 * another filter. */
static void refused_bytes_are_offered_again_after_a_read(void **state)
{
    aloop_filter filter = plain_script;
    char text[8];

    (void) state;
    filter.feed = feed_after_read;
    for (int above = 0; above < 2; above++) {
        aloop_stream *stream = connected();

        s = (struct script){0};
        assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                         0);
        if (above > 0)
            assert_int_equal(aloop_await(aloop_stream_filter(
                                 stream, &passing_filter, new_passing(8, 8))),
                             0);
        send_text("abc");
        assert_int_equal(
            aloop_await(aloop_timeout(aloop_stream_read(stream, text, 8), MS)),
            3);
        assert_memory_equal(text, "abc", 3);
        aloop_stream_close(stream);
        sim_peer_close(c.peer);
    }
}

/* The bytes that were refused come first when the filter takes some again. */
static void nothing_is_received_while_the_filter_refuses_bytes(void **state)
{
    aloop_stream *stream = scripted();
    unsigned calls;

    (void) state;
    s.feed = ALOOP_EAGAIN;
    aloop_stream_start(stream, collect, NULL);
    send_text("abc");
    calls = sim_calls("aloop__sys_recv");
    send_text("def");
    assert_quiet_for_a_second();
    assert_int_equal(sim_calls("aloop__sys_recv"), calls);
    s.feed = 0;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    run_for(MS);
    assert_int_equal(c.got_size, 6);
    assert_memory_equal(c.got, "abcdef", 6);
    aloop_stream_close(stream);
}

/* Each round moves a byte from one filter to the other, and the driver ends
 * before the last one.  All have been received, so that no event follows. */
static void filters_that_need_many_rounds_need_no_event(void **state)
{
    aloop_stream *stream = connected();
    char sent[1000], got[sizeof sent];

    (void) state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) i;
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_await(aloop_stream_filter(
                             stream, &passing_filter, new_passing(1, 1))),
                         0);
    sim_peer_send(c.peer, sent, sizeof sent);
    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(stream, got, sizeof got)),
        sizeof got);
    assert_memory_equal(got, sent, sizeof got);
    aloop_stream_close(stream);
}

/* Replies of on_data. */

static const void *last_write;

static ssize_t note_write(void *context, const void *data, size_t size)
{
    last_write = data;
    return script_write(context, data, size);
}

static void reply(aloop_stream *stream, const void *data, ssize_t size,
                  void *arg)
{
    const void **ret_data = arg;

    *ret_data = data;
    if (size <= 0)
        return;
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
    assert_true(aloop_stream_queued(stream) >= (size_t) size);
}

static void an_echo_repeats_only_the_calls_that_find_nothing(void **state)
{
    aloop_stream *stream = scripted();
    const void *data;

    (void) state;
    aloop_stream_start(stream, reply, &data);
    run_for(MS);
    s.calls_count = 0;
    send_text("abc");
    s.calls[s.calls_count] = '\0';
    assert_string_equal(s.calls, "FRRWPPRP");
    assert_received("abc");
    aloop_stream_close(stream);
}

/* Filters that can be idle. */

static bool script_is_idle(void *context)
{
    (void) context;
    return s.in_size == 0 && s.out_size == 0 && !s.has_input_ended &&
           !s.has_output_ended && s.read == 0 && s.pull == 0;
}

/* Returns a stream with a filter that can be idle, which has read nothing. */
static aloop_stream *idle_one(aloop_stream_cb on_data, void *arg)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;

    s = (struct script){0};
    filter.is_idle = script_is_idle;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    aloop_stream_start(stream, on_data, arg);
    run_for(MS);
    s.calls_count = 0;
    return stream;
}

static void an_idle_filter_is_called_only_for_what_it_has(void **state)
{
    const void *data;
    aloop_stream *stream = idle_one(reply, &data);

    (void) state;
    for (int i = 0; i < 3; i++) {
        s.calls_count = 0;
        c.in_size = 0;
        send_text("abc");
        s.calls[s.calls_count] = '\0';
        assert_string_equal(s.calls, "FRWP");
        assert_received("abc");
    }
    aloop_stream_close(stream);
}

static void an_idle_filter_is_called_after_a_wake(void **state)
{
    const void *data;
    aloop_stream *stream = idle_one(reply, &data);

    (void) state;
    send_text("abc");
    assert_received("abc");
    s.in[0] = 'd'; /* As if a thread had ended its work. */
    s.in_size = 1;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_received("abcd");
    aloop_stream_close(stream);
}

/* The wake is older than the answer that the filter is idle. */
static void a_wake_in_a_read_of_an_idle_filter_is_kept(void **state)
{
    const void *data;
    aloop_stream *stream = idle_one(reply, &data);

    (void) state;
    s.wakes = stream;
    send_text("abc");
    run_for(MS);
    s.calls[s.calls_count] = '\0';
    assert_string_equal(s.calls, "FRWPPRP");
    aloop_stream_close(stream);
}

static void ends_reach_a_filter_that_was_idle_and_leave_it(void **state)
{
    aloop_stream *stream = idle_one(collect, NULL);
    unsigned long calls = (unsigned long) t.calls;

    (void) state;
    send_text("abc");
    sim_peer_shutdown(c.peer);
    run_for(MS);
    assert_int_equal(calls_of('f'), 1);
    assert_int_equal(t.calls, calls + 2); /* The bytes and the end. */
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    run_for(MS);
    assert_int_equal(calls_of('w'), 1);
    assert_true(sim_peer_eof(c.peer));
    aloop_stream_close(stream);
}

static void replies_are_written_out_of_the_receive_buffer(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;
    const void *data;

    (void) state;
    s = (struct script){0};
    filter.write = note_write;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    aloop_stream_start(stream, reply, &data);
    send_text("abc");
    assert_ptr_equal(last_write, data);
    assert_received("abc");
    aloop_stream_close(stream);
}

static void replies_that_the_filter_refuses_are_kept_in_order(void **state)
{
    aloop_stream *stream = scripted();
    const void *data;

    (void) state;
    aloop_stream_start(stream, reply, &data);
    s.write = ALOOP_EAGAIN;
    send_text("abc");
    assert_int_equal(aloop_stream_queued(stream), 3);
    send_text("def");
    assert_int_equal(aloop_stream_queued(stream), 6);
    s.write = 0;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_received("abcdef");
    aloop_stream_close(stream);
}

static ssize_t endless_pull(void *context, void *data, size_t size)
{
    (void) context;
    memset(data, 'x', size);
    return (ssize_t) size;
}

static void output_without_an_end_is_limited_by_the_peer(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;

    (void) state;
    s = (struct script){0};
    filter.pull = endless_pull;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    run_for(MS);
    assert_in_range(aloop_stream_queued(stream), 1, 256 * 1024);
    assert_quiet_for_a_second();
    aloop_stream_close(stream); /* It returns. */
    assert_int_equal(calls_of('C'), 1);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

/* Endless output of a filter that refuses bytes, of one above another filter,
 * and of one whose stream may queue without a limit. */
static void a_close_with_output_without_an_end_returns(void **state)
{
    aloop_filter endless = passing_filter, refusing = passing_filter;

    (void) state;
    endless.pull = endless_pull;
    refusing.pull = endless_pull;
    refusing.write = refuse_write;
    for (int i = 0; i < 3; i++) {
        aloop_stream *stream = connected();

        if (i == 1)
            aloop_detach(aloop_stream_filter(stream, &passing_filter,
                                             new_passing(8192, 8192)));
        assert_int_equal(
            aloop_await(aloop_stream_filter(
                stream, i == 1 ? &endless : &refusing, new_passing(8, 8))),
            0);
        aloop_stream_put(stream, "abc", 3);
        if (i == 2) {
            aloop_stream_set_watermarks(stream, 0, SIZE_MAX);
            aloop_step(t.loop, 0);
        }
        aloop_stream_close(stream);
        run_for(MS);
        assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
    }
}

static void a_filter_that_waits_for_the_peer_is_fed_without_a_reader(
    void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.write = ALOOP_EAGAIN;
    aloop_stream_put(stream, "abc", 3);
    run_for(MS);
    assert_int_equal(calls_of('F'), 0);
    send_text("go");
    assert_int_equal(calls_of('F'), 1);
    s.write = 0;
    send_text("on");
    assert_received("abc");
    aloop_stream_close(stream);
}

static void a_wake_in_a_function_of_the_filter_is_for_the_next_turn(
    void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.wakes = stream;
    aloop_stream_start(stream, collect, NULL);
    send_text("abc");
    assert_int_equal(c.got_size, 3);
    assert_null(s.wakes);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

/* The filter has room for a part of the bytes.  What it gives to make room for
 * the rest cannot be sent, which drops the rest. */
static void sending_may_fail_while_the_filter_takes_bytes(void **state)
{
    static char bytes[100000];

    (void) state;
    for (int i = 0; i < 4; i++) {
        aloop_stream *stream = connected();
        aloop_future *write = NULL;

        assert_int_equal(aloop_await(aloop_stream_filter(
                             stream, &passing_filter, new_passing(1000, 1000))),
                         0);
        if (i % 2 == 0)
            assert_int_equal(aloop_stream_put(stream, bytes, sizeof bytes), 1);
        write = aloop_stream_write(stream, bytes, sizeof bytes);
        sim_peer_break(c.peer, ALOOP_ECONNRESET);
        if (i < 2) {
            assert_true(aloop_await(aloop_future_ref(write)) < 0);
            assert_true(aloop_stream_put(stream, "x", 1) < 0);
            assert_int_equal(aloop_stream_queued(stream), 0);
        }
        aloop_stream_close(stream);
        assert_true(aloop_future_status(write) < 0);
        aloop_future_unref(write);
        run_for(MS);
    }
}

static aloop_stream *woken;

static ssize_t wake_always(void *context, void *data, size_t size)
{
    (void) context;
    (void) data;
    (void) size;
    assert_int_equal(aloop_stream_filter_wake(woken), 0);
    return ALOOP_EAGAIN;
}

static void a_filter_that_always_wakes_lets_a_step_return(void **state)
{
    aloop_filter filter = plain_script;

    (void) state;
    s = (struct script){0};
    filter.pull = wake_always;
    woken = connected();
    assert_int_equal(aloop_await(aloop_stream_filter(woken, &filter, &s)), 0);
    assert_true(aloop_step(t.loop, MS) >= 0);
    assert_true(aloop_step(t.loop, -1) >= 0);
    aloop_stream_abort(woken);
}

/* Functions of a filter that use their stream, once. */

static aloop_stream *misused;
static bool is_misused;

static bool misuse(void)
{
    bool was_misused = is_misused;

    is_misused = true;
    return !was_misused;
}

static ssize_t feed_and_close(void *context, const void *data, size_t size)
{
    if (misuse())
        aloop_stream_close(misused);
    return script_feed(context, data, size);
}

static ssize_t read_and_abort(void *context, void *data, size_t size)
{
    if (misuse())
        aloop_stream_abort(misused);
    return script_read(context, data, size);
}

static ssize_t write_and_put(void *context, const void *data, size_t size)
{
    if (misuse())
        assert_int_equal(aloop_stream_put(misused, "no", 2), ALOOP_EINVAL);
    return script_write(context, data, size);
}

static ssize_t pull_and_stop(void *context, void *data, size_t size)
{
    if (misuse())
        assert_int_equal(aloop_stream_stop(misused), ALOOP_EINVAL);
    return script_pull(context, data, size);
}

static int shake_and_unread(void *context)
{
    if (misuse())
        assert_int_equal(aloop_stream_unread(misused, "no", 2), ALOOP_EINVAL);
    return script_handshake(context);
}

static void use_misused(void)
{
    char text[8] = "";

    send_text("hdown");
    assert_int_equal(aloop_stream_put(misused, "up", 2), 0);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(misused, text, 4)),
                     4);
    assert_string_equal(text, "down");
    assert_received("hup");
    aloop_stream_close(misused);
    assert_int_equal(calls_of('C'), 1);
}

static void a_filter_that_uses_its_stream_is_reported(void **state)
{
    static const char *const functions[] = {
        "aloop_stream_close", "aloop_stream_abort", "aloop_stream_put",
        "aloop_stream_stop", "aloop_stream_unread"};
    aloop_future *shaken;

    (void) state;
    for (int i = 0; i < 5; i++) {
        aloop_filter filter = shaking_script;

        filter.feed = i == 0 ? feed_and_close : filter.feed;
        filter.read = i == 1 ? read_and_abort : filter.read;
        filter.write = i == 2 ? write_and_put : filter.write;
        filter.pull = i == 3 ? pull_and_stop : filter.pull;
        filter.handshake = i == 4 ? shake_and_unread : filter.handshake;
        s = (struct script){0};
        is_misused = false;
        misused = connected();
        shaken = aloop_stream_filter(misused, &filter, &s);
        use_misused();
        aloop_future_unref(shaken);
        assert_mistake(functions[i], "filter stream was used in a function",
                       "aloop_defer");
    }
}

static aloop_future *offered_write;
static char *offered_bytes;

static ssize_t pull_and_cancel(void *context, void *data, size_t size)
{
    aloop_future *write = offered_write;

    if (calls_of('W') > 0 && write != NULL) {
        offered_write = NULL;
        aloop_future_unref(write);
        free(offered_bytes);
    }
    return script_pull(context, data, size);
}

static void a_cancel_in_a_pull_after_refused_bytes_breaks_writing(void **state)
{
    aloop_filter filter = plain_script;

    (void) state;
    filter.pull = pull_and_cancel;
    for (int is_refusing = 0; is_refusing < 2; is_refusing++) {
        aloop_stream *stream = connected();

        s = (struct script){0};
        assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                         0);
        s.write = is_refusing ? ALOOP_EAGAIN : 0;
        offered_bytes = calloc(2, sizeof s.out);
        offered_write =
            aloop_stream_write(stream, offered_bytes, 2 * sizeof s.out);
        run_for(MS);
        assert_null(offered_write);
        assert_int_equal(aloop_stream_put(stream, "z", 1), ALOOP_EPIPE);
        aloop_stream_close(stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(results_that_are_not_allowed_break_the_stream),
        TEST(an_error_fails_all_that_waits_behind_the_bytes_before_it),
        TEST(an_error_of_pull_is_no_end),
        TEST(a_shutdown_fails_if_the_filter_refuses_the_end),
        TEST(a_filter_that_takes_nothing_costs_no_time),
        TEST(refused_bytes_are_offered_again_after_a_read),
        TEST(a_read_has_what_the_filter_had_refused_before_it),
        TEST(nothing_is_received_while_the_filter_refuses_bytes),
        TEST(filters_that_need_many_rounds_need_no_event),
        TEST(an_echo_repeats_only_the_calls_that_find_nothing),
        TEST(an_idle_filter_is_called_only_for_what_it_has),
        TEST(an_idle_filter_is_called_after_a_wake),
        TEST(a_wake_in_a_read_of_an_idle_filter_is_kept),
        TEST(ends_reach_a_filter_that_was_idle_and_leave_it),
        TEST(replies_are_written_out_of_the_receive_buffer),
        TEST(replies_that_the_filter_refuses_are_kept_in_order),
        TEST(output_without_an_end_is_limited_by_the_peer),
        TEST(a_close_with_output_without_an_end_returns),
        TEST(a_filter_that_waits_for_the_peer_is_fed_without_a_reader),
        TEST(a_wake_in_a_function_of_the_filter_is_for_the_next_turn),
        TEST(a_filter_that_always_wakes_lets_a_step_return),
        TEST(sending_may_fail_while_the_filter_takes_bytes),
        DEBUG_TEST(a_filter_that_uses_its_stream_is_reported),
        TEST(a_cancel_in_a_pull_after_refused_bytes_breaks_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
