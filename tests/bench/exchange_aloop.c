/* An echo service with libaloop: by callbacks, by writes whose end is reported,
 * and by a task for each connection. */

#include "exchange.h"

#include <aloop.h>

struct connection {
    struct exchange_user user;
};

/* With the bytes of a write, which must stay until it ends. */
struct writer {
    struct exchange_user user;
    char bytes[EXCHANGE_MAX];
};

static aloop *loop;
static aloop_listener *listener;
static struct exchange_kind kind;

static void on_frame(void *arg, const char *frame, size_t size)
{
    aloop_stream_put(arg, frame, size);
}

static void end(aloop_stream *stream, struct exchange_user *user)
{
    aloop_stream_close(stream);
    exchange_user_close(user);
    free(user);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct connection *connection = arg;

    if (size <= 0) {
        end(stream, &connection->user);
        return;
    }
    if (connection->user.partial != NULL)
        split(connection->user.partial, data, (size_t) size, on_frame, stream);
    else
        aloop_stream_put(stream, data, (size_t) size);
    exchange_answered += (size_t) size;
}

static void on_data_to_write(aloop_stream *stream, const void *data,
                             ssize_t size, void *arg)
{
    struct writer *writer = arg;

    if (size <= 0) {
        end(stream, &writer->user);
        return;
    }
    memcpy(writer->bytes, data, (size_t) size);
    aloop_detach(aloop_stream_write(stream, writer->bytes, (size_t) size));
    exchange_answered += (size_t) size;
}

static ssize_t serve(aloop *of, void *arg)
{
    aloop_stream *stream = arg;
    char *buffer = malloc(EXCHANGE_MAX);
    struct exchange_user user;
    ssize_t n;

    (void) of;
    fail_if(buffer == NULL, "malloc");
    exchange_user_open(&user, kind);
    while ((n = aloop_await(aloop_stream_read(stream, buffer, EXCHANGE_MAX))) >
           0) {
        if (kind.is_framed)
            split(user.partial, buffer, (size_t) n, on_frame, stream);
        else
            aloop_await(aloop_stream_write(stream, buffer, (size_t) n));
        exchange_answered += (size_t) n;
    }
    aloop_stream_close(stream);
    exchange_user_close(&user);
    free(buffer);
    return 0;
}

static void on_stream(aloop_listener *from, aloop_stream *stream, void *arg)
{
    size_t size = kind.way == BY_WRITE ? sizeof(struct writer)
                                       : sizeof(struct connection);
    struct exchange_user *user;

    (void) from;
    (void) arg;
    if (kind.way == BY_TASK) {
        aloop_detach(aloop_spawn(loop, serve, stream));
        return;
    }
    user = malloc(size);
    fail_if(user == NULL, "malloc");
    exchange_user_open(user, kind);
    aloop_stream_start(stream,
                       kind.way == BY_WRITE ? on_data_to_write : on_data, user);
}

/* Without it, the loop maps large parts itself. */
static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    (void) old_size;
    if (new_size > 0)
        return realloc(old, new_size);
    free(old);
    return NULL;
}

static int peer_open(struct exchange_kind of)
{
    aloop_options options = {.size = sizeof options,
                             .resize = of.is_counted ? resize : NULL};

    kind = of;
    loop = aloop_new(&options);
    fail_if(loop == NULL || aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream,
                                             NULL, &listener) < 0,
            "listening with libaloop");
    return aloop_listener_port(listener);
}

static void peer_turn(void)
{
    aloop_step(loop, 0);
}

static void peer_close(void)
{
    aloop_free(loop);
}

const struct exchange_peer exchange_aloop = {peer_open, peer_turn, peer_close};
