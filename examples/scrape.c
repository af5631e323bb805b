/* Fetches pages over HTTP, many at a time, and reports on them in order.
 *
 *     usage: scrape [-i FILE] [-n LIMIT] [-t SECONDS] [-m MIB] [-o DIR] [-u]
 *                   [--json] [URL...]
 *
 *     -i FILE     fetch also the URLs of FILE, one on each line; - is standard
 *                 input
 *     -n LIMIT    maximum number of pages at a time (default: 100)
 *     -t SECONDS  time limit for each page (default: 30)
 *     -m MIB      size limit of each page (default: 16)
 *     -o DIR      save the pages in DIR, which is made if necessary
 *     -u          report on each page as soon as it has ended
 *     -j, --json  report as JSON, one object on each line
 *
 * Each page is fetched by a task, and all of them over one session, which keeps
 * the connections.  On a terminal, each page has a line that shows its
 * progress.  Without a URL, the program starts a server in the same loop.  Its
 * three pages take a second each, and all three are fetched in one second.
 *
 * URLs with https:// work where OpenSSL was found when the program was built.
 *
 * A saved page is called NUMBER-HOST-PATH, with "-" for each character that has
 * a meaning in paths.  It replaces a file of this name when it is complete, and
 * is called NAME.part before.  It is an error if NAME.part is a symbolic link.
 * The body of an answer whose status is 400 or more is no page and not saved.
 *
 * If the results cannot be written, everything ends in the same way as after a
 * signal.
 *
 * Exit status: 0; 1 if a page failed or its status is 400 or more; 2 for wrong
 * usage; 130 after SIGINT or SIGTERM.  The first signal ends everything cleanly
 * and reports the pages that were fetched.  A second one ends the program
 * immediately.
 */

#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* For O_NOFOLLOW. */
#define _NETBSD_SOURCE

#include <aloop.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/http_session.h"
#include "support/options.h"
#include "support/process.h"
#include "support/progress.h"
#include "support/slow_pages.h"

#ifdef WITH_TLS
#include "bridges/https.h"
#else /* https:// is an error. */
#define https_begin(options) ((void) (options), 0)
#define https_end(options) ((void) (options))
#endif

enum {
    FAILURE_MIN = 400, /* The least status of an answer that is no page. */
    REDIRECTS_MAX = 5,
    PATH_SIZE = 1024,
    SAVE_SIZE = 16 * 1024 /* Bytes of one read of a page that is saved. */
};

enum page_state { PAGE_WAITING, PAGE_ACTIVE, PAGE_ENDED };

struct page {
    struct scrape *scrape;
    const char *url;
    ssize_t status;    /* 0 or an error, once the page has ended. */
    const char *words; /* For the error. */
    uint64_t received; /* Bytes. */
    int64_t total;     /* -1 if it is unknown. */
    int64_t duration_ns;
    enum page_state state;
    enum http_step step; /* Where it has failed. */
    int code;            /* 200, 404, ... */
    bool is_reported;
    bool is_saving; /* The error is one of its file. */
};

struct scrape {
    aloop *loop;
    http_session *session;
    const char *directory; /* For the pages, or NULL. */
    size_t limit;
    int64_t deadline_ns;
    uint64_t body_max;
    bool is_unordered;
    bool is_json;
    bool is_flushing;       /* At the end of the turn. */
    aloop_future *fetching; /* All pages, or NULL. */
    char **urls;            /* `count` of them, those of -i first. */
    const char *list;       /* The file of -i, or NULL. */
    size_t listed; /* How many are of -i, and have memory of their own. */
    struct page *pages;
    size_t count;
    size_t first; /* The first page that has not been reported. */
    struct progress progress;
};

static bool is_good(const struct page *page)
{
    return page->state == PAGE_ENDED && page->status == 0 &&
           page->code < FAILURE_MIN;
}

static const char *step_of(const struct page *page)
{
    return page->is_saving ? "saving" : http_step_name(page->step);
}

