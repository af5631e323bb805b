/* The bridge to libcurl, against nginx: transfers that succeed, and transfers
 * that end early. */

#define _GNU_SOURCE /* RTLD_NEXT. */

#include "bridges/curl_fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/patient.h"

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

static long info(const struct page *page, CURLINFO what)
{
    long number = -1;

    curl_easy_getinfo(page->easy, what, &number);
    return number;
}

static long connections_of_all(void)
{
    long count = 0;

    for (int i = 0; i < MANY; i++)
        count += info(&f.pages[i], CURLINFO_NUM_CONNECTS);
    return count;
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

/* The limit of kept connections has to follow, or each transfer that ends would
 * close a connection. */
static void connections_stay_open_if_more_than_a_hundred_are_used(void **state)
{
    enum { COUNT = 150, ROUNDS = 4 };
    static struct page pages[COUNT];
    aloop_future *futures[COUNT];
    long connects = 0;

    (void) state;
    curl_multi_setopt(curl_client_multi(f.client),
                      CURLMOPT_MAX_HOST_CONNECTIONS, (long) COUNT);

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            futures[i] = begin(&pages[i], "NGINX_PLAIN", "/page");
        assert_int_equal(
            aloop_await(aloop_gather_array(f.loop, COUNT, futures)), 0);
        for (int i = 0; i < COUNT; i++) {
            long count = 0;

            curl_easy_getinfo(pages[i].easy, CURLINFO_NUM_CONNECTS, &count);
            connects += count;
            curl_easy_cleanup(pages[i].easy);
        }
    }

    assert_in_range(connects, 101, COUNT);
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
        TEST(connections_stay_open_if_more_than_a_hundred_are_used),
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
    };

    return RUN_TESTS(tests);
}
