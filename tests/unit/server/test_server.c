/* Tests of servers. */

#include "support/stream_fixture.h"

#include <errno.h>

enum { PEERS = 5 };

static aloop_server *server;
static uint16_t port;
static int peers[PEERS];

static struct {
    int begun, ended, cancelled;
    int now, most; /* Connections that are served simultaneously. */
    ssize_t status;
} served;

/* Echoes until the peer ends.  "!" makes it fail. */
static ssize_t serve(aloop *loop, aloop_stream *stream, void *arg)
{
    ssize_t n;
    char byte = 0;

    assert_ptr_equal(loop, t.loop);
    assert_ptr_equal(arg, &served);
    served.begun++;
    if (++served.now > served.most)
        served.most = served.now;
    while ((n = aloop_await(aloop_stream_read(stream, &byte, 1))) > 0 &&
           byte != '!')
        aloop_await(aloop_stream_write(stream, &byte, 1));
    served.now--;
    served.ended++;
    served.cancelled += n == ALOOP_ECANCELED;
    aloop_stream_close(stream);
    return byte == '!' ? -EINVAL : n;
}

static void serve_with(const aloop_server_options *options)
{
    memset(&served, 0, sizeof served);
    assert_int_equal(aloop_tcp_serve(t.loop, "127.0.0.1", "0", serve, &served,
                                     options, &server),
                     0);
    port = (uint16_t) aloop_listener_port(aloop_server_listener(server));
}

static void connect_peers(int count)
{
    for (int i = 0; i < count; i++) {
        peers[i] = sim_connect(port);
        assert_true(peers[i] >= 0);
    }
    run_for(MS);
}

static void expect_echo(int peer)
{
    char byte = 0;

    assert_int_equal(sim_peer_send(peer, "x", 1), 1);
    run_for(MS);
    assert_int_equal(sim_peer_receive(peer, &byte, 1), 1);
    assert_int_equal(byte, 'x');
}

static ssize_t stop(int64_t grace_ns)
{
    return aloop_await(aloop_server_stop(server, grace_ns));
}

static void each_connection_is_served_by_a_task(void **state)
{
    (void) state;
    serve_with(NULL);
    assert_int_equal(aloop_server_count(server), 0);
    connect_peers(PEERS);
    assert_int_equal(aloop_server_count(server), PEERS);
    for (int i = 0; i < PEERS; i++)
        expect_echo(peers[i]);
    for (int i = 0; i < PEERS; i++)
        sim_peer_close(peers[i]);
    run_for(MS);
    assert_int_equal(served.ended, PEERS);
    assert_int_equal(aloop_server_count(server), 0);
    assert_int_equal(stop(0), 0);
    assert_int_equal(t.unhandled, 0);
}

static void more_connections_than_the_limit_wait_in_the_backlog(void **state)
{
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = 2};

    (void) state;
    serve_with(&options);
    connect_peers(PEERS);
    assert_int_equal(served.begun, 2);
    assert_int_equal(sim_calls("aloop__sys_accept"), 2);
    assert_quiet_for_a_second();
    for (int i = 0; i < PEERS; i++) {
        expect_echo(peers[i]);
        sim_peer_close(peers[i]);
        run_for(MS);
        assert_int_equal(served.ended, i + 1);
    }
    assert_int_equal(served.most, 2);
    assert_int_equal(stop(0), 0);
}

/* Without a limit the server accepts until no descriptor is left. */
static void a_server_without_descriptors_continues_when_there_are_some(
    void **state)
{
    (void) state;
    serve_with(NULL);
    connect_peers(2);
    sim_fail_from("aloop__sys_accept", 1, ALOOP_EMFILE);
    for (int i = 2; i < PEERS; i++)
        peers[i] = sim_connect(port);
    run_for(ALOOP_SEC(1));
    assert_int_equal(served.begun, 2);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EMFILE);
    expect_echo(peers[0]);
    sim_forgive();
    run_for(ALOOP_SEC(1));
    for (int i = 0; i < PEERS; i++) {
        expect_echo(peers[i]);
        sim_peer_close(peers[i]);
    }
    assert_int_equal(stop(ALOOP_SEC(1)), 0);
    assert_int_equal(t.unhandled, 1);
}

