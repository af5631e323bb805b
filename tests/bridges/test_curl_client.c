/* The bridge to libcurl, against nginx and servers that misbehave.  The server
 * is that of programs/nginx.sh; the others run in the loop of the client. */

#define _GNU_SOURCE /* RTLD_NEXT. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "bridges/curl_client.h"
#include "bridges/refusals.h"
#include "support/child.h"
#include "support/patient.h"

enum { FDS_MAX = 400, MANY = 100, PAGE_SIZE = 1024, LARGE_SIZE = 3000000 };

/* A transfer. */
struct page {
    CURL *easy;
    aloop_future *future;
    size_t size; /* Received so far. */
    char words[CURL_ERROR_SIZE];
    void (*on_data)(struct page *page); /* Called inside libcurl, once. */
};

static struct {
    aloop *loop;
    curl_client *client;
    int fds; /* Open descriptors before the test. */
    struct page pages[MANY];
    aloop_listener *listener;
    const char *answer; /* What the server sends before it closes. */
    bool is_reset;      /* It does not even read the request. */
} f;

/* The resolver of the system, which runs on threads of libcurl.  The mutex
 * blocks it. */

typedef int resolver(const char *, const char *, const struct addrinfo *,
                     struct addrinfo **);

static pthread_mutex_t resolver_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int resolver_calls, resolver_ends;

int getaddrinfo(const char *host, const char *service,
                const struct addrinfo *hints, struct addrinfo **ret)
{
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    resolver *next;
    int error;

    memcpy(&next, &symbol, sizeof next);
    atomic_fetch_add(&resolver_calls, 1);
    pthread_mutex_lock(&resolver_mutex);
    pthread_mutex_unlock(&resolver_mutex);
    if (strcmp(host, "nginx.test") == 0)
        host = "127.0.0.1";
    error = next(host, service, hints, ret);
    atomic_fetch_add(&resolver_ends, 1);
    return error;
}

/* The fixture. */

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    f.client = curl_client_new(f.loop);
    return f.client == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void) state;
    for (int i = 0; i < MANY; i++)
        curl_easy_cleanup(f.pages[i].easy);
    curl_client_free(f.client);
    aloop_listener_close(f.listener);
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static size_t page_write(char *data, size_t size, size_t count, void *arg)
{
    struct page *page = arg;
    void (*on_data)(struct page *) = page->on_data;

    (void) data;
    page->size += size * count;
    page->on_data = NULL;
    if (on_data != NULL)
        on_data(page);
    return size * count;
}

/* `server` is a variable of the environment, or a URL itself. */
static void open_page(struct page *page, const char *server, const char *path)
{
    const char *url = getenv(server);
    char text[256];

    snprintf(text, sizeof text, "%s%s", url != NULL ? url : server, path);
    page->easy = curl_easy_init();
    page->size = 0;
    curl_easy_setopt(page->easy, CURLOPT_URL, text);
    curl_easy_setopt(page->easy, CURLOPT_CAINFO, getenv("NGINX_CA"));
    curl_easy_setopt(page->easy, CURLOPT_WRITEFUNCTION, page_write);
    curl_easy_setopt(page->easy, CURLOPT_WRITEDATA, page);
    curl_easy_setopt(page->easy, CURLOPT_ERRORBUFFER, page->words);
}

static aloop_future *begin(struct page *page, const char *server,
                           const char *path)
{
    open_page(page, server, path);
    page->future = curl_fetch(f.client, page->easy);
    return page->future;
}

static long info(const struct page *page, CURLINFO what)
{
    long number = -1;

    curl_easy_getinfo(page->easy, what, &number);
    return number;
}

/* Begins transfers of one path, and gathers them. */
static aloop_future *begin_many(const char *server, const char *path)
{
    aloop_future *futures[MANY];

    for (int i = 0; i < MANY; i++)
        futures[i] = begin(&f.pages[i], server, path);
    return aloop_gather_array(f.loop, MANY, futures);
}

