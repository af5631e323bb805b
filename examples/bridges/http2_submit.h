/* Requests of HTTP/2 in the form of nghttp2, for http2_request.c. */

#ifndef BRIDGES_HTTP2_SUBMIT_H
#define BRIDGES_HTTP2_SUBMIT_H

#include "http2.h"

/* Returns whether a request has what it needs, and HTTP allows its text. */
bool http2_is_valid(const struct http2_request *request);

/* Gives the request of an answer to the session.  Returns the number of its
 * stream, or an error. */
int32_t http2_submit(struct http2_answer *answer);

#endif
