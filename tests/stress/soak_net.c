/* Connections: clients that exchange data, half-close, reset and abandon
 * operations, and a server whose answer depends on the first byte.  Every byte
 * is compared. */

#include "soak.h"

#include <string.h>

enum { CLIENTS = 24, MESSAGE_MAX = 20000, ROUNDS_MAX = 8, PAUSE_NS = 6000000 };

/* The first byte of a connection, a command for the server. */
enum {
    ECHO_IN_TASK = 'e',
    ECHO_IN_CALLBACKS = 'c',
    ECHO_BY_PROXY = 'p',
    COUNT = 'n',
    ABORT = 'x'
};

static aloop_listener *listener;

static struct client {
    uint64_t key; /* Selects the text of this connection. */
    size_t sent;  /* Bytes sent on this connection. */
    unsigned char out[MESSAGE_MAX], in[MESSAGE_MAX];
} clients[CLIENTS];

/* Connects.  If the system has no free port, waits and tries again. */
static aloop_stream *connect_to_server(const char *host)
{
    aloop_stream *stream = NULL;
    ssize_t status;

    while ((status = aloop_await(aloop_tcp_connect(
                soak.loop, host, soak.port, &stream))) == ALOOP_EADDRNOTAVAIL)
        CHECK(aloop_await(aloop_sleep(soak.loop, ALOOP_MS(50))) == 0);
    CHECK(status == 0 && stream != NULL);
    return stream;
}

/* The server. */

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size > 0 && aloop_stream_put(stream, data, (size_t) size) >= 0)
        return;
    CHECK(size >= 0 || size == ALOOP_ECONNRESET || size == ALOOP_EPIPE);
    aloop_stream_close(stream);
    soak.served--;
}

static void echo(aloop_stream *stream)
{
    char buffer[4096];
    ssize_t n;

    while ((n = aloop_await(aloop_stream_read(stream, buffer, sizeof buffer))) >
           0)
        if (aloop_await(aloop_stream_write(stream, buffer, (size_t) n)) < 0)
            break;
}

/* Sends the number of received bytes, once the client has half-closed. */
static void count(aloop_stream *stream)
{
    char buffer[2048], text[24];
    unsigned long long total = 0;
    ssize_t n;
    int length;

    while ((n = aloop_await(aloop_stream_read(stream, buffer, sizeof buffer))) >
           0)
        total += (unsigned long long) n;
    CHECK(n == 0);
    length = snprintf(text, sizeof text, "%llu\n", total);
    CHECK(aloop_stream_put(stream, text, (size_t) length) == 0);
}

/* Forwards the bytes to another connection that echoes them, and back. */
static void proxy(aloop_stream *stream)
{
    aloop_stream *other = connect_to_server("127.0.0.1");

    CHECK(aloop_stream_put(other, "e", 1) == 0);
    aloop_await(aloop_gather(soak.loop, aloop_stream_forward(stream, other),
                             aloop_stream_forward(other, stream)));
    aloop_stream_close(other);
}

static ssize_t serve(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    char what = 0;

    (void) loop;
    if (aloop_await(aloop_stream_read_exactly(stream, &what, 1)) < 0)
        what = 0; /* The client has disconnected before. */
    if (what == ECHO_IN_CALLBACKS) {
        CHECK(aloop_stream_start(stream, on_data, NULL) == 0);
        return 0;
    }
    if (what == ECHO_IN_TASK)
        echo(stream);
    else if (what == COUNT)
        count(stream);
    else if (what == ECHO_BY_PROXY)
        proxy(stream);
    (what == ABORT ? aloop_stream_abort : aloop_stream_close)(stream);
    soak.served--;
    return 0;
}

static void on_stream(aloop_listener *listener_, aloop_stream *stream,
                      void *arg)
{
    aloop_future *task = aloop_spawn(soak.loop, serve, stream);

    (void) listener_;
    (void) arg;
    CHECK(task != NULL);
    soak.served++;
    aloop_detach(task);
}

/* The clients. */

static void fill(struct client *client, size_t size)
{
    for (size_t i = 0; i < size; i++)
        client->out[i] = stress_byte(client->key, client->sent + i);
    client->sent += size;
}

static size_t some_size(void)
{
    static const size_t bounds[] = {16, 200, 2000, MESSAGE_MAX};

    return 1 + (size_t) soak_random(bounds[soak_random(4)]);
}

/* Reads `size` bytes in pieces.  Some reads time out first. */
static ssize_t read_pieces(aloop_stream *stream, unsigned char *in, size_t size)
{
    size_t have = 0;

    while (have < size) {
        aloop_future *read = aloop_stream_read(stream, in + have, size - have);
        ssize_t n = aloop_await(
            soak_random(3) > 0
                ? read
                : aloop_timeout(read, (int64_t) soak_random(50000)));

        if (n <= 0 && n != ALOOP_ETIMEDOUT)
            return n;
        have += n > 0 ? (size_t) n : 0;
    }
    return (ssize_t) have;
}

static void exchange(struct client *client, aloop_stream *stream)
{
    size_t size = some_size();
    aloop_future *write;

    fill(client, size);
    write = aloop_stream_write(stream, client->out, size);
    if (soak_random(2) == 0) {
        CHECK(aloop_await(aloop_gather(
                  soak.loop, write,
                  aloop_stream_read_exactly(stream, client->in, size))) == 0);
    } else {
        CHECK(read_pieces(stream, client->in, size) == (ssize_t) size);
        CHECK(aloop_await(write) == (ssize_t) size);
    }
    CHECK(memcmp(client->in, client->out, size) == 0);
    soak.counts[SOAK_MESSAGES]++;
}

