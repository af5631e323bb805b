/* The server: its connections, and the way from a request to its handler. */

#define _POSIX_C_SOURCE 200809L

#include "httpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpd_connection.h"

enum {
    EMPTY_LINES_MAX = 4,      /* In front of a request. */
    LINGER_SIZE = 256 * 1024, /* Bytes that are read after the last answer. */
    METHODS_SIZE = 128
};

static const int64_t linger_ns = ALOOP_SEC(2);
static const int64_t last_wait_ns = ALOOP_MS(100);

void httpd_limit(struct httpd_connection *connection, int64_t ns)
{
    /* Without memory the previous limit stays, which is stricter. */
    (void) aloop_deadline_restart(connection->deadline,
                                  ns > 0 ? ns : INT64_MAX);
}

static void log_request(struct httpd_connection *connection)
{
    const struct httpd_options *options = &connection->httpd->options;
    struct httpd_log line = {
        .peer = connection->peer,
        .method = connection->head.method,
        .target = connection->head.target,
        .status = connection->status,
        .size = connection->sent,
        .duration_ns = aloop_now(connection->httpd->loop) -
                       connection->start_ns,
    };

    if (options->on_log == NULL)
        return;
    if (line.target[0] == '\0')
        line.method = line.target = "-";
    options->on_log(&line, options->log_arg);
}

/* Moves what was received to the beginning of the buffer. */
static void move_to_front(struct httpd_connection *connection)
{
    connection->end -= connection->begin;
    memmove(connection->buffer, connection->buffer + connection->begin,
            connection->end);
    connection->begin = 0;
}

/* Reads the first bytes of a request, or more of its head.
 *
 * Returns 1, or 0 if there is nothing to answer, or an error. */
static ssize_t receive_head(struct httpd_connection *connection)
{
    struct httpd *httpd = connection->httpd;
    bool is_idle = connection->begin == connection->end;
    aloop_future *read;
    ssize_t n;

    if (is_idle)
        connection->begin = connection->end = 0;
    if (connection->begin > 0 && connection->end == connection->room)
        move_to_front(connection);
    if (is_idle && httpd->is_stopping) {
        if (connection->served > 0)
            return 0;
        httpd_limit(connection, last_wait_ns);
    }
    read = aloop_stream_read(connection->stream,
                             connection->buffer + connection->end,
                             connection->room - connection->end);
    connection->idle = is_idle ? read : NULL;
    n = aloop_await(read);
    connection->idle = NULL;
    if (n <= 0)
        return is_idle && (n == ALOOP_ETIMEDOUT || n == ALOOP_EABORTED) ? 0 : n;
    connection->end += (size_t) n;
    if (!connection->has_begun) /* Empty lines do not begin it again. */
        httpd_limit(connection, httpd->options.head_ns);
    connection->has_begun = true;
    return 1;
}

/* Reads until the head is complete, and stores its size.
 *
 * Returns 1; 0: there is no request; a status of HTTP if the request is wrong;
 * or an error. */
static ssize_t read_head(struct httpd_connection *connection, size_t *ret_size)
{
    const struct httpd_options *options = &connection->httpd->options;
    size_t scanned = 0;
    unsigned empty_lines = 0;

    for (;;) {
        const char *text = connection->buffer + connection->begin;
        size_t size = connection->end - connection->begin;
        int64_t end = httpd_head_end(text, size, &scanned);
        ssize_t status;

        if (end < 0)
            return 400;
        if (end == 2) {
            if (++empty_lines > EMPTY_LINES_MAX)
                return 400;
            connection->begin += 2;
            scanned = 0;
            continue;
        }
        if (end > (int64_t) options->head_max ||
            (end == 0 && size >= options->head_max))
            return memchr(text, '\n', options->head_max) == NULL ? 414 : 431;
        if (end > 0) {
            *ret_size = (size_t) end;
            return 1;
        }
        status = receive_head(connection);
        if (status == 0)
            return size == 0 ? 0 : 400; /* The end is in a head. */
        if (status < 0)
            return status == ALOOP_ETIMEDOUT ? 408 : status;
    }
}

