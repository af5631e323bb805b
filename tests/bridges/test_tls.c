/* The bridge to OpenSSL: TLS over TCP of the kernel, with both ends in one
 * loop.  All tests run once with TLS 1.2 and once with TLS 1.3. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

static int make_certificates(void **state)
{
    (void) state;
    authority = make_certificate("authority", NULL, 9, NULL);
    good =
        make_certificate("good", "DNS:server.test,IP:127.0.0.1", 9, &authority);
    expired = make_certificate("expired", "DNS:server.test", 0, &authority);
    self_signed = make_certificate("self", "DNS:server.test", 9, NULL);
    return 0;
}

static int free_certificates(void **state)
{
    (void) state;
    free_certificate(&authority);
    free_certificate(&good);
    free_certificate(&expired);
    free_certificate(&self_signed);
    return 0;
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    assert_non_null(context);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    return context;
}

/* Fails a test that would hang. */
static ssize_t await(aloop_future *future)
{
    ssize_t status =
        aloop_await(aloop_timeout(future, ALOOP_SEC(patient_limit(20))));

    assert_int_not_equal(status, ALOOP_ETIMEDOUT);
    return status;
}

static void connect_both(void)
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

static int set_up(void **state)
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

static void close_both(void)
{
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
    f.client = f.server = NULL;
    f.client_ssl = f.server_ssl = NULL;
}

static int tear_down(void **state)
{
    (void) state;
    close_both();
    assert_int_equal(aloop_free(f.loop), 0);
    SSL_CTX_free(f.client_context);
    SSL_CTX_free(f.server_context);
    return 0;
}

/* Helpers. */

static aloop_future *start_client(void)
{
    return tls_start(f.client, f.client_context, &f.settings, &f.client_ssl);
}

static aloop_future *start_server(void)
{
    return tls_start(f.server, f.server_context, NULL, &f.server_ssl);
}

/* Expects these results of the two handshakes. */
static void assert_handshakes(int client_status, int server_status)
{
    aloop_future *client = start_client(), *server = start_server();

    assert_int_equal(await(client), client_status);
    assert_int_equal(await(server), server_status);
}

static void handshake(void)
{
    assert_handshakes(0, 0);
}

/* Expects that the client has refused the certificate for this reason. */
static void assert_refused(const char *words)
{
    assert_handshakes(ALOOP_EPROTO, ALOOP_EPROTO);
    assert_string_equal(tls_error(f.client_ssl, ALOOP_EPROTO), words);
    assert_non_null(strstr(tls_error(f.server_ssl, ALOOP_EPROTO), "alert"));
}

static void assert_passes(aloop_stream *from, aloop_stream *to,
                          const char *text)
{
    char got[64];
    size_t size = strlen(text);

    assert_int_equal(aloop_stream_put(from, text, size), 0);
    assert_int_equal(await(aloop_stream_read_exactly(to, got, size)), size);
    assert_memory_equal(got, text, size);
}

static void assert_echo(void)
{
    assert_passes(f.client, f.server, "a question");
    assert_passes(f.server, f.client, "an answer");
}

static void assert_read(aloop_stream *stream, int status)
{
    char byte;

    assert_int_equal(await(aloop_stream_read(stream, &byte, 1)), status);
}

static char byte_at(size_t place)
{
    return (char) (place * 31 + place / 251);
}

static ssize_t send_much(aloop *loop, void *arg)
{
    static char bytes[TOTAL];
    ssize_t status = 0;

    (void) loop;
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = byte_at(i);
    for (size_t i = 0, size; i < TOTAL && status >= 0; i += size) {
        size = 1 + i % CHUNK;
        if (size > TOTAL - i)
            size = TOTAL - i;
        status = aloop_await(aloop_stream_write(arg, bytes + i, size));
    }
    return status < 0 ? status : aloop_await(aloop_stream_shutdown(arg));
}

static ssize_t receive_much(aloop *loop, void *arg)
{
    static char bytes[CHUNK];
    size_t size = 0, wrong = 0;
    ssize_t n;

    (void) loop;
    while ((n = aloop_await(aloop_stream_read(arg, bytes, CHUNK))) > 0)
        for (ssize_t i = 0; i < n; i++)
            wrong += bytes[i] != byte_at(size++);
    if (n < 0)
        return n;
    return wrong == 0 ? (ssize_t) size : ALOOP_EINVAL;
}

