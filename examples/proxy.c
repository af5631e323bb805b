/* A TCP proxy: forwards each connection to another host and port.
 *
 *     usage: proxy [-l] [-H HOST] [-t SECONDS] PORT TARGET_HOST TARGET_PORT
 *
 *     -l          print a line when a connection begins and when it ends
 *     -H HOST     numeric address to listen on (default: 127.0.0.1)
 *     -t SECONDS  time limit for connecting to the target (default: 10)
 *
 * PORT is the port to listen on; 0 is any free port.  The target's host may be
 * a name, which is looked up for each connection.
 *
 * Each connection is a task of aloop_tcp_serve().  aloop_stream_forward() moves
 * the bytes, in both directions simultaneously.  It stops receiving from one
 * side while the other side is slower, and passes the end of one direction on,
 * so that the other direction can continue (half-close).
 *
 * SIGINT or SIGTERM ends the program with exit status 0: it stops accepting,
 * and gives open connections two seconds to end.  A second signal ends it
 * immediately.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum { ADDRESS_SIZE = 96, SPARE_DESCRIPTORS = 32 };

/* What the command line sets.  The tasks read it. */
static struct proxy {
    const char *host;
    const char *port;
    const char *target_host;
    const char *target_port;
    int64_t limit_ns; /* For a connect to the target. */
    bool is_logging;
} proxy = {.host = "127.0.0.1", .limit_ns = ALOOP_SEC(10)};

/* One direction of a connection. */
struct way {
    aloop_stream *from;
    aloop_stream *to;
    bool is_up;     /* To the target. */
    ssize_t status; /* Number of bytes, an error, or ALOOP_PENDING. */
};

/* A connection, which exists while its bytes are moved. */
struct link {
    const char *name;
    struct way up;   /* From the client to the target. */
    struct way down; /* From the target to the client. */
};

/* Moves the bytes of one direction.
 *
 * A failure ends the other direction too, because the task below gathers them,
 * with one exception: a target that refuses bytes may have answered before it
 * closed, and this answer should arrive.  Then the other direction ends by
 * itself, because its side is broken.
 *
 * A forward notices a reset of both of its sides, also if they are silent.  So
 * a connection that is broken does not wait for the other side. */
static ssize_t move(aloop *loop, void *arg)
{
    struct way *way = arg;

    (void) loop;
    way->status = aloop_await(aloop_stream_forward(way->from, way->to));
    if (way->status < 0 && way->is_up && aloop_stream_put(way->to, "", 0) < 0)
        return 0;
    return way->status;
}

/* The peer of a direction that has failed must not take a part for the whole,
 * so it gets a reset. */
static void end_way(const struct way *way)
{
    if (way->status < 0)
        aloop_stream_abort(way->to);
    else
        aloop_stream_close(way->to);
}

static void log_end(aloop *loop, const struct link *link, ssize_t status,
                    int64_t start_ns)
{
    double seconds = (double) (aloop_now(loop) - start_ns) / 1e9;

    if (!proxy.is_logging)
        return;
    if (status == 0 && link->up.status < 0)
        status = link->up.status;
    else if (status == 0 && link->down.status < 0)
        status = link->down.status;
    if (status < 0)
        printf("%s: failed after %.2f s: %s\n", link->name, seconds,
               aloop_strerror(status));
    else
        printf("%s: ended after %.2f s: %zd bytes to the target, %zd bytes"
               " back\n",
               link->name, seconds, link->up.status, link->down.status);
    fflush(stdout);
}

/* Forwards a connection whose two sides exist.  Closes both. */
static void forward(aloop *loop, const char *name, aloop_stream *client,
                    aloop_stream *target)
{
    struct link link = {.name = name,
                        .up = {client, target, true, ALOOP_PENDING},
                        .down = {target, client, false, ALOOP_PENDING}};
    int64_t start_ns = aloop_now(loop);
    ssize_t status;

    if (proxy.is_logging) {
        printf("%s: connected\n", name);
        fflush(stdout);
    }
    status = aloop_await(aloop_gather(loop, aloop_spawn(loop, move, &link.up),
                                      aloop_spawn(loop, move, &link.down)));
    log_end(loop, &link, status, start_ns);
    end_way(&link.up);
    end_way(&link.down);
}

/* Serves one connection.  Its failure is no failure of the proxy. */
static ssize_t serve(aloop *loop, aloop_stream *client, void *arg)
{
    aloop_stream *target;
    char name[ADDRESS_SIZE];
    ssize_t status;

    (void) arg;
    if (aloop_stream_peer(client, name, sizeof name) < 0)
        snprintf(name, sizeof name, "a client that has left");
    status = aloop_await(aloop_timeout(
        aloop_tcp_connect(loop, proxy.target_host, proxy.target_port, &target),
        proxy.limit_ns));
    if (status == 0) {
        forward(loop, name, client, target);
        return 0;
    }
    if (status != ALOOP_ECANCELED)
        fprintf(stderr, "proxy: %s: cannot connect to %s port %s: %s\n", name,
                proxy.target_host, proxy.target_port,
                status == ALOOP_EINVAL ? "no such host or port"
                                       : aloop_strerror(status));
    aloop_stream_abort(client);
    return 0;
}

/* Returns how many connections the process has descriptors for: each needs two.
 * More of them wait in the backlog of the system. */
static size_t connections_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur > (rlim_t) 2 * SPARE_DESCRIPTORS
               ? (size_t) (limit.rlim_cur - SPARE_DESCRIPTORS) / 2
               : SPARE_DESCRIPTORS / 2;
}

static ssize_t amain(aloop *loop, void *arg)
{
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = connections_max()};
    aloop_future *ended;
    aloop_server *server;
    ssize_t status = aloop_tcp_serve(loop, proxy.host, proxy.port, serve, NULL,
                                     &options, &server);

    (void) arg;
    if (status < 0) {
        fprintf(stderr, "proxy: cannot listen on %s port %s: %s\n", proxy.host,
                proxy.port, aloop_strerror(status));
        return 1;
    }
    ended = aloop_race(loop, aloop_signal_wait(loop, SIGINT),
                       aloop_signal_wait(loop, SIGTERM));
    printf("listening on %s port %d\n", proxy.host,
           aloop_listener_port(aloop_server_listener(server)));
    if (process_flush() != 0)
        aloop_cancel(ended);
    status = aloop_await(ended);
    aloop_await(aloop_server_stop(server, ALOOP_SEC(2)));
    return status < 0 ? status : 0; /* A success is the signal's number. */
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: proxy [-l] [-H HOST] [-t SECONDS] PORT TARGET_HOST TARGET_PORT"
        "\n"
        "  -l          print a line when a connection begins and when it ends\n"
        "  -H HOST     numeric address to listen on (default: 127.0.0.1)\n"
        "  -t SECONDS  time limit for connecting to the target (default: 10)\n"
        "  PORT        port to listen on; 0 is any free port\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    uint64_t port;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "lH:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'l')
            proxy.is_logging = true;
        else if (option == 'H')
            proxy.host = optarg;
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &proxy.limit_ns);
    }
    if (is_valid && !is_help && argc - optind == 3)
        is_valid = option_number("PORT", argv[optind], 0, 65535, &port);
    if (is_help || !is_valid || argc - optind != 3) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    proxy.port = argv[optind];
    proxy.target_host = argv[optind + 1];
    proxy.target_port = argv[optind + 2];
    return 0;
}

int main(int argc, char **argv)
{
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("proxy", status < 0 ? 0 : status);
    return process_end("proxy", aloop_main(amain, NULL));
}
