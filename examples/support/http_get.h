/* Fetches one page over HTTP/1.1, in a task. */

#ifndef EXAMPLES_HTTP_GET_H
#define EXAMPLES_HTTP_GET_H

#include <aloop.h>

/* Called as the bytes of a page arrive.  `total` is -1 if it is unknown. */
typedef void (*http_progress_cb)(uint64_t received, int64_t total, void *arg);

struct http_get {
    const char *url;
    size_t head_max;        /* Bytes of each reply's header, with trailers. */
    uint64_t body_max;      /* Bytes of the page. */
    unsigned redirects_max; /* How many redirects to follow. */
    http_progress_cb on_progress;
    void *arg; /* Argument of on_progress. */
};

struct http_reply {
    int status;    /* 200, 404, ... */
    uint64_t size; /* Bytes of the page. */
};

/* Fetches get->url on a new connection, follows redirects to http://, and
 * discards the bytes after counting them.  Supports Content-Length, the chunked
 * coding, and bodies that end with the connection.  There is no time limit: the
 * caller sets a deadline if it needs one.
 *
 * Returns 0, an HTTP_E... or an ALOOP_E... code; *ret is complete only on 0. */
ssize_t http_get(aloop *loop, const struct http_get *get,
                 struct http_reply *ret);

#endif