static long connections_of_all(void)
{
    long count = 0;

    for (int i = 0; i < MANY; i++)
        count += info(&f.pages[i], CURLINFO_NUM_CONNECTS);
    return count;
}

/* Expects that nothing is watched or waited for, and that the client works. */
static void assert_quiet(void)
{
    struct page page = {0};

    assert_false(aloop_alive(f.loop));
    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(aloop_await(begin(&page, "NGINX_HTTP2", "/page")), 0);
    assert_int_equal(page.size, PAGE_SIZE);
    curl_easy_cleanup(page.easy);
    assert_false(aloop_alive(f.loop));
}

/* Lets the loop run until at least `count` transfers have received all of a
 * large page.  The limit of the whole test ends this if they do not. */
static void until_complete(int count)
{
    int complete = 0;

    while (complete < count) {
        assert_int_equal(aloop_await(aloop_sleep(f.loop, 0)), 0);
        complete = 0;
        for (int i = 0; i < MANY; i++)
            complete += f.pages[i].size == LARGE_SIZE;
    }
}

/* Transfers that succeed. */

static void a_page_is_fetched(void **state)
{
    struct page *page = &f.pages[0];

    (void) state;

    assert_int_equal(aloop_await(begin(page, "NGINX_HTTP1", "/page")), 0);

    assert_int_equal(info(page, CURLINFO_RESPONSE_CODE), 200);
    assert_int_equal(page->size, PAGE_SIZE);
    assert_false(aloop_alive(f.loop));
}

/* The URL of nginx with a name that only the resolver above knows. */
static const char *named_url(void)
{
    static char url[64];
    const char *plain = getenv("NGINX_PLAIN");
    const char *port = plain == NULL ? NULL : strrchr(plain, ':');

    snprintf(url, sizeof url, "http://nginx.test%s", port == NULL ? "" : port);
    return url;
}

static void a_name_of_a_host_is_looked_up(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin(&f.pages[0], named_url(), "/page")), 0);

    assert_int_equal(f.pages[0].size, PAGE_SIZE);
}

static void a_missing_page_is_a_success_with_its_code(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin(&f.pages[0], "NGINX_HTTP2", "/no")), 0);

    assert_int_equal(info(&f.pages[0], CURLINFO_RESPONSE_CODE), 404);
}

static void a_connection_is_used_again(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin(&f.pages[0], "NGINX_HTTP1", "/page")),
                     0);
    assert_int_equal(aloop_await(begin(&f.pages[1], "NGINX_HTTP1", "/page")),
                     0);

    assert_int_equal(info(&f.pages[0], CURLINFO_NUM_CONNECTS), 1);
    assert_int_equal(info(&f.pages[1], CURLINFO_NUM_CONNECTS), 0);
}

static void a_hundred_transfers_share_one_connection_of_http_2(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin_many("NGINX_HTTP2", "/page")), 0);

    for (int i = 0; i < MANY; i++) {
        assert_int_equal(f.pages[i].size, PAGE_SIZE);
        assert_int_equal(info(&f.pages[i], CURLINFO_HTTP_VERSION),
                         CURL_HTTP_VERSION_2_0);
    }
    assert_int_equal(connections_of_all(), 1);
    assert_false(aloop_alive(f.loop));
}

static void a_hundred_transfers_use_six_connections_of_http_1_1(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin_many("NGINX_HTTP1", "/page")), 0);

    for (int i = 0; i < MANY; i++)
        assert_int_equal(f.pages[i].size, PAGE_SIZE);
    assert_in_range(connections_of_all(), 1, 6);
    assert_false(aloop_alive(f.loop));
}

/* By itself libcurl keeps four connections for each transfer in progress, so
 * that the last transfers of many would close those of the others. */
