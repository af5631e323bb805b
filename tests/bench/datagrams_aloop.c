/* aloop_udp_send() and a callback. */

#include "datagrams.h"

#include <aloop.h>
#include <stdio.h>

static struct {
    aloop *loop;
    size_t left;
} receiving;

struct sender {
    aloop_udp *udp;
    aloop_address to;
};

static void on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) udp;
    (void) data;
    (void) from;
    (void) arg;
    fail_if(size != DATAGRAM_SIZE, "aloop_udp_start");
    if (receiving.left > 0 && --receiving.left == 0)
        aloop_stop(receiving.loop);
}

static void on_sent(aloop_future *future, ssize_t status, void *arg);

static void send_next(struct sender *sender)
{
    static const char bytes[DATAGRAM_SIZE];

    aloop_then(aloop_udp_send(sender->udp, bytes, sizeof bytes, &sender->to),
               on_sent, sender);
}

static void on_sent(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    if (receiving.left == 0) /* The loop ends. */
        return;
    fail_if(status != DATAGRAM_SIZE, "aloop_udp_send");
    send_next(arg);
}

void datagrams_aloop(const struct datagrams *datagrams)
{
    static struct sender senders[SOCKETS_MAX];
    static aloop_address ends[SOCKETS_MAX];

    receiving.loop = aloop_new(NULL);
    receiving.left = datagrams->count;
    for (int i = 0; i < datagrams->receivers; i++) {
        aloop_udp *udp;

        fail_if(aloop_udp_open(receiving.loop, "127.0.0.1", "0", &udp) < 0 ||
                    aloop_udp_local(udp, &ends[i]) < 0 ||
                    aloop_udp_start(udp, on_datagram, NULL) < 0,
                "aloop_udp_open");
    }
    for (int i = 0; i < datagrams->senders; i++) {
        fail_if(aloop_udp_open(receiving.loop, "127.0.0.1", "0",
                               &senders[i].udp) < 0,
                "aloop_udp_open");
        senders[i].to = ends[i % datagrams->receivers];
        send_next(&senders[i]);
    }
    aloop_run(receiving.loop);
    aloop_free(receiving.loop);
}
