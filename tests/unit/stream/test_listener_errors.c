/* Tests of TCP listeners whose accepts fail, or that lose their descriptors. */

#include "support/listener_fixture.h"

/* Failure class 18: accepting spins after EMFILE. */
static void without_descriptors_accepting_backs_off_reports_and_recovers(
    void **state)
{
    unsigned before;

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    sim_descriptors_max(sim_descriptors_open() + 1);
    sim_connect(l.port);
    sim_connect(l.port);
    sim_connect(l.port);
    run_for(10 * MS);
    assert_int_equal(l.count, 1);

    before = sim_calls("aloop__sys_accept");
    run_for(ALOOP_SEC(1));
    assert_int_equal(l.count, 1);
    assert_in_range(sim_calls("aloop__sys_accept") - before, 9, 11);
    assert_int_equal(t.unhandled, 1); /* Once for all of them. */
    assert_int_equal(t.unhandled_error, ALOOP_EMFILE);
    assert_string_equal(t.unhandled_what, "accept on 127.0.0.1:49152");

    sim_descriptors_max(0);
    run_for(101 * MS);
    assert_int_equal(l.count, 3);
    assert_int_equal(t.unhandled, 1);

    /* The next series of failures is reported again. */
    sim_descriptors_max(sim_descriptors_open());
    sim_connect(l.port);
    run_for(ALOOP_SEC(1));
    assert_int_equal(t.unhandled, 2);
    close_streams();
    aloop_listener_close(l.listener);
}

static void a_freed_descriptor_is_used_for_the_next_connection(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    sim_descriptors_max(sim_descriptors_open() + 1);
    for (int i = 0; i < 20; i++)
        sim_connect(l.port);

    for (int i = 0; i < 20; i++) {
        run_for(200 * MS);
        assert_int_equal(l.count, 1);
        close_streams();
    }
    aloop_listener_close(l.listener);
}

static void a_listener_can_be_closed_while_it_backs_off(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    sim_descriptors_max(sim_descriptors_open());
    sim_connect(l.port);
    run_for(10 * MS);
    assert_int_equal(t.unhandled, 1);

    aloop_listener_close(l.listener);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(l.count, 0);
}

static void close_the_listener(aloop *loop, int error, const char *what,
                               void *arg)
{
    (void) loop;
    (void) error;
    (void) what;
    (void) arg;
    aloop_listener_close(l.listener);
}

static void a_listener_may_be_closed_by_the_error_hook(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = close_the_listener};

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    sim_descriptors_max(sim_descriptors_open());
    sim_connect(l.port);

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(l.count, 0);
}

static void a_connection_aborted_before_its_accept_is_ignored(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    sim_fail("aloop__sys_accept", 1, ALOOP_ECONNABORTED);
    sim_connect(l.port);
    sim_connect(l.port);
    run_for(10 * MS);

    assert_int_equal(l.count, 2); /* The simulator drops neither. */
    assert_int_equal(t.unhandled, 0);
    close_streams();
    aloop_listener_close(l.listener);
}

/* The cause may be a seccomp filter, a security module or a broken system. */
static void an_accept_that_always_fails_backs_off_and_is_reported_once(
    void **state)
{
    static const int errors[] = {
        ALOOP_ECONNABORTED, -EPROTO,           -ENETDOWN,
        -ENOPROTOOPT,       -EHOSTDOWN,        ALOOP_EHOSTUNREACH,
        -EOPNOTSUPP,        ALOOP_ENETUNREACH, ALOOP_EPERM,
        ALOOP_ETIMEDOUT,    ALOOP_ENOBUFS,     ALOOP_ENOMEM,
        ALOOP_ENFILE,       ALOOP_EMFILE,      ALOOP_EACCES,
        ALOOP_EINVAL,       -ENOSYS,           -EIO,
    };

    (void) state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        unsigned before = sim_calls("aloop__sys_accept"), wakes = sim_wakes();

        t.unhandled = 0;
        assert_int_equal(listen_on("127.0.0.1", "0"), 0);
        sim_fail_from("aloop__sys_accept", 1, errors[i]);
        sim_connect(l.port);
        run_for(ALOOP_SEC(1));

        assert_in_range(sim_calls("aloop__sys_accept") - before, 9, 20);
        assert_in_range(sim_wakes() - wakes, 9, 30);
        assert_int_equal(t.unhandled, 1);
        assert_int_equal(t.unhandled_error, errors[i]);
        assert_int_equal(l.count, 0);
        aloop_listener_close(l.listener);
        sim_forgive();
    }
}

/* Each of these errors belongs to a single connection. */
static void single_failed_accepts_delay_no_connection(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    for (int i = 0; i < 20; i++) {
        sim_fail("aloop__sys_accept", 1, i % 2 > 0 ? -EPROTO : ALOOP_EPERM);
        sim_connect(l.port);
        run_for(10 * MS);
        assert_int_equal(l.count, i + 1);
    }

    assert_int_equal(t.unhandled, 0);
    close_streams();
    aloop_listener_close(l.listener);
}

