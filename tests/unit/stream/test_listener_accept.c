/* Tests of aloop_listener_accept(). */

#include "support/stream_fixture.h"

#include <errno.h>

static aloop_listener *listener;
static uint16_t port;

static void listen_without_callback(void)
{
    assert_int_equal(
        aloop_tcp_listen(t.loop, "127.0.0.1", "0", NULL, NULL, &listener), 0);
    port = (uint16_t) aloop_listener_port(listener);
}

static void each_accept_gets_a_connection_in_order(void **state)
{
    aloop_stream *streams[3] = {NULL};
    aloop_future *accepts[3];
    char byte;

    (void) state;
    listen_without_callback();
    for (int i = 0; i < 3; i++)
        accepts[i] = aloop_listener_accept(listener, &streams[i]);
    for (int i = 0; i < 3; i++) {
        int peer = sim_connect(port);

        assert_int_equal(sim_peer_send(peer, &"abc"[i], 1), 1);
    }

    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_await(accepts[i]), 0);
        assert_int_equal(aloop_await(aloop_stream_read(streams[i], &byte, 1)),
                         1);
        assert_int_equal(byte, 'a' + i);
        aloop_stream_close(streams[i]);
    }
    aloop_listener_close(listener);
}

static void connections_wait_until_there_is_an_accept(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    listen_without_callback();
    for (int i = 0; i < 3; i++)
        assert_true(sim_connect(port) >= 0);
    run_for(MS);
    assert_int_equal(sim_calls("aloop__sys_accept"), 0);
    assert_quiet_for_a_second();

    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)),
                         0);
        aloop_stream_close(stream);
    }
    assert_int_equal(sim_calls("aloop__sys_accept"), 3);
    assert_true(sim_connect(port) >= 0);
    run_for(MS);
    assert_quiet_for_a_second();
    aloop_listener_close(listener);
}

static void a_cancelled_accept_takes_no_connection(void **state)
{
    aloop_stream *first = NULL, *second = NULL;
    aloop_future *accept;

    (void) state;
    listen_without_callback();
    accept = aloop_listener_accept(listener, &first);
    run_for(MS);
    aloop_future_unref(accept);
    assert_true(sim_connect(port) >= 0);
    run_for(MS);
    assert_null(first);

    assert_int_equal(aloop_await(aloop_listener_accept(listener, &second)), 0);
    assert_non_null(second);
    aloop_stream_close(second);
    aloop_listener_close(listener);
}

static void a_close_cancels_the_pending_accepts(void **state)
{
    aloop_stream *stream = NULL;
    aloop_future *accepts[2];

    (void) state;
    listen_without_callback();
    for (int i = 0; i < 2; i++)
        accepts[i] = aloop_listener_accept(listener, &stream);
    aloop_listener_close(listener);

    for (int i = 0; i < 2; i++) {
        assert_true(aloop_future_is_settled(accepts[i]));
        assert_int_equal(aloop_await(accepts[i]), ALOOP_EABORTED);
    }
    assert_null(stream);
}

static void no_shortage_and_no_broken_connection_fails_an_accept(void **state)
{
    static const int errors[] = {ALOOP_EMFILE,       ALOOP_ENFILE,
                                 ALOOP_ECONNABORTED, ALOOP_ENOMEM,
                                 ALOOP_ENOBUFS,      -EPROTO};
    aloop_stream *stream = NULL;

    (void) state;
    listen_without_callback();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_true(sim_connect(port) >= 0);
        sim_fail("aloop__sys_accept", 1, errors[i]);
        assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)),
                         0);
        assert_int_equal(sim_faults_pending(), 0);
        aloop_stream_close(stream);
    }
    assert_int_equal(t.unhandled, 4); /* The shortages. */
    aloop_listener_close(listener);
}

