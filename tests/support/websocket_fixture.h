/* Shared by the tests of WebSocket connections: the HTTP server of the examples
 * with a WebSocket echo on the simulated system, and clients that send frames.
 *
 * What a client has received is written as words:
 *
 *     text(hello) binary(x)    messages, of one or more frames
 *     text*65536               a message of more than 200 bytes
 *     ping(a) pong(b)
 *     close(1000 reason) close()
 *     end reset                how the connection ended */

#ifndef WEBSOCKET_FIXTURE_H
#define WEBSOCKET_FIXTURE_H

#include "httpd_fixture.h"

#include "../examples/support/websocket_httpd.h"

#define HANDSHAKE \
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" \
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

enum {
    FIN = 0x80,
    TEXT = FIN | WEBSOCKET_TEXT,
    BINARY = FIN | WEBSOCKET_BINARY,
    CLOSE = FIN | WEBSOCKET_OP_CLOSE,
    PING = FIN | WEBSOCKET_OP_PING,
    PONG = FIN | WEBSOCKET_OP_PONG,
    TEXT_PART = WEBSOCKET_TEXT,
    PART = WEBSOCKET_CONTINUATION,
    LAST_PART = FIN,
    MESSAGE_MAX = 100 * 1000 /* Of the server. */
};

static struct websocket_options socket_options;
static struct websocket_origins socket_origins;

/* What the handler of the latest connection has returned. */
static ssize_t socket_status;

/* What a client sends, and the message that it expects back. */
static struct {
    char bytes[400 * 1024];
    size_t size;
    char message[MESSAGE_MAX + 10];
    size_t message_size;
} out;

static inline ssize_t echo_parts(struct websocket_stream *socket)
{
    struct websocket_event part;
    ssize_t status;

    while ((status = websocket_receive(socket, &part)) > 0) {
        int sent = websocket_send(socket, part.is_text, part.data, part.size,
                                  part.is_last);

        if (sent < 0)
            return sent;
    }
    return status;
}

static inline ssize_t echo_socket(struct httpd_request *request, void *arg)
{
    struct websocket_stream socket;
    ssize_t status =
        websocket_upgrade(request, &socket_options, &socket_origins, &socket);

    (void) arg;
    if (status <= 0)
        return status;
    socket_status = echo_parts(&socket);
    return websocket_end(&socket, socket_status, 0, "");
}

/* Starts a server whose connections are served by a handler. */
static inline void start_sockets(httpd_handler handler)
{
    static struct httpd_route routes[] = {{"GET", "/", NULL, NULL}};
    struct httpd_options options = {.routes = routes, .routes_count = 1};

    routes[0].handler = handler;
    socket_options = (struct websocket_options){.message_max = MESSAGE_MAX};
    socket_origins = (struct websocket_origins){NULL, 0};
    socket_status = 1;
    sim_buffer_size(512 * 1024);
    start_httpd(&options);
}

static inline void start_echo(void)
{
    start_sockets(echo_socket);
}

/* Connects a client whose handshake is complete. */
static inline int open_socket(void)
{
    int peer = connect_client();
    char *end;

    out.size = got.size = 0;
    client_sends(peer, HANDSHAKE, sizeof HANDSHAKE - 1);
    client_receives(peer, MS);
    end = strstr(got.text, "\r\n\r\n");
    assert_non_null(end);
    assert_memory_equal(got.text, "HTTP/1.1 101 ", 13);
    assert_ptr_equal(end + 4, got.text + got.size);
    got.size = 0;
    return peer;
}

static inline void add_bytes(const void *data, size_t size)
{
    assert_true(size <= sizeof out.bytes - out.size);
    if (size > 0)
        memcpy(out.bytes + out.size, data, size);
    out.size += size;
}

