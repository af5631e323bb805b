/* An echo server and its clients.  The server uses callbacks or tasks, the
 * clients use tasks.
 *
 * A client writes and reads simultaneously, in rounds, and compares what it
 * receives.  If connections cannot break, every round is complete.  Otherwise a
 * client receives either everything or an error.  Bulk clients send without
 * waiting for the answer, by callbacks or by two tasks.  Some clients connect
 * to a closed port, some to a host that does not answer, and some break off
 * their connections. */

#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS_MAX = 8,
    ROUNDS_MAX = 6,
    ROUND_MAX = 20000,
    BULK_MAX = 300000,
    CHUNK = 9000 /* Of a bulk client. */
};

struct client {
    unsigned id;
    unsigned rounds;
    int64_t pause_ns; /* Before each round. */
};

/* A client that sends much, and receives meanwhile. */
struct bulk {
    unsigned id;
    size_t total, sent, got;
    aloop_stream *stream;
    aloop_future *end; /* Resolved by the callbacks. */
};

/* The server's end of a connection. */
struct served {
    aloop_stream *stream;
    struct served *next;
    bool is_closed;
};

static struct {
    aloop_listener *listener;
    char port[8];
    bool has_tasks;
    struct served *served;
    unsigned left; /* Clients that have not ended. */
    unsigned rounds_done, rounds_wanted;
} w;

static void close_served(struct served *served, bool is_orderly)
{
    CHECK(!served->is_closed);
    served->is_closed = true;
    if (is_orderly)
        aloop_stream_close(served->stream);
    else
        aloop_stream_abort(served->stream);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct served *served = arg;

    CHECK(!run.is_over && !served->is_closed && served->stream == stream);
    CHECK(size >= 0 || may_break());
    if (size <= 0)
        close_served(served, size == 0);
    else if (aloop_stream_put(stream, data, (size_t) size) < 0) {
        CHECK(may_break());
        close_served(served, false);
    }
}

static ssize_t serve(aloop *loop, void *arg)
{
    struct served *served = arg;
    size_t size = between(1, 3000);
    char *buffer;
    ssize_t n;

    CHECK(loop == run.loop);
    if (served->is_closed) /* Memory to follow this task was missing. */
        return 0;
    buffer = malloc(size);
    n = buffer != NULL ? 1 : ALOOP_ENOMEM;
    while (n > 0) {
        n = aloop_await(aloop_stream_read(served->stream, buffer, size));
        if (n > 0)
            n = aloop_await(
                aloop_stream_write(served->stream, buffer, (size_t) n));
    }
    CHECK(n == 0 || may_break() || run.is_freeing);
    close_served(served, n == 0);
    free(buffer);
    return 0;
}

/* Without memory for its stack, the task has not started. */
static void on_serve_end(struct follow *follow, ssize_t status)
{
    struct served *served = follow->arg;

    CHECK(status == 0 || run.weather == STARVED);
    if (!served->is_closed && status < 0)
        close_served(served, false);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct served *served = keep(sizeof *served);

    (void) arg;
    CHECK(!run.is_over && listener == w.listener);
    if (chance(50)) { /* Reading pauses often. */
        size_t low = between(0, 500);

        set_watermarks(stream, low, low + between(1, 1000));
    }
    served->stream = stream;
    served->next = w.served;
    w.served = served;
    if (w.has_tasks)
        follow(aloop_spawn(run.loop, serve, served), on_serve_end, served);
    else if (aloop_stream_start(stream, on_data, served) < 0)
        close_served(served, false);
    else if (chance(30) && aloop_stream_set_auto_pause(stream, false) < 0)
        CHECK(run.weather == STARVED);
}

/* Reads `size` bytes in one of several ways. */
static aloop_future *read_back(aloop_stream *stream, char *in, const char *out,
                               size_t size)
{
    if (chance(50))
        return aloop_stream_read_exactly(stream, in, size);
    /* Use the last byte as a delimiter, if it occurs only there. */
    for (size_t i = 0; i + 1 < size; i++)
        if (out[i] == out[size - 1])
            return aloop_stream_read_exactly(stream, in, size);
    return aloop_stream_read_until(stream, in, size, &out[size - 1], 1);
}

