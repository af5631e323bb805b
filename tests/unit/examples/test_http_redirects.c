/* HTTP sessions: redirects.  See examples/support/http_session.h. */

#include "support/http_fixture.h"

static void check_method(const char *method, const char *first,
                         const char *expected)
{
    struct answer answers[] = {{first, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0}};
    struct http_field type = {"Content-Type", "text/x"};
    struct http_request request = {.url = HOME,
                                   .method = method,
                                   .fields = &type,
                                   .field_count = 1,
                                   .body = "data",
                                   .body_size = 4};

    restart(NULL);
    h.answers = answers;
    assert_true(fetch_with(&request, NULL) >= 0);
    assert_logged(expected);
    assert_int_equal(h.accepted, 1);
}

static void redirects_change_the_method_by_the_rules(void **state)
{
    static const char get[] = "GET /b HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                              "User-Agent: libaloop\r\nAccept: */*\r\n"
                              "Accept-Encoding: identity\r\n\r\n";

    (void) state;
    check_method("POST", TO("301", "/b"), get);
    check_method("POST", TO("302", "b"), get);
    check_method("POST", TO("303", HOME "b"), get);
    check_method("PUT", TO("303", "//127.0.0.1/b"), get);
    check_method("PUT", TO("301", "/b"), "PUT /b HTTP/1.1\r\n");
    check_method("POST", TO("307", "/b"), "POST /b HTTP/1.1\r\n");
    check_method("POST", TO("308", "/b"),
                 "Type: text/x\r\nContent-Length: 4\r\n\r\ndata");
}

static void head_stays_head_after_303(void **state)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 303 x\r\nLocation: /b\r\nContent-Length: 9\r\n\r\n",
         THEN_KEEP, 0},
        {"HTTP/1.1 200 x\r\nContent-Length: 7\r\n\r\n", THEN_KEEP, 0}};
    struct http_request request = {.url = HOME, .method = "HEAD"};
    struct http_page page;

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch_with(&request, &page), 0);
    assert_int_equal(page.reply.length, 7);
    assert_int_equal(page.reply.redirects, 1);
    assert_logged("HEAD /b HTTP/1.1\r\n");
    assert_int_equal(h.accepted, 1);
    http_page_free(&page);
}

static void secrets_are_not_sent_to_another_origin(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", NULL};
    static const struct answer answers[] = {
        {TO("302", "/same"), THEN_KEEP, 0},
        {TO("302", "http://other/b"), THEN_KEEP, 0},
        {TO("302", HOME "back"), THEN_KEEP, 0},
        {OK_5, THEN_KEEP, 0}};
    struct http_field fields[] = {{"authorization", "secret"},
                                  {"Cookie", "secret"},
                                  {"X-Other", "sent"}};
    struct http_request request = {.url = HOME,
                                   .fields = fields,
                                   .field_count = 3};
    char *other;

    (void) state;
    sim_host("other", addresses);
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_logged("GET /same HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                  "User-Agent: libaloop\r\nAccept: */*\r\n"
                  "Accept-Encoding: identity\r\nauthorization: secret\r\n");
    other = strstr(h.log, "GET /b HTTP/1.1\r\nHost: other\r\n");
    assert_non_null(other);
    assert_null(strstr(other, "secret"));
    assert_non_null(strstr(other, "X-Other: sent"));
    assert_non_null(strstr(other, "GET /back HTTP/1.1"));
}

static void redirects_are_limited(void **state)
{
    struct answer answers[20];
    struct http_request request = {.url = HOME};

    (void) state;
    for (int i = 0; i < 20; i++)
        answers[i] = (struct answer){TO("302", "/"), THEN_KEEP, 0};
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), HTTP_EREDIRECTS);
    assert_int_equal(h.requests, 11);
    clear_log();
    request.redirects_max = 3;
    assert_int_equal(fetch_with(&request, NULL), HTTP_EREDIRECTS);
    assert_int_equal(h.requests, 4);
    request.redirects_max = -1;
    assert_int_equal(fetch_with(&request, NULL), 2);
}

static void a_wrong_location_is_an_error_and_a_missing_one_is_none(void **state)
{
    static const struct answer answers[] = {
        {TO("302", "gopher://x/"), THEN_KEEP, 0},
        {"HTTP/1.1 302 x\r\nContent-Length: 2\r\n\r\nno", THEN_KEEP, 0},
        {TO("302", "https://127.0.0.1/"), THEN_KEEP, 0}};

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch(HOME), HTTP_ELOCATION);
    assert_int_equal(fetch(HOME), 2);
    assert_int_equal(fetch(HOME), HTTP_EHTTPS);
}

static void the_body_of_a_redirect_may_be_long_or_wrong(void **state)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 99999\r\n\r\nx",
         THEN_KEEP, 0},
        {"HTTP/1.1 302 x\r\nLocation: /c\r\nTransfer-Encoding: chunked\r\n\r\n"
         "zz\r\n",
         THEN_KEEP, 0},
        {OK_5, THEN_KEEP, 0}};

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 3);
}

/* The body of the redirect was complete, that of the next reply is not. */
static void a_request_that_ends_after_a_redirect_keeps_nothing(void **state)
{
    static const struct answer answers[] = {
        {TO("302", "/b"), THEN_KEEP, 0},
        {"HTTP/1.1 200 OK\r\nX: y\r\n", THEN_KEEP, 0},
        {OK_5, THEN_KEEP, 0}};
    struct http_request request = {.url = HOME};
    struct http_page page;

    (void) state;
    h.answers = answers;
    assert_int_equal(
        finish(aloop_timeout(http_fetch(h.session, &request, &page), 50 * MS)),
        ALOOP_ETIMEDOUT);
    assert_int_equal(page.reply.redirects, 1);
    http_page_free(&page);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(redirects_change_the_method_by_the_rules),
        HTTP_TEST(head_stays_head_after_303),
        HTTP_TEST(secrets_are_not_sent_to_another_origin),
        HTTP_TEST(redirects_are_limited),
        HTTP_TEST(a_wrong_location_is_an_error_and_a_missing_one_is_none),
        HTTP_TEST(the_body_of_a_redirect_may_be_long_or_wrong),
        HTTP_TEST(a_request_that_ends_after_a_redirect_keeps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
