/* The frames of WebSocket; the numbers are those of RFC 6455.
 *
 * The head of a frame is collected in `head`; its first two bytes decide how
 * long it is.  The payload of a data frame is reported in the parts in which it
 * arrives, that of a control frame as a whole. */

#include "websocket.h"

#include <stdio.h>
#include <string.h>

#include "sha1.h"

enum { FINAL = 0x80, RESERVED = 0x70, OPCODE = 0x0f, CONTROL = 0x08 };
enum { MASKED = 0x80, LENGTH = 0x7f, LENGTH_16 = 126, LENGTH_64 = 127 };

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789+/";

/* Fails the connection (7.1.7). */
static void fail(struct websocket *frames, int code,
                 struct websocket_event *ret)
{
    frames->has_ended = true;
    *ret = (struct websocket_event){.kind = WEBSOCKET_ERROR, .code = code};
}

static bool is_opcode(unsigned opcode)
{
    return opcode <= WEBSOCKET_BINARY ||
           (opcode >= WEBSOCKET_OP_CLOSE && opcode <= WEBSOCKET_OP_PONG);
}

/* Judges the first two bytes of a head (5.2, 5.4, 5.5).  Returns 0 or a
 * code. */
static int check_start(const struct websocket *frames)
{
    unsigned opcode = frames->head[0] & OPCODE;
    unsigned length = frames->head[1] & LENGTH;
    bool is_masked = (frames->head[1] & MASKED) != 0;
    bool is_final = (frames->head[0] & FINAL) != 0;

    if ((frames->head[0] & RESERVED) != 0 || !is_opcode(opcode) ||
        is_masked == frames->is_client)
        return WEBSOCKET_PROTOCOL;
    if ((opcode & CONTROL) != 0)
        return is_final && length <= WEBSOCKET_CONTROL_MAX ? 0
                                                           : WEBSOCKET_PROTOCOL;
    return (opcode == WEBSOCKET_CONTINUATION) == (frames->message != 0)
               ? 0
               : WEBSOCKET_PROTOCOL;
}

static size_t head_size_of(const unsigned char *head)
{
    unsigned length = head[1] & LENGTH;
    size_t size = 2;

    size += length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
    return size + ((head[1] & MASKED) != 0 ? 4 : 0);
}

/* Reads a length, which has to have its shortest form (5.2).  Returns 0 or a
 * code. */
static int parse_length(struct websocket *frames)
{
    unsigned length = frames->head[1] & LENGTH;
    size_t size = length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
    uint64_t least = size == 2 ? LENGTH_16 : size == 8 ? 0x10000 : 0;

    frames->left = size == 0 ? length : 0;
    for (size_t i = 0; i < size; i++)
        frames->left = frames->left << 8 | frames->head[2 + i];
    return frames->left < least || frames->left > INT64_MAX ? WEBSOCKET_PROTOCOL
                                                            : 0;
}

/* Begins the frame whose head is complete.  Returns 0 or a code. */
static int begin_payload(struct websocket *frames)
{
    unsigned opcode = frames->head[0] & OPCODE;
    int code = parse_length(frames);

    if (code != 0)
        return code;
    if ((frames->head[1] & MASKED) != 0)
        memcpy(frames->key, frames->head + frames->head_need - 4, 4);
    frames->is_in_payload = true;
    frames->control_size = 0;
    if ((opcode & CONTROL) != 0)
        return 0;
    if (opcode != WEBSOCKET_CONTINUATION) {
        frames->message = (unsigned char) opcode;
        frames->message_size = 0;
        frames->has_reported = false;
        frames->utf8 = (struct utf8){0};
    }
    if (frames->left > frames->message_max ||
        frames->message_size > frames->message_max - frames->left)
        return WEBSOCKET_TOO_LARGE;
    frames->message_size += frames->left;
    return 0;
}