/* Prints a string of JSON.  Bytes beyond ASCII are printed as they are. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if ((unsigned char) *text < ' ' || *text == 0x7f)
            printf("\\u%04x", (unsigned) *text);
        else if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_json(const struct page *page)
{
    fputs("{\"url\": ", stdout);
    print_string(page->url);
    if (page->status < 0) {
        printf(", \"failed\": \"%s\", \"error\": ", step_of(page));
        print_string(page->words);
        puts("}");
    } else {
        printf(", \"status\": %d, \"bytes\": %llu, \"seconds\": %.3f}\n",
               page->code, (unsigned long long) page->received,
               (double) page->duration_ns / 1e9);
    }
}

static void print_page(const struct page *page)
{
    if (page->scrape->is_json)
        print_json(page);
    else if (page->status < 0)
        printf("%s: %s: %s\n", page->url, step_of(page), page->words);
    else
        printf("%s: %d, %llu bytes in %.2f s\n", page->url, page->code,
               (unsigned long long) page->received,
               (double) page->duration_ns / 1e9);
}

/* Pages begin in order, so that those after one that waits are waiting, too. */
static void draw(struct scrape *scrape)
{
    if (!scrape->progress.is_live)
        return;
    progress_begin(&scrape->progress);
    for (size_t i = scrape->first; i < scrape->count; i++) {
        const struct page *page = &scrape->pages[i];

        if (page->state == PAGE_WAITING)
            break;
        if (page->state == PAGE_ACTIVE)
            progress_line(&scrape->progress, page->url, page->received,
                          page->total);
    }
    progress_end(&scrape->progress);
}

/* A page that an interrupt ended has nothing to report. */
static bool can_report(const struct page *page)
{
    return page->state == PAGE_ENDED && !page->is_reported &&
           page->status != ALOOP_ECANCELED;
}

static void report_page(struct page *page)
{
    progress_clear(&page->scrape->progress);
    print_page(page);
    page->is_reported = true;
}

static void flush_output(aloop *loop, void *arg)
{
    struct scrape *scrape = arg;

    (void) loop;
    scrape->is_flushing = false;
    if (fflush(stdout) != 0 || ferror(stdout))
        aloop_cancel(scrape->fetching); /* NULL is allowed. */
}

/* Has the reports of one turn written together. */
static void flush_later(struct scrape *scrape)
{
    if (scrape->is_flushing)
        return;
    scrape->is_flushing = true;
    if (aloop_defer(scrape->loop, flush_output, scrape) < 0)
        flush_output(scrape->loop, scrape);
}

/* Reports a page that has ended.  If pages are reported in order, it waits for
 * all pages before it. */
static void report(struct scrape *scrape, struct page *page)
{
    if (scrape->is_unordered && can_report(page))
        report_page(page);
    while (scrape->first < scrape->count) {
        page = &scrape->pages[scrape->first];
        if (can_report(page))
            report_page(page);
        if (!page->is_reported)
            break;
        scrape->first++;
    }
    if (!scrape->progress.is_drawn)
        draw(scrape);
    flush_later(scrape);
}

/* Makes the name of a file: "DIR/00001-127.0.0.1-one".  All characters of the
 * URL that could have a meaning in a path are replaced. */
static void name_file(const struct page *page, char *ret_path, size_t size)
{
    const struct scrape *scrape = page->scrape;
    const char *text = strstr(page->url, "://");
    int length = snprintf(ret_path, size, "%s/%05zu-", scrape->directory,
                          (size_t) (page - scrape->pages) + 1);

    text = text != NULL ? text + 3 : page->url;
    for (int i = 0; i < 100 && text[i] != '\0'; i++) {
        char c = text[i];
        bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '.' || c == '_';

        if (!is_safe)
            c = '-';
        if (length >= 0 && (size_t) length + 6 < size)
            ret_path[length++] = c;
    }
    ret_path[length] = '\0';
}

/* Reads the body, and writes it to the file if there is one. */
static ssize_t receive(struct page *page, struct http_reply *reply,
                       aloop_file *file, char *buffer, size_t size)
{
    ssize_t n;

    page->total = reply->length;
    while ((n = http_read(reply, buffer, size)) > 0) {
        page->received += (uint64_t) n;
        if (file == NULL)
            continue;
        n = aloop_await(aloop_file_write(file, buffer, (size_t) n));
        page->is_saving = n < 0;
        if (n < 0)
            break;
    }
    return n;
}

