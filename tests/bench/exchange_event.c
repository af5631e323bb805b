/* An echo service with libevent, which reports that a socket is readable.
 * The rest is the work of the program. */

#define _GNU_SOURCE /* Needed by event2/event.h. */

#include "exchange.h"

#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct connection {
    struct event event;
    struct exchange_user user;
};

static struct event_base *base;
static struct event *listener;
static struct exchange_kind kind;

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    struct connection *connection = arg;

    (void) events;
    if (exchange_serve(fd, &connection->user))
        return;
    event_del(&connection->event);
    close(fd);
    exchange_user_close(&connection->user);
    free(connection);
}

static void on_connection(evutil_socket_t listen_fd, short events, void *arg)
{
    int fd;

    (void) events;
    (void) arg;
    while ((fd = exchange_accept(listen_fd)) >= 0) {
        struct connection *connection = malloc(sizeof *connection);

        fail_if(connection == NULL, "malloc");
        exchange_user_open(&connection->user, kind);
        fail_if(event_assign(&connection->event, base, fd, EV_READ | EV_PERSIST,
                             on_readable, connection) < 0 ||
                    event_add(&connection->event, NULL) < 0,
                "event_add");
    }
}

static int peer_open(struct exchange_kind of)
{
    int port;

    if (of.way != BY_CALLBACK)
        return 0;
    kind = of;
    base = event_base_new();
    fail_if(base == NULL, "event_base_new");
    listener = event_new(base, exchange_listen(&port), EV_READ | EV_PERSIST,
                         on_connection, NULL);
    fail_if(listener == NULL || event_add(listener, NULL) < 0, "event_add");
    return port;
}

static void peer_turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void peer_close(void)
{
    close(event_get_fd(listener));
    event_free(listener);
    event_base_free(base);
}

const struct exchange_peer exchange_event = {peer_open, peer_turn, peer_close};

/* The same service in a process of its own. */
void echo_event(struct server_report *report, bool is_framed)
{
    struct exchange_kind own = {.way = BY_CALLBACK, .is_framed = is_framed};

    atomic_store(&report->port, peer_open(own));
    event_base_dispatch(base);
    exit(1);
}
