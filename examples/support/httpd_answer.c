/* Answers: the head, and the body in one or several parts.
 *
 * The head is held back until there is a part of the body, so that both leave
 * in one call. */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <string.h>

#include "httpd_connection.h"

const char *httpd_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

void httpd_answer_init(struct httpd_connection *connection)
{
    connection->status = 0;
    connection->is_bare = connection->is_chunked = false;
    connection->is_last = connection->head.is_last ||
                          connection->httpd->is_stopping;
    connection->left = 0;
    connection->sent = 0;
    connection->held = 0;
    connection->extra_size = 0;
}

/* Appends to the head.  There is room, because only the fields of the handler
 * have no fixed size, and `answer` is larger than they can be. */
static void append(struct httpd_connection *connection, const char *text,
                   size_t size)
{
    memmove(connection->answer + connection->held, text, size);
    connection->held += size;
}

static void append_text(struct httpd_connection *connection, const char *text)
{
    append(connection, text, strlen(text));
}

static void append_number(struct httpd_connection *connection, uint64_t number)
{
    char digits[20];
    size_t i = sizeof digits;

    do {
        digits[--i] = (char) ('0' + number % 10);
        number /= 10;
    } while (number > 0);
    append(connection, digits + i, sizeof digits - i);
}

int httpd_add_field(struct httpd_request *request, const char *name,
                    const char *value)
{
    struct httpd_connection *connection = httpd_connection_of(request);
    char *extra = connection->answer + HTTPD_FRONT_MAX;
    char *line = extra + connection->extra_size, *end;
    size_t name_size = strlen(name), value_size = strlen(value);

    if (connection->status != 0)
        return ALOOP_EALREADY;
    if (name_size + value_size + 4 > HTTPD_EXTRA_MAX - connection->extra_size)
        return ALOOP_ENOSPC;
    memcpy(line, name, name_size);
    memcpy(line + name_size, ": ", 2);
    end = line + name_size + 2;
    memcpy(end, value, value_size);
    end += value_size;
    if (memchr(name, ':', name_size) != NULL ||
        !httpd_is_field(line, (size_t) (end - line)))
        return ALOOP_EINVAL;
    memcpy(end, "\r\n", 2);
    connection->extra_size += (size_t) (end - line) + 2;
    return 0;
}

static const char *date_of(struct httpd *httpd)
{
    time_t now = time(NULL);

    if (now != httpd->date_s) {
        httpd->date_s = now;
        httpd_date_format((int64_t) now, httpd->date);
    }
    return httpd->date;
}

static void append_framing(struct httpd_connection *connection, int64_t length)
{
    const struct httpd_head *head = &connection->head;

    if (length < 0 && !head->is_old && !connection->is_bare) {
        connection->is_chunked = true;
        append_text(connection, "\r\nTransfer-Encoding: chunked");
    } else if (length < 0 && !connection->is_bare) {
        connection->is_last = true;
    } else if (length >= 0 && connection->status >= 200 &&
               connection->status != 204 && connection->status != 304) {
        append_text(connection, "\r\nContent-Length: ");
        append_number(connection, (uint64_t) length);
    }
    if (connection->is_last)
        append_text(connection, "\r\nConnection: close");
    else if (head->is_old)
        append_text(connection, "\r\nConnection: keep-alive");
}

ssize_t httpd_begin(struct httpd_request *request, int status, const char *type,
                    int64_t length)
{
    struct httpd_connection *connection = httpd_connection_of(request);

    if (connection->status != 0)
        return ALOOP_EALREADY;
    if (status < 200 || status > 999 || length < -1 ||
        (type != NULL && strlen(type) > 100))
        return ALOOP_EINVAL;
    /* A client that waits for 100 may or may not send its body now. */
    if (connection->must_continue || connection->body_error < 0)
        connection->is_last = true;
    connection->must_continue = false; /* It would be read as the body. */
    connection->status = status;
    connection->left = length;
    connection->is_bare = connection->head.is_head || status == 204 ||
                          status == 304;
    append_text(connection, "HTTP/1.1 ");
    append_number(connection, (uint64_t) status);
    append_text(connection, " ");
    append_text(connection, httpd_reason(status));
    append_text(connection, "\r\nDate: ");
    append_text(connection, date_of(connection->httpd));
    if (type != NULL) {
        append_text(connection, "\r\nContent-Type: ");
        append_text(connection, type);
    }
    append_framing(connection, length);
    append_text(connection, "\r\n");
    append(connection, connection->answer + HTTPD_FRONT_MAX,
           connection->extra_size);
    append_text(connection, "\r\n");
    return 0;
}

