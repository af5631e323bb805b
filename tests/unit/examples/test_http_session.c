/* HTTP sessions: connections, requests, replies and TLS.  See
 * examples/support/http_session.h. */

#include "support/http_fixture.h"

static void assert_not_logged(const char *text)
{
    h.log[h.logged] = '\0';
    if (strstr(h.log, text) != NULL)
        fail_msg("sent: %s", h.log);
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
        HTTP_TEST(an_error_of_tls_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
