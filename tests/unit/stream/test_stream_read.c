/* Tests of read operations, which are futures. */

#include "support/stream_fixture.h"

#include <string.h>

static void a_read_settles_with_the_available_bytes(void **state)
{
    aloop_stream *stream = connected();
    char buffer[16] = {0};
    aloop_future *read = aloop_stream_read(stream, buffer, sizeof buffer);

    (void) state;
    run_for(MS);
    assert_false(aloop_future_is_settled(read));
    send_text("abc");

    assert_int_equal(aloop_await(read), 3);
    assert_string_equal(buffer, "abc");
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)), 0);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)), 0);
    aloop_stream_close(stream);
}

static void many_small_reads_need_one_receive(void **state)
{
    aloop_stream *stream = connected();
    char byte;
    unsigned before;

    (void) state;
    send_text("0123456789");
    before = sim_calls("aloop__sys_recv");

    for (int i = 0; i < 10; i++) {
        assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 1);
        assert_int_equal(byte, '0' + i);
    }

    assert_int_equal(sim_calls("aloop__sys_recv") - before, 1);
    aloop_stream_close(stream);
}

static void an_exact_read_waits_for_all_its_bytes(void **state)
{
    aloop_stream *stream = connected();
    char buffer[6];
    aloop_future *read = aloop_stream_read_exactly(stream, buffer, 6);

    (void) state;
    send_text("ab");
    send_text("cd");
    assert_false(aloop_future_is_settled(read));
    send_text("efgh");

    assert_int_equal(aloop_await(read), 6);
    assert_memory_equal(buffer, "abcdef", 6);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 6)), 2);
    assert_memory_equal(buffer, "gh", 2);
    aloop_stream_close(stream);
}

static void a_large_exact_read_fills_its_buffer(void **state)
{
    static char sent[40000], buffer[40000];
    aloop_stream *stream = connected();
    aloop_future *read;

    (void) state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i * 7 + i / 251);
    read = aloop_stream_read_exactly(stream, buffer, sizeof buffer);
    assert_int_equal(sim_peer_send(c.peer, sent, 30000), 30000);
    run_for(MS);
    assert_int_equal(sim_peer_send(c.peer, sent + 30000, 10000), 10000);

    assert_int_equal(aloop_await(read), (ssize_t) sizeof buffer);
    assert_memory_equal(buffer, sent, sizeof sent);
    aloop_stream_close(stream);
}

static void an_exact_read_that_reaches_the_end_gives_its_bytes_back(
    void **state)
{
    aloop_stream *stream = connected();
    char buffer[16] = {0};

    (void) state;
    send_text("half");
    sim_peer_shutdown(c.peer);

    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, buffer, 8)),
                     ALOOP_EOF);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)), 4);
    assert_memory_equal(buffer, "half", 4);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)), 0);
    aloop_stream_close(stream);
}

static void a_cancelled_read_gives_its_bytes_back(void **state)
{
    static char big[4096];
    aloop_stream *stream = connected();
    char buffer[16] = {0};
    aloop_future *read = aloop_stream_read_exactly(stream, big, sizeof big);

    (void) state;
    send_text("begun ");
    assert_int_equal(aloop_cancel(read), 1);
    assert_int_equal(aloop_future_status(read), ALOOP_ECANCELED);
    memset(big, 'x', sizeof big); /* The caller owns the buffer again. */
    aloop_future_unref(read);
    send_text("and done");

    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, buffer, 14)),
                     14);
    assert_string_equal(buffer, "begun and done");
    aloop_stream_close(stream);
}

static void a_timed_out_read_leaves_the_stream_usable(void **state)
{
    aloop_stream *stream = connected();
    int64_t begin = aloop_now(t.loop);
    char buffer[16] = {0};

    (void) state;
    assert_int_equal(aloop_await(aloop_timeout(
                         aloop_stream_read(stream, buffer, 16), 7 * MS)),
                     ALOOP_ETIMEDOUT);
    assert_true(aloop_now(t.loop) - begin == 7 * MS);
    send_text("late");

    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)), 4);
    aloop_stream_close(stream);
}

static void a_reset_fails_the_pending_read_and_every_later_one(void **state)
{
    aloop_stream *stream = connected();
    char buffer[16];
    aloop_future *read = aloop_stream_read_exactly(stream, buffer, 8);

    (void) state;
    send_text("part");
    sim_peer_reset(c.peer);

    assert_int_equal(aloop_await(read), ALOOP_ECONNRESET);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)), 4);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 16)),
                     ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

