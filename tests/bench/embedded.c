/* Round trips of a server whose loop runs inside the loop of a host, which
 * waits with epoll.  The column "by hand" is the same server in a loop of its
 * own. */

#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aloop.h>

enum { SIZE = 64, CONNECTIONS_MAX = 64, ROUND_TRIPS = 8000 };

/* Without connections, the client is a stream of the same loop. */
struct embedded_load {
    bool is_hosted;
    int connections;
};

static aloop_stream *client;
static int accepted, wanted, trips_left;

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size <= 0 || (stream == client && --trips_left == 0))
        aloop_stream_close(stream);
    else
        aloop_stream_put(stream, data, (size_t) size);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    aloop_stream_start(stream, on_data, NULL);
    if (++accepted == wanted)
        aloop_listener_close(listener);
}

static void on_connected(aloop_future *future, ssize_t status, void *arg)
{
    static const char message[SIZE];

    (void) future;
    (void) arg;
    fail_if(status < 0, "connecting");
    aloop_stream_start(client, on_data, NULL);
    aloop_stream_put(client, message, sizeof message);
}

/* The client of another process. */
static void run_client(int port, int connections)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t) port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char bytes[SIZE] = {0};
    int fds[CONNECTIONS_MAX];

    for (int i = 0; i < connections; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        fail_if(fds[i] < 0 ||
                    connect(fds[i], (void *) &address, sizeof address) < 0,
                "connecting");
    }
    for (int left = ROUND_TRIPS; left > 0; left -= connections) {
        for (int i = 0; i < connections; i++)
            fail_if(send(fds[i], bytes, SIZE, 0) != SIZE, "sending");
        for (int i = 0; i < connections; i++)
            fail_if(recv(fds[i], bytes, SIZE, MSG_WAITALL) != SIZE,
                    "receiving");
    }
    _exit(0);
}

static void run_host(aloop *loop)
{
    struct epoll_event event = {.events = EPOLLIN};
    int host = epoll_create1(EPOLL_CLOEXEC);

    fail_if(host < 0 ||
                epoll_ctl(host, EPOLL_CTL_ADD, aloop_fd(loop), &event) < 0,
            "a host");
    while (aloop_alive(loop)) {
        fail_if(epoll_wait(host, &event, 1, -1) != 1, "epoll_wait");
        aloop_step(loop, 0);
    }
}

static void run_load(const void *arg, double *results)
{
    const struct embedded_load *load = arg;
    aloop *loop = aloop_new(NULL);
    aloop_listener *listener;
    char port[8];
    pid_t child = -1;
    int64_t begin_ns;

    wanted = load->connections > 0 ? load->connections : 1;
    trips_left = ROUND_TRIPS;
    fail_if(loop == NULL || aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream,
                                             NULL, &listener) < 0,
            "listening");
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    if (load->connections > 0) {
        child = fork();
        fail_if(child < 0, "fork");
        if (child == 0)
            run_client(aloop_listener_port(listener), load->connections);
    } else {
        aloop_then(aloop_tcp_connect(loop, "127.0.0.1", port, &client),
                   on_connected, NULL);
    }
    begin_ns = cpu_ns();
    if (load->is_hosted)
        run_host(loop);
    else
        aloop_run(loop);
    results[0] = (double) (cpu_ns() - begin_ns) / ROUND_TRIPS;
    if (child > 0)
        waitpid(child, NULL, 0);
    aloop_free(loop);
}

static void measure(struct bench *bench, const char *work, int connections)
{
    struct row row = {.work = work, .aim = AIM_RATIO, .limit = 1.3};

    if (!is_wanted(bench, work))
        return;
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            struct embedded_load load = {peer == ALOOP, connections};
            double result;

            if (peer < UV && in_child(run_load, &load, &result, 1))
                row_add(&row, peer, result);
        }
    }
    row_print(bench, &row);
}

void bench_embedded(struct bench *bench)
{
    measure(bench, "embedded, round trip in the loop", 0);
    measure(bench, "embedded, echo, 1 connection", 1);
    measure(bench, "embedded, echo, 64 connections", CONNECTIONS_MAX);
}
