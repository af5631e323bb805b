/* UDP sockets: sending. */

#include <string.h>

#include "support/memory_fixture.h"

enum { PEER_PORT = 5000, ROOM = 2048 };

static struct {
    aloop_udp *udp;
    int peer;
    aloop_address to;
    char buffer[ROOM];
    int errors; /* Of the callback. */
    int error;
} u;

static aloop_address address_of(const char *text)
{
    aloop_address address;

    assert_int_equal(aloop_address_parse(text, &address), 0);
    return address;
}

static int set_up_udp(void **state)
{
    if (set_up_memory(state) != 0)
        return -1;
    memset(&u, 0, sizeof u);
    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "4000", &u.udp), 0);
    u.peer = sim_udp_open("127.0.0.1", PEER_PORT);
    u.to = address_of("127.0.0.1:5000");
    return 0;
}

#define UDP_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_udp, tear_down_memory)

static void count_error(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) udp;
    (void) data;
    (void) from;
    (void) arg;
    if (size >= 0)
        return;
    u.errors++;
    u.error = (int) size;
}

static void settle(void)
{
    for (int i = 0; i < 4; i++) {
        aloop_step(t.loop, 0);
        sim_pass(MS);
    }
}

static void put(const char *text)
{
    assert_int_equal(aloop_udp_put(u.udp, text, strlen(text), &u.to), 0);
}

static void assert_peer_has(const char *text)
{
    ssize_t size = sim_udp_receive(u.peer, u.buffer, ROOM);

    assert_int_equal(size, strlen(text));
    if (size > 0)
        assert_memory_equal(u.buffer, text, (size_t) size);
}

static void assert_peer_is_empty(void)
{
    assert_int_equal(sim_udp_receive(u.peer, u.buffer, ROOM), -EAGAIN);
}

static void connect_to(const char *text)
{
    aloop_address peer = address_of(text);

    assert_int_equal(aloop_udp_connect(u.udp, &peer), 0);
}

static void what_is_put_in_one_turn_leaves_with_one_call(void **state)
{
    (void) state;
    put("one");
    put("");
    put("three");
    assert_int_equal(aloop_udp_queued(u.udp), 3 * 64 + 8);
    assert_true(aloop_alive(t.loop));
    settle();
    assert_int_equal(sim_calls("aloop__sys_udp_send"), 1);
    assert_peer_has("one");
    assert_peer_has("");
    assert_peer_has("three");
    assert_int_equal(aloop_udp_queued(u.udp), 0);
    assert_false(aloop_alive(t.loop));
}

static void the_peer_can_reply(void **state)
{
    aloop_address from;

    (void) state;
    put("one");
    settle();
    assert_peer_has("one");
    assert_int_equal(sim_udp_reply(u.peer, "two", 3), 3);
    assert_int_equal(
        aloop_await(aloop_udp_receive(u.udp, u.buffer, ROOM, &from)), 3);
    assert_true(aloop_address_equal(&from, &u.to));
}

static void a_send_settles_with_its_size_after_earlier_puts(void **state)
{
    aloop_future *future;

    (void) state;
    put("one");
    future = aloop_udp_send(u.udp, "two", 3, &u.to);
    assert_int_equal(aloop_await(future), 3);
    settle();
    assert_peer_has("one");
    assert_peer_has("two");
}

static void a_cancelled_send_is_not_sent(void **state)
{
    aloop_future *future = aloop_udp_send(u.udp, "two", 3, &u.to);

    (void) state;
    put("three");
    aloop_future_unref(future);
    settle();
    assert_peer_has("three");
    assert_peer_is_empty();
    aloop_future_unref(aloop_udp_send(u.udp, "two", 3, &u.to));
    settle();
    assert_peer_is_empty();
    assert_false(aloop_alive(t.loop));
}

