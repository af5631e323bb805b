/* Options of TCP sockets of the kernel. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aloop.h"
#include "support/patient.h"

static struct {
    aloop *loop;
    aloop_listener *listener;
    aloop_stream *client, *server;
} f;

static int set_up(void **state)
{
    (void) state;
    f.loop = aloop_new(NULL);
    return f.loop == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    return aloop_free(f.loop);
}

static int listen_with(const char *host, const char *port, bool is_port_shared,
                       aloop_listener **ret)
{
    aloop_tcp_listen_options options = {.size = sizeof options,
                                        .reuse_port = is_port_shared};

    return aloop_tcp_listen_with(f.loop, host, port, NULL, NULL, &options, ret);
}

/* Connects two streams of the loop. */
static void connect_both(const char *host)
{
    char port[8];

    assert_int_equal(listen_with(host, "0", false, &f.listener), 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(f.listener));
    assert_int_equal(
        aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &f.client)),
        0);
    assert_int_equal(aloop_await(aloop_listener_accept(f.listener, &f.server)),
                     0);
}

static void close_all(void)
{
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
    aloop_listener_close(f.listener);
}

/* The value of an option of the system. */
static int number_of(const aloop_stream *stream, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    assert_int_equal(
        getsockopt(aloop_stream_fd(stream), level, name, &value, &size), 0);
    return value;
}

