#include "tls_bio.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

enum { UNREAD_MAX = 64 * 1024, OUT_MIN = 4096 };

/* Moves bytes to OpenSSL, which reads again if it needs more. */
static size_t take(char *data, size_t size, const char *from, size_t has)
{
    size_t n = size < has ? size : has;

    memcpy(data, from, n);
    return n;
}

static int bio_read(BIO *bio, char *data, int size)
{
    tls_connection *tls = BIO_get_data(bio);
    size_t kept = tls->kept_end - tls->kept_start, n = 0;

    BIO_clear_retry_flags(bio);
    if (kept > 0) {
        n = take(data, (size_t) size, tls->kept + tls->kept_start, kept);
        tls->kept_start += n;
    } else if (tls->fed_size > 0) {
        n = take(data, (size_t) size, tls->fed, tls->fed_size);
        tls->fed += n;
        tls->fed_size -= n;
    } else if (!tls->is_in_ending) {
        BIO_set_retry_read(bio);
        return -1;
    }
    return (int) n;
}

/* The memory grows to what is sent at a time, and becomes smaller when that is
 * much less. */
static int bio_write(BIO *bio, const char *data, int size)
{
    tls_connection *tls = BIO_get_data(bio);
    size_t needed = tls->out_size + (size_t) size, room = OUT_MIN;
    char *out = tls->out;

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    while (room < needed)
        room *= 2;
    if (room > tls->out_room || room < tls->out_room / 8) {
        out = realloc(out, room);
        if (out == NULL) {
            ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE);
            return -1;
        }
        tls->out = out;
        tls->out_room = room;
    }
    memcpy(out + tls->out_size, data, (size_t) size);
    tls->out_size = needed;
    return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const tls_connection *tls = BIO_get_data(bio);

    (void) number;
    (void) pointer;
    if (command == BIO_CTRL_EOF)
        return tls->is_in_ending && tls_connection_unread(tls) == 0;
    if (command == BIO_CTRL_WPENDING)
        return (long) tls->out_size;
    return command == BIO_CTRL_FLUSH;
}

/* The method is the connection's: one for all could not be made later if there
 * was no memory for it at first. */
static bool make_bio(tls_connection *tls)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    BIO *bio;

    tls->method = method;
    if (method == NULL || !BIO_meth_set_read(method, bio_read) ||
        !BIO_meth_set_write(method, bio_write) ||
        !BIO_meth_set_ctrl(method, bio_ctrl))
        return false;
    bio = BIO_new(method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

tls_connection *tls_connection_new(SSL_CTX *context)
{
    tls_connection *tls = calloc(1, sizeof *tls);

    if (tls == NULL)
        return NULL;
    tls->ssl = SSL_new(context);
    if (tls->ssl != NULL && make_bio(tls))
        return tls;
    tls_connection_close(tls);
    return NULL;
}

ssize_t tls_connection_feed(void *connection, const void *data, size_t size)
{
    tls_connection *tls = connection;

    if (tls_connection_unread(tls) >= UNREAD_MAX && size > 0)
        return ALOOP_EAGAIN;
    tls->is_in_ending = size == 0;
    tls->fed = data;
    tls->fed_size = size;
    return (ssize_t) size;
}

/* OpenSSL has usually read everything, because it has memory for a part of a
 * record. */
int tls_connection_keep(void *connection)
{
    tls_connection *tls = connection;
    size_t kept = tls->kept_end - tls->kept_start;
    char *memory = NULL;

    if (tls->fed_size == 0 && (kept > 0 || tls->kept == NULL))
        return 0;
    if (tls->fed_size > 0) {
        memory = malloc(kept + tls->fed_size);
        if (memory == NULL)
            return ALOOP_ENOMEM;
        if (kept > 0)
            memcpy(memory, tls->kept + tls->kept_start, kept);
        memcpy(memory + kept, tls->fed, tls->fed_size);
    }
    free(tls->kept);
    tls->kept = memory;
    tls->kept_start = 0;
    tls->kept_end = kept + tls->fed_size;
    tls->fed_size = 0;
    return 0;
}

void tls_connection_close(void *connection)
{
    tls_connection *tls = connection;

    SSL_free(tls->ssl);
    BIO_meth_free(tls->method);
    free(tls->kept);
    free(tls->out);
    free(tls);
}