/* Errors that are known before the datagram is sent. */
static void a_datagram_that_cannot_be_sent_is_refused(void **state)
{
    static char large[65508];
    aloop_address portless = address_of("127.0.0.1");
    aloop_address inet6 = address_of("[::1]:1"), none = {0};

    (void) state;
    assert_int_equal(aloop_udp_put(NULL, "x", 1, &u.to), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_put(u.udp, NULL, 1, &u.to), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &none), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &portless), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, NULL), ALOOP_EDESTADDRREQ);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &inet6), ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_udp_put(u.udp, large, 65508, &u.to), ALOOP_EMSGSIZE);
    assert_int_equal(aloop_await(aloop_udp_send(NULL, "x", 1, &u.to)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, large, 65508, &u.to)),
                     ALOOP_EMSGSIZE);
    assert_int_equal(aloop_await(aloop_udp_drain(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_queued(NULL), 0);
    connect_to("127.0.0.1:5000");
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &u.to), ALOOP_EISCONN);
    assert_int_equal(aloop_udp_put(u.udp, NULL, 0, NULL), 0);
    settle();
    assert_peer_has("");
}

static void a_socket_for_both_families_sends_to_both(void **state)
{
    int peer6 = sim_udp_open("::1", PEER_PORT);
    aloop_address inet6 = address_of("[::1]:5000");

    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(aloop_udp_open(t.loop, NULL, "0", &u.udp), 0);
    put("one");
    assert_int_equal(aloop_udp_put(u.udp, "two", 3, &inet6), 0);
    settle();
    assert_peer_has("one");
    assert_int_equal(sim_udp_receive(peer6, u.buffer, ROOM), 3);
}

/* The system would report that the network is unreachable. */
static void a_socket_for_ipv6_only_refuses_ipv4(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .ipv6_only = true};
    aloop_address mapped = address_of("[::ffff:127.0.0.1]:5000");
    aloop_address group = address_of("239.1.2.3");

    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(aloop_udp_open_with(t.loop, "::", "0", &options, &u.udp),
                     0);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &u.to), ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &mapped), ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "x", 1, &u.to)),
                     ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_udp_connect(u.udp, &u.to), ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_udp_connect(u.udp, &mapped), ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_udp_join(u.udp, &group, 0, NULL), ALOOP_EINVAL);
}

static void a_put_without_memory_queues_nothing(void **state)
{
    (void) state;
    memory.is_out = true;
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &u.to), ALOOP_ENOMEM);
    memory.is_out = false;
    assert_int_equal(aloop_udp_queued(u.udp), 0);
    settle();
    assert_peer_is_empty();
}

/* The error belongs to one datagram. */
static void a_send_that_fails_does_not_stop_the_others(void **state)
{
    aloop_address broadcast = address_of("255.255.255.255:5000");
    aloop_future *future;

    (void) state;
    put("one");
    future = aloop_udp_send(u.udp, "x", 1, &broadcast);
    put("two");
    assert_int_equal(aloop_await(future), ALOOP_EACCES);
    settle();
    assert_peer_has("one");
    assert_peer_has("two");
    assert_int_equal(t.unhandled, 0);
}

static void errors_of_puts_are_reported_once_until_a_success(void **state)
{
    aloop_address broadcast = address_of("255.255.255.255:5000");

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_udp_put(u.udp, "x", 1, &broadcast), 0);
    settle();
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EACCES);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &broadcast), 0);
    settle();
    assert_int_equal(t.unhandled, 1);
    put("one");
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &broadcast), 0);
    settle();
    assert_int_equal(t.unhandled, 2);
    assert_int_equal(aloop_udp_queued(u.udp), 0);
}

/* Full buffers. */

static void a_full_buffer_delays_what_is_queued(void **state)
{
    (void) state;
    sim_buffer_size(300);
    for (int i = 0; i < 20; i++)
        put("x");
    aloop_step(t.loop, 0);
    assert_true(aloop_udp_queued(u.udp) > 0);
    aloop_run(t.loop);
    assert_int_equal(aloop_udp_queued(u.udp), 0);
    assert_int_equal(t.unhandled, 0);
}

