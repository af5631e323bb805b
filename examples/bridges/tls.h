/* TLS on a stream, by OpenSSL 3: a bridge to copy into a program, with tls.c
 * and tls_bio.[ch].
 *
 * It is a filter, which encrypts what is written to a stream and decrypts what
 * is read.  Every function of aloop/stream.h works unchanged on top of it.
 *
 *     SSL_CTX *context = SSL_CTX_new(TLS_client_method());
 *     tls_client client = {.host = "example.org"};
 *     SSL *ssl;
 *
 *     SSL_CTX_set_default_verify_paths(context);
 *     ...
 *     status = aloop_await(aloop_timeout(
 *         tls_start(stream, context, &client, &ssl), ALOOP_SEC(10)));
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", tls_error(ssl, status));
 *
 * How TLS maps to streams:
 *
 *     event                           effect
 *     the peer sends close_notify     a read returns 0, the end
 *     the peer ends without it        a read fails with ALOOP_ECONNRESET: the
 *                                     data was cut off, maybe by an attacker
 *     a failure of TLS                reads and writes fail with ALOOP_EPROTO,
 *                                     and the peer is sent an alert
 *     aloop_stream_shutdown()         sends close_notify; reading continues
 *     aloop_stream_close()            sends what is queued, and close_notify
 *     aloop_stream_abort()            the peer is cut off
 *
 * The context (SSL_CTX) is the application's.  It is made once, with OpenSSL's
 * functions, and serves any number of connections:
 *
 *     purpose                     functions of OpenSSL
 *     trust, for a client         SSL_CTX_set_default_verify_paths(),
 *                                 SSL_CTX_load_verify_file()
 *     certificate, for a server   SSL_CTX_use_certificate_chain_file(),
 *                                 SSL_CTX_use_PrivateKey_file()
 *     client certificates         SSL_CTX_set_verify() for the server
 *     versions                    SSL_CTX_set_min_proto_version()
 *
 * The calls of OpenSSL that are made here clear the errors that it keeps for
 * the thread. */

#ifndef BRIDGES_TLS_H
#define BRIDGES_TLS_H

#include <aloop.h>
#include <openssl/ssl.h>

/* The settings of a client for one connection. */
typedef struct tls_client {
    /* The name or numeric address that the certificate of the server must be
     * valid for.  A name is also sent to the server (SNI). */
    const char *host;
    /* A session of an earlier connection, which saves most of the cost of the
     * handshake; NULL: none.  That connection must have had the same context
     * and host, because the certificate is not verified again. */
    SSL_SESSION *session;
    /* Accepts every certificate.  An attacker can then read and change all
     * data.  `host` may be NULL. */
    bool is_unverified;
} tls_client;

/**
 * Puts TLS on a stream, as a client, or as a server if `client` is NULL.
 *
 * The stream may have been in use before (STARTTLS): see aloop_stream_filter().
 * What is put meanwhile is sent after the handshake.  A limit for the handshake
 * is set from outside, by aloop_timeout() or by a deadline of the task.
 *
 * A client verifies the certificate of the server and its name.  TLS 1.2 and
 * later are spoken, and a peer cannot renegotiate.  In TLS 1.3 the handshake of
 * a client is done before the server has checked a certificate of the client,
 * so that a refusal is the error of a later read.
 *
 * *ret_ssl is the connection of OpenSSL, for questions to it:
 *
 *     SSL_get_version(), SSL_get0_peer_certificate()
 *     SSL_get_servername()        the name that the client has sent
 *     SSL_get0_alpn_selected()    see tls_set_alpn()
 *     SSL_get1_session()          a session for tls_client; the caller calls
 *                                 SSL_SESSION_free().  In TLS 1.3 it is useful
 *                                 only after a first read.  An abort makes it
 *                                 unusable.
 *
 * Its functions that read, write or shut down must not be called, and its
 * application data belongs to the bridge.  Callbacks of OpenSSL, such as one
 * for SNI, must not call functions of the stream.
 *
 * Status:  0 when the handshake is done.
 * Errors:  ALOOP_EPROTO: one end has refused the certificate of the other, or
 *          both have no version or protocol in common; see tls_error();
 *          ALOOP_ECONNRESET: the peer has cut the handshake off;
 *          ALOOP_EINVAL: `host` is not valid, `session` does not fit
 *          `context`, or OpenSSL is out of memory;
 *          ALOOP_ENOMEM: out of memory, or `context` is NULL;
 *          others: as for aloop_stream_filter().
 * Memory:  `client` is borrowed until the call returns; `context` and `session`
 *          are referenced.  *ret_ssl is written before the call returns, and is
 *          NULL if it fails immediately.  It belongs to the stream, and is
 *          valid until the stream is closed or aborted.
 */
aloop_future *tls_start(aloop_stream *stream, SSL_CTX *context,
                        const tls_client *client, SSL **ret_ssl);

/* Protocols for tls_set_alpn().  Each name comes after its size. */
#define TLS_ALPN_H2 "\2h2"
#define TLS_ALPN_HTTP_1_1 "\10http/1.1"

/**
 * Sets the protocols that the connections of a context may speak (ALPN).  It is
 * in a file of its own, tls_alpn.c.
 *
 * `names` is a list in the order of preference, in the form of TLS, such as
 * TLS_ALPN_H2 TLS_ALPN_HTTP_1_1.  A client offers them.  A server selects the
 * first of its own that the client offers too.  A client that offers only
 * others is refused, and one that offers none is not.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: the list is empty or malformed, or out of memory.
 * Memory:  borrows `names` until the context and all of its connections are
 *          freed.
 */
int tls_set_alpn(SSL_CTX *context, const char *names);

/**
 * Returns a status of a stream in words.
 *
 * For failures of TLS these are OpenSSL's: "certificate has expired",
 * "hostname mismatch", "tlsv1 alert unknown ca".  For others, and if `ssl` is
 * NULL, they are those of aloop_strerror().
 *
 * Memory:  the text is static.  Call it before the stream is closed.
 */
const char *tls_error(const SSL *ssl, ssize_t status);

#endif
