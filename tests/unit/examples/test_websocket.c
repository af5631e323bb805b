/* Support code of the examples that WebSocket needs, without connections:
 * hashes, UTF-8, keys and frames. */

#include "support/fixture.h"

#include <stdio.h>
#include <string.h>

#include "../examples/support/sha1.h"
#include "../examples/support/utf8.h"
#include "../examples/support/websocket.h"

static void assert_sha1(const char *data, size_t size, const char *expected)
{
    unsigned char hash[SHA1_SIZE];
    char text[2 * SHA1_SIZE + 1];

    sha1(data, size, hash);
    for (int i = 0; i < SHA1_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(text, expected);
}

/* Examples of FIPS 180, and sizes around that of a block. */
static void sha1_has_the_values_of_the_standard(void **state)
{
    static char a[1000000];

    (void) state;
    memset(a, 'a', sizeof a);
    assert_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    assert_sha1(a, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    assert_sha1(a, 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
    assert_sha1(a, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    assert_sha1(a, sizeof a, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

static void keys_are_base64_of_16_bytes(void **state)
{
    char key[WEBSOCKET_KEY_SIZE], accept[WEBSOCKET_ACCEPT_SIZE];

    (void) state;
    websocket_key((const unsigned char *) "the sample nonce", key);
    assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_true(websocket_is_key(key));
    websocket_accept(key, accept); /* The example of RFC 6455, 1.3. */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(websocket_is_key(""));
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ="));
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ==="));
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZSE="));
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZ-=="));
}

/* Encodes any number as UTF-8 would. */
static size_t encode(uint32_t c, unsigned char ret[4])
{
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = size; i-- > 1; c >>= 6)
        ret[i] = (unsigned char) (0x80 | (c & 0x3f));
    ret[0] = (unsigned char) (c | (size == 1 ? 0u : 0xf00u >> size & 0xffu));
    return size;
}

static void each_character_and_no_surrogate_is_utf8(void **state)
{
    (void) state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        bool is_right = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
        struct utf8 text = {0};
        unsigned char bytes[4];
        size_t size = encode(c, bytes);

        if ((utf8_add(&text, bytes, size) && utf8_is_whole(&text)) != is_right)
            fail_msg("U+%x", (unsigned) c);
    }
}

/* Compares all texts of two bytes and an ASCII one with the definition. */
static void other_bytes_are_not_utf8(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 0x10000; i++) {
        unsigned char bytes[3] = {(unsigned char) (i >> 8), (unsigned char) i,
                                  'a'};
        bool is_right = bytes[0] < 0x80 ? bytes[1] < 0x80
                                        : bytes[0] >= 0xc2 && bytes[0] < 0xe0 &&
                                              (bytes[1] & 0xc0) == 0x80;
        struct utf8 text = {0};

        assert_int_equal(utf8_add(&text, bytes, 3) && utf8_is_whole(&text),
                         is_right);
    }
}

static void a_wrong_byte_is_found_at_each_place_of_a_text(void **state)
{
    char bytes[40];

    (void) state;
    for (size_t size = 1; size <= sizeof bytes; size++)
        for (size_t i = 0; i < size; i++) {
            struct utf8 text = {0}, other = {0};

            memset(bytes, 'a', size);
            assert_true(utf8_add(&other, bytes, size));
            bytes[i] = (char) 0x80;
            assert_false(utf8_add(&text, bytes, size));
        }
}

static void a_mask_is_the_same_at_each_offset_and_size(void **state)
{
    static const unsigned char key[4] = {1, 2, 4, 8};
    unsigned char bytes[64];

    (void) state;
    for (size_t offset = 0; offset < 9; offset++)
        for (size_t size = 0; size < 40; size++) {
            memset(bytes, 0x80, sizeof bytes);
            websocket_mask(bytes + offset, size, key, offset);
            for (size_t i = 0; i < sizeof bytes; i++)
                assert_int_equal(bytes[i], i < offset || i >= offset + size
                                               ? 0x80
                                               : 0x80 ^ key[i % 4]);
        }
}

/* Adds an event to a text; the parts of a message are joined. */
static void describe(const struct websocket_event *event, char *text,
                     size_t room)
{
    static const char *const names[] = {
        [WEBSOCKET_PING] = "ping",
        [WEBSOCKET_PONG] = "pong",
        [WEBSOCKET_CLOSE] = "close",
        [WEBSOCKET_ERROR] = "error",
    };
    size_t used = strlen(text);

    if (event->kind == WEBSOCKET_NOTHING)
        return;
    if (event->kind == WEBSOCKET_DATA)
        snprintf(text + used, room - used, "%s%.*s%s",
                 !event->is_first ? ""
                 : event->is_text ? "text:"
                                  : "binary:",
                 (int) event->size, (const char *) event->data,
                 event->is_last ? " " : "");
    else
        snprintf(text + used, room - used, "%s:%d:%.*s ", names[event->kind],
                 event->code, (int) event->size, (const char *) event->data);
}

/* Returns what is read if `size` bytes arrive in parts of `step` bytes. */
static const char *read_parts(const char *bytes, size_t size, size_t step,
                              bool is_client)
{
    static char text[1024];
    struct websocket frames = {.message_max = 1000, .is_client = is_client};

    text[0] = '\0';
    for (size_t at = 0; at < size; at += step) {
        size_t left = size - at < step ? size - at : step;
        char part[512];

        memcpy(part, bytes + at, left);
        for (char *next = part; left > 0;) {
            struct websocket_event event;
            size_t used = websocket_read(&frames, next, left, &event);

            assert_in_range(used, 1, left);
            describe(&event, text, sizeof text);
            next += used;
            left -= used;
        }
    }
    return text;
}

static const char from_server[] = "\x01\x02"
                                  "he"
                                  "\x89\x01"
                                  "p"
                                  "\x00\x00"
                                  "\x80\x03"
                                  "llo"
                                  "\x8a\x00"
                                  "\x82\x00"
                                  "\x88\x05\x03\xe8"
                                  "why"
                                  "\x81\x01"
                                  "x";

static void the_sizes_of_reads_do_not_matter(void **state)
{
    (void) state;
    for (size_t step = 1; step < sizeof from_server; step++) {
        const char *text =
            read_parts(from_server, sizeof from_server - 1, step, true);
        char joined[128];

        /* A part that ends before the ping is reported before it. */
        snprintf(joined, sizeof joined, "%s", text);
        assert_string_equal(
            joined, "text:heping:0:p llo pong:0: binary: close:1000:why ");
    }
}

static void a_client_refuses_a_mask(void **state)
{
    (void) state;
    assert_string_equal(read_parts("\x81\x81....", 6, 1, true), "error:1002: ");
    assert_string_equal(read_parts("\x81\x01x", 3, 3, true), "text:x ");
    assert_string_equal(read_parts("\x81\x01x", 3, 3, false), "error:1002: ");
}

static void what_is_wrong_is_reported_with_its_first_bytes(void **state)
{
    (void) state;
    assert_string_equal(read_parts("\xc1\x05", 2, 1, true), "error:1002: ");
    assert_string_equal(read_parts("\x81\x7e\x03\xe9", 4, 1, true),
                        "error:1009: ");
    assert_string_equal(read_parts("\x01\x05\xff", 3, 1, true), "error:1007: ");
    assert_string_equal(read_parts("\x81\x7e\x03\xe8"
                                   "a",
                                   5, 5, true),
                        "text:a");
}

static void heads_have_the_shortest_length(void **state)
{
    static const struct {
        uint64_t size;
        const char *head;
        size_t head_size;
    } heads[] = {
        {0, "\x82\x00", 2},
        {125, "\x82\x7d", 2},
        {126, "\x82\x7e\x00\x7e", 4},
        {65535, "\x82\x7e\xff\xff", 4},
        {65536, "\x82\x7f\0\0\0\0\0\x01\0\0", 10},
        {INT64_MAX, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10},
    };
    unsigned char head[WEBSOCKET_HEAD_MAX];

    (void) state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        size_t size = heads[i].head_size;

        assert_int_equal(
            websocket_head(WEBSOCKET_BINARY, true, heads[i].size, NULL, head),
            size);
        assert_memory_equal(head, heads[i].head, size);
        assert_int_equal(websocket_head(WEBSOCKET_CONTINUATION, false,
                                        heads[i].size,
                                        (const unsigned char *) "key!", head),
                         size + 4);
        assert_int_equal(head[0], 0);
        assert_int_equal(head[1], (unsigned char) heads[i].head[1] | 0x80);
        assert_memory_equal(head + size, "key!", 4);
    }
}

static void a_reason_is_cut_between_characters(void **state)
{
    unsigned char payload[WEBSOCKET_CONTROL_MAX];
    char reason[200];

    (void) state;
    assert_int_equal(websocket_close_payload(1005, "why", payload), 0);
    assert_int_equal(websocket_close_payload(1000, "", payload), 2);
    assert_memory_equal(payload, "\x03\xe8", 2);
    memset(reason, 'a', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    assert_int_equal(websocket_close_payload(1000, reason, payload), 125);
    memcpy(reason + 121, "\xe2\x82\xac", 3); /* It would end behind 123. */
    assert_int_equal(websocket_close_payload(1000, reason, payload), 123);
    memset(reason, 0x80, sizeof reason - 1); /* No character begins. */
    assert_int_equal(websocket_close_payload(1000, reason, payload), 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_has_the_values_of_the_standard),
        cmocka_unit_test(keys_are_base64_of_16_bytes),
        cmocka_unit_test(each_character_and_no_surrogate_is_utf8),
        cmocka_unit_test(other_bytes_are_not_utf8),
        cmocka_unit_test(a_wrong_byte_is_found_at_each_place_of_a_text),
        cmocka_unit_test(a_mask_is_the_same_at_each_offset_and_size),
        cmocka_unit_test(the_sizes_of_reads_do_not_matter),
        cmocka_unit_test(a_client_refuses_a_mask),
        cmocka_unit_test(what_is_wrong_is_reported_with_its_first_bytes),
        cmocka_unit_test(heads_have_the_shortest_length),
        cmocka_unit_test(a_reason_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
