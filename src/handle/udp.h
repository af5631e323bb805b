/* UDP sockets from the inside.  Each file calls only those above it:
 *
 *   udp_datagram.c what the others share
 *   udp_receive.c  readers, what they receive, and what is held for them
 *   udp_send.c     the queue of datagrams to send
 *   udp.c          from opened to closed */

#ifndef ALOOP_HANDLE_UDP_H
#define ALOOP_HANDLE_UDP_H

#include "aloop/udp.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/io.h"
#include "loop/timed.h"
#include "os/sys_udp.h"

/* A datagram in memory: to be sent, or received and not requested yet. */
struct aloop__datagram {
    struct aloop__node node; /* In udp->queue or udp->held. */
    aloop_address address;   /* Its other end; no family: the peer. */
    const void *data;
    size_t size;
    size_t room;  /* Of the buffer that the object is in; 0: of none. */
    bool is_send; /* Part of a struct aloop__udp_send. */
};

struct aloop_udp {
    struct aloop__handle handle;
    struct aloop__io io;
    struct sys_udp sys;
    aloop_address peer; /* No family: not connected. */
    /* The descriptor was closed outside the loop's control.  Its number may
     * belong to another one. */
    bool is_lost;
    bool is_receive_joined; /* A buffer may get several datagrams. */

    /* Receiving: by the callback or the operation, never by both. */
    aloop_udp_cb on_datagram;
    void *arg;
    struct aloop__udp_receive *receiving;
    /* All receive operations that exist: `receiving`, and settled ones. */
    struct aloop__node receives;
    struct aloop__node held; /* Received, and not requested yet. */
    /* Queued if the callback is to be called without an event: for what is
     * held, or for `error`. */
    struct aloop__ready deliver;
    int error;         /* Of an earlier datagram, for the next reader, or 0. */
    unsigned burst;    /* How many datagrams the next call asks for. */
    unsigned lone;     /* Consecutive calls that have asked for one. */
    unsigned failures; /* Consecutive calls that have failed. */
    struct aloop__timed resume; /* Receiving is suspended until then. */

    /* Sending. */
    struct aloop__ready flush; /* In loop->flushing. */
    struct aloop__node queue;
    struct aloop__node drains;
    size_t queued;             /* Sum of the costs of `queue`. */
    struct aloop__timed retry; /* The system had no buffers. */
    int64_t delay_ns;          /* Until the next retry. */
    int first_error;   /* Of the first try of the first datagram, or 0. */
    bool is_sending;   /* Counted in loop->live. */
    bool is_suspended; /* `retry` is started. */
    bool has_reported; /* An error of a put, since the last success. */
};

static inline bool aloop__udp_is_connected(const aloop_udp *udp)
{
    return udp->peer.family != ALOOP_FAMILY_NONE;
}

/* Returns whether the descriptor was closed outside the loop's control. */
static inline bool aloop__udp_is_lost(const aloop_udp *udp)
{
    return udp->io.fd < 0 || udp->is_lost;
}

/* udp_datagram.c */

/* Adds or removes events that are watched. */
int aloop__udp_want(aloop_udp *udp, unsigned bits);
void aloop__udp_unwant(aloop_udp *udp, unsigned bits);
/* Must be called before the application uses the socket.  Returns 0 or an
 * error. */
int aloop__udp_use(aloop_udp *udp);
/* Returns whether the socket can exchange datagrams with an address, which is
 * not mapped. */
bool aloop__udp_has_family(const aloop_udp *udp, const aloop_address *address);
/* Frees a datagram that is not part of an operation. */
void aloop__datagram_free(aloop_udp *udp, struct aloop__datagram *datagram);
/* Returns a copy of a datagram in no list, or NULL if out of memory. */
struct aloop__datagram *aloop__datagram_new(aloop_udp *udp, const void *data,
                                            size_t size,
                                            const aloop_address *address);
/* Drops the held datagrams, except those from `kept`, which may be NULL. */
void aloop__udp_drop_held(aloop_udp *udp, const aloop_address *kept);

/* udp_receive.c */

void aloop__udp_receive_init(aloop_udp *udp);
/* Called when the descriptor is readable or has an error. */
void aloop__udp_readable(aloop_udp *udp);
/* Passes an error that concerns an earlier datagram, or the descriptor, to the
 * reader, or keeps it for the next one.  Calls nothing of the application. */
void aloop__udp_pass_error(aloop_udp *udp, int error);
/* For a close: no reader is called any more, and the held datagrams are
 * dropped. */
void aloop__udp_end_receiving(aloop_udp *udp);

/* udp_send.c */

void aloop__udp_send_init(aloop_udp *udp);
/* Sends what is queued, and does what follows from it. */
void aloop__udp_flush(aloop_udp *udp);
/* Drops the queue.  Operations settle with `error`. */
void aloop__udp_drop_queue(aloop_udp *udp, int error);
/* For a close: sends what the system takes immediately, and drops the rest. */
void aloop__udp_end_sending(aloop_udp *udp);

#endif
