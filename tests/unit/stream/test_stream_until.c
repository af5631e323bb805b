/* Tests of reads until a delimiter and to the end of the stream.  Also tests
 * that no stream spins, and that none starves another. */

#include "support/stream_fixture.h"

#include <string.h>

static ssize_t read_until(aloop_stream *stream, char *buffer, size_t size,
                          const char *delimiter)
{
    return aloop_await(aloop_stream_read_until(stream, buffer, size, delimiter,
                                               strlen(delimiter)));
}

static void a_delimiter_is_found_at_any_segment_boundary(void **state)
{
    static const char text[] = "head\r\n\r\nrest";
    size_t size = sizeof text - 1;
    aloop_stream *stream = connected();

    (void) state;
    for (size_t cut = 1; cut < size; cut++) {
        char buffer[32];
        aloop_future *read = aloop_stream_read_until(
            stream, buffer, sizeof buffer, "\r\n\r\n", 4);

        send_bytes(text, cut);
        assert_int_equal(aloop_future_is_settled(read), cut >= 8);
        send_bytes(text + cut, size - cut);
        assert_int_equal(aloop_await(read), 8);
        assert_memory_equal(buffer, "head\r\n\r\n", 8);
        assert_int_equal(
            aloop_await(aloop_stream_read_exactly(stream, buffer, 4)), 4);
        assert_memory_equal(buffer, "rest", 4);
    }
    aloop_stream_close(stream);
}

static void a_delimiter_is_found_if_every_byte_arrives_alone(void **state)
{
    static const char text[] = "aaab";
    aloop_stream *stream = connected();
    char buffer[8];
    aloop_future *read =
        aloop_stream_read_until(stream, buffer, sizeof buffer, "aab", 3);

    (void) state;
    for (size_t i = 0; i < 4; i++) {
        assert_false(aloop_future_is_settled(read));
        send_bytes(text + i, 1);
    }

    assert_int_equal(aloop_await(read), 4);
    assert_memory_equal(buffer, "aaab", 4);
    aloop_stream_close(stream);
}

static void several_lines_of_one_segment_are_read_one_by_one(void **state)
{
    aloop_stream *stream = connected();
    char buffer[16];

    (void) state;
    send_text("a\nbc\n\ndef\n");

    assert_int_equal(read_until(stream, buffer, 16, "\n"), 2);
    assert_int_equal(read_until(stream, buffer, 16, "\n"), 3);
    assert_memory_equal(buffer, "bc\n", 3);
    assert_int_equal(read_until(stream, buffer, 16, "\n"), 1);
    assert_int_equal(read_until(stream, buffer, 16, "\n"), 4);
    assert_int_equal(sim_calls("aloop__sys_recv"), 1);
    aloop_stream_close(stream);
}

static void a_line_that_fits_exactly_is_read(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    send_text("abc\nmore");

    assert_int_equal(read_until(stream, buffer, 4, "\n"), 4);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 4)), 4);
    assert_memory_equal(buffer, "more", 4);
    aloop_stream_close(stream);
}

static void a_line_that_is_too_long_is_refused_and_kept(void **state)
{
    aloop_stream *stream = connected();
    char buffer[32] = {0};

    (void) state;
    send_text("much too long\nnext");

    assert_int_equal(read_until(stream, buffer, 4, "\n"), ALOOP_EMSGSIZE);
    assert_int_equal(read_until(stream, buffer, 32, "\n"), 14);
    assert_memory_equal(buffer, "much too long\n", 14);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 32)), 4);
    aloop_stream_close(stream);
}

static void an_unfinished_line_is_kept_at_the_end_of_the_stream(void **state)
{
    aloop_stream *stream = connected();
    char buffer[32];

    (void) state;
    send_text("unfinished");
    sim_peer_shutdown(c.peer);

    assert_int_equal(read_until(stream, buffer, 32, "\n"), ALOOP_EOF);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(stream, buffer, 32)),
                     10);
    assert_memory_equal(buffer, "unfinished", 10);
    aloop_stream_close(stream);
}

