/* Peers of programs: servers and clients outside of them, which run in steps of
 * 10 ms of virtual time.
 *
 * Data from the program under test may arrive late, incomplete or never. */

#include "programs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "torture.h"

enum { PEERS = 8, ROOM = 4096, STEPS = 1500, CLIENT_BYTES = 600 };

/* One connection, and the data received on it and to be sent. */
static struct peer {
    int peer; /* < 0: unused. */
    bool is_answering;
    size_t in_size, out_size, sent;
    char in[ROOM], out[ROOM];
} peers[PEERS];

static int listener = -1;
static int first_served; /* The peers before it are clients. */
static unsigned steps;
static unsigned finished; /* Clients that have finished. */
static bool is_lossy;     /* The server ignores the results of puts. */
static void (*serve)(struct peer *peer);
static void (*step)(struct peer *client, unsigned number);

static void hang_up(struct peer *peer)
{
    sim_peer_close(peer->peer);
    peer->peer = -1;
}

/* Receives data.  Returns false if the connection has ended. */
static bool take(struct peer *peer)
{
    ssize_t n = sim_peer_receive(peer->peer, peer->in + peer->in_size,
                                 sizeof peer->in - 1 - peer->in_size);

    if (n > 0)
        peer->in_size += (size_t) n;
    peer->in[peer->in_size] = '\0';
    return n >= 0 && (n > 0 || !sim_peer_eof(peer->peer));
}

static bool give(struct peer *peer)
{
    ssize_t n = 0;

    if (peer->sent < peer->out_size)
        n = sim_peer_send(peer->peer, peer->out + peer->sent,
                          peer->out_size - peer->sent);
    if (n > 0)
        peer->sent += (size_t) n;
    return n >= 0 || n == -EAGAIN;
}

static void answer_request(struct peer *peer)
{
    char path[256] = "";

    if (sscanf(peer->in, "GET %255s", path) != 1 ||
        strstr(peer->in, "\r\n\r\n") == NULL)
        return;
    peer->is_answering = true;
    if (strncmp(path, "/kept", 5) == 0) {
        peer->out_size = (size_t) snprintf(
            peer->out, sizeof peer->out,
            "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s\n",
            strlen(path) + 1, path);
        return;
    }
    peer->out_size = (size_t) snprintf(
        peer->out, sizeof peer->out, "HTTP/1.0 %s\r\n%s\r\n%s\n",
        strcmp(path, "/gone") == 0   ? "404 Not Found"
        : strcmp(path, "/away") == 0 ? "302 Found"
                                     : "200 OK",
        strcmp(path, "/away") == 0 ? "Location: /there\r\n" : "", path);
}

/* Only a connection that asked for a page such as "/kept" is kept. */
static void serve_page(struct peer *peer)
{
    bool is_there = take(peer), is_sent;

    if (!peer->is_answering)
        answer_request(peer);
    if ((!is_there && !peer->is_answering) || !give(peer)) {
        hang_up(peer);
        return;
    }
    is_sent = peer->is_answering && peer->sent == peer->out_size;
    if (is_sent && is_there && strncmp(peer->in, "GET /kept", 9) == 0) {
        peer->is_answering = false;
        peer->in_size = peer->out_size = peer->sent = 0;
    } else if (is_sent) {
        hang_up(peer);
    }
}

static void serve_echo(struct peer *peer)
{
    bool is_there = take(peer);
    size_t room = sizeof peer->out - peer->out_size;

    if (peer->sent == peer->out_size) {
        peer->sent = peer->out_size = 0;
        room = sizeof peer->out;
    }
    if (room > peer->in_size)
        room = peer->in_size;
    memcpy(peer->out + peer->out_size, peer->in, room);
    peer->out_size += room;
    peer->in_size -= room;
    memmove(peer->in, peer->in + room, peer->in_size);
    if (!give(peer) || (!is_there && peer->sent == peer->out_size))
        hang_up(peer);
}

static void accept_all(void)
{
    for (int i = first_served; i < PEERS; i++) {
        int peer;

        if (peers[i].peer >= 0)
            continue;
        peer = sim_accept(listener);
        if (peer < 0)
            return;
        memset(&peers[i], 0, sizeof peers[i]);
        peers[i].peer = peer;
    }
}

static void serve_all(void)
{
    accept_all();
    for (int i = first_served; i < PEERS; i++)
        if (peers[i].peer >= 0)
            serve(&peers[i]);
}

/* Runs the servers until the program has exited. */
static void step_servers(void *arg)
{
    (void) arg;
    serve_all();
    if (++steps < STEPS) {
        sim_at(10 * MS, step_servers, NULL);
        return;
    }
    for (int i = 0; i < PEERS; i++)
        if (peers[i].peer >= 0)
            hang_up(&peers[i]);
    sim_peer_close(listener);
}