/* Adds bytes to the head.  Returns 0 or a code, and how many it has used. */
static int read_head(struct websocket *frames, const unsigned char *data,
                     size_t size, size_t *ret_used)
{
    size_t used = 0;
    int code = 0;

    if (frames->head_need == 0)
        frames->head_need = 2;
    while (code == 0 && used < size && !frames->is_in_payload) {
        frames->head[frames->head_size++] = data[used++];
        if (frames->head_size < frames->head_need)
            continue;
        if (frames->head_size == 2) {
            code = check_start(frames);
            frames->head_need = head_size_of(frames->head);
        }
        if (code == 0 && frames->head_size == frames->head_need)
            code = begin_payload(frames);
    }
    *ret_used = used;
    return code;
}

void websocket_mask(void *data, size_t size, const unsigned char key[4],
                    size_t offset)
{
    unsigned char *bytes = data, mask[8];
    uint64_t mask_word, word;

    for (size_t i = 0; i < sizeof mask; i++)
        mask[i] = key[(offset + i) % 4];
    memcpy(&mask_word, mask, sizeof mask);
    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        word ^= mask_word;
        memcpy(bytes, &word, sizeof word);
    }
    for (size_t i = 0; i < size; i++)
        bytes[i] ^= mask[i];
}

/* Unmasks a part of the payload, and turns the key to the byte behind it. */
static void unmask(struct websocket *frames, unsigned char *data, size_t size)
{
    unsigned char key[4];

    websocket_mask(data, size, frames->key, 0);
    memcpy(key, frames->key, sizeof key);
    for (size_t i = 0; i < sizeof key; i++)
        frames->key[i] = key[(size + i) % 4];
}

static void report_data(struct websocket *frames, const void *data, size_t size,
                        struct websocket_event *ret)
{
    bool is_text = frames->message == WEBSOCKET_TEXT;
    bool is_last = (frames->head[0] & FINAL) != 0 && frames->left == 0;

    if (is_text && (!utf8_add(&frames->utf8, data, size) ||
                    (is_last && !utf8_is_whole(&frames->utf8)))) {
        fail(frames, WEBSOCKET_NOT_UTF8, ret);
        return;
    }
    if (size == 0 && !is_last)
        return;
    *ret = (struct websocket_event){.kind = WEBSOCKET_DATA,
                                    .is_text = is_text,
                                    .is_first = !frames->has_reported,
                                    .is_last = is_last,
                                    .data = data,
                                    .size = size};
    frames->has_reported = true;
    if (is_last)
        frames->message = 0;
}

/* Returns whether a peer may send the code (7.4, and IANA's registry). */
static bool is_code(int code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 &&
            code != WEBSOCKET_NO_CODE && code != WEBSOCKET_NO_CLOSE) ||
           (code >= 3000 && code <= 4999);
}

static void report_close(struct websocket *frames, struct websocket_event *ret)
{
    const unsigned char *payload = frames->control;
    size_t size = frames->control_size;
    struct utf8 utf8 = {0};

    ret->code = WEBSOCKET_NO_CODE;
    if (size > 0) {
        ret->code = size >= 2 ? payload[0] << 8 | payload[1] : 0;
        if (!is_code(ret->code)) {
            fail(frames, WEBSOCKET_PROTOCOL, ret);
            return;
        }
        ret->data = payload + 2;
        ret->size = size - 2;
        if (!utf8_add(&utf8, ret->data, ret->size) || !utf8_is_whole(&utf8)) {
            fail(frames, WEBSOCKET_NOT_UTF8, ret);
            return;
        }
    }
    frames->has_ended = true;
    ret->kind = WEBSOCKET_CLOSE;
}

static void read_control(struct websocket *frames, const void *data,
                         size_t size, struct websocket_event *ret)
{
    unsigned opcode = frames->head[0] & OPCODE;

    if (size > 0)
        memcpy(frames->control + frames->control_size, data, size);
    frames->control_size += size;
    if (frames->left > 0)
        return;
    ret->data = frames->control;
    ret->size = frames->control_size;
    if (opcode == WEBSOCKET_OP_CLOSE)
        report_close(frames, ret);
    else
        ret->kind = opcode == WEBSOCKET_OP_PING ? WEBSOCKET_PING
                                                : WEBSOCKET_PONG;
}

