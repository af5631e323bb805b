/* https:// for the HTTP session of examples/support, by the bridge tls. */

#include "https.h"

#include "tls.h"

/* `arg` is the context.  The certificate has to be one of `host`. */
static aloop_future *https_secure(aloop_stream *stream, const char *host,
                                  void *arg, void **ret_tls)
{
    tls_client client = {.host = host};
    SSL *ssl;
    aloop_future *future = tls_start(stream, arg, &client, &ssl);

    *ret_tls = ssl;
    return future;
}

static const char *https_error(const void *tls, ssize_t error)
{
    bool is_of_tls = error == ALOOP_EPROTO || error == ALOOP_ECONNRESET;

    return is_of_tls ? tls_error(tls, error) : NULL;
}

int https_begin(struct http_session_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL)
        return ALOOP_ENOMEM;
    if (SSL_CTX_set_default_verify_paths(context) != 1 ||
        tls_set_alpn(context, TLS_ALPN_HTTP_1_1) < 0) {
        SSL_CTX_free(context);
        return ALOOP_ENOMEM;
    }
    options->secure = https_secure;
    options->secure_error = https_error;
    options->secure_arg = context;
    return 0;
}

void https_end(struct http_session_options *options)
{
    SSL_CTX_free(options->secure_arg);
}
