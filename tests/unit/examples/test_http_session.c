/* HTTP sessions: connections, repeated requests, redirects, bodies of requests,
 * deadlines and TLS.  See examples/support/http_session.h. */

#include "support/http_fixture.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define HOME "http://127.0.0.1/"
#define TO(status, location) \
    "HTTP/1.1 " status " x\r\nContent-Length: 2\r\nLocation: " location \
    "\r\n\r\nno"

static const struct answer five[] = {
    {OK_5, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0},
    {OK_5, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0},
};

static void assert_logged(const char *text)
{
    h.log[h.logged] = '\0';
    if (strstr(h.log, text) == NULL)
        fail_msg("not sent: %s; but: %s", text, h.log);
}

static void clear_log(void)
{
    h.logged = 0;
    h.requests = 0;
}

/* Ends the session and what the server knows of it. */
static void restart(const struct http_session_options *options)
{
    http_session_free(h.session);
    run_for(10 * MS);
    h.accepted = 0;
    clear_log();
    start_session(options);
}

/* Connections. */

static void a_page_is_fetched_with_a_complete_request(void **state)
{
    struct http_request request = {.url = "http://127.0.0.1/a?b#c"};
    struct http_page page;

    (void) state;
    h.answers = five;
    assert_int_equal(fetch_with(&request, &page), 5);
    assert_string_equal(page.data, "hello");
    assert_int_equal(page.reply.status, 200);
    assert_logged("GET /a?b HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                  "User-Agent: libaloop\r\nAccept: */*\r\n"
                  "Accept-Encoding: identity\r\n\r\n");
    http_page_free(&page);
}

static void requests_to_an_origin_use_one_connection(void **state)
{
    (void) state;
    h.answers = five;
    for (int i = 0; i < 5; i++)
        assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 1);
}

/* Fetches five pages over `max` connections. */
static void fetch_five(size_t max)
{
    static const char *const urls[] = {HOME "0", HOME "1", HOME "2", HOME "3",
                                       HOME "4"};
    struct http_session_options options = {.connections_max = max};
    struct http_request requests[5];
    struct http_page pages[5];
    aloop_future *futures[5];

    restart(&options);
    h.answers = five;
    h.is_deaf = true;
    for (int i = 0; i < 5; i++) {
        requests[i] = (struct http_request){.url = urls[i]};
        futures[i] = http_fetch(h.session, &requests[i], &pages[i]);
    }
    run_for(100 * MS);
    h.is_deaf = false;
    assert_int_equal(finish(aloop_gather_array(t.loop, 5, futures)), 0);
    for (int i = 0; i < 5; i++)
        http_page_free(&pages[i]);
}

static void there_are_no_more_than_connections_max(void **state)
{
    (void) state;
    fetch_five(2);
    assert_int_equal(h.accepted, 2);
    fetch_five(5);
    assert_int_equal(h.accepted, 5);
}

static void requests_wait_in_order_for_a_connection(void **state)
{
    static const char *const lines[] = {"GET /0 ", "GET /1 ", "GET /2 ",
                                        "GET /3 ", "GET /4 "};
    const char *at = h.log;

    (void) state;
    fetch_five(1);
    assert_int_equal(h.accepted, 1);
    for (int i = 0; i < 5; i++) {
        at = strstr(at, lines[i]);
        assert_non_null(at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_page_is_fetched_with_a_complete_request),
        HTTP_TEST(requests_to_an_origin_use_one_connection),
        HTTP_TEST(there_are_no_more_than_connections_max),
        HTTP_TEST(requests_wait_in_order_for_a_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
