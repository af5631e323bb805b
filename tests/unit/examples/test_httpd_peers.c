/* The HTTP server of the examples: clients that send and receive at times and
 * in pieces that are not usual. */

#include "support/httpd_fixture.h"

enum {
    ROOM = 24 * 1024 /* Of a connection's buffer, with the defaults. */
};

static ssize_t answer_nothing(struct httpd_request *request, void *arg)
{
    (void) arg;
    return httpd_answer(request, 200, NULL, "", 0);
}

/* Begins the answer before it reads the body. */
static ssize_t echo(struct httpd_request *request, void *arg)
{
    ssize_t n = httpd_begin(request, 200, NULL, -1);
    char bytes[64];

    (void) arg;
    if (n == 0)
        n = httpd_write(request, "a", 1);
    while (n >= 0 && (n = httpd_read(request, bytes, sizeof bytes)) > 0)
        n = httpd_write(request, bytes, (size_t) n);
    return n;
}

static const struct httpd_route routes[] = {
    {"GET", "/nothing", answer_nothing, NULL},
    {"POST", "/post", answer_length, NULL},
    {"POST", "/echo", echo, NULL},
};

static void start(void)
{
    struct httpd_options options = {.routes = routes,
                                    .routes_count = sizeof routes /
                                                    sizeof routes[0]};

    got.size = 0;
    start_httpd(&options);
}

#define POST "POST /post HTTP/1.1\r\nHost: x\r\n"
#define EXPECT "Expect: 100-continue\r\n"

/* Sends a GET of `size` bytes. */
static size_t add_padded(char *text, size_t size)
{
    static const char start[] = "GET /nothing HTTP/1.1\r\nHost: x\r\nA: ";

    memset(text, 'a', size);
    memcpy(text, start, sizeof start - 1);
    memcpy(text + size - 4, "\r\n\r\n", 4);
    return size;
}

/* The end of the buffer is at each byte of a head and of its chunks. */
static void a_chunk_may_end_with_the_buffer(void **state)
{
    static const char request[] = POST "Transfer-Encoding: chunked\r\n\r\n"
                                       "5;a=b\r\nhello\r\n0\r\nC: d\r\n\r\n";
    static char text[ROOM + sizeof request];

    (void) state;
    start();
    for (size_t k = 1; k < sizeof request; k++) {
        int peer = connect_client();
        size_t size = add_padded(text, 12 * 1024);

        size += add_padded(text + size, ROOM - k - size);
        memcpy(text + size, request, sizeof request - 1);
        size += sizeof request - 1;
        got.size = 0;
        client_sends(peer, text, ROOM);
        run_for(MS);
        client_sends(peer, text + ROOM, size - ROOM);
        client_receives(peer, MS);
        if (strcmp(statuses(), "200 200 200") != 0 ||
            strstr(got.text, "\r\n\r\n 5\n") == NULL)
            fail_msg("with %zu bytes: %s", k, statuses());
        sim_peer_close(peer);
        run_for(MS);
    }
    stop_httpd();
}

static void no_100_is_sent_if_the_body_has_arrived(void **state)
{
    (void) state;
    start();
    ask(POST EXPECT "Content-Length: 5\r\n\r\nhello");
    assert_string_equal(statuses(), "200");
    assert_null(strstr(got.text, "Connection: close"));
    ask(POST EXPECT "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_string_equal(statuses(), "200");
    ask(POST EXPECT "Content-Length: 5\r\n\r\nhello" POST
                    "Content-Length: 1\r\n\r\na");
    assert_string_equal(statuses(), "200 200");
    stop_httpd();
}

static void no_100_is_sent_after_the_answer_has_begun(void **state)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\n" EXPECT
                               "Content-Length: 5\r\n\r\n";
    int peer;

    (void) state;
    start();
    peer = connect_client();
    client_sends(peer, head, sizeof head - 1);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "200");
    client_sends(peer, "hello", 5);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "200x");
    assert_non_null(strstr(got.text, "1\r\na\r\n5\r\nhello\r\n0\r\n\r\n"));
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void no_100_is_sent_after_a_refusal(void **state)
{
    int peer;

    (void) state;
    start();
    ask("POST /nowhere HTTP/1.1\r\nHost: x\r\n" EXPECT
        "Content-Length: 5\r\n\r\n");
    assert_string_equal(statuses(), "404x");
    peer = connect_client();
    got.size = 0;
    client_sends(peer, POST EXPECT "Content-Length: 2000000\r\n\r\n",
                 sizeof POST EXPECT "Content-Length: 2000000\r\n\r\n" - 1);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "413x");
    client_sends(peer, "body", 4);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "413x");
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_chunk_may_end_with_the_buffer),
        TEST(no_100_is_sent_if_the_body_has_arrived),
        TEST(no_100_is_sent_after_the_answer_has_begun),
        TEST(no_100_is_sent_after_a_refusal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
