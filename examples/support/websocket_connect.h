/* WebSocket connections to a server: the handshake (RFC 6455, 4.1). */

#ifndef EXAMPLES_WEBSOCKET_CONNECT_H
#define EXAMPLES_WEBSOCKET_CONNECT_H

#include "http_input.h"
#include "websocket_stream.h"

struct websocket_client {
    struct websocket_stream socket;
    struct http_input input; /* Its buffer is that of the socket. */
    const char *why;         /* After a failure, in words. */
};

/* Connects to "ws://host:port/path", within options->answer_ns.
 *
 * A server whose answer is not 101, or accepts another key, an extension or a
 * subprotocol, is refused: none was offered.  Returns 0; ALOOP_EPROTO: the
 * answer is wrong; or an error of the library or of HTTP.
 *
 * Context: a task. */
ssize_t websocket_connect(aloop *loop, const char *url,
                          const struct websocket_options *options,
                          struct websocket_client *ret);

/* Ends a connection with websocket_end(), and closes its stream.  Returns the
 * result of that. */
ssize_t websocket_disconnect(struct websocket_client *client, ssize_t status,
                             int code, const char *reason);

#endif
