/* Fetches pages of one server over one connection of HTTP/2.
 *
 *     usage: http2_get [-kv] [-C FILE] [-d DATA] [-H FIELD] [-m STREAMS]
 *                      [-n COUNT] [-o DIR] [-t SECONDS] URL [URL|PATH]...
 *
 *     -C FILE     trust the certificates in FILE (PEM), not those of the system
 *     -d DATA     send DATA with each request (POST)
 *     -H FIELD    send a header field, such as "accept: text/html", with each
 *                 request; may be repeated
 *     -k          accept every certificate
 *     -m STREAMS  requests at a time (default: 100)
 *     -n COUNT    make COUNT requests, for each page in turn, and drop the
 *                 bodies
 *     -o DIR      save the pages in DIR, which is made if necessary
 *     -t SECONDS  time limit for everything together (default: 30)
 *     -v          print status, size and path of each page to standard error
 *
 * All URLs have the same scheme, host and port, and a PATH begins with a slash.
 * The bodies are printed in the order of the URLs, or saved as NUMBER-PATH,
 * with "-" for each character that has a meaning in paths.  With -n or -o a
 * line at the end shows how many there were.
 *
 * The server of http:// has to speak HTTP/2 immediately (prior knowledge); that
 * of https:// agrees on it in the handshake of TLS, and is available where
 * OpenSSL was found when the program was built.  If the server ends the
 * connection and has not processed some of the requests, they are repeated on
 * another one.
 *
 * Exit status: 0; 1 if a page failed or its status is 400 or more; 2 for wrong
 * usage; 130 after SIGINT or SIGTERM.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridges/http2.h"
#include "support/options.h"
#include "support/process.h"
#include "support/url.h"

#ifdef WITH_TLS
#include "bridges/tls.h"
#endif

enum {
    PAGES_MAX = 1000000,
    TRIES_MAX = 3 /* Of a request that makes no progress. */
};

/* What the command line sets. */
static struct {
    char **targets; /* Paths with queries. */
    size_t target_count;
    uint64_t count; /* 0: one request for each target. */
    uint64_t streams;
    const char *directory, *ca_file, *data;
    struct http2_field fields[HTTP2_FIELDS_MAX];
    size_t field_count;
    int64_t limit_ns;
    bool is_unverified, is_verbose;
} settings = {.limit_ns = ALOOP_SEC(30), .streams = HTTP2_STREAMS_MAX};

static struct url origin;
static char authority[300];

struct page {
    const char *target;
    struct http2_request request;
    struct http2_answer answer;
    size_t size; /* Of the body. */
    ssize_t status;
    const char *words; /* For an error. */
};

static struct page *pages;
static size_t page_count;
static size_t printed; /* Pages whose bodies were printed, in order. */
static int64_t took_ns;

/* The connection, which is replaced when the server ends it. */

struct link {
    http2 *http2;
    size_t users; /* It is freed when there are none, and it is not current. */
};

static struct {
    aloop_mutex *mutex; /* Held by the task that connects. */
    struct link *link;  /* The current one, or NULL. */
    ssize_t error;      /* No connection can be made. */
} session;

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "http2_get: %s: %s\n", what, why);
}

#ifdef WITH_TLS

static SSL_CTX *context; /* NULL for http:// */

/* Returns 0 after printing why. */
static int make_context(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (context != NULL && tls_set_alpn(context, TLS_ALPN_H2) == 0 &&
        (settings.ca_file == NULL
             ? SSL_CTX_set_default_verify_paths(context)
             : SSL_CTX_load_verify_file(context, settings.ca_file)))
        return 1;
    complain(settings.ca_file == NULL ? "the system" : settings.ca_file,
             "cannot read the certificates");
    return 0;
}

static void free_context(void)
{
    SSL_CTX_free(context);
}

static ssize_t secure(aloop_stream *stream)
{
    tls_client client = {.host = origin.host,
                         .is_unverified = settings.is_unverified};
    const unsigned char *name;
    unsigned size = 0;
    SSL *ssl;
    ssize_t status = aloop_await(tls_start(stream, context, &client, &ssl));

    if (status == 0)
        SSL_get0_alpn_selected(ssl, &name, &size);
    if (status == 0 && (size != 2 || memcmp(name, "h2", 2) != 0)) {
        complain(authority, "the server does not offer HTTP/2");
        return ALOOP_EPROTO;
    }
    if (status < 0 && status != ALOOP_ECANCELED)
        complain(authority, tls_error(ssl, status));
    return status;
}

