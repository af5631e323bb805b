/* Reads and parses the header of a reply (RFC 9112, sections 4 to 6). */

#define _POSIX_C_SOURCE 200809L

#include "http_head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http_error.h"

enum { LINE_SIZE = 8192 };

ssize_t http_read_line(aloop_stream *stream, char *line, size_t size,
                       size_t *budget)
{
    size_t room = size - 1 < *budget ? size - 1 : *budget;
    ssize_t n;

    if (room == 0)
        return HTTP_EHEAD;
    n = aloop_await(aloop_stream_read_until(stream, line, room, "\n", 1));
    if (n == ALOOP_EMSGSIZE)
        return HTTP_EHEAD;
    if (n == ALOOP_EOF)
        return HTTP_ECUT;
    if (n < 0)
        return n;
    *budget -= (size_t) n;
    n--;
    if (n > 0 && line[n - 1] == '\r')
        n--;
    line[n] = '\0';
    return memchr(line, '\0', (size_t) n) == NULL ? n : HTTP_EREPLY;
}

/* Parses "HTTP/1.1 200 OK".  The reason phrase may be missing. */
static int parse_status(const char *line)
{
    int status = 0;

    if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char) line[7]) ||
        line[8] != ' ')
        return HTTP_EREPLY;
    for (int i = 9; i < 12; i++) {
        if (!isdigit((unsigned char) line[i]))
            return HTTP_EREPLY;
        status = status * 10 + line[i] - '0';
    }
    if (status < 100 || (line[12] != ' ' && line[12] != '\0'))
        return HTTP_EREPLY;
    return status;
}

static int on_length(struct http_head *head, const char *value)
{
    int64_t length = 0;

    if (*value == '\0')
        return HTTP_ELENGTH;
    for (; *value != '\0'; value++) {
        if (!isdigit((unsigned char) *value) || length > INT64_MAX / 10 - 1)
            return HTTP_ELENGTH;
        length = length * 10 + (*value - '0');
    }
    if (head->length >= 0 && head->length != length)
        return HTTP_ELENGTH; /* Two fields that differ. */
    head->length = length;
    return 0;
}

static int on_coding(struct http_head *head, const char *value)
{
    head->is_chunked = !head->is_coded && strcasecmp(value, "chunked") == 0;
    head->is_coded = true;
    return 0;
}

static int on_location(struct http_head *head, const char *value)
{
    size_t size = strlen(value);

    if (size >= sizeof head->location)
        return HTTP_ELOCATION;
    memcpy(head->location, value, size + 1);
    head->has_location = true;
    return 0;
}

/* Parses "Name: value" in place.  Fields that are not in the table are
 * ignored. */
static int parse_field(struct http_head *head, char *line)
{
    static const struct {
        const char *name;
        int (*parse)(struct http_head *head, const char *value);
    } fields[] = {
        {"Content-Length", on_length},
        {"Transfer-Encoding", on_coding},
        {"Location", on_location},
    };
    size_t name_size = strcspn(line, ": \t");
    char *value = line + name_size + 1;
    size_t size;

    if (name_size == 0 || line[name_size] != ':')
        return HTTP_EREPLY;
    line[name_size] = '\0';
    value += strspn(value, " \t");
    size = strlen(value);
    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        value[--size] = '\0';
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcasecmp(line, fields[i].name) == 0)
            return fields[i].parse(head, value);
    return 0;
}

/* Reads one header, of an interim or a final reply. */
static ssize_t read_one(aloop_stream *stream, size_t *budget,
                        struct http_head *ret)
{
    char line[LINE_SIZE];
    ssize_t n = http_read_line(stream, line, sizeof line, budget);

    if (n < 0)
        return n;
    *ret = (struct http_head){.length = -1};
    ret->status = parse_status(line);
    if (ret->status < 0)
        return ret->status;
    while ((n = http_read_line(stream, line, sizeof line, budget)) > 0) {
        int error = parse_field(ret, line);

        if (error < 0)
            return error;
    }
    return n;
}

ssize_t http_read_head(aloop_stream *stream, size_t *budget,
                       struct http_head *ret)
{
    ssize_t status;

    do
        status = read_one(stream, budget, ret);
    while (status == 0 && ret->status < 200);
    return status;
}