static void collect(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) arg;
    f.end = size;
    if (size <= 0)
        return;
    assert_true((size_t) size <= sizeof f.got - f.got_size);
    memcpy(f.got + f.got_size, data, (size_t) size);
    f.got_size += (size_t) size;
}

/* Data. */

static void both_ends_read_what_the_other_has_written(void **state)
{
    (void) state;
    handshake();
    assert_echo();
    assert_int_equal(SSL_version(f.client_ssl), version);
}

static void what_is_put_before_the_handshake_arrives_after_it(void **state)
{
    aloop_future *client = start_client();

    (void) state;
    assert_int_equal(aloop_stream_put(f.client, "early", 5), 0);
    assert_int_equal(await(start_server()), 0);
    assert_int_equal(await(client), 0);
    assert_int_equal(await(aloop_stream_read(f.server, f.got, 9)), 5);
    assert_memory_equal(f.got, "early", 5);
}

static void large_transfers_run_in_both_directions(void **state)
{
    aloop_future *received[2];

    (void) state;
    handshake();
    received[0] = aloop_spawn(f.loop, receive_much, f.client);
    received[1] = aloop_spawn(f.loop, receive_much, f.server);
    assert_int_equal(
        await(aloop_gather(f.loop, aloop_spawn(f.loop, send_much, f.client),
                           aloop_spawn(f.loop, send_much, f.server))),
        0);
    assert_int_equal(await(received[0]), TOTAL);
    assert_int_equal(await(received[1]), TOTAL);
}

static void a_callback_is_given_plain_bytes(void **state)
{
    (void) state;
    handshake();
    f.end = 1;
    assert_int_equal(aloop_stream_start(f.server, collect, NULL), 0);
    assert_int_equal(aloop_stream_put(f.client, "to a callback", 13), 0);
    assert_int_equal(await(aloop_stream_shutdown(f.client)), 0);
    while (f.end > 0)
        assert_true(aloop_step(f.loop, -1) >= 0);
    assert_int_equal(f.end, 0);
    assert_int_equal(f.got_size, 13);
    assert_memory_equal(f.got, "to a callback", 13);
}

static void a_key_update_does_not_disturb_the_data(void **state)
{
    (void) state;
    if (version != TLS1_3_VERSION)
        skip();
    handshake();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(f.client_ssl, SSL_KEY_UPDATE_REQUESTED),
                         1);
        assert_echo();
    }
}

/* The server of TLS 1.3 sends two tickets in front of its data. */
static void a_context_cannot_make_reads_end_before_data(void **state)
{
    (void) state;
    SSL_CTX_clear_mode(f.client_context, SSL_MODE_AUTO_RETRY);
    handshake();
    assert_passes(f.server, f.client, "behind the tickets");
}

/* Updates the keys of the client, which demands that the server does so, too.
 * TLS is asked for all records, and the stream then sends them. */
static void demand_key_updates(int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(SSL_key_update(f.client_ssl, SSL_KEY_UPDATE_REQUESTED),
                         1);
        assert_int_equal(SSL_do_handshake(f.client_ssl), 1);
    }
    assert_int_equal(aloop_stream_filter_wake(f.client), 0);
    assert_true(aloop_step(f.loop, 0) >= 0);
}

static void limit_buffer(const aloop_stream *stream, int option)
{
    int size = 32 * 1024;

    assert_int_equal(setsockopt(aloop_stream_fd(stream), SOL_SOCKET, option,
                                &size, sizeof size),
                     0);
}

/* Data that wait for the client do not keep the server from reading, but
 * answers do.  Without a limit 170 KiB would wait. */
