/* Datagrams when system calls fail. */

#define _GNU_SOURCE

#include "support/refusal_fixture.h"

enum { DATAGRAMS = 20, SIZE = 100 };

/* A socket that sends, and one that receives. */
static struct sys_udp from, to;
static aloop_address target;

static struct sys_udp open_bound(void)
{
    struct sys_address address;
    struct sys_udp udp;

    assert_int_equal(aloop__sys_udp_open(SYS_INET, false, &udp), 0);
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "0", &address), 0);
    assert_int_equal(aloop__sys_bind(udp.fd, &address), 0);
    return udp;
}

static void open_both(void)
{
    struct sys_address address;

    from = open_bound();
    to = open_bound();
    assert_int_equal(aloop__sys_local_address(to.fd, &address), 0);
    assert_int_equal(aloop__sys_address_export(&address, &target), 0);
}

static void close_both(void)
{
    aloop__sys_close(from.fd);
    aloop__sys_close(to.fd);
}

/* Sends datagrams, of which every fifth is shorter, until all are sent. */
static void send_all(void)
{
    static char bytes[SIZE];
    struct sys_datagram datagrams[DATAGRAMS];
    size_t sent = 0;

    for (size_t i = 0; i < DATAGRAMS; i++)
        datagrams[i] =
            (struct sys_datagram){&target, bytes, i % 5 == 4 ? 10 : SIZE};
    while (sent < DATAGRAMS) {
        int count =
            aloop__sys_udp_send(&from, datagrams + sent, DATAGRAMS - sent);

        assert_true(count > 0);
        sent += (size_t) count;
    }
}

static void receive_all(void)
{
    static char buffers[SYS_RECEIVES_MAX][SIZE];
    struct sys_receive receives[SYS_RECEIVES_MAX];
    int total = 0, count;

    for (size_t i = 0; i < SYS_RECEIVES_MAX; i++)
        receives[i] =
            (struct sys_receive){.buffer = &buffers[i][0], .room = SIZE};
    while (total < DATAGRAMS) {
        assert_true(is_readable(to.fd));
        count = aloop__sys_udp_receive(&to, receives, SYS_RECEIVES_MAX);
        assert_true(count > 0);
        for (int i = 0; i < count; i++, total++) {
            assert_int_equal(receives[i].size, total % 5 == 4 ? 10 : SIZE);
            assert_int_equal(receives[i].segment, 0);
            assert_int_equal(receives[i].from.family, ALOOP_FAMILY_IPV4);
        }
    }
    assert_int_equal(aloop__sys_udp_receive(&to, receives, 1), -EAGAIN);
}

static void datagrams_are_sent_without_sendmmsg(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        open_both();
        refuse("sendmmsg", refusals[i], 1000);
        send_all();
        assert_true(was_refused());
        receive_all();
        close_both();
    }
}

static void datagrams_are_received_without_recvmmsg(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        open_both();
        send_all();
        refuse("recvmmsg", refusals[i], 1000);
        receive_all();
        assert_true(was_refused());
        close_both();
    }
}

static void a_single_datagram_that_is_interrupted_is_repeated(void **state)
{
    struct sys_datagram datagram;
    struct sys_receive receive;
    char byte = 'x';

    (void) state;
    open_both();
    datagram = (struct sys_datagram){&target, &byte, 1};
    receive = (struct sys_receive){.buffer = &byte, .room = 1};
    refuse("sendto", EINTR, 1);
    assert_int_equal(aloop__sys_udp_send(&from, &datagram, 1), 1);
    assert_true(was_refused());
    assert_true(is_readable(to.fd));
    refuse("recvmsg", EINTR, 1);
    assert_int_equal(aloop__sys_udp_receive(&to, &receive, 1), 1);
    assert_true(was_refused());
    assert_int_equal(aloop__sys_udp_receive(&to, &receive, 1), -EAGAIN);
    refuse("sendto", ENETUNREACH, 1);
    assert_int_equal(aloop__sys_udp_send(&from, &datagram, 1), -ENETUNREACH);
    assert_true(was_refused());
    close_both();
}

/* EIO: none can be divided.  Otherwise the datagrams exceed the MTU, and runs
 * of smaller ones continue.  After EINVAL, which might be about sendmmsg(), a
 * run is also tried alone. */
static void a_run_that_is_refused_is_sent_as_single_datagrams(void **state)
{
    static const int errors[] = {EIO, EMSGSIZE, EINVAL};

    (void) state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        open_both();
        assert_int_equal(from.run_segment_max, UINT16_MAX);
        refuse("sendmmsg", errors[i], errors[i] == EINVAL ? 2 : 1);
        f.also = "sendmsg";
        send_all();
        assert_true(was_refused());
        assert_int_equal(from.run_segment_max, errors[i] == EIO ? 0 : SIZE - 1);
        receive_all();
        close_both();
    }
}

/* They would be sent as one datagram. */
static void an_old_system_gets_no_runs(void **state)
{
    (void) state;
    refuse("getsockopt", ENOPROTOOPT, 2);
    open_both();
    assert_true(was_refused());
    assert_int_equal(from.run_segment_max, 0);
    send_all();
    receive_all();
    close_both();
}

static void other_errors_do_not_end_runs(void **state)
{
    static char bytes[SIZE];
    struct sys_datagram datagrams[2] = {{&target, bytes, SIZE},
                                        {&target, bytes, SIZE}};

    (void) state;
    open_both();
    refuse("sendmmsg", ENOBUFS, 1);
    assert_int_equal(aloop__sys_udp_send(&from, datagrams, 2), -ENOBUFS);
    assert_int_equal(from.run_segment_max, UINT16_MAX);
    send_all();
    receive_all();
    close_both();
}

static void a_socket_has_its_flags_even_if_socket_refuses_them(void **state)
{
    int before = open_descriptors(FDS_MAX);
    struct sys_udp udp;

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        refuse("socket", refusals[i], 1);
        assert_int_equal(aloop__sys_udp_open(SYS_INET6, true, &udp), 0);
        assert_true((fcntl(udp.fd, F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(udp.fd, F_GETFD) & FD_CLOEXEC) != 0);
        aloop__sys_close(udp.fd);
        refuse("socket", refusals[i], 2);
        assert_int_equal(aloop__sys_udp_open(SYS_INET, false, &udp),
                         -refusals[i]);
    }
    refuse("socket", EINVAL, 1);
    assert_int_equal(aloop__sys_udp_open(SYS_UNIX, false, &udp), -EAFNOSUPPORT);
    was_refused();
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(datagrams_are_sent_without_sendmmsg),
        TEST(datagrams_are_received_without_recvmmsg),
        TEST(a_single_datagram_that_is_interrupted_is_repeated),
        TEST(a_run_that_is_refused_is_sent_as_single_datagrams),
        TEST(an_old_system_gets_no_runs),
        TEST(other_errors_do_not_end_runs),
        TEST(a_socket_has_its_flags_even_if_socket_refuses_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
