/* TLS on a stream, by OpenSSL with a BIO of its own, which is in tls_bio.h:
 *
 *     peer --> feed --> BIO --> SSL_read  --> reader
 *     peer <-- lend <-- BIO <-- SSL_write <-- writer
 *
 * The application data of the SSL is NULL, or the reason in words after TLS has
 * failed. */

#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls_bio.h"

/* The BIO accepts any number of bytes.  The first limit is the back pressure of
 * the writer, and more than the longest record.  Reading causes answers, such
 * as those to updates of keys.  It pauses at the second limit, which only a
 * peer reaches that asks for answers and does not read them.  Data that it does
 * not read never pause reading, because it may first want to send its own.  The
 * messages of TLS in front of data are limited, because a peer could keep the
 * loop busy with updates of keys. */
enum { HELD_MAX = 64 * 1024, ANSWERS_MAX = 128 * 1024, MESSAGES_MAX = 64 };

/* Returns why the last call has not succeeded: ALOOP_EAGAIN, an error, or 0 for
 * close_notify.  In a handshake that is an error, too. */
static int judge(SSL *ssl)
{
    int kind = SSL_get_error(ssl, -1), error = ALOOP_EPROTO;
    unsigned long code = ERR_peek_last_error();
    const char *words = ERR_reason_error_string(code);
    bool is_end = kind == SSL_ERROR_ZERO_RETURN;

    if (is_end && SSL_is_init_finished(ssl))
        return 0;
    if (!is_end && kind != SSL_ERROR_SSL && kind != SSL_ERROR_SYSCALL)
        return ALOOP_EAGAIN;
    if (code == ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED))
        words = X509_verify_cert_error_string(SSL_get_verify_result(ssl));
    if (kind != SSL_ERROR_SSL ||
        code == ERR_PACK(ERR_LIB_SSL, 0, SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        words = "the peer has cut off TLS";
        error = ALOOP_ECONNRESET;
    }
    SSL_set_app_data(ssl, (void *) (words != NULL ? words : "TLS has failed"));
    return error;
}

/* The functions of the filter.  Errors that other connections have left in the
 * queue of the thread would be taken for those of this one. */

static SSL *begin(const tls_connection *tls)
{
    if (ERR_peek_error() != 0) /* It costs much less than to clear nothing. */
        ERR_clear_error();
    return tls->ssl;
}

static int tls_handshake(void *context)
{
    SSL *ssl = begin(context);

    return SSL_do_handshake(ssl) == 1 ? 0 : judge(ssl);
}

/* SSL_read_ex() returns after each message of TLS, which data may follow. */
static ssize_t tls_read(void *context, void *data, size_t size)
{
    const tls_connection *tls = context;
    SSL *ssl = begin(tls);
    size_t n;

    if (tls->out_size >= ANSWERS_MAX)
        return ALOOP_EAGAIN;
    for (int i = 0; i < MESSAGES_MAX; i++) {
        ssize_t result = SSL_read_ex(ssl, data, size, &n) ? (ssize_t) n
                                                          : judge(ssl);

        if (result != ALOOP_EAGAIN || tls_connection_unread(tls) == 0)
            return result;
    }
    SSL_set_app_data(ssl, "too many messages of TLS without data");
    return ALOOP_EPROTO;
}

static ssize_t tls_write(void *context, const void *data, size_t size)
{
    const tls_connection *tls = context;
    SSL *ssl = begin(tls);
    size_t n;

    if (size == 0)
        return SSL_shutdown(ssl) >= 0 ? 0 : judge(ssl);
    if (tls->out_size >= HELD_MAX)
        return ALOOP_EAGAIN;
    return SSL_write_ex(ssl, data, size, &n) ? (ssize_t) n : judge(ssl);
}

/* What TLS gives after a failure is an alert. */
static ssize_t tls_lend(void *context, const void **ret_data)
{
    tls_connection *tls = context;
    ssize_t n = (ssize_t) tls->out_size;
    bool has_ended = SSL_get_app_data(tls->ssl) != NULL ||
                     (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) != 0;

    *ret_data = tls->out;
    tls->out_size = 0;
    return n > 0 ? n : has_ended ? 0 : ALOOP_EAGAIN;
}

/* Nothing is left if no bytes wait in front of TLS, inside of it or behind it,
 * and there is no end or failure to pass on. */
static bool tls_is_idle(void *context)
{
    const tls_connection *tls = context;

    return tls_connection_unread(tls) == 0 && tls->out_size == 0 &&
           SSL_has_pending(tls->ssl) == 0 && SSL_get_shutdown(tls->ssl) == 0 &&
           SSL_get_app_data(tls->ssl) == NULL;
}

static const aloop_filter tls_filter = {
    .size = sizeof tls_filter,
    .name = "tls",
    .feed = tls_connection_feed,
    .read = tls_read,
    .write = tls_write,
    .handshake = tls_handshake,
    .close = tls_connection_close,
    .is_idle = tls_is_idle,
    .lend = tls_lend,
    .keep = tls_connection_keep,
};

/* The start. */

static bool set_client(SSL *ssl, const tls_client *client)
{
    int verify = client->is_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    const char *host = client->host;

    SSL_set_connect_state(ssl);
    SSL_set_verify(ssl, verify, NULL);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!SSL_set_session(ssl, client->session))
        return false;
    if (host == NULL)
        return client->is_unverified;
    if (host[0] == '\0' || !SSL_set1_host(ssl, host))
        return false; /* An empty host would match every certificate. */
    host = X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), 0);
    /* Only a name is sent, not an address. */
    return host == NULL || SSL_set_tlsext_host_name(ssl, host);
}

static bool set_up(SSL *ssl, const tls_client *client)
{
    /* The stream offers the rest of a write from another address. */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
    SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    if (SSL_get_min_proto_version(ssl) < TLS1_2_VERSION)
        SSL_set_min_proto_version(ssl, TLS1_2_VERSION);
    if (client != NULL)
        return set_client(ssl, client);
    SSL_set_accept_state(ssl);
    /* Sessions of clients with certificates are refused without it. */
    return SSL_set_session_id_context(ssl, (const unsigned char *) "tls", 3);
}

/* The filter frees the SSL if it cannot be put on.  The handshake runs in the
 * loop, so that a future that has settled here has failed. */
aloop_future *tls_start(aloop_stream *stream, SSL_CTX *context,
                        const tls_client *client, SSL **ret_ssl)
{
    tls_connection *tls = tls_connection_new(context);
    SSL *ssl = tls != NULL ? tls->ssl : NULL;
    aloop_future *future = NULL; /* This counts as ALOOP_ENOMEM. */

    if (tls != NULL) /* Without a stream the result is ALOOP_EINVAL. */
        future = aloop_stream_filter(set_up(ssl, client) ? stream : NULL,
                                     &tls_filter, tls);
    *ret_ssl = aloop_future_is_settled(future) ? NULL : ssl;
    return future;
}

const char *tls_error(const SSL *ssl, ssize_t status)
{
    const char *words = ssl == NULL ? NULL : SSL_get_app_data(ssl);
    bool is_of_tls = status == ALOOP_EPROTO || status == ALOOP_ECONNRESET;

    return words != NULL && is_of_tls ? words : aloop_strerror((int) status);
}