static void both_ends_have_nodelay_until_it_is_switched_off(void **state)
{
    (void) state;
    connect_both("127.0.0.1");
    assert_true(number_of(f.client, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_true(number_of(f.server, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_int_equal(aloop_tcp_set_nodelay(f.server, false), 0);
    assert_int_equal(number_of(f.server, IPPROTO_TCP, TCP_NODELAY), 0);
    close_all();
}

static void the_system_has_the_options_that_were_set(void **state)
{
    (void) state;
    connect_both("127.0.0.1");
    assert_int_equal(aloop_tcp_set_keepalive(f.client, 0, 0, 0), 0);
    assert_true(number_of(f.client, SOL_SOCKET, SO_KEEPALIVE) != 0);
    assert_int_equal(aloop_tcp_set_keepalive(f.client, -1, 0, 0), 0);
    assert_int_equal(number_of(f.client, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(aloop_tcp_set_buffers(f.client, 50000, 60000), 0);
    assert_true(number_of(f.client, SOL_SOCKET, SO_RCVBUF) >= 50000);
    assert_true(number_of(f.client, SOL_SOCKET, SO_SNDBUF) >= 60000);
    assert_int_equal(aloop_tcp_set_tos(f.client, 0x10), 0);
    assert_int_equal(number_of(f.client, IPPROTO_IP, IP_TOS), 0x10);
    close_all();
}

#ifdef __linux__
static void times_are_rounded_up_to_the_units_of_the_system(void **state)
{
    (void) state;
    connect_both("127.0.0.1");
    assert_int_equal(
        aloop_tcp_set_keepalive(f.client, ALOOP_MS(1), ALOOP_SEC(5) + 1, 3), 0);
    assert_int_equal(number_of(f.client, IPPROTO_TCP, TCP_KEEPIDLE), 1);
    assert_int_equal(number_of(f.client, IPPROTO_TCP, TCP_KEEPINTVL), 6);
    assert_int_equal(number_of(f.client, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(
        aloop_tcp_set_keepalive(f.client, ALOOP_SEC(32767), 0, 127), 0);
    assert_int_equal(number_of(f.client, IPPROTO_TCP, TCP_KEEPIDLE), 32767);
    assert_int_equal(number_of(f.client, IPPROTO_TCP, TCP_KEEPINTVL), 6);
    assert_int_equal(aloop_tcp_set_user_timeout(f.client, 1500001), 0);
    assert_int_equal(number_of(f.client, IPPROTO_TCP, TCP_USER_TIMEOUT), 2);
    close_all();
}

/* Such a stream has a socket of IPv6, and sends packets of IPv4. */
static void the_type_of_service_holds_for_peers_of_both_families(void **state)
{
    (void) state;
    connect_both(NULL);
    assert_int_equal(aloop_tcp_set_tos(f.server, 0x20), 0);
    assert_int_equal(number_of(f.server, IPPROTO_IP, IP_TOS), 0x20);
    close_all();
}
#endif

static void a_connect_has_the_local_address_that_was_given(void **state)
{
    aloop_tcp_connect_options options = {.size = sizeof options};
    aloop_address local;
    char port[8];

    (void) state;
    assert_int_equal(aloop_address_parse("127.0.0.2", &options.local), 0);
    assert_int_equal(listen_with("127.0.0.1", "0", false, &f.listener), 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(f.listener));
    assert_int_equal(aloop_await(aloop_tcp_connect_with(
                         f.loop, "127.0.0.1", port, &options, &f.client)),
                     0);
    assert_int_equal(aloop_await(aloop_listener_accept(f.listener, &f.server)),
                     0);
    assert_int_equal(aloop_stream_peer_address(f.server, &local), 0);
    aloop_address_set_port(&local, 0);
    assert_true(aloop_address_equal(&local, &options.local));
    close_all();
}

/* Returns the descriptor of a connection. */
static int connect_plainly(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((in_port_t) port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(
        patient_connect(fd, (const struct sockaddr *) &address, sizeof address),
        0);
    return fd;
}

static void a_listening_descriptor_is_adopted(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), client;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void) state;
    assert_int_equal(
        bind(fd, (const struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(aloop_listener_adopt(f.loop, fd, NULL, NULL, &f.listener),
                     ALOOP_EINVAL);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(aloop_listener_adopt(f.loop, fd, NULL, NULL, &f.listener),
                     0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    client = connect_plainly(aloop_listener_port(f.listener));
    assert_int_equal(aloop_await(aloop_listener_accept(f.listener, &f.server)),
                     0);
    assert_true(number_of(f.server, IPPROTO_TCP, TCP_NODELAY) != 0);
    close(client);
    aloop_stream_close(f.server);
    aloop_listener_close(f.listener);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* It was the listener's. */
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(aloop_listener_adopt(f.loop, fd, NULL, NULL, &f.listener),
                     ALOOP_ENOTSUP);
    close(fd);
}

#ifdef __linux__
enum { SHARERS = 4, VISITORS = 40 };

/* Answers with one byte. */
static void answer(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    ++*(int *) arg;
    aloop_stream_put(stream, "a", 1);
    aloop_stream_close(stream);
}

/* The kernel gives each connection to one of the listeners, and resets those
 * that wait for a listener that is closed. */
static void no_connection_is_reset_by_the_close_of_a_listener(void **state)
{
    aloop_tcp_listen_options options = {.size = sizeof options,
                                        .reuse_port = true};
    aloop_listener *listeners[SHARERS];
    int visitors[VISITORS], answered = 0;
    char port[8] = "0", byte;

    (void) state;
    for (int i = 0; i < SHARERS; i++) {
        assert_int_equal(aloop_tcp_listen_with(f.loop, "127.0.0.1", port,
                                               answer, &answered, &options,
                                               &listeners[i]),
                         0);
        snprintf(port, sizeof port, "%d", aloop_listener_port(listeners[i]));
    }
    for (int i = 0; i < VISITORS; i++)
        visitors[i] = connect_plainly(aloop_listener_port(listeners[0]));
    aloop_listener_close(listeners[0]);
    while (answered < VISITORS)
        assert_true(aloop_step(f.loop, ALOOP_SEC(60)) > 0);
    for (int i = 0; i < VISITORS; i++) {
        assert_int_equal(patient_read(visitors[i], &byte, 1), 1);
        close(visitors[i]);
    }
    for (int i = 1; i < SHARERS; i++)
        aloop_listener_close(listeners[i]);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(both_ends_have_nodelay_until_it_is_switched_off),
        TEST(the_system_has_the_options_that_were_set),
        TEST(a_connect_has_the_local_address_that_was_given),
        TEST(a_listening_descriptor_is_adopted),
#ifdef __linux__
        TEST(times_are_rounded_up_to_the_units_of_the_system),
        TEST(the_type_of_service_holds_for_peers_of_both_families),
        TEST(no_connection_is_reset_by_the_close_of_a_listener),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
