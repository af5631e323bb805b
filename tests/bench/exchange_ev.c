/* An echo service with libev, which reports that a socket is readable.  The
 * rest is the work of the program. */

#include "exchange.h"

#include <unistd.h>

#include <ev.h>

struct connection {
    ev_io io;
    struct exchange_user user;
};

static struct ev_loop *loop;
static ev_io listener;
static struct exchange_kind kind;

static void on_readable(struct ev_loop *of, ev_io *io, int events)
{
    struct connection *connection = (struct connection *) io;

    (void) events;
    if (exchange_serve(io->fd, &connection->user))
        return;
    ev_io_stop(of, io);
    close(io->fd);
    exchange_user_close(&connection->user);
    free(connection);
}

static void on_connection(struct ev_loop *of, ev_io *io, int events)
{
    int fd;

    (void) events;
    while ((fd = exchange_accept(io->fd)) >= 0) {
        struct connection *connection = malloc(sizeof *connection);

        fail_if(connection == NULL, "malloc");
        exchange_user_open(&connection->user, kind);
        ev_io_init(&connection->io, on_readable, fd, EV_READ);
        ev_io_start(of, &connection->io);
    }
}

static int peer_open(struct exchange_kind of)
{
    int port;

    if (of.way != BY_CALLBACK)
        return 0;
    kind = of;
    loop = ev_loop_new(EVBACKEND_EPOLL);
    fail_if(loop == NULL, "ev_loop_new");
    ev_io_init(&listener, on_connection, exchange_listen(&port), EV_READ);
    ev_io_start(loop, &listener);
    return port;
}

static void peer_turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

static void peer_close(void)
{
    ev_io_stop(loop, &listener);
    close(listener.fd);
    ev_loop_destroy(loop);
}

const struct exchange_peer exchange_ev = {peer_open, peer_turn, peer_close};

/* The same service in a process of its own. */
void echo_ev(struct server_report *report, bool is_framed)
{
    struct exchange_kind own = {.way = BY_CALLBACK, .is_framed = is_framed};

    atomic_store(&report->port, peer_open(own));
    ev_run(loop, 0);
    exit(1);
}
