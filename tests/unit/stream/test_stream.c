/* Tests of streams as a whole: echo servers in a chaotic world, and what the
 * queries of a stream return. */

#include "support/stream_fixture.h"

#include <string.h>

enum { TOTAL = 1024 * 1024, CHUNK = 9000, SEEDS = 50 };

/* Returns the byte at a place of the stream.  The pattern has a long period
 * that is not a power of two. */
static char byte_at(size_t place)
{
    return (char) (place * 31 + place / 251 + place / 65521);
}

static void make_bytes(char *bytes, size_t place, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(place + i);
}

static void check_bytes(const char *bytes, size_t place, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_at(place + i))
            fail_msg("byte %zu is wrong", place + i);
}

/* An echo server with callbacks. */

static void on_echo(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size > 0)
        aloop_stream_put(stream, data, (size_t) size);
    else
        aloop_stream_close(stream);
}

static void accept_by_callback(aloop_listener *listener, aloop_stream *stream,
                               void *arg)
{
    (void) arg;
    aloop_stream_start(stream, on_echo, NULL);
    aloop_listener_close(listener);
}

static size_t put_so_far, got_so_far;

static void put_more(aloop_future *future, ssize_t status, void *arg)
{
    aloop_stream *stream = arg;
    char bytes[CHUNK];

    (void) future;
    assert_int_equal(status, 0);
    while (aloop_stream_queued(stream) < 3 * CHUNK && put_so_far < TOTAL) {
        size_t size = 1 + (size_t) sim_random(CHUNK);

        if (size > TOTAL - put_so_far)
            size = TOTAL - put_so_far;
        make_bytes(bytes, put_so_far, size);
        assert_true(aloop_stream_put(stream, bytes, size) >= 0);
        put_so_far += size;
    }
    if (put_so_far < TOTAL)
        aloop_then(aloop_stream_drain(stream), put_more, stream);
    else
        aloop_detach(aloop_stream_shutdown(stream));
}

static void on_answer(aloop_stream *stream, const void *data, ssize_t size,
                      void *arg)
{
    (void) arg;
    if (size > 0) {
        check_bytes(data, got_so_far, (size_t) size);
        got_so_far += (size_t) size;
        return;
    }
    assert_int_equal(size, 0);
    aloop_stream_close(stream);
}

static void on_connected(aloop_future *future, ssize_t status, void *arg)
{
    aloop_stream *stream = *(aloop_stream **) arg;

    assert_int_equal(status, 0);
    /* More than the high mark is queued most of the time, and reading
     * continues. */
    aloop_stream_set_watermarks(stream, CHUNK, CHUNK + 1);
    aloop_stream_start(stream, on_answer, NULL);
    put_more(future, 0, stream);
}

static void an_echo_by_callbacks_is_unaltered_in_a_chaotic_world(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        aloop_listener *listener;
        aloop_stream *stream;

        assert_true(renew(seed));
        sim_chaos();
        put_so_far = got_so_far = 0;
        aloop_tcp_listen(t.loop, "::1", "7", accept_by_callback, NULL,
                         &listener);
        aloop_then(aloop_tcp_connect(t.loop, "::1", "7", &stream),
                   on_connected, &stream);
        assert_int_equal(aloop_run(t.loop), 0);
        assert_int_equal(got_so_far, TOTAL);
        leave();
    }
}

/* An echo server with tasks. */

static ssize_t serve(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    char bytes[CHUNK];
    ssize_t n;

    (void) loop;
    while ((n = aloop_await(aloop_stream_read(stream, bytes, CHUNK))) > 0) {
        n = aloop_await(aloop_stream_write(stream, bytes, (size_t) n));
        if (n < 0)
            break;
    }
    aloop_stream_close(stream);
    return n;
}

static void accept_by_task(aloop_listener *listener, aloop_stream *stream,
                           void *arg)
{
    (void) arg;
    aloop_detach(aloop_spawn(t.loop, serve, stream));
    aloop_listener_close(listener);
}

static ssize_t send_all(aloop *loop, void *arg)
{
    char bytes[CHUNK];
    size_t place = 0;

    (void) loop;
    while (place < TOTAL) {
        size_t size = 1 + (size_t) sim_random(CHUNK);

        if (size > TOTAL - place)
            size = TOTAL - place;
        make_bytes(bytes, place, size);
        assert_int_equal(aloop_await(aloop_stream_write(arg, bytes, size)),
                         (ssize_t) size);
        place += size;
    }
    return aloop_await(aloop_stream_shutdown(arg));
}

static ssize_t receive_to_end(aloop *loop, void *arg)
{
    char bytes[CHUNK];
    ssize_t n, total = 0;

    (void) loop;
    do {
        size_t size = 1 + (size_t) sim_random(CHUNK);

        n = aloop_await(sim_random(2) == 0
                            ? aloop_stream_read(arg, bytes, size)
                            : aloop_stream_read_exactly(arg, bytes, size));
        if (n == ALOOP_EOF)
            n = aloop_await(aloop_stream_read_to_end(arg, bytes, CHUNK));
        assert_true(n >= 0);
        check_bytes(bytes, (size_t) total, (size_t) n);
        total += n;
    } while (n > 0);
    return total;
}

static void an_echo_by_tasks_is_unaltered_in_a_chaotic_world(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        aloop_listener *listener;
        aloop_stream *stream;
        aloop_future *sender;

        assert_true(renew(seed));
        sim_chaos();
        aloop_tcp_listen(t.loop, "::1", "7", accept_by_task, NULL, &listener);
        assert_int_equal(
            aloop_await(aloop_tcp_connect(t.loop, "::1", "7", &stream)), 0);
        sender = aloop_spawn(t.loop, send_all, stream);
        assert_int_equal(
            aloop_await(aloop_spawn(t.loop, receive_to_end, stream)), TOTAL);
        assert_int_equal(aloop_await(sender), 0);
        aloop_stream_close(stream);
        leave();
    }
}

