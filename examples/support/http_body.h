/* A reply's body: where it ends, and counting it. */

#ifndef EXAMPLES_HTTP_BODY_H
#define EXAMPLES_HTTP_BODY_H

#include "http_get.h"
#include "http_head.h"

/* Reads the body that `head` announces to its end; reply->size becomes its
 * size.  *budget is what is left for trailers, as for the header. */
ssize_t http_read_body(aloop_stream *stream, const struct http_head *head,
                       size_t *budget, const struct http_get *get,
                       struct http_reply *reply);

#endif