static void answers_wait_for_a_peer_that_does_not_read(void **state)
{
    static const char data[TOTAL];
    size_t waiting;
    aloop_future *read;
    char some[160];

    (void) state;
    if (version != TLS1_3_VERSION)
        skip();
    handshake();
    SSL_set_mode(f.client_ssl, SSL_MODE_AUTO_RETRY);
    assert_echo();
    limit_buffer(f.client, SO_RCVBUF);
    limit_buffer(f.server, SO_SNDBUF);
    assert_int_equal(aloop_stream_put(f.server, data, TOTAL), 1);
    read = aloop_stream_read_exactly(f.server, some, sizeof some);
    for (size_t i = 0; i < sizeof some; i++) {
        demand_key_updates(25);
        assert_true(aloop_stream_put(f.client, "x", 1) >= 0);
    }
    waiting = BIO_ctrl_pending(SSL_get_wbio(f.server_ssl));
    assert_in_range(waiting, 128 * 1024, 150 * 1024);
    assert_int_equal(await(aloop_stream_read_exactly(f.client, f.got, TOTAL)),
                     TOTAL);
    assert_int_equal(await(read), sizeof some);
}

static void a_flood_of_key_updates_ends_the_connection(void **state)
{
    aloop_future *read;
    char byte;

    (void) state;
    if (version != TLS1_3_VERSION)
        skip();
    handshake();
    assert_echo();
    read = aloop_stream_read(f.server, &byte, 1);
    demand_key_updates(1000);
    assert_int_equal(await(read), ALOOP_EPROTO);
    assert_string_equal(tls_error(f.server_ssl, ALOOP_EPROTO),
                        "too many key updates");
}

static void tls_runs_inside_of_tls(void **state)
{
    (void) state;
    handshake();
    handshake();
    assert_echo();
    assert_int_equal(await(aloop_stream_shutdown(f.client)), 0);
    assert_read(f.server, 0);
}

static void errors_of_other_connections_are_not_taken_for_its_own(void **state)
{
    (void) state;
    handshake();
    ERR_raise(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
    assert_echo();
    ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING);
    aloop_stream_close(f.client);
    f.client = NULL;
    assert_read(f.server, 0);
}

/* Ends. */

static void the_other_direction_continues_after_a_shutdown(void **state)
{
    (void) state;
    handshake();
    assert_echo();
    assert_int_equal(await(aloop_stream_shutdown(f.client)), 0);
    assert_read(f.server, 0);
    assert_passes(f.server, f.client, "more");
    assert_int_equal(await(aloop_stream_shutdown(f.server)), 0);
    assert_read(f.client, 0);
}

static void an_end_without_close_notify_is_an_error(void **state)
{
    (void) state;
    handshake();
    assert_int_equal(aloop_stream_put(f.server, "x", 1), 0);
    SSL_set_quiet_shutdown(f.server_ssl, 1);
    aloop_stream_close(f.server);
    f.server = NULL;
    assert_read(f.client, 1);
    assert_read(f.client, ALOOP_ECONNRESET);
    assert_string_equal(tls_error(f.client_ssl, ALOOP_ECONNRESET),
                        "the peer has cut off TLS");
}

static void a_reset_is_an_error(void **state)
{
    (void) state;
    handshake();
    assert_echo();
    aloop_stream_abort(f.server);
    f.server = NULL;
    assert_read(f.client, ALOOP_ECONNRESET);
}

static void a_reset_ends_a_transfer(void **state)
{
    aloop_future *sent;

    (void) state;
    handshake();
    sent = aloop_spawn(f.loop, send_much, f.client);
    assert_int_equal(await(aloop_stream_read_exactly(f.server, f.got, CHUNK)),
                     CHUNK);
    aloop_stream_abort(f.server);
    f.server = NULL;
    assert_true(await(sent) < 0);
}

/* The server of TLS 1.3 sends tickets that the client never reads. */
static void a_client_that_only_writes_and_closes_loses_nothing(void **state)
{
    static const char bytes[TOTAL];
    aloop_future *client = start_client();

    (void) state;
    assert_true(aloop_stream_put(f.client, bytes, TOTAL) >= 0);
    assert_int_equal(await(start_server()), 0);
    assert_int_equal(await(client), 0);
    aloop_stream_close(f.client);
    f.client = NULL;
    assert_int_equal(
        await(aloop_stream_read_to_end(f.server, f.got, sizeof f.got)), TOTAL);
}

