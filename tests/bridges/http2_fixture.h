/* For the tests of the bridge to nghttp2: a connection, and a server in the
 * same loop, which writes frames byte by byte, so that it can break every
 * rule. */

#ifndef HTTP2_FIXTURE_H
#define HTTP2_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "bridges/http2.h"
#include "support/child.h"
#include "support/patient.h"

enum { FDS_MAX = 200, IN_ROOM = 1 << 20, PREFACE_SIZE = 24 };

/* Flags of frames. */
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

struct frame {
    uint8_t type, flags;
    uint32_t id; /* Of the stream. */
    const uint8_t *payload;
    size_t size;
};

static struct {
    aloop *loop;
    aloop_listener *listener;
    http2 *http2; /* The client's end. */
    aloop_stream *client;
    int fds; /* Open descriptors before the test. */

    /* The server. */
    aloop_stream *server; /* NULL: it has ended. */
    unsigned accepted;
    uint8_t in[IN_ROOM];
    size_t in_size;
    unsigned counts[16]; /* Frames that have arrived, by type. */
    uint32_t last_id;    /* Of the last HEADERS. */
    uint32_t code;       /* Of the last RST_STREAM or GOAWAY. */
    size_t body;         /* Bytes of DATA. */
    bool has_no_ack;     /* It does not acknowledge the settings. */
    bool is_silent;      /* It answers no request. */
    void (*on_frame)(struct frame *); /* Called for each frame, or NULL. */
} f;

/* What the server sends. */

static inline void send_raw(const void *bytes, size_t size)
{
    if (f.server != NULL)
        (void) aloop_stream_put(f.server, bytes, size);
}

static inline void put_32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t) (value >> (24 - 8 * i));
}

static inline void send_frame(int type, int flags, uint32_t id,
                              const void *payload, size_t size)
{
    uint8_t head[9] = {(uint8_t) (size >> 16), (uint8_t) (size >> 8),
                       (uint8_t) size, (uint8_t) type, (uint8_t) flags};

    put_32(head + 5, id);
    send_raw(head, sizeof head);
    if (size > 0)
        send_raw(payload, size);
}

static inline void send_setting(int setting, uint32_t value)
{
    uint8_t payload[6] = {0, (uint8_t) setting};

    put_32(payload + 2, value);
    send_frame(NGHTTP2_SETTINGS, 0, 0, payload, sizeof payload);
}

static inline void send_number(int type, uint32_t id, uint32_t number)
{
    uint8_t payload[4];

    put_32(payload, number);
    send_frame(type, 0, id, payload, sizeof payload);
}

static inline void send_goaway(uint32_t last_id, uint32_t code)
{
    uint8_t payload[8];

    put_32(payload, last_id);
    put_32(payload + 4, code);
    send_frame(NGHTTP2_GOAWAY, 0, 0, payload, sizeof payload);
}

/* `fields` is a block of HPACK: "\x88" is the status 200. */
static inline void send_head(uint32_t id, const char *fields, int flags)
{
    send_frame(NGHTTP2_HEADERS, END_HEADERS | flags, id, fields,
               strlen(fields));
}

static inline void send_data(uint32_t id, const void *data, size_t size,
                             int flags)
{
    send_frame(NGHTTP2_DATA, flags, id, data, size);
}

/* Adds a field without a place in the table.  Both are short. */
static inline void add_field(char *block, const char *name, const char *value)
{
    size_t size = strlen(block);

    block[size] = 0x10; /* Never indexed: no zero byte. */
    block[size + 1] = (char) strlen(name);
    memcpy(block + size + 2, name, strlen(name) + 1);
    size = strlen(block);
    block[size] = (char) strlen(value);
    memcpy(block + size + 1, value, strlen(value) + 1);
}

static inline void answer(uint32_t id, const char *body)
{
    send_head(id, "\x88", 0);
    send_data(id, body, strlen(body), END_STREAM);
}

/* What the server receives. */

static inline uint32_t get_32(const uint8_t *from)
{
    return (uint32_t) from[0] << 24 | (uint32_t) from[1] << 16 |
           (uint32_t) from[2] << 8 | from[3];
}

/* Answers a request, unless the test does it. */
static inline void take_frame(struct frame *frame)
{
    f.counts[frame->type & 15]++;
    if (frame->type == NGHTTP2_SETTINGS && (frame->flags & ACK) == 0 &&
        !f.has_no_ack)
        send_frame(NGHTTP2_SETTINGS, ACK, 0, NULL, 0);
    if (frame->type == NGHTTP2_HEADERS)
        f.last_id = frame->id;
    if (frame->type == NGHTTP2_RST_STREAM)
        f.code = get_32(frame->payload);
    if (frame->type == NGHTTP2_GOAWAY)
        f.code = get_32(frame->payload + 4);
    if (frame->type == NGHTTP2_DATA) {
        f.body += frame->size;
        if (frame->size > 0) {
            send_number(NGHTTP2_WINDOW_UPDATE, 0, (uint32_t) frame->size);
            if ((frame->flags & END_STREAM) == 0)
                send_number(NGHTTP2_WINDOW_UPDATE, frame->id,
                            (uint32_t) frame->size);
        }
    }
    if (f.on_frame != NULL)
        f.on_frame(frame);
    if (!f.is_silent && (frame->flags & END_STREAM) != 0 &&
        (frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA))
        answer(frame->id, "hello");
}

