/* The same work in the loop's own aloop_run() and inside the loops of others,
 * for hosted.sh.
 *
 *     usage: aloop_hosted HOST ROUND_TRIPS [remote]
 *            aloop_hosted --list
 *
 * HOST is "own", "epoll" (a bare epoll loop), or a library.  With "glib-inside"
 * and "libuv-inside" aloop_run() has a loop of that library in it, which has
 * nothing to do.
 *
 * A client sends 64 bytes over TCP to an echo server and waits for them,
 * ROUND_TRIPS times; then a task sleeps five times for 10 ms.  The client is in
 * the same loop, or, with "remote", in another process, so that the loop waits
 * for each message.  Prints the CPU time of a round trip in nanoseconds, that
 * of another process not included, and the time of the sleeps in
 * microseconds. */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef HOSTED_LIBEVENT
#include "bridges/event_host.h"
#endif
#ifdef HOSTED_GLIB
#include "bridges/glib_host.h"
#include "bridges/glib_inside.h"
#endif
#ifdef HOSTED_LIBUV
#include "bridges/uv_host.h"
#include "bridges/uv_inside.h"
#endif

enum { SIZE = 64, WARM_UP = 100, SLEEPS = 5 };

static struct {
    long count; /* Of round trips. */
    long left;
    aloop_future *end; /* Of them. */
    size_t received;   /* Of the present message. */
    bool is_remote;
    double start, cpu_ns, sleeps_us;
} f;

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* The work. */

/* The trips of a client in another process, which waits for each message. */
static void count_remote(void)
{
    f.left--;
    if (f.left == f.count)
        f.start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (f.left == 0)
        aloop_future_resolve(f.end, 0);
}

static void server_data(aloop_stream *stream, const void *data, ssize_t size,
                        void *arg)
{
    (void) arg;
    if (size <= 0) {
        aloop_stream_close(stream);
        return;
    }
    aloop_stream_put(stream, data, (size_t) size);
    if (f.is_remote)
        count_remote();
}

static void server_accepted(aloop_listener *listener, aloop_stream *stream,
                            void *arg)
{
    (void) arg;
    aloop_listener_close(listener);
    aloop_tcp_set_nodelay(stream, true);
    aloop_stream_start(stream, server_data, NULL);
}

static void client_data(aloop_stream *stream, const void *data, ssize_t size,
                        void *arg)
{
    static const char message[SIZE];

    (void) data;
    (void) arg;
    f.received += size > 0 ? (size_t) size : 0;
    if (size > 0 && f.received < SIZE)
        return;
    f.received = 0;
    if (size > 0 && f.left-- > 0)
        aloop_stream_put(stream, message, SIZE);
    else
        aloop_future_resolve(f.end, size > 0 ? 0 : ALOOP_ECONNRESET);
}

static ssize_t trips(aloop *loop, aloop_stream *client, long count)
{
    static const char message[SIZE];
    ssize_t status;

    f.end = aloop_future_new(loop);
    f.left = count - 1;
    aloop_stream_put(client, message, SIZE);
    status = aloop_await(aloop_future_ref(f.end));
    aloop_future_unref(f.end);
    return status;
}

static ssize_t near_trips(aloop *loop, const char *port)
{
    aloop_stream *client;
    ssize_t status =
        aloop_await(aloop_tcp_connect(loop, "127.0.0.1", port, &client));

    if (status < 0)
        return status;
    aloop_tcp_set_nodelay(client, true);
    aloop_stream_start(client, client_data, NULL);
    status = trips(loop, client, WARM_UP);
    f.start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (status == 0)
        status = trips(loop, client, f.count);
    f.cpu_ns = (seconds(CLOCK_PROCESS_CPUTIME_ID) - f.start) * 1e9;
    aloop_stream_close(client);
    return status;
}

/* The other process. */
static void run_client(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t) port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    char message[SIZE] = {0};
    bool is_good = connect(fd, (void *) &address, sizeof address) == 0 &&
                   setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) ==
                       0;

    for (long i = 0; i < WARM_UP + f.count && is_good; i++)
        is_good = send(fd, message, SIZE, 0) == SIZE &&
                  recv(fd, message, SIZE, MSG_WAITALL) == SIZE;
    _exit(is_good ? 0 : 1);
}

static ssize_t remote_trips(aloop *loop, int port)
{
    ssize_t status;

    f.end = aloop_future_new(loop);
    f.left = WARM_UP + f.count;
    if (fork() == 0)
        run_client(port);
    status = aloop_await(aloop_future_ref(f.end));
    aloop_future_unref(f.end);
    f.cpu_ns = (seconds(CLOCK_PROCESS_CPUTIME_ID) - f.start) * 1e9;
    return status;
}

static ssize_t work(aloop *loop, void *arg)
{
    aloop_listener *listener;
    char port[16];
    double start;
    ssize_t status = aloop_tcp_listen(loop, "127.0.0.1", "0", server_accepted,
                                      NULL, &listener);

    (void) arg;
    if (status < 0)
        return status;
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    if (f.is_remote)
        status = remote_trips(loop, aloop_listener_port(listener));
    else
        status = near_trips(loop, port);
    start = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < SLEEPS && status == 0; i++)
        status = aloop_await(aloop_sleep(loop, ALOOP_MS(10)));
    f.sleeps_us = (seconds(CLOCK_MONOTONIC) - start) * 1e6;
    return status;
}