static void a_connection_ends_a_series_of_failures(void **state)
{
    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    for (int series = 1; series <= 3; series++) {
        sim_fail_from("aloop__sys_accept", 1, ALOOP_EPERM);
        sim_connect(l.port);
        run_for(ALOOP_SEC(1));
        assert_int_equal(t.unhandled, series);
        sim_forgive();
        run_for(101 * MS);
        assert_int_equal(l.count, series);
    }
    close_streams();
    aloop_listener_close(l.listener);
}

static void listening_fails_at_every_step_without_a_leak(void **state)
{
    static const struct {
        const char *call;
        int error;
    } steps[] = {{"aloop__sys_tcp_socket", ALOOP_EMFILE},
                 {"aloop__sys_bind", ALOOP_EACCES},
                 {"aloop__sys_listen", ALOOP_EADDRINUSE},
                 {"aloop__reactor_set", ALOOP_ENOMEM}};
    unsigned open = sim_descriptors_open();

    (void) state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        sim_fail(steps[i].call, 1, steps[i].error);
        assert_int_equal(listen_on("127.0.0.1", "80"), steps[i].error);
        assert_int_equal(sim_descriptors_open(), open);
    }
    assert_false(aloop_alive(t.loop));
}

static void refused_socket_options_do_not_prevent_connections(void **state)
{
    (void) state;
    sim_fail_from("aloop__sys_reuse_address", 1, ALOOP_EPERM);
    sim_fail_from("aloop__sys_no_delay", 1, ALOOP_EPERM);
    assert_int_equal(listen_on("127.0.0.1", "80"), 0);
    assert_int_equal(aloop_await(aloop_tcp_connect(t.loop, "127.0.0.1", "80",
                                                   &l.streams[1])),
                     0);
    run_for(10 * MS);
    assert_int_equal(l.count, 1);
    aloop_stream_close(l.streams[1]);
    aloop_stream_close(l.streams[0]);
    aloop_listener_close(l.listener);
}

/* Failure class 13: the application closes the descriptor of a listener, and
 * its number is reused for a connection. */
static void a_listener_that_lost_its_descriptor_is_reported(void **state)
{
    aloop_stream *stream = NULL;
    int outside = sim_listen("10.0.0.1", 80, 1);
    aloop_address address;
    int fd;

    (void) state;
    assert_int_equal(listen_on("127.0.0.1", "0"), 0);
    fd = aloop_listener_fd(l.listener);
    aloop__sys_close(fd);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "10.0.0.1", "80", &stream)), 0);

    assert_int_equal(aloop_stream_fd(stream), fd);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EBADF);
    assert_int_equal(aloop_listener_fd(l.listener), ALOOP_EBADF);
    assert_int_equal(aloop_listener_port(l.listener), ALOOP_EBADF);
    assert_int_equal(aloop_listener_address(l.listener, &address), ALOOP_EBADF);
    assert_int_equal(aloop_listener_address(l.listener, NULL), ALOOP_EINVAL);
    aloop_listener_close(l.listener);
    assert_int_equal(aloop_stream_put(stream, "x", 1), 0);
    aloop_stream_close(stream);
    aloop_run(t.loop);
    assert_true(sim_accept(outside) >= 0);
}

/* The listener loses its descriptor while it backs off. */
static void a_listener_that_lost_its_descriptor_does_not_retry(void **state)
{
    aloop_listener *listener, *next;
    int number, peer;
    unsigned wakes;

    (void) state;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted,
                                      NULL, &listener),
                     0);
    number = aloop_listener_fd(listener);
    sim_fail("aloop__sys_accept", 1, -EMFILE);
    peer = sim_connect((uint16_t) aloop_listener_port(listener));
    run_for(MS);
    assert_int_equal(t.unhandled_error, -EMFILE);

    aloop__sys_close(number);
    assert_int_equal(
        aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted, NULL, &next),
        0);
    assert_int_equal(aloop_listener_fd(next), number);
    run_for(ALOOP_SEC(1));
    wakes = sim_wakes();
    run_for(ALOOP_SEC(60));

    assert_int_equal(t.unhandled_error, ALOOP_EBADF);
    assert_true(sim_wakes() < wakes + 10);
    aloop_listener_close(listener);
    aloop_listener_close(next);
    sim_peer_close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_descriptors_accepting_backs_off_reports_and_recovers),
        TEST(a_freed_descriptor_is_used_for_the_next_connection),
        TEST(a_listener_can_be_closed_while_it_backs_off),
        TEST(a_listener_may_be_closed_by_the_error_hook),
        TEST(a_connection_aborted_before_its_accept_is_ignored),
        TEST(an_accept_that_always_fails_backs_off_and_is_reported_once),
        TEST(single_failed_accepts_delay_no_connection),
        TEST(a_connection_ends_a_series_of_failures),
        TEST(listening_fails_at_every_step_without_a_leak),
        TEST(refused_socket_options_do_not_prevent_connections),
        TEST(a_listener_that_lost_its_descriptor_is_reported),
        TEST(a_listener_that_lost_its_descriptor_does_not_retry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
