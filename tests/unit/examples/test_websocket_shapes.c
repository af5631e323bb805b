/* The WebSocket server of the examples: frames and handshakes of each shape,
 * right and wrong, and what is answered to them (RFC 6455). */

#include "support/websocket_fixture.h"

enum { FRAMES_MAX = 5 };

/* What a client sends, and what it receives, see websocket_fixture.h. */
static const struct shape {
    const char *name;
    struct {
        int first; /* 0: no more frames; a last part is LAST_PART. */
        const char *payload;
        size_t size;
    } frames[FRAMES_MAX];
    const char *expected;
} shapes[] = {
#define F(first, text) \
    { \
        (first) | 0x100, (text), sizeof(text) - 1 \
    }
    {"text of 0 bytes", {F(TEXT, "")}, "text()"},
    {"text", {F(TEXT, "hello"), F(TEXT, "you")}, "text(hello) text(you)"},
    {"binary", {F(BINARY, "\xff\xfe")}, "binary(\xff\xfe)"},
    {"three fragments",
     {F(TEXT_PART, "a"), F(PART, "b"), F(LAST_PART, "c")},
     "text(abc)"},
    {"empty fragments",
     {F(TEXT_PART, ""), F(PART, ""), F(PART, "x"), F(LAST_PART, "")},
     "text(x)"},
    {"only empty fragments", {F(TEXT_PART, ""), F(LAST_PART, "")}, "text()"},
    {"a ping between fragments",
     {F(TEXT_PART, "a"), F(PING, "p"), F(LAST_PART, "b")},
     "pong(p) text(ab)"},
    {"a pong that nothing asked for", {F(PONG, "p"), F(TEXT, "a")}, "text(a)"},
    {"an empty ping", {F(PING, "")}, "pong()"},
    {"continuation first", {F(LAST_PART, "a")}, "close(1002) end"},
    {"a continuation after a message",
     {F(TEXT, "a"), F(LAST_PART, "b")},
     "text(a) close(1002) end"},
    {"a new message inside of fragments",
     {F(TEXT_PART, "a"), F(TEXT, "b")},
     "close(1002) end"},
    {"a fragmented ping", {F(WEBSOCKET_OP_PING, "p")}, "close(1002) end"},
    {"a fragmented close",
     {F(WEBSOCKET_OP_CLOSE, "\x03\xe8")},
     "close(1002) end"},
    {"a reserved bit", {F(TEXT | 0x40, "a")}, "close(1002) end"},
    {"the second reserved bit", {F(TEXT | 0x20, "a")}, "close(1002) end"},
    {"the third reserved bit", {F(PING | 0x10, "a")}, "close(1002) end"},
    {"the opcode 3", {F(FIN | 3, "a")}, "close(1002) end"},
    {"the opcode 11", {F(FIN | 11, "a")}, "close(1002) end"},
    {"an empty close", {F(CLOSE, "")}, "close() end"},
    {"a close with one byte", {F(CLOSE, "\x03")}, "close(1002) end"},
    {"1000", {F(CLOSE, "\x03\xe8")}, "close(1000) end"},
    {"1000 with a reason", {F(CLOSE, "\x03\xe8why")}, "close(1000) end"},
    {"1003", {F(CLOSE, "\x03\xeb")}, "close(1003) end"},
    {"1014", {F(CLOSE, "\x03\xf6")}, "close(1014) end"},
    {"3000", {F(CLOSE, "\x0b\xb8")}, "close(3000) end"},
    {"4999", {F(CLOSE, "\x13\x87")}, "close(4999) end"},
    {"0", {F(CLOSE, "\x00\x00")}, "close(1002) end"},
    {"999", {F(CLOSE, "\x03\xe7")}, "close(1002) end"},
    {"1004", {F(CLOSE, "\x03\xec")}, "close(1002) end"},
    {"1005", {F(CLOSE, "\x03\xed")}, "close(1002) end"},
    {"1006", {F(CLOSE, "\x03\xee")}, "close(1002) end"},
    {"1015", {F(CLOSE, "\x03\xf7")}, "close(1002) end"},
    {"1016", {F(CLOSE, "\x03\xf8")}, "close(1002) end"},
    {"2999", {F(CLOSE, "\x0b\xb7")}, "close(1002) end"},
    {"5000", {F(CLOSE, "\x13\x88")}, "close(1002) end"},
    {"data after a close",
     {F(CLOSE, "\x03\xe8"), F(TEXT, "a")},
     "close(1000) end"},
    {"two closes",
     {F(CLOSE, "\x03\xe8"), F(CLOSE, "\x03\xe9")},
     "close(1000) end"},
    {"a close inside of fragments",
     {F(TEXT_PART, "a"), F(CLOSE, "\x03\xe8")},
     "close(1000) end"},
    {"0xff", {F(TEXT, "\xff")}, "close(1007) end"},
    {"a surrogate", {F(TEXT, "\xed\xa0\x80")}, "close(1007) end"},
    {"an overlong form", {F(TEXT, "\xc0\xaf")}, "close(1007) end"},
    {"above U+10FFFF", {F(TEXT, "\xf4\x90\x80\x80")}, "close(1007) end"},
    {"a character that is cut", {F(TEXT, "a\xe2\x82")}, "close(1007) end"},
    {"a wrong byte in the first fragment",
     {F(TEXT_PART, "\xff")},
     "close(1007) end"},
    {"a character in two fragments",
     {F(TEXT_PART, "\xe2\x82"), F(LAST_PART, "\xac")},
     "text(\xe2\x82\xac)"},
    {"a wrong byte in a reason", {F(CLOSE, "\x03\xe8\xff")}, "close(1007) end"},
#undef F
};