static inline void server_data(aloop_stream *stream, const void *data,
                               ssize_t size, void *arg)
{
    size_t at = 0;

    (void) arg;
    if (size <= 0) {
        aloop_stream_close(stream);
        f.server = NULL;
        return;
    }
    assert_true((size_t) size <= IN_ROOM - f.in_size);
    memcpy(f.in + f.in_size, data, (size_t) size);
    f.in_size += (size_t) size;
    if (f.counts[NGHTTP2_SETTINGS] == 0 && f.in_size >= PREFACE_SIZE)
        at = PREFACE_SIZE;
    while (f.in_size - at >= 9 && f.server != NULL) {
        const uint8_t *head = f.in + at;
        struct frame frame = {head[3], head[4], get_32(head + 5), head + 9,
                              get_32(head) >> 8};

        if (f.in_size - at - 9 < frame.size)
            break;
        take_frame(&frame);
        at += 9 + frame.size;
    }
    f.in_size -= at;
    memmove(f.in, f.in + at, f.in_size);
}

static inline void server_accept(aloop_listener *listener, aloop_stream *stream,
                                 void *arg)
{
    (void) listener;
    (void) arg;
    f.accepted++;
    f.server = stream;
    send_frame(NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    /* Floods are answered without the pause of the library. */
    assert_int_equal(aloop_stream_set_auto_pause(stream, false), 0);
    assert_int_equal(aloop_stream_start(stream, server_data, NULL), 0);
}

/* The fixture. */

static inline ssize_t await(aloop_future *future)
{
    return aloop_await(aloop_timeout(future, ALOOP_SEC(patient_limit(30))));
}

/* Connects, with a limit of streams; 0 is the default. */
static inline void connect_with(size_t streams_max)
{
    http2_options options = {.authority = "server.test",
                             .streams_max = streams_max};
    char port[8];

    snprintf(port, sizeof port, "%d", aloop_listener_port(f.listener));
    assert_int_equal(
        await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &f.client)), 0);
    assert_int_equal(http2_start(f.loop, f.client, &options, &f.http2), 0);
    while (f.server == NULL)
        assert_true(aloop_step(f.loop, -1) >= 0);
}

static inline int set_up_with(const aloop_options *options)
{
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(options);
    return aloop_tcp_listen(f.loop, "127.0.0.1", "0", server_accept, NULL,
                            &f.listener);
}

static inline int set_up(void **state)
{
    (void) state;
    if (set_up_with(NULL) < 0)
        return -1;
    connect_with(0);
    return 0;
}

/* For tests that connect themselves. */
static inline int set_up_alone(void **state)
{
    (void) state;
    return set_up_with(NULL);
}

/* Both ends close, and the loop ends by itself. */
static inline int tear_down(void **state)
{
    (void) state;
    if (f.loop != NULL) {
        http2_close(f.http2);
        aloop_listener_close(f.listener);
        if (f.server != NULL)
            aloop_stream_abort(f.server);
        assert_int_equal(aloop_run(f.loop), 0);
        assert_int_equal(aloop_free(f.loop), 0);
    }
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ALONE(name) \
    cmocka_unit_test_setup_teardown(name, set_up_alone, tear_down)

/* Requests. */

static const struct http2_request get = {.path = "/page"};

static inline void assert_bytes(const struct http2_bytes *bytes,
                                const char *text)
{
    assert_int_equal(bytes->size, strlen(text));
    if (bytes->size > 0)
        assert_string_equal(bytes->data, text);
}

/* Expects the connection to be usable. */
static inline void assert_usable(void)
{
    bool was_silent = f.is_silent;
    struct http2_answer page;

    f.is_silent = false;
    assert_int_equal(http2_status(f.http2), 0);
    assert_int_equal(await(http2_request(f.http2, &get, &page)), 200);
    assert_bytes(&page.body, "hello");
    http2_answer_free(&page);
    f.is_silent = was_silent;
}

/* Expects the next request to end with `status`. */
static inline void assert_ends(ssize_t status)
{
    struct http2_answer page;

    assert_int_equal(await(http2_request(f.http2, &get, &page)), status);
    assert_true(http2_error(&page, status)[0] != '\0');
    http2_answer_free(&page);
}

/* Lets the loop run until the server has received some frames of a type. */
static inline void until(int type, unsigned count)
{
    while (f.counts[type] < count) {
        /* Otherwise the client has ended the connection. */
        assert_true(f.server != NULL || f.accepted == 0);
        assert_true(aloop_step(f.loop, -1) >= 0);
    }
}

/* Lets the client receive what the server has sent, and the server the
 * answers. */
static inline void exchange(void)
{
    unsigned count = f.counts[NGHTTP2_PING] + 1;

    send_frame(NGHTTP2_PING, 0, 0, "12345678", 8);
    until(NGHTTP2_PING, count);
}

#endif
