/* Back pressure: water marks and drains; test_stream_pause.c has the pause. */

#include "support/stream_fixture.h"

#include <string.h>

static void a_put_says_when_more_than_the_high_mark_is_queued(void **state)
{
    static const char bytes[1000];
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_set_watermarks(stream, 500, 1000), 0);

    assert_int_equal(aloop_stream_put(stream, bytes, 1000), 0);
    assert_int_equal(aloop_stream_put(stream, bytes, 1), 1);
    run_for(MS);
    assert_int_equal(aloop_stream_put(stream, bytes, 1), 0);
    aloop_stream_set_watermarks(stream, 0, SIZE_MAX);
    for (int i = 0; i < 200; i++)
        assert_int_equal(aloop_stream_put(stream, bytes, 1000), 0);
    aloop_stream_abort(stream);
}

static void a_drain_settles_at_the_low_mark(void **state)
{
    static const char bytes[1000];
    aloop_stream *stream = connected();
    aloop_future *drain;

    (void) state;
    aloop_stream_set_watermarks(stream, 300, 1000);
    assert_int_equal(aloop_await(aloop_stream_drain(stream)), 0);
    fill(stream);
    aloop_stream_put(stream, bytes, 1000);
    drain = aloop_stream_drain(stream);
    run_for(MS);

    receive(699);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 301);
    assert_false(aloop_future_is_settled(drain));
    receive(1);
    run_for(MS);

    assert_int_equal(aloop_stream_queued(stream), 300);
    assert_int_equal(aloop_await(drain), 0);
    aloop_stream_abort(stream);
}

static void a_cancelled_drain_changes_nothing(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *drain;

    (void) state;
    aloop_stream_set_watermarks(stream, 0, 0);
    aloop_stream_put(stream, "still sent", 10);
    drain = aloop_stream_drain(stream);
    aloop_cancel(drain);
    assert_int_equal(aloop_future_status(drain), ALOOP_ECANCELED);
    aloop_future_unref(drain);

    assert_received("still sent");
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_put_says_when_more_than_the_high_mark_is_queued),
        TEST(a_drain_settles_at_the_low_mark),
        TEST(a_cancelled_drain_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
