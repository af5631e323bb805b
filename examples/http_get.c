/* Fetches one URL to a file or to standard output, or sends data to it.
 *
 *     usage: http_get [-c] [-d DATA] [-H FIELD]... [-I] [-o FILE] [-t SECONDS]
 *                     [-T FILE] URL
 *
 *     -c          continue: fetch only what FILE (of -o) does not have yet
 *     -d DATA     send DATA by POST
 *     -H FIELD    a field of the request, such as "Accept: text/html"
 *     -I          ask for the header only, and print its status and length
 *     -o FILE     write to FILE, with a progress bar if standard error is a
 *                 terminal
 *     -t SECONDS  time limit
 *     -T FILE     send FILE by PUT
 *
 * URLs with https:// work where OpenSSL was found when the program was built.
 * Redirects are followed.  An interrupted or failed transfer leaves what has
 * arrived in FILE, and -c continues there.  If the server does not support that
 * or has another version of the page, it sends everything, and FILE begins
 * again.  Until FILE is complete, FILE.resume has the version, which is an ETag
 * or the date of the last change.  Without it, -c continues only a page that
 * was not changed after FILE was, as far as the server knows.  A reply whose
 * status is 304 or at least 400 does not change FILE.
 *
 * Exit status: 0; 1 if the request failed or its status is 400 or more; 2 for
 * wrong usage; 130 after SIGINT or SIGTERM.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/http_session.h"
#include "support/httpd_date.h"
#include "support/options.h"
#include "support/process.h"
#include "support/progress.h"

#ifdef WITH_TLS
#include "bridges/https.h"
#else /* https:// is an error. */
#define https_begin(options) ((void) (options), 0)
#define https_end(options) ((void) (options))
#endif

enum { FIELDS_MAX = 32, VERSION_SIZE = 256 };

struct get {
    aloop *loop;
    const char *path;   /* -o, or NULL. */
    const char *upload; /* -T, or NULL. */
    bool is_resumed;    /* -c */
    int64_t limit_ns;   /* 0: none. */
    struct http_request request;
    struct http_field fields[FIELDS_MAX + 2]; /* Two for the range. */
    size_t field_count;

    char *note;                 /* FILE.resume, or NULL. */
    char version[VERSION_SIZE]; /* What it has, or a date. */
    bool has_note;
    uint64_t offset; /* Bytes that the file had. */
    aloop_file *source;
    aloop_file *file;     /* The target is this one or */
    aloop_stream *stream; /* standard output. */
    uint64_t received;
    int64_t total; /* -1 if it is unknown. */
    struct progress progress;
};

static void draw(struct get *get)
{
    progress_begin(&get->progress);
    progress_line(&get->progress, get->path, get->received, get->total);
    progress_end(&get->progress);
}

static void on_redraw(aloop_timer *timer, void *arg)
{
    (void) timer;
    draw(arg);
}

/* Prints an error, and returns the exit status. */
static ssize_t complain(struct get *get, const char *what, const char *text)
{
    progress_clear(&get->progress);
    fprintf(stderr, "http_get: %s: %s\n", what, text);
    return 1;
}

/* The body of -T. */

static ssize_t give_file(void *buffer, size_t size, void *arg)
{
    struct get *get = arg;

    return aloop_await(aloop_file_read(get->source, buffer, size));
}

static int rewind_file(void *arg)
{
    struct get *get = arg;

    return aloop_file_seek(get->source, 0, SEEK_SET) < 0 ? ALOOP_ESPIPE : 0;
}

static ssize_t open_source(struct get *get)
{
    aloop_stat stat = {.size = 0};
    ssize_t status = aloop_await(
        aloop_file_open(get->loop, get->upload, O_RDONLY, 0, &get->source));

    if (status == 0)
        status = aloop_await(aloop_file_stat(get->source, &stat));
    if (status < 0)
        return status;
    get->request.method = "PUT";
    get->request.source = give_file;
    get->request.rewind = rewind_file;
    get->request.source_arg = get;
    if (stat.type == ALOOP_FILE_REGULAR)
        get->request.body_size = stat.size; /* 0: in chunks. */
    get->request.has_expectation = get->request.body_size >
                                   UINT64_C(1024) * 1024;
    return 0;
}

/* The target. */