/* The kernel reports a reset once, and here a send consumes it. */
static void a_reset_that_a_send_consumed_is_not_read_as_the_end(void **state)
{
    aloop_stream *stream = connected();
    char buffer[16];

    (void) state;
    send_text("half an answ");
    sim_peer_reset(c.peer);
    run_for(MS);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "x", 1)),
                     ALOOP_ECONNRESET);

    assert_int_equal(
        aloop_await(aloop_stream_read_to_end(stream, buffer, sizeof buffer)),
        ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

static void closing_the_stream_cancels_its_pending_read(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4] = "...";
    aloop_future *read = aloop_stream_read(stream, buffer, 4);

    (void) state;
    aloop_stream_close(stream);

    assert_int_equal(aloop_future_status(read), ALOOP_ECANCELED);
    assert_string_equal(buffer, "...");
    aloop_future_unref(read);
}

static void a_dropped_read_is_cancelled_and_not_reported(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    aloop_future_unref(aloop_stream_read(stream, buffer, 4));
    send_text("abc");

    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 4)), 3);
    assert_int_equal(t.unhandled, 0);
    aloop_stream_close(stream);
}

static void a_second_reader_is_refused(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];
    aloop_future *read = aloop_stream_read(stream, buffer, 4);

    (void) state;
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 4)),
                     ALOOP_EBUSY);
    assert_int_equal(aloop_stream_start(stream, collect, NULL), ALOOP_EBUSY);
    aloop_future_unref(read);

    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 4)),
                     ALOOP_EBUSY);
    assert_int_equal(
        aloop_await(aloop_stream_read_until(stream, buffer, 4, "\n", 1)),
        ALOOP_EBUSY);
    aloop_stream_close(stream);
}

/* A read of zero bytes needs neither a wait nor a buffer. */
static void a_read_of_zero_bytes_returns_0(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4] = "";

    (void) state;
    for (int i = 0; i < 2; i++) {
        char *room = i == 0 ? buffer : NULL;
        aloop_future *exactly = aloop_stream_read_exactly(stream, room, 0);
        aloop_future *to_end = aloop_stream_read_to_end(stream, room, 0);

        assert_int_equal(aloop_future_status(exactly), 0);
        assert_int_equal(aloop_future_status(to_end), 0);
        aloop_future_unref(exactly);
        aloop_future_unref(to_end);
        send_text("abcd");
    }
    aloop_detach(aloop_stream_read_exactly(stream, buffer, 8));
    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, NULL, 0)),
                     ALOOP_EBUSY);
    aloop_stream_close(stream);
}

/* Failure class 29: sizes are at the limits of their types. */
static void invalid_sizes_are_refused(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_read(stream, NULL, 4)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, SIZE_MAX)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(
                         stream, buffer, (size_t) PTRDIFF_MAX + 1)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_stream_read_to_end(stream, buffer, SIZE_MAX)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_stream_read_until(stream, buffer, 4, "x", 0)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_stream_read_until(stream, buffer, 4, NULL, 1)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_stream_read_until(stream, buffer, 4, buffer, 257)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_read(NULL, buffer, 4)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_stream_read_until(NULL, buffer, 4, "x", 1)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(NULL, buffer, 4)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(NULL, buffer, 4)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_stream_start(NULL, collect, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_start(stream, NULL, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_stop(NULL), ALOOP_EINVAL);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_read_settles_with_the_available_bytes),
        TEST(many_small_reads_need_one_receive),
        TEST(an_exact_read_waits_for_all_its_bytes),
        TEST(a_large_exact_read_fills_its_buffer),
        TEST(an_exact_read_that_reaches_the_end_gives_its_bytes_back),
        TEST(a_cancelled_read_gives_its_bytes_back),
        TEST(a_timed_out_read_leaves_the_stream_usable),
        TEST(a_reset_fails_the_pending_read_and_every_later_one),
        TEST(a_reset_that_a_send_consumed_is_not_read_as_the_end),
        TEST(closing_the_stream_cancels_its_pending_read),
        TEST(a_dropped_read_is_cancelled_and_not_reported),
        TEST(a_second_reader_is_refused),
        TEST(a_read_of_zero_bytes_returns_0),
        TEST(invalid_sizes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
