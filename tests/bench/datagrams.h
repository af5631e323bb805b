/* Datagrams within one loop, which each peer implements. */

#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include "bench.h"

enum { DATAGRAM_SIZE = 44, SOCKETS_MAX = 100 };

/* The numbers of sockets, and of the datagrams that the receivers wait for. */
struct datagrams {
    int senders;
    int receivers;
    size_t count;
};

/* Each sender has one datagram on its way to the system at any time: when it is
 * sent, the sender sends the next one, to a fixed receiver.  It ends when
 * `count` datagrams have been received. */
typedef void datagrams_peer(const struct datagrams *datagrams);

extern datagrams_peer datagrams_hand, datagrams_aloop, datagrams_uv;

#endif
