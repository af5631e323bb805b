/* UDP over loopback. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop.h"
#include "support/child.h"
#include "support/patient.h"
#include "support/sockets.h"

enum { NUMBERS_MAX = 1024, LARGE = 65507, MANY = 200, SEGMENT = 1200 };

static struct {
    aloop *loop;
    int open; /* Open descriptors before the test. */
    aloop_udp *a, *b;
    aloop_address at_a, at_b;
    int count; /* Datagrams that the callback has received. */
    size_t bytes;
    int errors;
    int expected; /* The callback stops the loop at this number. */
    ssize_t error;
    bool is_disordered;
    char buffer[LARGE + 1];
} f;

static aloop_udp *open_udp(const char *host, const aloop_udp_options *options,
                           aloop_address *ret_local)
{
    aloop_udp *udp = NULL;

    assert_int_equal(aloop_udp_open_with(f.loop, host, "0", options, &udp), 0);
    assert_int_equal(aloop_udp_local(udp, ret_local), 0);
    return udp;
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.open = open_descriptors(NUMBERS_MAX);
    f.loop = aloop_new(NULL);
    if (f.loop == NULL)
        return -1;
    f.a = open_udp("127.0.0.1", NULL, &f.at_a);
    f.b = open_udp("127.0.0.1", NULL, &f.at_b);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    aloop_free(f.loop);
    assert_int_equal(open_descriptors(NUMBERS_MAX), f.open);
    return 0;
}

#define UDP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The first byte of each datagram is its number. */
static void on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) udp;
    (void) from;
    (void) arg;
    if (size < 0) {
        f.errors++;
        f.error = size;
    } else {
        if (size > 0 && *(const unsigned char *) data != f.count % 256)
            f.is_disordered = true;
        f.bytes += (size_t) size;
        f.count++;
    }
    if (f.count + f.errors == f.expected)
        aloop_stop(f.loop);
}

static void run_until(int expected)
{
    f.expected = expected;
    if (f.count + f.errors < expected)
        aloop_run(f.loop);
}

static ssize_t receive(aloop_udp *udp, aloop_address *ret_from)
{
    return aloop_await(
        aloop_udp_receive(udp, f.buffer, sizeof f.buffer, ret_from));
}

static void datagrams_of_every_size_arrive_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 1472, 1473, 9000, LARGE};
    static char sent[LARGE];
    aloop_udp_options options = {.size = sizeof options,
                                 .receive_buffer = 1 << 20,
                                 .send_buffer = 1 << 20};
    aloop_address from;

    (void) state;
    aloop_udp_close(f.b);
    aloop_udp_close(f.a);
    f.a = open_udp("127.0.0.1", &options, &f.at_a);
    f.b = open_udp("127.0.0.1", &options, &f.at_b);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i * 7);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(aloop_udp_put(f.a, sent, sizes[i], &f.at_b), 0);
        assert_int_equal(receive(f.b, &from), sizes[i]);
        assert_memory_equal(f.buffer, sent, sizes[i]);
        assert_true(aloop_address_equal(&from, &f.at_a));
    }
}

/* Equal sizes are sent as a run, and are still single datagrams. */
static void put_run(size_t size, size_t last_size)
{
    char bytes[SEGMENT];

    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < MANY; i++) {
        bytes[0] = (char) i;
        assert_true(aloop_udp_put(f.a, bytes, i < MANY - 1 ? size : last_size,
                                  &f.at_b) >= 0);
    }
}

static void a_run_of_equal_datagrams_arrives_in_order(void **state)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .receive_buffer = 1 << 20};

    (void) state;
    aloop_udp_close(f.b);
    f.b = open_udp("127.0.0.1", &options, &f.at_b);
    assert_int_equal(aloop_udp_start(f.b, on_datagram, NULL), 0);
    put_run(64, 10);
    run_until(MANY);
    assert_int_equal(f.bytes, (MANY - 1) * 64 + 10);
    assert_false(f.is_disordered);
}

