/* Sockets until they are connected: binding, listening, queues of connections
 * to accept, and connecting.
 *
 * A SYN arrives after one delay.  Then the listener has a new socket in its
 * queue, and the answer travels as a segment like any other.  A SYN without an
 * answer is sent again after 1, 2, 4... seconds, six times, as Linux does. */

#include <errno.h>
#include <stdlib.h>

#include "sim_world.h"

enum { PORT_FIRST = 49152, ATTEMPTS_MAX = 8 };

static const int64_t RETRY_NS = 1000000000;

struct sim_socket *sim__sockets;
static struct sim_socket *listeners; /* Linked by `after`. */
static uint16_t next_port = PORT_FIRST;

struct sim_socket *sim__socket_new(enum sys_family family)
{
    struct sim_socket *socket = sim__allocate(NULL, sizeof *socket);

    *socket = (struct sim_socket){.next = sim__sockets, .family = family};
    sim__sockets = socket;
    return socket;
}

void sim__pair(struct sim_socket *a, struct sim_socket *b)
{
    a->other = b;
    b->other = a;
    a->state = SIM_CONNECTED;
    b->state = SIM_CONNECTED;
}

void sim_break(int error)
{
    struct sim_socket *chosen = NULL;
    unsigned count = 0;

    for (struct sim_socket *at = sim__sockets; at != NULL; at = at->next)
        if (at->state == SIM_CONNECTED && !at->was_closed && !at->is_outside &&
            sim_random(++count) == 0)
            chosen = at;
    if (chosen != NULL)
        sim__break(chosen, error);
}

bool sim__covers(const struct sim_socket *socket,
                 const struct sys_address *address)
{
    if (sim__address_is_same(&socket->local, address))
        return true;
    if (!sim__address_is_any(&socket->local))
        return false;
    return socket->family == aloop__sys_address_family(address) ||
           (socket->family == SYS_INET6 && !socket->is_v6_only);
}

static bool overlap(const struct sim_socket *a, const struct sim_socket *b)
{
    return aloop__sys_address_port(&a->local) ==
               aloop__sys_address_port(&b->local) &&
           (sim__covers(a, &b->local) || sim__covers(b, &a->local));
}

static bool is_in_use(const struct sim_socket *socket, bool is_listening)
{
    for (struct sim_socket *other = sim__sockets; other != NULL;
         other = other->next) {
        bool is_shared = socket->has_reuse && other->has_reuse;
        bool is_port_shared = socket->has_reuse_port && other->has_reuse_port;

        if (other == socket || other->was_closed || other->local.size == 0 ||
            is_port_shared || sim__is_unix(other) ||
            (other->udp == NULL) != (socket->udp == NULL) ||
            !overlap(socket, other))
            continue;
        if (other->state == SIM_LISTENING || (!is_shared && !is_listening))
            return true;
    }
    return false;
}

static uint16_t draw_port(void)
{
    uint16_t port = next_port;

    next_port = port == UINT16_MAX ? PORT_FIRST : (uint16_t) (port + 1);
    return port;
}

int sim__bind(struct sim_socket *socket, const struct sys_address *address)
{
    bool is_any_port = aloop__sys_address_port(address) == 0;

    if (aloop__sys_address_family(address) != socket->family)
        return -EAFNOSUPPORT;
    if (socket->local.size != 0 || socket->state != SIM_FRESH)
        return -EINVAL;
    if (sim__is_unix(socket))
        return sim__unix_bind(socket, address);
    socket->local = *address;
    for (int tries = PORT_FIRST; tries < UINT16_MAX; tries++) {
        if (is_any_port)
            sim__address_set_port(&socket->local, draw_port());
        if (!is_in_use(socket, false))
            return 0;
        if (!is_any_port)
            break;
    }
    socket->local.size = 0;
    return -EADDRINUSE;
}

int sim__listen(struct sim_socket *socket, int backlog)
{
    struct sys_address any;
    bool is_new = socket->state == SIM_FRESH;

    if (!is_new && socket->state != SIM_LISTENING)
        return -EINVAL;
    if (socket->local.size == 0 && sim__is_unix(socket))
        return -EINVAL;
    if (socket->local.size == 0) {
        aloop__sys_address_parse(
            socket->family == SYS_INET ? "0.0.0.0" : "::", "0", &any);
        sim__bind(socket, &any);
    }
    if (is_new && !sim__is_unix(socket) && is_in_use(socket, true))
        return -EADDRINUSE;
    socket->backlog = backlog < 0 ? 0 : (unsigned) backlog;
    if (is_new) {
        socket->state = SIM_LISTENING;
        socket->after = listeners;
        listeners = socket;
    }
    return 0;
}

