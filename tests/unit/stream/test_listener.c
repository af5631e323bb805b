/* Tests of TCP listeners: listening, accepting, and failures of both. */

#include "support/listener_fixture.h"

static void connections_are_accepted_in_order(void **state)
{
    int peers[3];
    char text[96], byte;

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    assert_true(l.port > 0);
    for (int i = 0; i < 3; i++) {
        peers[i] = sim_connect(l.port);
        assert_int_equal(sim_peer_send(peers[i], &"abc"[i], 1), 1);
    }
    run_for(10 * MS);

    assert_int_equal(l.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_await(aloop_stream_read(l.streams[i], &byte, 1)),
                         1);
        assert_int_equal(byte, 'a' + i);
    }
    assert_true(aloop_stream_peer(l.streams[0], text, sizeof text) > 0);
    assert_memory_equal(text, "127.0.0.1:", 10);
    close_streams();
    aloop_listener_close(l.listener);
}

static int64_t count_reading(void *context)
{
    ++*(int *) context;
    return 0;
}

static void a_turn_of_a_listening_loop_reads_no_clock(void **state)
{
    int readings = 0;
    aloop_options options = {.size = sizeof options,
                             .clock_ns = count_reading,
                             .clock_context = &readings};
    aloop *loop = aloop_new(&options);
    aloop_listener *listener;

    (void) state;
    assert_int_equal(
        aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream, &l, &listener), 0);
    aloop_step(loop, 0);
    readings = 0;
    aloop_step(loop, 0);

    assert_int_equal(readings, 0);
    aloop_free(loop);
}

static void a_null_host_listens_on_every_local_address(void **state)
{
    (void) state;
    assert_int_equal(listen_on(NULL, "8080"), 0);
    assert_int_equal(l.port, 8080);
    assert_true(sim_connect_to("127.0.0.1", 8080) >= 0);
    assert_true(sim_connect_to("::1", 8080) >= 0);
    run_for(10 * MS);

    assert_int_equal(l.count, 2);
    close_streams();
    aloop_listener_close(l.listener);
}

static void listening_on_localhost_needs_no_look_up(void **state)
{
    static const char *const names[] = {"localhost", "LocalHost", "localhost.",
                                        "a.b.localhost", "my.localhost."};

    (void) state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(listen_on(names[i], "8080"), 0);
        assert_true(sim_connect_to("127.0.0.1", 8080) >= 0);
        assert_int_equal(sim_connect_to("10.0.0.1", 8080), -ECONNREFUSED);
        run_for(10 * MS);
        assert_int_equal(l.count, 1);
        close_streams();
        aloop_listener_close(l.listener);
    }
    assert_int_equal(sim_calls("aloop__sys_resolve"), 0);
}

static void localhost_is_ipv6_if_there_is_no_ipv4(void **state)
{
    static const int errors[] = {ALOOP_EAFNOSUPPORT, ALOOP_EADDRNOTAVAIL};
    static const char *const calls[] = {"aloop__sys_tcp_socket",
                                        "aloop__sys_bind"};

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        sim_fail(calls[i], 1, errors[i]);
        assert_int_equal(listen_on("localhost", "8080"), 0);
        assert_true(sim_connect_to("::1", 8080) >= 0);
        run_for(10 * MS);
        assert_int_equal(l.count, 1);
        close_streams();
        aloop_listener_close(l.listener);
    }
}

static void other_names_are_refused_as_not_numeric(void **state)
{
    static const char *const rows[][2] = {{"host", "80"},
                                          {"notlocalhost", "80"},
                                          {"localhost.example.", "80"},
                                          {"a_b.c-d", "80"},
                                          {"0x7f.1", "80"},
                                          {"127.0.0.1", "http"},
                                          {"localhost", "http-alt"},
                                          {NULL, "0x50"},
                                          {"localhost..", "80"}};

    (void) state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(listen_on(rows[i][0], rows[i][1]), ALOOP_ENOTNUMERIC);
    assert_string_equal(aloop_error_name(ALOOP_ENOTNUMERIC), "ENOTNUMERIC");
}

