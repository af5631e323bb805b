/* A UDP echo server: each datagram is sent back to its sender.
 *
 *     usage: udp_echo [-p PORT] [-H HOST]
 *
 *     -p PORT   port; 0 is any free port (default: 7777)
 *     -H HOST   numeric address (default: 127.0.0.1)
 *
 * Ends on SIGINT or SIGTERM, and prints how many datagrams it has sent back.
 *
 * While more is queued than the system takes, new datagrams are dropped, as the
 * network does, so that a flood uses a limited amount of memory.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum { SIGNALS = 2, QUEUE_MAX = 256 * 1024 };

struct server {
    aloop *loop;
    const char *host;
    const char *port;
    unsigned long long echoed, dropped;
};

/* A datagram without bytes is echoed, too.  An error belongs to an earlier
 * datagram, and receiving continues. */
static void on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    struct server *server = arg;

    if (size >= 0 && aloop_udp_queued(udp) <= QUEUE_MAX &&
        aloop_udp_put(udp, data, (size_t) size, from) >= 0)
        server->echoed++;
    else
        server->dropped++;
}

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    struct server *server = arg;

    (void) watch;
    (void) number;
    aloop_stop(server->loop);
}

static int start(struct server *server)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM};
    aloop_signal *watch;
    aloop_udp *udp;
    aloop_address local;
    int error = aloop_udp_open(server->loop, server->host, server->port, &udp);

    if (error == 0)
        error = aloop_udp_start(udp, on_datagram, server);
    if (error == 0)
        error = aloop_udp_local(udp, &local);
    for (int i = 0; i < SIGNALS && error == 0; i++)
        error = aloop_signal_start(server->loop, numbers[i], on_signal, server,
                                   &watch);
    if (error == 0) {
        printf("waiting on %s port %d\n", server->host,
               aloop_address_port(&local));
        error = process_flush();
    }
    return error;
}

static int serve(struct server *server)
{
    int error = ALOOP_ENOMEM;

    server->loop = aloop_new(NULL);
    if (server->loop != NULL)
        error = start(server);
    if (error == 0)
        error = aloop_run(server->loop);
    aloop_free(server->loop); /* Also closes the socket. */
    if (error < 0)
        fprintf(stderr, "udp_echo: %s port %s: %s\n", server->host,
                server->port, aloop_strerror(error));
    else
        printf("%llu echoed, %llu dropped\n", server->echoed, server->dropped);
    return error;
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "usage: udp_echo [-p PORT] [-H HOST]\n"
        "  -p PORT  port; 0 is any free port (default: 7777)\n"
        "  -H HOST  numeric address (default: 127.0.0.1)\n";
    struct server server = {.host = "127.0.0.1", .port = "7777"};
    bool is_valid = true;
    uint64_t port;
    int option;

    if (option_help(argc, argv)) {
        fputs(usage, stdout);
        return process_end("udp_echo", 0);
    }
    while (is_valid && (option = getopt(argc, argv, "p:H:")) != -1) {
        if (option == 'H')
            server.host = optarg;
        else
            is_valid =
                option == 'p' &&
                option_number("-p", server.port = optarg, 0, 65535, &port);
    }
    if (!is_valid || optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    return process_end("udp_echo", serve(&server) < 0);
}
