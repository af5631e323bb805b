/* Fetches pages over HTTP, all at once, and reports on them in order.
 *
 *     usage: scrape [-n LIMIT] [-t SECONDS] [-m MIB] [URL...]
 *
 *     -n LIMIT    at most so many pages at a time (default: all)
 *     -t SECONDS  give a page up after so long (default: 30)
 *     -m MIB      give a page up that is larger (default: 16)
 *
 * Each page is a task.  On a terminal each has a line that shows how far it
 * is.  Without a URL, starts a server in the same loop whose three pages take a
 * second each, and fetches those: in one second.
 *
 * Exit status: 0; 1 if a page failed or its status is 400 or more; 2 for wrong
 * usage; 130 after an interrupt, which ends everything cleanly (a second one
 * ends it at once).
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/http_error.h"
#include "support/http_get.h"
#include "support/http_server.h"
#include "support/options.h"
#include "support/progress.h"

enum { REDIRECTS_MAX = 5, HEAD_MAX = 64 * 1024, EXIT_INTERRUPTED = 130 };

enum page_state { PAGE_WAITING, PAGE_ACTIVE, PAGE_ENDED };

struct page {
    struct scrape *scrape;
    const char *url;
    enum page_state state;
    ssize_t status;    /* Once it has ended: 0, or an error. */
    uint64_t received; /* Bytes; see http_progress_cb. */
    int64_t total;
    int64_t duration_ns;
    struct http_reply reply;
};

struct scrape {
    aloop *loop;
    size_t limit;
    int64_t deadline_ns;
    uint64_t body_max;
    char **urls; /* `count` of them, from the command line. */
    struct page *pages;
    size_t count;
    size_t reported; /* Pages before this one have been printed. */
    struct progress progress;
    aloop_future *work; /* The fetching of all pages, while it is awaited. */
    bool is_interrupted;
};

static bool is_good(const struct page *page)
{
    return page->state == PAGE_ENDED && page->status == 0
        && page->reply.status < 400;
}

static void print_page(const struct page *page)
{
    if (page->status < 0)
        printf("%s: %s\n", page->url, http_strerror(page->status));
    else
        printf("%s: %d, %llu bytes in %.2f s\n", page->url, page->reply.status,
               (unsigned long long) page->reply.size,
               (double) page->duration_ns / 1e9);
}

static void draw(struct scrape *scrape)
{
    progress_begin(&scrape->progress);
    for (size_t i = scrape->reported; i < scrape->count; i++) {
        const struct page *page = &scrape->pages[i];

        if (page->state == PAGE_ACTIVE)
            progress_line(&scrape->progress, page->url, page->received,
                          page->total);
    }
    progress_end(&scrape->progress);
}

/* Prints the pages whose turn it is: those behind one that is still on its way
 * have to wait. */
static void report(struct scrape *scrape)
{
    size_t count = scrape->count;

    if (scrape->is_interrupted || scrape->reported == count
        || scrape->pages[scrape->reported].state != PAGE_ENDED)
        return;
    progress_clear(&scrape->progress);
    while (scrape->reported < count
           && scrape->pages[scrape->reported].state == PAGE_ENDED)
        print_page(&scrape->pages[scrape->reported++]);
    draw(scrape);
    fflush(stdout);
}

static void on_progress(uint64_t received, int64_t total, void *arg)
{
    struct page *page = arg;

    page->received = received;
    page->total = total;
}

/* One page.  What becomes of it is written down, so that one failure does not
 * end the others. */
static ssize_t fetch_page(aloop *loop, void *arg)
{
    struct page *page = arg;
    struct scrape *scrape = page->scrape;
    struct http_get get = {
        .url = page->url,
        .head_max = HEAD_MAX,
        .body_max = scrape->body_max,
        .redirects_max = REDIRECTS_MAX,
        .on_progress = on_progress,
        .arg = page,
    };
    int64_t start_ns = aloop_now(loop);
    aloop_deadline *deadline = aloop_deadline_begin(loop, scrape->deadline_ns);

    page->state = PAGE_ACTIVE;
    page->total = -1;
    page->status = deadline == NULL ? ALOOP_ENOMEM
                                    : http_get(loop, &get, &page->reply);
    aloop_deadline_end(deadline);
    page->state = PAGE_ENDED;
    page->duration_ns = aloop_now(loop) - start_ns;
    report(scrape);
    return 0;
}

static void on_redraw(aloop_timer *timer, void *arg)
{
    (void) timer;
    draw(arg);
}

/* Closing the watch puts the signal's default back: a second one kills. */
static void on_interrupt(aloop_signal *watch, int number, void *arg)
{
    struct scrape *scrape = arg;

    (void) number;
    aloop_signal_close(watch);
    scrape->is_interrupted = true;
    aloop_cancel(scrape->work);
}

/* Waits for all pages; the watch is gone afterwards.  Nobody else holds the
 * work, so that even a wait that is cut short returns when all has ended. */