static void an_ipv4_peer_of_a_dual_stack_listener_is_printed_as_ipv4(
    void **state)
{
    static const struct {
        const char *host, *start;
    } rows[] = {{"127.0.0.1", "127.0.0.1:"}, {"::1", "[::1]:"}};

    (void) state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        aloop_address address;
        char text[96];

        assert_int_equal(listen_on(NULL, "8080"), 0);
        sim_connect_to(rows[i].host, 8080);
        run_for(10 * MS);
        assert_int_equal(l.count, 1);
        assert_int_equal(aloop_stream_peer_address(l.streams[0], &address), 0);
        assert_int_equal(aloop_address_family(&address),
                         i == 0 ? ALOOP_FAMILY_IPV4 : ALOOP_FAMILY_IPV6);
        assert_int_equal(aloop_stream_local_address(l.streams[0], &address), 0);
        assert_int_equal(aloop_address_family(&address),
                         i == 0 ? ALOOP_FAMILY_IPV4 : ALOOP_FAMILY_IPV6);
        assert_int_equal(aloop_address_port(&address), 8080);
        assert_true(aloop_stream_peer(l.streams[0], text, sizeof text) > 0);
        assert_memory_equal(text, rows[i].start, strlen(rows[i].start));
        assert_true(aloop_stream_local(l.streams[0], text, sizeof text) > 0);
        assert_memory_equal(text, rows[i].start, strlen(rows[i].start));
        close_streams();
        aloop_listener_close(l.listener);
    }
}

static int listen_at(const char *text)
{
    aloop_address address;

    memset(&l, 0, sizeof l);
    assert_int_equal(aloop_address_parse(text, &address), 0);
    return aloop_tcp_listen_address(t.loop, &address, on_stream, &l,
                                    &l.listener);
}

static void a_listener_has_an_address(void **state)
{
    static const char *const texts[] = {"127.0.0.1:8080", "[::1]:8080",
                                        "[::]:8080"};
    aloop_address address;
    char text[96];

    (void) state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(listen_at(texts[i]), 0);
        assert_int_equal(listen_at(texts[i]), ALOOP_EADDRINUSE);
        assert_null(l.listener);
        aloop_free(t.loop);
        t.loop = aloop_new(NULL);
    }
    assert_int_equal(listen_at("127.0.0.1"), 0); /* On any port. */
    assert_int_equal(aloop_listener_address(l.listener, &address), 0);
    assert_int_equal(aloop_address_port(&address),
                     aloop_listener_port(l.listener));
    assert_true(aloop_address_format_host(&address, text, sizeof text) > 0);
    assert_string_equal(text, "127.0.0.1");
    sim_connect((uint16_t) aloop_address_port(&address));
    run_for(10 * MS);
    assert_int_equal(l.count, 1);
    close_streams();
    sim_fail("aloop__sys_local_address", 1, ALOOP_ENOBUFS);
    assert_int_equal(aloop_listener_address(l.listener, &address),
                     ALOOP_ENOBUFS);
    aloop_listener_close(l.listener);
}

static void every_connection_of_a_burst_is_accepted(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    for (int i = 0; i < 200; i++)
        assert_true(sim_connect(l.port) >= 0);
    run_for(10 * MS);

    assert_int_equal(l.count, 200);
    close_streams();
    aloop_listener_close(l.listener);
}

/* After a connection, the listener does not try another accept without need. */
static void single_connections_need_hardly_more_than_one_accept_each(
    void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    for (int i = 0; i < 100; i++) {
        sim_connect(l.port);
        run_for(MS);
    }

    assert_int_equal(l.count, 100);
    assert_true(sim_calls("aloop__sys_accept") <= 160);
    close_streams();
    aloop_listener_close(l.listener);
}

static void an_address_in_use_is_refused(void **state)
{
    aloop_listener *second = NULL;

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "8080"), 0);

    assert_int_equal(
        aloop_tcp_listen(t.loop, "127.0.0.1", "8080", on_stream, &l, &second),
        ALOOP_EADDRINUSE);
    assert_null(second);
    aloop_listener_close(l.listener);
    assert_int_equal(listen_on("127.0.0.1", "8080"), 0);
    aloop_listener_close(l.listener);
}

