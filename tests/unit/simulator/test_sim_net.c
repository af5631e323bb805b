/* The simulated network. */

#include "support/sim_fixture.h"

#include <errno.h>
#include <string.h>

enum { US = 1000 };

/* Returns what is ready on `fd` now, including an error, which is not
 * requested. */
static unsigned ready(int fd)
{
    unsigned bits;

    watch(fd, REACTOR_READ | REACTOR_WRITE);
    bits = wait_ns(0) > 0 ? aloop__event_bits(&f.events[0]) : 0;
    unwatch(fd);
    return bits;
}

static struct sys_address at(const char *host, const char *port)
{
    struct sys_address address = {0};

    assert_int_equal(aloop__sys_address_parse(host, port, &address), 0);
    return address;
}

static int listen_on(const char *host, const char *port, int backlog)
{
    struct sys_address address = at(host, port);
    enum sys_family family = aloop__sys_address_family(&address);
    int fd = aloop__sys_tcp_socket(family);

    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_reuse_address(fd, family), 0);
    assert_int_equal(aloop__sys_bind(fd, &address), 0);
    assert_int_equal(aloop__sys_listen(fd, backlog), 0);
    return fd;
}

static int connect_to(const char *host, const char *port)
{
    struct sys_address address = at(host, port);
    int fd = aloop__sys_tcp_socket(aloop__sys_address_family(&address));

    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_connect(fd, &address), -EINPROGRESS);
    return fd;
}

/* Opens a connection between a peer and a descriptor.  Returns the
 * descriptor. */
static int connect_peer(int *ret_peer)
{
    int listener = listen_on("127.0.0.1", "80", 5);
    int fd;

    *ret_peer = sim_connect(80);
    assert_true(*ret_peer >= 0);
    sim_pass(US);
    fd = aloop__sys_accept(listener);
    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_close(listener), 0);
    return fd;
}

static void a_connection_is_established_after_the_delays(void **state)
{
    int listener = listen_on("::1", "80", 5);
    int64_t start_ns = aloop__sys_clock_ns();
    int fd = connect_to("::1", "80");
    struct sys_address local, remote;
    int accepted;

    (void) state;
    assert_int_equal(ready(fd), 0);
    watch(listener, REACTOR_READ);
    assert_int_equal(wait_ns(-1), 1);
    assert_int_equal(aloop__event_fd(&f.events[0]), listener);
    assert_int_equal(aloop__event_generation(&f.events[0]), 7);
    assert_int_equal(aloop__sys_clock_ns(), start_ns + US);
    accepted = aloop__sys_accept(listener);
    assert_int_equal(aloop__sys_accept(listener), -EAGAIN);
    watch(fd, REACTOR_WRITE);
    assert_int_equal(wait_ns(-1), 1);

    assert_int_equal(aloop__event_bits(&f.events[0]), REACTOR_WRITE);
    assert_int_equal(aloop__sys_clock_ns(), start_ns + 2 * US);
    assert_int_equal(aloop__sys_socket_error(fd), 0);
    aloop__sys_local_address(fd, &local);
    aloop__sys_peer_address(accepted, &remote);
    assert_memory_equal(&local, &remote, sizeof local);
}

static void connecting_fails_as_defined_for_the_address(void **state)
{
    struct sys_address nowhere = at("10.0.0.2", "80");
    int refused = connect_to("127.0.0.1", "81");
    int64_t start_ns = aloop__sys_clock_ns();
    int silent, unreachable;

    (void) state;
    sim_blackhole("10.0.0.1");
    sim_unreachable("10.0.0.2");
    silent = connect_to("10.0.0.1", "80");
    unreachable = aloop__sys_tcp_socket(SYS_INET);
    assert_int_equal(aloop__sys_connect(unreachable, &nowhere), -ENETUNREACH);

    sim_pass(2 * US);
    assert_int_equal(ready(refused), 7);
    assert_int_equal(aloop__sys_socket_error(refused), -ECONNREFUSED);
    assert_int_equal(aloop__sys_socket_error(refused), 0);
    watch(silent, REACTOR_WRITE);
    assert_int_equal(wait_ns(-1), 1);

    assert_int_equal(aloop__sys_socket_error(silent), -ETIMEDOUT);
    assert_int_equal((aloop__sys_clock_ns() - start_ns) / SECOND, 127);
}

