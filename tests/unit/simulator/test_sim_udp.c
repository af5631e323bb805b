/* The simulated network: datagrams. */

#include "support/sim_fixture.h"

#include <errno.h>

enum { COUNT_MAX = 200, SENT = 100, PORT = 5000 };

/* A sender, a receiver, and what has arrived. */
static int from, to;
static unsigned char got[COUNT_MAX];
static size_t count;

static void open_both(uint64_t seed)
{
    sim_end();
    sim_reset(seed);
    count = 0;
    from = sim_udp_open("127.0.0.1", PORT + 1);
    to = sim_udp_open("127.0.0.1", PORT);
    assert_true(from >= 0 && to >= 0);
}

static void send_byte(unsigned char byte)
{
    assert_int_equal(sim_udp_send(from, "127.0.0.1", PORT, &byte, 1), 1);
}

/* Sends the numbers below SENT, and receives what arrives within a second. */
static void send_numbers(void)
{
    for (unsigned i = 0; i < SENT; i++)
        send_byte((unsigned char) i);
    sim_pass(SECOND);
    while (count < COUNT_MAX && sim_udp_receive(to, &got[count], 1) == 1)
        count++;
}

static bool is_ordered(void)
{
    for (size_t i = 1; i < count; i++)
        if (got[i] < got[i - 1])
            return false;
    return true;
}

static size_t count_of(unsigned char byte)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += got[i] == byte;
    return found;
}

static void datagrams_arrive_once_and_in_order(void **state)
{
    (void) state;
    open_both(1);
    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 1000;
    send_numbers();
    assert_int_equal(count, SENT);
    assert_true(is_ordered());
}

static void some_datagrams_are_lost(void **state)
{
    (void) state;
    open_both(1);
    sim_options()->loss_percent = 30;
    send_numbers();
    assert_in_range(count, 1, SENT - 1);
    for (unsigned i = 0; i < SENT; i++)
        assert_true(count_of((unsigned char) i) <= 1);
    open_both(1);
    sim_options()->loss_percent = 100;
    send_numbers();
    assert_int_equal(count, 0);
}

static void some_datagrams_arrive_twice(void **state)
{
    (void) state;
    open_both(1);
    sim_options()->duplicate_percent = 30;
    send_numbers();
    assert_in_range(count, SENT + 1, 2 * SENT - 1);
    for (unsigned i = 0; i < SENT; i++)
        assert_in_range(count_of((unsigned char) i), 1, 2);
}

static void some_datagrams_arrive_later(void **state)
{
    (void) state;
    open_both(1);
    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 1000;
    sim_options()->reorder_percent = 30;
    send_numbers();
    assert_int_equal(count, SENT);
    assert_false(is_ordered());
}

static void a_seed_determines_what_arrives(void **state)
{
    unsigned char first[COUNT_MAX];
    size_t first_count = 0, same = 0;

    (void) state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        for (int i = 0; i < 2; i++) {
            open_both(seed);
            sim_options()->loss_percent = 20;
            sim_options()->duplicate_percent = 20;
            sim_options()->reorder_percent = 20;
            send_numbers();
            if (i == 1) {
                assert_int_equal(count, first_count);
                assert_memory_equal(got, first, count);
            }
            if (seed > 1 && i == 0)
                same += count == first_count && memcmp(got, first, count) == 0;
            memcpy(first, got, sizeof first);
            first_count = count;
        }
    }
    assert_int_equal(same, 0);
}

/* As a receiver does that is too slow. */
static void a_full_buffer_drops_datagrams_silently(void **state)
{
    (void) state;
    open_both(1);
    sim_options()->buffer_size = 1000;
    send_numbers();
    assert_in_range(count, 1, SENT - 1);
    send_byte(7);
    sim_pass(SECOND);
    assert_int_equal(sim_udp_receive(to, got, 1), 1);
    assert_int_equal(got[0], 7);
}

static void a_datagram_keeps_its_size(void **state)
{
    char bytes[8] = "1234567";

    (void) state;
    open_both(1);
    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 1000;
    assert_int_equal(sim_udp_send(from, "127.0.0.1", PORT, bytes, 0), 0);
    assert_int_equal(sim_udp_send(from, "127.0.0.1", PORT, bytes, 7), 7);
    sim_pass(SECOND);
    assert_int_equal(sim_udp_receive(to, bytes, sizeof bytes), 0);
    assert_int_equal(sim_udp_receive(to, bytes, 3), 7); /* Truncated. */
    assert_int_equal(sim_udp_receive(to, bytes, sizeof bytes), -EAGAIN);
    assert_int_equal(sim_udp_reply(to, "re", 2), 2);
    sim_pass(SECOND);
    assert_int_equal(sim_udp_receive(from, bytes, sizeof bytes), 2);
    assert_int_equal(sim_udp_open("127.0.0.1", PORT), -EADDRINUSE);
}

static int set_up_udp(void **state)
{
    (void) state;
    sim_reset(1);
    return 0;
}

static int tear_down_udp(void **state)
{
    (void) state;
    sim_end();
    return 0;
}

#define UDP_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_udp, tear_down_udp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UDP_TEST(datagrams_arrive_once_and_in_order),
        UDP_TEST(some_datagrams_are_lost),
        UDP_TEST(some_datagrams_arrive_twice),
        UDP_TEST(some_datagrams_arrive_later),
        UDP_TEST(a_seed_determines_what_arrives),
        UDP_TEST(a_full_buffer_drops_datagrams_silently),
        UDP_TEST(a_datagram_keeps_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
