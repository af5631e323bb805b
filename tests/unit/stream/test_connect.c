/* Tests of aloop_tcp_connect(): name look-ups, and the race of addresses (RFC
 * 8305) in virtual time. */

#include "support/stream_fixture.h"

#include <stdio.h>
#include <string.h>

static const int64_t second_ns = ALOOP_SEC(1);

static struct {
    int64_t begin_ns;
    aloop_stream *stream;
    char peer[96];
} k;

/* Sets the addresses of the name "host".  A NULL ends the list. */
static void host(const char *first, const char *second, const char *third,
                 const char *fourth)
{
    const char *const addresses[] = {first, second, third, fourth, NULL};

    sim_host("host", addresses);
}

static aloop_future *start(const char *name)
{
    k.stream = NULL;
    k.begin_ns = aloop_now(t.loop);
    return aloop_tcp_connect(t.loop, name, "80", &k.stream);
}

/* Connects, stores the address of the peer in k.peer, and closes the stream. */
static ssize_t connect_to(const char *name)
{
    ssize_t status = aloop_await(start(name));

    if (status == 0) {
        aloop_stream_peer(k.stream, k.peer, sizeof k.peer);
        aloop_stream_close(k.stream);
        aloop_step(t.loop, 0);
    } else
        assert_null(k.stream);
    return status;
}

static int64_t elapsed_ns(void)
{
    return aloop_now(t.loop) - k.begin_ns;
}

/* Asserts that `ns` have passed, and at most the travel time of packets
 * more. */
static void assert_elapsed(int64_t ns)
{
    assert_true(elapsed_ns() >= ns);
    assert_true(elapsed_ns() < ns + MS);
}

static void a_numeric_address_is_connected_to_without_a_thread(void **state)
{
    (void) state;
    sim_listen("127.0.0.1", 80, 1);
    sim_listen("::1", 80, 1);

    assert_int_equal(connect_to("127.0.0.1"), 0);
    assert_string_equal(k.peer, "127.0.0.1:80");
    assert_int_equal(connect_to("::1"), 0);
    assert_string_equal(k.peer, "[::1]:80");

    assert_int_equal(sim_calls("aloop__sys_thread_start"), 0);
    assert_elapsed(0);
}

static void a_connection_that_is_established_immediately_settles(void **state)
{
    (void) state;
    sim_listen("127.0.0.1", 80, 1);
    sim_options()->connect_now_percent = 100;

    assert_int_equal(connect_to("127.0.0.1"), 0);
}

static void a_pending_connect_starts_again_in_a_forked_child(void **state)
{
    int listener = sim_listen("127.0.0.1", 80, 4);
    aloop_future *connect = start("127.0.0.1");

    (void) state;
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_int_equal(aloop_await(connect), 0);

    assert_int_equal(sim_calls("aloop__sys_connect"), 2);
    /* Only the child's own socket is queried. */
    assert_int_equal(sim_calls("aloop__sys_socket_error"), 1);
    assert_true(sim_accept(listener) >= 0);
    assert_true(sim_accept(listener) >= 0);
    aloop_stream_close(k.stream);
}

static void a_refused_connection_fails_with_its_error(void **state)
{
    (void) state;
    assert_int_equal(connect_to("127.0.0.1"), ALOOP_ECONNREFUSED);
    sim_options()->connect_now_percent = 100;
    assert_int_equal(connect_to("127.0.0.1"), ALOOP_ECONNREFUSED);
    sim_unreachable("10.0.0.1");
    assert_int_equal(connect_to("10.0.0.1"), ALOOP_ENETUNREACH);
    assert_elapsed(0);
}

static void an_error_that_the_reactor_consumed_is_the_status(void **state)
{
    (void) state;
    sim_options()->is_error_cleared = true;
    assert_int_equal(connect_to("127.0.0.1"), ALOOP_ECONNREFUSED);
    sim_blackhole("10.0.0.1");
    assert_int_equal(connect_to("10.0.0.1"), ALOOP_ETIMEDOUT);
    sim_listen("127.0.0.1", 80, 1);
    assert_int_equal(connect_to("127.0.0.1"), 0);
}

/* An SO_ERROR of 0 does not prove success, because another call may have
 * consumed the error. */
