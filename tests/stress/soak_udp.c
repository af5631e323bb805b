/* Datagrams: clients that send bursts to a socket that returns each, and
 * receive with a time limit, because datagrams may be lost. */

#include "soak.h"

#include <string.h>

enum { UDP_CLIENTS = 6, DATAGRAM_MAX = 3000, BURST_MAX = 40 };

static aloop_udp *echo;
static aloop_address echo_at;

static void return_datagram(aloop_udp *udp, const void *data, ssize_t size,
                            const aloop_address *from, void *arg)
{
    (void) arg;
    CHECK(size >= 0);
    CHECK(aloop_udp_put(udp, data, (size_t) size, from) >= 0);
}

static aloop_udp *open_client(bool is_connected)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .join_received = soak_random(2) == 0};
    aloop_udp *udp;

    CHECK(aloop_udp_open_with(soak.loop, "127.0.0.1", "0", &options, &udp) ==
          0);
    CHECK(!is_connected || aloop_udp_connect(udp, &echo_at) == 0);
    return udp;
}

/* Sends a burst of datagrams, which are often of one size.  The first bytes of
 * each are its size and the key of the burst.  Returns their number. */
static uint64_t send_burst(aloop_udp *udp, const aloop_address *to,
                           uint64_t key)
{
    unsigned char bytes[DATAGRAM_MAX];
    uint64_t count = 1 + soak_random(BURST_MAX);
    size_t size = sizeof key + soak_random(DATAGRAM_MAX - sizeof key);
    bool is_mixed = soak_random(3) == 0;

    memset(bytes, (unsigned char) key, sizeof bytes);
    memcpy(bytes, &key, sizeof key);
    for (uint64_t i = 0; i < count; i++) {
        if (is_mixed)
            size = sizeof key + soak_random(DATAGRAM_MAX - sizeof key);
        CHECK(aloop_udp_put(udp, bytes, size, to) >= 0);
    }
    if (soak_random(2) == 0)
        CHECK(aloop_await(aloop_udp_send(udp, bytes, size, to)) ==
              (ssize_t) size);
    return count;
}

/* An earlier socket may have had the same port, and its replies may be late. */
static void check_reply(const unsigned char *bytes, size_t size, uint64_t key)
{
    CHECK(size >= sizeof key);
    if (memcmp(bytes, &key, sizeof key) != 0)
        return;
    for (size_t i = sizeof key; i < size; i++)
        CHECK(bytes[i] == (unsigned char) key);
    soak.counts[SOAK_DATAGRAMS]++;
}

static void exchange_datagrams(void)
{
    bool is_connected = soak_random(2) == 0;
    aloop_udp *udp = open_client(is_connected);
    uint64_t key = soak_random(UINT32_MAX);
    uint64_t left = send_burst(udp, is_connected ? NULL : &echo_at, key);
    unsigned char bytes[DATAGRAM_MAX];
    ssize_t size = 0;

    if (soak_random(4) == 0) /* The rest arrives at a closed port. */
        left = soak_random(left);
    while (left-- > 0 && size >= 0) {
        size = aloop_await(aloop_timeout(
            aloop_udp_receive(udp, bytes, sizeof bytes, NULL), ALOOP_MS(50)));
        CHECK(size >= 0 || size == ALOOP_ETIMEDOUT);
        if (size >= 0)
            check_reply(bytes, (size_t) size, key);
    }
    aloop_udp_close(udp);
}

static ssize_t run_udp_client(aloop *loop, void *arg)
{
    (void) arg;
    while (soak_continues()) {
        exchange_datagrams();
        aloop_await(aloop_sleep(loop, (int64_t) soak_random(ALOOP_MS(6))));
    }
    return 0;
}

void soak_udp_start(aloop_group *group)
{
    CHECK(aloop_udp_open(soak.loop, "127.0.0.1", "0", &echo) == 0);
    CHECK(aloop_udp_local(echo, &echo_at) == 0);
    CHECK(aloop_udp_start(echo, return_datagram, NULL) == 0);
    for (int i = 0; i < UDP_CLIENTS; i++)
        soak_spawn(group, run_udp_client, NULL);
}

void soak_udp_end(void)
{
    aloop_udp_close(echo);
}