static void a_full_backlog_ignores_connects_until_there_is_room(void **state)
{
    int listener = listen_on("127.0.0.1", "80", 1);
    int late;

    (void) state;
    assert_true(sim_connect(80) >= 0);
    assert_true(sim_connect(80) >= 0);
    assert_int_equal(sim_connect(80), -EAGAIN);
    late = connect_to("127.0.0.1", "80");
    sim_pass(SECOND / 2);
    assert_int_equal(ready(late), 0);

    assert_true(aloop__sys_accept(listener) >= 0);
    sim_pass(SECOND);

    assert_int_equal(ready(late), REACTOR_WRITE);
    assert_int_equal(sim_connect(81), -ECONNREFUSED);
}

static void an_address_in_use_is_refused_and_port_0_selects_a_port(void **state)
{
    int first = listen_on("127.0.0.1", "80", 5);
    struct sys_address taken = at("0.0.0.0", "80"), any = at("::1", "0");
    int fd = aloop__sys_tcp_socket(SYS_INET),
        other = aloop__sys_tcp_socket(SYS_INET6);

    (void) state;
    assert_int_equal(aloop__sys_bind(fd, &taken), -EADDRINUSE);
    aloop__sys_close(first);
    assert_int_equal(aloop__sys_bind(fd, &taken), 0);
    assert_int_equal(aloop__sys_bind(other, &any), 0);
    assert_int_equal(aloop__sys_local_address(other, &any), 0);
    assert_in_range(aloop__sys_address_port(&any), 49152, 65535);
}

static void the_ipv6_wildcard_also_accepts_ipv4(void **state)
{
    int listener = listen_on(NULL, "80", 5);
    int peer = sim_connect_to("127.0.0.1", 80);
    struct sys_address address;
    char text[96];

    (void) state;
    assert_true(peer >= 0);
    sim_pass(US);
    assert_int_equal(
        aloop__sys_local_address(aloop__sys_accept(listener), &address), 0);
    assert_int_equal(aloop__sys_address_family(&address), SYS_INET6);
    assert_int_equal(aloop__sys_address_format(&address, text, sizeof text),
                     12);
    assert_string_equal(text, "127.0.0.1:80");
    assert_int_equal(aloop__sys_address_format(&address, text, 12), -ENOSPC);
}

static void bytes_arrive_after_the_delay_and_in_order(void **state)
{
    const struct sys_piece pieces[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    char buffer[8] = "";
    int peer, fd = connect_peer(&peer);

    (void) state;
    assert_int_equal(aloop__sys_recv(fd, buffer, 8), -EAGAIN);
    assert_int_equal(aloop__sys_sendv(fd, pieces, 3), 5);
    assert_int_equal(sim_peer_receive(peer, buffer, 8), 0);
    sim_pass(US);
    assert_int_equal(sim_peer_receive(peer, buffer, 4), 4);
    assert_int_equal(sim_peer_receive(peer, buffer + 4, 4), 1);
    assert_memory_equal(buffer, "abcde", 5);

    assert_int_equal(sim_peer_send(peer, "xyz", 3), 3);
    watch(fd, REACTOR_READ);
    assert_int_equal(wait_ns(-1), 1);
    assert_int_equal(aloop__sys_recv(fd, buffer, 8), 3);
    assert_memory_equal(buffer, "xyz", 3);
}

static void a_full_buffer_refuses_until_the_peer_receives(void **state)
{
    char bytes[8] = "abcdefg";
    int peer, fd = connect_peer(&peer);

    (void) state;
    sim_buffer_size(6);
    assert_int_equal(aloop__sys_send(fd, bytes, 8), 6);
    assert_int_equal(aloop__sys_send(fd, bytes, 8), -EAGAIN);
    sim_pass(US);
    assert_int_equal(ready(fd), 0);

    assert_int_equal(sim_peer_receive(peer, bytes, 2), 2);

    assert_int_equal(ready(fd), REACTOR_WRITE);
    assert_int_equal(aloop__sys_send(fd, bytes, 8), 2);
}

static void each_direction_ends_independently(void **state)
{
    char byte;
    int peer, fd = connect_peer(&peer);

    (void) state;
    assert_int_equal(aloop__sys_send(fd, "a", 1), 1);
    assert_int_equal(aloop__sys_shutdown_write(fd), 0);
    assert_int_equal(aloop__sys_send(fd, "b", 1), -EPIPE);
    sim_pass(US);
    assert_false(sim_peer_eof(peer));
    assert_int_equal(sim_peer_receive(peer, &byte, 1), 1);
    assert_true(sim_peer_eof(peer));

    assert_int_equal(sim_peer_send(peer, "c", 1), 1);
    sim_peer_shutdown(peer);
    sim_pass(US);

    assert_int_equal(ready(fd), 7);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 1);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 0);
}