static void an_error_of_a_connection_is_not_one_of_the_server(void **state)
{
    (void) state;
    serve_with(NULL);
    connect_peers(2);
    assert_int_equal(sim_peer_send(peers[0], "!", 1), 1);
    run_for(MS);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EINVAL);
    assert_string_equal(t.unhandled_what, "connection of a server");
    expect_echo(peers[1]);
    sim_peer_reset(peers[1]);
    connect_peers(1);
    assert_int_equal(t.unhandled_error, ALOOP_ECONNRESET);
    expect_echo(peers[0]);
    sim_peer_close(peers[0]);
    assert_int_equal(stop(ALOOP_SEC(1)), 0);
}

static void a_stop_accepts_no_more_and_waits_for_open_connections(void **state)
{
    aloop_future *stopped;

    (void) state;
    serve_with(NULL);
    connect_peers(2);
    stopped = aloop_server_stop(server, ALOOP_SEC(10));
    assert_null(aloop_server_listener(server));
    assert_true(sim_connect(port) < 0);
    assert_int_equal(aloop_await(aloop_server_stop(server, 0)), ALOOP_EBUSY);
    expect_echo(peers[0]);
    sim_peer_close(peers[0]);
    run_for(MS);
    assert_false(aloop_future_is_settled(stopped));
    sim_peer_close(peers[1]);
    assert_int_equal(aloop_await(stopped), 0);
    assert_int_equal(served.cancelled, 0);
}

static void what_is_open_after_the_time_is_cancelled_and_awaited(void **state)
{
    int64_t begin_ns = aloop_now(t.loop);

    (void) state;
    serve_with(NULL);
    connect_peers(3);
    sim_peer_close(peers[2]);
    assert_int_equal(stop(ALOOP_SEC(10)), 2);
    assert_int_equal(served.ended, 3);
    assert_int_equal(served.cancelled, 2);
    assert_in_range(aloop_now(t.loop) - begin_ns, ALOOP_SEC(10), ALOOP_SEC(11));
    run_for(MS);
    assert_true(sim_peer_eof(peers[0]));
    assert_int_equal(t.unhandled, 0);
}

static void a_cancel_of_the_stop_ends_the_time_early(void **state)
{
    aloop_future *stopped;

    (void) state;
    serve_with(NULL);
    connect_peers(2);
    stopped = aloop_server_stop(server, ALOOP_SEC(10));
    assert_int_equal(aloop_cancel(stopped), 1);
    assert_int_equal(served.ended, 0); /* They are awaited. */
    assert_int_equal(aloop_await(stopped), ALOOP_EABORTED);
    assert_int_equal(served.ended, 2);
}

static void a_stop_that_was_dropped_or_detached_still_frees_the_server(
    void **state)
{
    (void) state;
    serve_with(NULL);
    connect_peers(2);
    aloop_future_unref(aloop_server_stop(server, ALOOP_SEC(10)));
    run_for(MS);
    assert_int_equal(served.ended, 2);
    serve_with(NULL);
    connect_peers(2);
    aloop_detach(aloop_server_stop(server, ALOOP_SEC(10)));
    run_for(ALOOP_SEC(11));
    assert_int_equal(served.ended, 2);
}

/* Stops the server that it belongs to, and waits for it. */
static ssize_t stop_oneself(aloop *loop, aloop_stream *stream, void *arg)
{
    (void) loop;
    (void) arg;
    served.status = aloop_await(aloop_server_stop(server, ALOOP_SEC(1)));
    aloop_stream_close(stream);
    return 0;
}

static void a_connection_cannot_wait_for_the_end_of_its_server(void **state)
{
    (void) state;
    assert_int_equal(aloop_tcp_serve(t.loop, "127.0.0.1", "80", stop_oneself,
                                     NULL, NULL, &server),
                     0);
    port = 80;
    connect_peers(1);
    assert_int_equal(served.status, ALOOP_EDEADLK);
    run_for(ALOOP_SEC(2));
}

