/* A WebSocket echo server (RFC 6455).
 *
 *     usage: websocket_echo [-H HOST] [-p PORT] [-c CONNECTIONS] [-m BYTES]
 *                           [-i SECONDS] [-t SECONDS] [-o ORIGIN]... [-l]
 *
 *     -H HOST         numeric address to listen on (default: 127.0.0.1)
 *     -p PORT         port to listen on; 0 is any free port (default: 8080)
 *     -c CONNECTIONS  connections at most; more of them wait (default: 1000)
 *     -m BYTES        largest message (default: 1048576)
 *     -i SECONDS      ping a client that has sent nothing for this time
 *                     (default: 20)
 *     -t SECONDS      close a connection whose client does not answer a ping or
 *                     a close, or receives nothing, for this time (default: 20)
 *     -o ORIGIN       accept browsers only from pages of this origin, such as
 *                     https://example.org; up to 16 (default: from all pages)
 *     -l              print a line for each connection, when it has ended
 *
 * Every path is a WebSocket.  Messages are sent back in parts, as they arrive,
 * so a connection needs bounded memory, and a message may have other fragments
 * than those in which it was sent.  A client that sends and does not receive is
 * paused.
 *
 * Try it: websocket_client ws://127.0.0.1:8080/
 *
 * SIGINT or SIGTERM ends it: it closes all connections with 1001.  A second
 * signal ends it immediately. */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/httpd.h"
#include "support/httpd_text.h"
#include "support/options.h"
#include "support/process.h"
#include "support/websocket_httpd.h"

enum { ORIGINS_MAX = 16 };

/* What the command line sets. */
static struct {
    const char *host;
    const char *port;
    uint64_t connections_max;
    struct websocket_options options;
    const char *origins[ORIGINS_MAX];
    size_t origins_count;
    bool is_logging;
} server = {.host = "127.0.0.1",
            .port = "8080",
            .connections_max = 1000,
            .options = {.message_max = (uint64_t) 1024 * 1024,
                        .ping_ns = ALOOP_SEC(20),
                        .answer_ns = ALOOP_SEC(20)}};

static ssize_t echo(struct httpd_request *request, void *arg)
{
    struct websocket_origins origins = {server.origins, server.origins_count};
    struct websocket_stream socket;
    struct websocket_event part;
    ssize_t status =
        websocket_upgrade(request, &server.options, &origins, &socket);

    (void) arg;
    if (status <= 0)
        return status;
    while ((status = websocket_receive(&socket, &part)) > 0) {
        int sent = websocket_send(&socket, part.is_text, part.data, part.size,
                                  part.is_last);

        if (sent < 0)
            return websocket_end(&socket, sent, 0, "");
    }
    return websocket_end(&socket, status, 0, "");
}

static const struct httpd_route routes[] = {{"GET", "/", echo, NULL}};

/* What the client has sent is escaped. */
static void on_log(const struct httpd_log *line, void *arg)
{
    struct httpd_text target = {0};

    (void) arg;
    httpd_text_log(&target, line->target);
    httpd_text_add(&target, "", 1);
    printf("%s \"%s\" %d %.3f s\n", line->peer,
           target.has_failed ? "-" : target.data, line->status,
           (double) line->duration_ns / 1e9);
    free(target.data);
}

/* Serves until SIGINT or SIGTERM. */
static ssize_t serve(aloop *loop, void *arg)
{
    aloop_future *interrupt = aloop_signal_wait(loop, SIGINT);
    aloop_future *termination = aloop_signal_wait(loop, SIGTERM);
    aloop_future *ended = aloop_race(loop, interrupt, termination);
    struct httpd_options options = {
        .routes = routes,
        .routes_count = sizeof routes / sizeof routes[0],
        .connections_max = (size_t) server.connections_max,
        .on_log = server.is_logging ? on_log : NULL,
    };
    struct httpd *httpd;
    ssize_t status =
        httpd_start(loop, server.host, server.port, &options, &httpd);

    (void) arg;
    if (status < 0) {
        fprintf(stderr, "websocket_echo: cannot listen on %s port %s: %s\n",
                server.host, server.port, aloop_strerror(status));
        aloop_future_unref(ended);
        return 1;
    }
    printf("listening on %s port %d\n", server.host, httpd_port(httpd));
    if (process_flush() != 0)
        aloop_cancel(ended);
    status = aloop_await(ended);
    (void) httpd_stop(httpd, server.options.answer_ns + ALOOP_SEC(2));
    return status < 0 ? status : 0;
}

static bool add_origin(const char *origin)
{
    if (server.origins_count == ORIGINS_MAX) {
        fprintf(stderr, "-o: there are more than %d\n", ORIGINS_MAX);
        return false;
    }
    server.origins[server.origins_count++] = origin;
    return true;
}

/* Parses one option of the command line. */
static bool parse_option(int option, const char *text)
{
    uint64_t port;

    switch (option) {
    case 'H':
        server.host = text;
        return true;
    case 'p':
        server.port = text;
        return option_number("-p", text, 0, 65535, &port);
    case 'c':
        return option_number("-c", text, 1, 1000000, &server.connections_max);
    case 'm':
        return option_number("-m", text, 1, UINT64_C(1) << 40,
                             &server.options.message_max);
    case 'i':
        return option_seconds("-i", text, &server.options.ping_ns);
    case 't':
        return option_seconds("-t", text, &server.options.answer_ns) &&
               option_seconds("-t", text, &server.options.stall_ns);
    case 'o':
        return add_origin(text);
    case 'l':
        server.is_logging = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "usage: websocket_echo [-H HOST] [-p PORT] [-c CONNECTIONS] [-m "
        "BYTES]\n"
        "                      [-i SECONDS] [-t SECONDS] [-o ORIGIN]... [-l]\n"
        "  -H HOST         numeric address to listen on (default: 127.0.0.1)\n"
        "  -p PORT         port to listen on; 0 is any free port (default: "
        "8080)\n"
        "  -c CONNECTIONS  connections at most (default: 1000)\n"
        "  -m BYTES        largest message (default: 1048576)\n"
        "  -i SECONDS      ping a client that is silent for this time "
        "(default: "
        "20)\n"
        "  -t SECONDS      time for an answer to a ping or a close (default: "
        "20)\n"
        "  -o ORIGIN       accept browsers only from pages of this origin\n"
        "  -l              print a line for each connection, when it has "
        "ended\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "H:p:c:m:i:t:o:lh")) != -1) {
        if (option == 'h')
            is_help = true;
        else
            is_valid = parse_option(option, optarg);
    }
    if (is_help || !is_valid || optind < argc) {
        fputs(usage, is_help ? stdout : stderr);
        return process_end("websocket_echo", is_help ? 0 : 2);
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    return process_end("websocket_echo", aloop_main(serve, NULL));
}
