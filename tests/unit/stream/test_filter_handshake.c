/* The handshake of filters. */

#include "support/script_fixture.h"

static void nothing_is_read_or_written_before_the_handshake(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;
    char text[8];

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    assert_int_equal(s.calls_count, 0); /* Not inside the call. */
    assert_int_equal(aloop_stream_put(stream, "data", 4), 0);
    assert_received("h");
    assert_false(aloop_future_is_settled(handshake));
    assert_int_equal(calls_of('R') + calls_of('W'), 0);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EBUSY);
    send_text("hello");
    assert_int_equal(aloop_await(handshake), 0);
    assert_int_equal(calls_of('H'), 2);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 4);
    assert_received("hdata");
    aloop_stream_close(stream);
    assert_int_equal(calls_of('H'), 2);
}

static void put_on_and_unread(aloop_stream *stream, const void *data,
                              ssize_t size, void *arg)
{
    aloop_future **handshake = arg;

    if (size <= 0 || *handshake != NULL)
        return;
    assert_int_equal(aloop_stream_unread(stream, data, (size_t) size), 0);
    *handshake = aloop_stream_filter(stream, &shaking_script, &s);
}

static void a_handshake_begins_without_input(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++) {
        aloop_stream *stream = connected();
        aloop_future *handshake = NULL;

        s = (struct script){0};
        if (i == 0)
            assert_int_equal(aloop_stream_unread(stream, "h", 1), 0);
        else
            sim_peer_send(c.peer, "h", 1);
        if (i == 2) { /* While the driver of another filter runs. */
            assert_int_equal(aloop_await(aloop_stream_filter(
                                 stream, &passing_filter, new_passing(8, 8))),
                             0);
            aloop_stream_start(stream, put_on_and_unread, &handshake);
            run_for(MS);
        } else {
            handshake = aloop_stream_filter(stream, &shaking_script, &s);
        }
        assert_int_equal(aloop_await(handshake), 0);
        assert_int_equal(s.calls[0], 'H');
        assert_int_equal(calls_of('H'), 2);
        aloop_stream_close(stream);
    }
}

static void a_failed_handshake_breaks_the_stream_and_sends_the_alert(
    void **state)
{
    aloop_stream *stream = connected();
    char text[8];

    (void) state;
    s = (struct script){.handshake = ALOOP_EPROTO};
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &shaking_script, &s)),
        ALOOP_EPROTO);
    assert_received("h");
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                     ALOOP_EPROTO);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPROTO);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 1);
}

static void a_filter_after_a_failed_handshake_gets_its_error(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    s = (struct script){.handshake = ALOOP_EPROTO};
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &shaking_script, &s)),
        ALOOP_EPROTO);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EPROTO);
    assert_int_equal(calls_of('C'), 1);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 2);
}

static void a_cancelled_handshake_breaks_the_stream(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    run_for(MS);
    aloop_future_unref(handshake);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ECONNABORTED);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 1);
}

static void a_close_during_the_handshake_cancels_it(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    run_for(MS);
    aloop_stream_put(stream, "lost", 4);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 1);
    assert_int_equal(aloop_future_status(handshake), ALOOP_ECANCELED);
    aloop_future_unref(handshake);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

static void a_wake_continues_a_handshake_without_input(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    run_for(MS);
    s.in[s.in_size++] = 'h'; /* The answer of a thread. */
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_int_equal(aloop_await(handshake), 0);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_read_or_written_before_the_handshake),
        TEST(a_handshake_begins_without_input),
        TEST(a_failed_handshake_breaks_the_stream_and_sends_the_alert),
        TEST(a_filter_after_a_failed_handshake_gets_its_error),
        TEST(a_cancelled_handshake_breaks_the_stream),
        TEST(a_close_during_the_handshake_cancels_it),
        TEST(a_wake_continues_a_handshake_without_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
