/* A UDP socket, and a peer of it. */

#ifndef UDP_FIXTURE_H
#define UDP_FIXTURE_H

#include <string.h>

#include "support/memory_fixture.h"

enum { PORT = 4000, PEER_PORT = 5000, ROOM = 2048 };

/* What the callback has received. */
static struct {
    aloop_udp *udp;
    int peer;
    ssize_t sizes[128];
    char texts[128][16];
    aloop_address from;
    int count;
    int stop_at; /* The number of the call that does something. */
    void (*then)(aloop_udp *udp);
    char buffer[ROOM];
    aloop_address sender;
} u;

static inline void on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                               const aloop_address *from, void *arg)
{
    assert_ptr_equal(udp, u.udp);
    assert_ptr_equal(arg, &u);
    assert_true(u.count < 128);
    u.sizes[u.count] = size;
    if (size > 0)
        memcpy(u.texts[u.count], data, size < 15 ? (size_t) size : 15);
    u.from = *from;
    u.count++;
    if (u.count == u.stop_at)
        u.then(udp);
}

static inline aloop_udp *open_udp(void)
{
    aloop_udp *udp = NULL;

    assert_int_equal(aloop_udp_open(t.loop, "127.0.0.1", "4000", &udp), 0);
    assert_non_null(udp);
    return udp;
}

static inline void set_up_socket(void)
{
    memset(&u, 0, sizeof u);
    u.udp = open_udp();
    u.peer = sim_udp_open("127.0.0.1", PEER_PORT);
    assert_true(u.peer >= 0);
}

static inline int set_up_udp(void **state)
{
    if (set_up_memory(state) != 0)
        return -1;
    set_up_socket();
    return 0;
}

#define UDP_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_udp, tear_down_memory)

static inline void send_text(const char *text)
{
    size_t size = strlen(text);

    assert_int_equal(sim_udp_send(u.peer, "127.0.0.1", PORT, text, size), size);
}

static inline void start(void)
{
    assert_int_equal(aloop_udp_start(u.udp, on_datagram, &u), 0);
}

/* Lets everything arrive. */
static inline void settle(void)
{
    for (int i = 0; i < 4; i++) {
        sim_pass(MS);
        aloop_step(t.loop, 0);
    }
}

static inline aloop_future *receive(void)
{
    return aloop_udp_receive(u.udp, u.buffer, sizeof u.buffer, &u.sender);
}

static inline aloop_address address_of(const char *text)
{
    aloop_address address;

    assert_int_equal(aloop_address_parse(text, &address), 0);
    return address;
}

#endif
