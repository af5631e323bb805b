/* A list of sessions, the latest first.  OpenSSL's own store looks for a
 * session by its identifier, which a client does not know beforehand. */

#define _POSIX_C_SOURCE 200809L

#include "tls_sessions.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

enum { SAVED_MAX = 64, OF_ORIGIN_MAX = 8 };

struct tls_saved {
    struct tls_saved *next;
    SSL_SESSION *session;
    char *origin;
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

static void drop(struct tls_saved **link)
{
    struct tls_saved *saved = *link;

    *link = saved->next;
    SSL_SESSION_free(saved->session);
    free(saved->origin);
    free(saved);
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions,
                               const char *origin)
{
    struct tls_saved **link = &sessions->first;
    SSL_SESSION *session = NULL;

    while (*link != NULL && session == NULL) {
        struct tls_saved *saved = *link;
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
    struct tls_sessions *sessions = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *origin = SSL_get_ex_data(ssl, origin_index);
    bool is_once = SSL_version(ssl) >= TLS1_3_VERSION;
    size_t count = 0, of_origin = 0;
    struct tls_saved *saved = malloc(sizeof *saved);

    if (saved == NULL || origin == NULL ||
        (saved->origin = strdup(origin)) == NULL) {
        free(saved);
        return 0;
    }
    saved->session = session;
    saved->next = sessions->first;
    sessions->first = saved;
    for (struct tls_saved **link = &sessions->first; *link != NULL;) {
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

bool tls_sessions_keep(struct tls_sessions *sessions, SSL_CTX *context)
{
    static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

    if (!CRYPTO_THREAD_run_once(&once, make_index) ||
        !SSL_CTX_set_app_data(context, sessions))
        return false;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT |
                                                SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    return true;
}

void tls_sessions_name(SSL *ssl, char *origin)
{
    if (ssl == NULL || !SSL_set_ex_data(ssl, origin_index, origin))
        free(origin);
}

void tls_sessions_end(struct tls_sessions *sessions, SSL_CTX *context)
{
    while (sessions->first != NULL)
        drop(&sessions->first);
    if (context != NULL)
        SSL_CTX_sess_set_new_cb(context, NULL);
}
