/* The clients of an exchange. */

#define _GNU_SOURCE /* For MSG_DONTWAIT. */

#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

size_t exchange_open, exchange_answered;

const struct exchange_peer *exchange_peer_of(enum peer peer)
{
    static const struct exchange_peer *const peers[PEERS] = {
        [HAND] = &exchange_hand,   [ALOOP] = &exchange_aloop,
#ifdef BENCH_UV
        [UV] = &exchange_uv,
#endif
#ifdef BENCH_EV
        [EV] = &exchange_ev,
#endif
#ifdef BENCH_EVENT
        [EVENT] = &exchange_event,
#endif
    };

    return peers[peer];
}

int exchange_connect(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t) port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    fail_if(fd < 0 || connect(fd, (void *) &address, sizeof address) < 0 ||
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0,
            "connecting");
    return fd;
}

/* A reset leaves no connection behind that keeps its port for a minute. */
static void client_close(int fd)
{
    struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

bool exchange_begin(struct exchange_load *load, enum exchange_way way)
{
    struct exchange_kind kind = {.way = way, .is_framed = load->is_framed};
    int port = load->peer->open(kind);
    size_t others = exchange_open;

    if (port == 0)
        return false;
    load->fds = calloc((size_t) load->connections, sizeof *load->fds);
    fail_if(load->fds == NULL, "calloc");
    for (int i = 0; i < load->connections; i++) {
        load->fds[i] = exchange_connect(port);
        while (exchange_open <= others + (size_t) i)
            load->peer->turn();
    }
    exchange_once(load);
    return true;
}

/* Lets the service continue while the answer is not there. */
static void receive(const struct exchange_load *load, int fd, size_t size)
{
    static char bytes[EXCHANGE_MAX];

    while (size > 0) {
        ssize_t n = recv(fd, bytes, size, MSG_DONTWAIT);

        if (n > 0) {
            size -= (size_t) n;
            continue;
        }
        fail_if(n == 0 || errno != EAGAIN, "receiving");
        load->peer->turn();
    }
}

void exchange_once(const struct exchange_load *load)
{
    static char bytes[EXCHANGE_MAX];
    size_t size = load->size * (size_t) load->in_flight;
    size_t all = size * (size_t) load->connections;

    for (size_t i = 0; i < size && load->is_framed; i += load->size) {
        bytes[i] = (char) (load->size >> 8);
        bytes[i + 1] = (char) (load->size & 255);
    }
    exchange_answered = 0;
    for (int i = 0; i < load->connections; i++)
        fail_if(send(load->fds[i], bytes, size, 0) != (ssize_t) size,
                "sending");
    while (exchange_answered < all)
        load->peer->turn();
    for (int i = 0; i < load->connections; i++)
        receive(load, load->fds[i], size);
}

void exchange_end(struct exchange_load *load)
{
    size_t others = exchange_open - (size_t) load->connections;

    for (int i = 0; i < load->connections; i++)
        client_close(load->fds[i]);
    while (exchange_open > others)
        load->peer->turn();
    load->peer->close();
    free(load->fds);
}
