/* A small HTTP/1.1 server with three slow pages.
 *
 * It answers one GET request for each connection. */

#include "http_server.h"

#include <stdio.h>
#include <string.h>

enum { REQUEST_MAX = 4096, PIECES = 20, PIECE_MAX = 4096 };

static const struct page {
    const char *path;
    size_t piece_size; /* Bytes; at most PIECE_MAX. */
} pages[HTTP_SERVER_PAGES] = {
    {"/one", 1000},
    {"/two", 2000},
    {"/three", 4000},
};

const char *http_server_path(size_t index)
{
    return index < HTTP_SERVER_PAGES ? pages[index].path : "/";
}

/* Returns the page that "GET /path HTTP/1..." requests.  If there is none,
 * returns NULL and stores the status line of the reply in *ret_error. */
static const struct page *find_page(char *request, const char **ret_error)
{
    char *path = request + 4;
    size_t size;

    *ret_error = "405 Method Not Allowed";
    if (strncmp(request, "GET ", 4) != 0)
        return NULL;
    *ret_error = "400 Bad Request";
    size = strcspn(path, " \r\n");
    if (strncmp(path + size, " HTTP/1.", 8) != 0)
        return NULL;
    *ret_error = "404 Not Found";
    path[size] = '\0';
    for (size_t i = 0; i < HTTP_SERVER_PAGES; i++)
        if (strcmp(path, pages[i].path) == 0)
            return &pages[i];
    return NULL;
}

static ssize_t send_head(aloop_stream *stream, const char *status, size_t size)
{
    char head[256];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\n"
                          "Content-Type: text/plain\r\n"
                          "Content-Length: %zu\r\n"
                          "Connection: close\r\n"
                          "\r\n",
                          status, size);

    return aloop_await(aloop_stream_write(stream, head, (size_t) length));
}

/* Sends the page in pieces, the last of them after one second. */
static ssize_t send_page(aloop *loop, aloop_stream *stream,
                         const struct page *page)
{
    char piece[PIECE_MAX];
    int64_t start_ns = aloop_now(loop);
    ssize_t status = send_head(stream, "200 OK", PIECES * page->piece_size);

    memset(piece, '.', sizeof piece);
    piece[page->piece_size - 1] = '\n';
    for (int i = 1; i <= PIECES && status >= 0; i++) {
        status = aloop_await(
            aloop_sleep_until(loop, start_ns + i * ALOOP_SEC(1) / PIECES));
        if (status >= 0)
            status = aloop_await(
                aloop_stream_write(stream, piece, page->piece_size));
    }
    return status;
}

static ssize_t answer(aloop *loop, aloop_stream *stream)
{
    char request[REQUEST_MAX + 1];
    const struct page *page;
    const char *error;
    ssize_t n = aloop_await(
        aloop_stream_read_until(stream, request, REQUEST_MAX, "\r\n\r\n", 4));

    if (n == ALOOP_EMSGSIZE)
        return send_head(stream, "431 Request Header Fields Too Large", 0);
    if (n < 0)
        return n;
    request[n] = '\0';
    page = find_page(request, &error);
    if (page == NULL)
        return send_head(stream, error, 0);
    return send_page(loop, stream, page);
}

/* Serves one connection and closes it.  The deadline ends it if the client does
 * not send or receive.  Errors are ignored, because most of them mean that the
 * client closed the connection. */
static ssize_t serve(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    aloop_deadline *deadline = aloop_deadline_begin(loop, ALOOP_SEC(10));

    if (deadline != NULL)
        answer(loop, stream);
    aloop_deadline_end(deadline);
    aloop_stream_close(stream);
    return 0;
}

/* `arg` is the stream.  serve() always returns 0; an error means that there was
 * no memory for its stack, so that it did not run and close the stream. */
static void on_served(aloop_future *task, ssize_t status, void *arg)
{
    (void) task;
    if (status < 0)
        aloop_stream_abort(arg);
}

/* `arg` is the loop. */
static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    aloop_future *task = aloop_spawn((aloop *) arg, serve, stream);

    (void) listener;
    if (task == NULL) {
        aloop_stream_abort(stream);
        return;
    }
    aloop_then(task, on_served, stream);
}

int http_server_start(aloop *loop, aloop_listener **ret_listener)
{
    return aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream, loop,
                            ret_listener);
}
