/* UDP sockets: datagrams to and from any number of peers.
 *
 * UDP may lose, duplicate and reorder datagrams, and reports none of this.  A
 * datagram arrives whole or not at all.  One without bytes is a datagram, too:
 * a size of 0 is no end.
 *
 * Received datagrams have one reader: either a callback (aloop_udp_start()) or
 * one pending aloop_udp_receive().  Without a reader they wait in the system,
 * which drops those that it has no room for.
 *
 * Sending never waits for the peer.  What is put in one turn leaves with a few
 * system calls when the turn ends, in order.  Where the system supports it, a
 * row of datagrams of equal size to one address costs about as much as a single
 * one.  If the system takes no more, the queue waits.
 *
 * An error belongs to one datagram, and the socket continues:
 *
 *     error of                     is reported to
 *     aloop_udp_put(), known       its caller
 *     immediately
 *     aloop_udp_put(), when the    on_unhandled, once until a datagram was
 *     datagram is sent             sent again
 *     aloop_udp_send()             its future
 *     an earlier datagram that     the reader, or the next one, if the socket
 *     the peer's machine refused   is connected: ALOOP_ECONNREFUSED and the
 *     (ICMP)                       like.  Other sockets do not learn of it
 *
 * In a forked child that has called aloop_after_fork(), both processes may use
 * the socket; a datagram goes to the one that receives it first.  What the
 * parent has queued is sent by the parent alone. */

#ifndef ALOOP_UDP_H
#define ALOOP_UDP_H

#include "aloop/address.h"
#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Receives a datagram, or an error.
 *
 *     `size`        meaning
 *     0 or more     a datagram of this size
 *     less than 0   an error, of an earlier datagram or of receiving; `data` is
 *                   NULL and `from` has no family.  Receiving continues, except
 *                   after ALOOP_EBADF: the descriptor was closed outside the
 *                   loop's control
 *
 * `data` and `from` are valid until the callback returns.  An IPv4 sender has
 * an IPv4 address, also on a socket for both families.
 *
 * Context: a turn of the loop.  The callback may stop or close the socket.
 */
typedef void (*aloop_udp_cb)(aloop_udp *udp, const void *data, ssize_t size,
                             const aloop_address *from, void *arg);

/**
 * Opens a socket at a local address.
 *
 * `host` is a numeric address, "localhost", or NULL for all addresses of both
 * families.  With the port "0" the system chooses one; see aloop_udp_local().
 *
 * Returns: 0.
 * Errors:  ALOOP_ENOTNUMERIC: `host` or `port` is a name, see aloop_resolve();
 *          ALOOP_EADDRINUSE: another socket has the port;
 *          ALOOP_EADDRNOTAVAIL: `host` is not an address of this machine;
 *          ALOOP_EINVAL: an argument is NULL or malformed;
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  the library owns the socket, until aloop_udp_close().
 */
ALOOP_API int aloop_udp_open(aloop *loop, const char *host, const char *port,
                             aloop_udp **ret_udp);

/**
 * Connects a socket, which sets its only peer.
 *
 * From then on the socket receives nothing from other addresses, not even what
 * arrived before and was not received yet.  It is notified of datagrams that
 * the peer's machine refuses, and sends with a NULL address.  This costs less
 * than an address for each datagram.  What is queued is sent first, to the
 * addresses that it was put with.  Another call selects another peer.  If that
 * fails, the socket still has the previous one, or none if the previous one
 * cannot be reached any more.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `udp` is NULL, or `peer` has no family or no port;
 *          ALOOP_EAFNOSUPPORT: the socket has no addresses of that family;
 *          ALOOP_ENETUNREACH: there is no route.
 */
ALOOP_API int aloop_udp_connect(aloop_udp *udp, const aloop_address *peer);

/**
 * Calls `on_datagram` for each datagram, from the next turn on.
 *
 * One turn receives a limited number, so that other handles are not delayed.  A
 * second call replaces callback and argument.
 *
 * Returns: 0.
 * Errors:  ALOOP_EBUSY: a receive is pending;
 *          ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_EBADF: the descriptor was closed outside the loop's control.
 */
ALOOP_API int aloop_udp_start(aloop_udp *udp, aloop_udp_cb on_datagram,
                              void *arg);

/**
 * Ends the calls of the callback.
 *
 * Datagrams that the loop has already taken from the system are kept for the
 * next reader.  A second call has no effect.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `udp` is NULL.
 */