static void accepts_during_a_shortage_wait_for_its_end(void **state)
{
    aloop_stream *streams[2] = {NULL};
    aloop_future *first, *second;
    unsigned calls;

    (void) state;
    listen_without_callback();
    assert_true(sim_connect(port) >= 0);
    assert_true(sim_connect(port) >= 0);
    sim_fail("aloop__sys_accept", 1, ALOOP_EMFILE);
    first = aloop_listener_accept(listener, &streams[0]);
    run_for(MS);
    calls = sim_calls("aloop__sys_accept");
    aloop_future_unref(first);
    second = aloop_listener_accept(listener, &streams[1]);
    run_for(50 * MS);
    assert_int_equal(sim_calls("aloop__sys_accept"), calls);

    assert_int_equal(aloop_await(second), 0);
    assert_null(streams[0]);
    aloop_stream_close(streams[1]);
    aloop_listener_close(listener);
}

static void a_shortage_that_ends_without_an_accept_is_quiet(void **state)
{
    aloop_stream *stream = NULL;
    aloop_future *accept;

    (void) state;
    listen_without_callback();
    assert_true(sim_connect(port) >= 0);
    sim_fail("aloop__sys_accept", 1, ALOOP_EMFILE);
    accept = aloop_listener_accept(listener, &stream);
    run_for(MS);
    aloop_future_unref(accept);
    run_for(200 * MS);
    assert_quiet_for_a_second();
    aloop_listener_close(listener);
}

static void an_accept_that_cannot_be_watched_waits_and_is_reported(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    listen_without_callback();
    assert_true(sim_connect(port) >= 0);
    sim_fail("aloop__reactor_set", 1, ALOOP_ENOSPC);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)), 0);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ENOSPC);
    aloop_stream_close(stream);
    aloop_listener_close(listener);
}

static void only_a_pending_accept_keeps_the_loop_alive(void **state)
{
    aloop_stream *stream = NULL;
    aloop_future *accept;

    (void) state;
    listen_without_callback();
    assert_false(aloop_alive(t.loop));
    accept = aloop_listener_accept(listener, &stream);
    assert_true(aloop_alive(t.loop));
    aloop_listener_unref(listener);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    aloop_listener_ref(listener);
    assert_true(aloop_alive(t.loop));
    aloop_future_unref(accept);
    assert_int_equal(aloop_run(t.loop), 0);
    aloop_listener_close(listener);
}

static void an_accept_on_a_listener_with_a_callback_is_a_mistake(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted,
                                      NULL, &listener),
                     0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)),
                     ALOOP_EINVAL);
    aloop_listener_close(listener);
    assert_int_equal(aloop_await(aloop_listener_accept(NULL, &stream)),
                     ALOOP_EINVAL);
    listen_without_callback();
    assert_int_equal(aloop_await(aloop_listener_accept(listener, NULL)),
                     ALOOP_EINVAL);
    aloop_listener_close(listener);
}

static void a_lost_descriptor_fails_pending_and_later_accepts(void **state)
{
    aloop_stream *stream = NULL, *other = NULL;
    aloop_future *accept;

    (void) state;
    sim_listen("10.0.0.1", 80, 1);
    listen_without_callback();
    accept = aloop_listener_accept(listener, &stream);
    aloop__sys_close(aloop_listener_fd(listener));
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "10.0.0.1", "80", &other)), 0);

    assert_int_equal(aloop_await(accept), ALOOP_EBADF);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)),
                     ALOOP_EBADF);
    assert_int_equal(t.unhandled, 0);
    aloop_listener_close(listener);
    aloop_stream_close(other);
    aloop_run(t.loop);
}

static void a_number_that_is_not_open_fails_an_accept(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    listen_without_callback();
    aloop__sys_close(aloop_listener_fd(listener));
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)),
                     ALOOP_EBADF);
    assert_int_equal(aloop_listener_fd(listener), ALOOP_EBADF);
    aloop_listener_close(listener);
}

static void a_loop_can_be_freed_with_pending_accepts(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    listen_without_callback();
    aloop_detach(aloop_listener_accept(listener, &stream));
    aloop_detach(aloop_listener_accept(listener, &stream));
    turns(2); /* tear_down() frees the loop. */
}

