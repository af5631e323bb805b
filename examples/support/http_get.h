/* Fetching one page over HTTP/1.1, for tasks. */

#ifndef EXAMPLES_HTTP_GET_H
#define EXAMPLES_HTTP_GET_H

#include <aloop.h>

/* Hears how far a page has come: `total` is -1 while nobody knows. */
typedef void (*http_progress_cb)(uint64_t received, int64_t total, void *arg);

struct http_get {
    const char *url;
    size_t head_max;        /* Bytes of each reply's header, trailers too. */
    uint64_t body_max;      /* Bytes of the page. */
    unsigned redirects_max; /* How often to follow a Location. */
    http_progress_cb on_progress;
    void *arg; /* Of on_progress. */
};

struct http_reply {
    int status;    /* 200, 404, ... */
    uint64_t size; /* Bytes of the page. */
};

/* Fetches get->url on a connection of its own, following redirects to http://,
 * and throws the bytes away once they are counted.  Knows Content-Length, the
 * chunked coding, and bodies that end with the connection.  Waits for as long
 * as it takes: a deadline is the caller's.
 *
 * Returns 0, an HTTP_E... or an ALOOP_E...; *ret is complete only on 0. */
ssize_t http_get(aloop *loop, const struct http_get *get,
                 struct http_reply *ret);

#endif