/* Queries. */

static aloop_stream *accepted;

static void keep(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    accepted = stream;
    aloop_listener_close(listener);
}

static void a_stream_returns_both_addresses_and_its_descriptor(void **state)
{
    aloop_stream *stream;
    aloop_listener *listener;
    char local[96], peer[96];
    int length;

    (void) state;
    aloop_tcp_listen(t.loop, "::1", "7", keep, NULL, &listener);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "::1", "7", &stream)), 0);
    aloop_run(t.loop);

    length = aloop_stream_peer(stream, peer, sizeof peer);
    assert_int_equal(length, 7);
    assert_string_equal(peer, "[::1]:7");
    assert_int_equal(aloop_stream_peer(stream, local, 8), 7);
    length = aloop_stream_local(stream, local, sizeof local);
    assert_int_equal(length, (int) strlen(local));
    aloop_stream_peer(accepted, peer, sizeof peer);
    assert_string_equal(peer, local);
    assert_true(aloop_stream_fd(stream) >= 0);
    assert_int_equal(aloop_tcp_set_nodelay(stream, false), 0);
    aloop_stream_close(stream);
    aloop_stream_close(accepted);
}

static void invalid_queries_are_refused(void **state)
{
    aloop_stream *stream;
    aloop_listener *listener;
    char text[96] = "kept";

    (void) state;
    aloop_tcp_listen(t.loop, "::1", "7", keep, NULL, &listener);
    aloop_await(aloop_tcp_connect(t.loop, "::1", "7", &stream));
    aloop_run(t.loop);

    assert_int_equal(aloop_stream_peer(stream, text, 0), -ENOSPC);
    assert_int_equal(aloop_stream_peer(stream, text, 4), -ENOSPC);
    assert_string_equal(text, "kept");
    assert_int_equal(aloop_stream_peer(stream, NULL, 96), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_peer(NULL, text, 96), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_local(NULL, text, 96), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_nodelay(NULL, true), ALOOP_EINVAL);
    aloop_stream_close(stream);
    aloop_stream_close(accepted);
}

static void only_a_started_and_referenced_stream_keeps_the_loop_alive(
    void **state)
{
    aloop_stream *stream;
    aloop_listener *listener;

    (void) state;
    aloop_tcp_listen(t.loop, "::1", "7", keep, NULL, &listener);
    aloop_await(aloop_tcp_connect(t.loop, "::1", "7", &stream));
    aloop_run(t.loop);
    assert_false(aloop_alive(t.loop));

    aloop_stream_start(stream, on_echo, NULL);
    assert_true(aloop_alive(t.loop));
    aloop_stream_unref(stream);
    aloop_stream_unref(stream);
    assert_false(aloop_alive(t.loop));
    aloop_stream_ref(stream);
    aloop_stream_ref(stream);
    assert_true(aloop_alive(t.loop));
    aloop_stream_stop(stream);
    assert_false(aloop_alive(t.loop));
    aloop_stream_close(stream);
    aloop_stream_close(accepted);
}

static void a_pending_write_keeps_the_loop_of_an_unreferenced_stream_alive(
    void **state)
{
    aloop_stream *stream;
    aloop_listener *listener;
    aloop_future *write;

    (void) state;
    aloop_tcp_listen(t.loop, "::1", "7", keep, NULL, &listener);
    aloop_await(aloop_tcp_connect(t.loop, "::1", "7", &stream));
    aloop_run(t.loop);
    aloop_stream_unref(stream);

    write = aloop_stream_write(stream, "hello", 5);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(aloop_future_status(write), 5);
    aloop_future_unref(write);
    aloop_stream_close(stream);
    aloop_stream_close(accepted);
}

static void every_function_refuses_a_null_stream(void **state)
{
    char text[8];
    aloop_future *futures[] = {
        aloop_stream_read(NULL, text, 8),
        aloop_stream_read_exactly(NULL, text, 8),
        aloop_stream_read_exactly(NULL, NULL, 0),
        aloop_stream_read_until(NULL, text, 8, NULL, 0),
        aloop_stream_read_to_end(NULL, NULL, 0),
        aloop_stream_write(NULL, text, 8),
        aloop_stream_write(NULL, NULL, 0),
        aloop_stream_drain(NULL),
        aloop_stream_shutdown(NULL),
        aloop_stream_forward(NULL, NULL),
    };

    (void) state;
    for (size_t i = 0; i < sizeof futures / sizeof futures[0]; i++)
        assert_int_equal(aloop_await(futures[i]), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_start(NULL, on_answer, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_stop(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put(NULL, text, 8), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put(NULL, NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_watermarks(NULL, 0, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_auto_pause(NULL, true), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_peer(NULL, text, 8), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_local(NULL, text, 8), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_nodelay(NULL, true), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_queued(NULL), 0);
    aloop_stream_ref(NULL);
    aloop_stream_unref(NULL);
    aloop_stream_close(NULL);
    aloop_stream_abort(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_function_refuses_a_null_stream),
        TEST(an_echo_by_callbacks_is_unaltered_in_a_chaotic_world),
        TEST(an_echo_by_tasks_is_unaltered_in_a_chaotic_world),
        TEST(a_stream_returns_both_addresses_and_its_descriptor),
        TEST(invalid_queries_are_refused),
        TEST(only_a_started_and_referenced_stream_keeps_the_loop_alive),
        TEST(a_pending_write_keeps_the_loop_of_an_unreferenced_stream_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