static void writing_to_a_closed_peer_ends_in_a_broken_pipe(void **state)
{
    char byte;
    int peer, fd = connect_peer(&peer);

    (void) state;
    sim_peer_close(peer);
    sim_pass(US);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 0);
    assert_int_equal(aloop__sys_send(fd, "a", 1), 1);
    assert_int_equal(ready(fd), REACTOR_READ | REACTOR_WRITE);
    sim_pass(2 * US);

    assert_int_equal(ready(fd), 7);
    assert_int_equal(aloop__sys_socket_error(fd), -EPIPE);
    assert_int_equal(aloop__sys_send(fd, "a", 1), -EPIPE);
}

static void a_reset_is_reported_after_the_data_that_arrived(void **state)
{
    char byte;
    int peer, fd = connect_peer(&peer);

    (void) state;
    sim_peer_send(peer, "a", 1);
    sim_pass(US);
    sim_peer_send(peer, "lost", 4);
    sim_peer_reset(peer);
    sim_pass(US);

    assert_int_equal(ready(fd), 7);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 1);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), -ECONNRESET);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 0);
    assert_int_equal(aloop__sys_send(fd, "a", 1), -EPIPE);
}

static void a_broken_connection_reports_its_error_once(void **state)
{
    char byte;
    int peer, fd = connect_peer(&peer);

    (void) state;
    sim_peer_send(peer, "a", 1);
    sim_pass(US);
    sim_peer_break(peer, -EHOSTUNREACH);
    sim_pass(US);

    assert_int_equal(ready(fd), 7);
    assert_int_equal(sim_peer_error(peer), -ECONNRESET);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 1);
    assert_int_equal(aloop__sys_send(fd, "a", 1), -EHOSTUNREACH);
    assert_int_equal(aloop__sys_recv(fd, &byte, 1), 0);
    assert_int_equal(aloop__sys_send(fd, "a", 1), -EPIPE);
    sim_break(-EIO); /* There is no other connection. */
    assert_int_equal(aloop__sys_socket_error(fd), 0);
}

static void closing_resets_on_request_or_if_data_is_unread(void **state)
{
    int first, a = connect_peer(&first);
    int second, b = connect_peer(&second);
    char byte;

    (void) state;
    sim_peer_send(first, "a", 1);
    sim_pass(US);
    assert_int_equal(aloop__sys_send(b, "lost", 4), 4);
    assert_int_equal(aloop__sys_reset_on_close(b), 0);
    aloop__sys_close(a);
    aloop__sys_close(b);
    sim_pass(US);

    assert_int_equal(sim_peer_error(first), -ECONNRESET);
    assert_int_equal(sim_peer_receive(second, &byte, 1), -ECONNRESET);
    assert_false(sim_peer_connected(second));
}

static void a_closed_listener_resets_waiting_connections(void **state)
{
    int listener = listen_on("127.0.0.1", "80", 5);
    int early = sim_connect(80), late;

    (void) state;
    sim_pass(US);
    late = sim_connect(80);
    aloop__sys_close(listener);
    sim_pass(3 * US);

    assert_int_equal(sim_peer_error(early), -ECONNRESET);
    assert_int_equal(sim_peer_error(late), -ECONNRESET);
}

static void a_peer_can_be_the_server(void **state)
{
    int listener = sim_listen("10.0.0.9", 80, 5);
    int fd = connect_to("10.0.0.9", "80"), peer;
    char byte = 0;

    (void) state;
    assert_int_equal(sim_accept(listener), -EAGAIN);
    sim_pass(2 * US);
    peer = sim_accept(listener);
    aloop__sys_send(fd, "a", 1);
    sim_pass(US);

    assert_int_equal(sim_peer_receive(peer, &byte, 1), 1);
    assert_int_equal(byte, 'a');
    sim_peer_close(listener);
    assert_int_equal(sim_connect_to("10.0.0.9", 80), -ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_established_after_the_delays),
        TEST(connecting_fails_as_defined_for_the_address),
        TEST(a_full_backlog_ignores_connects_until_there_is_room),
        TEST(an_address_in_use_is_refused_and_port_0_selects_a_port),
        TEST(the_ipv6_wildcard_also_accepts_ipv4),
        TEST(bytes_arrive_after_the_delay_and_in_order),
        TEST(a_full_buffer_refuses_until_the_peer_receives),
        TEST(each_direction_ends_independently),
        TEST(writing_to_a_closed_peer_ends_in_a_broken_pipe),
        TEST(a_reset_is_reported_after_the_data_that_arrived),
        TEST(a_broken_connection_reports_its_error_once),
        TEST(closing_resets_on_request_or_if_data_is_unread),
        TEST(a_closed_listener_resets_waiting_connections),
        TEST(a_peer_can_be_the_server),
    };

    return cmocka_run_group_tests_name("sim_net", tests, NULL, NULL);
}