int httpd_put(struct httpd_connection *connection, const void *data,
              size_t size)
{
    int result = 0;

    if (connection->held > 0)
        result = aloop_stream_put(connection->stream, connection->answer,
                                  connection->held);
    connection->held = 0;
    if (result >= 0 && size > 0)
        result = aloop_stream_put(connection->stream, data, size);
    return result;
}

ssize_t httpd_drain(struct httpd_connection *connection, size_t mark)
{
    aloop_stream *stream = connection->stream;
    size_t low = HTTPD_MARK_LOW, queued;
    ssize_t status = 0;

    while (status == 0 && (queued = aloop_stream_queued(stream)) > mark) {
        size_t next =
            queued - mark > HTTPD_STALL_SIZE ? queued - HTTPD_STALL_SIZE : mark;

        if (next != low)
            status = aloop_stream_set_watermarks(stream, next,
                                                 next + HTTPD_STALL_SIZE);
        if (status < 0)
            return status;
        low = next;
        httpd_limit(connection, connection->httpd->options.stall_ns);
        status = aloop_await(aloop_stream_drain(stream));
        httpd_limit(connection, 0);
    }
    if (low != HTTPD_MARK_LOW && status == 0)
        status = aloop_stream_set_watermarks(stream, HTTPD_MARK_LOW,
                                             HTTPD_MARK_HIGH);
    return status;
}

bool httpd_count(struct httpd_connection *connection, uint64_t size)
{
    if (connection->left >= 0 && size > (uint64_t) connection->left)
        return false;
    if (connection->left >= 0)
        connection->left -= (int64_t) size;
    connection->sent += connection->is_bare ? 0 : size;
    return true;
}

ssize_t httpd_write(struct httpd_request *request, const void *data,
                    size_t size)
{
    struct httpd_connection *connection = httpd_connection_of(request);
    int result;

    if (connection->status == 0 || !httpd_count(connection, size))
        return ALOOP_EINVAL;
    if (connection->is_bare || size == 0)
        return 0;
    if (connection->is_chunked) {
        char line[24];
        int n = snprintf(line, sizeof line, "%zx\r\n", size);

        result = httpd_put(connection, line, (size_t) n);
        if (result >= 0)
            result = aloop_stream_put(connection->stream, data, size);
        if (result >= 0)
            result = aloop_stream_put(connection->stream, "\r\n", 2);
    } else {
        result = httpd_put(connection, data, size);
    }
    return result == 1 ? httpd_drain(connection, HTTPD_MARK_LOW) : result;
}

ssize_t httpd_answer_end(struct httpd_connection *connection)
{
    int result;

    if (connection->left > 0 && !connection->is_bare)
        return ALOOP_EINVAL; /* The client waits for more. */
    result = connection->is_chunked ? httpd_put(connection, "0\r\n\r\n", 5)
                                    : httpd_put(connection, NULL, 0);
    return result == 1 ? httpd_drain(connection, HTTPD_MARK_LOW) : result;
}

ssize_t httpd_answer(struct httpd_request *request, int status,
                     const char *type, const void *body, size_t size)
{
    struct httpd_connection *connection = httpd_connection_of(request);
    ssize_t result = 0;

    if (connection->status != 0)
        return ALOOP_EALREADY;
    if (!connection->has_body_ended) {
        result = httpd_body_skip(connection);
        if (result == ALOOP_EPROTO)
            return result; /* It is answered with 400. */
        if (result < 0)
            connection->is_last = true;
    }
    result = httpd_begin(request, status, type, (int64_t) size);
    return result < 0 ? result : httpd_write(request, body, size);
}

ssize_t httpd_answer_status(struct httpd_connection *connection, int status,
                            bool is_last)
{
    char text[64];
    int size =
        snprintf(text, sizeof text, "%d %s\n", status, httpd_reason(status));

    if (is_last) {
        connection->is_last = true;
        connection->has_body_ended = true; /* Not read any more. */
    }
    return httpd_answer(&connection->request, status, "text/plain", text,
                        (size_t) size);
}