/* Reads the version of the page that the file is a part of. */
static bool read_note(struct get *get)
{
    void *data = NULL;
    ssize_t n = aloop_await(
        aloop_fs_read_file(get->loop, get->note, VERSION_SIZE - 1, &data));
    const char *text = data;

    if (n > 1 && text[n - 1] == '\n') {
        snprintf(get->version, sizeof get->version, "%.*s", (int) n - 1, text);
        get->has_note = true;
    }
    aloop_data_free(get->loop, data);
    return get->has_note;
}

/* Asks for the bytes after those that the file has, unless the page has
 * changed. */
static void ask_for_rest(struct get *get, char *range, size_t size)
{
    const char *condition = "If-Range";
    aloop_stat stat;

    if (!get->is_resumed ||
        aloop_await(aloop_fs_stat(get->loop, get->path, &stat)) < 0 ||
        stat.type != ALOOP_FILE_REGULAR || stat.size == 0)
        return;
    if (!read_note(get)) {
        condition = "If-Unmodified-Since";
        httpd_date_format(stat.modified_ns / ALOOP_SEC(1), get->version);
    }
    get->offset = stat.size;
    snprintf(range, size, "bytes=%llu-", (unsigned long long) get->offset);
    get->fields[get->field_count++] = (struct http_field){"Range", range};
    get->fields[get->field_count++] =
        (struct http_field){condition, get->version};
}

/* Returns what identifies the version of the page, or NULL.  A weak ETag does
 * not, nor a date in the same second as that of the reply. */
static const char *version_of(const struct http_reply *reply)
{
    const char *etag = http_reply_field(reply, "ETag");
    const char *date = http_reply_field(reply, "Date");
    const char *modified = http_reply_field(reply, "Last-Modified");

    if (etag != NULL && etag[0] == '"' && strlen(etag) < VERSION_SIZE - 1)
        return etag;
    return modified == NULL || date == NULL || strcmp(modified, date) == 0 ||
                   strlen(modified) >= VERSION_SIZE - 1
               ? NULL
               : modified;
}

/* Notes the version of the page that the file begins to be a part of. */
static void write_note(struct get *get, const struct http_reply *reply)
{
    const char *version = version_of(reply);
    char text[VERSION_SIZE];
    ssize_t n = -1;

    if (version != NULL) {
        n = snprintf(text, sizeof text, "%s\n", version);
        n = aloop_await(
            aloop_fs_write_file(get->loop, get->note, text, (size_t) n, 0666));
    }
    if (n < 0) /* The file is continued without one. */
        (void) aloop_await(aloop_fs_unlink(get->loop, get->note));
    get->has_note = n >= 0;
}

/* Returns whether Content-Range is `start`, the size of the file, and `end`.
 * *ret_rest is what follows. */
static bool has_range(const struct get *get, const struct http_reply *reply,
                      const char *start, char end, const char **ret_rest)
{
    const char *value = http_reply_field(reply, "Content-Range");
    size_t size = strlen(start);
    char *rest;

    if (get->offset == 0 || value == NULL || strncmp(value, start, size) != 0 ||
        value[size] < '0' || value[size] > '9' ||
        strtoull(value + size, &rest, 10) != get->offset || *rest != end)
        return false;
    *ret_rest = rest + 1;
    return true;
}

/* Returns whether the server has ignored the condition. */
static bool is_other_version(const struct get *get,
                             const struct http_reply *reply)
{
    const char *version = version_of(reply);

    return get->has_note && version != NULL &&
           strcmp(version, get->version) != 0;
}

/* Returns whether the reply continues at the end of the file, up to the end of
 * the page.  A server may send less than was asked for.  "*" is an unknown
 * size. */
static bool is_rest(const struct get *get, const struct http_reply *reply)
{
    unsigned long long last;
    const char *text;
    char *slash;

    if (reply->status != 206 || is_other_version(get, reply) ||
        !has_range(get, reply, "bytes ", '-', &text))
        return false;
    last = strtoull(text, &slash, 10);
    return *slash == '/' &&
           (slash[1] == '*' || strtoull(slash + 1, NULL, 10) == last + 1);
}

/* Returns whether the server reports that the file is complete. */
static bool is_complete(const struct get *get, const struct http_reply *reply)
{
    const char *rest;

    return reply->status == 416 &&
           has_range(get, reply, "bytes */", '\0', &rest);
}