/* Verification. */

static void another_host_is_refused(void **state)
{
    (void) state;
    f.settings.host = "other.test";
    assert_refused("hostname mismatch");
}

static void a_numeric_address_can_be_the_host(void **state)
{
    (void) state;
    f.settings.host = "127.0.0.1";
    handshake();
    assert_null(SSL_get_servername(f.server_ssl, TLSEXT_NAMETYPE_host_name));
}

static void another_address_is_refused(void **state)
{
    (void) state;
    f.settings.host = "127.0.0.2";
    assert_refused("IP address mismatch");
}

static void an_expired_certificate_is_refused(void **state)
{
    (void) state;
    present(f.server_context, &expired);
    assert_refused("certificate has expired");
}

static void a_self_signed_certificate_is_refused(void **state)
{
    (void) state;
    present(f.server_context, &self_signed);
    assert_refused("self-signed certificate");
}

static void a_client_that_trusts_none_refuses_all(void **state)
{
    (void) state;
    SSL_CTX_free(f.client_context);
    f.client_context = new_context(TLS_client_method());
    assert_refused("unable to get local issuer certificate");
}

static void verification_can_be_turned_off(void **state)
{
    (void) state;
    present(f.server_context, &self_signed);
    f.settings = (tls_client){.is_unverified = true};
    handshake();
    assert_echo();
}

static void a_context_cannot_turn_verification_off(void **state)
{
    (void) state;
    SSL_CTX_set_verify(f.client_context, SSL_VERIFY_NONE, NULL);
    present(f.server_context, &self_signed);
    assert_refused("self-signed certificate");
}

static void a_client_without_a_host_is_refused(void **state)
{
    static const char *const hosts[] = {NULL, ""};

    (void) state;
    for (int i = 0; i < 2; i++) {
        f.settings.host = hosts[i];
        f.client_ssl = (SSL *) &f;
        assert_int_equal(await(start_client()), ALOOP_EINVAL);
        assert_null(f.client_ssl);
    }
    assert_passes(f.client, f.server, "the stream is unchanged");
}

