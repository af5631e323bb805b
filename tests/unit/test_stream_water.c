/* Back pressure: water marks, drains, and reading that pauses. */

#include "support/stream_fixture.h"

#include <string.h>

static void a_put_says_when_more_than_the_high_mark_is_queued(void **state)
{
    static const char bytes[1000];
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_set_water(stream, 500, 1000), 0);

    assert_int_equal(aloop_stream_put(stream, bytes, 1000), 0);
    assert_int_equal(aloop_stream_put(stream, bytes, 1), 1);
    run_for(MS);
    assert_int_equal(aloop_stream_put(stream, bytes, 1), 0);
    aloop_stream_set_water(stream, 0, SIZE_MAX);
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
    aloop_stream_set_water(stream, 300, 1000);
    assert_int_equal(aloop_await(aloop_stream_drain(stream)), 0);
    fill(stream);
    aloop_stream_put(stream, bytes, 1000);
    drain = aloop_stream_drain(stream);
    run_for(MS);

    receive(699);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 301);
    assert_false(aloop_future_settled(drain));
    receive(1);
    run_for(MS);

    assert_int_equal(aloop_stream_queued(stream), 300);
    assert_int_equal(aloop_await(drain), 0);
    aloop_stream_abort(stream);
}

static void new_marks_settle_drains_and_resume_reading_at_once(void **state)
{
    static const char bytes[1001];
    aloop_stream *stream = connected();
    aloop_future *drain;

    (void) state;
    aloop_stream_set_water(stream, 300, 1000);
    fill(stream);
    aloop_stream_start(stream, ignore, NULL);
    aloop_stream_put(stream, bytes, sizeof bytes);
    drain = aloop_stream_drain(stream);
    sim_peer_send(c.peer, "a", 1);
    run_for(MS);
    assert_int_equal(t.calls, 0);

    aloop_stream_set_water(stream, 2000, 3000);
    run_for(MS); /* The peer takes nothing meanwhile. */

    assert_int_equal(aloop_future_status(drain), 0);
    aloop_future_unref(drain);
    assert_int_equal(t.calls, 1);
    aloop_stream_abort(stream);
}

static void a_cancelled_drain_changes_nothing(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *drain;

    (void) state;
    aloop_stream_set_water(stream, 0, 0);
    aloop_stream_put(stream, "still sent", 10);
    drain = aloop_stream_drain(stream);
    aloop_cancel(drain);
    assert_int_equal(aloop_future_status(drain), ALOOP_ECANCELED);
    aloop_future_unref(drain);

    assert_received("still sent");
    aloop_stream_close(stream);
}

static void reading_pauses_above_the_high_mark_and_resumes_at_the_low(
    void **state)
{
    static const char bytes[1001];
    aloop_stream *stream = connected();

    (void) state;
    aloop_stream_set_water(stream, 300, 1000);
    fill(stream);
    aloop_stream_start(stream, ignore, NULL);
    aloop_stream_put(stream, bytes, sizeof bytes);
    sim_peer_send(c.peer, "a", 1);
    assert_quiet_for_a_second();
    assert_int_equal(t.calls, 0);

    receive(700);
    run_for(MS);
    assert_int_equal(t.calls, 0); /* 301 are left. */
    receive(1);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    aloop_stream_abort(stream);
}

static void echo(aloop_stream *stream, const void *data, ssize_t size,
                 void *arg)
{
    size_t *most = arg;

    if (size > 0)
        aloop_stream_put(stream, data, (size_t) size);
    if (aloop_stream_queued(stream) > *most)
        *most = aloop_stream_queued(stream);
}

/* Failure class 24: no back pressure, and memory runs out. */
static void a_peer_that_sends_and_never_reads_costs_bounded_memory(void **state)
{
    static const char bytes[10000];
    aloop_stream *stream = connected();
    size_t most = 0, taken = 0;

    (void) state;
    aloop_stream_start(stream, echo, &most);
    for (int i = 0; i < 1000; i++) {
        ssize_t n = sim_peer_send(c.peer, bytes, sizeof bytes);

        taken += n > 0 ? (size_t) n : 0;
        run_for(MS);
    }

    assert_true(most <= 2 * BUFFER); /* The high mark, and one receive. */
    assert_true(taken <= 4 * BUFFER);
    aloop_stream_abort(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_put_says_when_more_than_the_high_mark_is_queued),
        TEST(a_drain_settles_at_the_low_mark),
        TEST(new_marks_settle_drains_and_resume_reading_at_once),
        TEST(a_cancelled_drain_changes_nothing),
        TEST(reading_pauses_above_the_high_mark_and_resumes_at_the_low),
        TEST(a_peer_that_sends_and_never_reads_costs_bounded_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