/* Adds a frame of a client, with a length of `length_size` bytes: 0, 2 or 8. */
static inline void add_frame_with(unsigned first, size_t length_size,
                                  const void *payload, size_t size)
{
    static const unsigned char key[4] = {0x81, 0x02, 0xf3, 0x64};
    unsigned char head[10] = {(unsigned char) first, 0x80};
    const unsigned char *bytes = payload;

    head[1] |= (unsigned char) (length_size == 0   ? size
                                : length_size == 2 ? 126
                                                   : 127);
    for (size_t i = 0; i < length_size; i++)
        head[2 + i] =
            (unsigned char) ((uint64_t) size >> (8 * (length_size - 1 - i)));
    add_bytes(head, 2 + length_size);
    add_bytes(key, sizeof key);
    for (size_t i = 0; i < size; i++)
        add_bytes(&(unsigned char){bytes[i] ^ key[i % 4]}, 1);
}

static inline void add_frame(unsigned first, const void *payload, size_t size)
{
    add_frame_with(first, size < 126 ? 0 : size < 65536 ? 2 : 8, payload, size);
}

static inline void add_text(unsigned first, const char *text)
{
    add_frame(first, text, strlen(text));
}

/* Adds a frame of `size` letters, which are expected back. */
static inline void add_letters(unsigned first, size_t size)
{
    assert_true(size <= sizeof out.message);
    for (size_t i = 0; i < size; i++)
        out.message[i] = (char) ('a' + i % 26);
    out.message_size = size;
    add_frame(first, out.message, size);
}

/* Sends what was added. */
static inline void send_frames(int peer)
{
    client_sends(peer, out.bytes, out.size);
    out.size = 0;
}

static inline size_t add_word(char *words, size_t used, size_t room,
                              const char *name, const char *payload,
                              size_t size)
{
    const char *space = used > 0 ? " " : "";
    int n = size > 200 ? snprintf(words + used, room - used, "%s%s*%zu", space,
                                  name, size)
                       : snprintf(words + used, room - used, "%s%s(%.*s)",
                                  space, name, (int) size, payload);

    assert_true(n > 0 && (size_t) n < room - used);
    return used + (size_t) n;
}

/* Joins a close's code and its reason. */
static inline size_t add_close(char *words, size_t used, size_t room,
                               const unsigned char *payload, size_t size)
{
    char text[WEBSOCKET_CONTROL_MAX + 10] = "";

    if (size > 0)
        snprintf(text, sizeof text, "%d%s%.*s", payload[0] << 8 | payload[1],
                 size > 2 ? " " : "", (int) size - 2, payload + 2);
    return add_word(words, used, room, "close", text, strlen(text));
}

/* Returns what a client has received in `got`, in words. */
static inline const char *words_of(int peer)
{
    static char words[8192], message[sizeof got.text];
    const unsigned char *next = (const unsigned char *) got.text;
    const unsigned char *end = next + got.size;
    const char *name = NULL;
    size_t used = 0, message_size = 0;

    words[0] = '\0';
    while (end - next >= 2) {
        unsigned first = next[0], length = next[1];
        size_t length_size = length == 126 ? 2 : length == 127 ? 8 : 0;
        size_t size = length_size == 0 ? length : 0;

        assert_true((first & 0x70) == 0 && length < 128);
        next += 2;
        for (size_t i = 0; i < length_size; i++)
            size = size << 8 | *next++;
        assert_true(next + size <= end);
        if ((first & 15) == WEBSOCKET_OP_CLOSE) {
            used = add_close(words, used, sizeof words, next, size);
        } else if ((first & 8) != 0) {
            used = add_word(words, used, sizeof words,
                            first == PING ? "ping" : "pong",
                            (const char *) next, size);
        } else {
            assert_true((name == NULL) == ((first & 15) != 0));
            if (name == NULL)
                name = (first & 15) == WEBSOCKET_TEXT ? "text" : "binary";
            memcpy(message + message_size, next, size);
            message_size += size;
            if ((first & FIN) != 0) {
                if (message_size > 200) /* It is what was sent. */
                    assert_true(message_size == out.message_size &&
                                memcmp(message, out.message, message_size) ==
                                    0);
                used = add_word(words, used, sizeof words, name, message,
                                message_size);
                name = NULL;
                message_size = 0;
            }
        }
        next += size;
    }
    assert_ptr_equal(next, end);
    if (sim_peer_error(peer) < 0 || got.has_ended)
        snprintf(words + used, sizeof words - used, "%s%s", used > 0 ? " " : "",
                 sim_peer_error(peer) < 0 ? "reset" : "end");
    return words;
}

#endif
