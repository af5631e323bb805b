/* TCP: listening and connecting.  See RFC 9293; connecting, RFC 8305. */

#ifndef ALOOP_TCP_H
#define ALOOP_TCP_H

#include "aloop/base.h"
#include "aloop/loop.h"

ALOOP_BEGIN

/** A peer has connected; `stream` is the callee's to close. */
typedef void (*aloop_listener_cb)(aloop_listener *listener,
                                  aloop_stream *stream, void *arg);

/**
 * Listens on a numeric address ("127.0.0.1", "::1"; NULL is every local one)
 * and a decimal port ("0": any free one, see aloop_listener_port).  Addresses
 * that a closed connection still holds are reused.
 *
 * "localhost" and names that end with ".localhost" mean 127.0.0.1, or ::1 on a
 * system without IPv4; no file and no server is asked (RFC 6761).  Any other
 * name of a host or service is refused with ALOOP_ENOTNUMERIC, because to look
 * it up could block.
 *
 * When descriptors or memory run out, or several accepts in a row fail for
 * whatever other reason, accepting stops for 100 ms and is then tried again.
 * Each such stretch is reported once to the loop's unhandled-error hook; it
 * ends with the next connection.
 *
 * Memory:  the library owns the listener, until aloop_listener_close().
 * Errors:  ALOOP_EINVAL, ALOOP_ENOTNUMERIC, ALOOP_EADDRINUSE, ALOOP_EACCES,
 *          ALOOP_EADDRNOTAVAIL, ALOOP_EMFILE, ALOOP_ENOMEM.
 */
ALOOP_API int aloop_tcp_listen(aloop *loop, const char *host,
                               const char *port, aloop_listener_cb on_stream,
                               void *arg, aloop_listener **ret_listener);

/** The port that it listens on; ALOOP_EINVAL for NULL. */
ALOOP_API int aloop_listener_port(const aloop_listener *listener);

/** The descriptor, still the listener's. */
ALOOP_API int aloop_listener_fd(const aloop_listener *listener);

/** A listener keeps the loop alive unless unreferenced.  Idempotent. */
ALOOP_API void aloop_listener_ref(aloop_listener *listener);
ALOOP_API void aloop_listener_unref(aloop_listener *listener); /**< See ref. */

/** Final at once; streams that it accepted go on.  NULL is allowed. */
ALOOP_API void aloop_listener_close(aloop_listener *listener);

/**
 * Connects to `host` (a name, or a numeric address, for which no thread is
 * used) and `port` (a number or a service name).  Where there are several
 * addresses they race, IPv6 and IPv4 in turn, 250 ms apart or as soon as the
 * one before has failed (RFC 8305, section 5); the first to connect wins.
 *
 * A connect has succeeded when there is a peer.  A connection whose two ends
 * are the same address and port, which TCP makes where nothing listens on a
 * port that the system picked for this very socket, counts as refused.
 *
 * A name is looked up on a thread, for as long as the system's resolver takes.
 * When the connect is cancelled or its time is over it settles immediately; the
 * thread ends when the resolver returns, and makes room for another one until
 * then (see aloop_options.resolver_threads).
 *
 * `*ret_stream` is written before the future settles with 0, and then is the
 * caller's to close, also where nobody looks at the future any more.
 *
 * Status:  0; the error of the last attempt to fail (ALOOP_ECONNREFUSED,
 *          ALOOP_ETIMEDOUT, ...); ALOOP_EHOSTNOTFOUND, ALOOP_EAGAINDNS,
 *          ALOOP_ERESOLVE from the look-up; ALOOP_EAGAIN where no thread can
 *          be had for it; ALOOP_ENAMETOOLONG for more than 253 bytes, not
 *          counting a dot at the end.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_tcp_connect(aloop *loop, const char *host,
                                          const char *port,
                                          aloop_stream **ret_stream);

/** Whether small writes leave at once (TCP_NODELAY); at first they do. */
ALOOP_API int aloop_tcp_set_nodelay(aloop_stream *stream, bool on);

ALOOP_END

#endif
