/* The HTTP server of the examples: handlers, limits, and its end. */

#include "support/httpd_fixture.h"

enum { BODY = 200 * 1000 };

static char body[BODY];
static ssize_t handler_status; /* What httpd_write() returned last. */
static unsigned logged;
static int logged_status;

/* Sends BODY bytes in pieces. */
static ssize_t answer_much(struct httpd_request *request, void *arg)
{
    int64_t length = strcmp(request->rest, "chunked") == 0 ? -1 : BODY;

    (void) arg;
    handler_status = httpd_begin(request, 200, NULL, length);
    for (int i = 0; i < BODY / 1000 && handler_status == 0; i++)
        handler_status =
            httpd_write(request, body + (ptrdiff_t) i * 1000, 1000);
    return handler_status;
}

static ssize_t answer_slowly(struct httpd_request *request, void *arg)
{
    (void) arg;
    if (aloop_await(aloop_sleep(request->loop, ALOOP_SEC(100))) < 0)
        return ALOOP_ECANCELED;
    return httpd_answer(request, 200, NULL, "slow", 4);
}

static ssize_t fail_early(struct httpd_request *request, void *arg)
{
    (void) request;
    (void) arg;
    return ALOOP_EIO;
}

static ssize_t fail_late(struct httpd_request *request, void *arg)
{
    (void) arg;
    httpd_begin(request, 200, NULL, 1000);
    httpd_write(request, "part", 4);
    return ALOOP_EIO;
}

static ssize_t forget(struct httpd_request *request, void *arg)
{
    (void) request;
    (void) arg;
    return 0;
}

static ssize_t answer_short(struct httpd_request *request, void *arg)
{
    (void) arg;
    httpd_begin(request, 200, NULL, 10);
    return httpd_write(request, "nine byte", 9);
}

/* Adds fields that are allowed, and some that are not. */
static ssize_t answer_fields(struct httpd_request *request, void *arg)
{
    static char large[9000];

    (void) arg;
    memset(large, 'a', sizeof large - 1);
    assert_int_equal(httpd_add_field(request, "A", "b\r\nC: d"), ALOOP_EINVAL);
    assert_int_equal(httpd_add_field(request, "A b", "c"), ALOOP_EINVAL);
    assert_int_equal(httpd_add_field(request, "A:", "c"), ALOOP_EINVAL);
    assert_int_equal(httpd_add_field(request, "A", large), ALOOP_ENOSPC);
    assert_int_equal(httpd_add_field(request, "A", "good"), 0);
    assert_int_equal(httpd_write(request, "a", 1), ALOOP_EINVAL);
    assert_int_equal(httpd_begin(request, 99, NULL, 0), ALOOP_EINVAL);
    assert_string_equal(httpd_field(request, "HOST"), "x");
    assert_null(httpd_field(request, "Other"));
    assert_string_equal(request->query, "q=1");
    assert_int_equal(httpd_answer(request, 299, "a/b", "yes", 3), 0);
    assert_int_equal(httpd_answer(request, 200, NULL, "no", 2), ALOOP_EALREADY);
    assert_int_equal(httpd_begin(request, 200, NULL, 2), ALOOP_EALREADY);
    assert_int_equal(httpd_add_field(request, "A", "late"), ALOOP_EALREADY);
    return 0;
}

static void on_log(const struct httpd_log *line, void *arg)
{
    (void) arg;
    logged++;
    logged_status = line->status;
    assert_true(line->method[0] != '\0' && line->target[0] != '\0');
}

static const struct httpd_route routes[] = {
    {"GET", "/much/", answer_much, NULL},
    {"GET", "/slow", answer_slowly, NULL},
    {"GET", "/early", fail_early, NULL},
    {"GET", "/late", fail_late, NULL},
    {"GET", "/forget", forget, NULL},
    {"GET", "/short", answer_short, NULL},
    {"GET", "/fields", answer_fields, NULL},
    {"POST", "/post", answer_length, NULL},
    {"PUT", "/post", answer_length, NULL},
    {"GET", "/deep/", answer_length, NULL},
    {"GET", "/deep/er/", answer_length, NULL},
};

static void start(void)
{
    struct httpd_options options = {.routes = routes,
                                    .routes_count = sizeof routes /
                                                    sizeof routes[0],
                                    .body_max = 1000,
                                    .on_log = on_log};

    logged = 0;
    for (size_t i = 0; i < BODY; i++)
        body[i] = (char) ('a' + i % 23);
    start_httpd(&options);
}

#define END " HTTP/1.1\r\nHost: x\r\n\r\n"