/* Gives a complete file its name, and removes any other.  It is not
 * interrupted. */
static ssize_t end_file(aloop *loop, const char *part, const char *path,
                        bool is_complete)
{
    ssize_t status = 0;

    aloop_shield_begin();
    if (is_complete)
        status = aloop_await(aloop_fs_rename(loop, part, path));
    if (!is_complete || status < 0)
        aloop_await(aloop_fs_unlink(loop, part));
    aloop_shield_end();
    return status;
}

static ssize_t save(struct page *page, struct http_reply *reply)
{
    aloop *loop = page->scrape->loop;
    char path[PATH_SIZE], part[PATH_SIZE + 8];
    char *buffer = malloc(SAVE_SIZE);
    aloop_file *file;
    ssize_t status, saved;

    name_file(page, path, sizeof path);
    snprintf(part, sizeof part, "%s.part", path);
    saved = buffer == NULL
                ? ALOOP_ENOMEM
                : aloop_await(aloop_file_open(
                      loop, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW,
                      0666, &file));
    page->is_saving = saved < 0;
    if (saved < 0) {
        free(buffer);
        return saved;
    }
    status = receive(page, reply, file, buffer, SAVE_SIZE);
    free(buffer);
    aloop_file_close(file);
    saved = end_file(loop, part, path, status == 0);
    page->is_saving = page->is_saving || saved < 0;
    return status < 0 ? status : saved;
}

/* Reads the body of a page that is not saved.  Each page of memory on the stack
 * counts for each task. */
static ssize_t drop_body(struct page *page, struct http_reply *reply)
{
    char buffer[2048];

    return receive(page, reply, NULL, buffer, sizeof buffer);
}

static ssize_t fetch(struct page *page)
{
    struct scrape *scrape = page->scrape;
    struct http_request request = {.url = page->url,
                                   .redirects_max = REDIRECTS_MAX,
                                   .body_max = scrape->body_max};
    struct http_reply reply;
    ssize_t status = http_open(scrape->session, &request, &reply);

    if (status == 0) {
        page->code = reply.status;
        status = scrape->directory != NULL && reply.status < FAILURE_MIN
                     ? save(page, &reply)
                     : drop_body(page, &reply);
        http_close(&reply);
    }
    page->step = reply.step;
    page->words = http_error(&reply, status);
    return status;
}

/* Fetches one page.  The task stores its status in the page and returns 0,
 * because a failed task would end the others. */
static ssize_t fetch_page(aloop *loop, void *arg)
{
    struct page *page = arg;
    struct scrape *scrape = page->scrape;
    int64_t start_ns = aloop_now(loop);
    aloop_deadline *deadline = aloop_deadline_begin(loop, scrape->deadline_ns);

    page->state = PAGE_ACTIVE;
    page->total = -1;
    page->words = http_strerror(ALOOP_ENOMEM);
    page->status = deadline == NULL ? ALOOP_ENOMEM : fetch(page);
    aloop_deadline_end(deadline);
    page->state = PAGE_ENDED;
    page->duration_ns = aloop_now(loop) - start_ns;
    report(scrape, page);
    return 0;
}

static void on_redraw(aloop_timer *timer, void *arg)
{
    (void) timer;
    draw(arg);
}

/* Prints the pages that have not been reported, and the last line.  Returns the
 * exit status, or an error. */
static ssize_t finish(struct scrape *scrape, int64_t duration_ns)
{
    bool is_interrupted = aloop_is_cancelled();
    uint64_t bytes = 0;
    size_t good = 0;

    progress_clear(&scrape->progress);
    for (size_t i = 0; i < scrape->count; i++) {
        struct page *page = &scrape->pages[i];

        if (can_report(page))
            report_page(page);
        if (is_good(page)) {
            bytes += page->received;
            good++;
        }
    }
    fprintf(scrape->is_json ? stderr : stdout,
            "%s%zu of %zu pages, %llu bytes in %.2f s\n",
            is_interrupted ? "interrupted: " : "", good, scrape->count,
            (unsigned long long) bytes, (double) duration_ns / 1e9);
    if (is_interrupted)
        return ALOOP_ECANCELED;
    return good < scrape->count;
}