static void a_connection_without_memory_for_its_task_is_reset(void **state)
{
    ssize_t now;

    (void) state;
    serve_with(NULL);
    connect_peers(1);
    peers[1] = sim_connect(port);
    peers[2] = sim_connect(port);
    memory.is_out = true;
    for (int i = 0; i < 100; i++)
        aloop_step(t.loop, 0);
    memory.is_out = false;
    run_for(ALOOP_SEC(1));
    expect_echo(peers[0]);
    connect_peers(1);
    expect_echo(peers[0]);
    now = (ssize_t) served.now;
    assert_int_equal(stop(0), now);
}

/* A stack of this size cannot be had. */
static void a_task_without_memory_for_its_stack_leaves_no_stream(void **state)
{
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = 1,
                                    .stack_size = SIZE_MAX / 4};

    (void) state;
    serve_with(&options);
    connect_peers(3);
    run_for(MS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sim_peer_error(peers[i]), -ECONNRESET);
    assert_int_equal(served.begun, 0);
    assert_int_equal(t.unhandled, 1); /* Once. */
    assert_int_equal(t.unhandled_error, ALOOP_ENOMEM);
    assert_int_equal(aloop_server_count(server), 0);
    assert_int_equal(stop(0), 0);
}

static void a_stop_needs_no_memory(void **state)
{
    (void) state;
    serve_with(NULL);
    connect_peers(2);
    memory.is_out = true;
    aloop_detach(aloop_server_stop(server, 0));
    for (int i = 0; i < 20; i++)
        aloop_step(t.loop, 0);
    memory.is_out = false;
    assert_int_equal(served.ended, 2);
    serve_with(NULL);
    memory.is_out = true;
    aloop_detach(aloop_server_stop(server, 0));
    memory.is_out = false;
}

static void connections_that_a_shared_port_has_given_are_served(void **state)
{
    aloop_tcp_listen_options listen = {.size = sizeof listen,
                                       .reuse_port = true};
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = 2,
                                    .listen = &listen};
    aloop_future *stopped;

    (void) state;
    serve_with(&options);
    connect_peers(PEERS);
    assert_int_equal(served.begun, 2);
    stopped = aloop_server_stop(server, ALOOP_SEC(10));
    for (int i = 0; i < 3; i++) {
        expect_echo(peers[i]);
        sim_peer_close(peers[i]);
        run_for(MS);
    }
    assert_int_equal(served.begun, PEERS);
    assert_int_equal(aloop_await(stopped), 2);
    assert_int_equal(served.most, 2);
    /* Those that have to wait until the time is over are reset. */
    serve_with(&options);
    connect_peers(PEERS);
    assert_int_equal(stop(ALOOP_SEC(1)), 2);
    assert_int_equal(served.begun, 2);
    run_for(MS);
    assert_int_equal(sim_peer_error(peers[4]), -ECONNRESET);
}

static void a_listener_of_any_kind_can_be_served(void **state)
{
    aloop_stream *stream = NULL;
    aloop_listener *listener;
    aloop_future *accept;
    char byte = 0;

    (void) state;
    memset(&served, 0, sizeof served);
    assert_int_equal(aloop_unix_listen(t.loop, "@name", NULL, NULL, &listener),
                     0);
    accept = aloop_listener_accept(listener, &stream);
    assert_int_equal(
        aloop_listener_serve(listener, serve, &served, NULL, &server),
        ALOOP_EBUSY);
    aloop_future_unref(accept);
    assert_int_equal(
        aloop_listener_serve(listener, serve, &served, NULL, &server), 0);
    assert_int_equal(
        aloop_listener_serve(listener, serve, &served, NULL, &server),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "@name", &stream)),
                     0);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "y", 1)), 1);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 1);
    assert_int_equal(byte, 'y');
    aloop_stream_close(stream);
    assert_int_equal(stop(ALOOP_SEC(1)), 0);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_tcp_listen_options listen = {.size = sizeof listen};
    aloop_server_options options = {.size = 3};
    aloop_listener *listener;

    (void) state;
    assert_int_equal(
        aloop_tcp_serve(NULL, NULL, "0", serve, NULL, NULL, &server),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_serve(t.loop, NULL, "0", NULL, NULL, NULL, &server),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_serve(t.loop, NULL, "0", serve, NULL, NULL, NULL),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_serve(t.loop, NULL, "0", serve, NULL, &options, &server),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_serve(t.loop, "name", "0", serve, NULL, NULL, &server),
        ALOOP_ENOTNUMERIC);
    assert_int_equal(aloop_tcp_listen(t.loop, NULL, "0", NULL, NULL, &listener),
                     0);
    options = (aloop_server_options){.size = sizeof options, .listen = &listen};
    assert_int_equal(
        aloop_listener_serve(listener, serve, NULL, &options, &server),
        ALOOP_EINVAL);
    assert_int_equal(aloop_listener_serve(NULL, serve, NULL, NULL, &server),
                     ALOOP_EINVAL);
    aloop_listener_close(listener);
    assert_null(aloop_server_listener(NULL));
    assert_int_equal(aloop_server_count(NULL), 0);
    assert_int_equal(aloop_await(aloop_server_stop(NULL, 0)), ALOOP_EINVAL);
    serve_with(NULL);
    assert_int_equal(stop(-1), ALOOP_EINVAL);
    assert_int_equal(stop(0), 0);
}

