/* The WebSocket client of the examples, and servers that are right or wrong. */

#include "support/stream_fixture.h"

#include <stdio.h>

#include "../examples/support/http_error.h"
#include "../examples/support/websocket_connect.h"

static struct {
    struct websocket_client client;
    int listener, peer;
    aloop_future *task;
    ssize_t connected; /* The result of the handshake; 1: there is none. */
    ssize_t received;  /* That of the last receive. */
    ssize_t ended;
    char messages[1024]; /* Each with a newline. */
    size_t size;
    char request[2048];
    char accept[WEBSOCKET_ACCEPT_SIZE];
} k;

/* Connects, sends two messages and receives until the end. */
static ssize_t run_client(aloop *loop, void *arg)
{
    struct websocket_options options = {.message_max = 1000};
    struct websocket_event part;

    (void) arg;
    k.connected =
        websocket_connect(loop, "ws://127.0.0.1:80/a?b", &options, &k.client);
    if (k.connected < 0)
        return k.connected;
    (void) websocket_send(&k.client.socket, true, "hello", 5, true);
    (void) websocket_send(&k.client.socket, true, "hello", 5, true);
    while ((k.received = websocket_receive(&k.client.socket, &part)) > 0) {
        assert_true(k.size + part.size + 2 < sizeof k.messages);
        memcpy(k.messages + k.size, part.data, part.size);
        k.size += part.size;
        if (part.is_last)
            k.messages[k.size++] = '\n';
        k.messages[k.size] = '\0';
    }
    k.ended = websocket_disconnect(&k.client, k.received, 0, "");
    return 0;
}

static void start_client(void)
{
    memset(&k, 0, sizeof k);
    k.connected = k.received = k.ended = 1;
    k.listener = sim_listen("127.0.0.1", 80, 8);
    k.task = aloop_spawn(t.loop, run_client, NULL);
    run_for(MS);
    k.peer = sim_accept(k.listener);
    assert_true(k.peer >= 0);
}

/* Receives the request, and calculates the answer to its key. */
static void receive_request(void)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char key[WEBSOCKET_KEY_SIZE], *field;
    ssize_t n;

    run_for(MS);
    n = sim_peer_receive(k.peer, k.request, sizeof k.request - 1);
    assert_true(n > 0);
    field = strstr(k.request, name);
    assert_non_null(field);
    snprintf(key, sizeof key, "%.24s", field + sizeof name - 1);
    assert_true(websocket_is_key(key));
    websocket_accept(key, k.accept);
}

static void reply(const char *text, size_t size)
{
    assert_int_equal(sim_peer_send(k.peer, text, size), size);
    run_for(MS);
}