#else

static int make_context(void)
{
    complain("https://", "this program was built without OpenSSL");
    return 0;
}

static void free_context(void)
{
}

static ssize_t secure(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_ENOTSUP;
}

#endif

static void link_release(struct link *link)
{
    if (--link->users > 0)
        return;
    http2_close(link->http2);
    free(link);
}

/* Makes the current connection.  The reason of an error is printed. */
static ssize_t link_open(aloop *loop)
{
    http2_options options = {.authority = authority,
                             .is_secure = origin.is_secure,
                             .streams_max = (size_t) settings.streams};
    struct link *link = calloc(1, sizeof *link);
    aloop_stream *stream;
    ssize_t status;

    if (link == NULL)
        return ALOOP_ENOMEM;
    status =
        aloop_await(aloop_tcp_connect(loop, origin.host, origin.port, &stream));
    if (status < 0 && status != ALOOP_ECANCELED)
        complain(authority, aloop_strerror((int) status));
    if (status == 0 && origin.is_secure && (status = secure(stream)) < 0)
        aloop_stream_abort(stream);
    if (status == 0)
        status = http2_start(loop, stream, &options, &link->http2);
    if (status < 0) {
        free(link);
        return status;
    }
    link->users = 1;
    session.link = link;
    return 0;
}

/* Returns the current connection if it can make requests, or NULL. */
static struct link *link_current(void)
{
    return session.link != NULL && http2_status(session.link->http2) == 0
               ? session.link
               : NULL;
}

/* Replaces the current connection, unless another task has done so while this
 * one has waited for its turn. */
static ssize_t link_renew(aloop *loop)
{
    ssize_t status = aloop_await(aloop_mutex_lock(session.mutex));

    if (status < 0)
        return status;
    if (link_current() == NULL && session.link != NULL) {
        link_release(session.link);
        session.link = NULL;
    }
    if (session.link == NULL && session.error == 0)
        session.error = link_open(loop);
    (void) aloop_mutex_unlock(session.mutex);
    return session.error;
}

/* Gives the caller a connection that can make requests.  A mutex is passed on
 * once in a turn, so that it is left out if there is such a connection: the
 * requests of a turn leave together. */
static ssize_t link_acquire(aloop *loop, struct link **ret)
{
    ssize_t status = link_current() != NULL ? 0 : link_renew(loop);

    if (status < 0 || session.link == NULL)
        return status;
    session.link->users++;
    *ret = session.link;
    return 0;
}

/* The pages. */

static ssize_t count_body(struct http2_answer *answer, const void *data,
                          size_t size, void *arg)
{
    struct page *page = arg;

    (void) answer;
    (void) data;
    page->size += size;
    return (ssize_t) size;
}

/* Makes the name of a file: "DIR/00001-images-logo.png". */
static void name_file(const struct page *page, char *ret_path, size_t size)
{
    int length = snprintf(ret_path, size, "%s/%05zu", settings.directory,
                          (size_t) (page - pages) + 1);
    const char *text = page->target;

    for (int i = 0; i < 100 && text[i] != '\0'; i++) {
        unsigned char c = (unsigned char) text[i];

        if (!isalnum(c) && c != '.' && c != '_')
            c = '-';
        if (length >= 0 && (size_t) length + 1 < size)
            ret_path[length++] = (char) c;
    }
    ret_path[length] = '\0';
}

static ssize_t save(aloop *loop, struct page *page)
{
    char path[1024];
    ssize_t status;

    name_file(page, path, sizeof path);
    status = aloop_await(aloop_fs_replace_file(
        loop, path, page->answer.body.data, page->size, 0666));
    page->words = aloop_strerror((int) status);
    return status;
}

/* Prints the bodies that have arrived, as far as all before them have. */
static void print_bodies(void)
{
    for (; printed < page_count && pages[printed].status != ALOOP_PENDING;
         printed++) {
        struct page *page = &pages[printed];

        if (page->status > 0 && page->answer.body.size > 0)
            fwrite(page->answer.body.data, 1, page->answer.body.size, stdout);
        http2_answer_free(&page->answer);
    }
}

/* Returns the status of the request. */
static ssize_t fetch(aloop *loop, struct page *page)
{
    ssize_t status = HTTP2_EREFUSED;

    for (int i = 0; i < TRIES_MAX && status == HTTP2_EREFUSED; i++) {
        struct link *link = NULL;

        status = link_acquire(loop, &link);
        if (link == NULL) {
            page->words = "there is no connection";
            return status;
        }
        http2_answer_free(&page->answer);
        page->size = 0;
        status = aloop_await(
            http2_request(link->http2, &page->request, &page->answer));
        page->words = http2_error(&page->answer, status);
        link_release(link);
    }
    return status;
}

