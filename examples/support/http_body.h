/* Reads the body of a reply. */

#ifndef EXAMPLES_HTTP_BODY_H
#define EXAMPLES_HTTP_BODY_H

#include "http_head.h"

/* What ends a body. */
enum http_framing {
    HTTP_NO_BODY,
    HTTP_LENGTH,  /* Its length. */
    HTTP_CHUNKED, /* A chunk of size 0. */
    HTTP_TO_CLOSE /* The end of the connection. */
};

struct http_body {
    struct http_input *input;
    enum http_framing framing;
    bool is_done;
    ssize_t error;     /* Of an earlier read, or 0. */
    uint64_t left;     /* Bytes of the body, or of the present chunk. */
    bool is_in_chunk;  /* There is one; its end has not been read. */
    bool is_in_end;    /* The last chunk was read, the trailers not yet. */
    uint64_t received; /* Bytes that were given to the caller. */
    uint64_t max;      /* Bytes that the body may have. */
    size_t budget;     /* Bytes that trailers may have. */
};

/* Begins the body that `head` announces.  `is_empty` means that there is none,
 * whatever the fields are: the request was HEAD.
 *
 * If the coding is unknown, or the length exceeds the limit, the first read
 * returns the error. */
void http_body_begin(struct http_body *body, const struct http_head *head,
                     bool is_empty, struct http_input *input, size_t budget,
                     uint64_t max);

/* Reads the next bytes.  Returns 1 to `size` bytes, 0 at the end of the body,
 * or an error, which further calls repeat unless it was a cancel or a
 * deadline. */
ssize_t http_body_read(struct http_body *body, void *buffer, size_t size);

#endif
