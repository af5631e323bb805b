/* For tests of the bridge to OpenSSL: TLS over TCP of the kernel, with both
 * ends in one loop.  All tests run once with TLS 1.2 and once with TLS 1.3. */

#ifndef TLS_PAIR_FIXTURE_H
#define TLS_PAIR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "aloop.h"
#include "bridges/tls.h"
#include "support/certificates.h"
#include "support/patient.h"

enum { TOTAL = 512 * 1024, CHUNK = 50000 };

static struct certificate authority, good, expired, self_signed;

static struct {
    aloop *loop;
    SSL_CTX *client_context, *server_context;
    tls_client settings; /* Of the client: a good host. */
    aloop_stream *client, *server;
    SSL *client_ssl, *server_ssl;
    char got[TOTAL]; /* What was received. */
    size_t got_size;
    ssize_t end; /* The last size that on_data was called with. */
} f;

static int version; /* Of TLS, for all tests of a run. */

/* The fixture. */

static inline int make_certificates(void **state)
{
    (void) state;
    authority = make_certificate("authority", NULL, 9, NULL);
    good =
        make_certificate("good", "DNS:server.test,IP:127.0.0.1", 9, &authority);
    expired = make_certificate("expired", "DNS:server.test", 0, &authority);
    self_signed = make_certificate("self", "DNS:server.test", 9, NULL);
    return 0;
}

static inline int free_certificates(void **state)
{
    (void) state;
    free_certificate(&authority);
    free_certificate(&good);
    free_certificate(&expired);
    free_certificate(&self_signed);
    return 0;
}

static inline SSL_CTX *new_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    assert_non_null(context);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    return context;
}

/* Fails a test that would hang. */
static inline ssize_t await(aloop_future *future)
{
    ssize_t status =
        aloop_await(aloop_timeout(future, ALOOP_SEC(patient_limit(20))));

    assert_int_not_equal(status, ALOOP_ETIMEDOUT);
    return status;
}

static inline void connect_both(void)
{
    aloop_listener *listener;
    char port[8];

    assert_int_equal(
        aloop_tcp_listen(f.loop, "127.0.0.1", "0", NULL, NULL, &listener), 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    assert_int_equal(
        await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &f.client)), 0);
    assert_int_equal(await(aloop_listener_accept(listener, &f.server)), 0);
    aloop_listener_close(listener);
}

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    f.client_context = new_context(TLS_client_method());
    f.server_context = new_context(TLS_server_method());
    f.settings.host = "server.test";
    trust(f.client_context, &authority);
    present(f.server_context, &good);
    connect_both();
    return 0;
}

static inline void close_both(void)
{
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
    f.client = f.server = NULL;
    f.client_ssl = f.server_ssl = NULL;
}

static inline int tear_down(void **state)
{
    (void) state;
    close_both();
    assert_int_equal(aloop_free(f.loop), 0);
    SSL_CTX_free(f.client_context);
    SSL_CTX_free(f.server_context);
    return 0;
}

/* Helpers. */

static inline aloop_future *start_client(void)
{
    return tls_start(f.client, f.client_context, &f.settings, &f.client_ssl);
}

static inline aloop_future *start_server(void)
{
    return tls_start(f.server, f.server_context, NULL, &f.server_ssl);
}

/* Expects these results of the two handshakes. */
static inline void assert_handshakes(int client_status, int server_status)
{
    aloop_future *client = start_client(), *server = start_server();

    assert_int_equal(await(client), client_status);
    assert_int_equal(await(server), server_status);
}

static inline void handshake(void)
{
    assert_handshakes(0, 0);
}

static inline void assert_passes(aloop_stream *from, aloop_stream *to,
                                 const char *text)
{
    char got[64];
    size_t size = strlen(text);

    assert_int_equal(aloop_stream_put(from, text, size), 0);
    assert_int_equal(await(aloop_stream_read_exactly(to, got, size)), size);
    assert_memory_equal(got, text, size);
}

static inline void assert_echo(void)
{
    assert_passes(f.client, f.server, "a question");
    assert_passes(f.server, f.client, "an answer");
}

static inline void assert_read(aloop_stream *stream, int status)
{
    char byte;

    assert_int_equal(await(aloop_stream_read(stream, &byte, 1)), status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Runs an array of tests with a version of TLS. */
#define RUN_TESTS(tests, number) \
    (version = (number), \
     cmocka_run_group_tests(tests, make_certificates, free_certificates))

#endif
