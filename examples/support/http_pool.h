/* The connections of an HTTP session. */

#ifndef EXAMPLES_HTTP_POOL_H
#define EXAMPLES_HTTP_POOL_H

#include "http_session.h"

struct http_origin;

struct http_connection {
    struct http_origin *origin;
    aloop_stream *stream;
    struct http_connection *next; /* In the list of idle ones. */
    int64_t idle_since_ns;
    void *tls;     /* What options.secure has set, or NULL. */
    bool was_kept; /* It has had a request before the present one. */
    struct http_head head;
    struct http_input input;
};

struct http_session {
    aloop *loop;
    struct http_session_options options;
    struct http_origin *origins; /* Those with connections or requests. */
    aloop_timer *sweep;          /* Closes idle connections. */
    size_t users;                /* Requests that have not been closed. */
    size_t idle_count;           /* Idle connections of all origins. */
    bool is_closed;
};

/* Gets reply->connection, to the origin of reply->url: an idle one, unless
 * `is_new` is true, or a new one, if necessary after waiting until there are
 * fewer.  reply->step is updated, and after an error reply->words. */
ssize_t http_pool_get(struct http_reply *reply, bool is_new);

/* Returns the words of TLS for an error, or NULL. */
const char *http_pool_words(const http_session *session, const void *tls,
                            ssize_t error);

/* Gives a connection back.  It is kept if `is_whole`, which means that the
 * request was sent and the reply was read, and if head.is_kept.  Otherwise it
 * is closed. */
void http_pool_put(struct http_connection *connection, bool is_whole);

/* Frees the session if it was closed and nothing uses it any more. */
void http_pool_leave(http_session *session);

#endif