static void forget_listener(struct sim_socket *listener)
{
    struct sim_socket **at = &listeners;

    while (*at != listener)
        at = &(*at)->after;
    *at = listener->after;
}

/* An exact address is preferred to a wildcard, and a wildcard of the same
 * family to one of the other.  Of several with the same address, one with the
 * fewest connections that wait is taken. */
static struct sim_socket *find_listener(const struct sys_address *address)
{
    struct sim_socket *best = NULL;
    int best_rank = 0;

    for (struct sim_socket *at = listeners; at != NULL; at = at->after) {
        int rank = 1 + (at->family == aloop__sys_address_family(address)) +
                   sim__address_is_same(&at->local, address);

        if (!sim__is_unix(at) &&
            aloop__sys_address_port(&at->local) ==
                aloop__sys_address_port(address) &&
            sim__covers(at, address) &&
            (best == NULL || rank > best_rank ||
             (rank == best_rank &&
              at->waiting + at->coming < best->waiting + best->coming))) {
            best = at;
            best_rank = rank;
        }
    }
    return best;
}

/* As on Linux, one connection more than the backlog may wait. */
bool sim__is_full(const struct sim_socket *listener)
{
    return listener->waiting + listener->coming > listener->backlog;
}

/* Makes the other end of a client's connection. */
static struct sim_socket *answer(struct sim_socket *listener,
                                 struct sim_socket *client)
{
    struct sim_socket *server = sim__socket_new(listener->family);
    bool is_mapped = listener->family != client->family;

    server->is_outside = listener->is_outside;
    server->has_reuse = listener->has_reuse;
    server->is_v6_only = listener->is_v6_only;
    server->listener = listener;
    server->local = is_mapped ? sim__address_mapped(&client->remote)
                              : client->remote;
    server->remote = is_mapped ? sim__address_mapped(&client->local)
                               : client->local;
    server->state = SIM_CONNECTED;
    server->other = client;
    client->other = server;
    if (sim__is_unix(client))
        server->remote = client->local.size > 0 ? client->local
                                                : sim__address_unnamed();
    return server;
}

static void queue(struct sim_socket *server)
{
    struct sim_socket **at = &server->listener->accepts;

    while (*at != NULL)
        at = &(*at)->after;
    *at = server;
    server->after = NULL;
    server->listener->waiting++;
    sim__trace(server->listener->waiting);
}

void sim__meet(struct sim_socket *listener, struct sim_socket *client)
{
    queue(answer(listener, client));
    client->state = SIM_CONNECTED;
}

static void queue_later(void *arg)
{
    struct sim_socket *server = arg;

    server->listener->coming--;
    if (!server->listener->was_closed) {
        queue(server);
        return;
    }
    server->is_reset_on_close = true;
    sim__socket_gone(server);
}

struct sim_socket *sim__take(struct sim_socket *listener)
{
    struct sim_socket *server = listener->accepts;

    if (server != NULL) {
        listener->accepts = server->after;
        listener->waiting--;
    }
    return server;
}

static void aim(struct sim_socket *client, const struct sys_address *address)
{
    struct sys_address source;
    uint16_t port;

    client->remote = *address;
    if (sim__address_is_any(address)) {
        aloop__sys_address_parse(client->family == SYS_INET ? "127.0.0.1"
                                                            : "::1",
                                 "0", &client->remote);
        sim__address_set_port(&client->remote,
                              aloop__sys_address_port(address));
    }
    source = sim__address_source(&client->remote);
    port = client->local.size > 0 ? aloop__sys_address_port(&client->local)
                                  : draw_port();
    if (client->local.size == 0 || sim__address_is_any(&client->local))
        client->local = source;
    sim__address_set_port(&client->local, port);
}

int sim__join(struct sim_socket *client, const struct sys_address *address)
{
    struct sim_socket *listener, *server;

    aim(client, address);
    listener = find_listener(&client->remote);
    if (listener == NULL)
        return -ECONNREFUSED;
    if (sim__is_full(listener))
        return -EAGAIN;
    server = answer(listener, client);
    client->state = SIM_CONNECTED;
    listener->coming++;
    server->last_due_ns = sim__add_ns(sim__world.now_ns, sim__delay_ns());
    sim__schedule(server->last_due_ns, queue_later, server);
    return 0;
}