static ssize_t fetch_pages(struct scrape *scrape)
{
    aloop_signal *watch;
    ssize_t status = aloop_signal_start(scrape->loop, SIGINT, on_interrupt,
                                        scrape, &watch);

    if (status < 0)
        return status;
    scrape->work = aloop_map(scrape->loop, fetch_page, scrape->pages,
                             scrape->count, sizeof *scrape->pages,
                             scrape->limit);
    status = aloop_await(scrape->work);
    if (scrape->is_interrupted)
        return 0;
    aloop_signal_close(watch);
    return status;
}

/* The last line, and what of the pages is still unsaid. */
static int finish(struct scrape *scrape, int64_t duration_ns)
{
    uint64_t bytes = 0;
    size_t good = 0;

    progress_clear(&scrape->progress);
    for (size_t i = 0; i < scrape->count; i++) {
        const struct page *page = &scrape->pages[i];

        if (i >= scrape->reported && page->state == PAGE_ENDED
            && page->status != ALOOP_ECANCELED)
            print_page(page);
        if (is_good(page)) {
            bytes += page->reply.size;
            good++;
        }
    }
    printf("%s%zu of %zu pages, %llu bytes in %.2f s\n",
           scrape->is_interrupted ? "interrupted: " : "", good, scrape->count,
           (unsigned long long) bytes, (double) duration_ns / 1e9);
    if (scrape->is_interrupted)
        return EXIT_INTERRUPTED;
    return good < scrape->count;
}

static ssize_t run(struct scrape *scrape)
{
    int64_t start_ns = aloop_now(scrape->loop);
    aloop_timer *redraw = NULL;
    ssize_t status = 0;

    progress_init(&scrape->progress, stdout);
    if (scrape->progress.is_live)
        status = aloop_timer_start(scrape->loop, ALOOP_MS(100), ALOOP_MS(100),
                                   on_redraw, scrape, &redraw);
    if (status == 0)
        status = fetch_pages(scrape);
    aloop_timer_close(redraw);
    if (status < 0) {
        progress_clear(&scrape->progress);
        return status;
    }
    return finish(scrape, aloop_now(scrape->loop) - start_ns);
}

/* The three pages of our own server. */
static ssize_t run_demo(struct scrape *scrape)
{
    struct page pages[HTTP_SERVER_PAGES] = {0};
    char urls[HTTP_SERVER_PAGES][64];
    aloop_listener *listener;
    ssize_t status = http_server_start(scrape->loop, &listener);

    if (status < 0)
        return status;
    for (size_t i = 0; i < HTTP_SERVER_PAGES; i++) {
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%d%s",
                 aloop_listener_port(listener), http_server_path(i));
        pages[i].scrape = scrape;
        pages[i].url = urls[i];
    }
    scrape->pages = pages;
    scrape->count = HTTP_SERVER_PAGES;
    status = run(scrape);
    aloop_listener_close(listener);
    return status;
}

/* The pages that were asked for. */
static ssize_t run_urls(struct scrape *scrape)
{
    ssize_t status;

    scrape->pages = calloc(scrape->count, sizeof *scrape->pages);
    if (scrape->pages == NULL)
        return ALOOP_ENOMEM;
    for (size_t i = 0; i < scrape->count; i++) {
        scrape->pages[i].scrape = scrape;
        scrape->pages[i].url = scrape->urls[i];
    }
    status = run(scrape);
    free(scrape->pages);
    return status;
}

/* Returns the exit status, or an error. */
static ssize_t amain(aloop *loop, void *arg)
{
    struct scrape *scrape = arg;

    scrape->loop = loop;
    return scrape->count > 0 ? run_urls(scrape) : run_demo(scrape);
}

/* Returns 0, the exit status of wrong usage, or -1 after helping. */
static int parse_options(int argc, char **argv, struct scrape *scrape)
{
    static const char usage[] =
        "usage: scrape [-n LIMIT] [-t SECONDS] [-m MIB] [URL...]\n"
        "  -n LIMIT    at most so many pages at a time (default: all)\n"
        "  -t SECONDS  give a page up after so long (default: 30)\n"
        "  -m MIB      give a page up that is larger (default: 16)\n"
        "Without a URL, fetches three slow pages from a server of its own.\n";
    uint64_t limit = 0, mib = 16;
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help
           && (option = getopt(argc, argv, "n:t:m:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else
            is_valid = option == 'n' ? option_number("-n", optarg, 1, 10000,
                                                     &limit)
                     : option == 't' ? option_seconds("-t", optarg,
                                                      &scrape->deadline_ns)
                     : option == 'm' ? option_number("-m", optarg, 1, 65536,
                                                     &mib)
                                     : false;
    }
    if (is_help || !is_valid) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    scrape->limit = (size_t) limit;
    scrape->body_max = mib * 1024 * 1024;
    scrape->urls = argv + optind;
    scrape->count = (size_t) (argc - optind);
    return 0;
}

int main(int argc, char **argv)
{
    struct scrape scrape = {.deadline_ns = ALOOP_SEC(30)};
    ssize_t status = parse_options(argc, argv, &scrape);

    if (status != 0)
        return status < 0 ? 0 : (int) status;
    status = aloop_main(amain, &scrape);
    if (status < 0)
        fprintf(stderr, "scrape: %s\n", aloop_strerror((int) status));
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("scrape: cannot write the results\n", stderr);
        return 1;
    }
    return status < 0 ? 1 : (int) status;
}
