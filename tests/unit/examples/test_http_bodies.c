/* HTTP sessions: requests with bodies, and requests that are repeated.  See
 * examples/support/http_session.h. */

#include "support/http_fixture.h"

/* Repeated requests.  The server takes the second request of a connection, and
 * ends the connection instead of answering. */

static void check_stale(struct http_request *request, enum then then,
                        const char *part, ssize_t expected, unsigned requests)
{
    struct answer answers[] = {{OK_5, THEN_KEEP, 0},
                               {part, then, 0},
                               {OK_5, THEN_KEEP, 0}};

    restart(NULL);
    h.answers = answers;
    request->url = HOME;
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(fetch_with(request, NULL), expected);
    assert_int_equal(h.requests, requests);
    assert_int_equal(h.accepted, requests == 3 ? 2 : 1);
}

static void a_request_on_a_stale_connection_is_repeated_once(void **state)
{
    struct http_request get = {0},
                        put = {.method = "PUT", .body = "x", .body_size = 1};
    static const struct answer answers[] = {{OK_5, THEN_KEEP, 0},
                                            {"", THEN_END, 0},
                                            {"", THEN_END, 0}};

    (void) state;
    check_stale(&get, THEN_END, "", 5, 3);
    check_stale(&get, THEN_RESET, "", 5, 3);
    check_stale(&put, THEN_END, "", 5, 3);
    restart(NULL);
    h.answers = answers;
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(fetch(HOME), HTTP_ENOREPLY);
    assert_int_equal(h.requests, 3);
}

static void a_post_is_repeated_only_if_that_is_allowed(void **state)
{
    struct http_request post = {.method = "POST", .body = "x", .body_size = 1};

    (void) state;
    check_stale(&post, THEN_END, "", HTTP_ENOREPLY, 2);
    post.is_repeatable = true;
    check_stale(&post, THEN_END, "", 5, 3);
}

static void a_request_is_not_repeated_after_a_byte_of_a_reply(void **state)
{
    struct http_request get = {0};

    (void) state;
    check_stale(&get, THEN_END, "H", HTTP_ECUT, 2);
    check_stale(&get, THEN_END, "HTTP/1.1 100 x\r\n\r\n", HTTP_ECUT, 2);
}

static void a_request_on_a_new_connection_is_not_repeated(void **state)
{
    static const struct answer answers[] = {{"", THEN_END, 0}};

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch(HOME), HTTP_ENOREPLY);
    assert_int_equal(h.requests, 1);
}

/* Bodies of requests. */

static struct {
    size_t size, given; /* Bytes. */
    ssize_t error;      /* At the end, or 0. */
    unsigned rewinds;
} source;

static ssize_t give_bytes(void *buffer, size_t size, void *arg)
{
    assert_ptr_equal(arg, &source);
    if (source.given == source.size)
        return source.error;
    if (size > source.size - source.given)
        size = source.size - source.given;
    memset(buffer, 'b', size);
    source.given += size;
    return (ssize_t) size;
}

static int rewind_source(void *arg)
{
    assert_ptr_equal(arg, &source);
    source.given = 0;
    source.rewinds++;
    return 0;
}

static struct http_request upload(size_t size, uint64_t promised)
{
    memset(&source, 0, sizeof source);
    source.size = size;
    return (struct http_request){.url = HOME,
                                 .method = "PUT",
                                 .source = give_bytes,
                                 .source_arg = &source,
                                 .body_size = promised};
}

static void a_body_of_unknown_size_is_sent_in_chunks(void **state)
{
    struct http_request request = upload(20000, 0);

    (void) state;
    h.answers = five;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_logged("Transfer-Encoding: chunked\r\n\r\n2000\r\nbbbb");
    assert_logged("bbb\r\n0\r\n\r\n");
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 1);
}

static void a_body_of_known_size_is_sent_with_its_length(void **state)
{
    struct http_request request = upload(20000, 20000);

    (void) state;
    h.answers = five;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_logged("Content-Length: 20000\r\n\r\nbbbb");
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 1);
}

