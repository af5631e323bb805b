/* UDP sockets: errors of receiving. */

#include "support/udp_fixture.h"

static void connect_to_port(const char *text)
{
    aloop_address peer = address_of(text);

    assert_int_equal(aloop_udp_connect(u.udp, &peer), 0);
}

static void a_refused_datagram_is_reported_to_the_callback(void **state)
{
    (void) state;
    connect_to_port("127.0.0.1:9");
    start();
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, NULL), 0);
    settle();
    assert_int_equal(u.count, 1);
    assert_int_equal(u.sizes[0], ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_address_family(&u.from), ALOOP_FAMILY_NONE);
    settle();
    assert_int_equal(u.count, 1);
}

static void a_refused_datagram_is_reported_to_a_receive(void **state)
{
    (void) state;
    connect_to_port("127.0.0.1:9");
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, NULL), 0);
    assert_int_equal(aloop_await(receive()), ALOOP_ECONNREFUSED);
}

static void a_socket_that_is_not_connected_is_not_notified_of_refusals(
    void **state)
{
    aloop_address to = address_of("127.0.0.1:9");

    (void) state;
    start();
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &to), 0);
    settle();
    assert_int_equal(u.count, 0);
}

/* A reactor may take the error of the socket. */
static void a_refusal_that_the_reactor_took_is_reported(void **state)
{
    (void) state;
    sim_options()->is_error_cleared = true;
    connect_to_port("127.0.0.1:9");
    start();
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, NULL), 0);
    settle();
    assert_int_equal(u.count, 1);
    assert_int_equal(u.sizes[0], ALOOP_ECONNREFUSED);
}

static void receiving_continues_after_an_error(void **state)
{
    (void) state;
    start();
    sim_fail("aloop__sys_udp_receive", 1, ALOOP_EHOSTUNREACH);
    send_text("one");
    settle();
    assert_int_equal(u.count, 2);
    assert_int_equal(u.sizes[0], ALOOP_EHOSTUNREACH);
    assert_string_equal(u.texts[1], "one");
}

static void errors_in_a_row_suspend_receiving(void **state)
{
    (void) state;
    start();
    send_text("one");
    sim_fail_from("aloop__sys_udp_receive", 1, ALOOP_EIO);
    sim_pass(MS);
    turns(50);
    assert_int_equal(u.count, 8);
    sim_forgive();
    sim_pass(100 * MS);
    turns(2);
    assert_int_equal(u.count, 9);
    assert_string_equal(u.texts[8], "one");
}

/* The number then belongs to another descriptor. */
static void a_lost_descriptor_ends_the_socket(void **state)
{
    aloop_udp *other = NULL;
    int fd = aloop_udp_fd(u.udp);

    (void) state;
    start();
    aloop_step(t.loop, 0);
    aloop__sys_close(fd);
    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "71", &other), 0);
    assert_int_equal(aloop_udp_fd(other), fd);
    turns(3);
    assert_int_equal(u.count, 1);
    assert_int_equal(u.sizes[0], ALOOP_EBADF);
    assert_int_equal(aloop_udp_fd(u.udp), ALOOP_EBADF);
    assert_int_equal(aloop_udp_start(u.udp, on_datagram, &u), ALOOP_EBADF);
    assert_int_equal(aloop_await(receive()), ALOOP_EBADF);
    aloop_udp_close(u.udp);
    assert_int_equal(aloop_udp_fd(other), fd);
    aloop_udp_close(other);
}

static void a_lost_descriptor_fails_a_receive(void **state)
{
    aloop_future *future = receive();
    aloop_udp *other = NULL;

    (void) state;
    aloop_step(t.loop, 0);
    aloop__sys_close(aloop_udp_fd(u.udp));
    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "71", &other), 0);
    assert_int_equal(aloop_await(future), ALOOP_EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UDP_TEST(a_refused_datagram_is_reported_to_the_callback),
        UDP_TEST(a_refused_datagram_is_reported_to_a_receive),
        UDP_TEST(a_socket_that_is_not_connected_is_not_notified_of_refusals),
        UDP_TEST(a_refusal_that_the_reactor_took_is_reported),
        UDP_TEST(receiving_continues_after_an_error),
        UDP_TEST(errors_in_a_row_suspend_receiving),
        UDP_TEST(a_lost_descriptor_ends_the_socket),
        UDP_TEST(a_lost_descriptor_fails_a_receive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
