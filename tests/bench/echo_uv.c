/* The echo server with libuv, as an experienced user would write it: one buffer
 * for all reads, and no request for data that uv_try_write() accepts. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "echo.h"

#include <netinet/in.h>
#include <stdlib.h>

#include <uv.h>

#include "bench.h"

struct connection {
    uv_tcp_t tcp; /* Must be first. */
    struct partial partial;
};

/* A write that libuv could not finish immediately. */
struct left {
    uv_write_t request; /* Must be first. */
    char bytes[];
};

static struct server_report *server_report;
static bool is_framed;
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
    else if (is_framed)
        split(&connection->partial, buffer->base, (size_t) size, on_frame,
              stream);
    else if (size > 0)
        on_frame(stream, buffer->base, (size_t) size);
}

static void on_connection(uv_stream_t *listener, int status)
{
    size_t size = is_framed ? sizeof(struct connection) : sizeof(uv_tcp_t);
    struct connection *connection = uv_alloc(size);

    (void) status;
    if (is_framed)
        connection->partial.size = 0;
    uv_tcp_init(listener->loop, &connection->tcp);
    if (uv_accept(listener, (uv_stream_t *) connection) == 0)
        uv_read_start((uv_stream_t *) connection, on_alloc, on_read);
    else
        uv_close((uv_handle_t *) connection, on_closed);
}

void echo_uv(struct server_report *report, bool framed)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    uv_tcp_t listener;
    uv_loop_t loop;

    server_report = report;
    is_framed = framed;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uv_replace_allocator(uv_alloc, uv_resize, uv_zeroed, uv_release);
    fail_if(uv_loop_init(&loop) < 0 || uv_tcp_init(&loop, &listener) < 0 ||
                uv_tcp_bind(&listener, (void *) &address, 0) < 0 ||
                /* Connections inherit it. */
                uv_tcp_nodelay(&listener, 1) < 0 ||
                uv_listen((uv_stream_t *) &listener, 4096, on_connection) < 0 ||
                uv_tcp_getsockname(&listener, (void *) &address, &size) < 0,
            "listening with libuv");
    atomic_store(&report->port, ntohs(address.sin_port));
    uv_run(&loop, UV_RUN_DEFAULT);
    exit(1);
}
