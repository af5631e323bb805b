/* The bridge to libcurl, against nginx and servers that misbehave: calls inside
 * its callbacks, ends of the client, errors, and memory that runs out.  The
 * servers that misbehave run in the loop of the client. */

#define _POSIX_C_SOURCE 200809L

#include "bridges/curl_fixture.h"

#include "bridges/refusals.h"

/* Inside libcurl. */

static void cancel_all(struct page *page)
{
    (void) page;
    for (int i = 0; i < 4; i++) {
        f.pages[i].on_data = NULL;
        if (i < 3)
            aloop_cancel(f.pages[i].future);
    }
}

static void a_callback_of_libcurl_can_cancel_transfers(const char *server)
{
    for (int i = 0; i < 4; i++) {
        (void) begin(&f.pages[i], server, i < 3 ? "/slow" : "/page");
        f.pages[i].on_data = cancel_all;
    }

    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(f.pages[i].future), ALOOP_EABORTED);

    assert_int_equal(aloop_await(f.pages[3].future), 0);
    assert_quiet();
}

static void a_callback_of_libcurl_can_cancel_its_own_and_others(void **state)
{
    (void) state;

    a_callback_of_libcurl_can_cancel_transfers("NGINX_HTTP2");
    for (int i = 0; i < 4; i++)
        curl_easy_cleanup(f.pages[i].easy);
    a_callback_of_libcurl_can_cancel_transfers("NGINX_HTTP1");
}

static void begin_inside(struct page *page)
{
    (void) page;
    (void) begin(&f.pages[1], "NGINX_PLAIN", "/page");
}

static void a_callback_of_libcurl_cannot_begin_a_transfer(void **state)
{
    (void) state;
    (void) begin(&f.pages[0], "NGINX_PLAIN", "/page");
    f.pages[0].on_data = begin_inside;

    assert_int_equal(aloop_await(f.pages[0].future), 0);

    assert_int_equal(aloop_await(f.pages[1].future), ALOOP_EBUSY);
}

/* Ends of the client and of the loop. */

static void transfers_end_with_their_client(void **state)
{
    aloop_future *all = begin_many("NGINX_HTTP1", "/slow");

    (void) state;
    while (f.pages[0].size == 0)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);

    curl_client_free(f.client);
    f.client = NULL;

    assert_int_equal(aloop_await(all), ALOOP_EABORTED);
    assert_false(aloop_alive(f.loop));
}

static bool has_ended;

static ssize_t client_run(aloop *loop, void *arg)
{
    curl_client *client = curl_client_new(loop);
    struct page *page = arg;
    ssize_t status;

    open_page(page, "NGINX_HTTP2", "/slow");
    status = aloop_await(curl_fetch(client, page->easy));
    curl_client_free(client);
    has_ended = true;
    return status;
}

static void a_loop_can_be_freed_in_the_middle(void **state)
{
    (void) state;
    has_ended = false;
    aloop_detach(aloop_spawn(f.loop, client_run, &f.pages[0]));
    while (f.pages[0].size == 0)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    curl_client_free(f.client); /* It may not be freed later. */
    f.client = NULL;

    assert_int_equal(aloop_free(f.loop), 0);

    assert_true(has_ended);
    f.loop = aloop_new(NULL);
}

/* Errors. */

static void a_refused_connection_has_words(void **state)
{
    struct page *page = &f.pages[0];
    ssize_t status;

    (void) state;

    status = aloop_await(begin(page, "http://127.0.0.1:1", "/"));

    assert_int_equal(status, CURL_CLIENT_ERROR(CURLE_COULDNT_CONNECT));
    assert_string_equal(curl_client_error(status),
                        curl_easy_strerror(CURLE_COULDNT_CONNECT));
    assert_non_null(strstr(page->words, "127.0.0.1 port 1"));
    assert_quiet();
}

static void errors_of_the_library_have_its_words(void **state)
{
    (void) state;

    assert_string_equal(curl_client_error(ALOOP_ETIMEDOUT),
                        aloop_strerror(ALOOP_ETIMEDOUT));
    assert_string_equal(curl_client_error(CURL_CLIENT_ERROR(CURL_LAST)),
                        aloop_strerror(CURL_CLIENT_ERROR(CURL_LAST)));
}

static void a_certificate_that_is_not_trusted_is_an_error(void **state)
{
    struct page *page = &f.pages[0];

    (void) state;
    open_page(page, "NGINX_HTTP2", "/page");
    curl_easy_setopt(page->easy, CURLOPT_CAINFO, "/nonexistent");
    assert_int_equal(aloop_await(curl_fetch(f.client, page->easy)),
                     CURL_CLIENT_ERROR(CURLE_SSL_CACERT_BADFILE));

    curl_easy_setopt(page->easy, CURLOPT_CAINFO, NULL);
    assert_int_equal(aloop_await(curl_fetch(f.client, page->easy)),
                     CURL_CLIENT_ERROR(CURLE_PEER_FAILED_VERIFICATION));

    assert_quiet();
}