static void joined_datagrams_are_received_one_by_one(void **state)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .receive_buffer = 1 << 20,
                                 .join_received = true};

    (void) state;
    aloop_udp_close(f.b);
    f.b = open_udp("127.0.0.1", &options, &f.at_b);
    assert_int_equal(aloop_udp_start(f.b, on_datagram, NULL), 0);
    put_run(SEGMENT, 10);
    run_until(MANY);
    assert_int_equal(f.bytes, (MANY - 1) * SEGMENT + 10);
    assert_false(f.is_disordered);
}

static void one_socket_for_both_families_answers_both(void **state)
{
    aloop_address local, from;
    aloop_address to_a, to_inet6;
    aloop_udp *both, *inet6 = NULL;

    (void) state;
    both = open_udp(NULL, NULL, &local);
    to_a = f.at_a;
    aloop_address_set_port(&to_a, aloop_address_port(&local));
    assert_true(aloop_udp_put(f.a, "four", 4, &to_a) >= 0);
    assert_int_equal(receive(both, &from), 4);
    assert_true(aloop_address_equal(&from, &f.at_a));
    assert_true(aloop_udp_put(both, "reply", 5, &from) >= 0);
    assert_int_equal(receive(f.a, NULL), 5);
    if (aloop_udp_open(f.loop, "::1", "0", &inet6) < 0)
        return; /* The machine has no IPv6. */
    aloop_address_parse("::1", &to_inet6);
    aloop_address_set_port(&to_inet6, aloop_address_port(&local));
    assert_true(aloop_udp_put(inet6, "six", 3, &to_inet6) >= 0);
    assert_int_equal(receive(both, &from), 3);
    assert_true(aloop_udp_put(both, "again!", 6, &from) >= 0);
    assert_int_equal(receive(inet6, NULL), 6);
}

static void a_closed_port_is_reported_to_a_connected_socket(void **state)
{
    (void) state;
    aloop_udp_close(f.b);
    assert_int_equal(aloop_udp_connect(f.a, &f.at_b), 0);
    assert_int_equal(aloop_udp_put(f.a, "x", 1, NULL), 0);
    assert_int_equal(receive(f.a, NULL), ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_udp_start(f.a, on_datagram, NULL), 0);
    assert_int_equal(aloop_udp_put(f.a, "x", 1, NULL), 0);
    run_until(1);
    assert_int_equal(f.errors, 1);
    assert_int_equal(f.error, ALOOP_ECONNREFUSED);
}

/* The source address of the first peer is ::ffff:127.0.0.1 on Linux, from which
 * no host of IPv6 can be reached. */
static void another_connect_selects_a_peer_of_the_other_family(void **state)
{
    aloop_address local, at_six, at_four, bad = f.at_b;
    aloop_udp *udp = open_udp(NULL, NULL, &local), *six = NULL;

    (void) state;
    if (aloop_udp_open(f.loop, "::1", "0", &six) < 0)
        return; /* The machine has no IPv6. */
    assert_int_equal(aloop_udp_local(six, &at_six), 0);
    assert_int_equal(aloop_udp_connect(udp, &f.at_b), 0);
    assert_int_equal(aloop_udp_connect(udp, &at_six), 0);
    assert_true(aloop_udp_put(udp, "six", 3, NULL) >= 0);
    assert_int_equal(receive(six, &at_six), 3);
    assert_int_equal(aloop_udp_local(udp, &at_four), 0);
    assert_int_equal(aloop_address_port(&at_four), aloop_address_port(&local));
    assert_int_equal(aloop_address_port(&at_six), aloop_address_port(&local));
    memset(bad.host, 255, 4); /* A broadcast is not allowed. */
    assert_int_equal(aloop_udp_connect(udp, &bad), ALOOP_EACCES);
    assert_true(aloop_udp_put(udp, "again!", 6, NULL) >= 0);
    assert_int_equal(receive(six, NULL), 6);
}

