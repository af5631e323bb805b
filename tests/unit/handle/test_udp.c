/* UDP sockets: opening, receiving and closing. */

#include "support/udp_fixture.h"

static void assert_text(const aloop_address *address, const char *expected)
{
    char text[96];

    assert_true(aloop_address_format(address, text, sizeof text) > 0);
    assert_string_equal(text, expected);
}

static void a_socket_without_a_port_gets_one_from_the_system(void **state)
{
    aloop_udp *udp = NULL;
    aloop_address local;

    (void) state;
    assert_int_equal(aloop_udp_open(t.loop, "localhost", "0", &udp), 0);
    assert_int_equal(aloop_udp_local(udp, &local), 0);
    assert_true(aloop_address_port(&local) > 0);
    assert_true(aloop_udp_fd(udp) >= 0);
    aloop_udp_close(udp);
}

static void localhost_is_ipv6_where_there_is_no_ipv4(void **state)
{
    aloop_udp *udp = NULL;
    aloop_address local;

    (void) state;
    sim_fail("aloop__sys_udp_open", 1, ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_udp_open(t.loop, "localhost", "70", &udp), 0);
    aloop_udp_local(udp, &local);
    assert_text(&local, "[::1]:70");
}

static void localhost_is_ipv6_where_only_ipv6_is_allowed(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .ipv6_only = true};
    aloop_udp *udp = NULL;
    aloop_address local;

    (void) state;
    assert_int_equal(
        aloop_udp_open_with(t.loop, "localhost", "70", &options, &udp), 0);
    aloop_udp_local(udp, &local);
    assert_text(&local, "[::1]:70");
}

