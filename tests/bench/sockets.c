/* The load of sockets.sh: WebSocket connections that each send a message, wait
 * for its echo, and send the next one.
 *
 *     usage: aloop_sockets URL CONNECTIONS SIZE SECONDS
 *
 * Prints the number of echoes. */

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/http_error.h"
#include "support/websocket_connect.h"

static struct {
    const char *url;
    unsigned connections;
    size_t size;
    int64_t duration_ns, end_ns;
    char *message;
    unsigned long long count;
} load;

/* Sends and receives until the time is over.  Returns 0 or an error. */
static ssize_t exchange(aloop *loop, struct websocket_stream *socket)
{
    struct websocket_event part;
    ssize_t status = 1;

    while (status > 0 && aloop_now(loop) < load.end_ns) {
        status = websocket_send(socket, false, load.message, load.size, true);
        if (status < 0)
            return status;
        do
            status = websocket_receive(socket, &part);
        while (status > 0 && !part.is_last);
        load.count += status > 0;
    }
    return status > 0 ? 1 : ALOOP_EOF;
}

static ssize_t run_connection(aloop *loop, void *arg)
{
    struct websocket_options options = {.message_max = load.size};
    struct websocket_client *client = calloc(1, sizeof *client);
    ssize_t status;

    (void) arg;
    if (client == NULL)
        return ALOOP_ENOMEM;
    status = websocket_connect(loop, load.url, &options, client);
    if (status == 0) {
        status = exchange(loop, &client->socket);
        status = websocket_disconnect(client, status, WEBSOCKET_NORMAL, "");
    }
    free(client);
    return status;
}

static ssize_t amain(aloop *loop, void *arg)
{
    aloop_group *group = aloop_group_new(loop);
    ssize_t status = group == NULL ? ALOOP_ENOMEM : 0;

    load.end_ns = aloop_now(loop) + load.duration_ns;
    for (unsigned i = 0; i < load.connections && status == 0; i++)
        status = aloop_group_spawn(group, run_connection, arg);
    if (status == 0)
        status = aloop_await(aloop_group_wait(group));
    aloop_group_free(group);
    return status;
}

int main(int argc, char **argv)
{
    ssize_t status;

    if (argc != 5) {
        fputs("usage: aloop_sockets URL CONNECTIONS SIZE SECONDS\n", stderr);
        return 2;
    }
    load.url = argv[1];
    load.connections = (unsigned) strtoul(argv[2], NULL, 10);
    load.size = (size_t) strtoul(argv[3], NULL, 10);
    load.duration_ns = ALOOP_SEC(strtol(argv[4], NULL, 10));
    load.message = malloc(load.size + 1);
    if (load.message == NULL)
        return 1;
    memset(load.message, 'm', load.size);
    status = aloop_main(amain, NULL);
    free(load.message);
    if (status < 0) {
        fprintf(stderr, "aloop_sockets: %s\n", http_strerror(status));
        return 1;
    }
    printf("%llu\n", load.count);
    return 0;
}
