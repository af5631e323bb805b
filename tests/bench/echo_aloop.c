/* The echo server with libaloop, as an application would write it. */

#include "echo.h"

#include <stdlib.h>

#include <aloop.h>

#include "bench.h"

struct server {
    struct server_report *report;
    bool framed;
};

struct connection {
    aloop_stream *stream;
    struct server *server;
    struct partial partial;
};

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) old_size;
    return counted_resize(context, old, new_size);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size > 0)
        aloop_stream_put(stream, data, (size_t) size);
    else
        aloop_stream_close(stream);
}

static void on_frame(void *arg, const char *frame, size_t size)
{
    aloop_stream_put(arg, frame, size);
}

static void on_framed(aloop_stream *stream, const void *data, ssize_t size,
                      void *arg)
{
    struct connection *connection = arg;

    if (size > 0) {
        split(&connection->partial, data, (size_t) size, on_frame, stream);
        return;
    }
    aloop_stream_close(stream);
    counted_resize(connection->server->report, connection, 0);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct server *server = arg;
    struct connection *connection;

    (void) listener;
    if (!server->framed) {
        aloop_stream_start(stream, on_data, NULL);
        return;
    }
    connection = counted_resize(server->report, NULL, sizeof *connection);
    connection->stream = stream;
    connection->server = server;
    connection->partial.size = 0;
    aloop_stream_start(stream, on_framed, connection);
}

void echo_aloop(struct server_report *report, bool framed)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .resize_context = report};
    struct server server = {report, framed};
    aloop *loop = aloop_new(&options);
    aloop_listener *listener;

    fail_if(loop == NULL || aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream,
                                             &server, &listener) < 0,
            "listening with libaloop");
    atomic_store(&report->port, aloop_listener_port(listener));
    aloop_run(loop);
    exit(1);
}