static void an_open_that_fails_leaves_nothing(void **state)
{
    static const char *const calls[] = {
        "aloop__sys_udp_open", "aloop__sys_bind", "aloop__sys_udp_set"};
    aloop_udp_options options = {.size = sizeof options, .broadcast = true};
    unsigned open = sim_descriptors_open();
    aloop_udp *udp = NULL;

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        sim_fail(calls[i], 1, ALOOP_ENOBUFS);
        assert_int_equal(
            aloop_udp_open_with(t.loop, "127.0.0.1", "70", &options, &udp),
            ALOOP_ENOBUFS);
    }
    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "4000", &udp),
                     ALOOP_EADDRINUSE);
    assert_null(udp);
    assert_int_equal(sim_descriptors_open(), open);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .hops_max = 256};
    aloop_address address = address_of("127.0.0.1:1"), none = {0};
    aloop_udp *udp = NULL;

    (void) state;
    assert_int_equal(aloop_udp_open(NULL, NULL, "0", &udp), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_open(t.loop, NULL, NULL, &udp), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_open(t.loop, NULL, "0", NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_open(t.loop, "1.2.3", "0", &udp), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_open(t.loop, "example.com", "0", &udp),
                     ALOOP_ENOTNUMERIC);
    assert_int_equal(aloop_udp_open_with(t.loop, NULL, "0", &options, &udp),
                     ALOOP_EINVAL);
    options = (aloop_udp_options){.size = 1};
    assert_int_equal(aloop_udp_open_with(t.loop, NULL, "0", &options, &udp),
                     ALOOP_EINVAL);
    assert_null(udp);
    assert_int_equal(aloop_udp_start(NULL, on_datagram, &u), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_start(u.udp, NULL, &u), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_stop(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_local(u.udp, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_local(NULL, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_connect(NULL, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_connect(u.udp, &none), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_connect(u.udp, NULL), ALOOP_EINVAL);
    address = address_of("[::1]:1");
    assert_int_equal(aloop_udp_connect(u.udp, &address), ALOOP_EAFNOSUPPORT);
    address = address_of("127.0.0.1");
    assert_int_equal(aloop_udp_connect(u.udp, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_udp_receive(NULL, u.buffer, 1, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_udp_receive(u.udp, NULL, 1, NULL)),
                     ALOOP_EINVAL);
    aloop_udp_close(NULL);
    aloop_udp_ref(NULL);
}

static void a_callback_gets_each_datagram_with_its_sender(void **state)
{
    (void) state;
    start();
    send_text("one");
    send_text("");
    send_text("three");
    settle();
    assert_int_equal(u.count, 3);
    assert_int_equal(u.sizes[0], 3);
    assert_string_equal(u.texts[0], "one");
    assert_int_equal(u.sizes[1], 0);
    assert_string_equal(u.texts[2], "three");
    assert_text(&u.from, "127.0.0.1:5000");
}

static void note_offset(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) udp;
    (void) size;
    (void) from;
    *(uintptr_t *) arg |= (uintptr_t) data % 64;
    u.count++;
}

static void received_datagrams_begin_at_multiples_of_64(void **state)
{
    uintptr_t offsets = 0;

    (void) state;
    aloop_udp_start(u.udp, note_offset, &offsets);
    send_text("one");
    send_text("two");
    settle();
    assert_int_equal(u.count, 2);
    assert_int_equal(offsets, 0);
}

static void a_sender_of_ipv4_is_not_mapped_on_a_socket_for_both(void **state)
{
    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(aloop_udp_open(t.loop, NULL, "4000", &u.udp), 0);
    start();
    send_text("one");
    settle();
    assert_int_equal(u.count, 1);
    assert_int_equal(aloop_address_family(&u.from), ALOOP_FAMILY_IPV4);
    assert_text(&u.from, "127.0.0.1:5000");
}

static void a_started_socket_keeps_the_loop_alive(void **state)
{
    (void) state;
    assert_false(aloop_alive(t.loop));
    start();
    assert_true(aloop_alive(t.loop));
    aloop_udp_unref(u.udp);
    assert_false(aloop_alive(t.loop));
    aloop_udp_ref(u.udp);
    assert_int_equal(aloop_udp_stop(u.udp), 0);
    assert_int_equal(aloop_udp_stop(u.udp), 0);
    assert_false(aloop_alive(t.loop));
}

/* A burst costs a few calls, and one turn receives a limited number. */
static void a_burst_is_received_in_batches_within_a_limit(void **state)
{
    unsigned before;

    (void) state;
    start();
    for (int i = 0; i < 100; i++)
        send_text("x");
    sim_pass(MS);
    before = sim_calls("aloop__sys_udp_receive");
    aloop_step(t.loop, 0);
    assert_true(u.count >= 64);
    assert_true(u.count < 100);
    assert_true(sim_calls("aloop__sys_udp_receive") - before <= 8);
    settle();
    assert_int_equal(u.count, 100);
}

/* A call that is given nine datagrams is followed by one that asks for nine,
 * and that by one for not more than a batch. */
static void a_batch_has_a_limit_after_any_number_of_datagrams(void **state)
{
    static const int counts[] = {30, 9, 60};

    (void) state;
    start();
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < counts[i]; j++)
            send_text("x");
        settle();
        settle();
    }
    assert_int_equal(u.count, 99);
}

static void one_datagram_costs_one_call(void **state)
{
    unsigned before;

    (void) state;
    start();
    for (int i = 0; i < 10; i++) {
        send_text("x");
        sim_pass(MS);
        before = sim_calls("aloop__sys_udp_receive");
        aloop_step(t.loop, 0);
        assert_int_equal(sim_calls("aloop__sys_udp_receive") - before, 1);
    }
    assert_int_equal(u.count, 10);
}

/* Calls that ask for one datagram notice that there are more. */
static void a_burst_after_single_datagrams_costs_few_calls(void **state)
{
    unsigned before;

    (void) state;
    start();
    for (int i = 0; i < 10; i++) {
        send_text("x");
        settle();
    }
    for (int i = 0; i < 100; i++)
        send_text("x");
    sim_pass(MS);
    before = sim_calls("aloop__sys_udp_receive");
    for (int i = 0; i < 20; i++)
        aloop_step(t.loop, 0);
    assert_int_equal(u.count, 110);
    assert_true(sim_calls("aloop__sys_udp_receive") - before <= 16);
}

static void close_it(aloop_udp *udp)
{
    aloop_udp_close(udp);
}

static void stop_it(aloop_udp *udp)
{
    assert_int_equal(aloop_udp_stop(udp), 0);
}

static void a_callback_may_close_its_socket(void **state)
{
    (void) state;
    u.stop_at = 2;
    u.then = close_it;
    start();
    for (int i = 0; i < 5; i++)
        send_text("x");
    settle();
    assert_int_equal(u.count, 2);
}

static void a_stop_keeps_what_was_received_for_the_next_reader(void **state)
{
    static const char *const texts[] = {"a", "b", "c", "d", "e"};

    (void) state;
    u.stop_at = 1;
    u.then = stop_it;
    start();
    for (int i = 0; i < 5; i++)
        send_text(texts[i]);
    settle();
    assert_int_equal(u.count, 1);
    assert_int_equal(aloop_await(receive()), 1);
    assert_int_equal(u.buffer[0], 'b');
    start();
    settle();
    assert_int_equal(u.count, 4);
    assert_string_equal(u.texts[1], "c");
    assert_string_equal(u.texts[3], "e");
}

static void held_datagrams_are_dropped_by_a_close(void **state)
{
    (void) state;
    u.stop_at = 1;
    u.then = stop_it;
    start();
    send_text("a");
    send_text("b");
    settle();
    aloop_udp_close(u.udp);
    settle();
    assert_int_equal(u.count, 1);
}

static void a_callback_without_memory_for_a_batch_gets_one_at_a_time(
    void **state)
{
    (void) state;
    start();
    send_text("a");
    send_text("b");
    sim_pass(MS);
    memory.fails_at = memory.calls + 1;
    aloop_step(t.loop, 0);
    settle();
    assert_int_equal(u.count, 2);
}

static void running_out_of_memory_is_reported_to_the_callback(void **state)
{
    (void) state;
    start();
    send_text("a");
    sim_pass(MS);
    memory.is_out = true;
    aloop_step(t.loop, 0);
    memory.is_out = false;
    assert_int_equal(u.count, 1);
    assert_int_equal(u.sizes[0], ALOOP_ENOMEM);
    settle();
    assert_int_equal(u.count, 2);
    assert_string_equal(u.texts[1], "a");
}

static void a_receive_gets_one_datagram(void **state)
{
    (void) state;
    send_text("one");
    send_text("two");
    assert_int_equal(aloop_await(receive()), 3);
    assert_memory_equal(u.buffer, "one", 3);
    assert_text(&u.sender, "127.0.0.1:5000");
    assert_int_equal(aloop_await(aloop_udp_receive(u.udp, u.buffer, 3, NULL)),
                     3);
    assert_memory_equal(u.buffer, "two", 3);
}

static void an_empty_datagram_is_received_without_a_buffer(void **state)
{
    (void) state;
    send_text("");
    assert_int_equal(aloop_await(aloop_udp_receive(u.udp, NULL, 0, NULL)), 0);
}

static void a_datagram_that_does_not_fit_is_lost(void **state)
{
    (void) state;
    send_text("three");
    send_text("two");
    u.sender = address_of("1.2.3.4:5");
    assert_int_equal(
        aloop_await(aloop_udp_receive(u.udp, u.buffer, 4, &u.sender)),
        ALOOP_EMSGSIZE);
    assert_text(&u.sender, "1.2.3.4:5");
    assert_int_equal(aloop_await(receive()), 3);
}

/* The system writes to its buffer. */
static void a_receive_needs_no_other_buffer(void **state)
{
    aloop_future *future = receive();

    (void) state;
    send_text("a");
    sim_pass(MS);
    memory.is_out = true;
    aloop_step(t.loop, 0);
    memory.is_out = false;
    assert_true(aloop_future_is_settled(future));
    assert_int_equal(aloop_await(future), 1);
    assert_memory_equal(u.buffer, "a", 1);
    assert_text(&u.sender, "127.0.0.1:5000");
}

static void a_cancelled_receive_loses_nothing(void **state)
{
    aloop_future *future = receive();

    (void) state;
    aloop_step(t.loop, 0);
    send_text("one");
    aloop_cancel(future);
    assert_int_equal(aloop_await(future), ALOOP_EABORTED);
    sim_pass(MS);
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_await(receive()), 3);
}

static void there_is_only_one_reader(void **state)
{
    aloop_future *future = receive();

    (void) state;
    assert_int_equal(aloop_await(receive()), ALOOP_EBUSY);
    assert_int_equal(aloop_udp_start(u.udp, on_datagram, &u), ALOOP_EBUSY);
    aloop_future_unref(future);
    start();
    start();
    assert_int_equal(aloop_await(receive()), ALOOP_EBUSY);
}

static void a_close_ends_a_receive_without_its_continuation(void **state)
{
    aloop_future *future = receive();

    (void) state;
    aloop_future_ref(future);
    assert_int_equal(aloop_then(future, note_status, NULL), 0);
    aloop_step(t.loop, 0);
    aloop_udp_close(u.udp);
    assert_int_equal(aloop_future_status(future), ALOOP_ECANCELED);
    turns(3);
    assert_int_equal(t.noted, 0);
    aloop_future_unref(future);
}

static void joined_datagrams_are_given_one_by_one(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .join_received = true};

    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(
        aloop_udp_open_with(t.loop, "127.0.0.1", "4000", &options, &u.udp), 0);
    start();
    send_text("one");
    send_text("two");
    send_text("six");
    send_text("three");
    settle();
    assert_int_equal(u.count, 4);
    assert_string_equal(u.texts[0], "one");
    assert_string_equal(u.texts[2], "six");
    assert_string_equal(u.texts[3], "three");
}