/* The system keeps them in the queue of the socket. */
static void a_connect_drops_what_others_have_sent_before(void **state)
{
    aloop_address local, any;
    aloop_udp *udp = open_udp("127.0.0.1", NULL, &local);

    (void) state;
    assert_int_equal(aloop_await(aloop_udp_send(f.a, "x", 1, &local)), 1);
    assert_int_equal(aloop_await(aloop_udp_send(f.b, "two", 3, &local)), 3);
    assert_int_equal(aloop_udp_connect(udp, &f.at_b), 0);
    assert_int_equal(receive(udp, NULL), 3);
    any = f.at_b;
    memset(any.host, 0, 4); /* Linux sends to 127.0.0.1 instead. */
    if (aloop_udp_connect(udp, &any) < 0)
        return;
    assert_int_equal(aloop_await(aloop_udp_send(f.b, "four", 4, &local)), 4);
    assert_int_equal(receive(udp, NULL), 4);
}

/* The number may belong to another descriptor, which the close leaves open. */
static void assert_is_lost(aloop_udp *udp, int number)
{
    assert_int_equal(aloop_udp_fd(udp), ALOOP_EBADF);
    assert_int_equal(aloop_udp_start(udp, on_datagram, NULL), ALOOP_EBADF);
    assert_int_equal(aloop_udp_put(udp, "x", 1, &f.at_b), ALOOP_EBADF);
    assert_int_equal(dup2(STDERR_FILENO, number), number);
    aloop_udp_close(udp);
    assert_int_equal(close(number), 0);
}

/* The events of a descriptor continue while a duplicate of it is open. */
/* kqueue watches the number, and has no event after it was closed.  epoll
 * watches the open file, which has a duplicate. */
static void a_receive_notices_that_the_descriptor_was_closed(void **state)
{
    int number = aloop_udp_fd(f.a), duplicate;

    (void) state;
    if (strcmp(aloop_reactor(), "kqueue") == 0)
        skip();
    duplicate = dup(number);
    assert_int_equal(aloop_udp_start(f.a, on_datagram, NULL), 0);
    aloop_step(f.loop, 0);
    close(number);
    assert_int_equal(aloop_await(aloop_udp_send(f.b, "x", 1, &f.at_a)), 1);
    run_until(1);
    assert_int_equal(f.error, ALOOP_EBADF);
    assert_is_lost(f.a, number);
    close(duplicate);
}

static void a_send_notices_that_the_descriptor_was_closed(void **state)
{
    int number = aloop_udp_fd(f.a);
    aloop_future *future = aloop_udp_receive(f.a, f.buffer, 1, NULL);

    (void) state;
    close(number);
    assert_int_equal(aloop_await(aloop_udp_send(f.a, "x", 1, &f.at_b)),
                     ALOOP_EBADF);
    assert_int_equal(aloop_await(future), ALOOP_EBADF);
    assert_is_lost(f.a, number);
}

static void an_error_belongs_to_its_datagram(void **state)
{
    aloop_address broadcast;

    (void) state;
    assert_int_equal(aloop_address_parse("255.255.255.255:9", &broadcast), 0);
    assert_true(aloop_udp_put(f.a, "1", 1, &f.at_b) >= 0);
    assert_int_equal(aloop_await(aloop_udp_send(f.a, "x", 1, &broadcast)),
                     ALOOP_EACCES);
    assert_int_equal(aloop_await(aloop_udp_send(f.a, "22", 2, &f.at_b)), 2);
    assert_int_equal(receive(f.b, NULL), 1);
    assert_int_equal(receive(f.b, NULL), 2);
}

static void a_socket_with_all_options_works(void **state)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .reuse_address = true,
                                 .broadcast = true,
                                 .join_received = true,
                                 .hops_max = 3,
                                 .receive_buffer = 100000,
                                 .send_buffer = 100000};
    aloop_address local;
    aloop_udp *udp = open_udp("127.0.0.1", &options, &local);

    (void) state;
    assert_true(aloop_udp_put(udp, "one", 3, &f.at_b) >= 0);
    assert_int_equal(receive(f.b, NULL), 3);
    options = (aloop_udp_options){.size = sizeof options, .ipv6_only = true};
    if (aloop_udp_open_with(f.loop, "::", "0", &options, &udp) == 0)
        assert_int_equal(aloop_udp_connect(udp, &f.at_b), ALOOP_EAFNOSUPPORT);
}

