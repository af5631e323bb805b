/* Connections that change to another protocol (RFC 9110, section 7.8). */

#ifndef EXAMPLES_HTTPD_UPGRADE_H
#define EXAMPLES_HTTPD_UPGRADE_H

#include "httpd.h"

/* What a handler needs to speak another protocol.  All of it belongs to the
 * connection, and is valid until the handler returns. */
struct httpd_upgrade {
    aloop_stream *stream;
    void *buffer; /* For what is received. */
    size_t room;  /* Its size. */
    size_t size;  /* Bytes that have arrived behind the request. */
    /* A read that is stored here while it is awaited is cancelled by
     * httpd_stop(), so that it ends with ALOOP_EABORTED. */
    aloop_future **reading;
    const bool *is_stopping; /* httpd_stop() was called. */
};

/* Whether a request asks to change to a protocol.
 *
 * Returns 0, or the status to answer: 426 if it does not ask for that protocol;
 * 400 if it has a body, is of HTTP/1.0, or has no "Connection: Upgrade". */
int httpd_check_upgrade(const struct httpd_request *request,
                        const char *protocol);

/* Returns the value of the header field of a name with an index, in the order
 * in which they were received, or NULL. */
const char *httpd_field_at(const struct httpd_request *request,
                           const char *name, size_t index);

/* Answers a request that httpd_check_upgrade() has accepted with 101, and the
 * fields of httpd_add_field().
 *
 * From then on the handler uses the stream itself.  There are no time limits
 * but its own.  When it returns 0 or more, the connection is closed as after an
 * answer; less than 0 resets it.  Returns 0; errors: ALOOP_EALREADY: there is
 * an answer; others: as for aloop_stream_put(). */
int httpd_upgrade(struct httpd_request *request, const char *protocol,
                  struct httpd_upgrade *ret);

#endif
