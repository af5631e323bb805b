/* A proxy between clients and a server: aloop_stream_forward() in both
 * directions.
 *
 * A client announces how much it will send and wants to receive, sends it,
 * half-closes, and reads to the end, at the same time or afterwards.  The
 * server sends and checks simultaneously, so that buffers may fill up in either
 * direction.  All bytes belong to known texts.  An end of stream without an
 * error means that everything arrived, because the proxy aborts connections
 * that it could not finish. */

#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 5, BODY_MAX = 60000, PIECE_MAX = 9000 };

/* The first bytes that a client sends. */
struct request {
    uint32_t id;
    uint32_t up;   /* Bytes that the client will send. */
    uint32_t down; /* Bytes that it wants. */
};

/* The server's end of a connection. */
struct served {
    aloop_stream *stream;
    struct request request;
    size_t got;   /* Received: first of the request, then of the text. */
    size_t sent;  /* Bytes sent of the other text. */
    bool has_all; /* The end of the text was received. */
    bool is_shut; /* The end of the other text was sent. */
    bool is_closed;
    struct served *next;
};

/* A client as the proxy sees it. */
struct link {
    aloop_stream *near, *far;
};

static struct {
    aloop_listener *server, *proxy;
    char server_port[8], proxy_port[8];
    struct served *served;
    unsigned tasks_left; /* Clients, and tasks of the proxy for them. */
    unsigned whole;      /* Clients that received everything. */
    unsigned clients;
} w;

static unsigned up_text(uint32_t id)
{
    return 2 * id;
}

static unsigned down_text(uint32_t id)
{
    return 2 * id + 1;
}