#ifdef __linux__
/* Opens a socket that receives the TTL of each datagram, too. */
static int open_with_ttl(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *) &address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* Returns the TTL of the next datagram, or -1. */
static int received_ttl(int fd)
{
    char bytes[8], control[64];
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header;
    int ttl = -1;

    assert_int_equal(recvmsg(fd, &message, MSG_DONTWAIT), 3);
    header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == IP_TTL)
        memcpy(&ttl, CMSG_DATA(header), sizeof ttl);
    return ttl;
}

static void a_broadcast_arrives_with_the_ttl_that_was_set(void **state)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .broadcast = true,
                                 .hops_max = 3};
    aloop_address local, everybody;
    aloop_udp *udp = open_udp("127.0.0.1", &options, &local);
    uint16_t port;
    int fd = open_with_ttl(&port);
    char text[32];

    (void) state;
    snprintf(text, sizeof text, "127.255.255.255:%d", port);
    assert_int_equal(aloop_address_parse(text, &everybody), 0);
    assert_int_equal(aloop_await(aloop_udp_send(udp, "one", 3, &everybody)), 3);
    assert_int_equal(received_ttl(fd), 3);
    assert_int_equal(aloop_await(aloop_udp_send(f.a, "two", 3, &everybody)),
                     ALOOP_EACCES);
    close(fd);
    aloop_udp_close(udp);
}

static void count_share(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) udp;
    (void) data;
    (void) from;
    assert_int_equal(size, 1);
    (*(int *) arg)++;
    if (++f.count == f.expected)
        aloop_stop(f.loop);
}

/* Each sender has a port of its own, by which the system chooses a socket. */
static void sockets_with_reuse_port_share_a_port(void **state)
{
    enum { SENDERS = 40 };
    int shares[2] = {0};
    aloop_udp_options options = {.size = sizeof options, .reuse_port = true};
    aloop_address local;
    aloop_udp *first = open_udp("127.0.0.1", &options, &local);
    aloop_udp *second = NULL, *refused = NULL;
    char port[8];

    (void) state;
    snprintf(port, sizeof port, "%d", aloop_address_port(&local));
    assert_int_equal(
        aloop_udp_open_with(f.loop, "127.0.0.1", port, &options, &second), 0);
    assert_int_equal(aloop_udp_open(f.loop, "127.0.0.1", port, &refused),
                     ALOOP_EADDRINUSE);
    assert_int_equal(aloop_udp_start(first, count_share, &shares[0]), 0);
    assert_int_equal(aloop_udp_start(second, count_share, &shares[1]), 0);
    for (int i = 0; i < SENDERS; i++) {
        aloop_address from;

        assert_int_equal(
            aloop_await(aloop_udp_send(open_udp("127.0.0.1", NULL, &from), "x",
                                       1, &local)),
            1);
    }
    run_until(SENDERS);
    assert_in_range(shares[0], 1, SENDERS - 1);
    assert_int_equal(shares[0] + shares[1], SENDERS);
}
#endif

static void a_member_receives_from_its_group_on_loopback(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .reuse_address = true};
    aloop_address group, local;
    aloop_udp *member = open_udp("0.0.0.0", &options, &local);
    unsigned interface = 1; /* lo */
    int error;

    (void) state;
    assert_int_equal(aloop_address_parse("239.255.7.9", &group), 0);
    error = aloop_udp_join(member, &group, interface, NULL);
    if (error < 0)
        return; /* The machine has no multicast. */
    assert_true(aloop_udp_join(member, &group, interface, NULL) < 0);
    aloop_address_set_port(&group, aloop_address_port(&local));
    if (aloop_udp_set_multicast(f.a, interface, 1, true) < 0 ||
        aloop_await(aloop_udp_send(f.a, "all", 3, &group)) < 0)
        return;
    assert_int_equal(receive(member, NULL), 3);
    aloop_address_set_port(&group, 0);
    assert_int_equal(aloop_udp_leave(member, &group, interface, NULL), 0);
    assert_true(aloop_udp_leave(member, &group, interface, NULL) < 0);
}

