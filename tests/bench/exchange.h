/* An echo service and its clients in one process, which each peer implements.
 *
 * The clients send on all connections, the loop of the peer makes turns until
 * it has answered all of them, and the clients receive.  Nothing waits, so that
 * the CPU time of a message is nearly the same in each run. */

#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdlib.h>

#include "bench.h"
#include "echo.h"

enum { EXCHANGE_MAX = 64 * 1024 }; /* Bytes in flight on a connection. */

enum exchange_way { BY_CALLBACK, BY_WRITE, BY_TASK };

struct exchange_kind {
    enum exchange_way way; /* BY_WRITE waits for the end of each write. */
    bool is_framed;        /* Each message is answered separately. */
    bool is_counted;       /* All memory comes from malloc(). */
};

/* What an application keeps for each connection. */
struct exchange_user {
    struct partial *partial; /* If the messages are framed. */
    char rest[40];
};

/* Counted by the services: connections now, and bytes that were answered. */
extern size_t exchange_open, exchange_answered;

struct exchange_peer {
    /* Makes a loop, and listens on 127.0.0.1.  Returns the port, or 0 if the
     * peer has no such way. */
    int (*open)(struct exchange_kind kind);
    /* Does what is ready, without a wait. */
    void (*turn)(void);
    /* Called when all connections have ended. */
    void (*close)(void);
};

extern const struct exchange_peer exchange_hand, exchange_aloop, exchange_uv,
    exchange_ev, exchange_event;

/* Returns the implementation of a peer, or NULL. */
const struct exchange_peer *exchange_peer_of(enum peer peer);

static inline void exchange_user_open(struct exchange_user *user,
                                      struct exchange_kind kind)
{
    exchange_open++;
    user->partial = kind.is_framed ? calloc(1, sizeof *user->partial) : NULL;
}

static inline void exchange_user_close(struct exchange_user *user)
{
    exchange_open--;
    free(user->partial);
}

/* The service by hand, which hand, libev and libevent run on readable sockets:
 * one receive, and one send for all answers.  Returns false at the end of the
 * connection. */
bool exchange_serve(int fd, struct exchange_user *user);
/* Listens on 127.0.0.1, without blocking.  Returns the descriptor. */
int exchange_listen(int *ret_port);
/* Returns a new connection without blocking, or a negative number. */
int exchange_accept(int listen_fd);

/* Returns a new connection to the port, of a client. */
int exchange_connect(int port);

/* The clients of a service, and what they have in flight. */
struct exchange_load {
    const struct exchange_peer *peer;
    int connections;
    size_t size;
    int in_flight;
    bool is_framed;
    int *fds;
};

/* Returns false if the peer has no such way. */
bool exchange_begin(struct exchange_load *load, enum exchange_way way);
/* Sends on each connection, and receives the answers. */
void exchange_once(const struct exchange_load *load);
void exchange_end(struct exchange_load *load);

#endif