/* More are held than one turn gives, and an event reports the newest one
 * meanwhile. */
static void many_held_datagrams_are_given_before_a_newer_one(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .join_received = true};

    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(
        aloop_udp_open_with(t.loop, "127.0.0.1", "4000", &options, &u.udp), 0);
    u.stop_at = 1;
    u.then = stop_it;
    start();
    for (int i = 0; i < 100; i++)
        send_text("x");
    settle();
    assert_int_equal(u.count, 1);
    start();
    send_text("newer");
    sim_pass(MS);
    settle();
    assert_int_equal(u.count, 101);
    assert_string_equal(u.texts[99], "x");
    assert_string_equal(u.texts[100], "newer");
}

static void joined_datagrams_are_received_one_by_one(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .join_received = true};

    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(
        aloop_udp_open_with(t.loop, "127.0.0.1", "4000", &options, &u.udp), 0);
    send_text("one");
    send_text("two");
    sim_pass(MS);
    assert_int_equal(aloop_await(receive()), 3);
    assert_memory_equal(u.buffer, "one", 3);
    assert_int_equal(aloop_await(receive()), 3);
    assert_memory_equal(u.buffer, "two", 3);
}

/* The system has joined the datagrams, so that they are received together.  One
 * that cannot be held is lost, as it may be on its way. */