/* Answers with 101, and the bytes that follow it. */
static void accept_client(const char *frames, size_t size)
{
    char text[512];
    int head;

    receive_request();
    head = snprintf(text, sizeof text,
                    "HTTP/1.1 101 x\r\nUpgrade: WebSocket\r\n"
                    "Connection: upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                    k.accept);
    memcpy(text + head, frames, size);
    reply(text, (size_t) head + size);
}

static void end_client(void)
{
    sim_peer_close(k.peer);
    sim_peer_close(k.listener);
    (void) aloop_await(k.task);
}

/* Unmasks a frame of the client, of at most 125 bytes.  Returns its size, and
 * the payload with a zero byte. */
static size_t read_frame(const char *frame, unsigned first, char *ret_payload)
{
    size_t size = (unsigned char) frame[1] & 0x7f;

    assert_int_equal((unsigned char) frame[0], first);
    assert_true(((unsigned char) frame[1] & 0x80) != 0 && size < 126);
    for (size_t i = 0; i < size; i++)
        ret_payload[i] = (char) (frame[6 + i] ^ frame[2 + i % 4]);
    ret_payload[size] = '\0';
    return size + 6;
}

static void a_client_asks_for_websocket(void **state)
{
    (void) state;
    start_client();
    receive_request();
    assert_memory_equal(k.request, "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                        36);
    assert_non_null(strstr(k.request, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strstr(k.request, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(k.request, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_null(strstr(k.request, "Extensions"));
    end_client();
    assert_int_equal(k.connected, HTTP_ENOREPLY);
}

#define OK "HTTP/1.1 101 x\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: %s\r\n"

static const struct {
    const char *answer; /* %s is the value of the accept. */
    const char *why;
} wrong_answers[] = {
    {"HTTP/1.1 200 x\r\n" UPGRADE CONNECTION ACCEPT "\r\n",
     "the server does not change to WebSocket"},
    {"HTTP/1.1 403 x\r\n\r\n", "the server does not change to WebSocket"},
    {OK CONNECTION ACCEPT "\r\n", "the server changes to another protocol"},
    {OK "Upgrade: h2c\r\n" CONNECTION ACCEPT "\r\n",
     "the server changes to another protocol"},
    {OK UPGRADE ACCEPT "\r\n", "the server changes to another protocol"},
    {OK UPGRADE CONNECTION "\r\n", "the server accepts another key"},
    {OK UPGRADE CONNECTION
     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     "the server accepts another key"},
    {OK UPGRADE CONNECTION ACCEPT
     "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
     "the server uses an extension that was not offered"},
    {OK UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Protocol: chat\r\n\r\n",
     "the server uses a subprotocol that was not offered"},
    {"SSH-2.0\r\n\r\n", "malformed reply"},
};

static void wrong_answers_are_refused(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof wrong_answers / sizeof wrong_answers[0];
         i++) {
        const char *answer = wrong_answers[i].answer;
        const char *place = strstr(answer, "%s");
        char text[512];

        start_client();
        receive_request();
        snprintf(text, sizeof text, "%.*s%s%s",
                 place != NULL ? (int) (place - answer) : (int) strlen(answer),
                 answer, place != NULL ? k.accept : "",
                 place != NULL ? place + 2 : "");
        reply(text, strlen(text));
        assert_true(k.connected < 0);
        assert_string_equal(k.client.why, wrong_answers[i].why);
        end_client();
    }
}

static void other_urls_are_refused(void **state)
{
    static const char *const urls[] = {"", "ws://", "http://a/", "wss://a/",
                                       "ws://a b/"};
    struct websocket_options options = {0};

    (void) state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(
            websocket_connect(t.loop, urls[i], &options, &k.client), HTTP_EURL);
        assert_string_equal(k.client.why, "not a ws:// URL");
    }
}

static void a_server_that_never_answers_is_left(void **state)
{
    (void) state;
    start_client();
    run_for(ALOOP_SEC(19));
    assert_int_equal(k.connected, 1);
    run_for(ALOOP_SEC(2));
    assert_int_equal(k.connected, ALOOP_ETIMEDOUT);
    end_client();
}

static void frames_may_arrive_with_the_answer(void **state)
{
    (void) state;
    start_client();
    accept_client("\x81\x05"
                  "early\x88\x02\x03\xe8",
                  11);
    assert_string_equal(k.messages, "early\n");
    assert_int_equal(k.received, 0);
    assert_int_equal(k.ended, 0);
    assert_int_equal(k.client.socket.code, 1000);
    end_client();
}

static void each_frame_has_another_mask(void **state)
{
    char frames[64], first[16], second[16];
    size_t size;

    (void) state;
    start_client();
    accept_client("", 0);
    assert_int_equal(sim_peer_receive(k.peer, frames, sizeof frames), 22);
    size = read_frame(frames, 0x81, first);
    assert_string_equal(first, "hello");
    read_frame(frames + size, 0x81, second);
    assert_string_equal(second, "hello");
    assert_memory_not_equal(frames + 2, frames + size + 2, 4);
    end_client();
    assert_int_equal(k.received, ALOOP_EOF);
}

static void a_server_that_masks_is_refused(void **state)
{
    char frames[64], payload[16];

    (void) state;
    start_client();
    accept_client("\x81\x85....hello", 11);
    assert_int_equal(k.received, ALOOP_EPROTO);
    assert_int_equal(sim_peer_receive(k.peer, frames, sizeof frames), 30);
    read_frame(frames + 22, 0x88, payload);
    assert_string_equal(payload, "\x03\xea");
    assert_true(sim_peer_eof(k.peer));
    end_client();
}

static void a_close_is_answered_with_its_code(void **state)
{
    char frames[64], payload[16];

    (void) state;
    start_client();
    accept_client("\x89\x01p\x88\x05\x0f\xa0why", 10);
    assert_int_equal(k.client.socket.code, 4000);
    assert_int_equal(k.client.socket.reason_size, 3);
    assert_memory_equal(k.client.socket.reason, "why", 3);
    assert_int_equal(sim_peer_receive(k.peer, frames, sizeof frames), 37);
    read_frame(frames + 22, 0x8a, payload);
    assert_string_equal(payload, "p");
    read_frame(frames + 29, 0x88, payload);
    assert_string_equal(payload, "\x0f\xa0");
    end_client();
}

/* Closes first, and receives what was sent before the close of the server. */
static void after_a_close_it_only_receives(void **state)
{
    struct websocket_stream *socket = &k.client.socket;

    (void) state;
    start_client();
    accept_client("", 0);
    assert_int_equal(websocket_close(socket, 1000, ""), 0);
    assert_int_equal(websocket_close(socket, 1000, ""), ALOOP_EPIPE);
    assert_int_equal(websocket_send(socket, true, "a", 1, true), ALOOP_EPIPE);
    assert_int_equal(websocket_ping(socket, "", 0), ALOOP_EPIPE);
    reply("\x81\x04last", 6);
    assert_string_equal(k.messages, "last\n");
    reply("\x88\x02\x03\xe8", 4);
    assert_int_equal(k.received, 0);
    assert_int_equal(k.ended, 0);
    end_client();
}

static void a_server_that_never_closes_is_left(void **state)
{
    (void) state;
    start_client();
    accept_client("", 0);
    assert_int_equal(websocket_close(&k.client.socket, 1000, ""), 0);
    run_for(ALOOP_SEC(19));
    assert_int_equal(k.received, 1);
    run_for(ALOOP_SEC(2));
    assert_int_equal(k.received, ALOOP_ETIMEDOUT);
    assert_int_equal(k.ended, ALOOP_ETIMEDOUT);
    end_client();
}

static void a_large_message_is_masked_as_a_whole(void **state)
{
    static char data[100000], frame[100100];
    struct websocket frames = {.message_max = sizeof data};
    struct websocket_event event;
    size_t size = 0, at;

    (void) state;
    sim_buffer_size(200000);
    start_client();
    accept_client("", 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char) (i * 7);
    sim_peer_receive(k.peer, frame, sizeof frame);
    (void) websocket_ping(&k.client.socket, "", 0);
    assert_int_equal(
        websocket_send(&k.client.socket, false, data, sizeof data, true), 0);
    run_for(MS);
    size = (size_t) sim_peer_receive(k.peer, frame, sizeof frame);
    at = websocket_read(&frames, frame, size, &event);
    assert_int_equal(event.kind, WEBSOCKET_PING);
    assert_int_equal(websocket_read(&frames, frame + at, size - at, &event),
                     size - at);
    assert_true(event.is_last);
    assert_int_equal(event.size, sizeof data);
    assert_memory_equal(event.data, data, sizeof data);
    end_client();
}

/* Calls a function after each part of a conversation, on a new loop. */
static void at_each_step(void (*act)(void))
{
    static const char frames[] = "\x81\x02hi\x89\x00\x88\x02\x03\xe8";

    for (size_t step = 0; step < sizeof frames + 1; step++) {
        start_client();
        if (step > 0)
            accept_client(frames, step - 1);
        act();
        sim_peer_close(k.peer);
        sim_peer_close(k.listener);
        aloop_future_unref(k.task);
        aloop_free(t.loop);
        assert_int_equal(memory.bytes, 0);
        t.loop = memory_loop(0);
        assert_non_null(t.loop);
    }
}

static void cancel_client(void)
{
    aloop_cancel(k.task);
    run_for(MS);
    assert_true(aloop_future_is_settled(k.task));
    (void) aloop_future_status(k.task);
}

static void a_cancel_at_each_step_leaves_nothing(void **state)
{
    (void) state;
    at_each_step(cancel_client);
}

static void free_nothing(void)
{
}

static void a_loop_that_is_freed_at_each_step_leaves_nothing(void **state)
{
    (void) state;
    at_each_step(free_nothing);
}

static void each_allocation_of_a_client_may_fail(void **state)
{
    unsigned used = 1;

    (void) state;
    for (unsigned n = 0; n < used; n++) {
        unsigned before = memory.calls;

        memset(&k, 0, sizeof k);
        k.listener = sim_listen("127.0.0.1", 80, 8);
        memory.fails_at = n > 0 ? before + n : 0;
        k.task = aloop_spawn(t.loop, run_client, NULL);
        for (int i = 0; i < 10; i++)
            aloop_step(t.loop, MS);
        k.peer = sim_accept(k.listener);
        if (k.peer >= 0 && sim_peer_receive(k.peer, k.request, 1) > 0) {
            for (int i = 0; i < 10; i++)
                aloop_step(t.loop, MS);
        }
        if (n == 0)
            used = memory.calls - before;
        memory.fails_at = 0;
        if (k.peer >= 0)
            sim_peer_close(k.peer);
        sim_peer_close(k.listener);
        assert_true(aloop_await(k.task) <= 0);
        aloop_free(t.loop);
        assert_int_equal(memory.bytes, 0);
        t.loop = memory_loop(0);
        assert_non_null(t.loop);
    }
    assert_true(used > 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        MEMORY_TEST(a_client_asks_for_websocket),
        MEMORY_TEST(wrong_answers_are_refused),
        MEMORY_TEST(other_urls_are_refused),
        MEMORY_TEST(a_server_that_never_answers_is_left),
        MEMORY_TEST(frames_may_arrive_with_the_answer),
        MEMORY_TEST(each_frame_has_another_mask),
        MEMORY_TEST(a_server_that_masks_is_refused),
        MEMORY_TEST(a_close_is_answered_with_its_code),
        MEMORY_TEST(after_a_close_it_only_receives),
        MEMORY_TEST(a_server_that_never_closes_is_left),
        MEMORY_TEST(a_large_message_is_masked_as_a_whole),
        MEMORY_TEST(a_cancel_at_each_step_leaves_nothing),
        MEMORY_TEST(a_loop_that_is_freed_at_each_step_leaves_nothing),
        MEMORY_TEST(each_allocation_of_a_client_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
