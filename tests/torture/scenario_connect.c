/* Connecting by address and by name, and accepting connections. */

#include "torture.h"

#include <string.h>

enum { LOOKUPS = 6, CLIENTS = 3 };

static aloop_stream *streams[LOOKUPS];

static void send_hello(aloop_stream *stream, ssize_t *error)
{
    char text[96];

    if (stream == NULL)
        return;
    torture_keep(error, aloop_stream_peer(stream, text, sizeof text));
    torture_keep(error, aloop_stream_local(stream, text, sizeof text));
    torture_keep(error, aloop_tcp_set_nodelay(stream, true));
    torture_keep(error,
                 torture_await(aloop_stream_write(stream, "hello", 5), 10));
}

ssize_t torture_connect(aloop *loop)
{
    ssize_t error = 0, status;
    int listener = sim_listen("127.0.0.1", 80, 8);

    torture_keep(&error, torture_await(aloop_tcp_connect(loop, "127.0.0.1",
                                                         "80", &streams[0]),
                                       10));
    send_hello(streams[0], &error);
    aloop_stream_abort(streams[0]);
    /* This port is closed. */
    status = torture_await(
        aloop_tcp_connect(loop, "127.0.0.1", "81", &streams[1]), 10);
    torture_expect(status < 0 && streams[1] == NULL,
                   "connected without a listener");
    torture_keep(&error, status == ALOOP_ECONNREFUSED ? 0 : status);
    /* This connect times out. */
    status =
        torture_await(aloop_tcp_connect(loop, "fd00::9", "80", &streams[2]), 1);
    torture_expect(status < 0 && streams[2] == NULL,
                   "connected without a listener");
    if (status != ALOOP_EAFNOSUPPORT) /* The world has no IPv6. */
        torture_keep(&error, status == ALOOP_ETIMEDOUT ? 0 : status);
    /* These are dropped and detached. */
    aloop_future_unref(aloop_tcp_connect(loop, "127.0.0.1", "80", &streams[3]));
    aloop_detach(aloop_tcp_connect(loop, "127.0.0.1", "80", &streams[4]));
    torture_keep(&error, torture_pass(loop, 100 * MS));
    /* This connect may have finished immediately. */
    aloop_stream_close(streams[3]);
    aloop_stream_close(streams[4]);
    sim_peer_close(listener);
    return error;
}

/* Starts several look-ups simultaneously.  One of them is dropped, and one
 * fails. */
ssize_t torture_names(aloop *loop)
{
    static const char *const hosts[LOOKUPS] = {
        "localhost", "many", "unknown", "localhost", "many", "localhost",
    };
    aloop_future *futures[LOOKUPS];
    int listener = sim_listen("127.0.0.1", 80, 8);
    ssize_t error = 0, status;

    for (int i = 0; i < LOOKUPS; i++)
        futures[i] = aloop_tcp_connect(loop, hosts[i], "80", &streams[i]);
    aloop_future_unref(futures[3]);
    aloop_cancel(futures[5]);
    for (int i = 0; i < LOOKUPS; i++) {
        if (i == 3)
            continue;
        status = torture_await(futures[i], 20);
        if (i == 2)
            torture_expect(status < 0, "connected without a listener");
        torture_keep(&error, i == 2 || i == 5 ? 0 : status);
    }
    torture_keep(&error, torture_pass(loop, 100 * MS));
    for (int i = 0; i < LOOKUPS; i++) {
        send_hello(streams[i], &error);
        aloop_stream_close(streams[i]);
    }
    sim_peer_close(listener);
    return error;
}

/* Looks up addresses and names for themselves, and leaves one array to the end
 * of the loop. */
ssize_t torture_look_ups(aloop *loop)
{
    static const char *const hosts[LOOKUPS] = {
        "localhost", "many", "unknown", "::1", "127.1", "many",
    };
    static aloop_address *found[LOOKUPS];
    static char name[64];
    aloop_future *futures[LOOKUPS], *reverse;
    aloop_address address = {.family = ALOOP_FAMILY_NONE};
    ssize_t error = 0, status;

    torture_leave_objects();
    for (int i = 0; i < LOOKUPS; i++)
        futures[i] =
            aloop_resolve(loop, hosts[i], "80", ALOOP_FAMILY_ANY, &found[i]);
    (void) aloop_address_parse("127.0.0.1:80", &address);
    reverse = aloop_resolve_name(loop, &address, name, sizeof name);
    aloop_cancel(futures[5]);
    for (int i = 0; i < LOOKUPS; i++) {
        bool has_failed = i == 2 || i == 4 || i == 5;

        status = torture_await(futures[i], 20);
        torture_expect(status < 0 || found[i] != NULL, "found nothing");
        torture_expect(status >= 0 || found[i] == NULL, "found something");
        torture_keep(&error, has_failed || status > 0 ? 0 : status);
        if (i != 0)
            aloop_addresses_free(found[i]);
    }
    status = torture_await(reverse, 20);
    torture_expect(status < 0 || name[status] == '\0', "found no name");
    torture_keep(&error, status > 0 ? 0 : status);
    return error;
}

