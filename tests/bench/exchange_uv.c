/* An echo service with libuv: uv_try_write(), or uv_write() and its
 * callback. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "exchange.h"

#include <arpa/inet.h>

#include <uv.h>

struct connection {
    uv_tcp_t tcp;
    struct exchange_user user;
};

struct writer {
    struct connection connection;
    uv_write_t request;
    char bytes[EXCHANGE_MAX];
};

static uv_loop_t loop;
static uv_tcp_t listener;
static struct exchange_kind kind;

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    static char received[EXCHANGE_MAX];
    struct writer *writer = (struct writer *) handle;

    (void) suggested;
    *ret = uv_buf_init(kind.way == BY_WRITE ? writer->bytes : received,
                       EXCHANGE_MAX);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = (struct connection *) handle;

    exchange_user_close(&connection->user);
    free(connection);
}

static void answer(uv_stream_t *stream, const char *bytes, size_t size)
{
    uv_buf_t buffer = uv_buf_init((char *) (uintptr_t) bytes, (unsigned) size);

    fail_if(uv_try_write(stream, &buffer, 1) != (int) size, "uv_try_write");
}

static void on_frame(void *arg, const char *frame, size_t size)
{
    answer(arg, frame, size);
}

static void on_written(uv_write_t *request, int status)
{
    (void) request;
    fail_if(status < 0, "uv_write");
}

static void on_data(uv_stream_t *stream, ssize_t size, const uv_buf_t *data)
{
    struct connection *connection = (struct connection *) stream;
    struct writer *writer = (struct writer *) stream;

    if (size == 0)
        return;
    if (size < 0) {
        uv_close((uv_handle_t *) stream, on_closed);
        return;
    }
    if (kind.way == BY_WRITE) {
        uv_buf_t buffer = uv_buf_init(data->base, (unsigned) size);

        fail_if(uv_write(&writer->request, stream, &buffer, 1, on_written) < 0,
                "uv_write");
    } else if (connection->user.partial != NULL) {
        split(connection->user.partial, data->base, (size_t) size, on_frame,
              stream);
    } else {
        answer(stream, data->base, (size_t) size);
    }
    exchange_answered += (size_t) size;
}

static void on_connection(uv_stream_t *from, int status)
{
    size_t size = kind.way == BY_WRITE ? sizeof(struct writer)
                                       : sizeof(struct connection);
    struct connection *connection = malloc(size);

    fail_if(status < 0 || connection == NULL ||
                uv_tcp_init(&loop, &connection->tcp) < 0 ||
                uv_accept(from, (uv_stream_t *) &connection->tcp) < 0 ||
                uv_tcp_nodelay(&connection->tcp, 1) < 0 ||
                uv_read_start((uv_stream_t *) &connection->tcp, allocate,
                              on_data) < 0,
            "accepting with libuv");
    exchange_user_open(&connection->user, kind);
}

static int peer_open(struct exchange_kind of)
{
    struct sockaddr_in address;
    int size = sizeof address;

    if (of.way == BY_TASK)
        return 0;
    kind = of;
    uv_ip4_addr("127.0.0.1", 0, &address);
    fail_if(uv_loop_init(&loop) < 0 || uv_tcp_init(&loop, &listener) < 0 ||
                uv_tcp_bind(&listener, (void *) &address, 0) < 0 ||
                uv_listen((uv_stream_t *) &listener, 4096, on_connection) < 0 ||
                uv_tcp_getsockname(&listener, (void *) &address, &size) < 0,
            "listening with libuv");
    return ntohs(address.sin_port);
}

static void peer_turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void peer_close(void)
{
    uv_close((uv_handle_t *) &listener, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

const struct exchange_peer exchange_uv = {peer_open, peer_turn, peer_close};
