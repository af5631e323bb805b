/* The bytes between OpenSSL and a stream, for tls.c:
 *
 *     peer --> feed --> BIO --> SSL_read
 *     peer <-- lend <-- BIO <-- SSL_write
 *
 * The BIO copies less than two memory BIOs do: OpenSSL reads what was fed where
 * it is, and what OpenSSL has written is sent from there. */

#ifndef BRIDGES_TLS_BIO_H
#define BRIDGES_TLS_BIO_H

#include <aloop.h>
#include <openssl/ssl.h>

/* A connection, which is the context of a filter. */
typedef struct tls_connection {
    SSL *ssl;
    BIO_METHOD *method;
    /* What OpenSSL has not read: [kept_start, kept_end) of its own memory, and
     * after that the borrowed bytes, and the end. */
    char *kept;
    size_t kept_start, kept_end;
    const char *fed;
    size_t fed_size;
    bool is_in_ending;
    /* What OpenSSL has written and was not lent yet, in memory of `out_room`
     * bytes. */
    char *out;
    size_t out_size, out_room;
} tls_connection;

/**
 * Returns a connection with its SSL and BIO, or NULL if out of memory.
 */
tls_connection *tls_connection_new(SSL_CTX *context);

/* Functions for aloop_filter.  `connection` is a tls_connection. */

/* Takes nothing while 64 KiB were not read. */
ssize_t tls_connection_feed(void *connection, const void *data, size_t size);
int tls_connection_keep(void *connection);
/* Frees the connection and its SSL. */
void tls_connection_close(void *connection);

/* Returns how many bytes of the peer OpenSSL has not read. */
static inline size_t tls_connection_unread(const tls_connection *tls)
{
    return tls->kept_end - tls->kept_start + tls->fed_size;
}

#endif