/* Parts of text were sent back before the text turned out to be wrong. */
static const char *without_parts(int peer)
{
    while (got.size >= 2 && (got.text[0] & 0x88) == 0) {
        size_t size = 2 + (size_t) got.text[1];

        memmove(got.text, got.text + size, got.size - size);
        got.size -= size;
    }
    return words_of(peer);
}

static void check_shape(const struct shape *shape)
{
    bool has_error = strstr(shape->expected, "close") != NULL;
    int peer = open_socket();
    const char *words;

    for (size_t i = 0; i < FRAMES_MAX && shape->frames[i].first != 0; i++)
        add_frame((unsigned) shape->frames[i].first & 0xff,
                  shape->frames[i].payload, shape->frames[i].size);
    send_frames(peer);
    client_receives(peer, MS);
    words = has_error ? without_parts(peer) : NULL;
    if (words == NULL)
        words = words_of(peer);
    if (strcmp(words, shape->expected) != 0)
        fail_msg("%s: %s instead of %s", shape->name, words, shape->expected);
    sim_peer_close(peer);
    run_for(MS);
}

static void each_shape_has_its_outcome(void **state)
{
    (void) state;
    start_echo();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_shape(&shapes[i]);
    stop_httpd();
}

static void messages_of_each_length_come_back(void **state)
{
    static const size_t sizes[] = {1,     125,   126,   127,  4096,
                                   65535, 65536, 65537, 99999};

    (void) state;
    start_echo();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int peer = open_socket();
        char expected[300];

        add_letters(i % 2 == 0 ? TEXT : BINARY, sizes[i]);
        send_frames(peer);
        client_receives(peer, 100 * MS);
        if (sizes[i] > 200)
            snprintf(expected, sizeof expected, "%s*%zu",
                     i % 2 == 0 ? "text" : "binary", sizes[i]);
        else
            snprintf(expected, sizeof expected, "%s(%.*s)",
                     i % 2 == 0 ? "text" : "binary", (int) sizes[i],
                     out.message);
        assert_string_equal(words_of(peer), expected);
        sim_peer_close(peer);
        run_for(MS);
    }
    stop_httpd();
}