static void a_system_without_buffers_is_asked_again_ever_more_rarely(
    void **state)
{
    unsigned before;

    (void) state;
    put("one");
    sim_fail_from("aloop__sys_udp_send", 1, ALOOP_ENOBUFS);
    aloop_step(t.loop, 0);
    put("two");
    assert_int_equal(sim_calls("aloop__sys_udp_send"), 1);
    for (int i = 0; i < 1000; i++) {
        sim_pass(MS);
        aloop_step(t.loop, 0);
    }
    before = sim_calls("aloop__sys_udp_send");
    assert_in_range(before, 20, 30);
    sim_forgive();
    aloop_run(t.loop);
    assert_int_equal(sim_calls("aloop__sys_udp_send"), before + 1);
    settle();
    assert_peer_has("one");
    assert_peer_has("two");
}

/* Without a timer, the socket asks in each turn. */
static void a_wait_for_buffers_needs_no_memory(void **state)
{
    (void) state;
    put("one");
    sim_fail("aloop__sys_udp_send", 1, ALOOP_ENOBUFS);
    memory.is_out = true;
    aloop_step(t.loop, 0);
    memory.is_out = false;
    aloop_run(t.loop);
    settle();
    assert_peer_has("one");
}

static void a_queue_that_cannot_be_watched_is_dropped(void **state)
{
    aloop_future *future = aloop_udp_send(u.udp, "x", 1, &u.to);

    (void) state;
    sim_fail("aloop__sys_udp_send", 1, ALOOP_EAGAIN);
    sim_fail("aloop__reactor_set", 1, ALOOP_ENOMEM);
    assert_int_equal(aloop_await(future), ALOOP_ENOMEM);
    assert_int_equal(aloop_udp_queued(u.udp), 0);
}

static void a_put_returns_1_above_the_high_mark(void **state)
{
    static char bytes[65000];
    aloop_future *future;
    int status = 0, count = 0;

    (void) state;
    sim_buffer_size(1 << 20);
    while (status == 0) {
        status = aloop_udp_put(u.udp, bytes, sizeof bytes, &u.to);
        count++;
    }
    assert_int_equal(status, 1);
    assert_int_equal(count, 5);
    future = aloop_udp_drain(u.udp);
    assert_int_equal(aloop_future_status(future), ALOOP_PENDING);
    assert_int_equal(aloop_await(future), 0);
    assert_int_equal(aloop_await(aloop_udp_drain(u.udp)), 0);
}

static void a_cancelled_drain_leaves_the_queue(void **state)
{
    static char bytes[65000];
    aloop_future *future;

    (void) state;
    aloop_udp_put(u.udp, bytes, sizeof bytes, &u.to);
    aloop_udp_put(u.udp, bytes, sizeof bytes, &u.to);
    future = aloop_udp_drain(u.udp);
    aloop_cancel(future);
    assert_int_equal(aloop_future_status(future), ALOOP_ECANCELED);
    aloop_future_unref(future);
    assert_true(aloop_udp_queued(u.udp) > 65000);
}

static void a_long_queue_is_sent_in_several_turns(void **state)
{
    (void) state;
    sim_buffer_size(1 << 20);
    for (int i = 0; i < 3000; i++)
        put("x");
    aloop_step(t.loop, 0);
    assert_true(aloop_udp_queued(u.udp) > 0);
    settle();
    assert_int_equal(aloop_udp_queued(u.udp), 0);
}

/* Closing. */

static void a_close_sends_what_is_queued(void **state)
{
    (void) state;
    sim_buffer_size(1 << 20);
    for (int i = 0; i < 1000; i++)
        put("x");
    aloop_udp_close(u.udp);
    sim_pass(MS);
    for (int i = 0; i < 1000; i++)
        assert_peer_has("x");
    assert_peer_is_empty();
}

