/* Peers that speak TLS on the simulator, so that the tests of streams also run
 * through TLS.  The functions of a peer have the names of those in sim.h, which
 * macros replace: what a test sends and receives is plain. */

#ifndef TLS_FIXTURE_H
#define TLS_FIXTURE_H

#include <openssl/err.h>

#include "bridges/tls.h"
#include "support/certificates.h"
#include "support/fixture.h"

enum {
    TLS_PEERS_MAX = 4096,
    TLS_OVERHEAD = 22 /* Of a record of up to 16 KiB of plain bytes. */
};

/* The TLS of each peer, by its number; NULL: it does not speak TLS. */
static SSL *tls_peers[TLS_PEERS_MAX];

static struct {
    struct certificate certificate;
    SSL_CTX *client, *server;
} tls_shared;

static inline void tls_free_shared(void)
{
    for (int i = 0; i < TLS_PEERS_MAX; i++)
        SSL_free(tls_peers[i]);
    free_certificate(&tls_shared.certificate);
    SSL_CTX_free(tls_shared.client);
    SSL_CTX_free(tls_shared.server);
}

/* The peer is a server without tickets, so that it sends nothing of itself. */
static inline void tls_make_shared(void)
{
    if (tls_shared.client != NULL)
        return;
    tls_shared.certificate = make_certificate("peer", "DNS:peer", 9, NULL);
    tls_shared.client = SSL_CTX_new(TLS_client_method());
    tls_shared.server = SSL_CTX_new(TLS_server_method());
    trust(tls_shared.client, &tls_shared.certificate);
    present(tls_shared.server, &tls_shared.certificate);
    SSL_CTX_set_num_tickets(tls_shared.server, 0);
    atexit(tls_free_shared);
}

static inline void tls_forget(int peer)
{
    SSL_free(tls_peers[peer]);
    tls_peers[peer] = NULL;
}

/* A new peer may have the number of one that a test did not close. */

static inline int tls_peer_accept(int listener)
{
    int peer = sim_accept(listener);

    if (peer >= 0)
        tls_forget(peer);
    return peer;
}

static inline int tls_peer_connect(uint16_t port)
{
    int peer = sim_connect(port);

    if (peer >= 0)
        tls_forget(peer);
    return peer;
}

/* Sends what TLS has for the stream, as far as there is room.  More is kept for
 * the next call of a function of the peer. */
static inline void tls_peer_flush(int peer)
{
    BIO *out = SSL_get_wbio(tls_peers[peer]);
    char *bytes;
    long size = BIO_get_mem_data(out, &bytes);
    ssize_t n = sim_peer_send(peer, bytes, (size_t) size);

    for (char dropped[1024]; n > 0; n -= size) {
        size = n < (ssize_t) sizeof dropped ? (long) n : (long) sizeof dropped;
        assert_int_equal(BIO_read(out, dropped, (int) size), size);
    }
}

/* Gives TLS some of the data that has arrived.  Returns their size. */
static inline ssize_t tls_peer_feed(int peer)
{
    char bytes[1024];
    ssize_t n = sim_peer_receive(peer, bytes, sizeof bytes);

    if (n > 0)
        assert_int_equal(
            BIO_write(SSL_get_rbio(tls_peers[peer]), bytes, (int) n), n);
    return n;
}

static inline ssize_t tls_peer_send(int peer, const void *data, size_t size)
{
    SSL *ssl = tls_peers[peer];

    if (ssl == NULL || sim_peer_error(peer) != 0)
        return sim_peer_send(peer, data, size);
    tls_peer_flush(peer);
    if (BIO_ctrl_pending(SSL_get_wbio(ssl)) > 0)
        return 0;
    ERR_clear_error();
    if (size > 0)
        assert_int_equal(SSL_write(ssl, data, (int) size), size);
    tls_peer_flush(peer);
    return (ssize_t) size;
}

/* Receives or looks at plain bytes. */
static inline ssize_t tls_peer_get(int peer, void *buffer, size_t size,
                                   int (*get)(SSL *, void *, int))
{
    ssize_t fed = 1;
    int n;

    for (;;) {
        ERR_clear_error();
        n = get(tls_peers[peer], buffer, (int) size);
        if (n > 0 || fed <= 0 ||
            SSL_get_error(tls_peers[peer], n) != SSL_ERROR_WANT_READ)
            break;
        fed = tls_peer_feed(peer);
    }
    tls_peer_flush(peer);
    return n > 0 ? n : fed < 0 ? fed : 0;
}

static inline ssize_t tls_peer_receive(int peer, void *buffer, size_t size)
{
    size_t done = 0;
    ssize_t n = 1;

    if (tls_peers[peer] == NULL)
        return sim_peer_receive(peer, buffer, size);
    while (done < size && n > 0) {
        n = tls_peer_get(peer, (char *) buffer + done, size - done, SSL_read);
        done += n > 0 ? (size_t) n : 0;
    }
    return done > 0 ? (ssize_t) done : n;
}

/* An end counts only with close_notify. */
static inline bool tls_peer_eof(int peer)
{
    char byte;

    if (tls_peers[peer] == NULL)
        return sim_peer_eof(peer);
    return tls_peer_get(peer, &byte, 1, SSL_peek) == 0 &&
           (SSL_get_shutdown(tls_peers[peer]) & SSL_RECEIVED_SHUTDOWN) != 0 &&
           tls_peer_feed(peer) == 0 && sim_peer_eof(peer);
}

static inline void tls_peer_shutdown(int peer)
{
    if (tls_peers[peer] != NULL) {
        SSL_shutdown(tls_peers[peer]);
        tls_peer_flush(peer);
    }
    sim_peer_shutdown(peer);
}

static inline void tls_peer_close(int peer)
{
    if (tls_peers[peer] != NULL) {
        SSL_shutdown(tls_peers[peer]);
        tls_peer_flush(peer);
    }
    tls_forget(peer);
    sim_peer_close(peer);
}

static inline void tls_peer_reset(int peer)
{
    tls_forget(peer);
    sim_peer_reset(peer);
}

/* Puts TLS on a connection whose two ends are `stream` and `peer`. */
static inline void put_tls_on(aloop_stream *stream, int peer)
{
    static const tls_client settings = {.host = "peer"};
    SSL *ssl = NULL;
    aloop_future *future;

    tls_make_shared();
    future = tls_start(stream, tls_shared.client, &settings, &ssl);
    assert_true(peer < TLS_PEERS_MAX);
    tls_peers[peer] = SSL_new(tls_shared.server);
    SSL_set_bio(tls_peers[peer], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(tls_peers[peer]);
    while (!aloop_future_is_settled(future) ||
           !SSL_is_init_finished(tls_peers[peer])) {
        assert_true(aloop_step(t.loop, MS) >= 0);
        while (tls_peer_feed(peer) > 0)
            ;
        SSL_do_handshake(tls_peers[peer]);
        tls_peer_flush(peer);
    }
    assert_int_equal(aloop_await(future), 0);
}

#define sim_accept tls_peer_accept
#define sim_connect tls_peer_connect
#define sim_peer_send tls_peer_send
#define sim_peer_receive tls_peer_receive
#define sim_peer_eof tls_peer_eof
#define sim_peer_shutdown tls_peer_shutdown
#define sim_peer_close tls_peer_close
#define sim_peer_reset tls_peer_reset

#endif