static void a_connect_without_a_peer_fails(void **state)
{
    static const struct {
        int error, status;
    } rows[] = {{ALOOP_ENOTCONN, ALOOP_ECONNREFUSED},
                {ALOOP_EINVAL, ALOOP_ECONNREFUSED}, /* macOS. */
                {ALOOP_ENOBUFS, ALOOP_ENOBUFS}};
    unsigned open = sim_descriptors_open();

    (void) state;
    sim_listen("127.0.0.1", 80, 32);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned percent = 0; percent <= 100; percent += 100) {
            sim_options()->connect_now_percent = percent;
            sim_fail("aloop__sys_peer_address", 1, rows[i].error);
            assert_int_equal(connect_to("127.0.0.1"), rows[i].status);
            assert_int_equal(sim_descriptors_open(), open);
        }
}

/* TCP connects a socket to itself if its local port happens to be the port that
 * it connects to. */
static void a_connect_to_its_own_port_is_refused(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1"};
    aloop_stream *stream = NULL;
    unsigned open = sim_descriptors_open();

    (void) state;
    for (size_t i = 0; i < 4; i++) {
        const char *host_text = hosts[i % 2];
        /* Takes the ephemeral port before the one that the connect gets. */
        int probe = sim_listen(host_text, 0, 1);
        char port[8];

        snprintf(port, sizeof port, "%d", 49152 + 2 * (int) i + 1);
        sim_peer_close(probe);
        sim_options()->connect_now_percent = i < 2 ? 0 : 100;
        assert_int_equal(
            aloop_await(aloop_tcp_connect(t.loop, host_text, port, &stream)),
            ALOOP_ECONNREFUSED);
        assert_null(stream);
        assert_int_equal(sim_descriptors_open(), open);
    }
    /* A reset prevents TIME_WAIT. */
    assert_int_equal(sim_calls("aloop__sys_reset_on_close"), 4);
}

static void the_next_address_is_tried_after_a_connect_to_itself(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "10.0.0.1", NULL};
    aloop_stream *stream = NULL;

    (void) state;
    sim_listen("10.0.0.1", 49152, 1);
    sim_host("host", addresses);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "host", "49152", &stream)), 0);
    assert_true(aloop_stream_peer(stream, k.peer, sizeof k.peer) > 0);
    assert_string_equal(k.peer, "10.0.0.1:49152");
    aloop_stream_close(stream);
}

static void a_name_is_looked_up_on_a_thread(void **state)
{
    (void) state;
    sim_listen("10.0.0.1", 80, 1);
    host("10.0.0.1", NULL, NULL, NULL);

    assert_int_equal(connect_to("host"), 0);

    assert_string_equal(k.peer, "10.0.0.1:80");
    assert_int_equal(sim_calls("aloop__sys_thread_start"), 1);
}

static void a_service_name_is_looked_up(void **state)
{
    (void) state;
    sim_listen("127.0.0.1", 80, 1);

    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "127.0.0.1", "http", &k.stream)),
        0);
    aloop_stream_close(k.stream);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "127.0.0.1", "gone", &k.stream)),
        ALOOP_EHOSTNOTFOUND);
}

static void the_error_of_the_look_up_is_the_status(void **state)
{
    static const int errors[] = {ALOOP_EHOSTNOTFOUND, ALOOP_EAGAINDNS,
                                 ALOOP_ERESOLVE};

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        sim_host_error("host", errors[i]);
        assert_int_equal(connect_to("host"), errors[i]);
    }
    host(NULL, NULL, NULL, NULL);
    assert_int_equal(connect_to("host"), ALOOP_EHOSTNOTFOUND);
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);
    aloop_free(t.loop);
    t.loop = aloop_new(NULL); /* Its pool has no thread yet. */
    assert_int_equal(connect_to("host"), ALOOP_EAGAIN);
}

/* A name server that does not answer. */

static void a_look_up_that_was_left_does_not_block_others(void **state)
{
    enum { LOOK_UPS = 10 };
    aloop_future *futures[LOOK_UPS];
    aloop_stream *streams[LOOK_UPS];

    (void) state;
    host("10.0.0.1", NULL, NULL, NULL);
    sim_listen("10.0.0.1", 80, 1);
    sim_host_delay("slow", ALOOP_SEC(30));
    for (int i = 0; i < LOOK_UPS; i++)
        futures[i] = aloop_timeout(
            aloop_tcp_connect(t.loop, "slow", "80", &streams[i]), 200 * MS);
    for (int i = 0; i < LOOK_UPS; i++)
        assert_int_equal(aloop_await(futures[i]), ALOOP_ETIMEDOUT);

    assert_int_equal(connect_to("host"), 0);

    assert_elapsed(0);
    assert_true(sim_threads_open() > 4);
    assert_int_equal(aloop_run(t.loop), 0); /* Nothing keeps the loop alive. */
    assert_elapsed(0);
    sim_pass(ALOOP_SEC(31));
}