static void a_post_without_a_body_has_a_length(void **state)
{
    struct http_request request = {.url = HOME, .method = "POST"};

    (void) state;
    h.answers = five;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_logged("Content-Length: 0\r\n\r\n");
}

static void a_source_that_fails_or_is_too_short_ends_the_request(void **state)
{
    struct http_request request = upload(20000, 20001);
    struct http_page page;

    (void) state;
    h.answers = five;
    assert_int_equal(fetch_with(&request, &page), HTTP_ESOURCE);
    assert_int_equal(page.reply.step, HTTP_STEP_SEND);
    request = upload(20000, 0);
    source.error = ALOOP_EIO;
    assert_int_equal(fetch_with(&request, NULL), ALOOP_EIO);
    assert_int_equal(h.requests, 0);
    http_page_free(&page);
}

/* The source may read from a connection of its own. */
static void a_reset_of_a_source_is_none_of_the_connection(void **state)
{
    struct http_request request = upload(10, 0);

    (void) state;
    h.answers = five;
    request.rewind = rewind_source;
    source.error = ALOOP_ECONNRESET;
    assert_int_equal(fetch_with(&request, NULL), ALOOP_ECONNRESET);
    assert_int_equal(h.requests, 0);
    assert_int_equal(fetch(HOME), 5);
    source.given = 0;
    assert_int_equal(fetch_with(&request, NULL), ALOOP_ECONNRESET);
    assert_int_equal(h.requests, 1);
    assert_int_equal(source.rewinds, 0);
}

static ssize_t give_too_much(void *buffer, size_t size, void *arg)
{
    (void) arg;
    memset(buffer, 'b', size);
    return (ssize_t) size + 1;
}

static void a_source_that_returns_more_than_was_asked_for_is_an_error(
    void **state)
{
    struct http_request request = upload(10, 0);

    (void) state;
    request.source = give_too_much;
    h.answers = five;
    assert_int_equal(fetch_with(&request, NULL), ALOOP_EINVAL);
    assert_int_equal(h.requests, 0);
}

static void a_source_is_rewound_for_a_redirect(void **state)
{
    static const struct answer answers[] = {{TO("307", "/b"), THEN_KEEP, 0},
                                            {OK_5, THEN_KEEP, 0},
                                            {TO("307", "/b"), THEN_KEEP, 0}};
    struct http_request request = upload(10, 0);

    (void) state;
    h.answers = answers;
    request.rewind = rewind_source;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_int_equal(source.rewinds, 1);
    assert_logged("a\r\nbbbbbbbbbb\r\n0\r\n\r\n");
    request = upload(10, 0);
    assert_int_equal(fetch_with(&request, NULL), HTTP_EREWIND);
}

static void a_request_whose_source_cannot_rewind_is_not_repeated(void **state)
{
    struct http_request request = upload(10, 0);

    (void) state;
    check_stale(&request, THEN_END, "", HTTP_ENOREPLY, 2);
    request = upload(10, 0);
    request.rewind = rewind_source;
    check_stale(&request, THEN_END, "", 5, 3);
}

#define REFUSAL "HTTP/1.1 413 x\r\nContent-Length: 3\r\n\r\nbig"

/* The server sends its answer although it does not read the body. */
static void check_early(const char *refusal)
{
    struct http_request request = upload(10 * 1024 * 1024, 0);
    struct http_page page;
    aloop_future *future;

    restart(NULL);
    h.is_deaf = true;
    future = http_fetch(h.session, &request, &page);
    run_for(100 * MS);
    assert_true(source.given < source.size);
    assert_int_equal(
        sim_peer_send(h.connections[0].peer, refusal, strlen(refusal)),
        strlen(refusal));
    assert_int_equal(finish(future), 3);
    assert_int_equal(page.reply.status, 413);
    assert_true(source.given < source.size);
    http_page_free(&page);
    run_for(10 * MS);
    assert_true(sim_peer_error(h.connections[0].peer) < 0);
    h.is_deaf = false;
    run_for(10 * MS);
}

