/* An HTTP/1.1 client session: requests over connections that are kept.
 *
 *     http_session *session = http_session_new(loop, NULL);
 *     struct http_request request = {.url = "http://example.org/"};
 *     struct http_page page;
 *     ssize_t status = aloop_await(http_fetch(session, &request, &page));
 *
 *     if (status >= 0)
 *         printf("%d, %zu bytes\n", page.reply.status, page.size);
 *     else
 *         fprintf(stderr, "%s: %s\n", http_step_name(page.reply.step),
 *                 http_error(&page.reply, status));
 *     http_page_free(&page);
 *     http_session_free(session);
 *
 * http_fetch() is a future and collects the body in memory.  A task that wants
 * the body piece by piece calls http_open(), http_read() and http_close().
 *
 * A session has no time limit.  Use aloop_timeout() or aloop_deadline_begin(),
 * or cancel the task or the future; the connection is then closed.
 *
 * What a session does not do: it does not decode compressed bodies (it sends
 * "Accept-Encoding: identity" and gives what arrives), and it has no cookies,
 * no proxies and no HTTP/2.
 *
 * The session comes with these files, which do not depend on other examples:
 * http_session, http_pool, http_exchange, http_head, http_body, http_input,
 * http_error and url. */

#ifndef EXAMPLES_HTTP_SESSION_H
#define EXAMPLES_HTTP_SESSION_H

#include <aloop.h>

#include "http_body.h"
#include "http_error.h"
#include "url.h"

typedef struct http_session http_session;
struct http_connection;

/* Options of a session; a field that is zero has the default. */
struct http_session_options {
    /* Connections to one origin (scheme, host and port); requests beyond that
     * wait, in their order.  Default: 6. */
    size_t connections_max;
    /* Bytes of a reply's header, with interim replies and trailers.  Default:
     * 64 KiB.  A line has at most 8 KiB. */
    size_t head_max;
    /* How long a connection without a request is kept, at least; it is closed
     * before twice this time.  Default: 15 s. */
    int64_t idle_ns;
    /* Connections without a request, to all origins together; the one that has
     * had none for longest is closed for another.  Default: 100, or
     * connections_max if that is more. */
    size_t idle_max;
    /* The User-Agent of requests that have none.  Default: "libaloop". */
    const char *agent;
    /* Starts TLS on a connected stream, for https://, and returns a future with
     * the result.  If it fails, the session closes the stream.  `host` is the
     * name or address that the certificate has to have, and `port` the decimal
     * port of the origin.  Both are valid until the call returns.  Default:
     * https:// is HTTP_EHTTPS. */
    aloop_future *(*secure)(aloop_stream *stream, const char *host,
                            const char *port, void *arg, void **ret_tls);
    /* Describes an error of the stream, before the session closes it.  `tls` is
     * what `secure` has set.  Returns a text that stays valid, or NULL if TLS
     * is not the reason.  Default: always NULL. */
    const char *(*secure_error)(const void *tls, ssize_t error);
    void *secure_arg;
};

/* Makes a session.  `options` may be NULL, and is copied except for `agent`.
 * Returns NULL if out of memory. */
http_session *http_session_new(aloop *loop,
                               const struct http_session_options *options);

/* Closes the kept connections and frees the session; the latter happens after
 * the last http_close() if replies are still open in other tasks.  An
 * http_open() of theirs that needs a new connection returns HTTP_ECLOSED.
 * Futures of http_fetch() have to be settled.  It is called before
 * aloop_free().  NULL is allowed. */
void http_session_free(http_session *session);

struct http_field {
    const char *name;
    const char *value;
};

/* Gives the next bytes of a request's body.  It may await.  Returns 1 to `size`
 * bytes, 0 at the end, or an error, which ends the request. */
typedef ssize_t (*http_source_cb)(void *buffer, size_t size, void *arg);

/* Makes a source begin again.  Returns 0 or an error, which ends the
 * request. */
typedef int (*http_rewind_cb)(void *arg);

/* A request; a field that is zero has the default.  It is borrowed until
 * http_close(), or until the future of http_fetch() settles. */
struct http_request {
    const char *method; /* Default: "GET". */
    const char *url;    /* http:// or https:// */

    /* Further fields of the header.  The session writes Host, Connection,
     * Content-Length, Transfer-Encoding, Expect, TE and Upgrade itself, so that
     * these are refused.  Authorization, Cookie and Proxy-Authorization are not
     * sent to another origin after a redirect. */
    const struct http_field *fields;
    size_t field_count;

