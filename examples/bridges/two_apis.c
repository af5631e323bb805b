/* Asks two JSON APIs at the same time, and prints fields of their answers.
 *
 *     usage: two_apis [-f [NUMBER:]PATH]... [-m MIB] [-t SECONDS] URL URL
 *
 *     -f PATH     print the field at PATH, such as user.name or items.0.id;
 *                 with 1: or 2: before it, only of the first or the second
 *                 document
 *     -m MIB      size limit of each document (default: 4)
 *     -t SECONDS  time limit for both together (default: 10)
 *
 * A document without a field to print is printed as a whole.  Each field is
 * printed as "URL: PATH: VALUE" in JSON, on a line of its own.  A dot in the
 * name of a field is written "\.".  For example:
 *
 *     two_apis -f full_name -f license.name \
 *         https://api.github.com/repos/akheron/jansson \
 *         https://api.github.com/repos/openssl/openssl
 *
 * Certificates have to be signed by an authority that the system trusts, or one
 * in the file that SSL_CERT_FILE names in the environment.
 *
 * If one API fails or is too slow, the fields of the other one are printed, and
 * standard error has the reason.  The exit status is 0; 1 if a document or a
 * field is missing; 2 for wrong usage; 130 after SIGINT or SIGTERM, and then
 * nothing is printed.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridges/https.h"
#include "bridges/json_doc.h"
#include "support/http_session.h"
#include "support/options.h"
#include "support/process.h"

enum { APIS = 2, FIELDS_MAX = 64 };

struct api {
    const char *url;
    http_session *session;
    json_t *document;  /* NULL: there is none, because of */
    char failure[320]; /* this. */
};

struct field {
    size_t number; /* 1 or 2: of that document only. */
    const char *path;
};

static struct api apis[APIS];

/* What the command line sets. */
static struct {
    struct field fields[FIELDS_MAX];
    size_t field_count;
    int64_t limit_ns;
    uint64_t mib;
} settings = {.limit_ns = ALOOP_SEC(10), .mib = 4};

/* Parses the document of a page, if its status is a success. */
static void read_page(aloop *loop, struct api *api,
                      const struct http_page *page)
{
    json_error_t error;
    ssize_t status;

    if (page->reply.status < 200 || page->reply.status > 299) {
        snprintf(api->failure, sizeof api->failure, "status %d",
                 page->reply.status);
        return;
    }
    status =
        json_doc_parse(loop, page->data, page->size, &api->document, &error);
    if (status == ALOOP_ECANCELED) /* See api_ask(). */
        status = ALOOP_ETIMEDOUT;
    if (status == ALOOP_EPROTO && error.line > 0)
        snprintf(api->failure, sizeof api->failure,
                 "parsing: line %d, column %d: %s", error.line, error.column,
                 error.text);
    else if (status < 0)
        snprintf(api->failure, sizeof api->failure, "parsing: %s",
                 status == ALOOP_EPROTO ? error.text : aloop_strerror(status));
}

/* Asks one API.  The task stores a failure and returns 0, because a task that
 * fails would end the other one. */
static ssize_t api_ask(aloop *loop, void *arg)
{
    static const struct http_field accept = {"Accept", "application/json"};
    struct api *api = arg;
    struct http_request request = {.url = api->url,
                                   .fields = &accept,
                                   .field_count = 1,
                                   .body_max = settings.mib * 1024 * 1024};
    struct http_page page;
    ssize_t status = aloop_await(http_fetch(api->session, &request, &page));

    if (status == ALOOP_ECANCELED) /* By the limit, or by a signal. */
        status = ALOOP_ETIMEDOUT;
    if (status < 0)
        snprintf(api->failure, sizeof api->failure, "%s: %s",
                 http_step_name(page.reply.step),
                 http_error(&page.reply, status));
    else
        read_page(loop, api, &page);
    http_page_free(&page);
    return 0;
}

/* Asks both at the same time, and waits until both have ended.  The limit ends
 * what is still in progress. */
