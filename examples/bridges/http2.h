/* A client of HTTP/2, by nghttp2: a bridge to copy into a program.
 *
 * Any number of requests share one connection.  Each is an operation, so that
 * it can be awaited, gathered, cancelled, and given a limit by aloop_timeout()
 * or by a deadline of the task:
 *
 *     http2_options options = {.authority = "example.org"};
 *     struct http2_request request = {.path = "/index.html"};
 *     struct http2_answer answer;
 *     http2 *connection;
 *
 *     status = http2_start(loop, stream, &options, &connection);
 *     ...
 *     status = aloop_await(aloop_timeout(
 *         http2_request(connection, &request, &answer), ALOOP_SEC(10)));
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", http2_error(&answer, status));
 *     else
 *         printf("%d, %zu bytes\n", answer.status, answer.body.size);
 *     http2_answer_free(&answer);
 *     ...
 *     http2_close(connection);
 *
 * The stream is a connection to a server that is known to speak HTTP/2, or one
 * with TLS on which both ends have agreed on it; see bridges/tls.h:
 *
 *     tls_set_alpn(context, TLS_ALPN_H2);
 *     status = aloop_await(tls_start(stream, context, &client, &ssl));
 *     SSL_get0_alpn_selected(ssl, &name, &size);   // has to be "h2"
 *
 * What bounds the memory of a connection:
 *
 *     header fields of an answer      HTTP2_HEAD_MAX
 *     body of an answer               request.body_max; with request.on_body,
 *                                     HTTP2_WINDOW that are not consumed
 *     output                          64 KiB, a frame for each stream, and
 *                                     1,000 answers to PING and SETTINGS; a
 *                                     server that causes more and reads none is
 *                                     disconnected (ALOOP_EPROTO)
 *     requests at a time              options.streams_max, and what the server
 *                                     allows; others wait, in their order
 *
 * A server that pushes is disconnected.  A connection that is idle does not
 * keep the loop alive, and its end is noticed immediately. */

#ifndef BRIDGES_HTTP2_H
#define BRIDGES_HTTP2_H

#include "http2_answer.h"

enum {
    HTTP2_FIELDS_MAX = 32,      /* Of a request, in addition to its own. */
    HTTP2_HEAD_MAX = 64 * 1024, /* Bytes of all fields of an answer. */
    HTTP2_WINDOW = 256 * 1024,  /* Bytes that a stream may be ahead. */
    HTTP2_BODY_MAX = 16 << 20,  /* The default of body_max. */
    HTTP2_STREAMS_MAX = 100     /* The default of streams_max. */
};

typedef struct http2 http2;

typedef struct http2_options {
    /* The host, and the port if it is not that of the scheme: "example.org",
     * "127.0.0.1:8080", "[::1]:8080". */
    const char *authority;
    bool is_secure;     /* The stream has TLS: https instead of http. */
    size_t streams_max; /* Requests at a time; 0: HTTP2_STREAMS_MAX. */
} http2_options;

struct http2_field {
    const char *name; /* In lower case. */
    const char *value;
    /* The value is a secret, such as a password: no table for compression
     * contains it. */
    bool is_secret;
};

/**
 * Receives a part of the body.
 *
 * Returns: how many bytes were consumed, up to `size`.  The server may send
 *          HTTP2_WINDOW more than were consumed; http2_consume() consumes the
 *          others later.  An error ends the request, which settles with it.
 * Memory:  `data` is borrowed until the callback returns.
 * Context: a turn of the loop.  The callback may make, cancel and consume
 *          requests and free the connection.
 */
typedef ssize_t (*http2_body_cb)(struct http2_answer *answer, const void *data,
                                 size_t size, void *arg);

/* A request; a member that is zero has the default. */
struct http2_request {
    const char *method; /* Default: GET, or POST if there is a body. */
    const char *path;   /* With the query: "/search?q=loop".  Required. */
    const struct http2_field *fields; /* Such as {"accept", "text/html"}. */
    size_t field_count;
    const void *body; /* The content-length is sent with it. */
    size_t body_size;
    size_t body_max; /* Of the answer; default: HTTP2_BODY_MAX. */
    /* Is given the body, instead of answer->body.  Default: none. */
    http2_body_cb on_body;
    void *arg;
};

/**
 * Starts HTTP/2 on a stream, as a client.
 *
 * It does not wait for the server.  Whether that speaks HTTP/2 shows with the
 * first request.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument or the authority is NULL, or the authority
 *          is empty or has characters that HTTP does not allow there;
 *          ALOOP_ENOMEM: out of memory;
 *          others: as for aloop_stream_start().
 * Memory:  the stream belongs to the connection, also after an error, which
 *          closes it.  `options` and the authority are copied.  The caller
 *          calls http2_close() for *ret, which is NULL after an error.
 */
int http2_start(aloop *loop, aloop_stream *stream, const http2_options *options,
                http2 **ret);

/**
 * Makes a request.
 *
 * A cancel resets its stream.  The connection and the other requests are not
 * affected.  An answer that is complete before the request's body was sent ends
 * the request.
 *
 *     what ends the connection          a request with a     one that waits
 *                                       stream settles with  settles with
 *     the server announces it           -, or                HTTP2_EREFUSED
 *     (GOAWAY)                          HTTP2_EREFUSED
 *     the server ends or resets it      ALOOP_EOF, or the    HTTP2_EREFUSED
 *                                       error of the stream
 *     the server ends it and has sent   HTTP2_ERESET         HTTP2_EREFUSED
 *     a reason (GOAWAY)
 *     a violation of the protocol       ALOOP_EPROTO         HTTP2_EREFUSED
 *     http2_close()                     HTTP2_ECLOSED        HTTP2_ECLOSED
 *
 * "-" means that the server answers the requests that it has begun.
 *
 * Status:  the status of the answer, from 200 to 999.
 * Errors:  HTTP2_EREFUSED: the server has not processed the request; it may be
 *          repeated, on another connection if http2_status() is an error;
 *          HTTP2_ERESET: the server has reset the stream, or has broken the
 *          protocol on it; see answer->reset_code;
 *          HTTP2_ETOOLARGE: the answer is larger than a limit;
 *          ALOOP_EINVAL: the path is missing, or the request has text that HTTP
 *          does not allow, or an argument is NULL;
 *          ALOOP_ENOMEM: out of memory, or `connection` is NULL;
 *          others: see above.
 * Memory:  `request`, what it refers to, and `answer` are borrowed until the
 *          future settles.  The caller then calls http2_answer_free(), also
 *          after an error.
 */
ALOOP_MUST_USE
aloop_future *http2_request(http2 *connection,
                            const struct http2_request *request,
                            struct http2_answer *answer);

/**
 * Consumes bytes that on_body has kept, so that the server may send more.
 *
 * The request has to be pending.
 */
void http2_consume(struct http2_answer *answer, size_t size);

/**
 * Returns 0 if a connection can make requests.
 *
 * Errors:  ALOOP_EINVAL: `connection` is NULL;
 *          HTTP2_EREFUSED: the server has announced the end;
 *          others: what has ended the connection, as above.
 */
int http2_status(const http2 *connection);

/**
 * Ends a connection, and frees it.
 *
 * Pending requests settle with HTTP2_ECLOSED.  It is called before
 * aloop_free(), or by a task that this ends.  NULL is allowed.
 */
void http2_close(http2 *connection);

#endif
