/* The HTTP server of the examples: clients that send and receive at times and
 * in pieces that are not usual. */

#include "support/httpd_fixture.h"

enum {
    ROOM = 24 * 1024, /* Of a connection's buffer, with the defaults. */
    BODY = 300 * 1000
};

static char body[BODY];

static ssize_t answer_whole(struct httpd_request *request, void *arg)
{
    (void) arg;
    return httpd_answer(request, 200, NULL, body, BODY);
}

static ssize_t answer_part(struct httpd_request *request, void *arg)
{
    (void) arg;
    return httpd_answer(request, 200, NULL, body, 50000);
}

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
    {"GET", "/whole", answer_whole, NULL},
    {"GET", "/part", answer_part, NULL},
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
    memset(body, 'b', sizeof body);
    start_httpd(&options);
}

#define END " HTTP/1.1\r\nHost: x\r\n\r\n"
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

/* Sends a text once a second, and returns after how many seconds the server has
 * closed the connection. */
static int drip(int peer, const char *text)
{
    int seconds = 0;

    while (seconds < 200 && sim_peer_connected(peer) &&
           sim_peer_send(peer, text, strlen(text)) > 0) {
        run_for(ALOOP_SEC(1));
        seconds++;
    }
    return seconds;
}

static void bytes_after_the_last_answer_are_read_for_a_limited_time(
    void **state)
{
    static char much[60000];
    int peer, rounds = 0;

    (void) state;
    start();
    peer = connect_client();
    client_sends(peer, "no request\r\n\r\n", 14);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "400x");
    assert_in_range(drip(peer, "a"), 2, 4);
    sim_peer_close(peer);
    peer = connect_client();
    client_sends(peer, "no request\r\n\r\n", 14);
    while (rounds < 100 && sim_peer_connected(peer) &&
           sim_peer_send(peer, much, sizeof much) > 0) {
        run_for(MS / 10); /* All of it takes less than 2 s. */
        rounds++;
    }
    assert_in_range(rounds, 4, 7);
    sim_peer_close(peer);
    stop_httpd();
}

/* A byte every second, of each kind of beginning.  The limit is 10 s from the
 * first byte, whatever the server has served before. */
static void slow_heads_are_ended_wherever_they_begin(void **state)
{
    static const char *const beginnings[] = {"",
                                             "\r\n",
                                             "GET /nothing" END,
                                             "GET /nothing" END "G",
                                             "GET /nothing" END "\r\n",
                                             POST
                                             "Content-Length: 1\r\n\r\naP"};

    (void) state;
    start();
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        int peer = connect_client();

        sim_peer_send(peer, beginnings[i], strlen(beginnings[i]));
        assert_in_range(drip(peer, "a"), 9, 15);
        sim_peer_close(peer);
    }
    stop_httpd();
}

/* The time does not begin again with each of them. */
static void slow_empty_lines_are_ended(void **state)
{
    int peer, seconds = 0;

    (void) state;
    start();
    peer = connect_client();
    client_sends(peer, "GET /nothing" END, sizeof "GET /nothing" END - 1);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "200");
    for (; seconds < 100 && !got.has_ended; seconds++) {
        if (seconds % 8 == 0)
            sim_peer_send(peer, "\r\n", 2);
        client_receives(peer, ALOOP_SEC(1));
    }
    assert_in_range(seconds, 9, 12);
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

/* Receives `size` bytes every second.  Returns the seconds until the connection
 * has ended. */
static int sip(const char *request, size_t size)
{
    int peer, seconds = 0;

    sim_buffer_size(10000);
    peer = connect_client();
    got.size = 0;
    client_sends(peer, request, strlen(request));
    while (seconds < 2000 && !sim_peer_eof(peer) && sim_peer_connected(peer)) {
        ssize_t n = sim_peer_receive(peer, got.text + got.size, size);

        got.size += n > 0 ? (size_t) n : 0;
        run_for(ALOOP_SEC(1));
        seconds++;
    }
    got.text[got.size] = '\0';
    got.has_ended = sim_peer_eof(peer);
    sim_peer_close(peer);
    run_for(MS);
    return seconds;
}

/* 64 KiB in 30 s are enough, also of an answer that is given as a whole. */
static void a_client_that_is_not_too_slow_receives_all(void **state)
{
    (void) state;
    start();
    assert_in_range(sip("GET /whole HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\n\r\n",
                        4000),
                    70, 100);
    assert_true(got.has_ended);
    assert_true(got.size > BODY);
    stop_httpd();
}

static void a_client_that_receives_too_slowly_is_reset(void **state)
{
    (void) state;
    start();
    assert_in_range(sip("GET /whole" END, 100), 29, 33);
    assert_false(got.has_ended);
    assert_in_range(sip("GET /part" END, 10), 60, 95); /* Idle, then closed. */
    assert_false(got.has_ended);
    assert_in_range(sip("GET /part HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\n\r\n",
                        10),
                    29, 35);
    assert_false(got.has_ended);
    stop_httpd();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_chunk_may_end_with_the_buffer),
        TEST(no_100_is_sent_if_the_body_has_arrived),
        TEST(no_100_is_sent_after_the_answer_has_begun),
        TEST(no_100_is_sent_after_a_refusal),
        TEST(bytes_after_the_last_answer_are_read_for_a_limited_time),
        TEST(slow_heads_are_ended_wherever_they_begin),
        TEST(slow_empty_lines_are_ended),
        TEST(a_client_that_is_not_too_slow_receives_all),
        TEST(a_client_that_receives_too_slowly_is_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
