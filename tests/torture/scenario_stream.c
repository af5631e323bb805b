/* Streams in tasks: an echo, all ways to read, all ways to write to a slow
 * peer, and forwarding between two streams. */

#include "torture.h"

#include <string.h>

enum { ROUNDS = 3, MESSAGE = 300, BYTES = 60000 };

static aloop_stream *served, *client;
static bool is_served;

static ssize_t serve(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    char buffer[512];
    ssize_t n;

    (void) loop;
    while ((n = torture_await(aloop_stream_read(stream, buffer, sizeof buffer),
                              5)) > 0) {
        n = aloop_await(aloop_stream_write(stream, buffer, (size_t) n));
        if (n < 0)
            break;
    }
    aloop_stream_close(stream);
    return n;
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    aloop *loop = arg;
    aloop_future *task;

    (void) listener;
    torture_expect(!is_served, "accepted twice");
    task = aloop_spawn(loop, serve, stream);
    is_served = true;
    served = stream;
    if (task == NULL)
        aloop_stream_close(stream);
    aloop_detach(task);
}

static ssize_t talk(aloop *loop, void *arg)
{
    char out[MESSAGE], in[MESSAGE];
    ssize_t n = 0;

    (void) arg;
    n = torture_await(aloop_tcp_connect(loop, "127.0.0.1", "7", &client), 5);
    for (size_t i = 0; i < ROUNDS && n >= 0; i++) {
        torture_fill(out, i * MESSAGE, MESSAGE);
        n = aloop_stream_put(client, out, MESSAGE / 2);
        if (n >= 0)
            n = torture_await(aloop_stream_write(client, out + MESSAGE / 2,
                                                 MESSAGE - MESSAGE / 2),
                              5);
        if (n >= 0)
            n = torture_await(aloop_stream_read_exactly(client, in, MESSAGE),
                              5);
        torture_expect(n < 0 || (n == MESSAGE && !memcmp(in, out, MESSAGE)),
                       "the echo differs");
    }
    aloop_stream_close(client);
    return n;
}

ssize_t torture_echo(aloop *loop)
{
    static aloop_listener *listener;
    ssize_t error = 0;

    torture_keep(&error, aloop_tcp_listen(loop, "127.0.0.1", "7", on_stream,
                                          loop, &listener));
    torture_keep(&error, aloop_await(aloop_spawn(loop, talk, NULL)));
    aloop_listener_close(listener);
    torture_keep(&error, aloop_run(loop));
    return error;
}

/* Bytes that the reader has received, in order. */
static char got[1000];
static size_t got_size;

static ssize_t take(ssize_t n)
{
    if (n > 0)
        got_size += (size_t) n;
    return n;
}

/* A failed read loses no data, so the next read continues at the same
 * position. */
static ssize_t read_all(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    ssize_t error = 0, n;
    char *at;

    (void) loop;
    for (int i = 0; i < 2; i++) {
        at = got + got_size;
        n = take(torture_await(
            aloop_stream_read_until(stream, at, 200, "\n", 1), 5));
        torture_expect(n <= 0 || at[n - 1] == '\n', "the delimiter is missing");
        torture_keep(&error, n);
    }
    torture_keep(
        &error, take(torture_await(
                    aloop_stream_read_exactly(stream, got + got_size, 50), 5)));
    torture_keep(
        &error,
        take(torture_await(aloop_stream_read(stream, got + got_size, 20), 5)));
    n = torture_await(
        aloop_stream_read_until(stream, got + got_size, 10, "nowhere", 7), 5);
    torture_keep(&error, n == ALOOP_EMSGSIZE ? 0 : n);
    torture_keep(&error, take(torture_await(
                             aloop_stream_read_to_end(stream, got + got_size,
                                                      sizeof got - got_size),
                             5)));
    aloop_stream_close(stream);
    return error;
}

ssize_t torture_reads(aloop *loop)
{
    static char text[600];
    ssize_t error = 0;
    int peer;
    aloop_stream *stream = torture_stream(loop, &peer);
    aloop_future *task = aloop_spawn(loop, read_all, stream);

    if (task == NULL)
        aloop_stream_close(stream);
    if (stream == NULL || task == NULL) {
        aloop_future_unref(task);
        return ALOOP_ENOMEM;
    }
    torture_fill(text, 0, sizeof text);
    text[70] = text[190] = '\n';
    sim_peer_send(peer, text, sizeof text);
    sim_peer_shutdown(peer);
    torture_keep(&error, aloop_await(task));
    torture_keep(&error, aloop_run(loop));
    torture_expect(got_size <= sizeof text && !memcmp(got, text, got_size),
                   "wrong bytes are read");
    torture_expect(error < 0 || got_size == sizeof text, "bytes are missing");
    return error;
}

/* A peer that receives a little at a time. */
struct slow {
    int peer;
    size_t received;
    int calls;
};

static void take_some(void *arg)
{
    struct slow *slow = arg;
    char bytes[3000];
    ssize_t n = sim_peer_receive(slow->peer, bytes, sizeof bytes);

    if (n > 0) {
        torture_expect(torture_matches(bytes, slow->received, (size_t) n),
                       "wrong bytes arrive");
        slow->received += (size_t) n;
    }
    if (++slow->calls < 100)
        sim_at(5 * MS, take_some, slow);
}