static void the_longest_path_decides(void **state)
{
    (void) state;
    start();
    ask("GET /deep/er/a" END);
    assert_non_null(strstr(got.text, "\r\n\r\na 0\n"));
    ask("GET /deep//er/./x/../b" END);
    assert_non_null(strstr(got.text, "\r\n\r\nb 0\n"));
    ask("GET /deep/c" END);
    assert_non_null(strstr(got.text, "\r\n\r\nc 0\n"));
    ask("GET /deep" END);
    assert_string_equal(statuses(), "404");
    ask("GET /post" END);
    assert_string_equal(statuses(), "405");
    assert_non_null(strstr(got.text, "Allow: POST, PUT\r\n"));
    ask("OPTIONS /post" END);
    assert_string_equal(statuses(), "204");
    assert_int_equal(logged, 6);
    stop_httpd();
}

static void a_handler_that_fails_is_answered_or_reset(void **state)
{
    int peer;

    (void) state;
    start();
    ask("GET /early" END);
    assert_string_equal(statuses(), "500");
    ask("GET /forget" END);
    assert_string_equal(statuses(), "500");
    for (int i = 0; i < 2; i++) {
        const char *request = i == 0 ? "GET /late" END : "GET /short" END;

        peer = connect_client();
        client_sends(peer, request, strlen(request));
        run_for(MS);
        assert_int_equal(sim_peer_error(peer), -ECONNRESET);
        sim_peer_close(peer);
    }
    ask("HEAD /short" END);
    assert_string_equal(statuses(), "200");
    stop_httpd();
    assert_int_equal(t.unhandled, 0);
}

static void an_answer_has_only_valid_fields_and_is_given_once(void **state)
{
    (void) state;
    start();
    ask("GET /fields?q=1" END);
    assert_string_equal(statuses(), "299");
    assert_non_null(strstr(got.text, "\r\nA: good\r\n"));
    assert_non_null(strstr(got.text, "Content-Type: a/b\r\n"));
    assert_non_null(strstr(got.text, "\r\n\r\nyes"));
    stop_httpd();
}

static void a_long_answer_arrives_whole(void **state)
{
    const char *text;

    (void) state;
    start();
    ask("GET /much/" END);
    text = strstr(got.text, "\r\n\r\n") + 4;
    assert_memory_equal(text, body, BODY);
    ask("GET /much/chunked" END);
    text = strstr(got.text, "\r\n\r\n") + 4;
    assert_memory_equal(text, "3e8\r\nabc", 8);
    assert_string_equal(got.text + got.size - 7, "\r\n0\r\n\r\n");
    ask("GET /much/chunked HTTP/1.0\r\n\r\n");
    text = strstr(got.text, "\r\n\r\n") + 4;
    assert_memory_equal(text, body, BODY);
    assert_true(got.has_ended);
    stop_httpd();
}

static void a_body_above_the_limit_is_refused(void **state)
{
    static char request[4096];

    (void) state;
    start();
    ask("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    assert_string_equal(statuses(), "413x");
    snprintf(request, sizeof request,
             "POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
             "\r\n3e9\r\n%1001s\r\n0\r\n\r\n",
             "");
    ask(request);
    assert_string_equal(statuses(), "413x");
    assert_int_equal(logged_status, 413);
    stop_httpd();
}

static void a_body_is_read_after_100(void **state)
{
    static const char head[] = "POST /post HTTP/1.1\r\nHost: x\r\n"
                               "Content-Length: 5\r\n"
                               "Expect: 100-continue\r\n\r\n";
    int peer;

    (void) state;
    start();
    peer = connect_client();
    got.size = 0;
    client_sends(peer, head, sizeof head - 1);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "100");
    client_sends(peer, "hello", 5);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "100 200");
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

/* Sends a byte each second, and returns after how many seconds the server has
 * answered or closed. */
static int drip(const char *text)
{
    const char *next = text;
    int peer = connect_client(), seconds = 0;

    got.size = 0;
    got.has_ended = false;
    while (seconds < 100 && !got.has_ended) {
        sim_peer_send(peer, *next == '\0' ? text : next++, 1);
        client_receives(peer, ALOOP_SEC(1));
        seconds++;
    }
    sim_peer_close(peer);
    run_for(MS);
    return seconds;
}