static ssize_t ask_both(aloop *loop)
{
    ssize_t status = aloop_await(
        aloop_timeout(aloop_gather(loop, aloop_spawn(loop, api_ask, &apis[0]),
                                   aloop_spawn(loop, api_ask, &apis[1])),
                      settings.limit_ns));

    if (aloop_is_cancelled())
        return ALOOP_ECANCELED;
    return status == ALOOP_ETIMEDOUT ? 0 : status;
}

static ssize_t amain(aloop *loop, void *arg)
{
    struct http_session_options options = {.agent = "libaloop-two_apis"};
    http_session *session;
    ssize_t status = https_begin(&options);

    (void) arg;
    if (status < 0)
        return status;
    session = http_session_new(loop, &options);
    for (size_t i = 0; i < APIS; i++) {
        apis[i].session = session;
        snprintf(apis[i].failure, sizeof apis[i].failure, "%s",
                 aloop_strerror(ALOOP_ETIMEDOUT));
    }
    status = session == NULL ? ALOOP_ENOMEM : ask_both(loop);
    http_session_free(session);
    https_end(&options);
    return status;
}

/* Prints a value, with its path unless that is NULL. */
static void print_value(const struct api *api, const char *path,
                        const json_t *value)
{
    printf("%s: ", api->url);
    if (path != NULL)
        printf("%s: ", path);
    (void) json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n'); /* main() looks for errors of the stream. */
}

/* Prints what was asked for of one document.  Returns whether all of it was
 * there. */
static bool report(size_t number)
{
    const struct api *api = &apis[number - 1];
    bool is_good = true, is_whole = true;

    if (api->document == NULL) {
        fprintf(stderr, "two_apis: %s: %s\n", api->url, api->failure);
        return false;
    }
    for (size_t i = 0; i < settings.field_count; i++) {
        const struct field *field = &settings.fields[i];
        json_t *value;

        if (field->number != 0 && field->number != number)
            continue;
        is_whole = false;
        value = json_doc_field(api->document, field->path);
        if (value != NULL) {
            print_value(api, field->path, value);
            continue;
        }
        fprintf(stderr, "two_apis: %s: there is no field %s\n", api->url,
                field->path);
        is_good = false;
    }
    if (is_whole)
        print_value(api, NULL, api->document);
    return is_good;
}

static bool add_field(const char *text)
{
    struct field field = {.path = text};

    if (settings.field_count == FIELDS_MAX) {
        fprintf(stderr, "-f: there are more than %d\n", FIELDS_MAX);
        return false;
    }
    if (strncmp(text, "1:", 2) == 0 || strncmp(text, "2:", 2) == 0)
        field =
            (struct field){.number = text[0] == '1' ? 1 : 2, .path = text + 2};
    settings.fields[settings.field_count++] = field;
    return true;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: two_apis [-f [NUMBER:]PATH]... [-m MIB] [-t SECONDS] URL URL\n"
        "  -f PATH     print the field at PATH, such as user.name or"
        " items.0.id;\n"
        "              with 1: or 2: before it, only of the first or the second"
        "\n"
        "  -m MIB      size limit of each document (default: 4)\n"
        "  -t SECONDS  time limit for both together (default: 10)\n"
        "A document without a field to print is printed as a whole.\n";
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "f:m:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'f')
            is_valid = add_field(optarg);
        else if (option == 'm')
            is_valid = option_number("-m", optarg, 1, 64, &settings.mib);
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &settings.limit_ns);
    }
    if (is_help || !is_valid || argc - optind != APIS) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    apis[0].url = argv[optind];
    apis[1].url = argv[optind + 1];
    return 0;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("two_apis", status < 0 ? 0 : status);
    status = aloop_main_with(amain, NULL, &options);
    for (size_t i = 0; i < APIS; i++) {
        if (status >= 0 && !report(i + 1))
            status = 1;
        json_decref(apis[i].document);
    }
    return process_end("two_apis", status);
}