/* What is sent to a host comes after what is sent to a group. */
static void a_member_receives_only_from_the_source_that_it_has_joined(
    void **state)
{
    static const char *const sources[] = {"127.0.0.9", "127.0.0.1"};
    aloop_udp_options options = {.size = sizeof options, .reuse_address = true};
    aloop_address group, host, source;
    aloop_udp *member = open_udp("0.0.0.0", &options, &host);
    unsigned interface = 1; /* lo */

    (void) state;
    assert_int_equal(aloop_address_parse("127.0.0.1", &source), 0);
    aloop_address_set_port(&source, aloop_address_port(&host));
    host = source;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_address_parse("232.255.7.9", &group), 0);
        assert_int_equal(aloop_address_parse(sources[i], &source), 0);
        if (aloop_udp_join(member, &group, interface, &source) < 0)
            skip(); /* The machine has no multicast. */
        aloop_address_set_port(&group, aloop_address_port(&host));
        if (aloop_udp_set_multicast(f.a, interface, 1, true) < 0 ||
            aloop_await(aloop_udp_send(f.a, "group", 5, &group)) < 0)
            skip();
        assert_int_equal(aloop_await(aloop_udp_send(f.a, "own", 3, &host)), 3);
        assert_int_equal(receive(member, NULL), i == 1 ? 5 : 3);
        aloop_address_set_port(&group, 0);
        assert_int_equal(aloop_udp_leave(member, &group, interface, &source),
                         0);
    }
    assert_int_equal(receive(member, NULL), 3);
}

#ifdef __linux__

/* Networks that a child process has for itself. */

enum { CHILD_SKIPS = 77 };

/* Runs commands of a shell.  Returns whether they have succeeded. */
static bool run_shell(const char *commands)
{
    int status = -1;
    pid_t shell = fork();

    if (shell == 0) {
        execlp("sh", "sh", "-c", commands, (char *) NULL);
        _exit(127);
    }
    return patient_waitpid(shell, &status, 0) == shell && status == 0;
}

/* Runs `check` in a child whose network `commands` have made. */
static void in_network(const char *commands, void (*check)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child > 0) {
        assert_int_equal(patient_waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
            skip();
        assert_int_equal(status, 0);
        return;
    }
    CHECK(aloop_free(f.loop) == 0);
    if (unshare(CLONE_NEWNET) < 0 || !run_shell(commands))
        _exit(CHILD_SKIPS);
    f.loop = aloop_new(NULL);
    CHECK(f.loop != NULL);
    alarm((unsigned) patient_limit(10)); /* A datagram may be lost. */
    check();
    CHECK(aloop_free(f.loop) == 0);
    _exit(0);
}

static aloop_udp *open_in_child(const char *host, uint16_t *ret_port)
{
    aloop_udp *udp = NULL;
    aloop_address local;

    CHECK(aloop_udp_open(f.loop, host, "0", &udp) == 0);
    CHECK(aloop_udp_local(udp, &local) == 0);
    *ret_port = (uint16_t) aloop_address_port(&local);
    return udp;
}

/* The system refuses to divide the run, and sends each datagram in
 * fragments. */
static void check_large_run(void)
{
    enum { EACH = 3000, COUNT = 20 };
    static char bytes[EACH];
    aloop_address to;
    uint16_t port;
    aloop_udp *from = open_in_child("127.0.0.1", &port);
    aloop_udp *receiver = open_in_child("127.0.0.1", &port);

    CHECK(aloop_address_parse("127.0.0.1", &to) == 0);
    aloop_address_set_port(&to, port);
    for (int i = 0; i < COUNT; i++)
        CHECK(aloop_udp_put(from, bytes, i < COUNT / 2 ? EACH : EACH / 6,
                            &to) >= 0);
    for (int i = 0; i < COUNT; i++)
        CHECK(receive(receiver, NULL) == (i < COUNT / 2 ? EACH : EACH / 6));
}