static bool has_method(const struct httpd_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* Returns how many bytes of `path` the route matches, or 0. */
static size_t match(const struct httpd_route *route, const char *path)
{
    size_t size = strlen(route->path);

    if (size == 0 || strncmp(route->path, path, size) != 0)
        return 0;
    return route->path[size - 1] == '/' || path[size] == '\0' ? size : 0;
}

/* Finds the route of a request, or NULL.  *ret_size is the number of bytes of
 * the path that the longest routes match, whatever their methods are. */
static const struct httpd_route *find_route(struct httpd_connection *connection,
                                            size_t *ret_size)
{
    const struct httpd_options *options = &connection->httpd->options;
    const struct httpd_request *request = &connection->request;
    const struct httpd_route *found = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < options->routes_count; i++) {
        const struct httpd_route *route = &options->routes[i];
        size_t size = match(route, request->path);

        if (size > longest) {
            longest = size;
            found = NULL;
        }
        if (size > 0 && size == longest && found == NULL &&
            has_method(route, request->method))
            found = route;
    }
    *ret_size = longest;
    return found;
}

/* Lists the methods of the routes that match `size` bytes of the path. */
static void list_methods(struct httpd_connection *connection, size_t size,
                         char methods[METHODS_SIZE])
{
    const struct httpd_options *options = &connection->httpd->options;

    methods[0] = '\0';
    for (size_t i = 0; i < options->routes_count && size > 0; i++) {
        const struct httpd_route *route = &options->routes[i];
        size_t used = strlen(methods);

        if (match(route, connection->request.path) == size)
            snprintf(methods + used, METHODS_SIZE - used, "%s%s%s",
                     used > 0 ? ", " : "", route->method,
                     strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
    }
}

/* Answers what the server answers itself: no route, OPTIONS. */
static ssize_t answer_without_route(struct httpd_connection *connection,
                                    size_t matched)
{
    struct httpd_request *request = &connection->request;
    bool is_options = strcmp(request->method, "OPTIONS") == 0;
    char methods[METHODS_SIZE];

    list_methods(connection, matched, methods);
    if (strcmp(request->path, "*") == 0)
        strcpy(methods, "GET, HEAD, POST, PUT, DELETE, PATCH");
    else if (matched == 0)
        return httpd_answer_status(connection, 404, false);
    httpd_add_field(request, "Allow", methods);
    return is_options ? httpd_answer(request, 204, NULL, "", 0)
                      : httpd_answer_status(connection, 405, false);
}

/* Returns the status for a handler that has failed without an answer. */
static int status_of(const struct httpd_connection *connection)
{
    static const struct {
        ssize_t error;
        int status;
    } statuses[] = {
        {ALOOP_EPROTO, 400},
        {ALOOP_EOF, 400},
        {ALOOP_EMSGSIZE, 413},
        {ALOOP_ETIMEDOUT, 408},
    };

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (connection->body_error == statuses[i].error)
            return statuses[i].status;
    return 500;
}

/* Runs the handler, and completes the answer. */
static ssize_t answer(struct httpd_connection *connection)
{
    size_t matched;
    const struct httpd_route *route = find_route(connection, &matched);
    ssize_t status;

    if (connection->head.length > (int64_t) connection->httpd->options.body_max)
        return httpd_answer_status(connection, 413, true);
    connection->request.rest = connection->request.path + matched;
    status = route == NULL ? answer_without_route(connection, matched)
                           : route->handler(&connection->request, route->arg);
    if (connection->status == 0) {
        if (aloop_is_cancelled())
            return ALOOP_ECANCELED;
        connection->extra_size = 0;
        status = httpd_answer_status(connection, status_of(connection),
                                     connection->body_error < 0);
    }
    if (status >= 0)
        status = httpd_answer_end(connection);
    return status;
}

static void fill_request(struct httpd_connection *connection)
{
    const struct httpd_head *head = &connection->head;

    connection->request = (struct httpd_request){
        .loop = connection->httpd->loop,
        .method = head->method,
        .path = head->path,
        .rest = head->path,
        .query = head->query,
        .host = head->host == NULL ? "" : head->host,
        .target = head->target,
        .length = head->length,
    };
}

/* Serves one request.  Returns 1 if there may be another one; 0 if the
 * connection is to be closed; or an error, after which it is reset. */
static ssize_t serve_request(struct httpd_connection *connection)
{
    const struct httpd_options *options = &connection->httpd->options;
    size_t size = 0;
    ssize_t status = read_head(connection, &size);

    if (status <= 0)
        return status;
    connection->start_ns = aloop_now(connection->httpd->loop);
    httpd_limit(connection, 0);
    if (status == 1) {
        /* A chunked body is received behind the head, which has to stay. */
        if (connection->room - connection->begin - size < HTTPD_BODY_ROOM / 2)
            move_to_front(connection);
        status = httpd_head_parse(connection->buffer + connection->begin, size,
                                  options->fields_max, connection->paths,
                                  &connection->head);
        connection->begin += size;
    } else {
        connection->head = (struct httpd_head){.method = "-",
                                               .target = connection->paths,
                                               .is_last = true};
        connection->paths[0] = '\0';
    }
    fill_request(connection);
    httpd_body_init(connection);
    httpd_answer_init(connection);
    connection->served++;
    status = status > 0 ? httpd_answer_status(connection, (int) status, true)
                        : answer(connection);
    if (status > 0 || (status == 0 && connection->held > 0))
        status = httpd_answer_end(connection);
    if (status == 0 && !connection->is_last && !connection->has_body_ended &&
        httpd_body_skip(connection) < 0)
        connection->is_last = true; /* Its end is not known. */
    log_request(connection);
    if (status < 0)
        return status;
    connection->has_begun = connection->begin < connection->end;
    httpd_limit(connection,
                connection->has_begun ? options->head_ns : options->idle_ns);
    return connection->is_last ? 0 : 1;
}

/* Reads what a client still sends after the last answer.  Otherwise the system
 * sends a reset, and the client may lose the answer. */
static void linger(struct httpd_connection *connection)
{
    size_t size = 0;
    ssize_t n;

    httpd_limit(connection, linger_ns);
    if (aloop_await(aloop_stream_shutdown(connection->stream)) < 0)
        return;
    do {
        n = aloop_await(aloop_stream_read(
            connection->stream, connection->buffer, connection->room));
        size += n > 0 ? (size_t) n : 0;
    } while (n > 0 && size < LINGER_SIZE);
}

static struct httpd_connection *connection_new(struct httpd *httpd,
                                               aloop_stream *stream)
{
    size_t head_max = httpd->options.head_max;
    struct httpd_connection *connection = calloc(1, sizeof *connection);
    char *buffer = malloc(2 * head_max + HTTPD_BODY_ROOM);

    if (connection == NULL || buffer == NULL) {
        free(buffer);
        free(connection);
        return NULL;
    }
    connection->httpd = httpd;
    connection->stream = stream;
    connection->paths = buffer;
    connection->buffer = buffer + head_max;
    connection->room = head_max + HTTPD_BODY_ROOM;
    connection->next = httpd->first;
    if (httpd->first != NULL)
        httpd->first->previous = connection;
    httpd->first = connection;
    return connection;
}

static void connection_free(struct httpd_connection *connection)
{
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        connection->httpd->first = connection->next;
    free(connection->paths);
    free(connection);
}

/* Serves one connection.  A client that misbehaves or leaves is no error of the
 * server, so the result is 0. */
static ssize_t serve(aloop *loop, aloop_stream *stream, void *arg)
{
    struct httpd *httpd = arg;
    struct httpd_connection *connection = connection_new(httpd, stream);
    ssize_t status = ALOOP_ENOMEM;

    if (connection == NULL) {
        aloop_stream_abort(stream);
        return ALOOP_ENOMEM;
    }
    connection->deadline = aloop_deadline_begin(loop, httpd->options.head_ns);
    if (connection->deadline != NULL)
        status = aloop_stream_set_watermarks(stream, HTTPD_MARK_LOW,
                                             HTTPD_MARK_HIGH);
    if (status == 0 && httpd->options.on_log != NULL &&
        aloop_stream_peer(stream, connection->peer, sizeof connection->peer) <
            0)
        strcpy(connection->peer, "-");
    if (status == 0)
        do
            status = serve_request(connection);
        while (status > 0);
    /* The library would send the rest of a closed stream without a limit for a
     * client that receives a byte now and then. */
    if (status == 0)
        status = httpd_drain(connection, 0);
    if (status == 0 && connection->is_last)
        linger(connection);
    aloop_deadline_end(connection->deadline);
    if (status < 0)
        aloop_stream_abort(stream);
    else
        aloop_stream_close(stream);
    connection_free(connection);
    return status == ALOOP_ENOMEM ? status : 0;
}

static void set_defaults(struct httpd_options *options)
{
    static const struct httpd_options defaults = {
        .head_max = (size_t) 16 * 1024,
        .fields_max = 100,
        .body_max = (uint64_t) 1024 * 1024,
        .idle_ns = ALOOP_SEC(60),
        .head_ns = ALOOP_SEC(10),
        .stall_ns = ALOOP_SEC(30),
    };

    if (options->head_max == 0)
        options->head_max = defaults.head_max;
    if (options->fields_max == 0)
        options->fields_max = defaults.fields_max;
    if (options->body_max == 0)
        options->body_max = defaults.body_max;
    if (options->idle_ns == 0)
        options->idle_ns = defaults.idle_ns;
    if (options->head_ns == 0)
        options->head_ns = defaults.head_ns;
    if (options->stall_ns == 0)
        options->stall_ns = defaults.stall_ns;
}

int httpd_start(aloop *loop, const char *host, const char *port,
                const struct httpd_options *options, struct httpd **ret_httpd)
{
    struct httpd *httpd = calloc(1, sizeof *httpd);
    aloop_server_options server = {.size = sizeof server,
                                   .connections_max = options->connections_max,
                                   .listen = options->listen};
    int result;

    if (httpd == NULL)
        return ALOOP_ENOMEM;
    httpd->loop = loop;
    httpd->options = *options;
    set_defaults(&httpd->options);
    if (options->kept_max > 0) /* Without memory, none are kept. */
        httpd->kept = httpd_kept_new(loop, options->kept_max);
    result = aloop_tcp_serve(loop, host, port, serve, httpd, &server,
                             &httpd->server);
    if (result < 0) {
        httpd_kept_free(httpd->kept);
        free(httpd);
        return result;
    }
    httpd->port = aloop_listener_port(aloop_server_listener(httpd->server));
    *ret_httpd = httpd;
    return 0;
}

int httpd_port(const struct httpd *httpd)
{
    return httpd->port;
}

ssize_t httpd_stop(struct httpd *httpd, int64_t grace_ns)
{
    aloop_future *stopped;
    ssize_t status;

    httpd->is_stopping = true;
    stopped = aloop_server_stop(httpd->server, grace_ns);
    for (struct httpd_connection *connection = httpd->first; connection != NULL;
         connection = connection->next)
        if (connection->idle != NULL && connection->served > 0)
            aloop_cancel(connection->idle);
    status = aloop_await(stopped);
    httpd_kept_free(httpd->kept);
    free(httpd);
    return status;
}

const char *httpd_field(const struct httpd_request *request, const char *name)
{
    return httpd_head_field(&((const struct httpd_connection *) request)->head,
                            name);
}
