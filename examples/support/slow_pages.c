/* Three slow pages, for programs that show how pages are fetched. */

#include "slow_pages.h"

#include <string.h>

enum { PIECES = 20, PIECE_MAX = 4096 };

/* Bytes of each piece of a page; at most PIECE_MAX. */
static const size_t piece_sizes[SLOW_PAGES] = {1000, 2000, 4000};

/* Sends the page in pieces, the last of them after one second. */
static ssize_t send_page(struct httpd_request *request, void *arg)
{
    size_t size = *(const size_t *) arg;
    char piece[PIECE_MAX];
    int64_t start_ns = aloop_now(request->loop);
    ssize_t status =
        httpd_begin(request, 200, "text/plain", PIECES * (int64_t) size);

    memset(piece, '.', sizeof piece);
    piece[size - 1] = '\n';
    for (int i = 1; i <= PIECES && status >= 0; i++) {
        status = aloop_await(aloop_sleep_until(
            request->loop, start_ns + i * ALOOP_SEC(1) / PIECES));
        if (status >= 0)
            status = httpd_write(request, piece, size);
    }
    return status;
}

static const struct httpd_route routes[SLOW_PAGES] = {
    {"GET", "/one", send_page, (void *) &piece_sizes[0]},
    {"GET", "/two", send_page, (void *) &piece_sizes[1]},
    {"GET", "/three", send_page, (void *) &piece_sizes[2]},
};

const char *slow_pages_path(size_t index)
{
    return index < SLOW_PAGES ? routes[index].path : "/";
}

int slow_pages_start(aloop *loop, struct httpd **ret_httpd)
{
    struct httpd_options options = {.routes = routes,
                                    .routes_count = SLOW_PAGES};

    return httpd_start(loop, "127.0.0.1", "0", &options, ret_httpd);
}