/* If a put failed because memory was missing, the server detects that only in
 * the next put.  The client must therefore not wait indefinitely. */
static ssize_t wait_for(aloop_future *future)
{
    if (may_break())
        future = aloop_timeout(future, ALOOP_SEC(300));
    return aloop_await(future);
}

static ssize_t one_round(aloop *loop, aloop_stream *stream, unsigned id,
                         size_t *at)
{
    size_t size = chance(50) ? between(1, 60) : between(1, ROUND_MAX);
    char *out = malloc(size), *in = calloc(1, size);
    ssize_t result = ALOOP_ENOMEM;

    if (out != NULL && in != NULL) {
        text_fill(id, *at, out, size);
        result =
            wait_for(aloop_gather(loop, aloop_stream_write(stream, out, size),
                                  read_back(stream, in, out, size)));
        if (result >= 0)
            CHECK(text_matches(id, *at, in, size));
        *at += size;
    }
    free(out);
    free(in);
    return result;
}

/* Shuts down the sending side.  The other end must then do the same. */
static ssize_t shut_down(aloop_stream *stream)
{
    char byte;
    ssize_t result = aloop_await(aloop_stream_shutdown(stream));

    if (result >= 0) {
        result = wait_for(aloop_stream_read(stream, &byte, 1));
        CHECK(result <= 0);
    }
    return result;
}

static ssize_t run_client(aloop *loop, void *arg)
{
    struct client *client = arg;
    aloop_stream *stream = NULL;
    size_t at = 0;
    ssize_t result = aloop_await(aloop_tcp_connect(
        loop, chance(50) ? "127.0.0.1" : "::1", w.port, &stream));

    CHECK((result == 0) == (stream != NULL) || may_break() || run.is_freeing);
    for (unsigned i = 0; i < client->rounds && result >= 0; i++) {
        result = aloop_await(aloop_sleep(loop, client->pause_ns));
        if (result >= 0)
            result = one_round(loop, stream, client->id, &at);
        w.rounds_done += result >= 0;
    }
    if (result >= 0)
        result = shut_down(stream);
    CHECK(result == 0 || may_break() || run.is_freeing);
    if (result == 0)
        aloop_stream_close(stream);
    else
        aloop_stream_abort(stream);
    return 0;
}

/* A bulk client by callbacks. */

static void put_more(struct bulk *bulk);

static void on_drained(struct follow *follow, ssize_t status)
{
    struct bulk *bulk = follow->arg;

    if (status < 0)
        aloop_future_resolve(bulk->end, status);
    else if (bulk->sent < bulk->total)
        put_more(bulk);
}

static void put_more(struct bulk *bulk)
{
    char bytes[CHUNK];

    while (aloop_stream_queued(bulk->stream) < 3 * CHUNK &&
           bulk->sent < bulk->total) {
        size_t left = bulk->total - bulk->sent;
        size_t size = between(1, left < CHUNK ? left : CHUNK);
        int result;

        text_fill(bulk->id, bulk->sent, bytes, size);
        result = aloop_stream_put(bulk->stream, bytes, size);
        if (result < 0) {
            CHECK(may_break());
            aloop_future_resolve(bulk->end, result);
            return;
        }
        bulk->sent += size;
    }
    follow(bulk->sent < bulk->total ? aloop_stream_drain(bulk->stream)
                                    : aloop_stream_shutdown(bulk->stream),
           on_drained, bulk);
}

static void on_bulk(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct bulk *bulk = arg;

    CHECK(!run.is_over && stream == bulk->stream && bulk->end != NULL);
    if (size <= 0) {
        aloop_future_resolve(bulk->end, size);
        return;
    }
    CHECK(text_matches(bulk->id, bulk->got, data, (size_t) size));
    bulk->got += (size_t) size;
}

