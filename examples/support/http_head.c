/* Reads and parses the header of a reply (RFC 9112, sections 4 to 6).
 *
 * What is ambiguous is refused, because intermediaries may read it in another
 * way: a line that does not end in CR LF, folded lines, blanks before a colon,
 * lengths that differ, and a length beside a transfer coding. */

#define _POSIX_C_SOURCE 200809L

#include "http_head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_error.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Parses "HTTP/1.1 200 OK".  The reason phrase may be missing. */
static int parse_status(struct http_head *head, const char *line)
{
    int status = 0;

    if (strncmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) ||
        line[8] != ' ')
        return HTTP_EREPLY;
    for (int i = 9; i < 12; i++) {
        if (!is_digit(line[i]))
            return HTTP_EREPLY;
        status = status * 10 + line[i] - '0';
    }
    if (status < 100 || (line[12] != ' ' && line[12] != '\0'))
        return HTTP_EREPLY;
    head->status = status;
    head->is_kept = line[7] != '0';
    return 0;
}

static int on_length(struct http_head *head, const char *value)
{
    int64_t length = 0;

    if (*value == '\0')
        return HTTP_ELENGTH;
    for (; *value != '\0'; value++) {
        if (!is_digit(*value) || length > INT64_MAX / 10 - 1)
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

/* A list of options, such as "keep-alive, x". */
static int on_connection(struct http_head *head, const char *value)
{
    while (*value != '\0') {
        size_t size = strcspn(value, ", \t");

        if (size == 5 && strncasecmp(value, "close", 5) == 0)
            head->has_close = true;
        else if (size == 10 && strncasecmp(value, "keep-alive", 10) == 0)
            head->is_kept = true;
        value += size;
        value += strspn(value, ", \t");
    }
    return 0;
}

/* Adds a name or a value.  The memory is used again for the next reply, so that
 * requests over kept connections allocate nothing. */
static int add_text(struct http_head *head, const char *text, size_t size)
{
    if (head->room - head->size <= size) {
        size_t room = (head->size + size + 1) * 2 + 500;
        char *fields = realloc(head->fields, room);

        if (fields == NULL)
            return ALOOP_ENOMEM;
        head->fields = fields;
        head->room = room;
    }
    memcpy(head->fields + head->size, text, size);
    head->fields[head->size + size] = '\0';
    head->size += size + 1;
    return 0;
}

/* Parses "Name: value" in place. */
static int parse_field(struct http_head *head, char *line)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const struct {
        const char *name;
        int (*parse)(struct http_head *head, const char *value);
    } fields[] = {
        {"Content-Length", on_length},
        {"Transfer-Encoding", on_coding},
        {"Connection", on_connection},
    };
    char *colon = strchr(line, ':'), *value;
    size_t size;
    int error;

    if (colon == NULL || colon == line)
        return HTTP_EREPLY;
    *colon = '\0';
    if (strspn(line, token) != (size_t) (colon - line))
        return HTTP_EREPLY;
    value = colon + 1;
    value += strspn(value, " \t");
    size = strlen(value);
    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        value[--size] = '\0';
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcasecmp(line, fields[i].name) == 0) {
            error = fields[i].parse(head, value);
            if (error < 0)
                return error;
        }
    error = add_text(head, line, (size_t) (colon - line));
    return error < 0 ? error : add_text(head, value, size);
}

ssize_t http_head_read(struct http_input *input, size_t *budget,
                       struct http_head *ret)
{
    char *fields = ret->fields, *line;
    size_t room = ret->room;
    bool was_empty = input->start == input->end, is_old;
    ssize_t n;

    *ret = (struct http_head){.length = -1, .fields = fields, .room = room};
    n = http_input_line(input, budget, &line);
    if (n == HTTP_ECUT && was_empty && !input->has_bytes)
        return HTTP_ENOREPLY;
    if (n >= 0)
        n = parse_status(ret, line);
    if (n < 0)
        return n;
    is_old = !ret->is_kept;
    while ((n = http_input_line(input, budget, &line)) > 0) {
        int error = parse_field(ret, line);

        if (error < 0)
            return error;
    }
    if (n < 0)
        return n;
    if (ret->is_coded && ret->length >= 0)
        return HTTP_EFRAMING;
    if (ret->has_close || (is_old && ret->is_coded))
        ret->is_kept = false;
    return 0;
}

const char *http_head_field(const struct http_head *head, const char *name)
{
    for (size_t at = 0; at < head->size;) {
        const char *field = head->fields + at;
        const char *value = field + strlen(field) + 1;

        if (strcasecmp(field, name) == 0)
            return value;
        at = (size_t) (value - head->fields) + strlen(value) + 1;
    }
    return NULL;
}

void http_head_free(struct http_head *head)
{
    free(head->fields);
    head->fields = NULL;
    head->size = head->room = 0;
}
