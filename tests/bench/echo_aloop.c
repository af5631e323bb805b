/* The echo server with libaloop, as an application would write it. */

#include "echo.h"

#include <fcntl.h>
#include <stdlib.h>

#include <aloop.h>

#include "bench.h"
#include "identity.h"

struct server {
    struct server_report *report;
    bool is_framed;
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
    if (server->report->has_filter)
        identity_put_on(stream);
    if (!server->is_framed) {
        aloop_stream_start(stream, on_data, NULL);
        return;
    }
    connection = counted_resize(server->report, NULL, sizeof *connection);
    connection->stream = stream;
    connection->server = server;
    connection->partial.size = 0;
    aloop_stream_start(stream, on_framed, connection);
}

/* A task that reads the file from its start to its end, again and again. */
static ssize_t read_always(aloop *loop, void *arg)
{
    static _Alignas(64) char chunk[CHUNK_SIZE];
    int64_t offset = 0;
    ssize_t n = 0;
    aloop_file *file;

    fail_if(aloop_await(aloop_file_open(loop, arg, O_RDONLY, 0, &file)) < 0,
            "open");
    while (n >= 0) {
        offset = n == sizeof chunk ? offset + n : 0;
        n = aloop_await(aloop_file_read_at(file, chunk, sizeof chunk, offset));
    }
    fail_if(true, "reading with libaloop");
    return n;
}

static void on_expire(aloop_timer *timer, void *arg)
{
    (void) timer;
    ++*(long *) arg;
}

static void start_timers(aloop *loop)
{
    static aloop_timer *timers[TIMERS];
    static long expired;
    int64_t period_ns = ALOOP_MS(TIMER_PERIOD_MS);

    for (int i = 0; i < TIMERS; i++)
        fail_if(aloop_timer_start(loop, period_ns / TIMERS * i, period_ns,
                                  on_expire, &expired, &timers[i]) < 0,
                "a timer");
}

void echo_aloop(struct server_report *report, bool is_framed)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .resize_context = report};
    struct server server = {report, is_framed};
    aloop *loop = aloop_new(&options);
    bool is_unix = report->path[0] != '\0';
    aloop_listener *listener;
    void *path;

    fail_if(loop == NULL ||
                (is_unix ? aloop_unix_listen(loop, report->path, on_stream,
                                             &server, &listener)
                         : aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream,
                                            &server, &listener)) < 0,
            "listening with libaloop");
    atomic_store(&report->port, is_unix ? 1 : aloop_listener_port(listener));
    if (report->read_path != NULL) {
        path = (void *) (uintptr_t) report->read_path;
        aloop_detach(aloop_spawn(loop, read_always, path));
    }
    if (report->has_timers)
        start_timers(loop);
    aloop_run(loop);
    exit(1);
}
