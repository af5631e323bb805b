/* The bridge to PostgreSQL against servers that break the protocol.  They run
 * in the loop of the client. */

#define _POSIX_C_SOURCE 200809L

#include "pg_fixture.h"

/* What a server sends after the first message of a client, and after the next
 * one. */
struct bytes {
    const char *data;
    size_t size;
};

#define BYTES(text) \
    { \
        text, sizeof text - 1 \
    }

static const struct bytes greeting = BYTES("R\0\0\0\x08\0\0\0\0"
                                           "S\0\0\0\x18server_version\00015.0\0"
                                           "K\0\0\0\x0c\0\0\0\1\0\0\0\2"
                                           "Z\0\0\0\x05I");
static const struct bytes reply =
    BYTES("1\0\0\0\x04"
          "2\0\0\0\x04"
          "T\0\0\0\x1a\0\1n\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
          "D\0\0\0\x0c\0\1\0\0\0\2ok"
          "C\0\0\0\x0dSELECT 1\0"
          "Z\0\0\0\x05I");

static struct {
    struct bytes first, second;
    bool is_reset; /* The connection ends with a reset. */
} script;

static ssize_t say(aloop_stream *stream, const struct bytes *bytes)
{
    char buffer[4096];
    ssize_t status =
        aloop_await(aloop_stream_read(stream, buffer, sizeof buffer));

    return status <= 0 ? ALOOP_EOF
                       : aloop_await(aloop_stream_write(stream, bytes->data,
                                                        bytes->size));
}

static ssize_t serve(aloop *loop, aloop_stream *stream, void *arg)
{
    (void) loop;
    (void) arg;
    if (say(stream, &script.first) >= 0 && script.second.size > 0)
        (void) say(stream, &script.second);
    if (script.is_reset)
        aloop_stream_abort(stream);
    else
        aloop_stream_close(stream);
    return 0;
}

/* Connects to a server that follows the script. */
static ssize_t connect_to_script(aloop_server **ret_server)
{
    char conninfo[128];

    assert_int_equal(aloop_tcp_serve(f.loop, "127.0.0.1", "0", serve, NULL,
                                     NULL, ret_server),
                     0);
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d sslmode=disable gssencmode=disable",
             aloop_listener_port(aloop_server_listener(*ret_server)));
    pg_close(f.pg);
    PQclear(f.result);
    f.result = NULL;
    return pg_connect(f.loop, conninfo, &f.pg, &f.result);
}

static void expect_no_connection(void)
{
    aloop_server *server;

    assert_int_equal(connect_to_script(&server), PG_ECONNECT);

    assert_null(f.pg);
    assert_true(pg_error(f.result, PG_ECONNECT)[0] != '\0');
    assert_in_range(aloop_await(aloop_server_stop(server, 0)), 0, 1);
}

/* Returns the result of a query. */
static ssize_t query_the_script(void)
{
    aloop_server *server;
    ssize_t status = connect_to_script(&server);

    assert_int_equal(status, 0);
    status = query("select 'ok' as n");
    assert_in_range(aloop_await(aloop_server_stop(server, 0)), 0, 1);
    return status;
}

static void a_whole_greeting_and_reply_are_understood(void **state)
{
    (void) state;
    script.first = greeting;
    script.second = reply;
    script.is_reset = false;

    assert_int_equal(query_the_script(), 1);

    assert_string_equal(value(0, 0), "ok");
}

static void an_end_or_reset_at_each_byte_of_a_greeting_is_an_error(void **state)
{
    (void) state;
    script.first = greeting;
    script.second.size = 0;
    for (size_t i = 0; i < 2 * greeting.size; i++) {
        script.first.size = i / 2;
        script.is_reset = i % 2 == 1;
        expect_no_connection();
    }
}

static void an_end_or_reset_at_each_byte_of_a_reply_is_an_error(void **state)
{
    (void) state;
    script.first = greeting;
    script.second = reply;
    for (size_t i = 2; i < 2 * reply.size; i++) {
        script.second.size = i / 2;
        script.is_reset = i % 2 == 1;

        assert_int_equal(query_the_script(), PG_ELOST);

        assert_true(pg_is_lost(f.pg));
    }
}

static void garbage_instead_of_a_greeting_is_an_error(void **state)
{
    static const struct bytes shapes[] = {
        BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
        BYTES("\x15\3\3\0\2\2\x28"), /* An alert of TLS. */
        BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"),
        BYTES("R\0\0\0\0\0\0\0\0"),       /* A length without itself. */
        BYTES("R\0\0\0\3\0\0\0"),         /* Shorter than itself. */
        BYTES("R\x7f\xff\xff\xff\0\0\0"), /* 2 GiB. */
        BYTES("R\xff\xff\xff\xff\0\0\0"), /* Negative. */
        BYTES("R\0\0\0\x08\0\0\0\x63"),   /* An unknown method. */
        BYTES("E\0\0\0\x05\0"),           /* An error without fields. */
        BYTES("Z\0\0\0\x05I"),            /* No authentication. */
    };

    (void) state;
    script.second.size = 0;
    script.is_reset = false;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        script.first = shapes[i];
        expect_no_connection();
    }
}

static void garbage_instead_of_a_reply_is_an_error(void **state)
{
    static const struct bytes shapes[] = {
        BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
        BYTES("1\0\0\0\0"),
        BYTES("1\0\0\0\3"),
        BYTES("1\xff\xff\xff\xff"),
        BYTES("1\x7f\xff\xff\xff"),
        BYTES("D\0\0\0\x0c\0\1\0\0\0\2ok"), /* A row without columns. */
        BYTES("T\0\0\0\6\xff\xff"),         /* 65,535 columns, or -1. */
        BYTES("T\0\0\0\6\0\1"),             /* One, which is missing. */
    };

    (void) state;
    script.first = greeting;
    script.is_reset = false;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        script.second = shapes[i];

        assert_int_equal(query_the_script(), PG_ELOST);

        assert_true(pg_is_lost(f.pg));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_greeting_and_reply_are_understood),
        TEST(an_end_or_reset_at_each_byte_of_a_greeting_is_an_error),
        TEST(an_end_or_reset_at_each_byte_of_a_reply_is_an_error),
        TEST(garbage_instead_of_a_greeting_is_an_error),
        TEST(garbage_instead_of_a_reply_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