static void a_server_can_demand_a_certificate(void **state)
{
    (void) state;
    SSL_CTX_set_verify(f.server_context,
                       SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    trust(f.server_context, &authority);
    present(f.client_context, &good);
    handshake();
    assert_echo();
    assert_non_null(SSL_get0_peer_certificate(f.server_ssl));
}

/* In TLS 1.3 the client is done before the server has refused it. */
static void a_client_without_a_demanded_certificate_is_refused(void **state)
{
    bool is_late = version == TLS1_3_VERSION;

    (void) state;
    SSL_CTX_set_verify(f.server_context,
                       SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_handshakes(is_late ? 0 : ALOOP_EPROTO, ALOOP_EPROTO);
    assert_string_equal(tls_error(f.server_ssl, ALOOP_EPROTO),
                        "peer did not return a certificate");
    assert_read(f.client, ALOOP_EPROTO);
    assert_non_null(strstr(tls_error(f.client_ssl, ALOOP_EPROTO), "alert"));
}

/* Extensions. */

static void the_server_is_told_the_name_of_the_host(void **state)
{
    (void) state;
    handshake();
    assert_string_equal(
        SSL_get_servername(f.server_ssl, TLSEXT_NAMETYPE_host_name),
        "server.test");
}

static void assert_protocol(const char *name)
{
    const unsigned char *selected;
    unsigned size;

    SSL_get0_alpn_selected(f.client_ssl, &selected, &size);
    assert_int_equal(size, strlen(name));
    if (size > 0)
        assert_memory_equal(selected, name, size);
}

static void the_first_common_protocol_of_the_server_is_selected(void **state)
{
    (void) state;
    assert_int_equal(
        tls_set_alpn(f.client_context, "\3foo" TLS_ALPN_HTTP_1_1 TLS_ALPN_H2),
        0);
    assert_int_equal(
        tls_set_alpn(f.server_context, TLS_ALPN_H2 TLS_ALPN_HTTP_1_1), 0);
    handshake();
    assert_protocol("h2");
}

static void an_end_without_protocols_accepts_those_of_the_other(void **state)
{
    (void) state;
    assert_int_equal(tls_set_alpn(f.client_context, TLS_ALPN_HTTP_1_1), 0);
    handshake();
    assert_protocol("");
}

static void ends_without_a_common_protocol_refuse_each_other(void **state)
{
    (void) state;
    assert_int_equal(tls_set_alpn(f.client_context, TLS_ALPN_HTTP_1_1), 0);
    assert_int_equal(tls_set_alpn(f.server_context, TLS_ALPN_H2), 0);
    assert_handshakes(ALOOP_EPROTO, ALOOP_EPROTO);
    assert_string_equal(tls_error(f.server_ssl, ALOOP_EPROTO),
                        "no application protocol");
}

static void a_malformed_list_of_protocols_is_refused(void **state)
{
    (void) state;
    assert_int_equal(tls_set_alpn(f.server_context, "h2,http/1.1"),
                     ALOOP_EINVAL);
    assert_int_equal(tls_set_alpn(f.client_context, ""), ALOOP_EINVAL);
}

static void ends_without_a_common_version_refuse_each_other(void **state)
{
    int other = version == TLS1_2_VERSION ? TLS1_3_VERSION : TLS1_2_VERSION;

    (void) state;
    SSL_CTX_set_max_proto_version(f.server_context, 0);
    SSL_CTX_set_min_proto_version(f.server_context, other);
    SSL_CTX_set_max_proto_version(f.server_context, other);
    assert_handshakes(ALOOP_EPROTO, ALOOP_EPROTO);
}

/* The session of TLS 1.3 is in a ticket, which a read receives. */
static void a_session_can_be_resumed(void **state)
{
    SSL_SESSION *session;

    (void) state;
    handshake();
    assert_echo();
    assert_false(SSL_session_reused(f.client_ssl));
    session = SSL_get1_session(f.client_ssl);
    close_both();
    f.settings.session = session;
    for (int i = 0; i < 2; i++) {
        connect_both();
        handshake();
        assert_echo();
        assert_true(SSL_session_reused(f.client_ssl));
        assert_true(SSL_session_reused(f.server_ssl));
        close_both();
    }
    SSL_SESSION_free(session);
}

static void a_session_with_certificates_can_be_resumed(void **state)
{
    SSL_SESSION *session;

    (void) state;
    SSL_CTX_set_verify(f.server_context, SSL_VERIFY_PEER, NULL);
    handshake();
    assert_echo();
    session = SSL_get1_session(f.client_ssl);
    close_both();
    f.settings.session = session;
    connect_both();
    handshake();
    assert_true(SSL_session_reused(f.client_ssl));
    SSL_SESSION_free(session);
}

/* The handshake. */

static void garbage_instead_of_a_handshake_is_an_error(void **state)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    aloop_future *client = start_client();

    (void) state;
    assert_int_equal(aloop_stream_put(f.server, answer, sizeof answer - 1), 0);
    assert_int_equal(await(client), ALOOP_EPROTO);
    assert_string_equal(tls_error(f.client_ssl, ALOOP_EPROTO),
                        "wrong version number");
    assert_read(f.client, ALOOP_EPROTO);
    assert_true(aloop_stream_put(f.client, "x", 1) < 0);
}

/* Sends bytes to the client that are not of TLS, and maybe the end. */
static void send_raw(const char *bytes, size_t size, bool is_end)
{
    int fd = aloop_stream_fd(f.server);

    assert_int_equal(send(fd, bytes, size, 0), size);
    if (is_end)
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

static void wrong_records_behind_the_data_are_errors(void **state)
{
    static const char forged[5 + 32] = "\27\3\3\0\40";
    static const struct {
        const char *bytes;
        size_t size;
        bool is_end;
        int status;
    } cases[] = {
        {forged, sizeof forged, false, ALOOP_EPROTO},
        {"\27\3\3\377\377", 5, false, ALOOP_EPROTO}, /* Too long. */
        {"garbage", 7, false, ALOOP_EPROTO},
        {forged, sizeof forged - 1, true, ALOOP_ECONNRESET},
        {forged, 1, true, ALOOP_ECONNRESET},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        handshake();
        assert_passes(f.server, f.client, "data");
        send_raw(cases[i].bytes, cases[i].size, cases[i].is_end);
        assert_read(f.client, cases[i].status);
        assert_true(aloop_stream_put(f.client, "x", 1) < 0);
        close_both();
        connect_both();
    }
}

static void a_client_may_leave_behind_any_byte(void **state)
{
    char hello[1024];
    SSL *ssl = SSL_new(f.client_context);
    int size;

    (void) state;
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
    assert_int_equal(SSL_do_handshake(ssl), -1);
    size = BIO_read(SSL_get_wbio(ssl), hello, sizeof hello);
    SSL_free(ssl);
    assert_in_range(size, 100, sizeof hello - 1);
    for (int i = 0; i < size; i += 1 + i / 8) {
        aloop_future *server = start_server();

        if (i > 0)
            assert_int_equal(aloop_stream_put(f.client, hello, (size_t) i), 0);
        aloop_stream_close(f.client);
        f.client = NULL;
        assert_int_equal(await(server), ALOOP_ECONNRESET);
        assert_string_equal(tls_error(f.server_ssl, ALOOP_ECONNRESET),
                            "the peer has cut off TLS");
        close_both();
        connect_both();
    }
}

static void a_request_of_http_is_recognised(void **state)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    aloop_future *server = start_server();

    (void) state;
    assert_int_equal(aloop_stream_put(f.client, request, sizeof request - 1),
                     0);
    assert_int_equal(await(server), ALOOP_EPROTO);
    assert_string_equal(tls_error(f.server_ssl, ALOOP_EPROTO), "http request");
}

static void an_end_in_the_handshake_is_an_error(void **state)
{
    aloop_future *client = start_client();

    (void) state;
    assert_int_equal(await(aloop_stream_shutdown(f.server)), 0);
    assert_int_equal(await(client), ALOOP_ECONNRESET);
}

static void a_handshake_can_have_a_limit(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_timeout(start_client(), ALOOP_MS(1))),
                     ALOOP_ETIMEDOUT);
    assert_read(f.client, ALOOP_ECONNABORTED);
    assert_string_equal(tls_error(f.client_ssl, ALOOP_ETIMEDOUT),
                        aloop_strerror(ALOOP_ETIMEDOUT));
}