static void joined_datagrams_without_memory_to_hold_them_are_lost(void **state)
{
    aloop_udp_options options = {.size = sizeof options, .join_received = true};
    aloop_future *future;

    (void) state;
    aloop_udp_close(u.udp);
    assert_int_equal(
        aloop_udp_open_with(t.loop, "127.0.0.1", "4000", &options, &u.udp), 0);
    send_text("0");
    sim_pass(MS);
    assert_int_equal(aloop_await(receive()), 1); /* Makes the buffers. */
    send_text("one");
    send_text("two");
    send_text("six");
    future = receive();
    sim_pass(MS);
    memory.is_out = true;
    aloop_step(t.loop, 0);
    memory.is_out = false;
    assert_int_equal(aloop_await(future), 3);
    assert_memory_equal(u.buffer, "one", 3);
    send_text("last");
    assert_int_equal(aloop_await(receive()), 4);
    assert_memory_equal(u.buffer, "last", 4);
}

/* Multicast. */

static void a_member_receives_what_is_sent_to_its_group(void **state)
{
    aloop_address group = address_of("239.1.2.3:4000");
    aloop_address source = address_of("127.0.0.1");

    (void) state;
    start();
    assert_int_equal(sim_udp_send(u.peer, "239.1.2.3", PORT, "a", 1), 1);
    settle();
    assert_int_equal(u.count, 0);
    assert_int_equal(aloop_udp_join(u.udp, &group, 0, &source), 0);
    assert_int_equal(aloop_udp_join(u.udp, &group, 0, &source),
                     ALOOP_EADDRINUSE);
    assert_int_equal(sim_udp_send(u.peer, "239.1.2.3", PORT, "b", 1), 1);
    settle();
    assert_int_equal(aloop_udp_leave(u.udp, &group, 0, &source), 0);
    assert_int_equal(aloop_udp_leave(u.udp, &group, 0, NULL),
                     ALOOP_EADDRNOTAVAIL);
    assert_int_equal(sim_udp_send(u.peer, "239.1.2.3", PORT, "c", 1), 1);
    settle();
}