/* Uses a slow name server: look-ups are awaited, time out, are dropped, and are
 * still in progress when the loop is freed. */
ssize_t torture_slow_names(aloop *loop)
{
    static const char *const here[] = {"127.0.0.1", NULL};
    aloop_future *futures[LOOKUPS];
    int listener = sim_listen("127.0.0.1", 80, 8);
    ssize_t error = 0, status;

    sim_host("slow", here);
    sim_host_delay("slow", 500 * MS);
    for (int i = 0; i < LOOKUPS; i++)
        futures[i] = aloop_tcp_connect(loop, "slow", "80", &streams[i]);
    torture_keep(&error, torture_pass(loop, 100 * MS));
    for (int i = 0; i < 3; i++)
        aloop_future_unref(futures[i]);
    status = torture_await(aloop_timeout(futures[3], 100 * MS), 10);
    torture_expect(status < 0, "connected without an address");
    torture_keep(&error, status == ALOOP_ETIMEDOUT ? 0 : status);
    torture_keep(&error, torture_await(futures[4], 10));
    aloop_stream_close(streams[4]);
    aloop_cancel(futures[5]); /* It may have finished already. */
    status = torture_await(futures[5], 10);
    aloop_stream_close(streams[5]);
    torture_keep(&error, status == ALOOP_EABORTED ? 0 : status);
    aloop_detach(aloop_tcp_connect(loop, "slow", "80", &streams[0]));
    torture_keep(&error, torture_pass(loop, 100 * MS));
    sim_peer_close(listener);
    return error;
}

/* The server's end of a connection. */
struct side {
    struct torture_watch watch;
    aloop_stream *stream;
};

static struct side sides[2 * CLIENTS];
static unsigned sides_used;
static struct torture_watch listening = {"accepts when closed", 0, 0, false};

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct side *side = arg;

    torture_called(&side->watch);
    torture_expect(stream == side->stream, "the callback of another stream");
    if (size > 0 && aloop_stream_put(stream, data, (size_t) size) >= 0)
        return;
    side->watch.is_closed = true;
    aloop_stream_close(stream);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct side *side = &sides[sides_used++];

    (void) listener;
    torture_called(arg);
    torture_expect(sides_used < 2 * CLIENTS, "accepts too many connections");
    *side = (struct side){{"a callback after close", 0, 0, false}, stream};
    if (aloop_stream_start(stream, on_data, side) == 0)
        return;
    side->watch.is_closed = true;
    aloop_stream_close(stream);
}

static struct client {
    int peer;
    char got[64];
    size_t got_size;
    size_t sent;
} clients[CLIENTS];

static void client_send(struct client *client)
{
    char bytes[16];
    ssize_t n;

    if (client->peer < 0)
        return;
    torture_fill(bytes, client->sent, sizeof bytes);
    n = sim_peer_send(client->peer, bytes, sizeof bytes);
    client->sent += n > 0 ? (size_t) n : 0;
}

static void client_receive(struct client *client)
{
    ssize_t n = 0;

    if (client->peer >= 0)
        n = sim_peer_receive(client->peer, client->got + client->got_size,
                             sizeof client->got - client->got_size);
    client->got_size += n > 0 ? (size_t) n : 0;
    torture_expect(client->got_size <= client->sent &&
                       torture_matches(client->got, 0, client->got_size),
                   "wrong bytes arrive");
}

/* An echo server with callbacks.  Its clients are outside the program. */
ssize_t torture_listen(aloop *loop)
{
    static aloop_listener *listener;
    ssize_t error = 0;
    size_t echoed = 0;

    torture_keep(&error, aloop_tcp_listen(loop, NULL, "7", on_stream,
                                          &listening, &listener));
    if (listener == NULL)
        return error;
    torture_expect(aloop_listener_port(listener) == 7 || error < 0 ||
                       !torture_is_rehearsal(),
                   "listens on another port");
    for (int i = 0; i < CLIENTS; i++)
        clients[i].peer = sim_connect(7);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CLIENTS; i++)
            client_send(&clients[i]);
        torture_keep(&error, torture_pass(loop, 150 * MS));
        for (int i = 0; i < CLIENTS; i++)
            client_receive(&clients[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        echoed += clients[i].got_size;
        if (clients[i].peer >= 0)
            sim_peer_shutdown(clients[i].peer);
    }
    torture_expect(echoed == sizeof clients[0].got / 4 * 3 * CLIENTS ||
                       !torture_is_rehearsal(),
                   "bytes were not echoed");
    torture_keep(&error, torture_pass(loop, 100 * MS));
    aloop_listener_close(listener);
    listening.is_closed = true;
    torture_keep(&error, torture_pass(loop, 100 * MS));
    return error;
}
