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

static void assert_not_logged(const char *text)
{
    h.log[h.logged] = '\0';
    if (strstr(h.log, text) != NULL)
        fail_msg("sent: %s", h.log);
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

static void a_cancelled_request_loses_no_place(void **state)
{
    struct http_session_options options = {.connections_max = 1};
    struct http_request request = {.url = HOME};
    struct http_page pages[2];
    aloop_future *first, *second;

    (void) state;
    restart(&options);
    h.answers = five;
    h.is_deaf = true;
    first = http_fetch(h.session, &request, &pages[0]);
    second = http_fetch(h.session, &request, &pages[1]);
    run_for(10 * MS);
    aloop_cancel(second);
    assert_int_equal(finish(second), ALOOP_ECANCELED);
    assert_int_equal(pages[1].reply.step, HTTP_STEP_WAIT);
    aloop_cancel(first);
    assert_int_equal(finish(first), ALOOP_ECANCELED);
    assert_int_equal(pages[0].reply.step, HTTP_STEP_HEAD);
    h.is_deaf = false;
    assert_int_equal(fetch(HOME), 5);
}

static void a_time_limit_closes_the_connection(void **state)
{
    static const struct answer answers[] = {{NULL, THEN_KEEP, 0},
                                            {OK_5, THEN_KEEP, 0}};
    struct http_request request = {.url = HOME};
    struct http_page page;

    (void) state;
    h.answers = answers;
    assert_int_equal(
        finish(aloop_timeout(http_fetch(h.session, &request, &page), 50 * MS)),
        ALOOP_ETIMEDOUT);
    run_for(10 * MS);
    assert_int_equal(count_open(), 0);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 2);
}

static void idle_connections_are_closed_after_their_time(void **state)
{
    struct http_session_options options = {.idle_ns = ALOOP_SEC(2)};

    (void) state;
    restart(&options);
    h.answers = five;
    assert_int_equal(fetch(HOME), 5);
    run_for(ALOOP_SEC(1));
    assert_int_equal(count_open(), 1);
    run_for(ALOOP_SEC(4));
    assert_int_equal(count_open(), 0);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 2);
}

static void the_oldest_idle_connection_is_closed_for_another(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", NULL};
    static const char *const urls[] = {"http://a/", "http://b/", "http://c/"};
    struct http_session_options options = {.idle_max = 2};

    (void) state;
    sim_host("a", addresses);
    sim_host("b", addresses);
    sim_host("c", addresses);
    restart(&options);
    h.answers = five;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fetch(urls[i]), 5);
        run_for(10 * MS);
        assert_int_equal(count_open(), i == 0 ? 1 : 2);
    }
    assert_int_equal(fetch("http://b/"), 5);
    assert_int_equal(h.accepted, 3);
    assert_int_equal(fetch("http://a/"), 5);
    assert_int_equal(h.accepted, 4);
}

static void a_connection_that_ends_while_idle_is_not_used(void **state)
{
    static const struct answer answers[] = {{OK_5, THEN_END, 0},
                                            {OK_5, THEN_KEEP, 0}};
    struct http_request post = {.url = HOME, .method = "POST"};

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch(HOME), 5);
    run_for(10 * MS);
    assert_int_equal(fetch_with(&post, NULL), 5);
    assert_int_equal(h.requests, 2);
    assert_int_equal(h.accepted, 2);
}

static void kept_connections_do_not_keep_the_loop_alive(void **state)
{
    (void) state;
    h.answers = five;
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(aloop_run(t.loop), 0);
}

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

/* Redirects. */

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
    request.expects_continue = true;
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_logged("Expect: 100-continue\r\n\r\nbbbbbbbbbb");
    request = upload(10, 10);
    request.expects_continue = true;
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
    request.expects_continue = true;
    h.answers = answers;
    assert_int_equal(fetch_with(&request, NULL), 3);
    assert_int_equal(source.given, 0);
}

/* Requests and replies. */