/* Connects a socket to itself if its own port is the one that it connects to.
 * This is a simultaneous open (RFC 9293, 3.5). */
static bool meets_itself(struct sim_socket *client)
{
    if (!aloop__sys_address_is_same(&client->local, &client->remote))
        return false;
    sim__pair(client, client);
    return true;
}

static void send_syn(struct sim_socket *client, int64_t delay_ns);

static void try_again(struct sim_socket *client)
{
    if (client->attempts < ATTEMPTS_MAX) {
        send_syn(client, RETRY_NS << (client->attempts - 1));
        return;
    }
    client->state = SIM_DEAD;
    client->error = -ETIMEDOUT;
}

static void on_syn(void *arg)
{
    struct sim_socket *client = arg;
    struct sim_socket *listener = find_listener(&client->remote);

    if (client->was_closed || client->state != SIM_CONNECTING)
        return;
    client->attempts++;
    sim__trace(client->attempts);
    if (client->attempts == ATTEMPTS_MAX ||
        sim__address_is_blackhole(&client->remote) ||
        (listener != NULL && sim__is_full(listener)))
        try_again(client);
    else if (listener == NULL && !meets_itself(client))
        sim__segment(client, SIM_RST, NULL, 0);
    else if (listener == NULL)
        return;
    else {
        queue(answer(listener, client));
        sim__segment(client, SIM_ACCEPTED, NULL, 0);
    }
}

static void send_syn(struct sim_socket *client, int64_t delay_ns)
{
    sim__schedule(sim__add_ns(sim__world.now_ns, delay_ns), on_syn, client);
}

/* Connects immediately, as some systems sometimes do. */
static int connect_now(struct sim_socket *client)
{
    struct sim_socket *listener = find_listener(&client->remote);

    if (listener == NULL && meets_itself(client))
        return 0;
    if (listener == NULL) {
        client->state = SIM_DEAD;
        return -ECONNREFUSED;
    }
    queue(answer(listener, client));
    client->state = SIM_CONNECTED;
    return 0;
}

int sim__connect(struct sim_socket *client, const struct sys_address *address)
{
    const struct sim_socket *listener;

    if (client->state == SIM_CONNECTING)
        return -EALREADY;
    if (client->state != SIM_FRESH)
        return client->state == SIM_CONNECTED ? -EISCONN : -EINVAL;
    if (aloop__sys_address_family(address) != client->family)
        return -EAFNOSUPPORT;
    if (sim__is_unix(client))
        return sim__unix_connect(client, address);
    if (sim__address_is_unreachable(address))
        return -ENETUNREACH;
    aim(client, address);
    listener = find_listener(&client->remote);
    if (!sim__address_is_blackhole(&client->remote) &&
        (listener == NULL || !sim__is_full(listener)) &&
        sim__chance(sim__world.options.connect_now_percent))
        return connect_now(client);
    client->state = SIM_CONNECTING;
    send_syn(client, sim__delay_ns());
    return -EINPROGRESS;
}

void sim__socket_gone(struct sim_socket *socket)
{
    struct sim_socket *server;

    if (socket->was_closed)
        return;
    socket->was_closed = true;
    if (socket->udp != NULL) {
        sim__udp_gone(socket);
    } else if (socket->state == SIM_LISTENING) {
        forget_listener(socket);
        while ((server = sim__take(socket)) != NULL) {
            server->is_reset_on_close = true;
            sim__socket_gone(server);
        }
    } else if (socket->state == SIM_CONNECTED) {
        if (socket->size > 0 ||
            (socket->is_reset_on_close && socket->family != SYS_UNIX))
            sim__abort(socket);
        else
            sim__finish(socket);
    } else
        socket->state = SIM_DEAD;
    sim__drop(socket);
}

void sim__net_end(void)
{
    while (sim__sockets != NULL) {
        struct sim_socket *socket = sim__sockets;

        sim__sockets = socket->next;
        while (socket->segments != NULL) {
            struct sim_segment *segment = socket->segments;

            socket->segments = segment->next;
            free(segment);
        }
        while (socket->passed != NULL) { /* The descriptions are freed. */
            struct sim_passed *passed = socket->passed;

            socket->passed = passed->next;
            free(passed);
        }
        free(socket->bytes);
        free(socket);
    }
    listeners = NULL;
    next_port = PORT_FIRST;
}
