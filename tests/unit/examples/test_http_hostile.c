/* HTTP sessions whose server stops in the middle of a reply, or sends what an
 * attacker would.  See examples/support/http_session.h. */

#include "support/http_fixture.h"

#include <stdio.h>

static const char *const replies[] = {
    OK_5,
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    "\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;x=\"y\"\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: t\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nX: y\r\nContent-Length: 0\r\n\r\n",
};

/* Sends the first `size` bytes of a reply.  If `is_kept`, the connection has
 * had a request before. */
static void check_part(const char *text, size_t size, enum then then,
                       bool is_kept)
{
    struct answer answers[] = {{OK_5, THEN_KEEP, 0},
                               {size > 0 ? text : "", then, size},
                               {OK_5, THEN_KEEP, 0}};
    struct http_request request = {.url = HOME};
    bool is_again = is_kept && size == 0;
    struct http_page page;
    ssize_t status;

    restart(NULL);
    h.answers = is_kept ? answers : answers + 1;
    if (is_kept)
        assert_int_equal(fetch(HOME), 5);
    status = fetch_with(&request, &page);
    assert_int_equal(h.requests, 1U + is_kept + is_again);
    assert_int_equal(h.accepted, 1U + is_again);
    if (is_again)
        assert_int_equal(status, 5);
    else if (status >= 0)
        fail_msg("%zu bytes of \"%s\" are a reply", size, text);
    else
        assert_true(strlen(http_error(&page.reply, status)) > 3 &&
                    strlen(http_step_name(page.reply.step)) > 3);
    http_page_free(&page);
    run_for(10 * MS);
    assert_int_equal(count_open(), is_again);
}

/* A reset drops the bytes that were not read.  The session does not know of
 * them then, and may repeat a request on a kept connection. */
static void a_reply_that_is_cut_anywhere_is_an_error(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++)
        for (size_t size = 0; size < strlen(replies[i]); size++) {
            check_part(replies[i], size, THEN_END, false);
            check_part(replies[i], size, THEN_END, true);
            check_part(replies[i], size, THEN_RESET, false);
        }
    check_part(replies[0], 0, THEN_RESET, true);
}

static void check_error(const char *text, size_t size, ssize_t expected)
{
    struct answer answers[] = {{text, THEN_KEEP, size}};

    restart(NULL);
    h.answers = answers;
    assert_int_equal(fetch(HOME), expected);
    assert_int_equal(h.requests, 1);
    run_for(10 * MS);
    assert_int_equal(count_open(), 0);
}

/* Repeats `part` after `start`, without an end. */
static void check_endless(const char *start, const char *part, ssize_t expected)
{
    size_t size = strlen(start), step = strlen(part), max = 200000;
    char *text = malloc(max + step + 1);

    assert_non_null(text);
    memcpy(text, start, size + 1);
    for (; size < max; size += step)
        memcpy(text + size, part, step + 1);
    check_error(text, size, expected);
    free(text);
}

static void what_never_ends_is_limited(void **state)
{
    static const char coded[] = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked"
                                "\r\n\r\n";
    char last[128];

    (void) state;
    snprintf(last, sizeof last, "%s0\r\n", coded);
    check_endless("HTTP/1.1 200 ", "x", HTTP_EHEAD);
    check_endless("HTTP/1.1 200 x\r\n", "A: b\r\n", HTTP_EHEAD);
    check_endless("HTTP/1.1 200 x\r\nA: ", "b", HTTP_EHEAD);
    check_endless("", "HTTP/1.1 100 x\r\n\r\n", HTTP_EINTERIM);
    check_endless("", "HTTP/1.1 103 x\r\nLink: y\r\n\r\n", HTTP_EINTERIM);
    check_endless(coded, "0", HTTP_ECHUNK);
    check_endless(coded, "1;x=", HTTP_ECHUNK);
    check_endless(last, "A: b\r\n", HTTP_EHEAD);
    check_endless(last, "A", HTTP_EHEAD);
}

static void lengths_that_contradict_each_other_are_errors(void **state)
{
    (void) state;
    check_error("HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n"
                "\r\nhello!",
                0, HTTP_ELENGTH);
    check_error("HTTP/1.1 200 x\r\nContent-Length: 5\r\n"
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                0, HTTP_EFRAMING);
    check_error("HTTP/1.1 200 x\r\nContent-Length: 5, 5\r\n\r\nhello", 0,
                HTTP_ELENGTH);
    check_error("HTTP/1.1 200 x\r\nContent-Length: -5\r\n\r\nhello", 0,
                HTTP_ELENGTH);
    check_error("HTTP/1.1 200 x\r\nContent-Length: 18446744073709551621\r\n"
                "\r\nhello",
                0, HTTP_ELENGTH);
    check_error("\x16\x03\x01\x02\r\n\r\n", 0, HTTP_EREPLY);
}

/* The body is the begin of another reply. */
static void check_no_body(const char *method, const char *head)
{
    char text[256];
    struct answer answers[] = {{text, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0}};
    struct http_request request = {.url = HOME, .method = method};

    snprintf(text, sizeof text, "%s%s", head,
             "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n");
    restart(NULL);
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), 0);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 2);
}

static void a_body_that_must_not_be_is_no_reply(void **state)
{
    (void) state;
    check_no_body("HEAD", "HTTP/1.1 200 x\r\nContent-Length: 38\r\n\r\n");
    check_no_body("GET", "HTTP/1.1 204 x\r\nContent-Length: 38\r\n\r\n");
    check_no_body("GET", "HTTP/1.1 304 x\r\nContent-Length: 38\r\n\r\n");
}

/* The application may have the name from a file of settings. */
static void a_line_end_in_the_agent_is_refused(void **state)
{
    struct http_session_options options = {.agent = "x\r\nEvil: 1"};
    struct answer answers[] = {{OK_5, THEN_KEEP, 0}};

    (void) state;
    http_session_free(h.session);
    start_session(&options);
    h.answers = answers;
    assert_int_equal(fetch(HOME), HTTP_EREQUEST);
    assert_int_equal(h.requests, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_reply_that_is_cut_anywhere_is_an_error),
        HTTP_TEST(what_never_ends_is_limited),
        HTTP_TEST(lengths_that_contradict_each_other_are_errors),
        HTTP_TEST(a_body_that_must_not_be_is_no_reply),
        HTTP_TEST(a_line_end_in_the_agent_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
