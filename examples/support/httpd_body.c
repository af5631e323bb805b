/* The bodies of requests: reading them, and dropping what no handler read.
 *
 * Bytes come from the buffer of the connection first, because they may have
 * arrived with the head. */

#define _POSIX_C_SOURCE 200809L

#include <string.h>

#include "httpd_connection.h"

void httpd_body_init(struct httpd_connection *connection)
{
    const struct httpd_head *head = &connection->head;

    connection->has_body_ended = head->length == 0;
    /* A client whose body has begun to arrive does not wait. */
    connection->must_continue = head->has_expect && head->length != 0 &&
                                connection->begin == connection->end;
    connection->body_error = 0;
    connection->body_left = head->length;
    connection->body_size = 0;
    connection->stall_left = 0;
    connection->body_start = connection->begin;
    if (head->length < 0)
        memset(&connection->chunks, 0, sizeof connection->chunks);
}

/* The body cannot be read any more.  Returns why. */
static ssize_t fail(struct httpd_connection *connection, ssize_t error)
{
    connection->body_error = error;
    return error;
}

/* Receives into `buffer`.  Only the time of waiting counts for the limit, not
 * that of the handler. */
static ssize_t receive(struct httpd_connection *connection, void *buffer,
                       size_t size)
{
    int64_t start_ns;
    ssize_t n;

    if (connection->must_continue) {
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

        connection->must_continue = false;
        n = aloop_stream_put(connection->stream, text, sizeof text - 1);
        if (n < 0)
            return fail(connection, n);
    }
    if (connection->stall_left == 0) {
        connection->stall_ns = connection->httpd->options.stall_ns;
        connection->stall_left = HTTPD_STALL_SIZE;
    }
    start_ns = aloop_now(connection->httpd->loop);
    httpd_limit(connection, connection->stall_ns);
    n = aloop_await(aloop_stream_read(connection->stream, buffer, size));
    httpd_limit(connection, 0);
    if (n <= 0)
        return fail(connection, n == 0 ? ALOOP_EOF : n);
    connection->stall_ns -= aloop_now(connection->httpd->loop) - start_ns;
    if (connection->stall_ns <= 0)
        connection->stall_ns = 1;
    connection->stall_left -= (size_t) n < connection->stall_left
                                  ? (size_t) n
                                  : connection->stall_left;
    return n;
}

/* Takes bytes of the buffer, up to `size`. */
static size_t take(struct httpd_connection *connection, void *buffer,
                   size_t size)
{
    size_t n = connection->end - connection->begin;

    if (n > size)
        n = size;
    memcpy(buffer, connection->buffer + connection->begin, n);
    connection->begin += n;
    return n;
}

static ssize_t read_length(struct httpd_connection *connection, void *buffer,
                           size_t size)
{
    ssize_t n;

    if ((int64_t) size > connection->body_left)
        size = (size_t) connection->body_left;
    n = (ssize_t) take(connection, buffer, size);
    if (n == 0)
        n = receive(connection, buffer, size);
    if (n < 0)
        return n;
    connection->body_left -= n;
    if (connection->body_left == 0)
        connection->has_body_ended = true;
    return n;
}

/* Receives into the buffer of the connection, behind the head. */
static ssize_t refill(struct httpd_connection *connection)
{
    ssize_t n;

    connection->begin = connection->end = connection->body_start;
    n = receive(connection, connection->buffer + connection->end,
                connection->room - connection->end);
    if (n > 0)
        connection->end += (size_t) n;
    return n;
}

static ssize_t read_chunked(struct httpd_connection *connection, void *buffer,
                            size_t size)
{
    size_t used, body = 0;
    int result = 0;

    while (result == 0 && body == 0) {
        size_t available = connection->end - connection->begin;

        if (available == 0) {
            ssize_t n = refill(connection);

            if (n < 0)
                return n;
            available = (size_t) n;
        }
        if (available > size) /* What is decoded has to fit the buffer. */
            available = size;
        result = httpd_chunks_decode(&connection->chunks,
                                     connection->buffer + connection->begin,
                                     available, &used, &body);
        connection->begin += used;
        memcpy(buffer, connection->buffer + connection->begin - body, body);
    }
    if (result < 0)
        return fail(connection, ALOOP_EPROTO);
    connection->has_body_ended = result > 0;
    return (ssize_t) body;
}

/* Reads without a limit of the size. */
static ssize_t read_some(struct httpd_connection *connection, void *buffer,
                         size_t size)
{
    ssize_t n;

    if (connection->body_error < 0)
        return connection->body_error;
    if (connection->has_body_ended)
        return 0;
    if (buffer == NULL || size == 0)
        return ALOOP_EINVAL;
    n = connection->head.length < 0 ? read_chunked(connection, buffer, size)
                                    : read_length(connection, buffer, size);
    if (n > 0)
        connection->body_size += (uint64_t) n;
    return n;
}

ssize_t httpd_read(struct httpd_request *request, void *buffer, size_t size)
{
    struct httpd_connection *connection = httpd_connection_of(request);
    ssize_t n = read_some(connection, buffer, size);

    if (n > 0 && connection->body_size > connection->httpd->options.body_max)
        return fail(connection, ALOOP_EMSGSIZE);
    return n;
}

ssize_t httpd_body_skip(struct httpd_connection *connection)
{
    uint64_t start = connection->body_size;
    char dropped[4096];
    ssize_t n = 0;

    if (connection->must_continue && !connection->has_body_ended)
        return ALOOP_EAGAIN; /* The client may never send it. */
    while (!connection->has_body_ended && n >= 0) {
        if (connection->body_size - start > HTTPD_STALL_SIZE)
            return ALOOP_EMSGSIZE;
        n = read_some(connection, dropped, sizeof dropped);
    }
    return n < 0 ? n : 0;
}
