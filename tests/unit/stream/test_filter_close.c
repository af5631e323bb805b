/* Closing a stream with filters. */

#include "support/script_fixture.h"

static void a_close_runs_the_filter_to_its_end_inside_the_call(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('W'), 1);
    assert_int_equal(calls_of('w'), 1);
    assert_int_equal(calls_of('C'), 1);
    assert_int_equal(s.calls[s.calls_count - 1], 'C');
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
}

static void a_closed_stream_drops_input_until_the_peer_ends(void **state)
{
    aloop_stream *stream = scripted();
    int64_t begin = aloop_now(t.loop);

    (void) state;
    fill(stream);
    aloop_stream_put(stream, "abc", 3);
    aloop_stream_close(stream);
    send_text("a ticket");
    receive_all();
    send_text("another one");
    receive_all();
    assert_int_equal(c.in_size, BUFFER + 3);
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(sim_peer_error(c.peer), 0);
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) - begin < ALOOP_SEC(1));
}

static void the_wait_for_the_end_of_the_peer_is_limited(void **state)
{
    aloop_stream *stream = scripted();
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_now(t.loop) - begin, ALOOP_SEC(5));
}

static void close_at_data(aloop_stream *stream, const void *data, ssize_t size,
                          void *arg)
{
    (void) arg;
    note((int) size);
    aloop_stream_put(stream, data, (size_t) size);
    aloop_stream_close(stream);
}

static void a_stream_may_be_closed_in_its_callback(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_start(stream, close_at_data, NULL);
    send_text("abc");
    assert_noted(3);
    assert_int_equal(calls_of('C'), 1);
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
}

static void an_abort_gives_the_filter_no_end(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    aloop_stream_abort(stream);
    assert_int_equal(calls_of('w'), 0);
    assert_int_equal(calls_of('C'), 1);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

/* Puts a write into the middle of two filters. */
static aloop_future *write_between_filters(aloop_stream *stream)
{
    aloop_filter below = passing_filter;
    aloop_future *write;

    below.write = refuse_write;
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &below, new_passing(8, 8))), 0);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &passing_filter,
                                                     new_passing(8, 8))),
                     0);
    write = aloop_stream_write(stream, "x", 1);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_false(aloop_future_is_settled(write));
    return write;
}

static void a_write_that_filters_have_taken_ends_with_the_stream(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write = write_between_filters(stream);

    (void) state;
    aloop_stream_abort(stream);
    assert_int_equal(aloop_future_status(write), ALOOP_ECANCELED);
    aloop_future_unref(write);

    stream = connected();
    aloop_detach(write_between_filters(stream));
    aloop_free(t.loop);
    t.loop = NULL;
    sim_pass(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

static void the_end_of_the_loop_closes_the_filter(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(calls_of('C'), 1);
}

/* Gives one byte in every second call, so that each costs a send. */
static ssize_t pull_slowly(void *context, void *data, size_t size)
{
    (void) size;
    return calls_of('P') % 2 == 0 ? script_pull(context, data, 1)
                                  : (note_letter('P'), ALOOP_EAGAIN);
}

static void a_close_sends_after_a_run_that_has_used_up_its_sends(void **state)
{
    aloop_filter filter = plain_script;

    (void) state;
    filter.pull = pull_slowly;
    for (int count = 1; count < 12; count++) {
        aloop_stream *stream = connected();

        s = (struct script){0};
        assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                         0);
        aloop_stream_put(stream, "0123456789ab", (size_t) count);
        run_for(MS);
        s.out[s.out_size++] = '.'; /* What the filter adds to the end. */
        aloop_stream_close(stream);
        run_for(MS);
        receive_all();
        assert_int_equal(c.in_size, count + 1);
        assert_true(sim_peer_eof(c.peer));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_close_runs_the_filter_to_its_end_inside_the_call),
        TEST(a_closed_stream_drops_input_until_the_peer_ends),
        TEST(the_wait_for_the_end_of_the_peer_is_limited),
        TEST(a_stream_may_be_closed_in_its_callback),
        TEST(an_abort_gives_the_filter_no_end),
        TEST(a_write_that_filters_have_taken_ends_with_the_stream),
        TEST(the_end_of_the_loop_closes_the_filter),
        TEST(a_close_sends_after_a_run_that_has_used_up_its_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