static void an_early_reply_ends_a_body(void **state)
{
    (void) state;
    check_early(REFUSAL);
    check_early("HTTP/1.1 100 Continue\r\n\r\n" REFUSAL);
}

static void a_body_waits_for_100_continue(void **state)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 100 Continue\r\n\r\n", THEN_KEEP, 0},
        {OK_5, THEN_KEEP, 0},
        {"HTTP/1.1 417 x\r\nContent-Length: 0\r\n\r\n", THEN_KEEP, 0},
        {NULL, THEN_KEEP, 0},
        {OK_5, THEN_KEEP, 0}};
    struct http_request request = upload(10, 10);

    (void) state;
    request.has_expectation = true;
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_logged("Expect: 100-continue\r\n\r\nbbbbbbbbbb");
    request = upload(10, 10);
    request.has_expectation = true;
    assert_int_equal(fetch_with(&request, NULL), 0);
    assert_int_equal(source.given, 0);
    assert_int_equal(fetch_with(&request, NULL), 5); /* After a second. */
    assert_int_equal(source.given, 10);
}

static void a_refusal_right_after_100_continue_is_read(void **state)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 100 Continue\r\n\r\n" REFUSAL, THEN_KEEP, 0}};
    struct http_request request = upload(10 * 1024 * 1024, 10 * 1024 * 1024);

    (void) state;
    request.has_expectation = true;
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), 3);
    assert_int_equal(source.given, 0);
}

/* Cancels, after so many steps, a request that is redirected. */
static void cancel_after(unsigned steps)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 100 x\r\n\r\n" TO("307", "/b"), THEN_KEEP, 0},
        {"HTTP/1.1 200 x\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\nX: y\r\n\r\n",
         THEN_KEEP, 0},
        {NULL, THEN_KEEP, 0},
    };
    struct http_request request = upload(100, 100);
    struct http_page page;
    aloop_future *future;
    ssize_t status;

    h.answers = answers;
    h.requests = 0;
    request.rewind = rewind_source;
    future = http_fetch(h.session, &request, &page);
    for (; steps > 0 && !aloop_future_is_settled(future); steps--) {
        assert_int_equal(aloop_await(aloop_sleep(t.loop, MS / 50)), 0);
        serve();
    }
    aloop_cancel(future);
    status = finish(future);
    assert_true(status == 3 || status == ALOOP_ECANCELED);
    http_page_free(&page);
}

static void a_cancel_at_any_time_affects_no_other_request(void **state)
{
    struct http_request request = {.url = HOME};

    (void) state;
    sim_chaos();
    for (unsigned steps = 0; steps < 200; steps++) {
        struct http_page page;

        cancel_after(steps);
        h.answers = five;
        h.requests = 0;
        assert_int_equal(fetch_with(&request, &page), 5);
        assert_string_equal(page.data, "hello");
        http_page_free(&page);
        clear_log();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_request_on_a_stale_connection_is_repeated_once),
        HTTP_TEST(a_post_is_repeated_only_if_that_is_allowed),
        HTTP_TEST(a_request_is_not_repeated_after_a_byte_of_a_reply),
        HTTP_TEST(a_request_on_a_new_connection_is_not_repeated),
        HTTP_TEST(a_body_of_unknown_size_is_sent_in_chunks),
        HTTP_TEST(a_body_of_known_size_is_sent_with_its_length),
        HTTP_TEST(a_post_without_a_body_has_a_length),
        HTTP_TEST(a_source_that_fails_or_is_too_short_ends_the_request),
        HTTP_TEST(a_reset_of_a_source_is_none_of_the_connection),
        HTTP_TEST(a_source_that_returns_more_than_was_asked_for_is_an_error),
        HTTP_TEST(a_source_is_rewound_for_a_redirect),
        HTTP_TEST(a_request_whose_source_cannot_rewind_is_not_repeated),
        HTTP_TEST(an_early_reply_ends_a_body),
        HTTP_TEST(a_body_waits_for_100_continue),
        HTTP_TEST(a_refusal_right_after_100_continue_is_read),
        HTTP_TEST(a_cancel_at_any_time_affects_no_other_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