/* Fetches the pages over a session with a connection for each of those that are
 * fetched simultaneously. */
static ssize_t fetch_all(struct scrape *scrape)
{
    struct http_session_options options = {
        .connections_max = scrape->limit,
        .agent = "libaloop-scrape",
    };
    ssize_t status = https_begin(&options);

    if (status < 0)
        return status;
    scrape->session = http_session_new(scrape->loop, &options);
    if (scrape->session != NULL)
        scrape->fetching = aloop_map(scrape->loop, fetch_page, scrape->pages,
                                     scrape->count, sizeof *scrape->pages,
                                     scrape->limit);
    status = aloop_await(scrape->fetching); /* NULL: ALOOP_ENOMEM. */
    scrape->fetching = NULL;
    http_session_free(scrape->session);
    https_end(&options);
    return status;
}

/* Makes the folder of -o.  Returns 0, 1 after a message, or ALOOP_ECANCELED. */
static ssize_t make_directory(struct scrape *scrape)
{
    ssize_t status;

    if (scrape->directory == NULL)
        return 0;
    status =
        aloop_await(aloop_fs_mkdir_all(scrape->loop, scrape->directory, 0777));
    if (status >= 0 || status == ALOOP_ECANCELED)
        return status < 0 ? status : 0;
    fprintf(stderr, "scrape: -o: %s: %s\n", scrape->directory,
            aloop_strerror(status));
    return 1;
}

static ssize_t run(struct scrape *scrape)
{
    int64_t start_ns = aloop_now(scrape->loop);
    aloop_timer *redraw = NULL;
    ssize_t status = make_directory(scrape);

    if (status != 0)
        return status;
    progress_init(&scrape->progress, stdout);
    if (scrape->progress.is_live)
        status = aloop_timer_start(scrape->loop, ALOOP_MS(100), ALOOP_MS(100),
                                   on_redraw, scrape, &redraw);
    if (status >= 0)
        status = fetch_all(scrape);
    aloop_timer_close(redraw);
    if (status < 0 && status != ALOOP_ECANCELED) {
        progress_clear(&scrape->progress);
        return status;
    }
    return finish(scrape, aloop_now(scrape->loop) - start_ns);
}

/* Fetches the three pages of the program's own server. */
static ssize_t run_demo(struct scrape *scrape)
{
    struct page pages[SLOW_PAGES] = {0};
    char urls[SLOW_PAGES][64];
    struct httpd *httpd;
    ssize_t status = slow_pages_start(scrape->loop, &httpd);

    if (status < 0)
        return status;
    for (size_t i = 0; i < SLOW_PAGES; i++) {
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%d%s",
                 httpd_port(httpd), slow_pages_path(i));
        pages[i].scrape = scrape;
        pages[i].url = urls[i];
    }
    scrape->pages = pages;
    scrape->count = SLOW_PAGES;
    status = run(scrape);
    (void) httpd_stop(httpd, 0);
    return status;
}

/* Fetches the pages of the command line. */
static ssize_t run_urls(struct scrape *scrape)
{
    ssize_t status;

    scrape->pages = calloc(scrape->count + 1, sizeof *scrape->pages);
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
    return scrape->count > 0 || scrape->list != NULL ? run_urls(scrape)
                                                     : run_demo(scrape);
}

/* Adds a copy of the URL.  Blank lines are none. */
static bool add_url(struct scrape *scrape, char *line)
{
    char **urls, *url;

    line += strspn(line, " \t\r\n");
    line[strcspn(line, " \t\r\n")] = '\0';
    if (line[0] == '\0')
        return true;
    urls = realloc(scrape->urls, (scrape->listed + 1) * sizeof *urls);
    if (urls == NULL)
        return false;
    scrape->urls = urls;
    url = strdup(line);
    if (url != NULL)
        urls[scrape->listed++] = url;
    return url != NULL;
}