    /* The body: `body_size` bytes at `body`; or, if there is a `source`, what
     * that gives, which has to be `body_size` bytes, or if that is 0 any
     * number, which is sent in chunks.  Without a `rewind` a body from a source
     * is sent only once: a redirect that needs it again is HTTP_EREWIND. */
    const void *body;
    uint64_t body_size;
    http_source_cb source;
    http_rewind_cb rewind;
    void *source_arg;

    /* Asks the server whether it wants the body (Expect: 100-continue), and
     * waits for its answer for at most a second. */
    bool has_expectation;
    /* Allows to send a method other than GET, HEAD, PUT, DELETE, OPTIONS and
     * TRACE twice, if a kept connection turned out to be closed and not a byte
     * of a reply has arrived.  The server may have acted on the first one. */
    bool is_repeatable;

    /* Redirects to follow.  Default: 10.  -1: none, so that a redirect is a
     * reply as others. */
    int redirects_max;
    /* Bytes of the reply's body.  Default: 16 MiB for http_fetch(), and no
     * limit for http_open(). */
    uint64_t body_max;
};

/* A reply.  The caller provides the memory and reads the first fields. */
struct http_reply {
    int status;          /* 200, 404, ... */
    int64_t length;      /* Content-Length, or -1. */
    unsigned redirects;  /* How many were followed. */
    enum http_step step; /* The latest step: after an error, the failed one. */
    struct url url;      /* Of the last request, after redirects. */

    /* The rest belongs to the session. */
    http_session *session; /* NULL after http_close(). */
    const struct http_request *request;
    struct http_connection *connection; /* NULL: none. */
    const char *words;                  /* Of TLS, for the latest error. */
    struct http_body body;
    const char *method;  /* GET after some redirects. */
    uint64_t body_max;   /* Bytes of the reply's body. */
    size_t head_budget;  /* Bytes that the header may still have. */
    unsigned interim;    /* Interim replies to the present request. */
    bool has_body;       /* The request has a body, until such a redirect. */
    bool has_head;       /* The header of the reply was read. */
    bool was_read;       /* The source has to be rewound. */
    bool has_failed;     /* The latest error is that of the source. */
    bool is_foreign;     /* A redirect has led to another origin. */
    bool is_body_unsent; /* The connection cannot be kept. */
};

/* Sends a request and reads the header of the reply.
 *
 * A redirect is followed if it has a Location, to any http:// or https:// URL,
 * also of another host: 303 becomes a GET (but HEAD stays), POST becomes a GET
 * after 301 and 302, and otherwise method and body stay.
 *
 * If a connection was kept and ends before the first byte of a reply, the
 * request is sent once more on a new connection, unless the method forbids
 * that; see `is_repeatable`.
 *
 * Returns 0, also for a status such as 404, and the caller then calls
 * http_close().  Otherwise returns an HTTP_E... or ALOOP_E... code, or the
 * error of a source; only ret->step and ret->url are valid then.  It awaits, so
 * it is called in a task (or outside of any task, while the loop does not
 * run). */
ssize_t http_open(http_session *session, const struct http_request *request,
                  struct http_reply *ret);

/* Reads the next bytes of the body.  Returns 1 to `size` bytes, 0 at the end,
 * or an error, which is ALOOP_EINVAL if `size` is 0 or the reply is closed.
 * The body of a reply to HEAD is empty.  It awaits. */
ssize_t http_read(struct http_reply *reply, void *buffer, size_t size);

/* Returns the value of the first field with that name, in any case of letters,
 * or NULL.  It is valid until http_close(). */
const char *http_reply_field(const struct http_reply *reply, const char *name);

/* Returns a short English description of an error that a function has returned
 * for this reply.  If TLS is the reason, it shows why, for example "certificate
 * has expired".  It is allowed after http_close(), too. */
const char *http_error(const struct http_reply *reply, ssize_t error);

/* Ends a reply.  The connection is kept if the whole body was read, and closed
 * otherwise.  It does not await.  A second call has no effect. */
void http_close(struct http_reply *reply);

/* A reply with its body. */
struct http_page {
    struct http_reply reply; /* Closed, so that it has no fields. */
    char *data;              /* The body and a zero byte, or NULL. */
    size_t size;             /* Bytes of the body. */
};

/* Fetches a page: http_open(), http_read() until the end, http_close().
 *
 * The status of the future is the size of the body, or an error.  `request` and
 * *ret are borrowed until it settles; then the caller calls
 * http_page_free(). */
aloop_future *http_fetch(http_session *session,
                         const struct http_request *request,
                         struct http_page *ret);

void http_page_free(struct http_page *page);

#endif