/* Returns the descriptor of a socket that listens on the port 80. */
static int open_listening(void)
{
    struct sys_address address;
    int fd = aloop__sys_tcp_socket(SYS_INET);

    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "80", &address), 0);
    assert_int_equal(aloop__sys_bind(fd, &address), 0);
    assert_int_equal(aloop__sys_listen(fd, 8), 0);
    return fd;
}

static void a_descriptor_that_listens_can_be_adopted(void **state)
{
    aloop_stream *stream = NULL;
    int fd = open_listening();

    (void) state;
    assert_int_equal(aloop_listener_adopt(t.loop, fd, NULL, NULL, &listener),
                     0);
    assert_int_equal(aloop_listener_fd(listener), fd);
    assert_int_equal(aloop_listener_port(listener), 80);
    assert_true(sim_connect(80) >= 0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)), 0);
    aloop_stream_close(stream);
    aloop_listener_close(listener); /* Closes the descriptor. */
}

static void a_failed_adoption_leaves_the_descriptor(void **state)
{
    int fd = aloop__sys_tcp_socket(SYS_INET);

    (void) state;
    assert_int_equal(aloop_listener_adopt(t.loop, fd, NULL, NULL, &listener),
                     ALOOP_EINVAL);
    assert_int_equal(aloop__sys_close(fd), 0);
    assert_int_equal(aloop_listener_adopt(t.loop, -1, NULL, NULL, &listener),
                     ALOOP_EBADF);
    fd = open_listening();
    assert_int_equal(aloop_listener_adopt(t.loop, fd, NULL, NULL, NULL),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_listener_adopt(NULL, fd, NULL, NULL, &listener),
                     ALOOP_EINVAL);
    sim_fail("aloop__reactor_set", 1, ALOOP_ENOMEM);
    assert_int_equal(
        aloop_listener_adopt(t.loop, fd, close_accepted, NULL, &listener),
        ALOOP_ENOMEM);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_unix_socket_that_is_adopted_has_unix_streams(void **state)
{
    int fd = aloop__sys_tcp_socket(SYS_UNIX);
    struct sys_address address;
    aloop_stream *stream = NULL;

    (void) state;
    assert_int_equal(aloop__sys_unix_address("@adopted", &address), 0);
    assert_int_equal(aloop__sys_bind(fd, &address), 0);
    assert_int_equal(aloop__sys_listen(fd, 8), 0);
    assert_int_equal(aloop_listener_adopt(t.loop, fd, NULL, NULL, &listener),
                     0);
    assert_true(sim_connect_unix("@adopted") >= 0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)), 0);
    assert_int_equal(aloop_stream_set_fds_max(stream, 1), 0);
    aloop_stream_close(stream);
    aloop_listener_close(listener);
    fd = sim_file();
    assert_int_equal(aloop_listener_adopt(t.loop, fd, NULL, NULL, &listener),
                     ALOOP_ENOTSUP);
    assert_int_equal(aloop__sys_close(fd), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(each_accept_gets_a_connection_in_order),
        TEST(connections_wait_until_there_is_an_accept),
        TEST(a_cancelled_accept_takes_no_connection),
        TEST(a_close_cancels_the_pending_accepts),
        TEST(no_shortage_and_no_broken_connection_fails_an_accept),
        TEST(accepts_during_a_shortage_wait_for_its_end),
        TEST(a_shortage_that_ends_without_an_accept_is_quiet),
        TEST(an_accept_that_cannot_be_watched_waits_and_is_reported),
        TEST(only_a_pending_accept_keeps_the_loop_alive),
        TEST(an_accept_on_a_listener_with_a_callback_is_a_mistake),
        TEST(a_lost_descriptor_fails_pending_and_later_accepts),
        TEST(a_number_that_is_not_open_fails_an_accept),
        TEST(a_loop_can_be_freed_with_pending_accepts),
        TEST(a_descriptor_that_listens_can_be_adopted),
        TEST(a_failed_adoption_leaves_the_descriptor),
        TEST(a_unix_socket_that_is_adopted_has_unix_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