static void runs_of_datagrams_above_the_mtu_arrive(void **state)
{
    (void) state;
    in_network("ip link set lo mtu 1500 up", check_large_run);
}

/* Two interfaces that are the ends of a cable. */
static const char cable[] =
    "ip link add one type veth peer name two &&"
    "ip addr add 10.77.1.1/24 dev one && ip addr add 10.77.2.1/24 dev two &&"
    "ip link set lo up && ip link set one up && ip link set two up &&"
    "cd /proc/sys/net/ipv4/conf && echo 0 >all/rp_filter &&"
    "echo 0 >two/rp_filter && echo 1 >two/accept_local";

static void check_multicast(void)
{
    aloop_address group, other, from;
    uint16_t port;
    aloop_udp *member = open_in_child("0.0.0.0", &port), *sender, *stranger;
    aloop_future *unheard;
    uint16_t unused;
    ssize_t size;
    char byte;

    CHECK(aloop_address_parse("239.255.7.9", &group) == 0);
    CHECK(aloop_address_parse("10.77.1.9", &other) == 0);
    sender = open_in_child("10.77.1.1", &unused);
    stranger = open_in_child("0.0.0.0", &unused);
    CHECK(aloop_udp_join(member, &group, if_nametoindex("two"), NULL) == 0);
    CHECK(aloop_udp_join(stranger, &group, if_nametoindex("two"), &other) == 0);
    CHECK(aloop_udp_set_multicast(sender, if_nametoindex("one"), 1, false) ==
          0);
    unheard = aloop_udp_receive(stranger, &byte, 1, NULL);
    /* The kernel drops what is sent before it has noticed that the cable is
     * connected, which can take a second. */
    do {
        aloop_address_set_port(&group, unused);
        CHECK(aloop_await(aloop_udp_send(sender, "x", 1, &group)) == 1);
        aloop_address_set_port(&group, port);
        CHECK(aloop_await(aloop_udp_send(sender, "all", 3, &group)) == 3);
        size = aloop_await(aloop_timeout(
            aloop_udp_receive(member, f.buffer, sizeof f.buffer, &from),
            ALOOP_MS(100)));
    } while (size == ALOOP_ETIMEDOUT);
    CHECK(size == 3);
    aloop_address_set_port(&from, 0);
    CHECK(aloop_address_parse("10.77.1.1", &other) == 0);
    CHECK(aloop_address_equal(&from, &other));
    CHECK(!aloop_future_is_settled(unheard));
    aloop_future_unref(unheard);
}

static void a_member_receives_through_the_interface_that_it_has_chosen(
    void **state)
{
    (void) state;
    if (patient_runs_on_qemu()) /* It does not know the options for groups. */
        skip();
    in_network(cable, check_multicast);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        UDP_TEST(datagrams_of_every_size_arrive_whole),
        UDP_TEST(a_run_of_equal_datagrams_arrives_in_order),
        UDP_TEST(joined_datagrams_are_received_one_by_one),
        UDP_TEST(one_socket_for_both_families_answers_both),
        UDP_TEST(a_closed_port_is_reported_to_a_connected_socket),
        UDP_TEST(another_connect_selects_a_peer_of_the_other_family),
        UDP_TEST(a_connect_drops_what_others_have_sent_before),
        UDP_TEST(a_receive_notices_that_the_descriptor_was_closed),
        UDP_TEST(a_send_notices_that_the_descriptor_was_closed),
        UDP_TEST(an_error_belongs_to_its_datagram),
        UDP_TEST(a_socket_with_all_options_works),
#ifdef __linux__
        UDP_TEST(runs_of_datagrams_above_the_mtu_arrive),
        UDP_TEST(a_member_receives_through_the_interface_that_it_has_chosen),
        UDP_TEST(a_broadcast_arrives_with_the_ttl_that_was_set),
        UDP_TEST(sockets_with_reuse_port_share_a_port),
#endif
        UDP_TEST(a_member_receives_from_its_group_on_loopback),
        UDP_TEST(a_member_receives_only_from_the_source_that_it_has_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