static void freeing_the_loop_does_not_wait_for_a_look_up(void **state)
{
    (void) state;
    sim_host_delay("slow", ALOOP_SEC(30));
    aloop_future_unref(start("slow"));
    aloop_detach(start("slow"));
    aloop_step(t.loop, 10 * MS);
    aloop_detach(start("slow"));
    aloop_step(t.loop, 10 * MS);
    k.begin_ns = aloop__sys_clock_ns();

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(aloop__sys_clock_ns(), k.begin_ns);
    sim_pass(ALOOP_SEC(31)); /* The threads must not use the freed loop. */
}

static ssize_t give_up(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_timeout(
        aloop_tcp_connect(loop, "slow", "80", &k.stream), 200 * MS));
}

static void a_program_ends_without_waiting_for_a_look_up(void **state)
{
    (void) state;
    sim_host_delay("slow", ALOOP_SEC(30));
    k.begin_ns = aloop__sys_clock_ns();

    assert_int_equal(aloop_main(give_up, NULL), ALOOP_ETIMEDOUT);

    assert_int_equal(aloop__sys_clock_ns(), k.begin_ns + 200 * MS);
    sim_pass(ALOOP_SEC(31));
}

static void a_look_up_fails_if_all_threads_are_busy(void **state)
{
    enum { LOOK_UPS = 64 };
    aloop_stream *stream;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(30));
    for (int i = 0; i < LOOK_UPS; i++) {
        aloop_future *future = aloop_tcp_connect(t.loop, "slow", "80", &stream);

        aloop_step(t.loop, MS);
        aloop_future_unref(future);
    }
    assert_int_equal(connect_to("host"), ALOOP_EAGAIN);

    sim_pass(ALOOP_SEC(31));
    assert_int_equal(connect_to("host"), ALOOP_EHOSTNOTFOUND);
}

/* Makes a name of `length` bytes whose parts have at most 63. */
static void make_name(char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        name[i] = i % 64 == 63 && i + 1 < length ? '.' : 'a';
    name[length] = '\0';
}

/* Failure class 46: a long name is truncated, and another host is looked up. */
static void a_name_that_is_too_long_is_refused_and_not_truncated(void **state)
{
    char name[1101];

    (void) state;
    for (size_t length = 250; length <= 1100; length++) {
        make_name(name, length);
        assert_int_equal(connect_to(name), length > 253 ? ALOOP_ENAMETOOLONG
                                                        : ALOOP_EHOSTNOTFOUND);
    }
    name[254] = '\0'; /* A dot at the end of a name does not count. */
    name[253] = '.';
    assert_int_equal(connect_to(name), ALOOP_EHOSTNOTFOUND);
    name[252] = '.';
    assert_int_equal(connect_to(name), ALOOP_EINVAL);
    name[254] = '.';
    name[255] = '\0';
    assert_int_equal(connect_to(name), ALOOP_ENAMETOOLONG);
    memset(name, 'a', sizeof name - 1);
    memcpy(name, "0x", 2);
    memset(name + 2, '0', 1000);
    assert_int_equal(connect_to(name), ALOOP_ENAMETOOLONG);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "host", name, &k.stream)),
        ALOOP_ENAMETOOLONG);
    assert_int_equal(connect_to(""), ALOOP_EINVAL);
}

static void an_address_is_connected_to(void **state)
{
    static const char *const hosts[] = {"127.0.0.1:80", "[::1]:80"};
    aloop_address address, peer, local;
    aloop_stream *stream = NULL;

    (void) state;
    sim_listen("127.0.0.1", 80, 1);
    sim_listen("::1", 80, 1);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(aloop_address_parse(hosts[i], &address), 0);
        assert_int_equal(
            aloop_await(aloop_tcp_connect_address(t.loop, &address, &stream)),
            0);
        assert_int_equal(aloop_stream_peer_address(stream, &peer), 0);
        assert_true(aloop_address_equal(&peer, &address));
        assert_int_equal(aloop_stream_local_address(stream, &local), 0);
        assert_int_equal(aloop_address_family(&local),
                         aloop_address_family(&address));
        aloop_stream_close(stream);
    }
    assert_int_equal(sim_calls("aloop__sys_thread_start"), 0);
}

