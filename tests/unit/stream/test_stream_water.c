/* Tests of back pressure: watermarks and drains.  test_stream_pause.c tests the
 * pause of reading. */

#include "support/stream_fixture.h"

#include <string.h>

static void a_put_reports_when_more_than_the_high_mark_is_queued(void **state)
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
    overfill(doomed);
    for (int i = 0; i < 3; i++)
        aloop_detach(aloop_stream_drain(doomed));
    sim_peer_reset(peer);
    run_for(MS);

    assert_noted(ALOOP_ECONNRESET, ALOOP_ECONNRESET, ALOOP_ECONNRESET);
    assert_null(doomed);
    assert_int_equal(sim_descriptors_open(), open);
}

static void higher_marks_settle_a_drain(void **state)
{
    aloop_future *drain;
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    overfill(stream);
    drain = aloop_stream_drain(stream);
    assert_false(aloop_future_is_settled(drain));
    assert_int_equal(aloop_stream_set_watermarks(stream, 200000, SIZE_MAX), 0);
    assert_int_equal(aloop_future_status(drain), 0);
    aloop_future_unref(drain);
    aloop_stream_abort(stream);
}

/* The peer does not receive the bytes that are queued before the write. */
static void a_cancelled_write_settles_a_drain(void **state)
{
    static const char bytes[50000];
    aloop_future *write, *drain;
    aloop_stream *stream;
    size_t queued;
    int peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    overfill(stream);
    queued = aloop_stream_queued(stream);
    aloop_stream_set_watermarks(stream, queued, queued + 1);
    write = aloop_stream_write(stream, bytes, sizeof bytes);
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
        TEST(a_put_reports_when_more_than_the_high_mark_is_queued),
        WIRE_TEST(a_drain_settles_at_the_low_mark),
        TEST(a_cancelled_drain_changes_nothing),
        TEST(higher_marks_settle_a_drain),
        TEST(a_cancelled_write_settles_a_drain),
        TEST(the_hook_may_abort_the_stream_whose_drains_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