static void the_bytes_of_a_cancelled_read_are_kept(void **state)
{
    aloop_stream *stream = connected();
    char buffer[32];
    aloop_future *read = aloop_stream_read_until(stream, buffer, 32, "\n", 1);

    (void) state;
    send_text("be");
    aloop_cancel(read);
    aloop_future_unref(read);
    send_text("gun\n");

    assert_int_equal(read_until(stream, buffer, 32, "\n"), 6);
    assert_memory_equal(buffer, "begun\n", 6);
    aloop_stream_close(stream);
}

static void a_delimiter_may_have_256_bytes_and_is_copied(void **state)
{
    aloop_stream *stream = connected();
    char delimiter[256], buffer[512];
    aloop_future *read;

    (void) state;
    for (size_t i = 0; i < sizeof delimiter; i++)
        delimiter[i] = (char) i;
    read = aloop_stream_read_until(stream, buffer, sizeof buffer, delimiter,
                                   sizeof delimiter);
    send_bytes(delimiter, 200);
    send_bytes(delimiter, 100);
    send_bytes(delimiter + 100, 156);
    memset(delimiter, 0, sizeof delimiter);

    assert_int_equal(aloop_await(read), 456);
    aloop_stream_close(stream);
}

static void a_read_to_the_end_receives_all_bytes(void **state)
{
    static char sent[50000], buffer[50001];
    aloop_stream *stream = connected();
    aloop_future *read =
        aloop_stream_read_to_end(stream, buffer, sizeof buffer);

    (void) state;
    memset(sent, 'z', sizeof sent);
    send_bytes(sent, 20000);
    send_bytes(sent, 30000);
    assert_false(aloop_future_is_settled(read));
    sim_peer_shutdown(c.peer);

    assert_int_equal(aloop_await(read), 50000);
    assert_memory_equal(buffer, sent, sizeof sent);
    aloop_stream_close(stream);
}

static void a_read_to_the_end_may_fit_exactly(void **state)
{
    aloop_stream *stream = connected();
    char buffer[5];
    aloop_future *read = aloop_stream_read_to_end(stream, buffer, 5);

    (void) state;
    send_text("12345");
    assert_false(aloop_future_is_settled(read));
    sim_peer_shutdown(c.peer);

    assert_int_equal(aloop_await(read), 5);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(stream, buffer, 5)),
                     0);
    aloop_stream_close(stream);
}

static void a_read_to_the_end_beyond_its_buffer_fails_and_loses_nothing(
    void **state)
{
    aloop_stream *stream = connected();
    char buffer[16];
    aloop_future *read = aloop_stream_read_to_end(stream, buffer, 5);

    (void) state;
    send_text("12345");
    send_text("6");

    assert_int_equal(aloop_await(read), ALOOP_EMSGSIZE);
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(stream, buffer, 16)),
                     6);
    assert_memory_equal(buffer, "123456", 6);
    aloop_stream_close(stream);
}

/* Streams that must not spin. */

/* Failure class 17: the loop spins because no read takes the available data. */
static void a_stream_without_a_reader_does_not_spin(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    sim_peer_send(c.peer, "hello", 5);
    assert_quiet_for_a_second();

    aloop_stream_start(stream, ignore, NULL);
    run_for(MS);
    aloop_stream_stop(stream);
    sim_peer_send(c.peer, "hello", 5);
    assert_quiet_for_a_second();

    assert_int_equal(t.calls, 1);
    aloop_stream_close(stream);
}

/* Failure class 15: the loop spins because no operation waits for a hang-up or
 * an error. */
static void an_end_or_a_reset_without_a_reader_does_not_spin(void **state)
{
    aloop_stream *ended = connected();
    aloop_stream *reset;
    char buffer[4];

    (void) state;
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read(ended, buffer, 4)), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(ended)), 0);
    reset = connected();
    sim_peer_reset(c.peer);
    assert_quiet_for_a_second();

    aloop_stream_start(reset, ignore, NULL);
    assert_quiet_for_a_second();

    aloop_stream_close(ended);
    aloop_stream_close(reset);
}

/* Streams that must not starve others. */

enum { FLOODS = 1000 }; /* Calls until a flooded stream is closed. */

static struct {
    int64_t due_ns;
    int64_t late_ns; /* The maximum. */
} fair;