/* Reads what there is of the payload of one frame.  Returns its size. */
static size_t read_payload(struct websocket *frames, unsigned char *data,
                           size_t size, struct websocket_event *ret)
{
    if (size > frames->left)
        size = (size_t) frames->left;
    frames->left -= size;
    if (!frames->is_client)
        unmask(frames, data, size);
    if ((frames->head[0] & CONTROL) != 0)
        read_control(frames, data, size, ret);
    else
        report_data(frames, data, size, ret);
    if (frames->left == 0) {
        frames->is_in_payload = false;
        frames->head_size = frames->head_need = 0;
    }
    return size;
}

size_t websocket_read(struct websocket *frames, void *data, size_t size,
                      struct websocket_event *ret)
{
    unsigned char *bytes = data;
    size_t used = 0;

    *ret = (struct websocket_event){.kind = WEBSOCKET_NOTHING};
    while (used < size && ret->kind == WEBSOCKET_NOTHING) {
        size_t head = 0;
        int code = 0;

        if (frames->has_ended)
            return size;
        if (!frames->is_in_payload)
            code = read_head(frames, bytes + used, size - used, &head);
        used += head;
        if (code != 0)
            fail(frames, code, ret);
        else if (frames->is_in_payload)
            used += read_payload(frames, bytes + used, size - used, ret);
    }
    return used;
}

size_t websocket_head(enum websocket_opcode opcode, bool is_last, uint64_t size,
                      const unsigned char key[4],
                      unsigned char ret[WEBSOCKET_HEAD_MAX])
{
    size_t length = size < LENGTH_16 ? 0 : size < 0x10000 ? 2 : 8;

    ret[0] = (unsigned char) ((is_last ? FINAL : 0) | (unsigned) opcode);
    ret[1] = (unsigned char) (length == 0   ? size
                              : length == 2 ? LENGTH_16
                                            : LENGTH_64);
    for (size_t i = 0; i < length; i++)
        ret[2 + i] = (unsigned char) (size >> (8 * (length - 1 - i)));
    if (key == NULL)
        return 2 + length;
    ret[1] |= MASKED;
    memcpy(ret + 2 + length, key, 4);
    return 2 + length + 4;
}

size_t websocket_close_payload(int code, const char *reason,
                               unsigned char ret[WEBSOCKET_CONTROL_MAX])
{
    size_t size = 0;

    if (code == WEBSOCKET_NO_CODE)
        return 0;
    while (size < WEBSOCKET_CONTROL_MAX - 2 && reason[size] != '\0')
        size++;
    while (size > 0 && ((unsigned char) reason[size] & 0xc0) == 0x80)
        size--; /* Not inside a character. */
    ret[0] = (unsigned char) (code >> 8);
    ret[1] = (unsigned char) code;
    memcpy(ret + 2, reason, size);
    return size + 2;
}

/* Writes `size` bytes in base64 (RFC 4648, section 4), with a zero byte. */
static void encode(const unsigned char *data, size_t size, char *ret)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t count = size - i < 3 ? size - i : 3;
        unsigned char block[3] = {0};
        uint32_t bits;

        memcpy(block, data + i, count);
        bits = (uint32_t) block[0] << 16 | (uint32_t) block[1] << 8 | block[2];
        for (size_t k = 0; k < 4; k++)
            *ret++ = '=';
        for (size_t k = 0; k <= count; k++)
            ret[(ptrdiff_t) k - 4] = base64[bits >> (18 - 6 * k) & 63];
    }
    *ret = '\0';
}

void websocket_key(const unsigned char random[16], char ret[WEBSOCKET_KEY_SIZE])
{
    encode(random, 16, ret);
}

bool websocket_is_key(const char *text)
{
    return strspn(text, base64) == 22 && strcmp(text + 22, "==") == 0;
}

void websocket_accept(const char *key, char ret[WEBSOCKET_ACCEPT_SIZE])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char hash[SHA1_SIZE];
    char text[WEBSOCKET_KEY_SIZE + sizeof suffix];
    int size = snprintf(text, sizeof text, "%.24s%s", key, suffix);

    sha1(text, (size_t) size, hash);
    encode(hash, sizeof hash, ret);
}
