/* Shapes of replies: each has one outcome.  See examples/support/http_head.c
 * and http_body.c. */

#include "support/http_fixture.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH_5 "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct shape {
    const char *what;
    const char *text;
    ssize_t status; /* Bytes of the body, or an error. */
    bool is_kept;   /* The next request uses the same connection. */
    enum then then;
} shapes[] = {
    {"the simplest reply", OK LENGTH_5 "\r\nhello", 5, true, THEN_KEEP},
    {"a body that is shorter than Content-Length", OK LENGTH_5 "\r\nhell",
     HTTP_ECUT, false, THEN_END},
    {"chunks without the last one", OK CHUNKED "\r\n5\r\nhello\r\n", HTTP_ECUT,
     false, THEN_END},
    {"a cut in the last line", OK CHUNKED "\r\n5\r\nhello\r\n0\r\n\r",
     HTTP_ECUT, false, THEN_END},
    {"bytes after the body", OK LENGTH_5 "\r\nhelloHTTP/1.1 200 OK\r\n", 5,
     false, THEN_KEEP},
    {"no length", OK "\r\nhello", 5, false, THEN_END},
    {"no length in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", 5, false,
     THEN_END},
    {"a length and chunks", OK LENGTH_5 CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n",
     HTTP_EFRAMING, false, THEN_KEEP},
    {"two lengths that differ", OK LENGTH_5 "Content-Length: 6\r\n\r\nhello",
     HTTP_ELENGTH, false, THEN_KEEP},
    {"the same length twice", OK LENGTH_5 LENGTH_5 "\r\nhello", 5, true,
     THEN_KEEP},
    {"a list of lengths", OK "Content-Length: 5, 5\r\n\r\nhello", HTTP_ELENGTH,
     false, THEN_KEEP},
    {"a negative length", OK "Content-Length: -1\r\n\r\n", HTTP_ELENGTH, false,
     THEN_KEEP},
    {"a length of 2^64 + 5",
     OK "Content-Length: 18446744073709551621\r\n\r\nhello", HTTP_ELENGTH,
     false, THEN_KEEP},
    {"a chunk size that is no number", OK CHUNKED "\r\nzz\r\nhello\r\n",
     HTTP_ECHUNK, false, THEN_KEEP},
    {"a chunk size of 2^64", OK CHUNKED "\r\n10000000000000000\r\n",
     HTTP_ECHUNK, false, THEN_KEEP},
    {"chunk lines that end in LF", OK CHUNKED "\r\n5\nhello\n0\n\n",
     HTTP_ECHUNK, false, THEN_KEEP},
    {"a chunk that is longer than its size", OK CHUNKED "\r\n4\r\nhello\r\n",
     HTTP_ECHUNK, false, THEN_KEEP},
    {"chunks with extensions and trailers",
     OK CHUNKED "\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", 5, true, THEN_KEEP},
    {"100 and then the reply",
     "HTTP/1.1 100 Continue\r\n\r\n" OK LENGTH_5 "\r\nhello", 5, true,
     THEN_KEEP},
    {"103 and then the reply",
     "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" OK LENGTH_5 "\r\nhello", 5,
     true, THEN_KEEP},
    {"101 that was not requested",
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", HTTP_EUPGRADE,
     false, THEN_KEEP},
    {"204 with a length", "HTTP/1.1 204 No Content\r\n" LENGTH_5 "\r\n", 0,
     true, THEN_KEEP},
    {"304 with a length", "HTTP/1.1 304 Not Modified\r\n" LENGTH_5 "\r\n", 0,
     true, THEN_KEEP},
    {"a header with lines that end in LF",
     "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", HTTP_EREPLY, false,
     THEN_KEEP},
    {"a folded line", OK "X: a\r\n b\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY,
     false, THEN_KEEP},
    {"CR in a value", OK "X: a\rb\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY, false,
     THEN_KEEP},
    {"a space before the colon", OK "Content-Length : 5\r\n\r\nhello",
     HTTP_EREPLY, false, THEN_KEEP},
    {"an empty name", OK ": x\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY, false,
     THEN_KEEP},
    {"a line without a colon", OK "x\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY,
     false, THEN_KEEP},
    {"no reason", "HTTP/1.1 200\r\n" LENGTH_5 "\r\nhello", 5, true, THEN_KEEP},
    {"status 99", "HTTP/1.1 99 OK\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY, false,
     THEN_KEEP},
    {"status 099", "HTTP/1.1 099 OK\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY,
     false, THEN_KEEP},
    {"HTTP/3.7", "HTTP/3.7 200 OK\r\n" LENGTH_5 "\r\nhello", HTTP_EREPLY, false,
     THEN_KEEP},
    {"garbage", "SSH-2.0-OpenSSH_9.2\r\n", HTTP_EREPLY, false, THEN_KEEP},
    {"nothing", "", HTTP_ENOREPLY, false, THEN_END},
    {"a cut in the header", OK "Content-Le", HTTP_ECUT, false, THEN_END},
    {"an unknown coding", OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
     HTTP_ECODING, false, THEN_KEEP},
    {"the coding identity", OK "Transfer-Encoding: identity\r\n\r\nhello",
     HTTP_ECODING, false, THEN_END},
    {"two codings", OK CHUNKED CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n",
     HTTP_ECODING, false, THEN_KEEP},
    {"Connection: close", OK LENGTH_5 "Connection: x, Close\r\n\r\nhello", 5,
     false, THEN_KEEP},
    {"HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\n" LENGTH_5 "\r\nhello", 5,
     false, THEN_KEEP},
    {"HTTP/1.0 with keep-alive",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" LENGTH_5 "\r\nhello", 5,
     true, THEN_KEEP},
    {"HTTP/1.0 with chunks",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" CHUNKED
     "\r\n5\r\nhello\r\n0\r\n\r\n",
     5, false, THEN_KEEP},
};