static void connections_stay_open_after_many_transfers(void **state)
{
    int fds = open_descriptors(FDS_MAX);

    (void) state;
    curl_multi_setopt(curl_client_multi(f.client),
                      CURLMOPT_MAX_HOST_CONNECTIONS, (long) MANY);

    assert_int_equal(aloop_await(begin_many("NGINX_PLAIN", "/page")), 0);

    assert_in_range(connections_of_all(), 10, MANY);
    assert_true(open_descriptors(FDS_MAX) >= fds + connections_of_all());
}

static void a_transfer_does_not_wait_for_another_one_without_tls(void **state)
{
    aloop_future *slow = begin(&f.pages[0], "NGINX_PLAIN", "/slow");

    (void) state;

    assert_int_equal(aloop_await(begin(&f.pages[1], "NGINX_PLAIN", "/page")),
                     0);

    assert_int_equal(f.pages[1].size, PAGE_SIZE);
    assert_false(aloop_future_is_settled(slow));
    aloop_cancel(slow);
    aloop_future_unref(slow);
}

static void the_number_of_connections_can_be_changed(void **state)
{
    (void) state;
    curl_multi_setopt(curl_client_multi(f.client),
                      CURLMOPT_MAX_HOST_CONNECTIONS, 2L);

    assert_int_equal(aloop_await(begin_many("NGINX_HTTP1", "/page")), 0);

    assert_in_range(connections_of_all(), 1, 2);
}

static void the_private_pointer_of_the_user_is_kept(void **state)
{
    struct page *page = &f.pages[0];
    char *mine = NULL;

    (void) state;
    open_page(page, "NGINX_PLAIN", "/page");
    curl_easy_setopt(page->easy, CURLOPT_PRIVATE, page->words);

    assert_int_equal(aloop_await(curl_fetch(f.client, page->easy)), 0);

    curl_easy_getinfo(page->easy, CURLINFO_PRIVATE, &mine);
    assert_ptr_equal(mine, page->words);
}

/* Transfers that end early. */

static void one_deadline_ends_all(const char *server)
{
    aloop_future *all = begin_many(server, "/slow");

    assert_int_equal(aloop_await(aloop_timeout(all, ALOOP_MS(100))),
                     ALOOP_ETIMEDOUT);

    assert_quiet();
}

static void one_deadline_ends_all_over_http_2(void **state)
{
    (void) state;

    one_deadline_ends_all("NGINX_HTTP2");
}

static void one_deadline_ends_all_over_http_1_1(void **state)
{
    (void) state;

    one_deadline_ends_all("NGINX_HTTP1");
}

static void a_cancel_in_the_middle(const char *server)
{
    aloop_future *all = begin_many(server, "/large");
    int ended = 0;

    until_complete(2);
    aloop_cancel(all);

    assert_int_equal(aloop_await(all), ALOOP_EABORTED);
    for (int i = 0; i < MANY; i++)
        ended += f.pages[i].size == LARGE_SIZE;
    assert_true(ended >= 2 && ended < MANY);
    assert_quiet();
}

static void a_cancel_in_the_middle_of_many_over_http_2(void **state)
{
    (void) state;

    a_cancel_in_the_middle("NGINX_HTTP2");
}

static void a_cancel_in_the_middle_of_many_over_http_1_1(void **state)
{
    (void) state;

    a_cancel_in_the_middle("NGINX_HTTP1");
}

/* The first ones have the connections. */
static void a_cancelled_transfer_makes_room_for_one_that_waits(void **state)
{
    struct page *last = &f.pages[6];

    (void) state;
    for (int i = 0; i < 6; i++)
        (void) begin(&f.pages[i], "NGINX_HTTP1", "/slow");
    for (int i = 0; i < 6; i++) {
        while (f.pages[i].size == 0)
            assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    }
    (void) begin(last, "NGINX_HTTP1", "/page");
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(20))), 0);
    assert_int_equal(last->size, 0);

    aloop_future_unref(f.pages[3].future);

    assert_int_equal(aloop_await(last->future), 0);
    for (int i = 0; i < 6; i++) {
        if (i != 3)
            aloop_future_unref(f.pages[i].future);
    }
    assert_quiet();
}