/* Reads the file of -i.  The loop does not run yet. */
static bool read_list(struct scrape *scrape)
{
    const char *path = scrape->list;
    bool is_input = strcmp(path, "-") == 0, is_complete = true;
    FILE *file = is_input ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t room = 0;

    while (file != NULL && is_complete && getline(&line, &room, file) >= 0)
        is_complete = add_url(scrape, line);
    if (file == NULL || !is_complete || ferror(file)) {
        is_complete = false;
        fprintf(stderr, "scrape: -i: %s: %s\n", path, strerror(errno));
    }
    free(line);
    if (file != NULL && !is_input)
        fclose(file);
    return is_complete;
}

/* Adds the URLs of the command line. */
static bool add_arguments(struct scrape *scrape, int count, char **arguments)
{
    char **urls;

    scrape->count = scrape->listed + (size_t) count;
    if (scrape->count == 0)
        return true;
    urls = realloc(scrape->urls, scrape->count * sizeof *urls);
    if (urls == NULL)
        return false;
    for (int i = 0; i < count; i++)
        urls[scrape->listed + (size_t) i] = arguments[i];
    scrape->urls = urls;
    return true;
}

static void free_urls(struct scrape *scrape)
{
    for (size_t i = 0; i < scrape->listed; i++)
        free(scrape->urls[i]);
    free(scrape->urls);
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv, struct scrape *scrape)
{
    static const char usage[] =
        "usage: scrape [-i FILE] [-n LIMIT] [-t SECONDS] [-m MIB] [-o DIR] [-u]"
        " [--json] [URL...]\n"
        "  -i FILE     fetch also the URLs of FILE, one on each line; - is"
        " standard input\n"
        "  -n LIMIT    maximum number of pages at a time (default: 100)\n"
        "  -t SECONDS  time limit for each page (default: 30)\n"
        "  -m MIB      size limit of each page (default: 16)\n"
        "  -o DIR      save the pages in DIR, which is made if necessary\n"
        "  -u          report on each page as soon as it has ended\n"
        "  -j, --json  report as JSON, one object on each line\n"
        "Without a URL, fetches three slow pages from a server of its own.\n";
    uint64_t limit = 100, mib = 16;
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "i:n:t:m:o:ujh-:")) != -1) {
        if (option == '-' && strcmp(optarg, "json") == 0)
            option = 'j'; /* getopt() takes --json as the option "-". */
        if (option == 'h')
            is_help = true;
        else if (option == 'u')
            scrape->is_unordered = true;
        else if (option == 'j')
            scrape->is_json = true;
        else if (option == 'i')
            scrape->list = optarg;
        else if (option == 'o')
            is_valid = option_directory("-o", optarg, &scrape->directory);
        else
            is_valid = option == 'n'
                           ? option_number("-n", optarg, 1, 10000, &limit)
                       : option == 't'
                           ? option_seconds("-t", optarg, &scrape->deadline_ns)
                       : option == 'm'
                           ? option_number("-m", optarg, 1, 65536, &mib)
                           : false;
    }
    if (is_help || !is_valid) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    scrape->limit = (size_t) limit;
    scrape->body_max = mib * 1024 * 1024;
    return 0;
}

/* The URLs of -i, then those of the command line.  Returns 0, or the exit
 * status. */
static int collect_urls(struct scrape *scrape, int count, char **arguments)
{
    return (scrape->list == NULL || read_list(scrape)) &&
                   add_arguments(scrape, count, arguments)
               ? 0
               : 1;
}

int main(int argc, char **argv)
{
    struct scrape scrape = {.deadline_ns = ALOOP_SEC(30)};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv, &scrape);

    (void) signal(SIGPIPE, SIG_IGN); /* Files must not be left incomplete. */
    if (status == 0)
        status = collect_urls(&scrape, argc - optind, argv + optind);
    if (status == 0)
        status = aloop_main_with(amain, &scrape, &options);
    else if (status < 0)
        status = 0; /* The help was printed. */
    free_urls(&scrape);
    return process_end("scrape", status);
}
