/* uv_udp_send() and uv_udp_recv_start().  libuv sends a burst with two calls,
 * each of which has 20 datagrams, and knows no runs. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "runs.h"

#include <uv.h>

static struct {
    const struct runs *runs;
    uv_udp_t from, to;
    struct sockaddr_storage end;
    uv_udp_send_t requests[BURST];
    size_t bursts;
    size_t received;
} running;

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    static char buffer[64 * 1024];

    (void) handle;
    (void) suggested;
    *ret = uv_buf_init(buffer, sizeof buffer);
}

static void on_sent(uv_udp_send_t *request, int status)
{
    (void) request;
    fail_if(status < 0 && status != UV_ECANCELED, "uv_udp_send");
}

static void send_burst(void)
{
    static char bytes[RUN_DATAGRAM_MAX];

    for (size_t i = 0; i < BURST; i++) {
        uv_buf_t buffer =
            uv_buf_init(bytes, (unsigned) run_datagram_size(running.runs, i));

        fail_if(uv_udp_send(&running.requests[i], &running.from, &buffer, 1,
                            (struct sockaddr *) &running.end, on_sent) < 0,
                "uv_udp_send");
    }
}

static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer,
                        const struct sockaddr *from, unsigned flags)
{
    (void) buffer;
    (void) flags;
    if (size == 0 && from == NULL) /* There are no more. */
        return;
    fail_if(size != (ssize_t) run_datagram_size(running.runs, running.received),
            "uv_udp_recv_start");
    if (++running.received < BURST)
        return;
    running.received = 0;
    if (--running.bursts == 0)
        uv_stop(udp->loop);
    else
        send_burst();
}

void runs_uv(const struct runs *runs)
{
    struct sockaddr_in local;
    int size = sizeof running.end;
    uv_loop_t loop;

    running.runs = runs;
    running.bursts = runs->bursts;
    running.received = 0;
    uv_ip4_addr("127.0.0.1", 0, &local);
    fail_if(uv_loop_init(&loop) < 0 || uv_udp_init(&loop, &running.to) < 0 ||
                uv_udp_init(&loop, &running.from) < 0 ||
                uv_udp_bind(&running.to, (struct sockaddr *) &local, 0) < 0 ||
                uv_udp_getsockname(
                    &running.to, (struct sockaddr *) &running.end, &size) < 0 ||
                uv_udp_recv_start(&running.to, allocate, on_datagram) < 0,
            "uv_udp_bind");
    send_burst();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *) &running.to, NULL);
    uv_close((uv_handle_t *) &running.from, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
