/* Tests of the options of connected TCP sockets. */

#include "support/stream_fixture.h"

#include <errno.h>
#include <limits.h>

static void options_are_set_by_the_calls_of_the_system(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(
        aloop_tcp_set_keepalive(stream, ALOOP_SEC(60), ALOOP_SEC(5), 3), 0);
    assert_int_equal(aloop_tcp_set_keepalive(stream, -1, 0, 0), 0);
    assert_int_equal(sim_calls("aloop__sys_keepalive"), 2);
    assert_int_equal(aloop_tcp_set_user_timeout(stream, ALOOP_SEC(30)), 0);
    assert_int_equal(sim_calls("aloop__sys_user_timeout"), 1);
    assert_int_equal(aloop_tcp_set_buffers(stream, 0, 0), 0);
    assert_int_equal(sim_calls("aloop__sys_receive_buffer"), 0);
    assert_int_equal(aloop_tcp_set_buffers(stream, 4096, 8192), 0);
    assert_int_equal(sim_calls("aloop__sys_receive_buffer"), 1);
    assert_int_equal(sim_calls("aloop__sys_send_buffer"), 1);
    assert_int_equal(aloop_tcp_set_tos(stream, 0x10), 0);
    assert_int_equal(sim_calls("aloop__sys_traffic_class"), 1);
    aloop_stream_close(stream);
}

static void numbers_out_of_range_are_refused(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_tcp_set_keepalive(stream, INT64_MAX, 0, 0),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_keepalive(stream, 0, -1, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_keepalive(stream, 0, 0, -1), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_keepalive(stream, 0, 0, 128), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_user_timeout(stream, -1), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_user_timeout(stream, INT64_MAX),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_buffers(stream, SIZE_MAX, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_buffers(stream, 0, SIZE_MAX), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_tos(stream, -1), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_tos(stream, 256), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_keepalive(NULL, 0, 0, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_user_timeout(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_buffers(NULL, 1, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_set_tos(NULL, 0), ALOOP_EINVAL);
    aloop_stream_close(stream);
}

static void refused_options_are_reported(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    sim_fail("aloop__sys_keepalive", 1, -ENOTSUP); /* As on OpenBSD. */
    assert_int_equal(aloop_tcp_set_keepalive(stream, ALOOP_SEC(1), 0, 0),
                     ALOOP_ENOTSUP);
    sim_fail("aloop__sys_receive_buffer", 1, -ENOBUFS);
    assert_int_equal(aloop_tcp_set_buffers(stream, 1, 1), ALOOP_ENOBUFS);
    assert_int_equal(sim_calls("aloop__sys_send_buffer"), 0);
    sim_fail("aloop__sys_local_address", 1, -ENOBUFS);
    assert_int_equal(aloop_tcp_set_tos(stream, 0), ALOOP_ENOBUFS);
    aloop_stream_close(stream);
}

static void streams_that_are_not_of_tcp_have_no_options(void **state)
{
    aloop_stream *streams[3] = {NULL};

    (void) state;
    assert_int_equal(aloop_stream_pair(t.loop, &streams[0], &streams[1]), 0);
    assert_int_equal(aloop_tcp_set_nodelay(streams[0], true), ALOOP_ENOTSUP);
    assert_int_equal(aloop_tcp_set_keepalive(streams[0], 0, 0, 0),
                     ALOOP_ENOTSUP);
    assert_int_equal(aloop_tcp_set_user_timeout(streams[0], 0), ALOOP_ENOTSUP);
    assert_int_equal(aloop_tcp_set_buffers(streams[0], 1, 1), ALOOP_ENOTSUP);
    assert_int_equal(aloop_tcp_set_tos(streams[0], 0), ALOOP_ENOTSUP);
    aloop_stream_close(streams[0]);
    aloop_stream_close(streams[1]);
    assert_int_equal(aloop_pipe_open(t.loop, &streams[0], &streams[1]), 0);
    assert_int_equal(aloop_tcp_set_nodelay(streams[1], true), ALOOP_ENOTSUP);
    aloop_stream_close(streams[0]);
    aloop_stream_close(streams[1]);
}

static void a_connect_is_bound_to_its_local_address(void **state)
{
    aloop_tcp_connect_options options = {.size = sizeof options};
    aloop_stream *stream = NULL;
    char text[96];

    (void) state;
    assert_true(sim_listen("127.0.0.1", 80, 8) >= 0);
    assert_int_equal(aloop_address_parse("127.0.0.1:4000", &options.local), 0);
    assert_int_equal(aloop_await(aloop_tcp_connect_with(
                         t.loop, "127.0.0.1", "80", &options, &stream)),
                     0);
    assert_true(aloop_stream_local(stream, text, sizeof text) > 0);
    assert_string_equal(text, "127.0.0.1:4000");
    aloop_stream_close(stream);
    assert_int_equal(aloop_address_parse("::1", &options.local), 0);
    assert_int_equal(aloop_await(aloop_tcp_connect_with(
                         t.loop, "127.0.0.1", "80", &options, &stream)),
                     ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_await(aloop_tcp_connect_with(t.loop, "127.0.0.1",
                                                        "80", NULL, &stream)),
                     0);
    aloop_stream_close(stream);
}

static void invalid_options_of_a_connect_are_refused(void **state)
{
    aloop_tcp_connect_options options = {.size = 3};
    aloop_stream *stream = NULL;

    (void) state;
    assert_int_equal(aloop_await(aloop_tcp_connect_with(
                         t.loop, "127.0.0.1", "80", &options, &stream)),
                     ALOOP_EINVAL);
    options =
        (aloop_tcp_connect_options){.size = sizeof options, .local.family = 77};
    assert_int_equal(aloop_await(aloop_tcp_connect_with(
                         t.loop, "127.0.0.1", "80", &options, &stream)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_tcp_connect_with(t.loop, NULL, "80", NULL, &stream)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_tcp_connect_with(NULL, "127.0.0.1", "80",
                                                        NULL, &stream)),
                     ALOOP_EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(options_are_set_by_the_calls_of_the_system),
        TEST(numbers_out_of_range_are_refused),
        TEST(refused_options_are_reported),
        TEST(a_connect_is_bound_to_its_local_address),
        TEST(invalid_options_of_a_connect_are_refused),
        TEST(streams_that_are_not_of_tcp_have_no_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
