/* Static files for the HTTP server.
 *
 * A look-up opens a file and reads it if it is small.  It is tried on the
 * thread of the loop with calls that do not block, and otherwise runs on a
 * thread of the pool.  A file that the thread of the loop has opened is kept;
 * see httpd_kept.h. */

#define _XOPEN_SOURCE 700 /* POSIX.1-2008, with realpath(). */
#define _DARWIN_C_SOURCE

#include "httpd_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "httpd_connection.h"
#include "httpd_date.h"
#include "httpd_listing.h"
#include "httpd_match.h"
#include "httpd_open.h"
#include "httpd_text.h"

enum {
    SMALL_MAX = 64 * 1024,    /* Bytes of a file that is read as a whole. */
    SENDFILE_MIN = 32 * 1024, /* From here on sendfile() costs less. */
    ETAG_SIZE = 64
};

struct httpd_files {
    struct httpd_root root;
    bool is_listing;
};

/* One request.  The results are written by one thread at a time. */
struct lookup {
    struct httpd_root *root;
    const char *title;            /* Of a listing: the path of the request. */
    char *name;                   /* Relative to the root. */
    bool is_directory;            /* The name ends in a slash or is empty. */
    bool is_listing;              /* Listings are allowed. */
    off_t small_max;              /* Bytes of a file that is read as a whole. */
    int fd;                       /* -1, or what was opened. */
    struct httpd_kept_file *kept; /* The owner of `fd`; NULL: the look-up. */
    struct stat stat;
    char *data;             /* The whole of a small file. */
    struct httpd_text page; /* A listing. */
};

int httpd_files_open(const char *root, unsigned flags,
                     struct httpd_files **ret_files)
{
    struct httpd_files *files = calloc(1, sizeof *files);
    int error;

    if (files == NULL)
        return ALOOP_ENOMEM;
    files->root.fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->root.fd < 0 || realpath(root, files->root.path) == NULL) {
        error = -errno;
        if (files->root.fd >= 0)
            close(files->root.fd);
        free(files);
        return error;
    }
    files->root.is_open = (flags & HTTPD_FOLLOW) != 0;
    files->is_listing = (flags & HTTPD_LIST) != 0;
    *ret_files = files;
    return 0;
}

void httpd_files_close(struct httpd_files *files)
{
    if (files == NULL)
        return;
    close(files->root.fd);
    free(files);
}