static void frames_may_arrive_byte_by_byte(void **state)
{
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    add_letters(TEXT, 150);
    add_text(PING, "p");
    add_letters(BINARY, 3);
    add_frame(CLOSE, "\x03\xe8", 2);
    for (size_t i = 0; i < out.size; i++) {
        client_sends(peer, out.bytes + i, 1);
        run_for(MS);
    }
    client_receives(peer, MS);
    assert_memory_equal(words_of(peer), "text(abcdef", 11);
    assert_non_null(
        strstr(words_of(peer), ") pong(p) binary(abc) close(1000) end"));
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void a_thousand_pings_are_answered_in_order(void **state)
{
    char expected[16], text[8];
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        add_text(PING, text);
    }
    send_frames(peer);
    client_receives(peer, MS);
    for (int i = 0; i < 1000; i++) {
        int size = snprintf(text, sizeof text, "%d", i);

        snprintf(expected, sizeof expected, "%c%c%s", PONG, size, text);
        assert_memory_equal(got.text, expected, strlen(expected));
        got.size -= strlen(expected);
        memmove(got.text, got.text + strlen(expected), got.size);
    }
    assert_int_equal(got.size, 0);
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

/* Sends bytes that are no frame of add_frame(), and compares the answer. */
static void expect_for(const char *bytes, size_t size, const char *expected)
{
    int peer = open_socket();

    client_sends(peer, bytes, size);
    client_receives(peer, MS);
    assert_string_equal(words_of(peer), expected);
    sim_peer_close(peer);
    run_for(MS);
}

#define EXPECT_FOR(bytes, expected) \
    expect_for((bytes), sizeof(bytes) - 1, (expected))

static void wrong_heads_are_refused_before_their_payload(void **state)
{
    (void) state;
    start_echo();
    EXPECT_FOR("\x81\x05hello", "close(1002) end"); /* Not masked. */
    EXPECT_FOR("\x89\xfe", "close(1002) end");      /* A ping of 126 bytes. */
    EXPECT_FOR("\x88\xfe", "close(1002) end");      /* A close of 126 bytes. */
    EXPECT_FOR("\x83\x80", "close(1002) end");
    EXPECT_FOR("\x81\xfe\x00\x7d....", "close(1002) end"); /* Not minimal. */
    EXPECT_FOR("\x81\xff\0\0\0\0\0\0\xff\xff....", "close(1002) end");
    EXPECT_FOR("\x81\xff\x80\0\0\0\0\0\0\0....", "close(1002) end");
    EXPECT_FOR("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff....",
               "close(1009) end");
    EXPECT_FOR("\x82\xff\0\0\0\0\0\x01\x86\xa1....", "close(1009) end");
    stop_httpd();
}

static void the_limit_is_that_of_a_message(void **state)
{
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    add_letters(BINARY, MESSAGE_MAX);
    send_frames(peer);
    client_receives(peer, 100 * MS);
    assert_string_equal(words_of(peer), "binary*100000");
    got.size = 0;
    add_letters(WEBSOCKET_BINARY, 100);
    add_letters(PART, 100);
    send_frames(peer);
    client_receives(peer, MS);
    got.size = 0; /* The parts. */
    add_letters(LAST_PART, MESSAGE_MAX - 199);
    send_frames(peer);
    client_receives(peer, MS);
    assert_string_equal(words_of(peer), "close(1009) end");
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define END "\r\n"

static const struct {
    const char *request, *statuses;
} handshakes[] = {
    {REQUEST UPGRADE CONNECTION KEY VERSION END, "101"},
    {REQUEST
     "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" KEY VERSION
         END,
     "101"},
    {REQUEST "Upgrade: h2c\r\n" UPGRADE
             "Connection: keep-alive\r\n" CONNECTION KEY VERSION END,
     "101"},
    {REQUEST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Extensions: "
                                            "permessage-deflate\r\n" END,
     "101"},
    {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: https://b\r\n" END, "101"},
    {REQUEST UPGRADE CONNECTION VERSION END, "400"},
    {REQUEST UPGRADE CONNECTION KEY KEY VERSION END, "400"},
    {REQUEST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: c2hvcnQ=\r\n" END,
     "400"},
    {REQUEST UPGRADE CONNECTION VERSION
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==x\r\n" END,
     "400"},
    {REQUEST UPGRADE CONNECTION VERSION
     "Sec-WebSocket-Key: dGhlIHNhbXBsZS!ub25jZQ==\r\n" END,
     "400"},
    {"GET / HTTP/1.0\r\nHost: x\r\n" UPGRADE CONNECTION KEY VERSION END,
     "400x"},
    {"HEAD / HTTP/1.1\r\nHost: x\r\n" UPGRADE CONNECTION KEY VERSION END,
     "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" UPGRADE CONNECTION
         KEY VERSION END,
     "405"},
    {REQUEST "Content-Length: 1\r\n" UPGRADE CONNECTION KEY VERSION END "x",
     "400"},
    {REQUEST UPGRADE KEY VERSION END, "400"},
    {REQUEST UPGRADE CONNECTION KEY END, "400"},
    {REQUEST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END, "426"},
    {REQUEST CONNECTION KEY VERSION END, "426"},
    {REQUEST "Upgrade: h2c\r\n" CONNECTION KEY VERSION END, "426"},
    {REQUEST END, "426"},
};

static void handshakes_are_accepted_or_refused(void **state)
{
    (void) state;
    start_echo();
    for (size_t i = 0; i < sizeof handshakes / sizeof handshakes[0]; i++) {
        ask(handshakes[i].request);
        if (strcmp(statuses(), handshakes[i].statuses) != 0)
            fail_msg("%s: %s instead of %s", handshakes[i].request, statuses(),
                     handshakes[i].statuses);
    }
    stop_httpd();
}

static void a_handshake_has_its_fields(void **state)
{
    (void) state;
    start_echo();
    ask(HANDSHAKE);
    assert_string_equal(got.text,
                        "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
                        "\r\n\r\n");
    ask(REQUEST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END);
    assert_non_null(strstr(got.text, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_non_null(strstr(got.text, "\r\nUpgrade: websocket\r\n"));
    stop_httpd();
}

static void pages_of_other_origins_are_refused(void **state)
{
    static const char *const origins[] = {"https://a", "null"};

    (void) state;
    start_echo();
    socket_origins = (struct websocket_origins){origins, 2};
    ask(REQUEST UPGRADE CONNECTION KEY VERSION "Origin: null\r\n" END);
    assert_string_equal(statuses(), "101");
    ask(REQUEST UPGRADE CONNECTION KEY VERSION "Origin: https://b\r\n" END);
    assert_string_equal(statuses(), "403");
    ask(REQUEST UPGRADE CONNECTION KEY VERSION "Origin: https://a.b\r\n" END);
    assert_string_equal(statuses(), "403");
    ask(HANDSHAKE); /* No browser. */
    assert_string_equal(statuses(), "101");
    stop_httpd();
}

/* The server may already have received them with the request. */
static void frames_may_arrive_with_the_handshake(void **state)
{
    char *end;

    (void) state;
    start_echo();
    out.size = 0;
    add_bytes(HANDSHAKE, sizeof HANDSHAKE - 1);
    add_text(TEXT, "early");
    ask_bytes(out.bytes, out.size);
    end = strstr(got.text, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, "\x81\x05"
                                 "early");
    stop_httpd();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(each_shape_has_its_outcome),
        TEST(messages_of_each_length_come_back),
        TEST(frames_may_arrive_byte_by_byte),
        TEST(a_thousand_pings_are_answered_in_order),
        TEST(wrong_heads_are_refused_before_their_payload),
        TEST(the_limit_is_that_of_a_message),
        TEST(handshakes_are_accepted_or_refused),
        TEST(a_handshake_has_its_fields),
        TEST(pages_of_other_origins_are_refused),
        TEST(frames_may_arrive_with_the_handshake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