static void a_close_settles_everything(void **state)
{
    aloop_future *send, *drain;
    static char bytes[65000];

    (void) state;
    sim_fail_from("aloop__sys_udp_send", 1, ALOOP_EAGAIN);
    assert_int_equal(aloop_udp_put(u.udp, bytes, sizeof bytes, &u.to), 0);
    send = aloop_udp_send(u.udp, bytes, sizeof bytes, &u.to);
    drain = aloop_udp_drain(u.udp);
    aloop_step(t.loop, 0);
    aloop_udp_close(u.udp);
    assert_int_equal(aloop_future_status(send), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(drain), ALOOP_ECANCELED);
    aloop_future_unref(send);
    aloop_future_unref(drain);
    assert_false(aloop_alive(t.loop));
}

static void a_lost_descriptor_fails_sends(void **state)
{
    aloop_udp *other = NULL;
    aloop_future *future;

    (void) state;
    future = aloop_udp_send(u.udp, "x", 1, &u.to);
    aloop__sys_close(aloop_udp_fd(u.udp));
    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "71", &other), 0);
    assert_int_equal(aloop_await(future), ALOOP_EBADF);
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &u.to), ALOOP_EBADF);
    assert_int_equal(aloop_udp_connect(u.udp, &u.to), ALOOP_EBADF);
    assert_int_equal(aloop_udp_join(u.udp, &u.to, 0, NULL), ALOOP_EBADF);
    assert_int_equal(aloop_udp_set_multicast(u.udp, 0, 1, true), ALOOP_EBADF);
    assert_int_equal(aloop_udp_local(u.udp, &u.to), ALOOP_EBADF);
    aloop_udp_close(u.udp);
    aloop_udp_close(other);
}

/* Connected sockets. */

static void a_connected_socket_sends_to_its_peer(void **state)
{
    (void) state;
    put("one");
    connect_to("127.0.0.1:5000");
    assert_int_equal(aloop_udp_queued(u.udp), 0);
    assert_int_equal(aloop_udp_put(u.udp, "two", 3, NULL), 0);
    settle();
    assert_peer_has("one");
    assert_peer_has("two");
}

static void a_connected_socket_receives_from_its_peer_only(void **state)
{
    int stranger = sim_udp_open("127.0.0.1", 5001);

    (void) state;
    connect_to("127.0.0.1:5000");
    sim_udp_send(stranger, "127.0.0.1", 4000, "x", 1);
    sim_udp_send(u.peer, "127.0.0.1", 4000, "one", 3);
    assert_int_equal(
        aloop_await(aloop_udp_receive(u.udp, u.buffer, ROOM, NULL)), 3);
}

static void a_connect_drops_what_others_have_sent_before(void **state)
{
    int stranger = sim_udp_open("127.0.0.1", 5001);

    (void) state;
    sim_udp_send(stranger, "127.0.0.1", 4000, "x", 1);
    sim_pass(MS);
    connect_to("127.0.0.1:5000");
    sim_udp_send(u.peer, "127.0.0.1", 4000, "one", 3);
    assert_int_equal(
        aloop_await(aloop_udp_receive(u.udp, u.buffer, ROOM, NULL)), 3);
}

static void a_second_connect_that_fails_keeps_the_first_peer(void **state)
{
    aloop_address peer = address_of("10.0.0.1:5000");

    (void) state;
    connect_to("127.0.0.1:5000");
    sim_unreachable("10.0.0.1");
    assert_int_equal(aloop_udp_connect(u.udp, &peer), ALOOP_ENETUNREACH);
    assert_int_equal(aloop_udp_put(u.udp, "one", 3, NULL), 0);
    settle();
    assert_peer_has("one");
}

static void a_socket_that_can_return_to_no_peer_is_not_connected(void **state)
{
    (void) state;
    connect_to("127.0.0.1:5000");
    sim_fail_from("aloop__sys_connect", 1, ALOOP_ENETUNREACH);
    assert_int_equal(aloop_udp_connect(u.udp, &u.to), ALOOP_ENETUNREACH);
    sim_forgive();
    assert_int_equal(aloop_udp_put(u.udp, "one", 3, NULL), ALOOP_EDESTADDRREQ);
    put("two");
    settle();
    assert_peer_has("two");
}