static void check(const struct shape *shape)
{
    struct answer answers[] = {{shape->text, shape->then, 0},
                               {OK LENGTH_5 "\r\nagain", THEN_KEEP, 0},
                               {NULL, THEN_KEEP, 0}};
    ssize_t status;

    h.answers = answers;
    h.requests = h.accepted = 0;
    status = fetch("http://127.0.0.1/");
    if (status != shape->status)
        fail_msg("%s: %s", shape->what, http_strerror(status));
    assert_int_equal(fetch("http://127.0.0.1/again"), 5);
    if (h.accepted != (shape->is_kept ? 1 : 2))
        fail_msg("%s: %u connections", shape->what, h.accepted);
    http_session_free(h.session);
    run_for(10 * MS);
    start_session(NULL);
}

static void each_shape_of_a_reply_has_its_outcome(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check(&shapes[i]);
}

/* With random pieces: each byte may arrive alone. */
static void the_outcomes_do_not_depend_on_how_the_bytes_arrive(void **state)
{
    (void) state;
    sim_chaos();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check(&shapes[i]);
}

static void a_zero_byte_in_a_value_is_an_error(void **state)
{
    static const char text[] = OK "X: a\0b\r\n" LENGTH_5 "\r\nhello";
    struct answer answers[] = {{text, THEN_KEEP, sizeof text - 1}};

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch("http://127.0.0.1/"), HTTP_EREPLY);
}

static void a_field_of_200_KiB_is_over_the_limit(void **state)
{
    size_t size = 200 * 1024;
    char *text = malloc(size);
    struct answer answers[] = {{text, THEN_KEEP, size}};

    (void) state;
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, OK "X: ", sizeof OK "X: " - 1);
    h.answers = answers;
    assert_int_equal(fetch("http://127.0.0.1/"), HTTP_EHEAD);
    free(text);
}

/* A hostile server repeats something; the limit of the session ends it. */
static void check_endless(const char *start, const char *part, ssize_t expected)
{
    size_t size = 300 * 1024, used = strlen(start), step = strlen(part);
    char *text = malloc(size);
    struct answer answers[] = {{text, THEN_KEEP, 0}};
    struct http_request request = {.url = "http://127.0.0.1/",
                                   .body_max = 100 * 1024};

    assert_non_null(text);
    memcpy(text, start, used);
    for (; used + step <= size; used += step)
        memcpy(text + used, part, step);
    answers[0].size = used;
    h.answers = answers;
    h.requests = 0;
    assert_int_equal(fetch_with(&request, NULL), expected);
    free(text);
}

static void endless_replies_end_at_their_limit(void **state)
{
    (void) state;
    check_endless(OK, "X: y\r\n", HTTP_EHEAD);
    check_endless(OK CHUNKED "\r\n", "5\r\nhello\r\n", HTTP_EBODY);
    check_endless(OK CHUNKED "\r\n0\r\n", "X: y\r\n", HTTP_EHEAD);
    check_endless(OK CHUNKED "\r\n5;", "xxxxxxxx", HTTP_ECHUNK);
    check_endless(OK "\r\n", "hello", HTTP_EBODY);
    check_endless("", "HTTP/1.1 100 Continue\r\n\r\n", HTTP_EINTERIM);
    check_endless(OK "Content-Length: 1000000\r\n\r\n", "hello", HTTP_EBODY);
}

/* Sends the first `size` bytes of a reply, and then a reset or the end. */
static void check_cut(const char *text, size_t size, enum then then)
{
    struct answer answers[] = {{text, then, size}};
    struct http_page page;
    struct http_request request = {.url = "http://127.0.0.1/"};
    ssize_t status;

    h.answers = answers;
    h.requests = 0;
    status = fetch_with(&request, &page);
    assert_true(status == HTTP_ECUT || status == ALOOP_ECONNRESET);
    assert_int_equal(h.requests, 1);
    if (then == THEN_END) /* A reset discards what was not read. */
        assert_int_equal(page.reply.step == HTTP_STEP_BODY,
                         size >= strlen(OK CHUNKED "\r\n"));
    http_page_free(&page);
}

static void an_end_or_reset_at_each_byte_is_an_error(void **state)
{
    static const char text[] = OK CHUNKED
        "\r\n5\r\nhello\r\n2\r\n, \r\n0\r\nX: y\r\n\r\n";

    (void) state;
    for (size_t size = 1; size < sizeof text - 1; size++) {
        check_cut(text, size, THEN_END);
        check_cut(text, size, THEN_RESET);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(each_shape_of_a_reply_has_its_outcome),
        HTTP_TEST(the_outcomes_do_not_depend_on_how_the_bytes_arrive),
        HTTP_TEST(a_zero_byte_in_a_value_is_an_error),
        HTTP_TEST(a_field_of_200_KiB_is_over_the_limit),
        HTTP_TEST(endless_replies_end_at_their_limit),
        HTTP_TEST(an_end_or_reset_at_each_byte_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