const char *httpd_type_of(const char *name)
{
    static const struct {
        const char *extension;
        const char *type;
    } types[] = {
        {"html", "text/html; charset=utf-8"},
        {"htm", "text/html; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/markdown; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"json", "application/json"},
        {"xml", "application/xml"},
        {"pdf", "application/pdf"},
        {"wasm", "application/wasm"},
        {"zip", "application/zip"},
        {"gz", "application/gzip"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"webp", "image/webp"},
        {"avif", "image/avif"},
        {"ico", "image/x-icon"},
        {"mp3", "audio/mpeg"},
        {"mp4", "video/mp4"},
        {"webm", "video/webm"},
        {"woff", "font/woff"},
        {"woff2", "font/woff2"},
    };
    const char *dot = strrchr(name, '.');

    if (dot == NULL || strchr(dot, '/') != NULL)
        return "application/octet-stream";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if ((dot[1] | ('a' ^ 'A')) == types[i].extension[0] &&
            strcasecmp(dot + 1, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

static bool is_small(const struct lookup *lookup)
{
    return S_ISREG(lookup->stat.st_mode) &&
           lookup->stat.st_size <= lookup->small_max;
}

/* Reads a small file whose attributes are known. */
static int read_small(struct lookup *lookup, bool is_cached)
{
    ssize_t n;

    if (!is_small(lookup))
        return 0;
    if (lookup->data == NULL)
        lookup->data = malloc((size_t) lookup->stat.st_size + 1);
    if (lookup->data == NULL)
        return -ENOMEM;
    n = httpd_read_start(lookup->fd, lookup->data,
                         (size_t) lookup->stat.st_size, is_cached);
    if (n >= 0)
        lookup->stat.st_size = (off_t) n; /* It may have become shorter. */
    return n < 0 ? (int) n : 0;
}

/* Opens the file, or the index.html of a directory.  Returns 0 or an error. */
static int look_up(struct lookup *lookup, bool is_cached)
{
    if (lookup->fd < 0) {
        int fd = is_cached ? httpd_open_cached(lookup->root, lookup->name)
                           : httpd_open_beneath(lookup->root, lookup->name);

        if (fd < 0)
            return fd;
        if (fstat(fd, &lookup->stat) < 0) {
            close(fd);
            return -EIO;
        }
        lookup->fd = fd;
    }
    return read_small(lookup, is_cached);
}

/* Lists the directory without an index.html. */
static ssize_t list(struct lookup *lookup)
{
    int fd = httpd_open_beneath(lookup->root, lookup->name);

    return fd < 0 ? fd
                  : httpd_listing_write(fd, lookup->title, lookup->is_listing,
                                        &lookup->page);
}

static const char index_name[] = "index.html";

/* Returns whether the index.html that was looked for is a directory, too.  Then
 * it is no page. */
static bool is_no_index(const struct lookup *lookup)
{
    return lookup->is_directory && S_ISDIR(lookup->stat.st_mode);
}

/* Is what a thread of the pool does. */
static ssize_t lookup_work(void *arg)
{
    struct lookup *lookup = arg;
    int error = look_up(lookup, false);

    if (error == 0 && is_no_index(lookup))
        error = -ENOENT;
    if (error != -ENOENT || !lookup->is_directory)
        return error;
    lookup->name[strlen(lookup->name) - (sizeof index_name - 1)] = '\0';
    return list(lookup);
}

/* Returns the status for a file that cannot be opened. */
static int status_of_error(ssize_t error)
{
    static const struct {
        int error;
        int status;
    } statuses[] = {
        {ENOENT, 404}, {ENOTDIR, 404}, {ELOOP, 404}, {ENAMETOOLONG, 404},
        {ENXIO, 404},  {EACCES, 403},  {EPERM, 403}, {EMFILE, 503},
        {ENFILE, 503}, {ENOMEM, 503},
    };

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (error == -statuses[i].error)
            return statuses[i].status;
    return 500;
}

static ssize_t answer_status(struct httpd_request *request, int status)
{
    char text[64];
    int size =
        snprintf(text, sizeof text, "%d %s\n", status, httpd_reason(status));

    return httpd_answer(request, status, "text/plain", text, (size_t) size);
}

/* A directory without a slash: relative links would lead to its parent. */
static ssize_t redirect(struct httpd_request *request)
{
    struct httpd_text location = {0};
    int result = 0;

    httpd_text_url(&location, request->path);
    httpd_text_string(&location, "/");
    if (request->query != NULL) {
        httpd_text_string(&location, "?");
        httpd_text_string(&location, request->query);
    }
    httpd_text_add(&location, "", 1);
    if (!location.has_failed)
        result = httpd_add_field(request, "Location", location.data);
    if (location.has_failed || result < 0) {
        free(location.data);
        return answer_status(request, location.has_failed ? 503 : 414);
    }
    free(location.data);
    return answer_status(request, 301);
}

/* Adds the fields that describe the file. */
static void add_fields(struct httpd_request *request,
                       const struct httpd_version *version)
{
    char date[HTTPD_DATE_SIZE];

    httpd_date_format(version->modified_s, date);
    httpd_add_field(request, "ETag", version->etag);
    httpd_add_field(request, "Last-Modified", date);
    httpd_add_field(request, "Accept-Ranges", "bytes");
}

static ssize_t send_part(struct httpd_request *request, struct lookup *lookup,
                         int status, int64_t first, int64_t count)
{
    ssize_t result =
        httpd_begin(request, status, httpd_type_of(lookup->name), count);

    if (result < 0)
        return result;
    return lookup->data != NULL
               ? httpd_write(request, lookup->data + first, (size_t) count)
               : httpd_write_file(request, lookup->fd, &lookup->stat, first,
                                  count);
}

/* The part of the time of modification below a second. */
static unsigned long nanoseconds_of(const struct stat *stat)
{
#ifdef __APPLE__ /* It has another name. */
    return (unsigned long) stat->st_mtimespec.tv_nsec;
#else
    return (unsigned long) stat->st_mtim.tv_nsec;
#endif
}

static char *add_hex(char *end, uint64_t number)
{
    char digits[16];
    size_t i = sizeof digits;

    do {
        digits[--i] = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number > 0);
    memcpy(end, digits + i, sizeof digits - i);
    return end + sizeof digits - i;
}

/* Writes the tag of a version, such as "6b09b8e3-2b369d45-400". */
static void write_etag(const struct stat *stat, char etag[ETAG_SIZE])
{
    *etag++ = '"';
    etag = add_hex(etag, (uint64_t) stat->st_mtime);
    *etag++ = '-';
    etag = add_hex(etag, nanoseconds_of(stat));
    *etag++ = '-';
    etag = add_hex(etag, (uint64_t) stat->st_size);
    *etag++ = '"';
    *etag = '\0';
}

static ssize_t answer_file(struct httpd_request *request, struct lookup *lookup)
{
    const struct stat *stat = &lookup->stat;
    int64_t size = (int64_t) stat->st_size, first = 0, count = size;
    char etag[ETAG_SIZE], range[80];
    struct httpd_version version = {etag, (int64_t) stat->st_mtime};
    int status;

    write_etag(stat, etag);
    status = httpd_match(request, &version);
    if (status == 200)
        status = httpd_range(request, &version, size, &first, &count);
    add_fields(request, &version);
    if (status != 206 && status != 416)
        range[0] = '\0';
    else if (status == 206)
        snprintf(range, sizeof range, "bytes %lld-%lld/%lld", (long long) first,
                 (long long) (first + count - 1), (long long) size);
    else
        snprintf(range, sizeof range, "bytes */%lld", (long long) size);
    if (status == 206 || status == 416)
        httpd_add_field(request, "Content-Range", range);
    if (status == 304)
        return httpd_answer(request, 304, NULL, "", 0);
    return status == 200 || status == 206
               ? send_part(request, lookup, status, first, count)
               : answer_status(request, status);
}

/* Looks up without blocking, in the files that are kept, too. */
static int look_up_cached(struct httpd_request *request, struct lookup *lookup)
{
    struct httpd *httpd = httpd_connection_of(request)->httpd;
    int error;

    lookup->kept = httpd_kept_find(httpd->kept, lookup->root, lookup->name);
    if (lookup->kept != NULL) {
        lookup->fd = lookup->kept->fd;
        lookup->stat = lookup->kept->stat;
        return read_small(lookup, true);
    }
    error = look_up(lookup, true);
    if (lookup->fd >= 0 && S_ISREG(lookup->stat.st_mode))
        lookup->kept = httpd_kept_add(httpd->kept, lookup->root, lookup->name,
                                      lookup->fd, &lookup->stat);
    return error;
}

static ssize_t answer_lookup(struct httpd_request *request,
                             struct lookup *lookup)
{
    ssize_t status = look_up_cached(request, lookup);

    if (status == 0 && is_no_index(lookup))
        status = -ENOENT;
    if (status == -EAGAIN || (status == -ENOENT && lookup->is_directory))
        status = aloop_await(aloop_work(request->loop, lookup_work, lookup));
    if (status == -EMFILE || status == -ENFILE) {
        httpd_kept_clear(httpd_connection_of(request)->httpd->kept);
        status = aloop_await(aloop_work(request->loop, lookup_work, lookup));
    }
    if (status < 0 && aloop_is_cancelled())
        return ALOOP_ECANCELED;
    if (status < 0)
        return answer_status(request, status_of_error(status));
    if (lookup->page.data != NULL)
        return httpd_answer(request, 200, "text/html; charset=utf-8",
                            lookup->page.data, lookup->page.size);
    if (S_ISDIR(lookup->stat.st_mode))
        return redirect(request);
    if (!S_ISREG(lookup->stat.st_mode))
        return answer_status(request, 404);
    return answer_file(request, lookup);
}

ssize_t httpd_files_serve(struct httpd_request *request, void *arg)
{
    struct httpd_files *files = arg;
    size_t size = strlen(request->rest);
    char *name = malloc(size + sizeof index_name);
    struct lookup lookup = {
        .root = &files->root,
        .title = request->path,
        .name = name,
        .is_directory = size == 0 || request->rest[size - 1] == '/',
        .is_listing = files->is_listing,
        .small_max = httpd_has_sendfile(request) ? SENDFILE_MIN : SMALL_MAX,
        .fd = -1,
    };
    ssize_t status;

    if (name == NULL)
        return ALOOP_ENOMEM;
    memcpy(name, request->rest, size);
    memcpy(name + size, index_name,
           lookup.is_directory ? sizeof index_name : 0);
    if (!lookup.is_directory)
        name[size] = '\0';
    status = answer_lookup(request, &lookup);
    if (lookup.kept != NULL)
        httpd_kept_release(lookup.kept);
    else if (lookup.fd >= 0)
        close(lookup.fd);
    free(lookup.data);
    free(lookup.page.data);
    free(name);
    return status;
}