/* Cancels a transfer after each number of turns, until it is completed before
 * that. */
static void cancel_at_each_step(const char *server)
{
    ssize_t status = ALOOP_EABORTED;
    int steps = 0;

    for (; status != 0; steps++) {
        struct page page = {0};
        curl_client *client = f.client;

        f.client = curl_client_new(f.loop); /* It has no connection. */
        (void) begin(&page, server, "/page");
        for (int i = 0; i < steps; i++)
            aloop_step(f.loop, ALOOP_MS(10));
        aloop_cancel(page.future);
        status = aloop_await(page.future);
        curl_easy_cleanup(page.easy);
        assert_true(status == 0 || status == ALOOP_EABORTED);
        assert_quiet();
        curl_client_free(f.client);
        f.client = client;
    }
    assert_true(steps > 2);
}

static void a_transfer_can_be_cancelled_at_each_step(void **state)
{
    (void) state;

    cancel_at_each_step("NGINX_HTTP2");
    cancel_at_each_step("NGINX_HTTP1");
    cancel_at_each_step("NGINX_PLAIN");
    cancel_at_each_step(named_url());
}

/* libcurl 7.87 is the first one that can leave its thread. */
static void a_cancel_does_not_wait_for_a_look_up(void **state)
{
#if CURL_AT_LEAST_VERSION(7, 87, 0)
    int calls = atomic_load(&resolver_calls), ends;
    struct page *page = &f.pages[0];

    (void) state;
    pthread_mutex_lock(&resolver_mutex);
    ends = atomic_load(&resolver_ends);
    (void) begin(page, named_url(), "/page");
    while (atomic_load(&resolver_calls) == calls)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);

    aloop_cancel(page->future);

    assert_int_equal(aloop_await(page->future), ALOOP_EABORTED);
    assert_int_equal(atomic_load(&resolver_ends), ends);
    assert_quiet();
    pthread_mutex_unlock(&resolver_mutex);
    while (atomic_load(&resolver_ends) != atomic_load(&resolver_calls))
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
#else
    (void) state;
    skip();
#endif
}

static ssize_t page_fetch(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_await(begin(arg, "NGINX_HTTP1", "/slow"));
}

/* Cancels a task whose transfer has begun. */
static void a_task_that_is_cancelled_ends_its_transfer(void **state)
{
    aloop_future *task = aloop_spawn(f.loop, page_fetch, &f.pages[0]);

    (void) state;
    while (f.pages[0].size == 0)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);

    aloop_cancel(task);

    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_quiet();
}

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
        TEST(a_page_is_fetched),
        TEST(a_name_of_a_host_is_looked_up),
        TEST(a_missing_page_is_a_success_with_its_code),
        TEST(a_connection_is_used_again),
        TEST(a_hundred_transfers_share_one_connection_of_http_2),
        TEST(a_hundred_transfers_use_six_connections_of_http_1_1),
        TEST(connections_stay_open_after_many_transfers),
        TEST(a_transfer_does_not_wait_for_another_one_without_tls),
        TEST(the_number_of_connections_can_be_changed),
        TEST(the_private_pointer_of_the_user_is_kept),
        TEST(one_deadline_ends_all_over_http_2),
        TEST(one_deadline_ends_all_over_http_1_1),
        TEST(a_cancel_in_the_middle_of_many_over_http_2),
        TEST(a_cancel_in_the_middle_of_many_over_http_1_1),
        TEST(a_cancelled_transfer_makes_room_for_one_that_waits),
        TEST(a_transfer_can_be_cancelled_at_each_step),
        TEST(a_cancel_does_not_wait_for_a_look_up),
        TEST(a_task_that_is_cancelled_ends_its_transfer),
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
    int result;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return 1;
    result = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return result;
}
