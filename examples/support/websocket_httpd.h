/* WebSocket connections of the HTTP server: the handshake (RFC 6455, 4.2). */

#ifndef EXAMPLES_WEBSOCKET_HTTPD_H
#define EXAMPLES_WEBSOCKET_HTTPD_H

#include "httpd.h"
#include "websocket_stream.h"

/* Which pages may connect.  Browsers send the origin of the page, and let any
 * page connect to any server, with the cookies of that server. */
struct websocket_origins {
    const char *const *list; /* "https://example.org", "null" */
    size_t count;            /* 0: all may. */
};

/* Turns a request into a connection, or answers why it does not.
 *
 *     request                                             answer
 *     not an upgrade to "websocket", or another version   426
 *     no key, two, or a wrong one; wrong in another way   400
 *     a browser's, from a page that is not in the list    403
 *     others                                              101
 *
 * No extension and no subprotocol is accepted.  Returns 1 if *ret is a
 * connection, which websocket_end() has to end; otherwise what the handler
 * should return.
 *
 * Context: a handler of the server. */
ssize_t websocket_upgrade(struct httpd_request *request,
                          const struct websocket_options *options,
                          const struct websocket_origins *origins,
                          struct websocket_stream *ret);

#endif