static void a_cancelled_handshake_breaks_the_stream(void **state)
{
    aloop_future *client = start_client();

    (void) state;
    assert_true(aloop_step(f.loop, 0) >= 0);
    assert_int_equal(aloop_cancel(client), 1);
    assert_int_equal(await(client), ALOOP_EABORTED);
    assert_read(f.client, ALOOP_ECONNABORTED);
    aloop_stream_close(f.client);
    f.client = NULL;
    assert_int_equal(await(start_server()), ALOOP_ECONNRESET);
}

static void a_close_in_the_handshake_frees_everything(void **state)
{
    aloop_future *client = start_client();

    (void) state;
    assert_true(aloop_step(f.loop, 0) >= 0);
    aloop_stream_close(f.client);
    f.client = NULL;
    assert_int_equal(await(client), ALOOP_EABORTED);
}

static void no_tls_is_started_on_a_stream_that_is_read(void **state)
{
    char byte;
    aloop_future *read = aloop_stream_read(f.client, &byte, 1);

    (void) state;
    f.client_ssl = (SSL *) &f;
    assert_int_equal(await(start_client()), ALOOP_EBUSY);
    assert_null(f.client_ssl);
    assert_string_equal(tls_error(NULL, ALOOP_EBUSY),
                        aloop_strerror(ALOOP_EBUSY));
    assert_int_equal(aloop_stream_put(f.server, "x", 1), 0);
    assert_int_equal(await(read), 1);
}

/* The first message of the handshake arrives together with the command. */
static void tls_can_begin_behind_a_command(void **state)
{
    aloop_future *client, *server;
    char line[64];

    (void) state;
    assert_int_equal(aloop_stream_put(f.client, "STARTTLS\n", 9), 0);
    client = start_client();
    for (int i = 0; i < 3; i++)
        assert_true(aloop_step(f.loop, 0) >= 0);
    assert_int_equal(
        await(aloop_stream_read_until(f.server, line, sizeof line, "\n", 1)),
        9);
    server = start_server();
    assert_int_equal(await(server), 0);
    assert_int_equal(await(client), 0);
    assert_echo();
}

