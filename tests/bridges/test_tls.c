/* The bridge to OpenSSL: data, the ends of connections, and handshakes. */

#define _POSIX_C_SOURCE 200809L

#include "bridges/tls_pair_fixture.h"

#include <openssl/err.h>
#include <sys/socket.h>

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
    waiting = BIO_ctrl_wpending(SSL_get_wbio(f.server_ssl));
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
                        "too many messages of TLS without data");
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

int main(void)
{
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
    int failed = RUN_TESTS(tests, TLS1_2_VERSION);

    failed += RUN_TESTS(tests, TLS1_3_VERSION);
    return failed;
}
