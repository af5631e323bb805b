/* The echo server with libuv, as an experienced user would write it: one buffer
 * for all reads, and no request for data that uv_try_write() accepts. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "echo.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>

#include <uv.h>

#include "bench.h"

/* libuv initialises a union of the same size for both kinds of sockets. */
union socket {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct connection {
    union socket socket; /* Must be first. */
    struct partial partial;
};

/* A write that libuv could not finish immediately. */
struct left {
    uv_write_t request; /* Must be first. */
    char bytes[];
};

static struct server_report *server_report;
static bool has_frames;
static char chunk[CHUNK_SIZE];

static void *uv_alloc(size_t size)
{
    return counted_resize(server_report, NULL, size);
}

static void *uv_resize(void *old, size_t size)
{
    return counted_resize(server_report, old, size);
}

static void *uv_zeroed(size_t count, size_t size)
{
    void *memory = uv_alloc(count * size);

    return memset(memory, 0, count * size);
}

static void uv_release(void *memory)
{
    counted_resize(server_report, memory, 0);
}

static void on_closed(uv_handle_t *handle)
{
    uv_release(handle);
}

static void on_written(uv_write_t *request, int status)
{
    (void) status;
    uv_release(request);
}

static void on_frame(void *arg, const char *frame, size_t size)
{
    uv_buf_t buffer = uv_buf_init((char *) (uintptr_t) frame, (unsigned) size);
    int sent = uv_try_write(arg, &buffer, 1);
    struct left *left;

    if (sent == (int) size || (sent < 0 && sent != UV_EAGAIN))
        return;
    if (sent < 0)
        sent = 0;
    left = uv_alloc(sizeof *left + size);
    memcpy(left->bytes, frame + sent, size - (size_t) sent);
    buffer = uv_buf_init(left->bytes, (unsigned) (size - (size_t) sent));
    uv_write(&left->request, arg, &buffer, 1, on_written);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void) handle;
    (void) size;
    *buffer = uv_buf_init(chunk, sizeof chunk);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = (struct connection *) stream;

    if (size < 0)
        uv_close((uv_handle_t *) stream, on_closed);
    else if (has_frames)
        split(&connection->partial, buffer->base, (size_t) size, on_frame,
              stream);
    else if (size > 0)
        on_frame(stream, buffer->base, (size_t) size);
}

static void on_connection(uv_stream_t *listener, int status)
{
    bool is_unix = server_report->path[0] != '\0';
    size_t size = has_frames ? sizeof(struct connection)
                  : is_unix  ? sizeof(uv_pipe_t)
                             : sizeof(uv_tcp_t);
    struct connection *connection = uv_alloc(size);

    (void) status;
    if (has_frames)
        connection->partial.size = 0;
    if (is_unix)
        uv_pipe_init(listener->loop, &connection->socket.pipe, 0);
    else
        uv_tcp_init(listener->loop, &connection->socket.tcp);
    if (uv_accept(listener, (uv_stream_t *) connection) == 0)
        uv_read_start((uv_stream_t *) connection, on_alloc, on_read);
    else
        uv_close((uv_handle_t *) connection, on_closed);
}

/* Reads of the file, each of which starts the next one in its callback. */
static struct {
    uv_fs_t request;
    uv_file file;
    char chunk[CHUNK_SIZE];
    int64_t offset;
} always;

static void read_always(uv_fs_t *request)
{
    uv_buf_t buffer = uv_buf_init(always.chunk, CHUNK_SIZE);
    uv_loop_t *loop = request->loop;

    fail_if(request->result < 0, "reading with libuv");
    if (request->result == CHUNK_SIZE)
        always.offset += CHUNK_SIZE;
    else
        always.offset = 0;
    uv_fs_req_cleanup(request);
    uv_fs_read(loop, request, always.file, &buffer, 1, always.offset,
               read_always);
}

static void begin_reads(uv_fs_t *request)
{
    always.file = (uv_file) request->result;
    read_always(request);
}

static void on_expire(uv_timer_t *timer)
{
    ++*(long *) timer->data;
}

static void start_timers(uv_loop_t *loop)
{
    static uv_timer_t timers[TIMERS];
    static long expired;

    for (int i = 0; i < TIMERS; i++) {
        uv_timer_init(loop, &timers[i]);
        timers[i].data = &expired;
        uv_timer_start(&timers[i], on_expire,
                       (uint64_t) (i % TIMER_PERIOD_MS + 1), TIMER_PERIOD_MS);
    }
}

static int listen_on_path(uv_loop_t *loop, union socket *listener)
{
    fail_if(uv_pipe_init(loop, &listener->pipe, 0) < 0 ||
                uv_pipe_bind(&listener->pipe, server_report->path) < 0 ||
                uv_listen(&listener->stream, 4096, on_connection) < 0,
            "listening with libuv");
    return 1;
}

/* Returns the port. */
static int listen_on_port(uv_loop_t *loop, union socket *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fail_if(uv_tcp_init(loop, &listener->tcp) < 0 ||
                uv_tcp_bind(&listener->tcp, (void *) &address, 0) < 0 ||
                /* Connections inherit it. */
                uv_tcp_nodelay(&listener->tcp, 1) < 0 ||
                uv_listen(&listener->stream, 4096, on_connection) < 0 ||
                uv_tcp_getsockname(&listener->tcp, (void *) &address, &size) <
                    0,
            "listening with libuv");
    return ntohs(address.sin_port);
}

void echo_uv(struct server_report *report, bool is_framed)
{
    union socket listener;
    uv_loop_t loop;

    server_report = report;
    has_frames = is_framed;
    uv_replace_allocator(uv_alloc, uv_resize, uv_zeroed, uv_release);
    fail_if(uv_loop_init(&loop) < 0, "making a loop of libuv");
    atomic_store(&report->port, report->path[0] != '\0'
                                    ? listen_on_path(&loop, &listener)
                                    : listen_on_port(&loop, &listener));
    if (report->read_path != NULL)
        uv_fs_open(&loop, &always.request, report->read_path, O_RDONLY, 0,
                   begin_reads);
    if (report->has_timers)
        start_timers(&loop);
    uv_run(&loop, UV_RUN_DEFAULT);
    exit(1);
}
