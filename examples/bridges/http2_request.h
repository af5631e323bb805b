/* Connections of HTTP/2 and their requests, for the parts of the bridge. */

#ifndef BRIDGES_HTTP2_REQUEST_H
#define BRIDGES_HTTP2_REQUEST_H

#include <nghttp2/nghttp2.h>

#include "http2.h"

/* A connection.  The user data of a stream in the session is its answer, or
 * NULL after the request has settled.  Answers are in the memory of the caller,
 * so that nothing refers to one then. */
struct http2 {
    aloop *loop;
    aloop_stream *stream;
    nghttp2_session *session;
    aloop_future *drain; /* Not NULL: output waits for it. */
    int error;           /* Has ended the connection, or 0. */
    uint32_t end_code;   /* That of GOAWAY. */
    bool is_ending;      /* The server has sent GOAWAY. */
    bool is_inside;      /* A function of the session runs. */
    bool is_freed;       /* By a callback inside of the session. */
    bool is_secure;
    size_t streams_max;
    size_t streams;               /* Those that are open. */
    struct http2_answer *active;  /* Rings: those with a stream, */
    struct http2_answer *waiting; /* and those that wait, the oldest first. */
    char authority[];
};

/* Makes a connection without a session, of which only the authority is set.
 * Returns 0, ALOOP_EINVAL or ALOOP_ENOMEM. */
int http2_new_connection(const http2_options *options, http2 **ret);

/* Opens a stream for the oldest request that waits, if there may be one more.
 * A request that cannot be made settles.  Returns whether there was one. */
bool http2_open_stream(http2 *connection);

/* Settles a request.  Its stream, if it is still open, is reset with `code`,
 * unless that is negative. */
void http2_settle(struct http2_answer *answer, ssize_t status, int64_t code);

/* Ends a connection because of an error; every request settles. */
void http2_end(http2 *connection, int error);

/* Does what an event has caused: it sends what the session has, and ends the
 * connection if nothing is left to do.  The caller must not use the connection
 * any more, because it may have been freed. */
void http2_run(http2 *connection);

#endif
