/* Peers: the ends of connections outside of the library, for tests with one
 * loop.  They are sockets without a descriptor and without random behaviour of
 * calls. */

#include <errno.h>
#include <stdlib.h>

#include "sim_world.h"

static struct sim_socket **peers;
static int peers_size, peers_capacity;

static int add_peer(struct sim_socket *socket)
{
    if (peers_size == peers_capacity) {
        peers_capacity = 2 * peers_capacity + 16;
        peers = sim__allocate(peers, (size_t) peers_capacity * sizeof *peers);
    }
    peers[peers_size] = socket;
    return peers_size++;
}

/* An invalid peer or address is a mistake in the test. */
static struct sim_socket *peer_at(int peer)
{
    if (peer < 0 || peer >= peers_size)
        abort();
    return peers[peer];
}

static struct sys_address address_of(const char *host, uint16_t port)
{
    struct sys_address address;

    if (aloop__sys_address_parse(host, "0", &address) < 0)
        abort();
    sim__address_set_port(&address, port);
    return address;
}

static struct sim_socket *new_outside(const struct sys_address *address)
{
    struct sim_socket *socket =
        sim__socket_new(aloop__sys_address_family(address));

    socket->is_outside = true;
    return socket;
}

int sim_connect_to(const char *host, uint16_t port)
{
    struct sys_address address = address_of(host, port);
    struct sim_socket *socket = new_outside(&address);
    int error = sim__join(socket, &address);

    sim__trace(error);
    return error < 0 ? error : add_peer(socket);
}

int sim_connect(uint16_t port)
{
    int peer = sim_connect_to("127.0.0.1", port);

    return peer == -ECONNREFUSED ? sim_connect_to("::1", port) : peer;
}

int sim_listen(const char *host, uint16_t port, int backlog)
{
    struct sys_address address = address_of(host, port);
    struct sim_socket *socket = new_outside(&address);
    int error;

    socket->has_reuse = true;
    socket->is_v6_only = true;
    error = sim__bind(socket, &address);
    if (error == 0)
        error = sim__listen(socket, backlog);
    return error < 0 ? error : add_peer(socket);
}

int sim_connect_unix(const char *path)
{
    struct sys_address address;
    struct sim_socket *socket;
    int error = aloop__sys_unix_address(path, &address);

    if (error < 0)
        abort();
    socket = new_outside(&address);
    error = sim__connect(socket, &address);
    return error < 0 ? error : add_peer(socket);
}

int sim_listen_unix(const char *path, int backlog)
{
    struct sys_address address;
    struct sim_socket *socket;
    int error = aloop__sys_unix_address(path, &address);

    if (error < 0)
        abort();
    socket = new_outside(&address);
    error = sim__bind(socket, &address);
    if (error == 0)
        error = sim__listen(socket, backlog);
    return error < 0 ? error : add_peer(socket);
}

int sim_accept(int listener)
{
    struct sim_socket *server = sim__take(peer_at(listener));

    return server != NULL ? add_peer(server) : -EAGAIN;
}

int sim_udp_open(const char *host, uint16_t port)
{
    struct sys_address address = address_of(host, port);
    struct sim_socket *socket = new_outside(&address);
    int error;

    sim__udp_init(socket);
    socket->is_v6_only = true;
    error = sim__bind(socket, &address);
    return error < 0 ? error : add_peer(socket);
}

ssize_t sim_udp_send(int peer, const char *host, uint16_t port,
                     const void *data, size_t size)
{
    struct sys_address address = address_of(host, port);
    aloop_address to;

    aloop__sys_address_export(&address, &to);
    return sim__udp_send(peer_at(peer), &to, data, size);
}

ssize_t sim_udp_receive(int peer, void *buffer, size_t size)
{
    struct sim_socket *socket = peer_at(peer);
    aloop_address from;
    ssize_t count = sim__udp_receive(socket, buffer, size, &from);

    if (count >= 0)
        aloop__sys_address_import(&from, &socket->remote);
    return count;
}

ssize_t sim_udp_reply(int peer, const void *data, size_t size)
{
    struct sim_socket *socket = peer_at(peer);
    aloop_address to;

    aloop__sys_address_export(&socket->remote, &to);
    return sim__udp_send(socket, &to, data, size);
}

ssize_t sim_peer_send(int peer, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};

    return sim__send(peer_at(peer), &piece, 1);
}

ssize_t sim_peer_receive(int peer, void *buffer, size_t size)
{
    ssize_t count = sim__receive(peer_at(peer), buffer, size);

    sim__trace(count);
    return count == -EAGAIN ? 0 : count;
}

void sim_peer_shutdown(int peer)
{
    struct sim_socket *socket = peer_at(peer);

    if (socket->state == SIM_CONNECTED)
        sim__finish(socket);
}

void sim_peer_close(int peer)
{
    sim__socket_gone(peer_at(peer));
}

void sim_peer_reset(int peer)
{
    struct sim_socket *socket = peer_at(peer);

    socket->is_reset_on_close = true;
    if (sim__is_unix(socket) && socket->state == SIM_CONNECTED)
        sim__abort(socket);
    sim__socket_gone(socket);
}

void sim_peer_break(int peer, int error)
{
    sim__break(peer_at(peer)->other, error);
}

bool sim_peer_eof(int peer)
{
    const struct sim_socket *socket = peer_at(peer);

    return socket->has_received_fin && socket->size == 0;
}

int sim_peer_error(int peer)
{
    return peer_at(peer)->error;
}

bool sim_peer_connected(int peer)
{
    return peer_at(peer)->state == SIM_CONNECTED;
}

void sim__peer_end(void)
{
    free(peers);
    peers = NULL;
    peers_size = 0;
    peers_capacity = 0;
}