/* The ways to do it.  Each returns 0 or an error. */

static int run_own(aloop *loop)
{
    return (int) aloop_await(aloop_spawn(loop, work, NULL));
}

/* The hosts run until the loop has nothing left. */

static int run_epoll(aloop *loop)
{
    struct epoll_event event = {.events = EPOLLIN};
    int queue = epoll_create1(EPOLL_CLOEXEC), status;

    status = epoll_ctl(queue, EPOLL_CTL_ADD, aloop_fd(loop), &event);
    while (status == 0 && aloop_alive(loop))
        if (epoll_wait(queue, &event, 1, -1) == 1)
            status = aloop_step(loop, 0) < 0;
    close(queue);
    return status;
}

#ifdef HOSTED_LIBEVENT
static void event_idle(aloop *loop, int status, void *arg)
{
    (void) loop;
    (void) status;
    event_base_loopbreak(arg);
}

static int run_event(aloop *loop)
{
    struct event_base *base = event_base_new();
    event_host *host;
    int status = event_host_start(loop, base, event_idle, base, &host);

    if (status == 0) {
        event_base_dispatch(base);
        event_host_stop(host);
    }
    event_base_free(base);
    return status;
}
#endif

#ifdef HOSTED_GLIB
static void glib_idle(aloop *loop, int status, void *arg)
{
    (void) loop;
    (void) status;
    g_main_loop_quit(arg);
}

static int run_glib(aloop *loop)
{
    GMainLoop *main_loop = g_main_loop_new(NULL, FALSE);
    GSource *host;
    int status = glib_host_start(loop, NULL, glib_idle, main_loop, &host);

    if (status == 0) {
        g_main_loop_run(main_loop);
        glib_host_stop(host);
    }
    g_main_loop_unref(main_loop);
    return status;
}

static int run_with_glib(aloop *loop)
{
    glib_inside *inside;
    int status = glib_inside_start(loop, NULL, &inside);

    if (status < 0)
        return status;
    status = run_own(loop);
    glib_inside_stop(inside);
    return status;
}
#endif

#ifdef HOSTED_LIBUV
static void uv_idle(aloop *loop, int status, void *arg)
{
    (void) loop;
    (void) status;
    uv_stop(arg);
}

static int run_uv(aloop *loop)
{
    uv_loop_t *uv = uv_default_loop();
    uv_host *host;
    int status = uv_host_start(loop, uv, uv_idle, uv, &host);

    if (status < 0)
        return status;
    uv_run(uv, UV_RUN_DEFAULT);
    uv_host_stop(host);
    uv_run(uv, UV_RUN_DEFAULT);
    return uv_loop_close(uv);
}

static int run_with_uv(aloop *loop)
{
    uv_loop_t *uv = uv_default_loop();
    uv_async_t async; /* Keeps it alive, or it would not be looked at. */
    uv_inside *inside = NULL;
    int status = uv_async_init(uv, &async, NULL);

    if (status == 0)
        status = uv_inside_start(loop, uv, &inside);
    if (status < 0)
        return status;
    status = run_own(loop);
    uv_inside_stop(inside);
    uv_close((uv_handle_t *) &async, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    uv_loop_close(uv);
    return status;
}
#endif

struct way {
    const char *name;
    int (*run)(aloop *loop);
    bool is_host; /* It does not spawn the task itself. */
};

static const struct way ways[] = {
    {"own", run_own, false},       {"epoll", run_epoll, true},
#ifdef HOSTED_LIBEVENT
    {"libevent", run_event, true},
#endif
#ifdef HOSTED_GLIB
    {"glib", run_glib, true},      {"glib-inside", run_with_glib, false},
#endif
#ifdef HOSTED_LIBUV
    {"libuv", run_uv, true},       {"libuv-inside", run_with_uv, false},
#endif
};

static int measure(const struct way *way)
{
    aloop *loop = aloop_new(NULL);
    int status;

    if (loop == NULL)
        return ALOOP_ENOMEM;
    if (way->is_host)
        aloop_detach(aloop_spawn(loop, work, NULL));
    status = way->run(loop);
    aloop_free(loop);
    if (status == 0)
        printf("%.0f %.0f\n", f.cpu_ns / (double) f.count, f.sleeps_us);
    return status;
}

int main(int argc, char **argv)
{
    size_t count = sizeof ways / sizeof ways[0];

    for (size_t i = 0; i < count && argc == 2; i++)
        puts(ways[i].name);
    if (argc == 2)
        return strcmp(argv[1], "--list") != 0;
    f.is_remote = argc == 4 && strcmp(argv[3], "remote") == 0;
    f.count = argc == 3 || f.is_remote ? strtol(argv[2], NULL, 10) : 0;
    for (size_t i = 0; i < count && f.count > 0; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            return measure(&ways[i]) != 0;
    fputs("usage: aloop_hosted HOST ROUND_TRIPS [remote]\n", stderr);
    return 2;
}
