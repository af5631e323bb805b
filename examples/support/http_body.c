/* Reads and counts the body of a reply (RFC 9112, sections 6 and 7).
 *
 * A body is chunked, or it has the length of Content-Length, or it ends with
 * the connection.  The first of these that applies decides. */

#include "http_body.h"

#include <ctype.h>
#include <string.h>

#include "http_error.h"

struct body {
    aloop_stream *stream;
    const struct http_get *get;
    struct http_reply *reply;
    int64_t total; /* As for http_progress_cb. */
    char buffer[16 * 1024];
};

/* Reads once, at most `max` bytes.  Returns the number of bytes, which is 0 at
 * the end of the stream. */
static ssize_t read_some(struct body *body, uint64_t max)
{
    size_t size = max < sizeof body->buffer ? (size_t) max
                                            : sizeof body->buffer;
    ssize_t n =
        aloop_await(aloop_stream_read(body->stream, body->buffer, size));

    if (n <= 0)
        return n;
    body->reply->size += (uint64_t) n;
    if (body->reply->size > body->get->body_max)
        return HTTP_EBODY;
    body->get->on_progress(body->reply->size, body->total, body->get->arg);
    return n;
}

static ssize_t read_length(struct body *body, uint64_t length)
{
    while (length > 0) {
        ssize_t n = read_some(body, length);

        if (n <= 0)
            return n < 0 ? n : HTTP_ECUT;
        length -= (uint64_t) n;
    }
    return 0;
}

static ssize_t read_to_close(struct body *body)
{
    ssize_t n;

    do
        n = read_some(body, UINT64_MAX);
    while (n > 0);
    return n;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL
                                  : strchr(digits, tolower((unsigned char) c));

    return found == NULL ? -1 : (int) (found - digits);
}

/* Parses the first line of a chunk, "1f; extension".  Returns the size, or
 * HTTP_ECHUNK. */
static int64_t parse_chunk(const char *line)
{
    int64_t size = 0;
    size_t i = 0;

    for (; hex_digit(line[i]) >= 0; i++) {
        if (size > INT64_MAX / 16 - 1)
            return HTTP_ECHUNK;
        size = size * 16 + hex_digit(line[i]);
    }
    if (i == 0)
        return HTTP_ECHUNK;
    i += strspn(line + i, " \t");
    return line[i] == '\0' || line[i] == ';' ? size : HTTP_ECHUNK;
}

static ssize_t read_trailers(struct body *body, size_t *budget)
{
    char line[1024];
    ssize_t n;

    do
        n = http_read_line(body->stream, line, sizeof line, budget);
    while (n > 0);
    return n;
}

/* Reads the empty line that ends the data of a chunk. */
static ssize_t read_chunk_end(struct body *body)
{
    char line[3];
    size_t budget = sizeof line - 1;
    ssize_t n = http_read_line(body->stream, line, sizeof line, &budget);

    return n > 0 || n == HTTP_EHEAD ? HTTP_ECHUNK : n;
}

static ssize_t read_chunked(struct body *body, size_t *budget)
{
    for (;;) {
        char line[256];
        size_t line_budget = sizeof line;
        ssize_t status =
            http_read_line(body->stream, line, sizeof line, &line_budget);
        int64_t size;

        if (status < 0)
            return status == HTTP_EHEAD ? HTTP_ECHUNK : status;
        size = parse_chunk(line);
        if (size < 0)
            return (ssize_t) size;
        if (size == 0)
            return read_trailers(body, budget);
        status = read_length(body, (uint64_t) size);
        if (status == 0)
            status = read_chunk_end(body);
        if (status < 0)
            return status;
    }
}

ssize_t http_read_body(aloop_stream *stream, const struct http_head *head,
                       size_t *budget, const struct http_get *get,
                       struct http_reply *reply)
{
    struct body body;

    body.stream = stream;
    body.get = get;
    body.reply = reply;
    body.total = head->is_coded ? -1 : head->length;
    reply->size = 0;
    if (head->status == 204 || head->status == 304)
        return 0;
    if (head->is_coded)
        return head->is_chunked ? read_chunked(&body, budget) : HTTP_ECODING;
    if (head->length < 0)
        return read_to_close(&body);
    if ((uint64_t) head->length > get->body_max)
        return HTTP_EBODY;
    get->on_progress(0, body.total, get->arg);
    return read_length(&body, (uint64_t) head->length);
}
