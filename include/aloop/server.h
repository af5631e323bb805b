/* Servers: each connection is served by a task.
 *
 * A server consists of a listener and a group of tasks.  An error of one
 * connection is never an error of the server: it is reported to on_unhandled,
 * and the others continue.  A connection for whose task there is no memory is
 * aborted, and reported once until the next one is served. */

#ifndef ALOOP_SERVER_H
#define ALOOP_SERVER_H

#include "aloop/base.h"
#include "aloop/listener.h"
#include "aloop/tcp_options.h"

ALOOP_BEGIN

/**
 * Serves one connection.
 *
 * A result less than 0 is reported to on_unhandled, except ALOOP_ECANCELED.
 * After a cancel the function should end soon; see aloop_server_stop().
 *
 * Memory:  the function takes over `stream`, and closes it in the end.
 * Context: a task of its own.
 */
typedef ssize_t (*aloop_server_fn)(aloop *loop, aloop_stream *stream,
                                   void *arg);

/**
 * Holds the options of a server.
 *
 * Set `size` to sizeof(aloop_server_options) and the fields that are needed.
 * See aloop/options.h.
 */
typedef struct aloop_server_options {
    size_t size; /* Bytes of this struct. */
    /* Connections that are served simultaneously.  More of them wait in the
     * backlog of the system.  Default: no limit, because only the application
     * knows how many descriptors and how much memory a connection needs.  Then
     * a server accepts until no descriptor is left, and continues when there
     * are some (see aloop/listener.h).  Meanwhile other code cannot open any,
     * so that a server whose connections open files or connections of their
     * own needs a limit: that of the process (RLIMIT_NOFILE), less what the
     * rest of the program uses, divided by the number for each connection. */
    size_t connections_max;
    /* Usable bytes of each task's stack.  Default: aloop_options.stack_size of
     * the loop. */
    size_t stack_size;
    /* Options of the listener, for aloop_tcp_serve() only.  NULL: the
     * defaults. */
    const aloop_tcp_listen_options *listen;
} aloop_server_options;

/**
 * Serves TCP connections, each in a task of its own.
 *
 * `host` and `port` are as for aloop_tcp_listen().  The server keeps the loop
 * alive until it is stopped.  The end of the root task of aloop_main() does not
 * wait for that: it cancels the connections.  So the root task waits first, for
 * example for a signal, and then for aloop_server_stop().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument or an option is wrong;
 *          others: as for aloop_tcp_listen_with().
 * Memory:  copies the options.  The library owns the server, until the future
 *          of aloop_server_stop() settles, or until aloop_free().
 * Example: aloop_tcp_serve(loop, NULL, "80", serve, NULL, NULL, &server);
 *          aloop_await(aloop_signal_wait(loop, SIGTERM));
 *          aloop_await(aloop_server_stop(server, ALOOP_SEC(10)));
 */
ALOOP_API int aloop_tcp_serve(aloop *loop, const char *host, const char *port,
                              aloop_server_fn fn, void *arg,
                              const aloop_server_options *options,
                              aloop_server **ret_server);

/**
 * Serves the connections of a listener, each in a task of its own.
 *
 * The listener may be of any kind.  It must have been started with NULL as its
 * callback, and no aloop_listener_accept() may be pending.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument or an option is wrong, `options` has
 *          options of a listener, or the listener has a callback;
 *          ALOOP_EBUSY: an accept is pending;
 *          ALOOP_EBADF: the listener has no descriptor any more;
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the server takes the listener over, so that aloop_listener_close()
 *          has no effect.  After an error it is still the caller's.  Otherwise
 *          as for aloop_tcp_serve().
 */
ALOOP_API int aloop_listener_serve(aloop_listener *listener, aloop_server_fn fn,
                                   void *arg,
                                   const aloop_server_options *options,
                                   aloop_server **ret_server);

/**
 * Returns the listener of a server, for its address and port.
 *
 * Returns: NULL if `server` is NULL or is being stopped.
 * Memory:  the listener belongs to the server, until aloop_server_stop().
 *          aloop_listener_close() has no effect on it.
 */
ALOOP_API aloop_listener *aloop_server_listener(aloop_server *server);

/** Returns how many connections are served; 0 for NULL. */
ALOOP_API size_t aloop_server_count(const aloop_server *server);

/**
 * Ends a server.
 *
 * No connection is accepted any more, from this call on.  The open ones have
 * `grace_ns` to end by themselves.  Then their tasks are cancelled, and
 * awaited.  A cancel of the future ends the time early.
 *
 * Connections that wait in the backlog are reset.  Those of a listener with
 * `reuse_port` are served instead, see aloop_tcp_listen_with().
 *
 * A task that serves a connection cannot await this future, because each would
 * wait for the other (ALOOP_EDEADLK).  It may detach the future.  A stop needs
 * no memory: what it uses was reserved when the server began.
 *
 * Status:  the number of connections that were cancelled; it is 0 if all have
 *          ended by themselves.
 * Errors:  ALOOP_ECANCELED: it was cancelled, and all connections have ended;
 *          ALOOP_EBUSY: the server is being stopped already;
 *          ALOOP_EINVAL: `server` is NULL, or grace_ns is negative.
 * Memory:  `server` is valid until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_server_stop(aloop_server *server,
                                          int64_t grace_ns);

ALOOP_END

#endif
