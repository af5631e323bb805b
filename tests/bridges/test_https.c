/* https:// in the HTTP session: what is kept of TLS between connections.  The
 * servers run in the loop of the session.  All tests run once with TLS 1.2 and
 * once with TLS 1.3. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aloop.h"
#include "bridges/https.h"
#include "bridges/tls.h"
#include "support/certificates.h"
#include "support/patient.h"

enum { SERVERS = 2, CONNECTIONS = 16 };

struct server {
    SSL_CTX *context;
    aloop_listener *listener;
    struct connection {
        struct server *server;
        aloop_stream *stream;
    } connections[CONNECTIONS];
    unsigned accepted, secured, resumed;
    unsigned at_once; /* Connections that are needed before the first reply. */
    bool is_chatty;   /* Sends a second reply, and keeps the connection. */
};

static struct certificate own;
static char certificate_file[] = "/tmp/aloop.XXXXXX";
static int version; /* Of TLS, for all tests of a run. */

static struct {
    aloop *loop;
    http_session *session;
    struct http_session_options options;
    struct server servers[SERVERS];
} f;

/* The fixture. */

static int make_file(void **state)
{
    int fd = mkstemp(certificate_file);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    (void) state;
    own = make_certificate("self", "DNS:localhost,IP:127.0.0.1", 9, NULL);
    if (file == NULL || !PEM_write_X509(file, own.x509) || fclose(file) != 0)
        return -1;
    return setenv("SSL_CERT_FILE", certificate_file, 1);
}

static int remove_file(void **state)
{
    (void) state;
    free_certificate(&own);
    unlink(certificate_file);
    memcpy(strchr(certificate_file, '.') + 1, "XXXXXX", 6);
    return 0;
}

/* Sends two records of TLS, which arrive together, and waits for the end. */
static void chat(aloop_stream *stream)
{
    static const char reply[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                      more[] = "HTTP/1.1 404 no\r\nContent-Length: 2\r\n\r\nno";
    char byte;

    (void) aloop_await(aloop_gather(
        f.loop, aloop_stream_write(stream, reply, sizeof reply - 1),
        aloop_stream_write(stream, more, sizeof more - 1)));
    (void) aloop_await(aloop_stream_read(stream, &byte, 1));
}

/* Answers one request, and ends the connection. */
static ssize_t answer(aloop *loop, void *arg)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                                "Connection: close\r\n\r\nok";
    struct connection *connection = arg;
    struct server *server = connection->server;
    aloop_stream *stream = connection->stream;
    char head[1024];
    SSL *ssl;

    if (aloop_await(tls_start(stream, server->context, NULL, &ssl)) == 0) {
        server->secured++;
        server->resumed += SSL_session_reused(ssl) == 1;
        while (server->secured < server->at_once)
            (void) aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
        if (aloop_await(aloop_stream_read_until(stream, head, sizeof head,
                                                "\r\n\r\n", 4)) > 0) {
            if (server->is_chatty)
                chat(stream);
            else
                (void) aloop_stream_put(stream, reply, sizeof reply - 1);
        }
    }
    aloop_stream_close(stream);
    return 0;
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct server *server = arg;
    struct connection *connection = &server->connections[server->accepted++];

    (void) listener;
    assert_true(server->accepted <= CONNECTIONS);
    *connection = (struct connection){server, stream};
    aloop_detach(aloop_spawn(f.loop, answer, connection));
}

static void start_server(struct server *server)
{
    server->context = SSL_CTX_new(TLS_server_method());
    assert_non_null(server->context);
    SSL_CTX_set_min_proto_version(server->context, version);
    SSL_CTX_set_max_proto_version(server->context, version);
    present(server->context, &own);
    assert_int_equal(aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_stream,
                                      server, &server->listener),
                     0);
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    for (int i = 0; i < SERVERS; i++)
        start_server(&f.servers[i]);
    if (https_begin(&f.options) < 0)
        return -1;
    f.session = http_session_new(f.loop, &f.options);
    return f.session == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void) state;
    http_session_free(f.session);
    https_end(&f.options);
    for (int i = 0; i < SERVERS; i++)
        aloop_listener_close(f.servers[i].listener);
    assert_int_equal(aloop_run(f.loop), 0);
    for (int i = 0; i < SERVERS; i++)
        SSL_CTX_free(f.servers[i].context);
    assert_int_equal(aloop_free(f.loop), 0);
    return 0;
}

