/* Reads the body of a reply (RFC 9112, sections 6 and 7).
 *
 * A body is chunked, or it has the length of Content-Length, or it ends with
 * the connection.  The first of these that applies decides. */

#include "http_body.h"

#include <string.h>

#include "http_error.h"

enum { CHUNK_LINE_MAX = 256 };

void http_body_begin(struct http_body *body, const struct http_head *head,
                     bool is_empty, struct http_input *input, size_t budget,
                     uint64_t max)
{
    *body = (struct http_body){.input = input, .max = max, .budget = budget};
    if (is_empty || head->status == 204 || head->status == 304) {
        body->is_done = true;
    } else if (head->is_coded) {
        body->framing = HTTP_CHUNKED;
        body->error = head->is_chunked ? 0 : HTTP_ECODING;
    } else if (head->length >= 0) {
        body->framing = HTTP_LENGTH;
        body->left = (uint64_t) head->length;
        body->is_done = body->left == 0;
        body->error = body->left > max ? HTTP_EBODY : 0;
    } else {
        body->framing = HTTP_TO_CLOSE;
        body->left = UINT64_MAX;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char) (c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
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

/* Reads the empty line that ends the data of a chunk, or the line that begins
 * one.  All that is wrong with these lines is HTTP_ECHUNK. */
static ssize_t read_chunk_line(struct http_body *body, size_t max, char **ret)
{
    ssize_t n = http_input_line(body->input, &max, ret);

    return n == HTTP_EHEAD || n == HTTP_EREPLY ? HTTP_ECHUNK : n;
}

static ssize_t read_trailers(struct http_body *body)
{
    char *line;
    ssize_t n;

    do
        n = http_input_line(body->input, &body->budget, &line);
    while (n > 0);
    body->is_done = n == 0;
    return n;
}

/* Reads up to the data of the next chunk, or up to the end of the body. */
static ssize_t begin_chunk(struct http_body *body)
{
    char *line;
    ssize_t n;
    int64_t size;

    if (body->is_in_chunk) {
        n = read_chunk_line(body, 2, &line);
        if (n != 0)
            return n < 0 ? n : HTTP_ECHUNK;
        body->is_in_chunk = false;
    }
    n = read_chunk_line(body, CHUNK_LINE_MAX, &line);
    if (n < 0)
        return n;
    size = parse_chunk(line);
    if (size < 0)
        return (ssize_t) size;
    body->left = (uint64_t) size;
    body->is_in_chunk = size > 0;
    body->is_in_end = size == 0;
    return 0;
}

static ssize_t read_some(struct http_body *body, void *buffer, size_t size)
{
    ssize_t n = 0;

    if (body->framing == HTTP_CHUNKED && body->left == 0 && !body->is_in_end)
        n = begin_chunk(body);
    if (n == 0 && body->is_in_end)
        n = read_trailers(body);
    if (n < 0 || body->is_done)
        return n;
    if (size > body->left)
        size = (size_t) body->left;
    n = http_input_read(body->input, buffer, size);
    if (n == 0)
        body->is_done = body->framing == HTTP_TO_CLOSE;
    if (n <= 0)
        return n < 0 || body->is_done ? n : HTTP_ECUT;
    body->received += (uint64_t) n;
    if (body->received > body->max)
        return HTTP_EBODY;
    if (body->framing != HTTP_TO_CLOSE)
        body->left -= (uint64_t) n;
    body->is_done = body->framing == HTTP_LENGTH && body->left == 0;
    return n;
}

/* After a cancel or a deadline the next call continues, because no bytes are
 * lost. */
ssize_t http_body_read(struct http_body *body, void *buffer, size_t size)
{
    ssize_t n;

    if (body->error < 0 || body->is_done)
        return body->error;
    n = read_some(body, buffer, size);
    if (n < 0 && n != ALOOP_ECANCELED && n != ALOOP_ETIMEDOUT)
        body->error = n;
    return n;
}
