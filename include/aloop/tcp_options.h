/* TCP: the options of listeners, connects and streams. */

#ifndef ALOOP_TCP_OPTIONS_H
#define ALOOP_TCP_OPTIONS_H

#include "aloop/address.h"
#include "aloop/base.h"
#include "aloop/listener.h"

ALOOP_BEGIN

/**
 * Holds the options of a TCP listener.
 *
 * Set `size` to sizeof(aloop_tcp_listen_options) and the fields that are
 * needed.  See aloop/options.h.
 */
typedef struct aloop_tcp_listen_options {
    size_t size; /* Bytes of this struct. */
    /* Connections that may wait to be accepted; the system has a limit of its
     * own.  Default: 4096. */
    int backlog;
    /* Lets several listeners, of one or several processes of one user, listen
     * at one address.  The system distributes the connections.  Linux and
     * FreeBSD support that. */
    bool reuse_port;
    /* Accepts IPv6 only.  Default: an IPv6 listener accepts IPv4 too. */
    bool ipv6_only;
} aloop_tcp_listen_options;

/**
 * Listens for TCP connections on a numeric address, with options.
 *
 * Otherwise it is like aloop_tcp_listen().
 *
 * A system that distributes the connections has given some of them to this
 * listener already, and resets them if it is closed.  Therefore the close of a
 * listener with `reuse_port` first accepts all that wait: it calls `on_stream`
 * for them, inside aloop_listener_close().  Without a callback, those for which
 * no aloop_listener_accept() is pending are reset.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument or an option is wrong, or `ipv6_only` is
 *          set for an address of IPv4;
 *          ALOOP_ENOTSUP: the system does not distribute connections;
 *          others: as for aloop_tcp_listen().
 * Memory:  copies the options.  The library owns the listener, until
 *          aloop_listener_close().
 */
ALOOP_API int aloop_tcp_listen_with(aloop *loop, const char *host,
                                    const char *port,
                                    aloop_listener_cb on_stream, void *arg,
                                    const aloop_tcp_listen_options *options,
                                    aloop_listener **ret_listener);

/**
 * Holds the options of a connect.
 *
 * Set `size` to sizeof(aloop_tcp_connect_options) and the fields that are
 * needed.  See aloop/options.h.
 */
typedef struct aloop_tcp_connect_options {
    size_t size; /* Bytes of this struct. */
    /* The local address, and the port if that is not 0.  Addresses of the other
     * family are not tried.  Default: the system selects one. */
    aloop_address local;
} aloop_tcp_connect_options;

/**
 * Connects to `host` and `port` by TCP, with options.
 *
 * Otherwise it is like aloop_tcp_connect().
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: an argument or an option is wrong;
 *          ALOOP_EADDRNOTAVAIL: the local address is not one of this machine;
 *          ALOOP_EADDRINUSE: the local port is in use;
 *          ALOOP_EAFNOSUPPORT: all addresses of `host` have the other family;
 *          others: as for aloop_tcp_connect().
 * Memory:  copies the options.  Otherwise as for aloop_tcp_connect().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_tcp_connect_with(
    aloop *loop, const char *host, const char *port,
    const aloop_tcp_connect_options *options, aloop_stream **ret_stream);

/*
 * The options of one stream; see also aloop_tcp_set_nodelay().  The errors:
 *
 *     ALOOP_EINVAL     a value is out of range, or `stream` is NULL
 *     ALOOP_ENOTSUP    the stream is not of TCP, or the system does not have
 *                      the option
 *     ALOOP_EBADF      the stream has no descriptor any more
 *     others           what the system reported
 */

/**
 * Sets whether an idle connection is probed (SO_KEEPALIVE), and how.
 *
 * After `probe_after_ns` without data a probe is sent every `interval_ns`.  If
 * `count` of them are not answered, the connection ends with ALOOP_ETIMEDOUT.
 *
 *     value                        effect
 *     more than 0                  is set; times are rounded up to seconds, and
 *                                  are at most 32767 seconds
 *     0                            the setting of the system, often 2 hours, 75
 *                                  seconds and 9
 *     `probe_after_ns` less        no probes are sent, as initially
 *     than 0
 *
 * OpenBSD has no settings of a connection, so that all three must be 0 there.
 *
 * Returns: 0, or an error of the list above.
 */
ALOOP_API int aloop_tcp_set_keepalive(aloop_stream *stream,
                                      int64_t probe_after_ns,
                                      int64_t interval_ns, int count);

/**
 * Limits how long sent bytes may wait for their acknowledgement.
 *
 * When `timeout_ns` have passed without one, the connection ends with
 * ALOOP_ETIMEDOUT (RFC 5482).  The time is rounded up to milliseconds, and on
 * macOS and FreeBSD to seconds; 0 selects the default of the system.  NetBSD
 * and OpenBSD have no such limit.
 *
 * Returns: 0, or an error of the list above.
 */
ALOOP_API int aloop_tcp_set_user_timeout(aloop_stream *stream,
                                         int64_t timeout_ns);

/**
 * Sets the sizes of the system's buffers of a connection, in bytes.
 *
 * 0 leaves a size as it is.  Linux doubles a size for its own use, limits it,
 * and no longer adapts the buffer to the connection.
 *
 * Returns: 0, or an error of the list above.
 */
ALOOP_API int aloop_tcp_set_buffers(aloop_stream *stream, size_t receive_size,
                                    size_t send_size);

/**
 * Sets the type of service, or traffic class, of packets: 0 to 255.
 *
 * Returns: 0, or an error of the list above.
 */
ALOOP_API int aloop_tcp_set_tos(aloop_stream *stream, int value);

ALOOP_END

#endif