static void a_refused_address_is_named_in_the_report(void **state)
{
    aloop_address address;
    aloop_stream *stream;

    (void) state;
    assert_int_equal(aloop_address_parse("[::1]:81", &address), 0);
    aloop_detach(aloop_tcp_connect_address(t.loop, &address, &stream));
    aloop_run(t.loop);

    assert_int_equal(t.unhandled_error, ALOOP_ECONNREFUSED);
    assert_non_null(strstr(t.unhandled_what, "connect to [::1]:81"));
}

static void what_is_no_address_is_not_connected_to(void **state)
{
    aloop_address address = {.family = ALOOP_FAMILY_NONE};
    aloop_stream *stream;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_tcp_connect_address(t.loop, &address, &stream)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_tcp_connect_address(t.loop, NULL, &stream)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_tcp_connect_address(NULL, &address, &stream)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_address_parse("::1", &address), 0);
    assert_int_equal(
        aloop_await(aloop_tcp_connect_address(t.loop, &address, NULL)),
        ALOOP_EINVAL);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_stream *stream;

    (void) state;
    assert_int_equal(aloop_await(aloop_tcp_connect(NULL, "::1", "80", &stream)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, NULL, "80", &stream)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "::1", NULL, &stream)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_tcp_connect(t.loop, "::1", "80", NULL)),
                     ALOOP_EINVAL);
}

/* The race of addresses. */

static void the_second_address_is_tried_after_exactly_250_ms(void **state)
{
    (void) state;
    sim_listen("10.0.0.2", 80, 1);
    sim_blackhole("10.0.0.1");
    host("10.0.0.1", "10.0.0.2", NULL, NULL);

    assert_int_equal(connect_to("host"), 0);

    assert_string_equal(k.peer, "10.0.0.2:80");
    assert_elapsed(250 * MS);
    assert_int_equal(sim_calls("aloop__sys_connect"), 2);
}

static void each_further_address_is_tried_250_ms_later(void **state)
{
    (void) state;
    sim_listen("10.0.0.4", 80, 1);
    sim_blackhole("10.0.0.1");
    sim_blackhole("10.0.0.2");
    sim_blackhole("10.0.0.3");
    host("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4");

    assert_int_equal(connect_to("host"), 0);

    assert_string_equal(k.peer, "10.0.0.4:80");
    assert_elapsed(750 * MS);
}

static void a_failed_address_starts_the_next_immediately(void **state)
{
    (void) state;
    sim_listen("10.0.0.3", 80, 1);
    /* The second fails inside connect(), the first later. */
    sim_unreachable("10.0.0.2");
    host("10.0.0.1", "10.0.0.2", "10.0.0.3", NULL);

    assert_int_equal(connect_to("host"), 0);

    assert_string_equal(k.peer, "10.0.0.3:80");
    assert_elapsed(0);
}

static void a_failure_restarts_the_delay_of_the_next(void **state)
{
    (void) state;
    sim_listen("10.0.0.4", 80, 1);
    sim_blackhole("10.0.0.1");
    sim_blackhole("10.0.0.3");
    host("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4");

    /* The 2nd and 3rd start at 250 ms, the 4th at 500 ms. */
    assert_int_equal(connect_to("host"), 0);

    assert_elapsed(500 * MS);
}

static void a_slow_first_address_may_still_win(void **state)
{
    (void) state;
    sim_listen("10.0.0.1", 80, 1);
    sim_blackhole("10.0.0.2");
    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 200 * MS;
    host("10.0.0.1", "10.0.0.2", NULL, NULL);

    assert_int_equal(connect_to("host"), 0);

    assert_string_equal(k.peer, "10.0.0.1:80");
    assert_elapsed(400 * MS);
    assert_int_equal(sim_calls("aloop__sys_connect"), 2);
    assert_int_equal(sim_descriptors_open(), 2); /* The loser was closed. */
}

static void the_last_error_is_the_status_if_all_addresses_fail(void **state)
{
    (void) state;
    sim_unreachable("10.0.0.1");
    sim_unreachable("10.0.0.3");
    host("10.0.0.1", "10.0.0.2", NULL, NULL);
    assert_int_equal(connect_to("host"), ALOOP_ECONNREFUSED);

    host("10.0.0.2", "10.0.0.3", NULL, NULL);
    assert_int_equal(connect_to("host"), ALOOP_ENETUNREACH);
}