/* More than the high watermark is queued most of the time, and reading
 * continues. */
static ssize_t stream_by_callbacks(aloop *loop, struct bulk *bulk)
{
    ssize_t result;

    bulk->end = aloop_future_new(loop);
    set_watermarks(bulk->stream, CHUNK, CHUNK + 1);
    result = aloop_stream_start(bulk->stream, on_bulk, bulk);
    if (result == 0) {
        put_more(bulk);
        result = wait_for(aloop_future_ref(bulk->end));
    }
    aloop_future_unref(bulk->end);
    bulk->end = NULL;
    return result;
}

/* A bulk client by two tasks. */

static ssize_t send_all(aloop *loop, void *arg)
{
    struct bulk *bulk = arg;
    char bytes[CHUNK];

    (void) loop;
    while (bulk->sent < bulk->total) {
        size_t left = bulk->total - bulk->sent;
        size_t size = between(1, left < CHUNK ? left : CHUNK);
        ssize_t result;

        text_fill(bulk->id, bulk->sent, bytes, size);
        result = aloop_await(aloop_stream_write(bulk->stream, bytes, size));
        if (result < 0)
            return result;
        CHECK(result == (ssize_t) size);
        bulk->sent += size;
    }
    return aloop_await(aloop_stream_shutdown(bulk->stream));
}

static ssize_t receive_to_end(aloop *loop, void *arg)
{
    struct bulk *bulk = arg;
    char bytes[CHUNK];
    ssize_t n;

    (void) loop;
    do {
        size_t size = between(1, CHUNK);

        n = aloop_await(
            chance(50) ? aloop_stream_read(bulk->stream, bytes, size)
                       : aloop_stream_read_exactly(bulk->stream, bytes, size));
        if (n == ALOOP_EOF)
            n = aloop_await(
                aloop_stream_read_to_end(bulk->stream, bytes, CHUNK));
        if (n < 0)
            return n;
        CHECK(text_matches(bulk->id, bulk->got, bytes, (size_t) n));
        bulk->got += (size_t) n;
    } while (n > 0);
    return 0;
}

static ssize_t stream_by_tasks(aloop *loop, struct bulk *bulk)
{
    return wait_for(aloop_gather(loop, aloop_spawn(loop, send_all, bulk),
                                 aloop_spawn(loop, receive_to_end, bulk)));
}

static ssize_t be_bulk(aloop *loop, void *arg)
{
    struct bulk *bulk = arg;
    ssize_t result =
        aloop_await(aloop_tcp_connect(loop, "::1", w.port, &bulk->stream));

    if (result == 0)
        result = chance(50) ? stream_by_callbacks(loop, bulk)
                            : stream_by_tasks(loop, bulk);
    CHECK(may_break() || run.is_freeing ||
          (result == 0 && bulk->got == bulk->total));
    if (result == 0)
        aloop_stream_close(bulk->stream);
    else
        aloop_stream_abort(bulk->stream);
    bulk->stream = NULL; /* Without memory to wait the tasks may still run. */
    return 0;
}

static ssize_t connect_to_closed_port(aloop *loop, void *arg)
{
    aloop_stream *stream = NULL;
    ssize_t result =
        aloop_await(aloop_tcp_connect(loop, "127.0.0.1", "9", &stream));

    (void) arg;
    CHECK(result == ALOOP_ECONNREFUSED || may_break() || run.is_freeing);
    CHECK(result < 0 && stream == NULL);
    return 0;
}

static ssize_t connect_to_silent_host(aloop *loop, void *arg)
{
    int64_t limit_ns = any_delay_ns(ALOOP_SEC(60));
    int64_t start_ns = aloop_now(loop);
    aloop_stream *stream = NULL;
    ssize_t result = aloop_await(aloop_timeout(
        aloop_tcp_connect(loop, "10.0.0.9", "80", &stream), limit_ns));

    (void) arg;
    CHECK(result == ALOOP_ETIMEDOUT || may_break() || run.is_freeing);
    CHECK(result != ALOOP_ETIMEDOUT || aloop_now(loop) - start_ns >= limit_ns);
    CHECK(result < 0 && stream == NULL);
    return 0;
}