static void on_task_end(struct follow *follow, ssize_t status)
{
    (void) follow;
    CHECK(status >= 0 || run.weather == STARVED || run.is_freeing);
    if (--w.tasks_left == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void start_task(aloop_task_fn fn, void *arg)
{
    w.tasks_left++;
    follow(aloop_spawn(run.loop, fn, arg), on_task_end, arg);
}

/* The server: callbacks. */

static void close_served(struct served *served, bool is_orderly)
{
    CHECK(!served->is_closed);
    served->is_closed = true;
    if (is_orderly)
        aloop_stream_close(served->stream);
    else
        aloop_stream_abort(served->stream);
}

static void send_some(struct served *served);

static void on_drained(struct follow *follow, ssize_t status)
{
    struct served *served = follow->arg;

    if (served->is_closed)
        return;
    CHECK(status == 0 || may_break() || run.is_freeing);
    if (status < 0)
        close_served(served, false);
    else
        send_some(served);
}

/* Only a completed shutdown proves that everything was sent. */
static void on_shut(struct follow *follow, ssize_t status)
{
    struct served *served = follow->arg;

    if (served->is_closed)
        return;
    CHECK(status == 0 || may_break() || run.is_freeing);
    served->is_shut = status == 0;
    if (status < 0 || served->has_all)
        close_served(served, status == 0);
}

/* Puts until enough is queued, and continues when the queue has drained. */
static void send_some(struct served *served)
{
    static char piece[PIECE_MAX];
    int result = 0;

    while (result == 0 && served->sent < served->request.down) {
        size_t left = served->request.down - served->sent;
        size_t size = between(1, left < PIECE_MAX ? left : PIECE_MAX);

        text_fill(down_text(served->request.id), served->sent, piece, size);
        result = aloop_stream_put(served->stream, piece, size);
        if (result >= 0)
            served->sent += size;
    }
    CHECK(result >= 0 || may_break());
    if (result < 0)
        close_served(served, false);
    else if (served->sent < served->request.down)
        follow(aloop_stream_drain(served->stream), on_drained, served);
    else
        follow(aloop_stream_shutdown(served->stream), on_shut, served);
}

static void take(struct served *served, const char *data, size_t size)
{
    size_t head = sizeof served->request, part = 0;

    if (served->got < head) {
        part = head - served->got < size ? head - served->got : size;
        memcpy((char *) &served->request + served->got, data, part);
        served->got += part;
        if (served->got < head)
            return;
    }
    CHECK(text_matches(up_text(served->request.id), served->got - head,
                       data + part, size - part));
    served->got += size - part;
    CHECK(served->got - head <= served->request.up);
    if (served->sent == 0)
        send_some(served);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct served *served = arg;
    size_t head = sizeof served->request;

    CHECK(!run.is_over && !served->is_closed && served->stream == stream);
    CHECK(size >= 0 || may_break());
    if (size > 0)
        take(served, data, (size_t) size);
    else if (size < 0)
        close_served(served, false);
    else if (served->got == 0) {
        /* The proxy has cancelled a connect that had succeeded. */
        CHECK(may_break());
        close_served(served, false);
    } else {
        CHECK(served->got == head + served->request.up);
        served->has_all = true;
        if (served->is_shut)
            close_served(served, true);
    }
}

static void on_request(aloop_listener *listener, aloop_stream *stream,
                       void *arg)
{
    struct served *served = keep(sizeof *served);

    (void) arg;
    CHECK(!run.is_over && listener == w.server);
    served->stream = stream;
    served->next = w.served;
    w.served = served;
    if (chance(50))
        set_watermarks(stream, 500, between(501, 6000));
    if (aloop_stream_start(stream, on_data, served) < 0)
        close_served(served, false);
}

/* The proxy: a task for each client. */

static ssize_t run_link(aloop *loop, void *arg)
{
    struct link *link = arg;
    ssize_t result;

    if (link->near == NULL)
        return 0;
    result = aloop_await(
        aloop_tcp_connect(loop, "127.0.0.1", w.server_port, &link->far));
    if (result == 0)
        result = aloop_await(
            aloop_gather(loop, aloop_stream_forward(link->near, link->far),
                         aloop_stream_forward(link->far, link->near)));
    CHECK(result >= 0 || may_break() || run.is_freeing);
    if (result >= 0) {
        aloop_stream_close(link->near);
        aloop_stream_close(link->far);
    } else {
        aloop_stream_abort(link->near);
        aloop_stream_abort(link->far);
    }
    link->near = NULL;
    return 0;
}

static void on_link_end(struct follow *follow, ssize_t status)
{
    struct link *link = follow->arg;

    /* Memory to run or to follow was missing. */
    aloop_stream_abort(link->near);
    link->near = NULL;
    on_task_end(follow, status);
}

static void on_client(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct link *link = keep(sizeof *link);

    (void) arg;
    CHECK(!run.is_over && listener == w.proxy);
    if (chance(50))
        set_watermarks(stream, 100, between(101, 3000));
    link->near = stream;
    w.tasks_left++;
    follow(aloop_spawn(run.loop, run_link, link), on_link_end, link);
}

/* A client: one task that sends, one that receives. */

struct client {
    struct request request;
    aloop_stream *stream;
    bool is_write_first;
};

static ssize_t send_all(aloop *loop, void *arg)
{
    struct client *client = arg;
    size_t at = 0, up = client->request.up;
    char *piece = malloc(PIECE_MAX);
    ssize_t result = aloop_await(aloop_stream_write(
        client->stream, &client->request, sizeof client->request));

    while (result >= 0 && piece != NULL && at < up) {
        size_t left = up - at;
        size_t size = between(1, left < PIECE_MAX ? left : PIECE_MAX);

        text_fill(up_text(client->request.id), at, piece, size);
        result = aloop_await(aloop_stream_write(client->stream, piece, size));
        CHECK(result < 0 || (size_t) result == size);
        at += size;
        if (result >= 0 && chance(20))
            result =
                aloop_await(aloop_sleep(loop, any_delay_ns(ALOOP_SEC(60))));
    }
    free(piece);
    return result < 0 ? result
                      : aloop_await(aloop_stream_shutdown(client->stream));
}

static ssize_t receive_all(aloop *loop, void *arg)
{
    struct client *client = arg;
    char *piece = malloc(PIECE_MAX);
    size_t at = 0;
    ssize_t n = piece != NULL ? 1 : ALOOP_ENOMEM;

    while (n > 0) {
        n = aloop_await(
            aloop_stream_read(client->stream, piece, between(1, PIECE_MAX)));
        if (n > 0) {
            CHECK(text_matches(down_text(client->request.id), at, piece,
                               (size_t) n));
            at += (size_t) n;
            CHECK(at <= client->request.down);
        }
        if (n > 0 && chance(5))
            aloop_await(aloop_sleep(loop, any_delay_ns(ALOOP_SEC(5))));
    }
    free(piece);
    CHECK(n != 0 || at == client->request.down);
    return n;
}

/* Sends and receives simultaneously, or sends everything before it receives. */
static aloop_future *exchange(aloop *loop, struct client *client)
{
    aloop_future *sends = aloop_spawn(loop, send_all, client);

    if (client->is_write_first) {
        ssize_t result = aloop_await(sends);

        return result < 0 ? aloop_future_new_settled(loop, result)
                          : aloop_spawn(loop, receive_all, client);
    }
    return aloop_gather(loop, sends, aloop_spawn(loop, receive_all, client));
}

static ssize_t run_client(aloop *loop, void *arg)
{
    struct client *client = arg;
    ssize_t result = aloop_await(
        aloop_tcp_connect(loop, "127.0.0.1", w.proxy_port, &client->stream));

    if (result == 0)
        result = aloop_await(
            aloop_timeout(exchange(loop, client), ALOOP_SEC(36000)));
    CHECK(result == 0 || may_break() || run.is_freeing);
    w.whole += result == 0;
    if (result == 0)
        aloop_stream_close(client->stream);
    else
        aloop_stream_abort(client->stream);
    client->stream = NULL; /* Out of memory, these tasks may still run. */
    return 0;
}

static aloop_listener *listen_on(char *port, size_t size,
                                 aloop_listener_cb on_stream)
{
    aloop_listener *listener = NULL;

    CHECK(aloop_tcp_listen(run.loop, "127.0.0.1", "0", on_stream, NULL,
                           &listener) == 0);
    snprintf(port, size, "%d", aloop_listener_port(listener));
    return listener;
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.server = listen_on(w.server_port, sizeof w.server_port, on_request);
    w.proxy = listen_on(w.proxy_port, sizeof w.proxy_port, on_client);
    w.clients = (unsigned) between(1, CLIENTS_MAX);
    for (unsigned i = 0; i < w.clients; i++) {
        struct client *client = keep(sizeof *client);

        client->request = (struct request){
            .id = i + 1,
            .up = (uint32_t) between(0, chance(50) ? 200 : BODY_MAX),
            .down = (uint32_t) between(1, chance(50) ? 200 : BODY_MAX),
        };
        client->is_write_first = chance(50);
        start_task(run_client, client);
    }
}

static bool is_done(void)
{
    return w.tasks_left == 0;
}

static void close_world(void)
{
    aloop_listener_close(w.server);
    aloop_listener_close(w.proxy);
    for (struct served *served = w.served; served != NULL;
         served = served->next)
        if (!served->is_closed)
            close_served(served, false);
}

static void check(void)
{
    CHECK(w.whole == w.clients || may_break());
}

const struct world world_proxy = {"proxy",     start, is_done,
                                  close_world, check, NULL};