static void an_address_that_never_answers_times_out(void **state)
{
    (void) state;
    sim_blackhole("10.0.0.1");
    host("10.0.0.2", "10.0.0.1", NULL, NULL);

    assert_int_equal(connect_to("host"), ALOOP_ETIMEDOUT);

    assert_true(elapsed_ns() >= 127 * second_ns);
}

static void address_families_alternate_starting_with_the_first(void **state)
{
    (void) state;
    sim_blackhole("2001:db8::1");
    sim_blackhole("2001:db8::2");
    sim_listen("10.0.0.1", 80, 4);
    host("2001:db8::1", "2001:db8::2", "10.0.0.1", NULL);
    assert_int_equal(connect_to("host"), 0);
    assert_elapsed(250 * MS); /* Before the second IPv6 address. */

    sim_blackhole("10.0.0.2");
    sim_blackhole("10.0.0.3");
    sim_listen("2001:db8::3", 80, 4);
    host("10.0.0.2", "10.0.0.3", "2001:db8::3", NULL);
    assert_int_equal(connect_to("host"), 0);
    assert_elapsed(250 * MS);
    assert_string_equal(k.peer, "[2001:db8::3]:80");
}

static void a_machine_without_ipv6_tries_ipv4_immediately(void **state)
{
    (void) state;
    sim_options()->has_no_ipv6 = true;
    sim_listen("10.0.0.1", 80, 1);
    host("2001:db8::1", "2001:db8::2", "10.0.0.1", NULL);

    assert_int_equal(connect_to("host"), 0);

    assert_elapsed(0);
}

static void every_address_of_a_name_is_tried(void **state)
{
    enum { ADDRESSES = 300 };
    static char names[ADDRESSES][16];
    const char *addresses[ADDRESSES + 1] = {NULL};

    (void) state;
    for (int i = 0; i < ADDRESSES; i++) {
        snprintf(names[i], sizeof names[i], "10.0.%d.%d", i / 100, i % 100);
        addresses[i] = names[i];
    }
    sim_host("host", addresses);
    sim_listen("10.0.2.99", 80, 1);

    assert_int_equal(connect_to("host"), 0);
    assert_int_equal(sim_calls("aloop__sys_connect"), ADDRESSES);
    assert_string_equal(k.peer, "10.0.2.99:80");
}

/* Cancelling. */

static void a_timed_out_connect_leaves_nothing_open(void **state)
{
    unsigned open = sim_descriptors_open();

    (void) state;
    sim_blackhole("10.0.0.1");
    sim_blackhole("10.0.0.2");
    host("10.0.0.1", "10.0.0.2", NULL, NULL);

    assert_int_equal(aloop_await(aloop_timeout(start("host"), second_ns)),
                     ALOOP_ETIMEDOUT);

    assert_elapsed(second_ns);
    assert_null(k.stream);
    assert_int_equal(sim_descriptors_open(), open);
    assert_int_equal(aloop_run(t.loop), 0);
}

/* Cancels at steps of 13 ms: in the look-up, in the first attempt, and in both
 * attempts. */
static void a_connect_is_cancelled_at_every_stage(void **state)
{
    unsigned open = sim_descriptors_open();

    (void) state;
    sim_blackhole("10.0.0.1");
    sim_blackhole("10.0.0.2");
    host("10.0.0.1", "10.0.0.2", NULL, NULL);
    for (int64_t ns = 0; ns <= 520 * MS; ns += 13 * MS) {
        aloop_future *future = start("host");

        if (ns > 0)
            aloop_await(aloop_sleep(t.loop, ns));
        assert_false(aloop_future_is_settled(future));
        assert_int_equal(aloop_cancel(future), 1);
        assert_int_equal(aloop_cancel(future), 0);
        assert_int_equal(aloop_future_status(future), ALOOP_ECANCELED);
        aloop_future_unref(future);
        assert_int_equal(sim_descriptors_open(), open);
        assert_int_equal(aloop_run(t.loop), 0);
    }
    assert_null(k.stream);
}

static void a_dropped_connect_is_cancelled(void **state)
{
    unsigned open = sim_descriptors_open();

    (void) state;
    aloop_future_unref(start("127.0.0.1"));

    assert_int_equal(sim_descriptors_open(), open);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.unhandled, 0);
}

static void a_detached_connect_still_delivers_its_stream(void **state)
{
    (void) state;
    sim_listen("127.0.0.1", 80, 1);
    aloop_detach(start("127.0.0.1"));

    assert_int_equal(aloop_run(t.loop), 0);

    assert_non_null(k.stream);
    aloop_stream_close(k.stream);
}

