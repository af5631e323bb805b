/* A TCP echo server made of callbacks, without tasks and futures.
 *
 *     usage: echo_server [-p PORT] [-H HOST] [-i IDLE_SECONDS]
 *
 *     -p PORT          port to listen on; 0 is any free port (default: 7777)
 *     -H HOST          numeric address to listen on (default: 127.0.0.1)
 *     -i IDLE_SECONDS  close connections that send nothing for this time
 *                      (default: never)
 *
 * Prints the number of open connections once a second, whenever it has changed.
 * On SIGINT or SIGTERM it stops accepting and gives open connections two
 * seconds to end.  A second signal ends it immediately.
 *
 * A peer that sends and never reads uses no more memory than the high-water
 * mark allows, because the library then pauses reading from it.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum { SIGNALS = 2 };

struct server {
    aloop *loop;
    const char *host;
    const char *port;
    int64_t idle_ns; /* 0: no limit. */
    aloop_listener *listener;
    aloop_timer *tick;
    aloop_timer *grace; /* NULL until the first signal. */
    aloop_signal *signals[SIGNALS];
    struct connection *first; /* The list of open connections. */
    unsigned count;           /* Number of open connections. */
    unsigned printed;         /* The last printed value of `count`. */
};

struct connection {
    struct server *server;
    struct connection *next;
    struct connection **link; /* The pointer to this connection. */
    aloop_stream *stream;
    aloop_timer *idle; /* NULL if there is no limit. */
};

/* `end` is aloop_stream_close, or aloop_stream_abort. */
static void drop(struct connection *connection, void (*end)(aloop_stream *))
{
    connection->server->count--;
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    aloop_timer_close(connection->idle);
    end(connection->stream);
    free(connection);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct connection *connection = arg;

    if (size == 0) { /* End of stream; queued data is still sent. */
        drop(connection, aloop_stream_close);
    } else if (size < 0 || aloop_stream_put(stream, data, (size_t) size) < 0) {
        drop(connection, aloop_stream_abort);
    } else if (connection->idle != NULL) {
        aloop_timer_restart(connection->idle, connection->server->idle_ns);
    }
}

static void on_idle(aloop_timer *timer, void *arg)
{
    (void) timer;
    drop(arg, aloop_stream_close);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct server *server = arg;
    struct connection *connection = calloc(1, sizeof *connection);
    int error = 0;

    (void) listener;
    if (connection == NULL) {
        aloop_stream_abort(stream);
        return;
    }
    connection->server = server;
    connection->stream = stream;
    connection->next = server->first;
    connection->link = &server->first;
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    server->first = connection;
    server->count++;
    if (server->idle_ns > 0)
        error = aloop_timer_start(server->loop, server->idle_ns, 0, on_idle,
                                  connection, &connection->idle);
    if (error == 0)
        error = aloop_stream_start(stream, on_data, connection);
    if (error < 0) {
        fprintf(stderr, "echo_server: %s\n", aloop_strerror(error));
        drop(connection, aloop_stream_abort);
    }
}

static void on_tick(aloop_timer *timer, void *arg)
{
    struct server *server = arg;

    (void) timer;
    if (server->count == server->printed)
        return;
    printf("%u open\n", server->count);
    fflush(stdout);
    server->printed = server->count;
}

static void on_grace(aloop_timer *timer, void *arg)
{
    struct server *server = arg;

    (void) timer;
    aloop_stop(server->loop);
}

/* After the first signal, the objects that are still watched do not keep the
 * loop alive, so that it ends with the last connection. */
static void on_signal(aloop_signal *watch, int number, void *arg)
{
    struct server *server = arg;

    (void) watch;
    (void) number;
    aloop_listener_close(server->listener);
    server->listener = NULL;
    aloop_timer_unref(server->tick);
    for (int i = 0; i < SIGNALS; i++)
        aloop_signal_unref(server->signals[i]);
    if (server->grace != NULL ||
        aloop_timer_start(server->loop, ALOOP_SEC(2), 0, on_grace, server,
                          &server->grace) < 0)
        aloop_stop(server->loop);
    else
        aloop_timer_unref(server->grace);
}

static int start(struct server *server)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM};
    int error = aloop_timer_start(server->loop, ALOOP_SEC(1), ALOOP_SEC(1),
                                  on_tick, server, &server->tick);

    for (int i = 0; i < SIGNALS && error == 0; i++)
        error = aloop_signal_start(server->loop, numbers[i], on_signal, server,
                                   &server->signals[i]);
    if (error < 0) {
        fprintf(stderr, "echo_server: %s\n", aloop_strerror(error));
        return error;
    }
    error = aloop_tcp_listen(server->loop, server->host, server->port,
                             on_stream, server, &server->listener);
    if (error < 0) {
        fprintf(stderr, "echo_server: cannot listen on %s port %s: %s\n",
                server->host, server->port,
                error == ALOOP_EINVAL ? "not a numeric address"
                                      : aloop_strerror(error));
        return error;
    }
    printf("listening on %s port %d\n", server->host,
           aloop_listener_port(server->listener));
    return process_flush();
}

static int serve(struct server *server)
{
    int error;

    server->loop = aloop_new(NULL);
    if (server->loop == NULL) {
        fprintf(stderr, "echo_server: %s\n", aloop_strerror(ALOOP_ENOMEM));
        return ALOOP_ENOMEM;
    }
    error = start(server);
    if (error == 0) {
        error = aloop_run(server->loop);
        if (error < 0)
            fprintf(stderr, "echo_server: %s\n", aloop_strerror(error));
    }
    while (server->first != NULL)
        drop(server->first, aloop_stream_abort);
    aloop_free(server->loop); /* Also closes everything that is still open. */
    return error < 0 ? error : 0;
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "usage: echo_server [-p PORT] [-H HOST] [-i IDLE_SECONDS]\n"
        "  -p PORT          port to listen on; 0 is any free port (default:"
        " 7777)\n"
        "  -H HOST          numeric address to listen on (default: 127.0.0.1)\n"
        "  -i IDLE_SECONDS  close connections that send nothing for this time\n"
        "                   (default: never)\n";
    struct server server = {.host = "127.0.0.1", .port = "7777"};
    bool is_valid = true, is_help = option_help(argc, argv);
    uint64_t port;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "p:H:i:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'H')
            server.host = optarg;
        else if (option == 'i')
            is_valid = option_seconds("-i", optarg, &server.idle_ns);
        else
            is_valid =
                option == 'p' &&
                option_number("-p", server.port = optarg, 0, 65535, &port);
    }
    if (is_help || !is_valid || optind < argc) {
        fputs(usage, is_help ? stdout : stderr);
        return process_end("echo_server", is_help ? 0 : 2);
    }
    return process_end("echo_server", serve(&server) < 0);
}
