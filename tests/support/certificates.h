/* Certificates for tests of TLS, made in memory with OpenSSL. */

#ifndef CERTIFICATES_H
#define CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct certificate {
    EVP_PKEY *key;
    X509 *x509;
};

static inline void free_certificate(struct certificate *certificate)
{
    EVP_PKEY_free(certificate->key);
    X509_free(certificate->x509);
}

static inline void add_extension(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    if (extension == NULL || X509_add_ext(x509, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

/* Makes a certificate that is valid from yesterday until `days` from now.  It
 * is signed by `issuer`; NULL: by itself.  `names` is a list such as
 * "DNS:server.test,IP:127.0.0.1"; NULL: it is that of an authority. */
static inline struct certificate make_certificate(
    const char *subject, const char *names, int days,
    const struct certificate *issuer)
{
    static long serial = 0;
    struct certificate made = {EVP_EC_gen("P-256"), X509_new()};
    X509 *x509 = made.x509;
    X509_NAME *name = X509_get_subject_name(x509);

    if (issuer == NULL)
        issuer = &made;
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), -24L * 60 * 60);
    X509_time_adj_ex(X509_getm_notAfter(x509), days, 0, NULL);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *) subject, -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(issuer->x509));
    X509_set_pubkey(x509, made.key);
    if (names != NULL)
        add_extension(x509, NID_subject_alt_name, names);
    else
        add_extension(x509, NID_basic_constraints, "critical,CA:TRUE");
    if (X509_sign(x509, issuer->key, EVP_sha256()) == 0)
        abort();
    return made;
}

/* Has the context present the certificate. */
static inline void present(SSL_CTX *context, const struct certificate *own)
{
    if (SSL_CTX_use_certificate(context, own->x509) != 1 ||
        SSL_CTX_use_PrivateKey(context, own->key) != 1)
        abort();
}

/* Has the context trust what the authority has signed. */
static inline void trust(SSL_CTX *context, const struct certificate *authority)
{
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority->x509) !=
        1)
        abort();
}

#endif