static void wrong_requests_are_refused(void **state)
{
    static const struct http_field fields[] = {
        {"X", "a\r\nY: b"}, {"X y", "z"},       {"", "z"},
        {"Host", "x"},      {"te", "trailers"}, {"Content-length", "1"}};
    struct http_request request = {.url = HOME, .field_count = 1};

    (void) state;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        request.fields = &fields[i];
        assert_int_equal(fetch_with(&request, NULL), HTTP_EREQUEST);
    }
    request.field_count = 0;
    request.method = "GET /";
    assert_int_equal(fetch_with(&request, NULL), HTTP_EREQUEST);
    request.method = "CONNECT";
    assert_int_equal(fetch_with(&request, NULL), HTTP_EREQUEST);
    request.method = "PUT";
    request.body_size = 1; /* Without a body. */
    assert_int_equal(fetch_with(&request, NULL), HTTP_EREQUEST);
    assert_int_equal(fetch("http://127.0.0.1/a b"), HTTP_EURL);
    assert_int_equal(fetch("ftp://127.0.0.1/"), HTTP_EURL);
    assert_int_equal(fetch("https://127.0.0.1/"), HTTP_EHTTPS);
    assert_int_equal(h.accepted, 0);
}

static void an_error_names_its_step(void **state)
{
    struct http_request request = {.url = "http://127.0.0.1:81/"};
    struct http_page page;

    (void) state;
    assert_int_equal(fetch_with(&request, &page), ALOOP_ECONNREFUSED);
    assert_string_equal(http_step_name(page.reply.step), "connecting");
    assert_string_equal(page.reply.url.port, "81");
    http_page_free(&page);
}

static ssize_t reads_in_pieces(aloop *loop, void *arg)
{
    struct http_request request = {.url = HOME};
    struct http_reply reply;
    char buffer[3];

    (void) loop;
    (void) arg;
    assert_int_equal(http_open(h.session, &request, &reply), 0);
    assert_string_equal(http_reply_field(&reply, "content-LENGTH"), "5");
    assert_null(http_reply_field(&reply, "Content"));
    assert_int_equal(http_read(&reply, buffer, 0), ALOOP_EINVAL);
    assert_int_equal(http_read(&reply, buffer, 3), 3);
    assert_memory_equal(buffer, "hel", 3);
    assert_int_equal(http_read(&reply, buffer, 3), 2);
    assert_int_equal(http_read(&reply, buffer, 3), 0);
    http_close(&reply);
    http_close(&reply);
    assert_null(http_reply_field(&reply, "Content-Length"));
    assert_int_equal(http_read(&reply, buffer, 3), ALOOP_EINVAL);
    request.url = "http://127.0.0.1:81/";
    assert_int_equal(http_open(h.session, &request, &reply),
                     ALOOP_ECONNREFUSED);
    assert_int_equal(http_read(&reply, buffer, 3), ALOOP_EINVAL);
    return 0;
}

static void a_task_reads_a_body_in_pieces(void **state)
{
    (void) state;
    h.answers = five;
    assert_int_equal(finish(aloop_spawn(t.loop, reads_in_pieces, NULL)), 0);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 1);
}

/* Fetches two pages, the second one as soon as the first has ended. */
static ssize_t reads_two_pages(aloop *loop, void *arg)
{
    static char buffer[16 * 1024];
    struct http_request request = {.url = HOME};
    struct http_reply reply;
    ssize_t n;

    (void) loop;
    (void) arg;
    assert_int_equal(http_open(h.session, &request, &reply), 0);
    while ((n = http_read(&reply, buffer, sizeof buffer)) > 0)
        continue;
    http_close(&reply);
    assert_int_equal(n, 0);
    n = http_open(h.session, &request, &reply);
    assert_int_equal(n, 0);
    assert_int_equal(reply.status, 200);
    http_close(&reply);
    return 0;
}

/* The last read of the body is one of exactly that size, so that what follows
 * is still in the system. */
static void bytes_after_a_body_are_not_the_next_reply(void **state)
{
    static const char head[] =
        "HTTP/1.1 200 x\r\nContent-Length: 32768\r\n\r\n",
                      evil[] = "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n";
    static char text[sizeof head - 1 + 32768 + sizeof evil - 1];
    static const struct answer answers[] = {{text, THEN_KEEP, sizeof text},
                                            {OK_5, THEN_KEEP, 0}};

    (void) state;
    memset(text, 'b', sizeof text);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof text - (sizeof evil - 1), evil, sizeof evil - 1);
    h.answers = answers;
    assert_int_equal(finish(aloop_spawn(t.loop, reads_two_pages, NULL)), 0);
    assert_int_equal(h.accepted, 2);
}

static void send_to_client(const char *text, size_t size)
{
    assert_int_equal(sim_peer_send(h.connections[0].peer, text, size), size);
    run_for(10 * MS);
}