static void only_a_stop_closes_the_listener_of_a_server(void **state)
{
    (void) state;
    serve_with(NULL);
    aloop_listener_close(aloop_server_listener(server));
    connect_peers(1);
    expect_echo(peers[0]);
    aloop_listener_close(aloop_server_listener(server));
    assert_int_equal(stop(0), 1);
}

static void a_loop_can_be_freed_with_a_server(void **state)
{
    (void) state;
    serve_with(NULL);
    connect_peers(2);
    serve_with(NULL);
    connect_peers(2);
    aloop_detach(aloop_server_stop(server, ALOOP_SEC(10)));
    /* tear_down() frees the loop. */
}

static void a_server_that_cannot_begin_leaves_nothing(void **state)
{
    aloop_listener *listener;
    int refused = 0;

    (void) state;
    assert_int_equal(
        aloop_tcp_listen(t.loop, NULL, "80", NULL, NULL, &listener), 0);
    sim_fail("aloop__reactor_set", 1, ALOOP_ENOMEM);
    assert_int_equal(
        aloop_listener_serve(listener, serve, &served, NULL, &server),
        ALOOP_ENOMEM);
    aloop_listener_close(listener);
    free_counted_loop();
    for (unsigned i = 1; i < 40; i++) {
        t.loop = memory_loop(i);
        if (t.loop == NULL)
            continue;
        if (aloop_tcp_serve(t.loop, "127.0.0.1", "80", serve, &served, NULL,
                            &server) < 0)
            refused++;
        else
            assert_int_equal(stop(0), 0);
        aloop_free(t.loop);
        assert_int_equal(memory.bytes, 0);
    }
    assert_true(refused > 0);
    t.loop = memory_loop(0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        MEMORY_TEST(each_connection_is_served_by_a_task),
        MEMORY_TEST(more_connections_than_the_limit_wait_in_the_backlog),
        MEMORY_TEST(a_server_without_descriptors_continues_when_there_are_some),
        MEMORY_TEST(an_error_of_a_connection_is_not_one_of_the_server),
        MEMORY_TEST(a_stop_accepts_no_more_and_waits_for_open_connections),
        MEMORY_TEST(what_is_open_after_the_time_is_cancelled_and_awaited),
        MEMORY_TEST(a_cancel_of_the_stop_ends_the_time_early),
        MEMORY_TEST(a_stop_that_was_dropped_or_detached_still_frees_the_server),
        MEMORY_TEST(a_connection_cannot_wait_for_the_end_of_its_server),
        MEMORY_TEST(a_connection_without_memory_for_its_task_is_reset),
        MEMORY_TEST(a_task_without_memory_for_its_stack_leaves_no_stream),
        MEMORY_TEST(a_stop_needs_no_memory),
        MEMORY_TEST(connections_that_a_shared_port_has_given_are_served),
        MEMORY_TEST(a_listener_of_any_kind_can_be_served),
        MEMORY_TEST(invalid_arguments_are_refused),
        MEMORY_TEST(only_a_stop_closes_the_listener_of_a_server),
        MEMORY_TEST(a_loop_can_be_freed_with_a_server),
        MEMORY_TEST(a_server_that_cannot_begin_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