/* Exchanges data for some rounds.  Either side may end the connection. */
static void talk(struct client *client, aloop_stream *stream)
{
    for (uint64_t i = 1 + soak_random(ROUNDS_MAX); i > 0; i--)
        exchange(client, stream);
    if (soak_random(2) == 0) {
        CHECK(aloop_await(aloop_stream_shutdown(stream)) == 0);
        CHECK(aloop_await(aloop_stream_read(stream, client->in, 1)) == 0);
    }
    aloop_stream_close(stream);
}

static void half_close(struct client *client, aloop_stream *stream)
{
    unsigned long long total = 0, expected;
    ssize_t n;

    for (int i = 0; i < 3; i++) {
        size_t size = some_size();

        fill(client, size);
        CHECK(aloop_stream_put(stream, client->out, size) >= 0);
    }
    CHECK(aloop_await(aloop_stream_shutdown(stream)) == 0);
    n = aloop_await(aloop_stream_read_to_end(stream, client->in, MESSAGE_MAX));
    CHECK(n > 1);
    expected = client->sent;
    for (ssize_t i = 0; i < n - 1; i++)
        total = 10 * total + (unsigned long long) (client->in[i] - '0');
    CHECK(client->in[n - 1] == '\n' && total == expected);
    aloop_stream_close(stream);
    soak.counts[SOAK_MESSAGES]++;
}

/* Aborts the connection in the middle of a write. */
static void reset(struct client *client, aloop_stream *stream)
{
    size_t size = some_size();
    aloop_future *write;
    ssize_t status;

    fill(client, size);
    write = aloop_stream_write(stream, client->out, size);
    if (soak_random(2) == 0)
        CHECK(aloop_await(aloop_sleep(soak.loop, 0)) == 0);
    aloop_stream_abort(stream);
    status = aloop_await(write);
    CHECK(status == (ssize_t) size || status == ALOOP_EABORTED);
}

/* Sends while the server aborts the connection. */
static void send_until_reset(struct client *client, aloop_stream *stream)
{
    size_t size = some_size();
    ssize_t status;

    fill(client, size);
    status = aloop_await(aloop_stream_write(stream, client->out, size));
    CHECK(status == (ssize_t) size || status == ALOOP_ECONNRESET ||
          status == ALOOP_EPIPE);
    status = aloop_await(aloop_stream_read(stream, client->in, 1));
    CHECK(status == ALOOP_ECONNRESET || status == 0);
    aloop_stream_close(stream);
}

static const struct manner {
    char what;
    void (*run)(struct client *client, aloop_stream *stream);
} manners[] = {
    {ECHO_IN_TASK, talk},   {ECHO_IN_CALLBACKS, talk},
    {ECHO_BY_PROXY, talk},  {COUNT, half_close},
    {ECHO_IN_TASK, reset},  {ECHO_IN_CALLBACKS, reset},
    {ECHO_BY_PROXY, reset}, {ABORT, send_until_reset},
};

enum { MANNERS = sizeof manners / sizeof manners[0] };

static void visit(struct client *client)
{
    const struct manner *manner = &manners[soak_random(MANNERS)];
    bool is_by_name = soak_random(16) == 0;
    aloop_stream *stream =
        connect_to_server(is_by_name ? "localhost" : "127.0.0.1");

    client->key = soak_random(UINT32_MAX);
    client->sent = 0;
    CHECK(aloop_stream_put(stream, &manner->what, 1) == 0);
    manner->run(client, stream);
    soak.counts[SOAK_CONNECTIONS]++;
    soak.counts[SOAK_LOOK_UPS] += is_by_name;
    if (soak_random(2) == 0)
        aloop_await(aloop_sleep(soak.loop, (int64_t) soak_random(PAUSE_NS)));
}

/* Abandons a connect, which may just have completed. */
static void abandon_connect(void)
{
    bool is_by_name = soak_random(4) == 0;
    aloop_stream *stream = NULL;
    ssize_t status = aloop_await(aloop_timeout(
        aloop_tcp_connect(soak.loop, is_by_name ? "localhost" : "127.0.0.1",
                          soak.port, &stream),
        (int64_t) soak_random(300000)));

    CHECK(status == 0 || status == ALOOP_ETIMEDOUT ||
          status == ALOOP_EADDRNOTAVAIL);
    CHECK((status == 0) == (stream != NULL));
    aloop_stream_close(stream);
    soak.counts[SOAK_LOOK_UPS] += is_by_name;
}

static ssize_t run_client(aloop *loop, void *arg)
{
    (void) loop;
    while (soak_continues())
        if (soak_random(16) == 0)
            abandon_connect();
        else
            visit(arg);
    return 0;
}

void soak_net_start(aloop_group *group)
{
    CHECK(aloop_tcp_listen(soak.loop, "127.0.0.1", "0", on_stream, NULL,
                           &listener) == 0);
    snprintf(soak.port, sizeof soak.port, "%d", aloop_listener_port(listener));
    for (int i = 0; i < CLIENTS; i++)
        soak_spawn(group, run_client, &clients[i]);
}

void soak_net_end(void)
{
    aloop_listener_close(listener);
}
