/* The session of nghttp2, for http2.c. */

#ifndef BRIDGES_HTTP2_SESSION_H
#define BRIDGES_HTTP2_SESSION_H

#include "http2.h"

/* Makes the session of a connection, which has our SETTINGS to send.  Returns 0
 * or ALOOP_ENOMEM; it may have been made then, too. */
int http2_new_session(http2 *connection);

#endif
