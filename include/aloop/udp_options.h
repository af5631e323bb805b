/* UDP sockets with options, and multicast. */

#ifndef ALOOP_UDP_OPTIONS_H
#define ALOOP_UDP_OPTIONS_H

#include "aloop/address.h"
#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Holds the options of a UDP socket.
 *
 * Set `size` to sizeof(aloop_udp_options) and the fields that are needed.  See
 * aloop/options.h.
 */
typedef struct aloop_udp_options {
    size_t size; /* Bytes of this struct. */
    /* Other sockets of this user may have the same port.  The system spreads
     * datagrams over them, so that one sender always gets the same socket. */
    bool reuse_port;
    /* Other sockets may have the same port, for multicast.  A datagram to a
     * single host goes to only one of them. */
    bool reuse_address;
    /* A socket on "::" receives no IPv4.  Default: it has both families. */
    bool ipv6_only;
    bool broadcast; /* Datagrams to broadcast addresses may be sent. */
    /* The system joins datagrams of one sender before they are received, which
     * saves most of the cost of many large ones.  The reader gets them one by
     * one.  Ignored where the system does not support it. */
    bool join_received;
    /* Routers that a datagram may pass: TTL of IPv4, hop limit of IPv6; 1 to
     * 255.  Default: that of the system, usually 64. */
    int hops_max;
    /* Bytes of the system's buffers.  Default: those of the system. */
    size_t receive_buffer;
    size_t send_buffer;
} aloop_udp_options;

/**
 * Opens a socket as aloop_udp_open() does, with options.
 *
 * NULL selects the defaults.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an option is out of range;
 *          ALOOP_ENOTSUP: the system does not have an option.  Only Linux and
 *          FreeBSD have `reuse_port`;
 *          others: as of aloop_udp_open().
 */
ALOOP_API int aloop_udp_open_with(aloop *loop, const char *host,
                                  const char *port,
                                  const aloop_udp_options *options,
                                  aloop_udp **ret_udp);

/**
 * Receives what is sent to a multicast group, too.
 *
 * `interface` is the number of the network interface, as if_nametoindex()
 * returns it, or 0 to let the system choose one.  With a `source`, only what
 * this host sends is received (source-specific multicast); its port has no
 * meaning.  The socket must be open on the port that the group uses, and
 * usually on all addresses.  It receives from no group that it has not joined.
 *
 * Returns: 0.
 * Errors:  ALOOP_EADDRINUSE: the socket has joined the group already;
 *          ALOOP_EINVAL: `udp` or `group` is NULL, `group` is not a multicast
 *          address, or the families differ;
 *          ALOOP_ENODEV, ALOOP_EADDRNOTAVAIL: there is no such interface;
 *          ALOOP_ENOTSUP: the system cannot select a source or an interface;
 *          others: what the system reported, such as ALOOP_ENOBUFS: the socket
 *          has joined as many groups as the system allows.
 */
ALOOP_API int aloop_udp_join(aloop_udp *udp, const aloop_address *group,
                             unsigned interface, const aloop_address *source);

/**
 * Ends the membership of a multicast group.
 *
 * The arguments are those of the aloop_udp_join() that has begun it.  A close
 * ends all memberships.
 *
 * Returns: 0.
 * Errors:  ALOOP_EADDRNOTAVAIL: the socket has not joined the group so;
 *          others: as of aloop_udp_join().
 */
ALOOP_API int aloop_udp_leave(aloop_udp *udp, const aloop_address *group,
                              unsigned interface, const aloop_address *source);

/**
 * Sets how datagrams are sent to multicast groups.
 *
 *     argument     meaning                                    initially
 *     interface    the number of the interface; 0 lets the    0
 *                  system choose
 *     hops_max     TTL or hop limit, 0 to 255; 1 stays in     1
 *                  the local network
 *     is_looped    sockets of this machine receive them, too  true
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `udp` is NULL, or `hops_max` is out of range;
 *          ALOOP_ENODEV, ALOOP_EADDRNOTAVAIL: there is no such interface;
 *          ALOOP_ENOTSUP: the system cannot select an interface.
 */
ALOOP_API int aloop_udp_set_multicast(aloop_udp *udp, unsigned interface,
                                      int hops_max, bool is_looped);

ALOOP_END

#endif