static void write_all(aloop_stream *stream, const char *bytes, ssize_t *error)
{
    const size_t part = BYTES / 4;
    aloop_future *writes[2];
    ssize_t status;

    status = aloop_stream_put(stream, bytes, part);
    torture_keep(error, status);
    if (status < 0)
        return; /* Data after a failed put would be out of order. */
    writes[0] = aloop_stream_write(stream, bytes + part, part);
    if (writes[0] == NULL) {
        *error = ALOOP_ENOMEM;
        return;
    }
    writes[1] = aloop_stream_write(stream, bytes + 2 * part, part);
    torture_keep(error, torture_await(aloop_stream_drain(stream), 5));
    status = aloop_await(writes[0]);
    torture_keep(error, status);
    /* This write may have been cancelled, so the next must be, too. */
    if (status < 0) {
        aloop_future_unref(writes[1]);
        return;
    }
    status = aloop_await(writes[1]);
    torture_keep(error, status);
    if (status >= 0)
        torture_keep(error, aloop_stream_put(stream, bytes + 3 * part, part));
}

ssize_t torture_writes(aloop *loop)
{
    static char bytes[BYTES];
    static struct slow slow;
    ssize_t error = 0, status;
    aloop_stream *stream;

    sim_buffer_size(4096);
    stream = torture_stream(loop, &slow.peer);
    if (stream == NULL)
        return slow.peer;
    torture_fill(bytes, 0, sizeof bytes);
    torture_keep(&error, aloop_stream_set_watermarks(stream, 1000, 5000));
    sim_at(MS, take_some, &slow);
    write_all(stream, bytes, &error);
    status = torture_await(aloop_stream_shutdown(stream), 5);
    torture_keep(&error, status);
    if (status == 0)
        torture_expect(aloop_stream_put(stream, bytes, 1) == ALOOP_EPIPE,
                       "a put succeeds after the shutdown");
    aloop_stream_close(stream);
    torture_keep(&error, aloop_run(loop));
    torture_keep(&error, torture_pass(loop, 100 * MS));
    torture_expect(error < 0 || slow.received == BYTES, "bytes are missing");
    return error;
}

ssize_t torture_pipe(aloop *loop)
{
    static char bytes[20000];
    static struct slow slow;
    ssize_t error = 0, status;
    aloop_stream *from, *to;
    int peer;

    from = torture_stream(loop, &peer);
    if (from == NULL)
        return peer;
    sim_buffer_size(4096);
    to = torture_stream(loop, &slow.peer);
    if (to == NULL) {
        aloop_stream_close(from);
        return slow.peer;
    }
    torture_fill(bytes, 0, sizeof bytes);
    sim_buffer_size(65536);
    torture_keep(&error, sim_peer_send(peer, bytes, sizeof bytes));
    sim_buffer_size(4096);
    sim_peer_shutdown(peer);
    sim_at(MS, take_some, &slow);
    status = torture_await(aloop_stream_forward(from, to), 10);
    torture_expect(status < 0 || status == sizeof bytes,
                   "bytes were not forwarded");
    torture_keep(&error, status);
    aloop_stream_close(from);
    aloop_stream_close(to);
    torture_keep(&error, torture_pass(loop, 300 * MS));
    torture_expect(error < 0 || slow.received == sizeof bytes,
                   "bytes are missing");
    return error;
}

enum { SPLICED_BYTES = 420000 };

/* Writes to one pair, and reads from another one into which it is forwarded. */
static ssize_t forward_pairs(aloop_stream *from[2], aloop_stream *to[2])
{
    static char bytes[SPLICED_BYTES], arrived[SPLICED_BYTES];
    ssize_t error = 0;
    aloop_future *forward, *write;

    torture_fill(bytes, 0, sizeof bytes);
    memset(arrived, 0, sizeof arrived);
    forward = aloop_stream_forward(from[1], to[0]);
    write = aloop_stream_write(from[0], bytes, sizeof bytes);
    torture_keep(&error, torture_await(aloop_stream_read_exactly(
                                           to[1], arrived, sizeof arrived),
                                       1));
    torture_expect(error < 0 || memcmp(arrived, bytes, sizeof arrived) == 0,
                   "wrong bytes arrive");
    torture_keep(&error, torture_await(write, 1));
    aloop_stream_close(from[0]);
    torture_keep(&error, torture_await(forward, 1));
    return error;
}

ssize_t torture_splice(aloop *loop)
{
    aloop_stream *from[2], *to[2];
    ssize_t error = aloop_stream_pair(loop, &from[0], &from[1]);

    if (error < 0)
        return error;
    error = aloop_stream_pair(loop, &to[0], &to[1]);
    if (error < 0) {
        aloop_stream_close(from[0]);
        aloop_stream_close(from[1]);
        return error;
    }
    error = forward_pairs(from, to);
    aloop_stream_close(from[1]);
    aloop_stream_close(to[0]);
    aloop_stream_close(to[1]);
    torture_keep(&error, torture_pass(loop, 100 * MS));
    return error;
}