static void flood(aloop_stream *stream, const void *data, ssize_t size,
                  void *arg)
{
    static const char more[65536];

    (void) data;
    (void) arg;
    assert_true(size > 0);
    sim_advance(ALOOP_US(100)); /* The time to process the data. */
    sim_peer_send(c.peer, more, (size_t) size);
    if (++t.calls == FLOODS)
        aloop_stream_close(stream);
}

static void on_tick(aloop_timer *timer, void *arg)
{
    int64_t late_ns = aloop_now(t.loop) - fair.due_ns;

    (void) arg;
    if (late_ns > fair.late_ns)
        fair.late_ns = late_ns;
    fair.due_ns += MS;
    if (t.calls == FLOODS)
        aloop_timer_close(timer);
    else
        note(1);
}

/* Failure class 20: one busy descriptor starves all others. */
static void a_flooding_peer_does_not_make_timers_late(void **state)
{
    static const char first[65536];
    aloop_stream *stream = connected();
    aloop_timer *timer;

    (void) state;
    memset(&fair, 0, sizeof fair);
    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 0;
    sim_peer_send(c.peer, first, sizeof first);
    aloop_stream_start(stream, flood, NULL);
    fair.due_ns = aloop_now(t.loop) + MS;
    aloop_timer_start(t.loop, MS, MS, on_tick, NULL, &timer);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_true(t.noted > 50);
    assert_true(fair.late_ns <= ALOOP_US(500)); /* Some receives. */
}

static void on_other(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
    note(t.calls); /* The number of calls of flood(). */
}

static void a_flooding_peer_does_not_starve_another_stream(void **state)
{
    static const char first[65536];
    aloop_stream *quiet = connected();
    int quiet_peer = c.peer;
    aloop_stream *flooded = connected();

    (void) state;
    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 0;
    aloop_stream_start(flooded, flood, NULL);
    aloop_stream_start(quiet, on_other, NULL);
    sim_peer_send(c.peer, first, sizeof first);
    sim_peer_send(quiet_peer, "me too", 6);

    for (int i = 0; i < 3; i++)
        aloop_step(t.loop, 0);

    assert_int_equal(t.noted, 1);
    assert_true(t.order[0] <= 8);
    aloop_stream_close(flooded);
    aloop_stream_close(quiet);
}

static void count_bytes(aloop_stream *stream, const void *data, ssize_t size,
                        void *arg)
{
    (void) stream;
    (void) data;
    *(size_t *) arg += size > 0 ? (size_t) size : 0;
}

/* The limit lets other handles run even if more data is available. */
static void receiving_is_bounded_in_each_turn(void **state)
{
    static const char much[2 << 20];
    aloop_stream *stream;
    size_t got = 0;

    (void) state;
    sim_buffer_size(sizeof much);
    stream = connected();
    send_bytes(much, sizeof much);
    aloop_stream_start(stream, count_bytes, &got);
    aloop_step(t.loop, 0);
    assert_in_range(got, 1, sizeof much / 4);

    run_for(MS);
    assert_int_equal(got, sizeof much);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIRE_TEST(receiving_is_bounded_in_each_turn),
        TEST(a_delimiter_is_found_at_any_segment_boundary),
        TEST(a_delimiter_is_found_if_every_byte_arrives_alone),
        WIRE_TEST(several_lines_of_one_segment_are_read_one_by_one),
        TEST(a_line_that_fits_exactly_is_read),
        TEST(a_line_that_is_too_long_is_refused_and_kept),
        TEST(an_unfinished_line_is_kept_at_the_end_of_the_stream),
        TEST(the_bytes_of_a_cancelled_read_are_kept),
        TEST(a_delimiter_may_have_256_bytes_and_is_copied),
        TEST(a_read_to_the_end_receives_all_bytes),
        TEST(a_read_to_the_end_may_fit_exactly),
        TEST(a_read_to_the_end_beyond_its_buffer_fails_and_loses_nothing),
        TEST(a_stream_without_a_reader_does_not_spin),
        TEST(an_end_or_a_reset_without_a_reader_does_not_spin),
        TEST(a_flooding_peer_does_not_make_timers_late),
        TEST(a_flooding_peer_does_not_starve_another_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
