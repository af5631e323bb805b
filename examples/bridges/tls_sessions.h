/* The sessions of TLS that servers give to a client, by OpenSSL.  They are
 * kept, so that a later connection to the same origin saves most of the cost of
 * a handshake.  One of TLS 1.3 is used once, because an observer could
 * otherwise recognise the client. */

#ifndef BRIDGES_TLS_SESSIONS_H
#define BRIDGES_TLS_SESSIONS_H

#include <stdbool.h>

#include <openssl/ssl.h>

/* Initially {0}. */
struct tls_sessions {
    struct tls_saved *first;
};

/* Keeps the sessions that the connections of a context receive, if they have an
 * origin.  The context must not have application data.  Returns false if out of
 * memory. */
bool tls_sessions_keep(struct tls_sessions *sessions, SSL_CTX *context);

/* Gives a connection an origin, a string such as "host port".  It takes over
 * the memory of `origin`, which may be NULL, as `ssl` may be. */
void tls_sessions_name(SSL *ssl, char *origin);

/* Returns a session with the origin, which the caller frees, or NULL. */
SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions,
                               const char *origin);

/* Frees the sessions, and keeps none any more.  `context`, which may be NULL,
 * may outlive the call: a stream that is being closed still refers to it. */
void tls_sessions_end(struct tls_sessions *sessions, SSL_CTX *context);

#endif