static void a_connect_that_fails_changes_nothing(void **state)
{
    aloop_address peer = address_of("10.0.0.1:5000");

    (void) state;
    sim_unreachable("10.0.0.1");
    assert_int_equal(aloop_udp_connect(u.udp, &peer), ALOOP_ENETUNREACH);
    put("one");
    settle();
    assert_peer_has("one");
}

/* The system reports the refusal of the first datagram to the second send. */
static void a_send_is_repeated_after_the_refusal_of_another(void **state)
{
    int late;

    (void) state;
    connect_to("127.0.0.1:5002");
    assert_int_equal(aloop_udp_put(u.udp, "one", 3, NULL), 0);
    aloop_step(t.loop, 0);
    sim_pass(MS);
    late = sim_udp_open("127.0.0.1", 5002);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "two", 3, NULL)), 3);
    sim_pass(MS);
    assert_int_equal(sim_udp_receive(late, u.buffer, ROOM), 3);
    assert_memory_equal(u.buffer, "two", 3);
    assert_int_equal(t.unhandled, 0);
}

static void a_refusal_that_a_send_took_reaches_the_reader(void **state)
{
    (void) state;
    connect_to("127.0.0.1:5002");
    assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
    sim_fail("aloop__sys_udp_send", 1, ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "two", 3, NULL)), 3);
    turns(2);
    assert_int_equal(u.errors, 1);
    assert_int_equal(u.error, ALOOP_ECONNREFUSED);
}

/* Has a send take the error of an earlier datagram. */
static void take_a_refusal(void)
{
    connect_to("127.0.0.1:5000");
    sim_fail("aloop__sys_udp_send", 1, ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "two", 3, NULL)), 3);
    turns(2);
}

static void a_refusal_that_a_send_took_waits_for_a_callback(void **state)
{
    (void) state;
    take_a_refusal();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
        turns(2);
        assert_int_equal(u.errors, 1);
        assert_int_equal(u.error, ALOOP_ECONNREFUSED);
        aloop_udp_stop(u.udp);
    }
}

static void a_refusal_that_a_send_took_waits_for_a_receive(void **state)
{
    aloop_future *receive;

    (void) state;
    take_a_refusal();
    receive = aloop_udp_receive(u.udp, u.buffer, ROOM, NULL);
    assert_int_equal(aloop_await(receive), ALOOP_ECONNREFUSED);
    receive = aloop_udp_receive(u.udp, u.buffer, ROOM, NULL);
    turns(2);
    assert_false(aloop_future_is_settled(receive));
    aloop_cancel(receive);
    aloop_future_unref(receive);
}

static void a_stopped_callback_leaves_the_refusal_to_the_next_reader(
    void **state)
{
    (void) state;
    connect_to("127.0.0.1:5000");
    assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
    sim_fail("aloop__sys_udp_send", 1, ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_udp_put(u.udp, "two", 3, NULL), 0);
    turns(1); /* The error is queued for the callback. */
    aloop_udp_stop(u.udp);
    turns(2);
    assert_int_equal(u.errors, 0);
    assert_int_equal(
        aloop_await(aloop_udp_receive(u.udp, u.buffer, ROOM, NULL)),
        ALOOP_ECONNREFUSED);
}

static void a_child_leaves_the_refusal_to_its_parent(void **state)
{
    (void) state;
    take_a_refusal();
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
    turns(2);
    assert_int_equal(u.errors, 0);
}

static void a_datagram_that_fails_twice_has_an_error_of_its_own(void **state)
{
    (void) state;
    connect_to("127.0.0.1:5000");
    assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
    sim_fail("aloop__sys_udp_send", 1, ALOOP_EPERM);
    sim_fail("aloop__sys_udp_send", 2, ALOOP_EPERM);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "x", 1, NULL)),
                     ALOOP_EPERM);
    turns(2);
    assert_int_equal(u.errors, 0);
}

