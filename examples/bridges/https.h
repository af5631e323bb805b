/* https:// for the HTTP session of examples/support, by the bridge tls. */

#ifndef BRIDGES_HTTPS_H
#define BRIDGES_HTTPS_H

#include "../support/http_session.h"

/* Makes a session that is opened with `options` speak TLS.  Certificates have
 * to be signed by an authority that the system trusts, or one in the files that
 * the environment names (SSL_CERT_FILE, SSL_CERT_DIR).
 *
 * A second connection to an origin resumes the TLS session of an earlier one,
 * if the server allows that.  `options` may serve several sessions of one loop,
 * which then share what is resumed.
 *
 * OpenSSL is initialised by the first connection over TLS, and with it the
 * certificates are loaded, which blocks for some milliseconds.
 *
 * Returns 0, or ALOOP_ENOMEM. */
int https_begin(struct http_session_options *options);

/* Frees what https_begin() has made, after the session. */
void https_end(struct http_session_options *options);

#endif
