/* Answers: the head, and the body in one or several parts.
 *
 * The head is held back until there is a part of the body, so that both leave
 * in one call. */

#ifdef __linux__
#define _GNU_SOURCE
#endif
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd_connection.h"

#ifdef __linux__
#include <sys/sendfile.h>
#endif

const char *httpd_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
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
    memcpy(connection->answer + connection->held, text, size);
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
    char *line = connection->extra + connection->extra_size, *end;
    size_t name_size = strlen(name), value_size = strlen(value);

    if (connection->status != 0)
        return ALOOP_EALREADY;
    if (name_size + value_size + 4 >
        sizeof connection->extra - connection->extra_size)
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
    append(connection, connection->extra, connection->extra_size);
    append_text(connection, "\r\n");
    return 0;
}

/* Queues bytes, after the head that is held back. */
static int put(struct httpd_connection *connection, const void *data,
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

/* Counts a part of the body.  Returns whether its length permits it. */
static bool count(struct httpd_connection *connection, uint64_t size)
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

    if (connection->status == 0 || !count(connection, size))
        return ALOOP_EINVAL;
    if (connection->is_bare || size == 0)
        return 0;
    if (connection->is_chunked) {
        char line[24];
        int n = snprintf(line, sizeof line, "%zx\r\n", size);

        result = put(connection, line, (size_t) n);
        if (result >= 0)
            result = aloop_stream_put(connection->stream, data, size);
        if (result >= 0)
            result = aloop_stream_put(connection->stream, "\r\n", 2);
    } else {
        result = put(connection, data, size);
    }
    return result == 1 ? httpd_drain(connection, HTTPD_MARK_LOW) : result;
}

ssize_t httpd_answer_end(struct httpd_connection *connection)
{
    int result;

    if (connection->left > 0 && !connection->is_bare)
        return ALOOP_EINVAL; /* The client waits for more. */
    result = connection->is_chunked ? put(connection, "0\r\n\r\n", 5)
                                    : put(connection, NULL, 0);
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

/* A read of a file on a thread of the pool. */
struct piece {
    int fd;
    size_t size;
    int64_t offset;
    char *data;
};

static ssize_t piece_read(void *arg)
{
    struct piece *piece = arg;
    size_t done = 0;

    while (done < piece->size) {
        ssize_t n = pread(piece->fd, piece->data + done, piece->size - done,
                          (off_t) (piece->offset + (int64_t) done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : ALOOP_EOF;
        done += (size_t) n;
    }
    return (ssize_t) done;
}

/* Reads and sends a file in pieces. */
static ssize_t copy_file(struct httpd_request *request, int fd, int64_t offset,
                         int64_t size)
{
    struct piece piece = {.fd = fd, .data = malloc(HTTPD_STALL_SIZE)};
    ssize_t status = piece.data == NULL ? ALOOP_ENOMEM : 0;

    while (size > 0 && status >= 0) {
        piece.size = size < HTTPD_STALL_SIZE ? (size_t) size : HTTPD_STALL_SIZE;
        piece.offset = offset;
        status = aloop_await(aloop_work(request->loop, piece_read, &piece));
        if (status >= 0)
            status = httpd_write(request, piece.data, piece.size);
        offset += (int64_t) piece.size;
        size -= (int64_t) piece.size;
    }
    free(piece.data);
    return status;
}

#ifdef __linux__

enum { TURN_MAX = 1024 * 1024 }; /* Bytes in one turn of the loop. */

/* Sends the head that is held back, in front of the file if possible. */
static ssize_t send_head(struct httpd_connection *connection)
{
    ssize_t sent = 0, status = httpd_drain(connection, 0);

    if (status == 0 && connection->held > 0)
        sent = send(aloop_stream_fd(connection->stream), connection->answer,
                    connection->held, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (status < 0 || sent == (ssize_t) connection->held)
        connection->held = 0;
    if (status < 0 || connection->held == 0)
        return status;
    if (sent > 0) {
        connection->held -= (size_t) sent;
        memmove(connection->answer, connection->answer + sent,
                connection->held);
    }
    status = put(connection, NULL, 0); /* It reports errors, too. */
    return status < 0 ? status : httpd_drain(connection, 0);
}

/* Waits until the socket accepts more bytes. */
static ssize_t wait_writable(struct httpd_connection *connection, int socket)
{
    ssize_t status;

    httpd_limit(connection, connection->httpd->options.stall_ns);
    status = aloop_await(
        aloop_poll_wait(connection->httpd->loop, socket, ALOOP_POLL_WRITABLE));
    httpd_limit(connection, 0);
    return status < 0 ? status : 0;
}

/* Sends a file without copying it.  If the file is not cached, the loop waits
 * for the disk meanwhile. */
static ssize_t send_file(struct httpd_connection *connection, int fd,
                         int64_t offset, int64_t size)
{
    int socket = aloop_stream_fd(connection->stream);
    ssize_t status = send_head(connection);
    off_t position = (off_t) offset;
    int64_t turn = 0;

    while (size > 0 && status == 0) {
        ssize_t n = sendfile(socket, fd, &position,
                             size < TURN_MAX ? (size_t) size : TURN_MAX);

        if (n > 0) {
            size -= n;
            turn += n;
            if (turn >= TURN_MAX && size > 0) {
                turn = 0;
                status = aloop_yield(connection->httpd->loop);
            }
        } else if (n == 0) {
            status = ALOOP_EOF;
        } else if (errno == EAGAIN) {
            status = wait_writable(connection, socket);
        } else if (errno != EINTR) {
            status = -errno;
        }
    }
    return status;
}

#endif

bool httpd_has_sendfile(const struct httpd_request *request)
{
#ifdef __linux__
    const struct httpd_connection *connection =
        (const struct httpd_connection *) request;

    return connection->httpd->options.is_plain_tcp;
#else
    (void) request;
    return false;
#endif
}

ssize_t httpd_write_file(struct httpd_request *request, int fd, int64_t offset,
                         int64_t size)
{
    struct httpd_connection *connection = httpd_connection_of(request);

    if (connection->is_bare)
        return count(connection, (uint64_t) size) ? 0 : ALOOP_EINVAL;
#ifdef __linux__
    if (connection->httpd->options.is_plain_tcp && !connection->is_chunked) {
        if (connection->status == 0 || !count(connection, (uint64_t) size))
            return ALOOP_EINVAL;
        return send_file(connection, fd, offset, size);
    }
#endif
    return copy_file(request, fd, offset, size);
}