static void a_detached_connect_that_fails_is_reported(void **state)
{
    (void) state;
    aloop_detach(start("127.0.0.1"));

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ECONNREFUSED);
    assert_string_equal(t.unhandled_what, "connect to 127.0.0.1:80");
}

static void without_descriptors_a_connect_fails(void **state)
{
    (void) state;
    sim_descriptors_max(sim_descriptors_open());
    assert_int_equal(connect_to("127.0.0.1"), ALOOP_EMFILE);

    host("10.0.0.1", "10.0.0.2", NULL, NULL);
    assert_int_equal(connect_to("host"), ALOOP_EMFILE);
}

/* The listener gets the descriptor number that the connect has lost. */
static void a_connect_whose_descriptor_was_reused_fails(void **state)
{
    aloop_stream *stream = NULL;
    aloop_listener *listener;
    aloop_future *connect;
    int fds[2], number;

    (void) state;
    sim_blackhole("10.0.0.9");
    assert_int_equal(sim_pair(fds), 0); /* Finds the next free number. */
    number = fds[0];
    aloop__sys_close(fds[0]);
    connect = aloop_tcp_connect(t.loop, "10.0.0.9", "80", &stream);
    aloop__sys_close(number);

    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted,
                                      NULL, &listener),
                     0);

    assert_int_equal(aloop_listener_fd(listener), number);
    assert_int_equal(aloop_await(connect), ALOOP_EBADF);
    assert_null(stream);
    assert_int_equal(aloop_listener_fd(listener), number);
    aloop_listener_close(listener);
    aloop__sys_close(fds[1]);
}

/* Failure class 47: names are converted before they are looked up. */
static void a_name_that_is_not_ascii_is_looked_up_unchanged(void **state)
{
    static const char name[] = "b\xc3\xbc"
                               "cher.xn--\xff.example";
    const char *const addresses[] = {"127.0.0.1", NULL};
    aloop_stream *stream = NULL;

    (void) state;
    sim_host(name, addresses);
    sim_listen("127.0.0.1", 80, 1);

    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, name, "80", &stream)), 0);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_numeric_address_is_connected_to_without_a_thread),
        TEST(a_connection_that_is_established_immediately_settles),
        TEST(a_pending_connect_starts_again_in_a_forked_child),
        TEST(a_refused_connection_fails_with_its_error),
        TEST(an_error_that_the_reactor_consumed_is_the_status),
        TEST(a_connect_without_a_peer_fails),
        TEST(a_connect_to_its_own_port_is_refused),
        TEST(the_next_address_is_tried_after_a_connect_to_itself),
        TEST(a_name_is_looked_up_on_a_thread),
        TEST(a_service_name_is_looked_up),
        TEST(the_error_of_the_look_up_is_the_status),
        TEST(a_look_up_that_was_left_does_not_block_others),
        TEST(freeing_the_loop_does_not_wait_for_a_look_up),
        TEST(a_program_ends_without_waiting_for_a_look_up),
        TEST(a_look_up_fails_if_all_threads_are_busy),
        TEST(a_name_that_is_too_long_is_refused_and_not_truncated),
        TEST(an_address_is_connected_to),
        TEST(a_refused_address_is_named_in_the_report),
        TEST(what_is_no_address_is_not_connected_to),
        TEST(invalid_arguments_are_refused),
        TEST(the_second_address_is_tried_after_exactly_250_ms),
        TEST(each_further_address_is_tried_250_ms_later),
        TEST(a_failed_address_starts_the_next_immediately),
        TEST(a_failure_restarts_the_delay_of_the_next),
        TEST(a_slow_first_address_may_still_win),
        TEST(the_last_error_is_the_status_if_all_addresses_fail),
        TEST(an_address_that_never_answers_times_out),
        TEST(address_families_alternate_starting_with_the_first),
        TEST(a_machine_without_ipv6_tries_ipv4_immediately),
        TEST(every_address_of_a_name_is_tried),
        TEST(a_timed_out_connect_leaves_nothing_open),
        TEST(a_connect_is_cancelled_at_every_stage),
        TEST(a_dropped_connect_is_cancelled),
        TEST(a_detached_connect_still_delivers_its_stream),
        TEST(a_detached_connect_that_fails_is_reported),
        TEST(without_descriptors_a_connect_fails),
        TEST(a_connect_whose_descriptor_was_reused_fails),
        TEST(a_name_that_is_not_ascii_is_looked_up_unchanged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
