/* One request and the header of its reply, on one connection (RFC 9112).
 *
 * While a body is sent, the connection is also read, because a server that does
 * not want the body answers early and may then read no more of it. */

#define _POSIX_C_SOURCE 200809L

#include "http_exchange.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http_pool.h"

enum { INTERIM_MAX = 32, PIECE_SIZE = 8 * 1024 };

/* Text on its way to a stream, so that small parts become one put. */
struct out {
    aloop_stream *stream;
    int status; /* 0, 1 (the stream has enough), or an error. */
    size_t size;
    char data[2 * 1024];
};

static void flush(struct out *out)
{
    if (out->size > 0 && out->status >= 0)
        out->status = aloop_stream_put(out->stream, out->data, out->size);
    out->size = 0;
}

static void add_bytes(struct out *out, const void *data, size_t size)
{
    if (size > sizeof out->data - out->size)
        flush(out);
    if (size > sizeof out->data) {
        if (out->status >= 0)
            out->status = aloop_stream_put(out->stream, data, size);
        return;
    }
    if (size > 0)
        memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void add(struct out *out, const char *text)
{
    add_bytes(out, text, strlen(text));
}

static void add_field(struct out *out, const char *name, const char *value)
{
    add(out, name);
    add(out, ": ");
    add(out, value);
    add(out, "\r\n");
}

static bool is_in(const char *name, const char *const *names)
{
    while (*names != NULL && strcasecmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

static bool is_token(const char *text)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return *text != '\0' && text[strspn(text, token)] == '\0';
}

static bool is_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char) *text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

int http_check_request(const http_session *session,
                       const struct http_request *request)
{
    static const char *const ours[] = {
        "Connection", "Content-Length",    "Expect",  "Host",
        "TE",         "Transfer-Encoding", "Upgrade", NULL};

    if (request->method != NULL &&
        (!is_token(request->method) || strcmp(request->method, "CONNECT") == 0))
        return HTTP_EREQUEST;
    if (!is_value(session->options.agent) ||
        (request->source == NULL && request->body == NULL &&
         request->body_size > 0))
        return HTTP_EREQUEST;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];

        if (!is_token(field->name) || !is_value(field->value) ||
            is_in(field->name, ours))
            return HTTP_EREQUEST;
    }
    return 0;
}

static bool has_field(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (strcasecmp(request->fields[i].name, name) == 0)
            return true;
    return false;
}

static void add_host(struct out *out, const struct url *url)
{
    bool is_ipv6 = strchr(url->host, ':') != NULL;

    add(out, is_ipv6 ? "Host: [" : "Host: ");
    add(out, url->host);
    if (is_ipv6)
        add(out, "]");
    if (!url_has_default_port(url)) {
        add(out, ":");
        add(out, url->port);
    }
    add(out, "\r\n");
}

static void add_length(struct out *out, uint64_t size)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long) size);
    add_field(out, "Content-Length", text);
}

static bool is_chunked(const struct http_request *request)
{
    return request->source != NULL && request->body_size == 0;
}

/* The fields that describe how long the body is. */
static void add_framing(struct out *out, const struct http_reply *reply)
{
    static const char *const with_body[] = {"POST", "PUT", "PATCH", NULL};

    if (reply->has_body && is_chunked(reply->request))
        add_field(out, "Transfer-Encoding", "chunked");
    else if (reply->has_body)
        add_length(out, reply->request->body_size);
    else if (is_in(reply->method, with_body))
        add_length(out, 0);
    if (reply->has_body && reply->request->has_expectation)
        add_field(out, "Expect", "100-continue");
}

static int send_head(const struct http_reply *reply)
{
    static const char *const secrets[] = {"Authorization", "Cookie",
                                          "Proxy-Authorization", NULL};
    static const char *const of_bodies[] = {
        "Content-Encoding", "Content-Language", "Content-Location",
        "Content-Type", NULL};
    const struct http_request *request = reply->request;
    struct out out = {.stream = reply->connection->stream};

    add(&out, reply->method);
    add(&out, " ");
    add(&out, reply->url.target);
    add(&out, " HTTP/1.1\r\n");
    add_host(&out, &reply->url);
    if (!has_field(request, "User-Agent"))
        add_field(&out, "User-Agent", reply->session->options.agent);
    if (!has_field(request, "Accept"))
        add_field(&out, "Accept", "*/*");
    if (!has_field(request, "Accept-Encoding"))
        add_field(&out, "Accept-Encoding", "identity");
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];

        if ((!reply->is_foreign || !is_in(field->name, secrets)) &&
            (reply->has_body || !is_in(field->name, of_bodies)))
            add_field(&out, field->name, field->value);
    }
    add_framing(&out, reply);
    add(&out, "\r\n");
    flush(&out);
    return out.status;
}

/* Reads the next header: that of an interim or of the final reply. */
static ssize_t read_head(struct http_reply *reply)
{
    struct http_connection *connection = reply->connection;
    ssize_t status = http_head_read(&connection->input, &reply->head_budget,
                                    &connection->head);

    if (status < 0)
        return status;
    if (connection->head.status == 101)
        return HTTP_EUPGRADE;
    reply->has_head = connection->head.status >= 200;
    if (!reply->has_head && ++reply->interim > INTERIM_MAX)
        return HTTP_EINTERIM;
    return 0;
}

/* Reads the headers that have arrived, at least one.  An interim reply and the
 * final one may arrive together, and then no more bytes follow for which the
 * caller could wait. */