/* The header arrives in two parts, the first of which nearly fills the
 * buffer. */
static void bytes_after_a_long_header_are_not_the_next_reply(void **state)
{
    static const struct answer answers[] = {{NULL, THEN_KEEP, 0},
                                            {OK_5, THEN_KEEP, 0}};
    static const char rest[] = "y\r\n\r\nHTTP/1.1 404 x\r\n"
                               "Content-Length: 0\r\n\r\n";
    static char text[16 * 1024 - 5];
    size_t size = strlen(strcpy(text, "HTTP/1.1 200 x\r\n"
                                      "Content-Length: 0\r\n"));
    aloop_future *reading;

    (void) state;
    memset(text + size, 'y', sizeof text - size);
    for (; size < sizeof text; size += 100) {
        memcpy(text + size, "X: ", 3);
        if (sizeof text - size > 100)
            memcpy(text + size + 98, "\r\n", 2);
    }
    h.answers = answers;
    reading = aloop_spawn(t.loop, reads_two_pages, NULL);
    run_for(10 * MS);
    send_to_client(text, sizeof text);
    send_to_client(rest, sizeof rest - 1);
    assert_int_equal(finish(reading), 0);
    assert_int_equal(h.accepted, 2);
}

static ssize_t leaves_the_body(aloop *loop, void *arg)
{
    struct http_request request = {.url = HOME};
    struct http_reply reply;
    ssize_t status = http_open(h.session, &request, &reply);

    (void) loop;
    if (arg != NULL) {
        http_session_free(h.session);
        h.session = NULL;
    }
    http_close(&reply);
    return status;
}

static void a_connection_with_an_unread_body_is_closed(void **state)
{
    (void) state;
    h.answers = five;
    assert_int_equal(finish(aloop_spawn(t.loop, leaves_the_body, NULL)), 0);
    run_for(10 * MS);
    assert_int_equal(count_open(), 0);
    assert_int_equal(fetch(HOME), 5);
}

static void a_session_may_be_freed_before_its_replies(void **state)
{
    (void) state;
    h.answers = five;
    assert_int_equal(finish(aloop_spawn(t.loop, leaves_the_body, &h)), 0);
}

static void a_page_larger_than_its_limit_is_an_error(void **state)
{
    struct http_request request = {.url = HOME, .body_max = 4};

    (void) state;
    h.answers = five;
    assert_int_equal(fetch_with(&request, NULL), HTTP_EBODY);
    request.body_max = 5;
    assert_int_equal(fetch_with(&request, NULL), 5);
}

/* TLS, as a hook that a bridge provides. */

static ssize_t secure_status;

static aloop_future *secure(aloop_stream *stream, const char *host,
                            const char *port, void *arg, void **ret_tls)
{
    assert_non_null(stream);
    assert_string_equal(host, "127.0.0.1");
    assert_string_equal(port, "80");
    assert_ptr_equal(arg, &secure_status);
    t.calls++;
    *ret_tls = stream;
    return aloop_future_new_settled(t.loop, secure_status);
}

/* The stream is still open. */
static const char *secure_error(const void *tls, ssize_t error)
{
    assert_true(aloop_stream_fd(tls) >= 0);
    return error == ALOOP_EPROTO || error == ALOOP_ECONNRESET ? "words of TLS"
                                                              : NULL;
}

