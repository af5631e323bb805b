/* Fetches many pages at the same time with libcurl.
 *
 *     usage: curl_fetch [-k] [-C FILE] [-t SECONDS] URL...
 *
 *     -k           accept every certificate
 *     -C FILE      trust the certificates in FILE (PEM), not those of the
 *                  system; also --cacert FILE
 *     -t SECONDS   time limit for all transfers together (default: 30)
 *
 * All transfers run at the same time, over one connection to each host with
 * HTTP/2 and over up to six without.  The pages are counted and thrown away.
 * Prints a line for each URL, in the order of the command line, and then the
 * time; a redirect is not followed.  Errors are printed to standard error.  The
 * limit ends the transfers that are in progress, and the others count.
 *
 * The exit status is 0; 1 if a transfer has failed or its status is 400 or
 * more; 2 for wrong usage; 130 after SIGINT or SIGTERM, and then nothing is
 * printed.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridges/curl_client.h"
#include "support/options.h"
#include "support/plain_text.h"
#include "support/process.h"

enum { HTTP_ERROR = 400 };

struct page {
    const char *url;
    curl_off_t size;
    long code, version;
    ssize_t status;
    char words[CURL_ERROR_SIZE]; /* Why it failed. */
};

static struct page *pages;
static size_t page_count;
static int64_t took_ns;
static curl_client *client;

/* What the command line sets. */
static struct {
    const char *ca_file;
    int64_t limit_ns;
    bool is_unverified;
} settings = {.limit_ns = ALOOP_SEC(30)};

static size_t page_write(char *data, size_t size, size_t count, void *arg)
{
    struct page *page = arg;

    (void) data;
    page->size += (curl_off_t) (size * count);
    return size * count;
}

static CURL *new_handle(struct page *page)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL || curl_easy_setopt(easy, CURLOPT_URL, page->url) != 0) {
        curl_easy_cleanup(easy);
        return NULL;
    }
#if CURL_AT_LEAST_VERSION(7, 85, 0)
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                     (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, page_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, page);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, page->words);
    if (settings.ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings.ca_file);
    if (settings.is_unverified) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return easy;
}

/* Fetches one page.  The task stores a failure and returns 0, because a task
 * that fails would end the others. */
static ssize_t page_fetch(aloop *loop, void *arg)
{
    struct page *page = arg;
    CURL *easy = new_handle(page);

    (void) loop;
    page->status = aloop_await(curl_fetch(client, easy));
    if (page->status == 0) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &page->code);
        curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &page->version);
    }
    curl_easy_cleanup(easy);
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    int64_t start_ns = aloop_now(loop);
    ssize_t status;

    (void) arg;
    client = curl_client_new(loop);
    status =
        aloop_await(aloop_timeout(aloop_map(loop, page_fetch, pages, page_count,
                                            sizeof pages[0], page_count),
                                  settings.limit_ns));
    curl_client_free(client);
    took_ns = aloop_now(loop) - start_ns;
    if (aloop_is_cancelled())
        return ALOOP_ECANCELED;
    return status == ALOOP_ETIMEDOUT ? 0 : status;
}

/* Prints the words of libcurl, which may contain those of a server. */
static void complain(const char *url, const char *words)
{
    fprintf(stderr, "curl_fetch: %s: ", url);
    print_plain(stderr, words, strlen(words));
    putc('\n', stderr);
}

/* Prints one page, or why there is none.  Returns whether there is one. */
static bool report(const struct page *page)
{
    if (page->status == 0) {
        printf("%s: status %ld, %" CURL_FORMAT_CURL_OFF_T " bytes, HTTP/%s\n",
               page->url, page->code, page->size,
               page->version == CURL_HTTP_VERSION_2_0   ? "2"
               : page->version == CURL_HTTP_VERSION_1_0 ? "1.0"
                                                        : "1.1");
        return page->code < HTTP_ERROR;
    }
    /* It is the limit that has cancelled a transfer; see page_fetch(). */
    complain(page->url,
             page->status == ALOOP_ECANCELED ? aloop_strerror(ALOOP_ETIMEDOUT)
             : page->words[0] != '\0'        ? page->words
                                             : curl_client_error(page->status));
    return false;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: curl_fetch [-k] [-C FILE] [-t SECONDS] URL...\n"
        "  -k           accept every certificate\n"
        "  -C FILE      trust the certificates in FILE (PEM), not those of the"
        " system;\n"
        "               also --cacert FILE\n"
        "  -t SECONDS   time limit for all transfers together (default: 30)\n";
    static char ca_option[] = "-C";
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--cacert") == 0)
            argv[i] = ca_option;
    }
    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "kC:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'k')
            settings.is_unverified = true;
        else if (option == 'C')
            settings.ca_file = optarg;
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &settings.limit_ns);
    }
    if (is_help || !is_valid || optind == argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    page_count = (size_t) (argc - optind);
    pages = calloc(page_count, sizeof *pages);
    for (size_t i = 0; pages != NULL && i < page_count; i++)
        pages[i].url = argv[(size_t) optind + i];
    return 0;
}

/* Returns the exit status. */
static int report_all(void)
{
    curl_off_t size = 0;
    size_t good = 0;

    for (size_t i = 0; i < page_count; i++) {
        good += report(&pages[i]);
        size += pages[i].size;
    }
    printf("%zu of %zu pages, %" CURL_FORMAT_CURL_OFF_T " bytes in %.2f s\n",
           good, page_count, size, (double) took_ns / 1e9);
    return good != page_count;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("curl_fetch", status < 0 ? 0 : status);
    status = pages == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0
                 ? ALOOP_ENOMEM
                 : aloop_main_with(amain, NULL, &options);
    if (status >= 0)
        status = report_all();
    curl_global_cleanup();
    free(pages);
    return process_end("curl_fetch", status);
}