static void memberships_are_checked(void **state)
{
    aloop_address group = address_of("239.1.2.3"), host = address_of("::1");
    aloop_address none = {0}, group6 = address_of("ff02::7");
    aloop_udp *inet = NULL;

    (void) state;
    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "0", &inet), 0);
    assert_int_equal(aloop_udp_join(inet, &group6, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_join(NULL, &group, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_join(u.udp, NULL, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_join(u.udp, &none, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_join(u.udp, &host, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_join(u.udp, &group, 0, &host), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_leave(NULL, &group, 0, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_set_multicast(u.udp, 0, 256, true),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_udp_set_multicast(NULL, 0, 1, true), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_set_multicast(u.udp, 1, 4, false), 0);
    sim_fail("aloop__sys_udp_set", 1, ALOOP_ENODEV);
    assert_int_equal(aloop_udp_set_multicast(u.udp, 7, 4, false), ALOOP_ENODEV);
}

/* A forked child. */

static void a_child_receives_after_after_fork(void **state)
{
    (void) state;
    start();
    aloop_step(t.loop, 0);
    sim_fork();
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &u.sender), ALOOP_EINVAL);
    assert_int_equal(aloop_udp_start(u.udp, on_datagram, &u), ALOOP_EPERM);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    send_text("one");
    settle();
    assert_int_equal(u.count, 1);
}

static void a_fork_drops_what_is_queued_and_held(void **state)
{
    aloop_address to = address_of("127.0.0.1:5000");

    (void) state;
    u.stop_at = 1;
    u.then = stop_it;
    start();
    send_text("a");
    send_text("b");
    settle();
    assert_int_equal(aloop_udp_put(u.udp, "x", 1, &to), 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_udp_queued(u.udp), 0);
    start();
    settle();
    assert_int_equal(u.count, 1);
    assert_int_equal(sim_udp_receive(u.peer, u.buffer, ROOM), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UDP_TEST(a_socket_without_a_port_gets_one_from_the_system),
        UDP_TEST(localhost_is_ipv6_where_there_is_no_ipv4),
        UDP_TEST(localhost_is_ipv6_where_only_ipv6_is_allowed),
        UDP_TEST(an_open_that_fails_leaves_nothing),
        UDP_TEST(invalid_arguments_are_refused),
        UDP_TEST(a_callback_gets_each_datagram_with_its_sender),
        UDP_TEST(received_datagrams_begin_at_multiples_of_64),
        UDP_TEST(a_sender_of_ipv4_is_not_mapped_on_a_socket_for_both),
        UDP_TEST(a_started_socket_keeps_the_loop_alive),
        UDP_TEST(a_burst_is_received_in_batches_within_a_limit),
        UDP_TEST(a_batch_has_a_limit_after_any_number_of_datagrams),
        UDP_TEST(one_datagram_costs_one_call),
        UDP_TEST(a_burst_after_single_datagrams_costs_few_calls),
        UDP_TEST(a_callback_may_close_its_socket),
        UDP_TEST(a_stop_keeps_what_was_received_for_the_next_reader),
        UDP_TEST(held_datagrams_are_dropped_by_a_close),
        UDP_TEST(a_callback_without_memory_for_a_batch_gets_one_at_a_time),
        UDP_TEST(running_out_of_memory_is_reported_to_the_callback),
        UDP_TEST(a_receive_gets_one_datagram),
        UDP_TEST(an_empty_datagram_is_received_without_a_buffer),
        UDP_TEST(a_datagram_that_does_not_fit_is_lost),
        UDP_TEST(a_receive_needs_no_other_buffer),
        UDP_TEST(a_cancelled_receive_loses_nothing),
        UDP_TEST(there_is_only_one_reader),
        UDP_TEST(a_close_ends_a_receive_without_its_continuation),
        UDP_TEST(joined_datagrams_are_given_one_by_one),
        UDP_TEST(many_held_datagrams_are_given_before_a_newer_one),
        UDP_TEST(joined_datagrams_are_received_one_by_one),
        UDP_TEST(joined_datagrams_without_memory_to_hold_them_are_lost),
        UDP_TEST(a_member_receives_what_is_sent_to_its_group),
        UDP_TEST(memberships_are_checked),
        UDP_TEST(a_child_receives_after_after_fork),
        UDP_TEST(a_fork_drops_what_is_queued_and_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