static void start_server(uint16_t port, void (*serve_one)(struct peer *peer))
{
    for (int i = 0; i < PEERS; i++)
        peers[i].peer = -1;
    serve = serve_one;
    listener = sim_listen("127.0.0.1", port, 16);
    step_servers(NULL);
}

void torture_serve_pages(void)
{
    start_server(8080, serve_page);
}

void torture_serve_echo(void)
{
    start_server(7777, serve_echo);
}

static void begin_client(struct peer *client, unsigned number)
{
    memset(client, 0, sizeof *client);
    client->peer = sim_connect(7777);
    if (client->peer < 0)
        return;
    client->out_size = CLIENT_BYTES;
    torture_fill(client->out, number, client->out_size);
}

/* The second client disconnects in the middle; the third stays connected. */
static void step_client(struct peer *client, unsigned number)
{
    bool is_there = take(client);

    torture_expect((torture_matches(client->in, number, client->in_size) &&
                    client->in_size <= client->sent) ||
                       (is_lossy && !torture_is_rehearsal()),
                   "wrong bytes are echoed");
    if (number == 1 && client->in_size > 0) {
        sim_peer_reset(client->peer);
        client->peer = -1;
        finished++;
    } else if (!is_there || !give(client)) {
        hang_up(client);
    } else if (client->in_size == CLIENT_BYTES && !client->is_answering) {
        client->is_answering = true; /* All data was echoed. */
        finished++;
        if (number == 0)
            sim_peer_shutdown(client->peer);
    }
}

/* A client of a chat room sends its name and a line.  The second one then
 * disconnects, and the first one waits for the line of the third one. */
static void step_talker(struct peer *client, unsigned number)
{
    bool is_there;

    if (client->out_size == CLIENT_BYTES)
        client->out_size = (size_t) snprintf(client->out, sizeof client->out,
                                             "c%u\nhello\n", number);
    is_there = take(client);
    if (number == 1 && client->sent == client->out_size) {
        sim_peer_reset(client->peer);
        client->peer = -1;
    } else if (!is_there || !give(client)) {
        hang_up(client);
    }
    if (number == 0 && strstr(client->in, "\nc2: hello\n") != NULL)
        finished = 3;
}

/* A client of an HTTP server sends two requests, on one connection.  The second
 * one disconnects, and the third one stays connected. */
static void step_browser(struct peer *client, unsigned number)
{
    static const char requests[] =
        "POST /api/count HTTP/1.1\r\nHost: x\r\n"
        "Transfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n0\r\n\r\n"
        "GET /no-such-file HTTP/1.1\r\nHost: x\r\n\r\n";
    bool is_there;

    if (client->out_size == CLIENT_BYTES) {
        client->out_size = sizeof requests - 1;
        memcpy(client->out, requests, client->out_size);
    }
    is_there = take(client);
    if (number == 1 && client->in_size > 0) {
        sim_peer_reset(client->peer);
        client->peer = -1;
        finished++;
    } else if (!is_there || !give(client)) {
        hang_up(client);
    } else if (strstr(client->in, "404 Not Found\n") != NULL &&
               !client->is_answering) {
        client->is_answering = true; /* All was answered. */
        torture_expect(!torture_is_rehearsal() ||
                           strstr(client->in, "{\"bytes\":4,\"lines\":2}\n"),
                       "wrong bytes are counted");
        finished++;
    }
}

static void step_clients(void *arg)
{
    (void) arg;
    if (listener >= 0)
        serve_all();
    for (unsigned i = 0; i < 3; i++) {
        if (steps == 20 * i + 1)
            begin_client(&peers[i], i);
        if (peers[i].peer >= 0)
            step(&peers[i], i);
    }
    steps++;
    if (steps % 300 == 0) {
        torture_expect(!torture_is_rehearsal() || finished == 3,
                       "bytes were not echoed");
        sim_raise(SIGTERM);
    }
    if (steps < STEPS)
        sim_at(10 * MS, step_clients, NULL);
}

void torture_run_clients_of_lossy_server(void)
{
    is_lossy = true;
    torture_run_clients();
}

static void run_clients(void (*step_one)(struct peer *client, unsigned number))
{
    for (int i = 0; i < PEERS; i++)
        peers[i].peer = -1;
    step = step_one;
    step_clients(NULL);
}

void torture_run_clients(void)
{
    run_clients(step_client);
}

void torture_run_talkers(void)
{
    run_clients(step_talker);
}

void torture_run_browsers(void)
{
    run_clients(step_browser);
}

void torture_run_clients_of_proxy(void)
{
    first_served = 3;
    serve = serve_echo;
    listener = sim_listen("127.0.0.1", 7, 16);
    run_clients(step_client);
}
