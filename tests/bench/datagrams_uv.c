/* uv_udp_send() and uv_udp_recv_start(), as in libuv's own benchmark. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "datagrams.h"

#include <string.h>
#include <uv.h>

static size_t left;

struct sender {
    uv_udp_t udp;
    uv_udp_send_t request;
    struct sockaddr_storage to;
};

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    static char buffer[64 * 1024];

    (void) handle;
    (void) suggested;
    *ret = uv_buf_init(buffer, sizeof buffer);
}

static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer,
                        const struct sockaddr *from, unsigned flags)
{
    (void) buffer;
    (void) flags;
    if (size == 0 && from == NULL) /* There are no more. */
        return;
    fail_if(size != DATAGRAM_SIZE, "uv_udp_recv_start");
    if (left > 0 && --left == 0)
        uv_stop(udp->loop);
}

static void on_sent(uv_udp_send_t *request, int status);

static void send_next(struct sender *sender)
{
    static char bytes[DATAGRAM_SIZE];
    uv_buf_t buffer = uv_buf_init(bytes, sizeof bytes);

    fail_if(uv_udp_send(&sender->request, &sender->udp, &buffer, 1,
                        (struct sockaddr *) &sender->to, on_sent) < 0,
            "uv_udp_send");
}

static void on_sent(uv_udp_send_t *request, int status)
{
    if (left == 0) /* The loop ends. */
        return;
    fail_if(status < 0, "uv_udp_send");
    send_next(request->data);
}

static void open_udp(uv_loop_t *loop, uv_udp_t *udp,
                     struct sockaddr_storage *ret_end)
{
    struct sockaddr_in local;
    int size = sizeof *ret_end;

    uv_ip4_addr("127.0.0.1", 0, &local);
    fail_if(uv_udp_init(loop, udp) < 0 ||
                uv_udp_bind(udp, (struct sockaddr *) &local, 0) < 0 ||
                uv_udp_getsockname(udp, (struct sockaddr *) ret_end, &size) < 0,
            "uv_udp_bind");
}

static void close_udp(uv_handle_t *handle, void *arg)
{
    (void) arg;
    uv_close(handle, NULL);
}

void datagrams_uv(const struct datagrams *datagrams)
{
    static struct sender senders[SOCKETS_MAX];
    static uv_udp_t receivers[SOCKETS_MAX];
    static struct sockaddr_storage ends[SOCKETS_MAX];
    struct sockaddr_storage unused;
    uv_loop_t loop;

    left = datagrams->count;
    fail_if(uv_loop_init(&loop) < 0, "uv_loop_init");
    for (int i = 0; i < datagrams->receivers; i++) {
        open_udp(&loop, &receivers[i], &ends[i]);
        fail_if(uv_udp_recv_start(&receivers[i], allocate, on_datagram) < 0,
                "uv_udp_recv_start");
    }
    for (int i = 0; i < datagrams->senders; i++) {
        open_udp(&loop, &senders[i].udp, &unused);
        senders[i].request.data = &senders[i];
        senders[i].to = ends[i % datagrams->receivers];
        send_next(&senders[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_walk(&loop, close_udp, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
