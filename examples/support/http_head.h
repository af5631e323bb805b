/* Reads and parses the header of a reply. */

#ifndef EXAMPLES_HTTP_HEAD_H
#define EXAMPLES_HTTP_HEAD_H

#include <aloop.h>

#include "http_input.h"

struct http_head {
    int status;      /* 100 to 999. */
    int64_t length;  /* Content-Length, or -1 if there is none. */
    bool is_coded;   /* There is a transfer coding. */
    bool is_chunked; /* It is "chunked" and no other. */
    bool is_kept;    /* The connection stays open after the body. */
    bool has_close;  /* There is "Connection: close". */
    char *fields;    /* "Name", zero byte, "value", zero byte, ... */
    size_t size;     /* Bytes of the fields. */
    size_t room;     /* Bytes of the memory. */
};

/* Reads one header, also of an interim reply, up to its empty line.  *budget is
 * the number of bytes that it may have; its size is subtracted.  *ret was
 * zeroed or is that of an earlier header.
 *
 * Returns 0; HTTP_ENOREPLY if the stream ends before the first byte; or the
 * error of the line or the field that is wrong. */
ssize_t http_head_read(struct http_input *input, size_t *budget,
                       struct http_head *ret);

/* Returns the value of the first field with that name, in any case of letters,
 * or NULL. */
const char *http_head_field(const struct http_head *head, const char *name);

/* Frees the fields. */
void http_head_free(struct http_head *head);

#endif