/* A task that fails would end the others. */
static ssize_t page_fetch(aloop *loop, void *arg)
{
    struct page *page = arg;
    ssize_t saved = 0;

    page->status = fetch(loop, page);
    if (page->status >= 0 && settings.count == 0)
        page->size = page->answer.body.size;
    if (page->status >= 0 && page->status < 400 && settings.directory != NULL)
        saved = save(loop, page);
    if (saved < 0)
        page->status = saved;
    if (settings.count == 0 && settings.directory == NULL)
        print_bodies();
    else
        http2_answer_free(&page->answer);
    return 0;
}

static ssize_t fetch_all(aloop *loop)
{
    int64_t start_ns = aloop_now(loop);
    ssize_t status = 0;

    session.mutex = aloop_mutex_new(loop);
    if (session.mutex == NULL)
        status = ALOOP_ENOMEM;
    if (status == 0 && settings.directory != NULL)
        status =
            aloop_await(aloop_fs_mkdir_all(loop, settings.directory, 0777));
    if (status < 0 && session.mutex != NULL)
        complain(settings.directory, aloop_strerror((int) status));
    if (status >= 0)
        status =
            aloop_await(aloop_map(loop, page_fetch, pages, page_count,
                                  sizeof *pages, (size_t) settings.streams));
    if (session.link != NULL)
        link_release(session.link);
    took_ns = aloop_now(loop) - start_ns;
    return status;
}

static ssize_t amain(aloop *loop, void *arg)
{
    aloop_deadline *limit = aloop_deadline_begin(loop, settings.limit_ns);
    ssize_t status = limit == NULL ? ALOOP_ENOMEM : fetch_all(loop);

    (void) arg;
    if (aloop_deadline_end(limit) > 0) {
        complain(authority, aloop_strerror(ALOOP_ETIMEDOUT));
        status = ALOOP_ETIMEDOUT;
    }
    if (aloop_is_cancelled())
        return ALOOP_ECANCELED;
    return status < 0;
}

/* Prints what has failed, and maybe the last line.  Returns whether all is
 * good. */
static bool report(void)
{
    size_t good = 0;
    unsigned long long bytes = 0;
    double seconds = (double) took_ns / 1e9;

    for (size_t i = 0; i < page_count; i++) {
        const struct page *page = &pages[i];

        if (page->status > 0 && page->status < 400) {
            good++;
            bytes += page->size;
        }
        if (page->status >= 0 && (settings.is_verbose || page->status >= 400))
            fprintf(stderr, "%s%s: %zd, %zu bytes\n",
                    settings.is_verbose ? "" : "http2_get: ", page->target,
                    page->status, page->size);
        else if (page->status < 0 && page->words != NULL &&
                 page->status != ALOOP_ECANCELED && session.error == 0)
            complain(page->target, page->words);
    }
    if (settings.count > 0 || settings.directory != NULL)
        printf("%zu of %zu pages, %llu bytes in %.2f s\n", good, page_count,
               bytes, seconds);
    return good == page_count;
}

/* The command line. */

/* "name: value", which is changed. */
static bool add_field(char *text)
{
    char *colon = strchr(text, ':');
    struct http2_field *field = &settings.fields[settings.field_count];

    if (colon == NULL || colon == text ||
        settings.field_count == HTTP2_FIELDS_MAX)
        return false;
    *colon = '\0';
    for (char *c = text; c < colon; c++)
        *c = (char) tolower((unsigned char) *c);
    colon++;
    field->name = text;
    field->value = colon + strspn(colon, " \t");
    field->is_secret = strcmp(text, "authorization") == 0;
    settings.field_count++;
    return true;
}

