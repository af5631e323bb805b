/* For tests of the bridge to libcurl: a loop with a client, and transfers.  The
 * server is that of programs/nginx.sh. */

#ifndef CURL_FIXTURE_H
#define CURL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "bridges/curl_client.h"
#include "support/child.h"

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

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    f.client = curl_client_new(f.loop);
    return f.client == NULL ? -1 : 0;
}

static inline int tear_down(void **state)
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

static inline size_t page_write(char *data, size_t size, size_t count,
                                void *arg)
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
static inline void open_page(struct page *page, const char *server,
                             const char *path)
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

static inline aloop_future *begin(struct page *page, const char *server,
                                  const char *path)
{
    open_page(page, server, path);
    page->future = curl_fetch(f.client, page->easy);
    return page->future;
}

/* Begins transfers of one path, and gathers them. */
static inline aloop_future *begin_many(const char *server, const char *path)
{
    aloop_future *futures[MANY];

    for (int i = 0; i < MANY; i++)
        futures[i] = begin(&f.pages[i], server, path);
    return aloop_gather_array(f.loop, MANY, futures);
}

/* Expects that nothing is watched or waited for, and that the client works. */
static inline void assert_quiet(void)
{
    struct page page = {0};

    assert_false(aloop_alive(f.loop));
    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(aloop_await(begin(&page, "NGINX_HTTP2", "/page")), 0);
    assert_int_equal(page.size, PAGE_SIZE);
    curl_easy_cleanup(page.easy);
    assert_false(aloop_alive(f.loop));
}

static inline int clean_up(void **state)
{
    (void) state;
    curl_global_cleanup();
    return 0;
}

/* Runs an array of tests. */
#define RUN_TESTS(tests) \
    (curl_global_init(CURL_GLOBAL_DEFAULT) == 0 \
         ? cmocka_run_group_tests(tests, NULL, clean_up) \
         : 1)

#endif