ALOOP_API int aloop_udp_stop(aloop_udp *udp);

/**
 * Receives one datagram.
 *
 * A cancel takes effect immediately, and loses no datagram.  `ret_from` may be
 * NULL.  After an error, the contents of `buffer` are unspecified.
 *
 * Status:  the size of the datagram, which may be 0.
 * Errors:  ALOOP_EMSGSIZE: the datagram was larger than `size`, and is lost;
 *          ALOOP_ECONNREFUSED: the peer of a connected socket has refused an
 *          earlier datagram;
 *          ALOOP_EBUSY: a receive is pending, or a callback is started;
 *          ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_EBADF: the descriptor was closed outside the loop's control;
 *          ALOOP_ECANCELED: cancelled, or the socket was closed.
 * Memory:  borrows `buffer` and `ret_from` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_udp_receive(aloop_udp *udp, void *buffer,
                                          size_t size, aloop_address *ret_from);

/**
 * Copies a datagram and queues it.
 *
 * It is sent when the turn ends.  When the result is 1, the caller should wait
 * for aloop_udp_drain(), or drop datagrams.  `to` is NULL for a connected
 * socket, and only for such a socket.
 *
 * Returns: 0, or 1 if more than 256 KiB are queued now.
 * Errors:  ALOOP_EMSGSIZE: more than 65,507 bytes, or 65,527 over IPv6;
 *          ALOOP_EDESTADDRREQ: `to` is NULL, and the socket is not connected;
 *          ALOOP_EISCONN: `to` is not NULL, and the socket is connected;
 *          ALOOP_EAFNOSUPPORT: the socket has no addresses of that family;
 *          ALOOP_EINVAL: another argument is wrong, or `to` has no port;
 *          ALOOP_EBADF: the descriptor was closed outside the loop's control;
 *          ALOOP_ENOMEM: out of memory, and nothing is queued.
 * Memory:  copies the bytes and `to`.
 */
ALOOP_API int aloop_udp_put(aloop_udp *udp, const void *data, size_t size,
                            const aloop_address *to);

/**
 * Sends a datagram without copying it, after all that were put before.
 *
 * A cancel takes it out of the queue.
 *
 * Status:  `size`, once the system has taken the datagram.
 * Errors:  ALOOP_EACCES: the address is a broadcast address, and the socket was
 *          not opened for that;
 *          ALOOP_EMSGSIZE: as for aloop_udp_put(), or too large for the
 *          network;
 *          ALOOP_ECANCELED: cancelled, or the socket was closed;
 *          others: as for aloop_udp_put(), or what the system refuses it with.
 * Memory:  borrows `data` until the future settles, and copies `to`.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_udp_send(aloop_udp *udp, const void *data,
                                       size_t size, const aloop_address *to);

/**
 * Waits until no more than 64 KiB are queued.
 *
 * They are counted as aloop_udp_queued() counts them.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `udp` is NULL;
 *          ALOOP_ECANCELED: cancelled, or the socket was closed.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_udp_drain(aloop_udp *udp);

/**
 * Returns how many bytes are queued, with 64 more for each datagram.
 *
 * It is 0 for NULL.
 */
ALOOP_API size_t aloop_udp_queued(const aloop_udp *udp);

/**
 * Writes the local address of a socket, with its port.
 *
 * After an error *ret_address has no family.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_EBADF: the descriptor was closed outside the loop's control.
 */
ALOOP_API int aloop_udp_local(const aloop_udp *udp, aloop_address *ret_address);

/**
 * Returns the descriptor, for options of the system.
 *
 * Errors:  ALOOP_EINVAL: `udp` is NULL;
 *          ALOOP_EBADF: it was closed outside the loop's control.
 * Memory:  the descriptor belongs to the socket.
 */
ALOOP_API int aloop_udp_fd(const aloop_udp *udp);

/** Makes a started socket keep the loop alive, as it does initially. */
ALOOP_API void aloop_udp_ref(aloop_udp *udp);

/** Stops a started socket from keeping the loop alive. */
ALOOP_API void aloop_udp_unref(aloop_udp *udp);

/**
 * Closes a socket and frees it.
 *
 * It takes effect immediately: no callback runs after this returns.  Queued
 * datagrams are passed to the system before, without waiting; those that it
 * does not take are lost.  Pending futures settle with ALOOP_ECANCELED.  NULL
 * is allowed.
 */
ALOOP_API void aloop_udp_close(aloop_udp *udp);

ALOOP_END

#endif