/* Returns whether all are URLs of the same origin. */
static bool add_targets(int count, char **arguments)
{
    struct url url;
    bool is_v6 = false;

    settings.targets = calloc((size_t) count + 1, sizeof *settings.targets);
    for (int i = 0; i < count && settings.targets != NULL; i++) {
        int error = i > 0 && arguments[i][0] == '/'
                        ? url_resolve(&origin, arguments[i], &url)
                        : url_parse(arguments[i], &url);

        if (error < 0) {
            complain(arguments[i], "not a valid URL");
            return false;
        }
        if (i == 0)
            origin = url;
        if (!url_is_same_origin(&origin, &url)) {
            complain(arguments[i], "it is of another server than the first");
            return false;
        }
        settings.targets[i] = strdup(url.target);
        if (settings.targets[i] == NULL)
            return false;
        settings.target_count++;
    }
    is_v6 = strchr(origin.host, ':') != NULL;
    snprintf(authority, sizeof authority, "%s%s%s%s%s", is_v6 ? "[" : "",
             origin.host, is_v6 ? "]" : "",
             url_has_default_port(&origin) ? "" : ":",
             url_has_default_port(&origin) ? "" : origin.port);
    return settings.target_count == (size_t) count;
}

static void init_page(struct page *page, const char *target)
{
    struct http2_request *request = &page->request;

    page->target = target;
    page->status = ALOOP_PENDING;
    request->path = target;
    request->fields = settings.fields;
    request->field_count = settings.field_count;
    request->body = settings.data;
    request->body_size = settings.data != NULL ? strlen(settings.data) : 0;
    request->on_body = settings.count > 0 ? count_body : NULL;
    request->arg = page;
}

static bool make_pages(void)
{
    page_count = settings.count > 0 ? (size_t) settings.count
                                    : settings.target_count;
    pages = calloc(page_count, sizeof *pages);
    for (size_t i = 0; i < page_count && pages != NULL; i++)
        init_page(&pages[i], settings.targets[i % settings.target_count]);
    return pages != NULL;
}

static void free_pages(void)
{
    for (size_t i = 0; i < page_count && pages != NULL; i++)
        http2_answer_free(&pages[i].answer);
    free(pages);
    for (size_t i = 0; i < settings.target_count; i++)
        free(settings.targets[i]);
    free(settings.targets);
}

static bool take_option(int option)
{
    switch (option) {
    case 'C':
        settings.ca_file = optarg;
        return true;
    case 'd':
        settings.data = optarg;
        return true;
    case 'H':
        return add_field(optarg);
    case 'k':
        return settings.is_unverified = true;
    case 'm':
        return option_number("-m", optarg, 1, 10000, &settings.streams);
    case 'n':
        return option_number("-n", optarg, 1, PAGES_MAX, &settings.count);
    case 'o':
        return option_directory("-o", optarg, &settings.directory);
    case 't':
        return option_seconds("-t", optarg, &settings.limit_ns);
    case 'v':
        return settings.is_verbose = true;
    default:
        return false;
    }
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: http2_get [-kv] [-C FILE] [-d DATA] [-H FIELD] [-m STREAMS]"
        " [-n COUNT]\n"
        "                 [-o DIR] [-t SECONDS] URL [URL|PATH]...\n"
        "  -C FILE     trust the certificates in FILE (PEM), not those of the"
        " system\n"
        "  -d DATA     send DATA with each request (POST)\n"
        "  -H FIELD    send a header field, such as \"accept: text/html\";"
        " may be repeated\n"
        "  -k          accept every certificate\n"
        "  -m STREAMS  requests at a time (default: 100)\n"
        "  -n COUNT    make COUNT requests, for each page in turn, and drop"
        " the bodies\n"
        "  -o DIR      save the pages in DIR\n"
        "  -t SECONDS  time limit for everything together (default: 30)\n"
        "  -v          print status, size and path of each page to standard"
        " error\n"
        "All URLs have the same scheme, host and port; a PATH begins with a"
        " slash.\n";
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "C:d:H:km:n:o:t:vh")) != -1) {
        is_help = option == 'h';
        is_valid = is_help || take_option(option);
    }
    if (settings.count > 0 && settings.directory != NULL)
        is_valid = false;
    if (is_help || !is_valid || optind >= argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    return add_targets(argc - optind, argv + optind) && make_pages() ? 0 : 2;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    bool is_good;
    ssize_t status = parse_options(argc, argv);

    if (status == 0)
        status = !origin.is_secure || make_context() ? 0 : 1;
    if (status != 0) {
        free_pages();
        free_context();
        return process_end("http2_get", status < 0 ? 0 : status);
    }
    status = aloop_main_with(amain, NULL, &options);
    free_context();
    if (status < 0 && status != ALOOP_ECANCELED)
        complain(authority, aloop_strerror((int) status));
    is_good = status != ALOOP_ECANCELED && report();
    free_pages();
    if (status != ALOOP_ECANCELED)
        status = status != 0 || !is_good;
    return process_end("http2_get", status);
}
