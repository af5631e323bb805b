/* TCP: listening and connecting.  See RFC 9293; for connecting, RFC 8305. */

#ifndef ALOOP_TCP_H
#define ALOOP_TCP_H

#include "aloop/address.h"
#include "aloop/base.h"
#include "aloop/listener.h"

ALOOP_BEGIN

/**
 * Listens for TCP connections on a numeric address and port.
 *
 *     `host`                      address
 *     "127.0.0.1", "::1", ...     this one
 *     NULL                        every local address
 *     "localhost", names that     127.0.0.1, or ::1 on a system without IPv4;
 *     end with ".localhost"       no file and no server is consulted (RFC 6761)
 *     any other name              none: a look-up could block
 *
 * `port` is decimal; "0" selects a free port, see aloop_listener_port().
 * Addresses that a closed connection still occupies are reused.
 *
 * `on_stream` may be NULL; see aloop_listener_accept().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENOTNUMERIC: `host` or `port` is a name;
 *          ALOOP_EADDRINUSE: another socket listens there;
 *          ALOOP_EADDRNOTAVAIL: the address is not local;
 *          ALOOP_EACCES: the port is reserved;
 *          ALOOP_EMFILE: no more descriptors;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  the library owns the listener, until aloop_listener_close().
 */
ALOOP_API int aloop_tcp_listen(aloop *loop, const char *host, const char *port,
                               aloop_listener_cb on_stream, void *arg,
                               aloop_listener **ret_listener);

/**
 * Listens for TCP connections on an address.
 *
 * Otherwise it is like aloop_tcp_listen().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `address` has no family, or an argument is NULL;
 *          ALOOP_ENODEV, ...: the interface of a link-local address does not
 *          exist;
 *          others: as for aloop_tcp_listen().
 * Memory:  the library owns the listener, until aloop_listener_close().
 */
ALOOP_API int aloop_tcp_listen_address(aloop *loop,
                                       const aloop_address *address,
                                       aloop_listener_cb on_stream, void *arg,
                                       aloop_listener **ret_listener);

/**
 * Connects to `host` and `port` by TCP.
 *
 * `host` is a name, or a numeric address, which needs no thread.  `port` is a
 * number or the name of a service.  If there are several addresses they race,
 * IPv6 and IPv4 in turn, 250 ms apart or as soon as the one before has failed
 * (RFC 8305, section 5).  The first to connect wins.
 *
 * A connect has succeeded when there is a peer.  A connection whose two ends
 * are the same address and port counts as refused.  TCP makes such a connection
 * where nothing listens on a port that the system picked for this very socket.
 *
 * A name is looked up on a thread, for as long as the system's resolver takes.
 * A connect that is cancelled or timed out settles immediately.  The thread
 * ends when the resolver returns, and another one may take its place until then
 * (see aloop_options.resolver_threads).
 *
 * Status:  0.
 * Errors:  ALOOP_EHOSTNOTFOUND: there is no such host or service;
 *          ALOOP_EAGAINDNS: the look-up failed temporarily;
 *          ALOOP_ERESOLVE: the look-up failed;
 *          ALOOP_EAGAIN: no thread is available for the look-up;
 *          ALOOP_ENAMETOOLONG, ALOOP_ENODEV, ALOOP_EINVAL: `host` or `port`
 *          cannot be a name, see aloop_resolve(), or an argument is wrong;
 *          ALOOP_ENOMEM: out of memory;
 *          ALOOP_ECONNREFUSED, ALOOP_ETIMEDOUT: the last attempt failed;
 *          others: what the last attempt failed with.
 * Memory:  borrows *ret_stream until the future settles.  It is written before
 *          the future settles with 0.  The stream is then the caller's to
 *          close, even if the future was dropped.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_tcp_connect(aloop *loop, const char *host,
                                          const char *port,
                                          aloop_stream **ret_stream);

/**
 * Connects to an address by TCP.
 *
 * Otherwise it is like aloop_tcp_connect() with a numeric address.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `address` has no family, or an argument is NULL;
 *          others: as for aloop_tcp_connect().
 * Memory:  copies `address`.  *ret_stream is as for aloop_tcp_connect().
 * See:     aloop_resolve().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_tcp_connect_address(aloop *loop,
                                                  const aloop_address *address,
                                                  aloop_stream **ret_stream);

/**
 * Sets whether small writes are sent immediately (TCP_NODELAY).
 *
 * They are initially.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ENOTSUP: the stream is not of TCP;
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          others: what the system reported.
 * See:     aloop/tcp_options.h for other options.
 */
ALOOP_API int aloop_tcp_set_nodelay(aloop_stream *stream, bool is_on);

ALOOP_END

#endif