static void invalid_arguments_are_refused(void **state)
{
    static const char *const odd[][2] = {
        {"::1", "65536"},     {"localhost", "65536"},
        {"::1", ""},          {"", "80"},
        {"256.0.0.1", "80"},  {"[::1]", "80"},
        {"fe80::1%no", "80"}, {"local host", "80"},
        {"::1", "+80"},       {"127.0.0.1:80", "80"}};
    aloop_address address, none = {.family = ALOOP_FAMILY_NONE};
    aloop_listener *listener = NULL;

    (void) state;
    assert_int_equal(aloop_address_parse("::1", &address), 0);
    assert_int_equal(
        aloop_tcp_listen_address(NULL, &address, on_stream, &l, &listener),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_listen_address(t.loop, NULL, on_stream, &l, &listener),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_listen_address(t.loop, &none, on_stream, &l, &listener),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_listen_address(t.loop, &address, on_stream, &l, NULL),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_listen(NULL, "::1", "0", on_stream, &l, &listener),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_tcp_listen(t.loop, "::1", NULL, on_stream, &l, &listener),
        ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_listen(t.loop, "::1", "0", on_stream, &l, NULL),
                     ALOOP_EINVAL);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_int_equal(aloop_tcp_listen(t.loop, odd[i][0], odd[i][1],
                                          on_stream, &l, &listener),
                         ALOOP_EINVAL);
    assert_null(listener);
    assert_int_equal(aloop_listener_address(NULL, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_listener_port(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_listener_fd(NULL), ALOOP_EINVAL);
    aloop_listener_close(NULL);
    aloop_listener_ref(NULL);
    aloop_listener_unref(NULL);
}

static void a_listener_keeps_the_loop_alive_unless_unreferenced(void **state)
{
    (void) state;
    assert_int_equal(listen_on("::1", "0"), 0);
    assert_true(aloop_alive(t.loop));
    assert_true(aloop_listener_fd(l.listener) >= 0);
    aloop_listener_unref(l.listener);
    aloop_listener_unref(l.listener);
    assert_false(aloop_alive(t.loop));
    aloop_listener_ref(l.listener);
    assert_true(aloop_alive(t.loop));

    aloop_listener_close(l.listener);
    assert_false(aloop_alive(t.loop));
}

static void a_listener_closed_in_its_callback_accepts_no_more(void **state)
{
    int peers[5] = {0};

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    l.close_at = 3;
    for (int i = 0; i < 5; i++)
        peers[i] = sim_connect(l.port);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(l.count, 3);
    sim_pass(MS);
    assert_int_equal(sim_peer_error(peers[2]), 0); /* Stays open. */
    assert_int_equal(sim_peer_error(peers[4]), ALOOP_ECONNRESET);
    close_streams();
}

static void note_count(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    note(l.count);
}

static void a_flood_of_connections_does_not_delay_timers(void **state)
{
    aloop_timer *timer;
    int peers[200];

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "7"), 0);
    for (int i = 0; i < 200; i++)
        peers[i] = sim_connect(7);
    sim_pass(MS);
    aloop_timer_start(t.loop, 0, 0, note_count, NULL, &timer);
    for (int i = 0; i < 20 && l.count < 200; i++) {
        aloop_timer_restart(timer, 0);
        aloop_step(t.loop, 0);
    }
    assert_int_equal(l.count, 200);
    for (int i = 1; i < t.noted; i++) /* At most 64 a turn. */
        assert_true(t.order[i] - t.order[i - 1] <= 64);
    assert_true(t.noted >= 4);
    aloop_listener_close(l.listener);
    close_streams();
    for (int i = 0; i < 200; i++)
        sim_peer_close(peers[i]);
}

/* Failure class 19: several processes wake for one connection.  Here another
 * process has accepted it. */
static void a_connection_accepted_by_another_process_is_no_error(void **state)
{
    aloop_listener *listener;

    (void) state;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "80",
                                      count_and_close, NULL, &listener),
                     0);
    assert_true(sim_connect(80) >= 0);
    sim_fail("aloop__sys_accept", 1, -EAGAIN);
    assert_int_equal(aloop_step(t.loop, -1), 1);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(t.calls, 0);
    run_for(MS);

    assert_int_equal(t.calls, 1); /* It still listens, without a delay. */
    assert_int_equal(t.unhandled, 0);
    aloop_listener_close(listener);
}

static int listen_with(const char *host, aloop_tcp_listen_options options)
{
    int error;

    memset(&l, 0, sizeof l);
    options.size = sizeof options;
    error = aloop_tcp_listen_with(t.loop, host, "80", on_stream, &l, &options,
                                  &l.listener);
    return error;
}

static void the_backlog_limits_the_connections_that_wait(void **state)
{
    (void) state;
    assert_int_equal(
        listen_with("127.0.0.1", (aloop_tcp_listen_options){.backlog = 2}), 0);
    for (int i = 0; i < 3; i++)
        assert_true(sim_connect(80) >= 0);
    assert_int_equal(sim_connect(80), -EAGAIN);
    run_for(MS);
    assert_int_equal(l.count, 3);
    close_streams();
    aloop_listener_close(l.listener);
}