static void start_behind_command(aloop_stream *stream, const void *data,
                                 ssize_t size, void *arg)
{
    aloop_future **ret_server = arg;

    assert_true(size > 9);
    assert_int_equal(
        aloop_stream_unread(stream, (const char *) data + 9, (size_t) size - 9),
        0);
    assert_int_equal(aloop_stream_stop(stream), 0);
    *ret_server = start_server();
}

static void a_callback_can_begin_tls_behind_a_command(void **state)
{
    aloop_future *client, *server = NULL;

    (void) state;
    assert_int_equal(aloop_stream_put(f.client, "STARTTLS\n", 9), 0);
    client = start_client();
    for (int i = 0; i < 3; i++)
        assert_true(aloop_step(f.loop, 0) >= 0);
    assert_int_equal(
        aloop_stream_start(f.server, start_behind_command, &server), 0);
    assert_int_equal(await(client), 0);
    assert_int_equal(await(server), 0);
    assert_echo();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    const struct CMUnitTest tests[] = {
        TEST(both_ends_read_what_the_other_has_written),
        TEST(what_is_put_before_the_handshake_arrives_after_it),
        TEST(large_transfers_run_in_both_directions),
        TEST(a_callback_is_given_plain_bytes),
        TEST(a_key_update_does_not_disturb_the_data),
        TEST(a_flood_of_key_updates_ends_the_connection),
        TEST(a_context_cannot_make_reads_end_before_data),
        TEST(answers_wait_for_a_peer_that_does_not_read),
        TEST(tls_runs_inside_of_tls),
        TEST(errors_of_other_connections_are_not_taken_for_its_own),
        TEST(the_other_direction_continues_after_a_shutdown),
        TEST(an_end_without_close_notify_is_an_error),
        TEST(a_reset_is_an_error),
        TEST(a_reset_ends_a_transfer),
        TEST(a_client_that_only_writes_and_closes_loses_nothing),
        TEST(another_host_is_refused),
        TEST(a_numeric_address_can_be_the_host),
        TEST(another_address_is_refused),
        TEST(an_expired_certificate_is_refused),
        TEST(a_self_signed_certificate_is_refused),
        TEST(a_client_that_trusts_none_refuses_all),
        TEST(verification_can_be_turned_off),
        TEST(a_context_cannot_turn_verification_off),
        TEST(a_client_without_a_host_is_refused),
        TEST(a_server_can_demand_a_certificate),
        TEST(a_client_without_a_demanded_certificate_is_refused),
        TEST(the_server_is_told_the_name_of_the_host),
        TEST(the_first_common_protocol_of_the_server_is_selected),
        TEST(an_end_without_protocols_accepts_those_of_the_other),
        TEST(ends_without_a_common_protocol_refuse_each_other),
        TEST(a_malformed_list_of_protocols_is_refused),
        TEST(ends_without_a_common_version_refuse_each_other),
        TEST(a_session_can_be_resumed),
        TEST(a_session_with_certificates_can_be_resumed),
        TEST(garbage_instead_of_a_handshake_is_an_error),
        TEST(wrong_records_behind_the_data_are_errors),
        TEST(a_client_may_leave_behind_any_byte),
        TEST(a_request_of_http_is_recognised),
        TEST(an_end_in_the_handshake_is_an_error),
        TEST(a_handshake_can_have_a_limit),
        TEST(a_cancelled_handshake_breaks_the_stream),
        TEST(a_close_in_the_handshake_frees_everything),
        TEST(no_tls_is_started_on_a_stream_that_is_read),
        TEST(tls_can_begin_behind_a_command),
        TEST(a_callback_can_begin_tls_behind_a_command),
    };
    int failed = 0;

    for (int i = 0; i < 2; i++) {
        version = versions[i];
        failed +=
            cmocka_run_group_tests(tests, make_certificates, free_certificates);
    }
    return failed;
}