/* The note is written when the file is empty, so that it always fits. */
static ssize_t open_target(struct get *get, const struct http_reply *reply,
                           bool is_continued)
{
    int flags = O_WRONLY | O_CREAT | (is_continued ? O_APPEND : O_TRUNC);
    aloop_stat stat;
    ssize_t status;

    if (get->path == NULL)
        return aloop_stdio_open(get->loop, STDOUT_FILENO, &get->stream);
    status = aloop_await(
        aloop_file_open(get->loop, get->path, flags, 0666, &get->file));
    if (status == 0 && !is_continued)
        status = aloop_await(aloop_file_stat(get->file, &stat));
    if (status == 0 && !is_continued && stat.type == ALOOP_FILE_REGULAR)
        write_note(get, reply);
    return status;
}

/* What a thread writes to standard output may fail after the write. */
static ssize_t end_target(struct get *get)
{
    if (get->has_note)
        (void) aloop_await(aloop_fs_unlink(get->loop, get->note));
    return get->stream == NULL
               ? 0
               : aloop_await(aloop_stream_shutdown(get->stream));
}

static ssize_t write_target(struct get *get, const void *data, size_t size)
{
    return aloop_await(get->file != NULL
                           ? aloop_file_write(get->file, data, size)
                           : aloop_stream_write(get->stream, data, size));
}

static ssize_t print_head(struct get *get, const struct http_reply *reply)
{
    const char *type = http_reply_field(reply, "Content-Type");

    (void) get;
    printf("status: %d\n", reply->status);
    if (reply->length >= 0)
        printf("length: %lld\n", (long long) reply->length);
    if (type != NULL)
        printf("type: %s\n", type);
    return 0;
}

static ssize_t complain_of_target(struct get *get, ssize_t error)
{
    if (error == ALOOP_ECANCELED || error == ALOOP_ETIMEDOUT)
        return error;
    return complain(get, get->path != NULL ? get->path : "output",
                    aloop_strerror(error));
}

/* Copies the body to the target. */
static ssize_t receive(struct get *get, struct http_reply *reply)
{
    char buffer[32 * 1024];
    ssize_t n;

    while ((n = http_read(reply, buffer, sizeof buffer)) > 0) {
        n = write_target(get, buffer, (size_t) n);
        if (n < 0)
            return complain_of_target(get, n);
        get->received += (uint64_t) n;
    }
    if (n < 0)
        return n;
    n = end_target(get);
    return n < 0 ? complain_of_target(get, n) : n;
}

static ssize_t handle_reply(struct get *get, struct http_reply *reply)
{
    bool is_continued = is_rest(get, reply);
    char text[32];
    ssize_t status;

    if (is_complete(get, reply))
        return end_target(get);
    if (reply->status == 412 && get->offset > 0 && !get->has_note)
        return complain(get, get->path,
                        "the page was changed later; try without -c");
    if (reply->status >= 400 || (reply->status == 206 && !is_continued)) {
        snprintf(text, sizeof text, "status %d", reply->status);
        return complain(get, get->request.url, text);
    }
    if (get->request.method != NULL && strcmp(get->request.method, "HEAD") == 0)
        return print_head(get, reply);
    if (reply->status == 304) /* It has no body, unlike the page. */
        return 0;
    get->received = is_continued ? get->offset : 0;
    get->total = -1;
    if (reply->length >= 0 &&
        reply->length <= INT64_MAX - (int64_t) get->received)
        get->total = reply->length + (int64_t) get->received;
    status = open_target(get, reply, is_continued);
    return status < 0 ? complain_of_target(get, status) : receive(get, reply);
}

static ssize_t transfer(struct get *get, http_session *session)
{
    struct http_reply reply;
    ssize_t status = http_open(session, &get->request, &reply);

    if (status == 0) {
        status = handle_reply(get, &reply);
        http_close(&reply);
    }
    if (status < 0 && status != ALOOP_ECANCELED) {
        char what[64];

        snprintf(what, sizeof what, "%s", http_step_name(reply.step));
        return complain(get, what, http_error(&reply, status));
    }
    return status;
}

static ssize_t run(struct get *get)
{
    struct http_session_options options = {.agent = "libaloop-http_get"};
    aloop_deadline *deadline = NULL;
    http_session *session;
    ssize_t status = https_begin(&options);

    if (status < 0)
        return status;
    session = http_session_new(get->loop, &options);
    status = session == NULL ? ALOOP_ENOMEM : 0;
    if (status == 0 && get->limit_ns > 0) {
        deadline = aloop_deadline_begin(get->loop, get->limit_ns);
        status = deadline == NULL ? ALOOP_ENOMEM : 0;
    }
    if (status == 0)
        status = transfer(get, session);
    aloop_deadline_end(deadline);
    http_session_free(session);
    https_end(&options);
    return status;
}

