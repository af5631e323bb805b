/* https:// for the HTTP session of examples/support, by the bridge tls.
 *
 * The sessions of TLS that servers give are kept, so that a later connection to
 * the same origin saves most of the cost of a handshake.  One of TLS 1.3 is
 * used once, because an observer could otherwise recognise the client. */

#define _POSIX_C_SOURCE 200809L

#include "https.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "tls.h"

enum { SAVED_MAX = 64, OF_ORIGIN_MAX = 8 };

/* A session of TLS. */
struct saved {
    struct saved *next;
    SSL_SESSION *session;
    char *origin; /* "host port" */
};

struct https {
    SSL_CTX *context;
    struct saved *saved; /* The latest first. */
};

/* Each SSL has its origin, at this index of its data. */
static int origin_index;

static void free_origin(void *ssl, void *origin, CRYPTO_EX_DATA *data,
                        int index, long number, void *arg)
{
    (void) ssl;
    (void) data;
    (void) index;
    (void) number;
    (void) arg;
    free(origin);
}

static void make_index(void)
{
    origin_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_origin);
}

static void drop(struct saved **link)
{
    struct saved *saved = *link;

    *link = saved->next;
    SSL_SESSION_free(saved->session);
    free(saved->origin);
    free(saved);
}

/* Returns a session with the origin, which the caller frees, or NULL. */
static SSL_SESSION *take_session(struct https *https, const char *origin)
{
    struct saved **link = &https->saved;
    SSL_SESSION *session = NULL;

    while (*link != NULL && session == NULL) {
        struct saved *saved = *link;
        bool is_once = SSL_SESSION_get_protocol_version(saved->session) >=
                       TLS1_3_VERSION;

        if (strcmp(saved->origin, origin) != 0) {
            link = &saved->next;
            continue;
        }
        if (SSL_SESSION_is_resumable(saved->session) &&
            SSL_SESSION_up_ref(saved->session))
            session = saved->session;
        if (is_once || session == NULL)
            drop(link);
    }
    return session;
}

/* The server has given a session.  Returns 1 if the reference is kept. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct https *https = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *origin = SSL_get_ex_data(ssl, origin_index);
    bool is_once = SSL_version(ssl) >= TLS1_3_VERSION;
    size_t count = 0, of_origin = 0;
    struct saved *saved = malloc(sizeof *saved);

    if (saved == NULL || origin == NULL ||
        (saved->origin = strdup(origin)) == NULL) {
        free(saved);
        return 0;
    }
    saved->session = session;
    saved->next = https->saved;
    https->saved = saved;
    for (struct saved **link = &https->saved; *link != NULL;) {
        bool is_same = strcmp((*link)->origin, origin) == 0;

        of_origin += is_same;
        if (++count > SAVED_MAX ||
            (is_same && of_origin > (is_once ? OF_ORIGIN_MAX : 1)))
            drop(link);
        else
            link = &(*link)->next;
    }
    return 1;
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
        client.session = take_session(https, origin);
    }
    future = tls_start(stream, https->context, &client, &ssl);
    SSL_SESSION_free(client.session);
    if (ssl == NULL || !SSL_set_ex_data(ssl, origin_index, origin))
        free(origin);
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
    static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
    struct https *https = calloc(1, sizeof *https);

    if (https == NULL)
        return ALOOP_ENOMEM;
    https->context = SSL_CTX_new(TLS_client_method());
    if (https->context == NULL ||
        SSL_CTX_set_default_verify_paths(https->context) != 1 ||
        tls_set_alpn(https->context, TLS_ALPN_HTTP_1_1) < 0 ||
        !CRYPTO_THREAD_run_once(&once, make_index) ||
        !SSL_CTX_set_app_data(https->context, https)) {
        SSL_CTX_free(https->context);
        free(https);
        return ALOOP_ENOMEM;
    }
    SSL_CTX_set_session_cache_mode(
        https->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(https->context, on_session);
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
    while (https->saved != NULL)
        drop(&https->saved);
    /* A stream that is being closed still refers to the context. */
    SSL_CTX_sess_set_new_cb(https->context, NULL);
    SSL_CTX_free(https->context);
    free(https);
}
