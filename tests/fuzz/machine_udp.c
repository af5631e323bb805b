/* Datagrams in the state machine: two sockets that send to each other.
 *
 * Each datagram begins with its number.  It arrives whole, from the socket that
 * sent it, and never if it was cancelled.  Unless the network duplicates or
 * reorders, it arrives once and in order. */

#include "machine_outside.h"

#include <string.h>

enum { DATAGRAMS_MAX = 60, DATAGRAM_LARGEST = 1400 };

static struct datagram {
    unsigned from;
    size_t size;
    bool is_gone; /* Refused or cancelled. */
} datagrams[DATAGRAMS_MAX];

static struct socket {
    aloop_udp *udp; /* NULL: not open. */
    aloop_address address;
    bool is_started, is_connected;
    struct out *receive; /* The pending one, or NULL. */
    aloop_address from;  /* Written by it. */
    unsigned next;       /* The first number that may arrive. */
} sockets[2];

static unsigned datagram_count;

void udp_begin(void)
{
    memset(sockets, 0, sizeof sockets);
    datagram_count = 0;
}

static bool open_sockets(void)
{
    for (int i = 0; i < 2; i++)
        if (sockets[i].udp == NULL) {
            memset(&sockets[i], 0, sizeof sockets[i]);
            FUZZ_CHECK(aloop_udp_open(w.loop, "127.0.0.1", i == 0 ? "70" : "71",
                                      &sockets[i].udp) == 0);
            FUZZ_CHECK(aloop_udp_local(sockets[i].udp, &sockets[i].address) ==
                       0);
        }
    return true;
}

static void check_datagram(struct socket *socket, const void *data, size_t size,
                           const aloop_address *from)
{
    const unsigned char *bytes = data;
    const struct socket *sender = &sockets[socket == sockets];
    const struct datagram *datagram = &datagrams[size > 0 ? bytes[0] : 0];

    FUZZ_CHECK(aloop_address_port(from) == (socket == sockets ? 71 : 70));
    if (size == 0)
        return;
    FUZZ_CHECK(bytes[0] < datagram_count && datagram->size == size);
    FUZZ_CHECK(&sockets[datagram->from] == sender && !datagram->is_gone);
    for (size_t i = 1; i < size; i++)
        FUZZ_CHECK(bytes[i] == (unsigned char) (bytes[0] + i));
    if (sim_options()->duplicate_percent + sim_options()->reorder_percent > 0)
        return;
    FUZZ_CHECK(bytes[0] >= socket->next);
    socket->next = bytes[0] + 1U;
}

static void on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    struct socket *socket = arg;

    FUZZ_CHECK(!w.is_over && socket->udp == udp && socket->is_started);
    say("a datagram of %zd bytes", size);
    if (size >= 0)
        check_datagram(socket, data, (size_t) size, from);
    else
        FUZZ_CHECK(size == ALOOP_ECONNREFUSED);
    outside_act_some();
}

void end_udp(struct out *out, ssize_t status)
{
    struct socket *socket = &sockets[out->number];

    if (out->kind == UDP_RECEIVE) {
        if (socket->receive == out)
            socket->receive = NULL;
        if (status >= 0)
            check_datagram(socket, out->buffer, (size_t) status, &socket->from);
        else
            FUZZ_CHECK(status == ALOOP_EMSGSIZE || status == ALOOP_EBUSY ||
                       status == ALOOP_ECONNREFUSED ||
                       (status == ALOOP_ECANCELED && out->may_end));
    } else if (out->kind == UDP_SEND) {
        FUZZ_CHECK(status == (ssize_t) out->size ||
                   (status == ALOOP_ECANCELED && out->may_end));
    } else {
        FUZZ_CHECK(status == 0 || (status == ALOOP_ECANCELED && out->may_end));
    }
}

void udp_cancelled(const struct out *out)
{
    if (out->kind == UDP_SEND && out->size > 0)
        datagrams[(unsigned char) out->buffer[0]].is_gone = true;
}

/* Makes the bytes of a new datagram.  Returns its size. */
static size_t make_datagram(unsigned from, char *buffer)
{
    static const size_t sizes[] = {1, 2, 20, 20, 20, 300, DATAGRAM_LARGEST, 0};
    size_t size = sizes[any_below(sizeof sizes / sizeof sizes[0])];

    for (size_t i = 0; i < size; i++)
        buffer[i] = (char) (datagram_count + i);
    datagrams[datagram_count++] = (struct datagram){from, size, false};
    return size;
}