static void a_handle_is_in_one_transfer_at_a_time(void **state)
{
    struct page *page = &f.pages[0];

    (void) state;
    (void) begin(page, "NGINX_PLAIN", "/page");

    assert_int_equal(aloop_await(curl_fetch(f.client, page->easy)),
                     ALOOP_EINVAL);

    assert_int_equal(aloop_await(page->future), 0);
    assert_int_equal(page->size, PAGE_SIZE);
}

static void a_client_or_handle_that_is_missing_counts_as_no_memory(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(curl_fetch(f.client, NULL)), ALOOP_ENOMEM);
    assert_int_equal(aloop_await(curl_fetch(NULL, NULL)), ALOOP_ENOMEM);
    curl_client_free(NULL);
}

/* Servers that end. */

static ssize_t misbehave(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    char head[1024];

    (void) loop;
    if (!f.is_reset && aloop_await(aloop_stream_read_until(
                           stream, head, sizeof head, "\r\n\r\n", 4)) > 0)
        (void) aloop_stream_put(stream, f.answer, strlen(f.answer));
    aloop_stream_close(stream);
    return 0;
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    aloop_detach(aloop_spawn(f.loop, misbehave, stream));
}

/* Fetches from a server that sends this much. */
static ssize_t fetch_from(const char *answer, bool is_reset)
{
    struct page page = {0};
    char url[64];
    ssize_t status;

    f.answer = answer;
    f.is_reset = is_reset;
    if (f.listener == NULL) {
        assert_int_equal(aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_stream,
                                          NULL, &f.listener),
                         0);
        aloop_listener_unref(f.listener);
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%d",
             aloop_listener_port(f.listener));
    status = aloop_await(begin(&page, url, "/"));
    curl_easy_cleanup(page.easy);
    return status;
}

static void a_server_that_ends_is_an_error(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n";
    static const char body[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello";
    static const char chunk[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe";
    static const char whole[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    (void) state;
    assert_int_equal(fetch_from("", false),
                     CURL_CLIENT_ERROR(CURLE_GOT_NOTHING));
    assert_true(fetch_from("", true) < CURL_CLIENT_EBASE);
    assert_true(fetch_from(head, false) <= 0); /* libcurl accepts that. */
    assert_int_equal(fetch_from(body, false),
                     CURL_CLIENT_ERROR(CURLE_PARTIAL_FILE));
    assert_int_equal(fetch_from(chunk, false),
                     CURL_CLIENT_ERROR(CURLE_PARTIAL_FILE));
    assert_int_equal(fetch_from(whole, false), 0);
    assert_quiet();
}

/* Memory. */

/* Fetches while one request for memory fails, the one of this number.  Returns
 * whether there are so many. */
static bool survives(const char *server, int count, unsigned fails_at)
{
    curl_client *client = f.client;
    bool is_over;

    for (int i = 0; i < count; i++)
        open_page(&f.pages[i], server, "/page");
    refuse_call(fails_at);
    f.client = curl_client_new(f.loop);
    for (int i = 0; i < count; i++)
        f.pages[i].future = curl_fetch(f.client, f.pages[i].easy);
    for (int i = 0; i < count; i++) {
        ssize_t status = aloop_await(f.pages[i].future);

        assert_true(status <= 0);
        assert_true(status < 0 || f.pages[i].size == PAGE_SIZE);
        curl_easy_cleanup(f.pages[i].easy);
        f.pages[i].easy = NULL;
    }
    is_over = refusals_are_over();
    refuse_call(0);
    assert_false(aloop_alive(f.loop));
    if (f.client != NULL)
        assert_quiet();
    curl_client_free(f.client);
    f.client = client;
    return !is_over;
}

static void each_request_may_fail(const char *server, int count)
{
    unsigned fails_at = 1;

    while (survives(server, count, fails_at))
        fails_at++;
    assert_true(fails_at > 5);
}

static void out_of_memory_of_the_bridge_ends_transfers(void **state)
{
    (void) state;

#ifdef WITH_WRAP
    each_request_may_fail("NGINX_PLAIN", 1);
    each_request_may_fail("NGINX_HTTP1", 3);
    each_request_may_fail("NGINX_HTTP2", 3);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_callback_of_libcurl_can_cancel_its_own_and_others),
        TEST(a_callback_of_libcurl_cannot_begin_a_transfer),
        TEST(transfers_end_with_their_client),
        TEST(a_loop_can_be_freed_in_the_middle),
        TEST(a_refused_connection_has_words),
        TEST(errors_of_the_library_have_its_words),
        TEST(a_certificate_that_is_not_trusted_is_an_error),
        TEST(a_handle_is_in_one_transfer_at_a_time),
        TEST(a_client_or_handle_that_is_missing_counts_as_no_memory),
        TEST(a_server_that_ends_is_an_error),
        TEST(out_of_memory_of_the_bridge_ends_transfers),
    };

    return RUN_TESTS(tests);
}
