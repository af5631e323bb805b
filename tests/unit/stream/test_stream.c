/* Tests of what the queries of a stream return. */

#include "support/stream_fixture.h"

#include <string.h>

static aloop_stream *accepted;

static void no_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
}

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
    aloop_address address;

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
    assert_int_equal(aloop_stream_peer_address(stream, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_peer_address(NULL, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_local_address(stream, NULL), ALOOP_EINVAL);
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

    aloop_stream_start(stream, no_data, NULL);
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
    assert_int_equal(aloop_stream_start(NULL, no_data, NULL), ALOOP_EINVAL);
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
        TEST(a_stream_returns_both_addresses_and_its_descriptor),
        TEST(invalid_queries_are_refused),
        TEST(only_a_started_and_referenced_stream_keeps_the_loop_alive),
        TEST(a_pending_write_keeps_the_loop_of_an_unreferenced_stream_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