static ssize_t read_arrived(struct http_reply *reply)
{
    const struct http_input *input = &reply->connection->input;
    ssize_t status;

    do
        status = read_head(reply);
    while (status == 0 && !reply->has_head && input->start < input->end);
    return status;
}

/* Waits until the stream can take more of the body, or a header arrives.  The
 * race cancels the loser, and a read that was cancelled has lost no bytes. */
static ssize_t wait_for_room(struct http_reply *reply)
{
    struct http_connection *connection = reply->connection;
    aloop_future *reading = http_input_watch(&connection->input);
    bool has_reply;
    ssize_t status =
        aloop_await(aloop_race(reply->session->loop, aloop_future_ref(reading),
                               aloop_stream_drain(connection->stream)));

    has_reply = aloop_future_status(reading) != ALOOP_ECANCELED;
    if (!has_reply)
        http_input_close(&connection->input);
    return status < 0 || !has_reply ? status : read_arrived(reply);
}

/* Gives the next piece of the body.  *ret_data points to `buffer`, or into the
 * body of the request.  Returns 0 at its end. */
static ssize_t next_piece(struct http_reply *reply, uint64_t sent, char *buffer,
                          const char **ret_data)
{
    const struct http_request *request = reply->request;
    uint64_t left = request->body_size - sent;
    size_t size = PIECE_SIZE;
    ssize_t n;

    if (!is_chunked(request) && left < size)
        size = (size_t) left;
    if (size == 0)
        return 0;
    if (request->source == NULL) {
        *ret_data = (const char *) request->body + sent;
        return (ssize_t) size;
    }
    reply->was_read = true;
    *ret_data = buffer;
    n = request->source(buffer, size, request->source_arg);
    if (n > (ssize_t) size)
        n = ALOOP_EINVAL; /* More than fits the buffer. */
    else if (n == 0 && !is_chunked(request))
        n = HTTP_ESOURCE;
    reply->has_failed = n < 0;
    return n;
}

/* Puts a piece, as a chunk if need be; the last chunk is an empty one. */
static int put_piece(const struct http_reply *reply, const char *data,
                     size_t size)
{
    struct out out = {.stream = reply->connection->stream};
    char line[24];

    if (is_chunked(reply->request)) {
        snprintf(line, sizeof line, "%zx\r\n", size);
        add(&out, line);
    }
    add_bytes(&out, data, size);
    if (is_chunked(reply->request))
        add(&out, "\r\n");
    flush(&out);
    return out.status;
}

/* Sends the body, unless the final reply arrives before its end. */
static ssize_t send_body(struct http_reply *reply)
{
    char buffer[PIECE_SIZE];
    uint64_t sent = 0;
    ssize_t n;

    reply->is_body_unsent = true;
    do {
        const char *data = NULL;
        ssize_t status;

        n = next_piece(reply, sent, buffer, &data);
        if (n < 0)
            return n;
        if (n > 0 || is_chunked(reply->request)) {
            status = put_piece(reply, data, (size_t) n);
            if (status == 1)
                status = wait_for_room(reply);
            if (status < 0 || reply->has_head)
                return status;
        }
        sent += (uint64_t) n;
    } while (n > 0);
    reply->is_body_unsent = false;
    return 0;
}

/* Waits for the server's decision about the body.  A server that does not know
 * the field waits for the body, and therefore the wait is limited. */
static ssize_t wait_for_continue(struct http_reply *reply)
{
    ssize_t n = http_input_fill(&reply->connection->input, ALOOP_SEC(1));

    reply->is_body_unsent = true;
    if (n == ALOOP_ETIMEDOUT)
        return 0;
    if (n <= 0)
        return n < 0 ? n : HTTP_ENOREPLY;
    return read_arrived(reply);
}

static ssize_t send_request(struct http_reply *reply)
{
    ssize_t status = send_head(reply);

    if (status < 0 || !reply->has_body)
        return status;
    if (reply->request->has_expectation)
        status = wait_for_continue(reply);
    if (status < 0 || reply->has_head)
        return status;
    return send_body(reply);
}

/* Returns whether the server no longer reads, so that it may have replied
 * already.  The same error of a source means that the server still waits for
 * the body. */
static bool is_refused(const struct http_reply *reply, ssize_t status)
{
    return !reply->has_failed &&
           (status == ALOOP_EPIPE || status == ALOOP_ECONNRESET);
}

ssize_t http_exchange(struct http_reply *reply)
{
    struct http_connection *connection = reply->connection;
    const struct http_head *head = &connection->head;
    ssize_t status;

    reply->step = HTTP_STEP_SEND;
    reply->head_budget = reply->session->options.head_max;
    reply->interim = 0;
    reply->has_head = reply->has_failed = reply->is_body_unsent = false;
    reply->body = (struct http_body){0}; /* Not that of a redirect. */
    connection->input.has_bytes = false;
    status = send_request(reply);
    if (status < 0 && !is_refused(reply, status))
        return status;
    if (status >= 0)
        reply->step = HTTP_STEP_HEAD;
    while (!reply->has_head) {
        ssize_t result = read_head(reply);

        if (result < 0)
            return status < 0 ? status : result;
    }
    reply->step = HTTP_STEP_HEAD;
    reply->status = head->status;
    reply->length = head->is_coded ? -1 : head->length;
    http_body_begin(&reply->body, head, strcmp(reply->method, "HEAD") == 0,
                    &connection->input, reply->head_budget, reply->body_max);
    if (reply->body.framing == HTTP_TO_CLOSE)
        connection->head.is_kept = false;
    return 0;
}
