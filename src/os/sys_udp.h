/* The seam, continued: datagrams (sys_udp.c, sys_udp_data.c).  What holds for
 * the functions of sys.h holds here. */

#ifndef ALOOP_OS_SYS_UDP_H
#define ALOOP_OS_SYS_UDP_H

#include "os/sys.h"

/* What one call transfers at most. */
enum { SYS_DATAGRAMS_MAX = 64, SYS_RECEIVES_MAX = 16 };
enum { SYS_DATAGRAM_ROOM = 64 * 1024 };

/* A socket, as far as sending and receiving depend on it. */
struct sys_udp {
    int fd;
    bool is_inet6;
    bool is_v6_only; /* It has no addresses of IPv4. */
    /* Datagrams of at most this size are sent as runs (GSO).  Smaller than the
     * smallest that the system has refused: it divides no run into datagrams
     * that exceed the MTU of their way.  0 if it knows no runs. */
    size_t run_segment_max;
};

/* A datagram to send. */
struct sys_datagram {
    /* Of the family of the socket, so that an IPv4 address is mapped on one of
     * IPv6.  NULL on a connected socket. */
    const aloop_address *to;
    const void *data;
    size_t size;
};

/* A buffer to receive into, and what is in it afterwards.  What does not fit is
 * lost; SYS_DATAGRAM_ROOM bytes are always enough. */
struct sys_receive {
    void *buffer;
    size_t room;
    size_t size; /* At most `room`. */
    bool is_truncated;
    /* Size of each of the datagrams in the buffer, except that the last one may
     * be shorter, or 0 if there is only one (GRO). */
    size_t segment;
    aloop_address from;
};

enum sys_udp_option {
    SYS_UDP_REUSE_PORT,
    SYS_UDP_REUSE_ADDRESS,
    SYS_UDP_BROADCAST,
    SYS_UDP_RECEIVE_BUFFER,
    SYS_UDP_SEND_BUFFER,
    SYS_UDP_JOIN_RECEIVED, /* GRO. */
    SYS_UDP_HOPS,
    SYS_UDP_MULTICAST_HOPS,
    SYS_UDP_MULTICAST_LOOP,
    SYS_UDP_MULTICAST_INTERFACE,
    SYS_UDP_OPTIONS
};

/* A membership of a group of hosts.  `source` may be NULL. */
struct sys_membership {
    const aloop_address *group;
    const aloop_address *source;
    unsigned interface; /* 0: any. */
};

/* Opens a socket, which receives from no multicast group that it has not
 * joined.  One of IPv6 receives IPv4 too, unless `is_v6_only`. */
int aloop__sys_udp_open(enum sys_family family, bool is_v6_only,
                        struct sys_udp *ret);
/* Returns -ENOTSUP if the system does not have the option. */
int aloop__sys_udp_set(const struct sys_udp *udp, enum sys_udp_option option,
                       int value);
int aloop__sys_udp_join(const struct sys_udp *udp,
                        const struct sys_membership *membership, bool is_join);
/* Ends the association with a peer, which also selected the local address.  The
 * socket keeps its port, unless another socket takes the port at that moment;
 * the next connect then selects another one. */
void aloop__sys_udp_disconnect(const struct sys_udp *udp);
/* Sends datagrams, in order.  Returns how many of them the system has taken, at
 * least one, or the error of the first.  `count` is 1 to SYS_DATAGRAMS_MAX. */
int aloop__sys_udp_send(struct sys_udp *udp,
                        const struct sys_datagram *datagrams, size_t count);
/* Returns how many buffers were filled, at least one, or an error.  The address
 * of an IPv4 sender is mapped (::ffff:1.2.3.4) on a socket of IPv6.  `count` is
 * 1 to SYS_RECEIVES_MAX. */
int aloop__sys_udp_receive(const struct sys_udp *udp,
                           struct sys_receive *receives, size_t count);

#endif