/* Fetches from a server `count` times, simultaneously. */
static void fetch(const struct server *server, const char *host, size_t count)
{
    struct http_request request;
    struct http_page pages[CONNECTIONS];
    aloop_future *fetches[CONNECTIONS];
    char url[64];

    snprintf(url, sizeof url, "https://%s:%d/", host,
             aloop_listener_port(server->listener));
    request = (struct http_request){.url = url};
    for (size_t i = 0; i < count; i++)
        fetches[i] = http_fetch(f.session, &request, &pages[i]);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(aloop_await(aloop_timeout(
                             fetches[i], ALOOP_SEC(patient_limit(20)))),
                         2);
        http_page_free(&pages[i]);
    }
}

/* The tests. */

static void a_later_connection_resumes_the_session(void **state)
{
    struct server *server = &f.servers[0];

    (void) state;
    for (unsigned i = 1; i <= 4; i++) {
        fetch(server, "127.0.0.1", 1);
        assert_int_equal(server->secured, i);
        assert_int_equal(server->resumed, i - 1);
    }
}

/* The server has one key for tickets, so that it would accept the ticket. */
static void a_session_is_that_of_its_host_and_port(void **state)
{
    struct server *first = &f.servers[0], *second = &f.servers[1];
    unsigned char keys[80];

    (void) state;
    assert_int_equal(
        SSL_CTX_get_tlsext_ticket_keys(first->context, keys, sizeof keys), 1);
    assert_int_equal(
        SSL_CTX_set_tlsext_ticket_keys(second->context, keys, sizeof keys), 1);
    fetch(first, "127.0.0.1", 1);
    fetch(second, "127.0.0.1", 1);
    fetch(first, "localhost", 1);
    assert_int_equal(first->resumed + second->resumed, 0);
    fetch(second, "127.0.0.1", 1);
    fetch(first, "localhost", 1);
    assert_int_equal(first->resumed + second->resumed, 2);
}

/* A ticket of TLS 1.3 that is used twice shows that both are one client. */
static void a_ticket_of_tls_1_3_is_used_once(void **state)
{
    struct server *server = &f.servers[0];

    (void) state;
    SSL_CTX_set_num_tickets(server->context, 1);
    fetch(server, "127.0.0.1", 1);
    server->at_once = 1 + 3;
    fetch(server, "127.0.0.1", 3);
    assert_int_equal(server->secured, 4);
    assert_int_equal(server->resumed, version == TLS1_3_VERSION ? 1 : 3);
}

static void a_server_that_forgets_sessions_is_asked_without(void **state)
{
    struct server *server = &f.servers[0];
    unsigned char keys[80] = {1};

    (void) state;
    fetch(server, "127.0.0.1", 1);
    assert_int_equal(
        SSL_CTX_set_tlsext_ticket_keys(server->context, keys, sizeof keys), 1);
    fetch(server, "127.0.0.1", 1);
    assert_int_equal(server->secured, 2);
    assert_int_equal(server->resumed, 0);
}

static ssize_t fetches_twice(aloop *loop, void *arg)
{
    const struct http_request *request = arg;
    struct http_reply reply;
    char body[16];

    (void) loop;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_open(f.session, request, &reply), 0);
        assert_int_equal(reply.status, 200);
        assert_int_equal(http_read(&reply, body, sizeof body), 2);
        http_close(&reply);
    }
    return 0;
}

/* TLS has decrypted what follows, or could. */
static void a_reply_that_nothing_asked_for_is_not_that_of_the_next(void **state)
{
    struct server *server = &f.servers[0];
    char url[64];
    struct http_request request = {.url = url};

    (void) state;
    server->is_chatty = true;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/",
             aloop_listener_port(server->listener));
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_spawn(f.loop, fetches_twice, &request),
                                  ALOOP_SEC(patient_limit(20)))),
        0);
    assert_int_equal(server->secured, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_later_connection_resumes_the_session),
        TEST(a_session_is_that_of_its_host_and_port),
        TEST(a_ticket_of_tls_1_3_is_used_once),
        TEST(a_server_that_forgets_sessions_is_asked_without),
        TEST(a_reply_that_nothing_asked_for_is_not_that_of_the_next),
    };
    int failed;

    version = TLS1_2_VERSION;
    failed =
        cmocka_run_group_tests_name("TLS 1.2", tests, make_file, remove_file);
    version = TLS1_3_VERSION;
    failed +=
        cmocka_run_group_tests_name("TLS 1.3", tests, make_file, remove_file);
    return failed;
}
