/* One request and the header of its reply, on one connection. */

#ifndef EXAMPLES_HTTP_EXCHANGE_H
#define EXAMPLES_HTTP_EXCHANGE_H

#include "http_session.h"

/* Returns 0, or HTTP_EREQUEST if the method, a field or the session's agent is
 * not valid, or if the body has a size but no bytes. */
int http_check_request(const http_session *session,
                       const struct http_request *request);

/* Sends reply->request, reads the header of the reply, and begins its body. */
ssize_t http_exchange(struct http_reply *reply);

#endif