/* A client outside the program, which connects, sends, and breaks off. */
static void connect_and_break_off(void *arg)
{
    char junk[700] = {0};
    int peer = sim_connect((uint16_t) atoi(w.port));

    (void) arg;
    if (peer < 0)
        return;
    sim_peer_send(peer, junk, between(1, sizeof junk));
    if (chance(50))
        sim_peer_reset(peer);
    else
        sim_peer_close(peer);
}

static void on_client_end(struct follow *follow, ssize_t status)
{
    (void) follow;
    CHECK(status == 0 || run.weather == STARVED || run.is_freeing);
    if (--w.left == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void start_task(aloop_task_fn fn, void *arg)
{
    aloop_future *task = aloop_spawn(run.loop, fn, arg);

    CHECK(task != NULL);
    w.left++;
    follow(task, on_client_end, NULL);
}

static void start(void)
{
    size_t clients = between(1, CLIENTS_MAX);
    int port;

    memset(&w, 0, sizeof w);
    w.has_tasks = chance(50);
    CHECK(aloop_tcp_listen(run.loop, NULL, "0", on_stream, NULL, &w.listener) ==
          0);
    port = aloop_listener_port(w.listener);
    snprintf(w.port, sizeof w.port, "%d", port);
    sim_blackhole("10.0.0.9");
    for (size_t i = 0; i < clients; i++) {
        struct client *client = keep(sizeof *client);

        client->id = (unsigned) i + 1;
        client->rounds = (unsigned) between(1, ROUNDS_MAX);
        client->pause_ns = any_delay_ns(ALOOP_SEC(120));
        w.rounds_wanted += client->rounds;
        start_task(run_client, client);
    }
    if (chance(30)) {
        struct bulk *bulk = keep(sizeof *bulk);

        bulk->id = CLIENTS_MAX + 1;
        bulk->total = between(1, BULK_MAX);
        start_task(be_bulk, bulk);
    }
    if (chance(20))
        start_task(connect_to_closed_port, NULL);
    if (chance(20))
        start_task(connect_to_silent_host, NULL);
    for (size_t i = 0; may_break() && i < 3; i++)
        sim_at(any_delay_ns(ALOOP_SEC(10)), connect_and_break_off, NULL);
}

static bool is_done(void)
{
    return w.left == 0;
}

/* The clients have ended, but the server may not have received the ends of
 * their streams yet. */
static void close_world(void)
{
    aloop_listener_close(w.listener);
    for (struct served *served = w.served; served != NULL;
         served = served->next)
        if (!served->is_closed && !w.has_tasks)
            close_served(served, true);
}

static void on_stray(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    CHECK(size <= 0);
}

/* A listener and a stream, each alone. */
static void check_references(void)
{
    aloop_stream *ends[2];

    if (aloop_tcp_listen(run.loop, NULL, "0", on_stream, NULL, &w.listener) ==
        0) {
        CHECK_REFERENCES(w.listener, aloop_listener_ref, aloop_listener_unref);
        aloop_listener_close(w.listener);
    }
    if (aloop_stream_pair(run.loop, &ends[0], &ends[1]) < 0)
        return;
    if (aloop_stream_start(ends[0], on_stray, NULL) == 0)
        CHECK_REFERENCES(ends[0], aloop_stream_ref, aloop_stream_unref);
    aloop_stream_abort(ends[0]);
    aloop_stream_abort(ends[1]);
}

static void check(void)
{
    CHECK(w.rounds_done == w.rounds_wanted || may_break());
    for (struct served *served = w.served; served != NULL;
         served = served->next)
        CHECK(served->is_closed);
    check_references();
}

const struct world world_echo = {"echo",      start, is_done,
                                 close_world, check, NULL};
