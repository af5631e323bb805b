/* https:// for the HTTP session of examples/support, by the bridge tls. */

#define _POSIX_C_SOURCE 200809L

#include "https.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"
#include "tls_sessions.h"

struct https {
    SSL_CTX *context; /* NULL until it is needed. */
    struct tls_sessions sessions;
};

/* Makes the context, unless there is one.  That loads the algorithms and the
 * certificates, which takes 4 MiB, so it waits for the first connection. */
static SSL_CTX *context_of(struct https *https)
{
    SSL_CTX *context = https->context;

    if (context != NULL)
        return context;
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_default_verify_paths(context) != 1 ||
        tls_set_alpn(context, TLS_ALPN_HTTP_1_1) < 0 ||
        !tls_sessions_keep(&https->sessions, context)) {
        SSL_CTX_free(context);
        return NULL;
    }
    https->context = context;
    return context;
}

/* `arg` is the struct https.  The certificate has to be one of `host`. */
static aloop_future *https_secure(aloop_stream *stream, const char *host,
                                  const char *port, void *arg, void **ret_tls)
{
    struct https *https = arg;
    tls_client client = {.host = host};
    size_t size = strlen(host) + strlen(port) + 2;
    char *origin = malloc(size);
    aloop_future *future;
    SSL *ssl;

    if (origin != NULL) {
        snprintf(origin, size, "%s %s", host, port);
        client.session = tls_sessions_take(&https->sessions, origin);
    }
    future = tls_start(stream, context_of(https), &client, &ssl);
    SSL_SESSION_free(client.session);
    tls_sessions_name(ssl, origin);
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
    struct https *https = calloc(1, sizeof *https);

    if (https == NULL)
        return ALOOP_ENOMEM;
    options->secure = https_secure;
    options->secure_error = https_error;
    options->secure_arg = https;
    return 0;
}

void https_end(struct http_session_options *options)
{
    struct https *https = options->secure_arg;

    if (https == NULL)
        return;
    tls_sessions_end(&https->sessions, https->context);
    SSL_CTX_free(https->context);
    free(https);
}