void act_udp_put(void)
{
    unsigned i = any_below(2), count = 1 + any_below(4);
    char buffer[DATAGRAM_LARGEST];

    if (!enter() || !open_sockets())
        return;
    for (; count > 0 && datagram_count < DATAGRAMS_MAX; count--) {
        size_t size = make_datagram(i, buffer);
        int result;

        arm();
        result = aloop_udp_put(
            sockets[i].udp, buffer, size,
            sockets[i].is_connected ? NULL : &sockets[1 - i].address);
        say("put a datagram of %zu bytes at socket %u: %d", size, i, result);
        FUZZ_CHECK(disarm() ? result == ALOOP_ENOMEM || result >= 0
                            : result == 0 || result == 1);
        datagrams[datagram_count - 1].is_gone = result < 0;
    }
}

void act_udp_send(void)
{
    unsigned i = any_below(2);
    bool is_drain = any_below(4) == 3;
    struct out *out;

    if (!enter() || datagram_count == DATAGRAMS_MAX || !open_sockets() ||
        (out = new_out(is_drain ? UDP_DRAIN : UDP_SEND)) == NULL)
        return;
    out->number = i;
    if (is_drain) {
        say("drain socket %u", i);
        follow_out(out, aloop_udp_drain(sockets[i].udp));
        return;
    }
    out->buffer = malloc(DATAGRAM_LARGEST);
    FUZZ_CHECK(out->buffer != NULL);
    out->size = make_datagram(i, out->buffer);
    say("send %zu bytes at socket %u", out->size, i);
    follow_out(out, aloop_udp_send(sockets[i].udp, out->buffer, out->size,
                                   sockets[i].is_connected
                                       ? NULL
                                       : &sockets[1 - i].address));
}

void act_udp_receive(void)
{
    unsigned i = any_below(2);
    size_t size = any_bit() ? DATAGRAM_LARGEST : 20;
    struct socket *socket = &sockets[i];
    bool is_busy;
    struct out *out;

    if (!enter() || !open_sockets() || (out = new_out(UDP_RECEIVE)) == NULL)
        return;
    is_busy = socket->is_started ||
              (socket->receive != NULL &&
               !aloop_future_is_settled(socket->receive->future));
    if (!is_busy && socket->receive != NULL) {
        o.out_count--; /* The last one was not checked yet. */
        return;
    }
    out->number = i;
    out->size = size;
    out->buffer = malloc(size);
    FUZZ_CHECK(out->buffer != NULL);
    say("receive at socket %u%s", i, is_busy ? ", which is busy" : "");
    if (!is_busy)
        socket->receive = out;
    follow_out(out, aloop_udp_receive(socket->udp, out->buffer, size,
                                      is_busy ? NULL : &socket->from));
    FUZZ_CHECK(is_busy == (aloop_future_status(out->future) == ALOOP_EBUSY));
}

void act_udp_start(void)
{
    unsigned i = any_below(2);
    struct socket *socket = &sockets[i];
    bool is_busy;

    if (!enter() || !open_sockets())
        return;
    is_busy = socket->receive != NULL &&
              !aloop_future_is_settled(socket->receive->future);
    if (socket->is_started || any_below(4) == 3) {
        say("stop socket %u", i);
        FUZZ_CHECK(aloop_udp_stop(socket->udp) == 0);
        socket->is_started = false;
    } else if (socket->receive == NULL || is_busy) {
        say("start socket %u%s", i, is_busy ? ", which is busy" : "");
        FUZZ_CHECK(aloop_udp_start(socket->udp, on_datagram, socket) ==
                   (is_busy ? ALOOP_EBUSY : 0));
        socket->is_started = !is_busy;
    }
}

static void close_socket(unsigned i)
{
    if (sockets[i].udp == NULL)
        return;
    for (unsigned k = 0; k < o.out_count; k++)
        if (o.outs[k].kind >= UDP_RECEIVE && o.outs[k].kind <= UDP_DRAIN &&
            o.outs[k].number == i)
            o.outs[k].may_end = true;
    aloop_udp_close(sockets[i].udp);
    m.has_closed = true;
    sockets[i].udp = NULL;
    sockets[i].is_started = false;
    sockets[i].receive = NULL;
    for (unsigned k = 0; k < o.out_count; k++)
        if (o.outs[k].kind == UDP_RECEIVE && o.outs[k].number == i &&
            !o.outs[k].has_ended)
            end_out(&o.outs[k]); /* It is not reported, as a read. */
}

/* A socket that is connected sends without an address. */
void act_udp_close(void)
{
    unsigned i = any_below(2);

    if (sockets[i].udp == NULL || !enter())
        return;
    if (any_bit() && !sockets[i].is_connected) {
        say("connect socket %u", i);
        open_sockets();
        FUZZ_CHECK(aloop_udp_connect(sockets[i].udp, &sockets[1 - i].address) ==
                   0);
        sockets[i].is_connected = true;
    } else {
        say("close socket %u", i);
        close_socket(i);
    }
}

void close_udp(void)
{
    close_socket(0);
    close_socket(1);
}