static void https_is_left_to_the_hook(void **state)
{
    struct http_session_options options = {.secure = secure,
                                           .secure_arg = &secure_status};
    struct http_request request = {.url = "https://127.0.0.1:80/"};
    struct http_page page;

    (void) state;
    restart(&options);
    h.answers = five;
    secure_status = ALOOP_EPROTO;
    assert_int_equal(fetch_with(&request, &page), ALOOP_EPROTO);
    assert_int_equal(page.reply.step, HTTP_STEP_SECURE);
    http_page_free(&page);
    secure_status = 0;
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_int_equal(fetch_with(&request, NULL), 5);
    assert_int_equal(t.calls, 2);
    assert_logged("Host: 127.0.0.1:80\r\n");
    assert_int_equal(fetch(HOME), 5); /* Another origin. */
    assert_int_equal(h.accepted, 3);
    assert_not_logged(":443");
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

static ssize_t opens_securely(aloop *loop, void *arg)
{
    struct http_request request = {.url = "https://127.0.0.1:80/"};
    struct http_reply reply;

    (void) loop;
    return http_open(arg, &request, &reply);
}

static void a_session_that_is_freed_starts_no_tls(void **state)
{
    struct http_session_options options = {.secure = secure,
                                           .secure_arg = &secure_status};
    aloop_future *opening;

    (void) state;
    restart(&options);
    h.answers = five;
    opening = aloop_spawn(t.loop, opens_securely, h.session);
    assert_int_equal(aloop_yield(t.loop), 0);
    http_session_free(h.session);
    h.session = NULL;
    assert_int_equal(finish(opening), HTTP_ECLOSED);
    assert_int_equal(t.calls, 0);
}

static void assert_words(ssize_t error, const char *words)
{
    struct http_request request = {.url = "https://127.0.0.1:80/"};
    struct http_page page;

    assert_int_equal(fetch_with(&request, &page), error);
    assert_string_equal(http_error(&page.reply, error), words);
    http_page_free(&page);
}

static void an_error_of_tls_has_words(void **state)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", THEN_RESET, 0},
        {"nonsense\r\n\r\n", THEN_END, 0},
        {"HTTP/1.1", THEN_RESET, 0}};
    struct http_session_options options = {.secure = secure,
                                           .secure_error = secure_error,
                                           .secure_arg = &secure_status};

    (void) state;
    restart(&options);
    h.answers = answers;
    secure_status = ALOOP_EPROTO;
    assert_words(ALOOP_EPROTO, "words of TLS");
    secure_status = ALOOP_ENOMEM;
    assert_words(ALOOP_ENOMEM, http_strerror(ALOOP_ENOMEM));
    secure_status = 0;
    assert_words(ALOOP_ECONNRESET, "words of TLS"); /* In the body. */
    assert_words(HTTP_EREPLY, http_strerror(HTTP_EREPLY));
    assert_words(ALOOP_ECONNRESET, "words of TLS"); /* In the header. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_page_is_fetched_with_a_complete_request),
        HTTP_TEST(requests_to_an_origin_use_one_connection),
        HTTP_TEST(there_are_no_more_than_connections_max),
        HTTP_TEST(requests_wait_in_order_for_a_connection),
        HTTP_TEST(a_cancelled_request_loses_no_place),
        HTTP_TEST(a_time_limit_closes_the_connection),
        HTTP_TEST(idle_connections_are_closed_after_their_time),
        HTTP_TEST(the_oldest_idle_connection_is_closed_for_another),
        HTTP_TEST(a_connection_that_ends_while_idle_is_not_used),
        HTTP_TEST(kept_connections_do_not_keep_the_loop_alive),
        HTTP_TEST(a_request_on_a_stale_connection_is_repeated_once),
        HTTP_TEST(a_post_is_repeated_only_if_that_is_allowed),
        HTTP_TEST(a_request_is_not_repeated_after_a_byte_of_a_reply),
        HTTP_TEST(a_request_on_a_new_connection_is_not_repeated),
        HTTP_TEST(redirects_change_the_method_by_the_rules),
        HTTP_TEST(head_stays_head_after_303),
        HTTP_TEST(secrets_are_not_sent_to_another_origin),
        HTTP_TEST(redirects_are_limited),
        HTTP_TEST(a_wrong_location_is_an_error_and_a_missing_one_is_none),
        HTTP_TEST(the_body_of_a_redirect_may_be_long_or_wrong),
        HTTP_TEST(a_request_that_ends_after_a_redirect_keeps_nothing),
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
        HTTP_TEST(wrong_requests_are_refused),
        HTTP_TEST(an_error_names_its_step),
        HTTP_TEST(a_task_reads_a_body_in_pieces),
        HTTP_TEST(bytes_after_a_body_are_not_the_next_reply),
        HTTP_TEST(bytes_after_a_long_header_are_not_the_next_reply),
        HTTP_TEST(a_connection_with_an_unread_body_is_closed),
        HTTP_TEST(a_session_may_be_freed_before_its_replies),
        HTTP_TEST(a_page_larger_than_its_limit_is_an_error),
        HTTP_TEST(https_is_left_to_the_hook),
        HTTP_TEST(a_session_that_is_freed_starts_no_tls),
        HTTP_TEST(a_cancel_at_any_time_affects_no_other_request),
        HTTP_TEST(an_error_of_tls_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
