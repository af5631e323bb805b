/* aloop_udp_put() and a callback. */

#include "runs.h"

#include <aloop.h>

static struct {
    const struct runs *runs;
    aloop *loop;
    aloop_udp *from;
    aloop_address to;
    size_t bursts;   /* That are left. */
    size_t received; /* Of the present burst. */
} running;

static void put_burst(void)
{
    static const char bytes[RUN_DATAGRAM_MAX];

    for (size_t i = 0; i < BURST; i++)
        fail_if(aloop_udp_put(running.from, bytes,
                              run_datagram_size(running.runs, i),
                              &running.to) != 0,
                "aloop_udp_put");
}

static void on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) udp;
    (void) data;
    (void) from;
    (void) arg;
    fail_if(size != (ssize_t) run_datagram_size(running.runs, running.received),
            "aloop_udp_start");
    if (++running.received < BURST)
        return;
    running.received = 0;
    if (--running.bursts == 0)
        aloop_stop(running.loop);
    else
        put_burst();
}

void runs_aloop(const struct runs *runs)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .join_received = runs->is_joined};
    aloop_udp *receiver;

    running.runs = runs;
    running.bursts = runs->bursts;
    running.received = 0;
    running.loop = aloop_new(NULL);
    fail_if(aloop_udp_open_with(running.loop, "127.0.0.1", "0", &options,
                                &receiver) < 0 ||
                aloop_udp_local(receiver, &running.to) < 0 ||
                aloop_udp_start(receiver, on_datagram, NULL) < 0 ||
                aloop_udp_open(running.loop, "127.0.0.1", "0", &running.from) <
                    0,
            "aloop_udp_open");
    put_burst();
    aloop_run(running.loop);
    aloop_free(running.loop);
}