static void two_errors_of_a_datagram_are_those_of_two_datagrams(void **state)
{
    (void) state;
    connect_to("127.0.0.1:5000");
    assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
    sim_fail("aloop__sys_udp_send", 1, ALOOP_ECONNREFUSED);
    sim_fail("aloop__sys_udp_send", 2, ALOOP_EPERM);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "x", 1, NULL)),
                     ALOOP_EPERM);
    turns(2);
    assert_int_equal(u.errors, 1);
    assert_int_equal(u.error, ALOOP_ECONNREFUSED);
}

/* The second try waits, and the datagram is cancelled. */
static void a_cancelled_retry_leaves_the_refusal_to_the_reader(void **state)
{
    aloop_future *send;

    (void) state;
    connect_to("127.0.0.1:5000");
    assert_int_equal(aloop_udp_start(u.udp, count_error, NULL), 0);
    sim_fail("aloop__sys_udp_send", 1, ALOOP_ECONNREFUSED);
    sim_fail("aloop__sys_udp_send", 2, ALOOP_ENOBUFS);
    send = aloop_udp_send(u.udp, "x", 1, NULL);
    turns(1);
    assert_false(aloop_future_is_settled(send));
    aloop_cancel(send);
    assert_int_equal(aloop_await(send), ALOOP_EABORTED);
    turns(2);
    assert_int_equal(u.errors, 1);
    sim_fail("aloop__sys_udp_send", 3, ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_await(aloop_udp_send(u.udp, "y", 1, NULL)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UDP_TEST(what_is_put_in_one_turn_leaves_with_one_call),
        UDP_TEST(the_peer_can_reply),
        UDP_TEST(a_send_settles_with_its_size_after_earlier_puts),
        UDP_TEST(a_cancelled_send_is_not_sent),
        UDP_TEST(a_datagram_that_cannot_be_sent_is_refused),
        UDP_TEST(a_socket_for_both_families_sends_to_both),
        UDP_TEST(a_socket_for_ipv6_only_refuses_ipv4),
        UDP_TEST(a_put_without_memory_queues_nothing),
        UDP_TEST(a_send_that_fails_does_not_stop_the_others),
        UDP_TEST(errors_of_puts_are_reported_once_until_a_success),
        UDP_TEST(a_full_buffer_delays_what_is_queued),
        UDP_TEST(a_system_without_buffers_is_asked_again_ever_more_rarely),
        UDP_TEST(a_wait_for_buffers_needs_no_memory),
        UDP_TEST(a_queue_that_cannot_be_watched_is_dropped),
        UDP_TEST(a_put_returns_1_above_the_high_mark),
        UDP_TEST(a_cancelled_drain_leaves_the_queue),
        UDP_TEST(a_long_queue_is_sent_in_several_turns),
        UDP_TEST(a_close_sends_what_is_queued),
        UDP_TEST(a_close_settles_everything),
        UDP_TEST(a_lost_descriptor_fails_sends),
        UDP_TEST(a_connected_socket_sends_to_its_peer),
        UDP_TEST(a_connected_socket_receives_from_its_peer_only),
        UDP_TEST(a_connect_drops_what_others_have_sent_before),
        UDP_TEST(a_connect_that_fails_changes_nothing),
        UDP_TEST(a_second_connect_that_fails_keeps_the_first_peer),
        UDP_TEST(a_socket_that_can_return_to_no_peer_is_not_connected),
        UDP_TEST(a_send_is_repeated_after_the_refusal_of_another),
        UDP_TEST(a_refusal_that_a_send_took_reaches_the_reader),
        UDP_TEST(a_refusal_that_a_send_took_waits_for_a_callback),
        UDP_TEST(a_refusal_that_a_send_took_waits_for_a_receive),
        UDP_TEST(a_stopped_callback_leaves_the_refusal_to_the_next_reader),
        UDP_TEST(a_child_leaves_the_refusal_to_its_parent),
        UDP_TEST(a_datagram_that_fails_twice_has_an_error_of_its_own),
        UDP_TEST(two_errors_of_a_datagram_are_those_of_two_datagrams),
        UDP_TEST(a_cancelled_retry_leaves_the_refusal_to_the_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
