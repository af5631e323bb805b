/* The choice of a protocol in the handshake of TLS (ALPN).  A program that does
 * not call tls_set_alpn() does not need this file. */

#include "tls.h"

#include <string.h>

static int select_alpn(SSL *ssl, const unsigned char **ret_name,
                       unsigned char *ret_size, const unsigned char *offered,
                       unsigned offered_size, void *names)
{
    int result = SSL_select_next_proto((unsigned char **) ret_name, ret_size,
                                       names, (unsigned) strlen(names), offered,
                                       offered_size);

    (void) ssl;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                            : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tls_set_alpn(SSL_CTX *context, const char *names)
{
    unsigned size = (unsigned) strlen(names);

    if (size == 0 || SSL_CTX_set_alpn_protos(context, (void *) names, size))
        return ALOOP_EINVAL;
    SSL_CTX_set_alpn_select_cb(context, select_alpn, (void *) names);
    return 0;
}