/* Returns the exit status, or an error. */
static ssize_t amain(aloop *loop, void *arg)
{
    struct get *get = arg;
    aloop_timer *redraw = NULL;
    char range[40];
    ssize_t status = 0;

    get->loop = loop;
    progress_init(&get->progress, stderr);
    if (get->path == NULL)
        get->progress.is_live = false; /* The bar is for files. */
    if (get->upload != NULL)
        status = open_source(get);
    if (status < 0 && status != ALOOP_ECANCELED)
        status = complain(get, get->upload, aloop_strerror(status));
    if (status == 0 && get->progress.is_live)
        status = aloop_timer_start(loop, ALOOP_MS(100), ALOOP_MS(100),
                                   on_redraw, get, &redraw);
    if (status == 0) {
        ask_for_rest(get, range, sizeof range);
        get->request.fields = get->fields;
        get->request.field_count = get->field_count;
        status = run(get);
    }
    aloop_timer_close(redraw);
    progress_clear(&get->progress);
    aloop_stream_close(get->stream);
    aloop_file_close(get->file);
    aloop_file_close(get->source);
    return status;
}

/* Adds "Name: value" to the fields, which refer to the text. */
static bool add_field(struct get *get, char *text)
{
    char *colon = strchr(text, ':');

    if (colon == NULL || get->field_count == FIELDS_MAX) {
        fprintf(stderr, "-H: \"%s\" is not \"Name: value\", or is too much\n",
                text);
        return false;
    }
    *colon++ = '\0';
    get->fields[get->field_count++] =
        (struct http_field){text, colon + strspn(colon, " ")};
    return true;
}

static bool parse_option(struct get *get, int option)
{
    if ((option == 'd' || option == 'I' || option == 'T') &&
        (get->request.method != NULL || get->upload != NULL)) {
        fputs("only one of -d, -I and -T can be used\n", stderr);
        return false;
    }
    if (option == 'c')
        get->is_resumed = true;
    else if (option == 'H')
        return add_field(get, optarg);
    else if (option == 'I')
        get->request.method = "HEAD";
    else if (option == 'o')
        get->path = optarg;
    else if (option == 't')
        return option_seconds("-t", optarg, &get->limit_ns);
    else if (option == 'T')
        get->upload = optarg;
    else if (option == 'd')
        get->request = (struct http_request){.method = "POST",
                                             .body = optarg,
                                             .body_size = strlen(optarg)};
    return option != '?';
}

static bool name_note(struct get *get)
{
    size_t size = get->path == NULL ? 0 : strlen(get->path) + sizeof ".resume";

    if (size == 0)
        return true;
    get->note = malloc(size);
    if (get->note != NULL)
        snprintf(get->note, size, "%s.resume", get->path);
    return get->note != NULL;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv, struct get *get)
{
    static const char usage[] =
        "usage: http_get [-c] [-d DATA] [-H FIELD]... [-I] [-o FILE]"
        " [-t SECONDS] [-T FILE] URL\n"
        "  -c          continue: fetch only what FILE (of -o) does not have\n"
        "  -d DATA     send DATA by POST\n"
        "  -H FIELD    a field of the request, such as \"Accept: text/html\"\n"
        "  -I          ask for the header only, and print its status and "
        "length\n"
        "  -o FILE     write to FILE, with a progress bar on a terminal\n"
        "  -t SECONDS  time limit\n"
        "  -T FILE     send FILE by PUT\n";
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "cd:H:Io:t:T:h")) != -1) {
        is_help = option == 'h';
        is_valid = parse_option(get, option);
    }
    if (is_valid && !is_help &&
        (argc - optind != 1 ||
         (get->is_resumed && (get->path == NULL || get->upload != NULL ||
                              get->request.method != NULL))))
        is_valid = false;
    if (is_help || !is_valid) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    get->request.url = argv[optind];
    return name_note(get) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct get get = {.total = -1};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv, &get);

    if (status == 0)
        status = aloop_main_with(amain, &get, &options);
    else if (status < 0)
        status = 0; /* The help was printed. */
    free(get.note);
    return process_end("http_get", status);
}
