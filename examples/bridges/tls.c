/* TLS on a stream, by OpenSSL with two memory BIOs:
 *
 *     peer --> feed --> rbio --> SSL_read  --> reader
 *     peer <-- pull <-- wbio <-- SSL_write <-- writer
 *
 * The context of the filter is the SSL.  Its application data is NULL, or the
 * reason in words after TLS has failed. */

#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A memory BIO accepts any number of bytes.  The first limit is the back
 * pressure, and more than the longest record.  Reading causes answers, such as
 * those to updates of keys.  It pauses at the second limit, which only a peer
 * reaches that asks for answers and does not read them.  Data that it does not
 * read never pause reading, because it may first want to send its own.  The
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

static int tls_handshake(void *context)
{
    ERR_clear_error();
    return SSL_do_handshake(context) == 1 ? 0 : judge(context);
}

static ssize_t tls_feed(void *context, const void *data, size_t size)
{
    BIO *in = SSL_get_rbio(context);
    size_t room = HELD_MAX - BIO_ctrl_pending(in);
    int n = (int) (size < room ? size : room);

    if (size == 0) /* After its bytes, a read of the BIO returns the end. */
        BIO_set_mem_eof_return(in, 0);
    if (n == 0)
        return size == 0 ? 0 : ALOOP_EAGAIN;
    return BIO_write(in, data, n) == n ? n : ALOOP_ENOMEM;
}

/* SSL_read_ex() returns after each message of TLS, which data may follow. */
static ssize_t tls_read(void *context, void *data, size_t size)
{
    size_t n;

    if (BIO_ctrl_pending(SSL_get_wbio(context)) >= ANSWERS_MAX)
        return ALOOP_EAGAIN;
    ERR_clear_error();
    for (int i = 0; i < MESSAGES_MAX; i++) {
        ssize_t result = SSL_read_ex(context, data, size, &n) ? (ssize_t) n
                                                              : judge(context);

        if (result != ALOOP_EAGAIN || !BIO_ctrl_pending(SSL_get_rbio(context)))
            return result;
    }
    SSL_set_app_data((SSL *) context, "too many messages of TLS without data");
    return ALOOP_EPROTO;
}

static ssize_t tls_write(void *context, const void *data, size_t size)
{
    size_t n;

    ERR_clear_error();
    if (size == 0)
        return SSL_shutdown(context) >= 0 ? 0 : judge(context);
    if (BIO_ctrl_pending(SSL_get_wbio(context)) >= HELD_MAX)
        return ALOOP_EAGAIN;
    return SSL_write_ex(context, data, size, &n) ? (ssize_t) n : judge(context);
}

/* What TLS gives after a failure is an alert. */
static ssize_t tls_pull(void *context, void *data, size_t size)
{
    int n = BIO_read(SSL_get_wbio(context), data,
                     size < HELD_MAX ? (int) size : HELD_MAX);
    bool has_ended = SSL_get_app_data((SSL *) context) != NULL ||
                     (SSL_get_shutdown(context) & SSL_SENT_SHUTDOWN) != 0;

    return n > 0 ? n : has_ended ? 0 : ALOOP_EAGAIN;
}

static void tls_close(void *context)
{
    SSL_free(context);
}

/* Nothing is left if no bytes wait in front of TLS, inside of it or behind it,
 * and there is no end or failure to pass on. */
static bool tls_is_idle(void *context)
{
    return SSL_has_pending(context) == 0 &&
           BIO_ctrl_pending(SSL_get_rbio(context)) == 0 &&
           BIO_ctrl_pending(SSL_get_wbio(context)) == 0 &&
           SSL_get_shutdown(context) == 0 &&
           SSL_get_app_data((SSL *) context) == NULL;
}

static const aloop_filter tls_filter = {
    .size = sizeof tls_filter,
    .name = "tls",
    .feed = tls_feed,
    .read = tls_read,
    .write = tls_write,
    .pull = tls_pull,
    .handshake = tls_handshake,
    .close = tls_close,
    .is_idle = tls_is_idle,
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
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    /* The stream offers the rest of a write from another address. */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
    SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    if (SSL_get_min_proto_version(ssl) < TLS1_2_VERSION)
        SSL_set_min_proto_version(ssl, TLS1_2_VERSION);
    if (SSL_get_rbio(ssl) == NULL || SSL_get_wbio(ssl) == NULL)
        return false;
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
    SSL *ssl = SSL_new(context);
    aloop_future *future = NULL; /* This counts as ALOOP_ENOMEM. */

    if (ssl != NULL) /* Without a stream the result is ALOOP_EINVAL. */
        future = aloop_stream_filter(set_up(ssl, client) ? stream : NULL,
                                     &tls_filter, ssl);
    *ret_ssl = aloop_future_is_settled(future) ? NULL : ssl;
    return future;
}

const char *tls_error(const SSL *ssl, ssize_t status)
{
    const char *words = ssl == NULL ? NULL : SSL_get_app_data(ssl);
    bool is_of_tls = status == ALOOP_EPROTO || status == ALOOP_ECONNRESET;

    return words != NULL && is_of_tls ? words : aloop_strerror((int) status);
}