static void a_listener_for_ipv6_only_accepts_no_ipv4(void **state)
{
    static const char *const hosts[] = {NULL, "::", "localhost"};
    aloop_tcp_listen_options options = {.ipv6_only = true};

    (void) state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_int_equal(listen_with(hosts[i], options), 0);
        assert_int_equal(sim_connect_to("127.0.0.1", 80), -ECONNREFUSED);
        assert_true(sim_connect_to("::1", 80) >= 0);
        run_for(MS);
        assert_int_equal(l.count, 1);
        close_streams();
        aloop_listener_close(l.listener);
    }
    assert_int_equal(listen_with("127.0.0.1", options), ALOOP_EINVAL);
    sim_fail("aloop__sys_ipv6_only", 1, ALOOP_ENOBUFS);
    assert_int_equal(listen_with("::", options), ALOOP_ENOBUFS);
}

static void listeners_with_reuse_port_share_the_connections(void **state)
{
    aloop_tcp_listen_options options = {.reuse_port = true};
    aloop_listener *first;
    int count = 0;

    (void) state;
    assert_int_equal(listen_with("127.0.0.1", options), 0);
    first = l.listener;
    assert_int_equal(listen_on("127.0.0.1", "80"), ALOOP_EADDRINUSE);
    assert_int_equal(listen_with("127.0.0.1", options), 0);
    for (int i = 0; i < 4; i++)
        assert_true(sim_connect(80) >= 0);
    sim_pass(MS);
    aloop_listener_close(first);
    count = l.count;
    assert_int_equal(count, 2); /* Those of the first, inside its close. */
    run_for(MS);
    assert_int_equal(l.count, 4);
    for (int i = 0; i < 4; i++)
        assert_true(aloop_stream_put(l.streams[i], "x", 1) >= 0);
    run_for(MS);
    close_streams();
    aloop_listener_close(l.listener);
    sim_fail("aloop__sys_reuse_port", 1, ALOOP_ENOTSUP); /* As on macOS. */
    assert_int_equal(listen_with("127.0.0.1", options), ALOOP_ENOTSUP);
}

static void a_listener_may_be_closed_again_while_its_close_accepts(void **state)
{
    aloop_tcp_listen_options options = {.reuse_port = true};

    (void) state;
    assert_int_equal(listen_with("127.0.0.1", options), 0);
    for (int i = 0; i < 3; i++)
        assert_true(sim_connect(80) >= 0);
    sim_pass(MS);
    l.close_at = 2;
    aloop_listener_close(l.listener);
    assert_int_equal(l.count, 3);
    close_streams();
}

static void invalid_options_are_refused(void **state)
{
    aloop_tcp_listen_options options = {.size = sizeof options, .backlog = -1};

    (void) state;
    assert_int_equal(aloop_tcp_listen_with(t.loop, "127.0.0.1", "80", on_stream,
                                           &l, &options, &l.listener),
                     ALOOP_EINVAL);
    options = (aloop_tcp_listen_options){.size = 1};
    assert_int_equal(aloop_tcp_listen_with(t.loop, "127.0.0.1", "80", on_stream,
                                           &l, &options, &l.listener),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_listen_with(t.loop, "127.0.0.1", NULL, on_stream,
                                           &l, NULL, &l.listener),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_listen_with(NULL, "127.0.0.1", "80", on_stream,
                                           &l, NULL, &l.listener),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_tcp_listen_with(t.loop, "127.0.0.1", "80", on_stream,
                                           &l, NULL, &l.listener),
                     0);
    aloop_listener_close(l.listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections_are_accepted_in_order),
        TEST(a_turn_of_a_listening_loop_reads_no_clock),
        TEST(a_null_host_listens_on_every_local_address),
        TEST(listening_on_localhost_needs_no_look_up),
        TEST(localhost_is_ipv6_if_there_is_no_ipv4),
        TEST(other_names_are_refused_as_not_numeric),
        TEST(an_ipv4_peer_of_a_dual_stack_listener_is_printed_as_ipv4),
        TEST(a_listener_has_an_address),
        TEST(every_connection_of_a_burst_is_accepted),
        TEST(single_connections_need_hardly_more_than_one_accept_each),
        TEST(an_address_in_use_is_refused),
        TEST(invalid_arguments_are_refused),
        TEST(a_listener_keeps_the_loop_alive_unless_unreferenced),
        TEST(a_listener_closed_in_its_callback_accepts_no_more),
        TEST(a_flood_of_connections_does_not_delay_timers),
        TEST(a_connection_accepted_by_another_process_is_no_error),
        TEST(the_backlog_limits_the_connections_that_wait),
        TEST(a_listener_for_ipv6_only_accepts_no_ipv4),
        TEST(listeners_with_reuse_port_share_the_connections),
        TEST(a_listener_may_be_closed_again_while_its_close_accepts),
        TEST(invalid_options_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
