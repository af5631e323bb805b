/* WebSocket connections to a server. */

#define _POSIX_C_SOURCE 200809L

#include "websocket_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "http_error.h"
#include "http_head.h"
#include "httpd_head.h"
#include "url.h"

enum { HEAD_MAX = 16 * 1024, REQUEST_SIZE = URL_SIZE + 600, POOL_SIZE = 1024 };

/* Fills a buffer from the generator of the system. */
static int read_random(unsigned char *data, size_t size)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC), error = 0;
    size_t done = 0;

    if (fd < 0)
        return -errno;
    while (done < size && error == 0) {
        ssize_t n = read(fd, data + done, size - done);

        if (n > 0)
            done += (size_t) n;
        else if (n == 0 || errno != EINTR)
            error = n == 0 ? ALOOP_EOF : -errno;
    }
    close(fd);
    return error;
}

/* Takes bytes that are used once.  A mask has to be unpredictable (10.3). */
static int fill_random(void *data, size_t size)
{
    static _Thread_local unsigned char pool[POOL_SIZE];
    static _Thread_local size_t left;

    if (left < size) {
        int error = read_random(pool, sizeof pool);

        if (error < 0)
            return error;
        left = sizeof pool;
    }
    left -= size;
    memcpy(data, pool + left, size);
    return 0;
}

/* Parses "ws://...", which has the form of "http://...". */
static int parse_url(const char *text, struct url *ret)
{
    char http[URL_SIZE];
    int size;

    if (strncasecmp(text, "ws://", 5) != 0)
        return HTTP_EURL;
    size = snprintf(http, sizeof http, "http%s", text + 2);
    return size < (int) sizeof http ? url_parse(http, ret) : HTTP_EURL;
}

static int send_request(struct websocket_client *client, const struct url *url,
                        const char *key)
{
    bool is_ipv6 = strchr(url->host, ':') != NULL;
    bool has_port = !url_has_default_port(url);
    char request[REQUEST_SIZE];
    int size =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: %s%s%s%s%s\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: %s\r\n\r\n",
                 url->target, is_ipv6 ? "[" : "", url->host, is_ipv6 ? "]" : "",
                 has_port ? ":" : "", has_port ? url->port : "", key);

    return aloop_stream_put(client->socket.stream, request, (size_t) size);
}

/* Judges the answer (4.1).  Returns NULL, or why it is wrong. */
static const char *check(const struct http_head *head, const char *key)
{
    const char *upgrade = http_head_field(head, "Upgrade");
    const char *connection = http_head_field(head, "Connection");
    const char *accept = http_head_field(head, "Sec-WebSocket-Accept");
    char expected[WEBSOCKET_ACCEPT_SIZE];

    websocket_accept(key, expected);
    if (head->status != 101)
        return "the server does not change to WebSocket";
    if (upgrade == NULL || strcasecmp(upgrade, "websocket") != 0 ||
        connection == NULL || !httpd_list_has(connection, "upgrade"))
        return "the server changes to another protocol";
    if (accept == NULL || strcmp(accept, expected) != 0)
        return "the server accepts another key";
    if (http_head_field(head, "Sec-WebSocket-Extensions") != NULL)
        return "the server uses an extension that was not offered";
    if (http_head_field(head, "Sec-WebSocket-Protocol") != NULL)
        return "the server uses a subprotocol that was not offered";
    return NULL;
}

static ssize_t shake_hands(struct websocket_client *client,
                           const struct url *url)
{
    struct http_head head = {0};
    size_t budget = HEAD_MAX;
    unsigned char random[16];
    char key[WEBSOCKET_KEY_SIZE];
    ssize_t status = fill_random(random, sizeof random);

    if (status < 0)
        return status;
    websocket_key(random, key);
    status = send_request(client, url, key);
    if (status >= 0)
        status = http_head_read(&client->input, &budget, &head);
    if (status == 0) {
        client->why = check(&head, key);
        status = client->why == NULL ? 0 : ALOOP_EPROTO;
    }
    http_head_free(&head);
    return status;
}

/* Connects, and begins the connection when the handshake is complete. */
static ssize_t open_client(aloop *loop, const struct url *url,
                           const struct websocket_options *options,
                           struct websocket_client *client)
{
    struct websocket_stream *socket = &client->socket;
    ssize_t status = aloop_await(
        aloop_tcp_connect(loop, url->host, url->port, &socket->stream));

    if (status < 0)
        return status;
    client->input.stream = socket->stream;
    status = shake_hands(client, url);
    socket->buffer = client->input.data;
    socket->room = sizeof client->input.data;
    socket->begin = client->input.start;
    socket->end = client->input.end;
    socket->fill_random = fill_random;
    if (status == 0)
        status = websocket_begin(loop, options, socket);
    if (status < 0)
        aloop_stream_abort(socket->stream);
    return status;
}

ssize_t websocket_connect(aloop *loop, const char *url,
                          const struct websocket_options *options,
                          struct websocket_client *ret)
{
    int64_t limit_ns = options->answer_ns > 0 ? options->answer_ns
                                              : ALOOP_SEC(20);
    aloop_deadline *deadline;
    struct url parsed;
    ssize_t status;

    memset(ret, 0, sizeof *ret);
    status = parse_url(url, &parsed);
    if (status < 0) {
        ret->why = "not a ws:// URL";
    } else {
        deadline = aloop_deadline_begin(loop, limit_ns);
        status = deadline != NULL ? open_client(loop, &parsed, options, ret)
                                  : ALOOP_ENOMEM;
        if (deadline != NULL)
            aloop_deadline_end(deadline);
    }
    if (status < 0 && ret->why == NULL)
        ret->why = http_strerror(status);
    return status;
}

ssize_t websocket_disconnect(struct websocket_client *client, ssize_t status,
                             int code, const char *reason)
{
    ssize_t result = websocket_end(&client->socket, status, code, reason);

    if (result < 0)
        aloop_stream_abort(client->socket.stream);
    else
        aloop_stream_close(client->socket.stream);
    return result;
}
