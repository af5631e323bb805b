/* A fixed number of messages, whose instructions and system calls messages.sh
 * counts.
 *
 *     aloop_messages PEER WAY COUNT
 *     aloop_messages --list
 *
 * PEER is hand, aloop, uv, ev or event, and WAY is callback, write or task. */

#include "exchange.h"

#include <stdio.h>
#include <string.h>

enum { CONNECTIONS = 64 };

static const char *const peers[PEERS] = {"hand", "aloop", "uv", "ev", "event"};
static const char *const ways[] = {"callback", "write", "task"};

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fprintf(stderr, "usage: aloop_messages PEER WAY COUNT\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct exchange_load load = {.connections = CONNECTIONS,
                                 .size = MESSAGE_SIZE,
                                 .in_flight = 1};
    long count;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (enum peer peer = HAND; peer < PEERS; peer++)
            if (exchange_peer_of(peer) != NULL)
                printf("%s\n", peers[peer]);
        return 0;
    }
    load.peer = exchange_peer_of(
        (enum peer) find(peers, PEERS, argc == 4 ? argv[1] : ""));
    if (load.peer == NULL ||
        !exchange_begin(&load, (enum exchange_way) find(ways, 3, argv[2])))
        return 3; /* There is no such way. */
    count = strtol(argv[3], NULL, 10);
    for (long i = 0; i < count; i += CONNECTIONS)
        exchange_once(&load);
    exchange_end(&load);
    return 0;
}
