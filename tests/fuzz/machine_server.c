/* A server in the state machine: it echoes, and its clients are outside of the
 * loop.
 *
 * No more connections are served than the limit, none after the server has
 * ended, and a client receives what it has sent, in order. */

#include "machine_outside.h"

#include <string.h>

enum { CLIENTS_MAX = 6, SERVED_MAX = 2 };

static struct server {
    aloop_server *server; /* NULL: none, or its stop has settled. */
    struct out *stop;     /* Its stop, or NULL. */
    unsigned running;
    struct client {
        int peer; /* < 0: closed. */
        unsigned char sent, got;
    } clients[CLIENTS_MAX];
    unsigned client_count;
} server;

void server_begin(void)
{
    memset(&server, 0, sizeof server);
}

/* Returns whether the server may be used: its stop has not settled. */
static bool is_valid(void)
{
    return server.server != NULL &&
           (server.stop == NULL || is_out_pending(server.stop));
}

/* Ends after an error or the end of the peer, and sometimes before. */
static ssize_t echo(aloop *loop, aloop_stream *stream, void *arg)
{
    char bytes[4];
    ssize_t n = 1;

    (void) loop;
    FUZZ_CHECK(arg == &server && server.server != NULL);
    FUZZ_CHECK(++server.running <= SERVED_MAX);
    while (n > 0) {
        n = aloop_await(aloop_stream_read(stream, bytes, sizeof bytes));
        if (n > 0)
            n = aloop_await(aloop_stream_write(stream, bytes, (size_t) n));
    }
    aloop_stream_close(stream);
    server.running--;
    return 0;
}

void act_serve(void)
{
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = SERVED_MAX};
    int result;

    if (!enter() || server.server != NULL)
        return;
    say("serve");
    arm();
    result = aloop_tcp_serve(w.loop, "127.0.0.1", "4001", echo, &server,
                             &options, &server.server);
    FUZZ_CHECK(disarm() ? result == ALOOP_ENOMEM || result == 0 : result == 0);
    FUZZ_CHECK((result == 0) == (server.server != NULL));
}

static void check_count(void)
{
    size_t count = aloop_server_count(server.server);

    FUZZ_CHECK(count >= server.running && count <= SERVED_MAX);
}

void act_client(void)
{
    struct client *client = &server.clients[server.client_count];

    if (!enter() || !is_valid() || server.client_count == CLIENTS_MAX)
        return;
    *client = (struct client){.peer = sim_connect(4001)};
    say("a client: %d", client->peer);
    FUZZ_CHECK(client->peer >= 0 || server.stop != NULL);
    server.client_count += client->peer >= 0;
    check_count();
}

static void receive_echo(struct client *client)
{
    unsigned char bytes[16];
    ssize_t n = sim_peer_receive(client->peer, bytes, sizeof bytes);

    for (ssize_t i = 0; i < n; i++)
        FUZZ_CHECK(client->got != client->sent && bytes[i] == client->got++);
}

void act_client_talk(void)
{
    struct client *client;
    unsigned what = any_below(8);

    if (!enter() || server.client_count == 0)
        return;
    client = &server.clients[any_below(server.client_count)];
    if (client->peer < 0)
        return;
    say("client %d: %u", client->peer, what);
    receive_echo(client);
    if (what == 0)
        sim_peer_reset(client->peer);
    else if (what == 1)
        sim_peer_close(client->peer);
    else if (what == 2)
        sim_peer_shutdown(client->peer);
    else if (sim_peer_send(client->peer, &client->sent, 1) == 1)
        client->sent++;
    if (what < 2)
        client->peer = -1;
}

static void stop(int64_t grace_ns)
{
    bool was_stopping = server.stop != NULL;
    struct out *out = new_out(SERVER_STOP);

    if (out == NULL)
        return;
    say("stop the server, in %lld", (long long) grace_ns);
    out->count = was_stopping;
    if (!was_stopping)
        server.stop = out;
    follow_out(out, aloop_server_stop(server.server, grace_ns));
    FUZZ_CHECK(!was_stopping ||
               aloop_future_status(out->future) == ALOOP_EBUSY);
}

void act_server_stop(void)
{
    static const int64_t graces_ns[] = {0, 1000, ALOOP_SEC(1), ALOOP_SEC(50)};

    if (enter() && is_valid())
        stop(graces_ns[any_below(4)]);
}

void end_server(const struct out *out, ssize_t status)
{
    if (out->count > 0) {
        FUZZ_CHECK(status == ALOOP_EBUSY);
        return;
    }
    FUZZ_CHECK(server.running == 0 && status <= SERVED_MAX);
    FUZZ_CHECK(status >= 0 || (status == ALOOP_ECANCELED && out->may_end));
    server.server = NULL;
    server.stop = NULL;
}

void close_server(void)
{
    for (unsigned i = 0; i < server.client_count; i++)
        if (server.clients[i].peer >= 0) {
            sim_peer_close(server.clients[i].peer);
            server.clients[i].peer = -1;
        }
    if (server.server != NULL && server.stop == NULL)
        stop(0);
}

void server_check(void)
{
    FUZZ_CHECK(server.running == 0);
}