static void slow_clients_are_answered_or_closed(void **state)
{
    static char request[300] = "POST /post HTTP/1.1\r\nHost: x\r\n"
                               "Content-Length: 200\r\n\r\n";
    int peer, seconds;

    (void) state;
    start();
    memset(request + strlen(request), 'a', 200);
    seconds = drip("GET /one HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxx");
    assert_string_equal(statuses(), "408x"); /* Slow head. */
    assert_in_range(seconds, 10, 13);
    peer = connect_client(); /* Silence. */
    client_receives(peer, ALOOP_SEC(11));
    assert_true(got.has_ended);
    sim_peer_close(peer);
    peer = connect_client(); /* A slow body. */
    got.size = 0;
    client_sends(peer, request, strlen(request) - 200);
    for (int i = 0; i < 35; i++) {
        sim_peer_send(peer, "a", 1);
        client_receives(peer, ALOOP_SEC(1));
    }
    assert_string_equal(statuses(), "408x");
    sim_peer_close(peer);
    stop_httpd();
}

static void a_client_that_reads_nothing_is_reset(void **state)
{
    int peer;

    (void) state;
    start();
    sim_buffer_size(10000);
    peer = connect_client();
    client_sends(peer, "GET /much/" END, sizeof "GET /much/" END - 1);
    run_for(ALOOP_SEC(29));
    assert_true(sim_peer_connected(peer));
    run_for(ALOOP_SEC(2));
    assert_false(sim_peer_connected(peer));
    assert_int_equal(handler_status, ALOOP_ETIMEDOUT);
    sim_peer_close(peer);
    stop_httpd();
}

/* More requests than the buffer holds, in one go. */
static void many_pipelined_requests_are_answered_in_order(void **state)
{
    static char requests[1500 * 40];
    const char *next = got.text;
    size_t size = 0;

    (void) state;
    start();
    for (int i = 0; i < 1500; i++)
        size += (size_t) snprintf(requests + size, 48, "GET /deep/%04d" END, i);
    ask(requests);
    for (int i = 0; i < 1500; i++) {
        char text[32];

        snprintf(text, sizeof text, "\r\n\r\n%04d 0\n", i);
        next = strstr(next, text);
        assert_non_null(next);
    }
    stop_httpd();
}

static ssize_t stop_in_task(aloop *loop, void *arg)
{
    (void) loop;
    return httpd_stop(httpd, *(const int64_t *) arg);
}

static void a_stop_closes_idle_connections_and_ends_requests(void **state)
{
    int64_t grace_ns = ALOOP_SEC(200);
    int idle, busy, half, fresh;
    aloop_future *stop;

    (void) state;
    start();
    idle = connect_client();
    busy = connect_client();
    half = connect_client();
    fresh = connect_client();
    client_sends(idle, "GET /deep/" END, sizeof "GET /deep/" END - 1);
    client_sends(busy, "GET /slow" END, sizeof "GET /slow" END - 1);
    client_sends(half, "GET /de", 7);
    run_for(MS);
    stop = aloop_spawn(t.loop, stop_in_task, &grace_ns);
    run_for(MS);
    got.size = 0;
    client_receives(idle, MS);
    assert_string_equal(statuses(), "200x");
    client_sends(half, "ep/" END, sizeof "ep/" END - 1);
    got.size = 0;
    client_receives(half, MS);
    assert_string_equal(statuses(), "200x");
    assert_non_null(strstr(got.text, "Connection: close\r\n"));
    sim_peer_close(idle);
    sim_peer_close(half);
    sim_peer_close(fresh);
    got.size = 0;
    client_receives(busy, ALOOP_SEC(101));
    assert_string_equal(statuses(), "200x");
    sim_peer_close(busy);
    assert_int_equal(aloop_await(stop), 0);
}

static void requests_that_take_longer_than_the_grace_are_cancelled(void **state)
{
    int busy;

    (void) state;
    start();
    busy = connect_client();
    client_sends(busy, "GET /slow" END, sizeof "GET /slow" END - 1);
    run_for(MS);
    assert_int_equal(httpd_stop(httpd, ALOOP_SEC(1)), 1);
    sim_peer_close(busy);
}

static void a_server_that_cannot_listen_reports_it(void **state)
{
    struct httpd_options options = {.routes = routes, .routes_count = 1};

    (void) state;
    assert_int_equal(
        httpd_start(t.loop, "no address", "0", &options, &httpd) < 0, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_longest_path_decides),
        TEST(a_handler_that_fails_is_answered_or_reset),
        TEST(an_answer_has_only_valid_fields_and_is_given_once),
        TEST(a_long_answer_arrives_whole),
        TEST(a_body_above_the_limit_is_refused),
        TEST(a_body_is_read_after_100),
        TEST(slow_clients_are_answered_or_closed),
        TEST(a_client_that_reads_nothing_is_reset),
        TEST(many_pipelined_requests_are_answered_in_order),
        TEST(a_stop_closes_idle_connections_and_ends_requests),
        TEST(requests_that_take_longer_than_the_grace_are_cancelled),
        TEST(a_server_that_cannot_listen_reports_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
