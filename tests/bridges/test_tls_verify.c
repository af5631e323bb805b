/* The bridge to OpenSSL: how the ends verify each other, and what else they
 * agree on in the handshake. */

#define _POSIX_C_SOURCE 200809L

#include "bridges/tls_pair_fixture.h"

/* Expects that the client has refused the certificate for this reason. */
static void assert_refused(const char *words)
{
    assert_handshakes(ALOOP_EPROTO, ALOOP_EPROTO);
    assert_string_equal(tls_error(f.client_ssl, ALOOP_EPROTO), words);
    assert_non_null(strstr(tls_error(f.server_ssl, ALOOP_EPROTO), "alert"));
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

static void the_server_receives_the_name_of_the_host(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(the_server_receives_the_name_of_the_host),
        TEST(the_first_common_protocol_of_the_server_is_selected),
        TEST(an_end_without_protocols_accepts_those_of_the_other),
        TEST(ends_without_a_common_protocol_refuse_each_other),
        TEST(a_malformed_list_of_protocols_is_refused),
        TEST(ends_without_a_common_version_refuse_each_other),
        TEST(a_session_can_be_resumed),
        TEST(a_session_with_certificates_can_be_resumed),
    };
    int failed = RUN_TESTS(tests, TLS1_2_VERSION);

    failed += RUN_TESTS(tests, TLS1_3_VERSION);
    return failed;
}
