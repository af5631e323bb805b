/* Listeners, which accept the connections of peers.
 *
 * aloop_tcp_listen() and aloop_unix_listen() start one, with a callback or with
 * NULL instead:
 *
 *     callback     it is called for each connection
 *     NULL         each connection needs an aloop_listener_accept(); until then
 *                  it waits in the backlog of the system
 *
 * If descriptors or memory are exhausted, or several accepts in a row fail for
 * any other reason, accepting stops for 100 ms and is then tried again.  Each
 * such period is reported once to on_unhandled; it ends with the next
 * connection. */

#ifndef ALOOP_LISTENER_H
#define ALOOP_LISTENER_H

#include "aloop/address.h"
#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Receives the stream of a peer that has connected.
 *
 * Memory:  the callback takes over `stream`, and closes it in the end.
 * Context: a turn of the loop, or the close of a listener with `reuse_port`
 *          (tcp_options.h).  The callback may close the listener.
 */
typedef void (*aloop_listener_cb)(aloop_listener *listener,
                                  aloop_stream *stream, void *arg);

/**
 * Makes a listener of a descriptor that listens already.
 *
 * It may be a socket of TCP or a Unix socket, such as one that systemd passes
 * (sd_listen_fds(3)).  It becomes non-blocking and close-on-exec, and gets
 * TCP_NODELAY, which accepted connections inherit.  Other processes that share
 * the socket share these properties, except close-on-exec.  A path is not
 * removed when the listener is closed.
 *
 * `on_stream` may be NULL; see aloop_listener_accept().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: the socket does not listen, or an argument is NULL;
 *          ALOOP_EBADF: `fd` is not open;
 *          ALOOP_ENOTSUP: `fd` is no socket of a stream;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  the listener takes `fd` over.  After an error it is still the
 *          caller's.
 */
ALOOP_API int aloop_listener_adopt(aloop *loop, int fd,
                                   aloop_listener_cb on_stream, void *arg,
                                   aloop_listener **ret_listener);

/**
 * Accepts a connection.
 *
 * Several accepts may be pending; the one that waits longest gets the next
 * connection.  An accept that is cancelled takes no connection.  It fails
 * neither for lack of descriptors or memory in the system, nor because a peer
 * has disconnected before it was accepted (see the beginning of this file).
 * Therefore a server may end its loop at the first error.
 *
 * A listener without a callback keeps the loop alive only while an accept is
 * pending.
 *
 * Status:  0.
 * Errors:  ALOOP_ECANCELED: the listener was closed, or the accept cancelled.
 *          An await returns ALOOP_EABORTED instead if the caller was not
 *          cancelled;
 *          ALOOP_EBADF: the listener has no descriptor any more: the number was
 *          closed by other code;
 *          ALOOP_EINVAL: the listener has a callback, or an argument is NULL;
 *          ALOOP_ENOMEM: there is no memory for the future itself.
 * Memory:  borrows *ret_stream until the future settles.  It is written before
 *          the future settles with 0.  The stream is then the caller's to
 *          close, even if the future was dropped.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_listener_accept(aloop_listener *listener,
                                              aloop_stream **ret_stream);

/**
 * Stores the address that a listener listens on.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAFNOSUPPORT: the listener is one of Unix sockets;
 *          ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_EBADF: the listener has no descriptor any more.
 */
ALOOP_API int aloop_listener_address(const aloop_listener *listener,
                                     aloop_address *ret_address);

/**
 * Returns the port that a listener listens on.
 *
 * It is 0 for a listener of Unix sockets.
 *
 * Errors:  ALOOP_EINVAL: `listener` is NULL;
 *          ALOOP_EBADF: the listener has no descriptor any more.
 */
ALOOP_API int aloop_listener_port(const aloop_listener *listener);

/**
 * Returns the descriptor of a listener.
 *
 * Errors:  ALOOP_EINVAL: `listener` is NULL;
 *          ALOOP_EBADF: the listener has no descriptor any more.
 * Memory:  the descriptor belongs to the listener.
 */
ALOOP_API int aloop_listener_fd(const aloop_listener *listener);

/**
 * Makes a listener keep the loop alive, as it does initially.
 *
 * A second call has no effect.
 */
ALOOP_API void aloop_listener_ref(aloop_listener *listener);

/**
 * Stops a listener from keeping the loop alive.
 *
 * The listener itself continues.  A second call has no effect.
 */
ALOOP_API void aloop_listener_unref(aloop_listener *listener);

/**
 * Closes a listener.
 *
 * It takes effect immediately: no callback runs after this returns.  Pending
 * accepts settle with ALOOP_ECANCELED.  Streams that the listener accepted
 * continue.  The call has no effect on the listener of a server (server.h).
 * NULL is allowed.
 *
 * Memory:  `listener` is no longer valid.
 */
ALOOP_API void aloop_listener_close(aloop_listener *listener);

ALOOP_END

#endif
