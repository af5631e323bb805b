/* Reads and counts the body of a reply. */

#ifndef EXAMPLES_HTTP_BODY_H
#define EXAMPLES_HTTP_BODY_H

#include "http_get.h"
#include "http_head.h"

/* Reads the body that `head` announces, up to its end, and stores its size in
 * reply->size.  *budget is the number of bytes that trailers may have, as for
 * http_read_line(). */
ssize_t http_read_body(aloop_stream *stream, const struct http_head *head,
                       size_t *budget, const struct http_get *get,
                       struct http_reply *reply);

#endif
