/* The frames of WebSocket.  The result of examples/support/websocket.c, with
 * bytes in one piece and in pieces of any size, is compared with a parser that
 * has all bytes in memory.
 *
 * The first byte selects the end that reads, the second the size of the pieces,
 * and the third the limit of a message; the rest is what arrives. */

#include "fuzz.h"

#include <string.h>

#include "../../examples/support/websocket.h"

enum { TEXT_MAX = 16 * 1024 };

/* What was read: "T" or "B", the bytes of a message and ".", or the first
 * letter of another event with its code and bytes. */
struct story {
    size_t size;
    bool has_ended;
    int error; /* The code, or 0. */
    unsigned char text[TEXT_MAX];
};

static void add(struct story *story, const void *data, size_t size)
{
    FUZZ_CHECK(size <= TEXT_MAX - story->size);
    if (size > 0)
        memcpy(story->text + story->size, data, size);
    story->size += size;
}

static void add_word(struct story *story, char letter, int code,
                     const void *data, size_t size)
{
    char word[32];
    int n = snprintf(word, sizeof word, "%c%d:%zu:", letter, code, size);

    add(story, word, (size_t) n);
    add(story, data, size);
}

static void add_event(struct story *story, const struct websocket_event *event)
{
    static const char letters[] = "-Dpqce";

    FUZZ_CHECK(!story->has_ended || event->kind == WEBSOCKET_NOTHING);
    if (event->kind == WEBSOCKET_NOTHING)
        return;
    if (event->kind == WEBSOCKET_DATA) {
        if (event->is_first)
            add(story, event->is_text ? "T" : "B", 1);
        add(story, event->data, event->size);
        if (event->is_last)
            add(story, ".", 1);
        return;
    }
    story->has_ended = event->kind >= WEBSOCKET_CLOSE;
    if (event->kind == WEBSOCKET_ERROR)
        story->error = event->code;
    add_word(story, letters[event->kind], event->code, event->data,
             event->size);
}

/* Reads pieces of `step` bytes.  Each is in memory of its own, so that a
 * sanitizer sees an access beyond it. */
static void read_pieces(bool is_client, uint64_t max, size_t step,
                        const uint8_t *data, size_t size, struct story *ret)
{
    struct websocket frames = {.message_max = max, .is_client = is_client};

    memset(ret, 0, sizeof *ret);
    while (size > 0) {
        size_t piece = size < step ? size : step, at = 0;
        uint8_t *copy = malloc(piece);

        if (copy == NULL)
            abort();
        memcpy(copy, data, piece);
        while (at < piece) {
            struct websocket_event event;
            size_t used =
                websocket_read(&frames, copy + at, piece - at, &event);

            FUZZ_CHECK(used >= 1 && used <= piece - at);
            FUZZ_CHECK(event.kind != WEBSOCKET_NOTHING || used == piece - at);
            add_event(ret, &event);
            at += used;
        }
        free(copy);
        data += piece;
        size -= piece;
    }
    FUZZ_CHECK(frames.has_ended == ret->has_ended);
}

/* Returns whether the bytes can begin a text, by decoding each character.  Sets
 * *ret_is_whole to whether they can be all of it. */
static bool is_utf8(const uint8_t *data, size_t size, bool *ret_is_whole)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    size_t i = 0;

    *ret_is_whole = true;
    while (i < size) {
        unsigned c = data[i];
        size_t more = c < 0x80             ? 0
                      : (c & 0xe0) == 0xc0 ? 1
                      : (c & 0xf0) == 0xe0 ? 2
                      : (c & 0xf8) == 0xf0 ? 3
                                           : 4;
        uint32_t low = more == 0 ? c : c & (0x3fu >> more), high = low;

        if (more == 4)
            return false;
        i++;
        for (size_t k = 0; k < more; k++, i++) {
            bool has_byte = i < size;

            if (has_byte && (data[i] & 0xc0) != 0x80)
                return false;
            low = low << 6 | (has_byte ? data[i] & 0x3fu : 0);
            high = high << 6 | (has_byte ? data[i] & 0x3fu : 0x3f);
            *ret_is_whole = *ret_is_whole && has_byte;
        }
        /* Is there a character between both, with the bytes that follow? */
        if (high < least[more] || low > 0x10ffff ||
            (low >= 0xd800 && high <= 0xdfff))
            return false;
    }
    return true;
}

/* The state of the parser in memory. */
struct model {
    bool is_client;
    uint64_t max;
    unsigned message; /* Its opcode, or 0. */
    bool is_reported;
    size_t size;
    uint64_t announced;
    uint8_t bytes[TEXT_MAX];
};

/* Returns the code for a head, of which `size` bytes are there, or 0. */
static int judge_head(const struct model *model, const uint8_t *head,
                      size_t size)
{
    unsigned opcode = head[0] & 15, length = head[1] & 127;
    size_t need = length == 126 ? 2 : length == 127 ? 8 : 0;
    uint64_t value = need == 0 ? length : 0;
    bool is_final = head[0] >= 128;

    if ((head[0] & 0x70) != 0 || (head[1] >= 128) == model->is_client ||
        (opcode > 2 && opcode < 8) || opcode > 10)
        return 1002;
    if (opcode >= 8 && (!is_final || length > 125))
        return 1002;
    if (opcode < 8 && (opcode == 0) == (model->message == 0))
        return 1002;
    if (size < 2 + need + (head[1] >= 128 ? 4 : 0))
        return 0;
    for (size_t i = 0; i < need; i++)
        value = value << 8 | head[2 + i];
    if (value >> 63 != 0 || (need == 2 && value < 126) ||
        (need == 8 && value < 65536))
        return 1002;
    if (opcode < 8 && (value > model->max ||
                       (opcode == 0 && model->announced > model->max - value)))
        return 1009;
    return 0;
}

static void end(struct story *story, int code)
{
    story->has_ended = true;
    story->error = code;
    add_word(story, 'e', code, NULL, 0);
}

static void add_control(struct story *story, unsigned opcode,
                        const uint8_t *payload, size_t size)
{
    int code = size >= 2 ? payload[0] << 8 | payload[1] : 0;
    bool is_whole;

    if (opcode != 8) {
        add_word(story, opcode == 9 ? 'p' : 'q', 0, payload, size);
    } else if (size == 0) {
        add_word(story, 'c', 1005, NULL, 0);
        story->has_ended = true;
    } else if (code < 1000 || code == 1004 || code == 1005 || code == 1006 ||
               (code > 1014 && code < 3000) || code > 4999) {
        end(story, 1002);
    } else if (!is_utf8(payload + 2, size - 2, &is_whole) || !is_whole) {
        end(story, 1007);
    } else {
        add_word(story, 'c', code, payload + 2, size - 2);
        story->has_ended = true;
    }
}

/* Adds a part of a message. */
static void add_data(struct model *model, struct story *story,
                     const uint8_t *payload, size_t size, bool is_last)
{
    bool is_whole;

    memcpy(model->bytes + model->size, payload, size);
    model->size += size;
    if (model->message == 1 &&
        (!is_utf8(model->bytes, model->size, &is_whole) ||
         (is_last && !is_whole))) {
        end(story, 1007);
        return;
    }
    if (!model->is_reported && (size > 0 || is_last)) {
        add(story, model->message == 1 ? "T" : "B", 1);
        model->is_reported = true;
    }
    add(story, payload, size);
    if (is_last) {
        add(story, ".", 1);
        model->message = 0;
    }
}

/* Reads one frame.  Returns its size, or 0 if it is not complete or wrong. */
static size_t read_frame(struct model *model, const uint8_t *data, size_t size,
                         struct story *story)
{
    static uint8_t payload[TEXT_MAX];
    unsigned opcode = data[0] & 15, length = size < 2 ? 0 : data[1] & 127;
    size_t head = 2 + (length == 126 ? 2u : length == 127 ? 8u : 0u);
    size_t left, extra = size < 2 || data[1] < 128 ? 0 : 4;
    uint64_t value = length;
    int code = size < 2 ? 0 : judge_head(model, data, size);

    if (code != 0)
        end(story, code);
    if (size < 2 || code != 0 || size < head + extra)
        return 0;
    for (size_t i = 2; i < head; i++)
        value = (i == 2 ? 0 : value << 8) | data[i];
    left = size - head - extra;
    if (left > value)
        left = (size_t) value;
    for (size_t i = 0; i < left; i++)
        payload[i] = data[head + extra + i] ^
                     (extra > 0 ? data[head + i % 4] : 0);
    if (opcode >= 8) {
        if (left == value)
            add_control(story, opcode, payload, left);
    } else {
        if (opcode != 0) {
            model->message = opcode;
            model->size = 0;
            model->announced = 0;
            model->is_reported = false;
        }
        model->announced += value;
        add_data(model, story, payload, left, data[0] >= 128 && left == value);
    }
    return left == value ? head + extra + left : 0;
}

static void read_model(bool is_client, uint64_t max, const uint8_t *data,
                       size_t size, struct story *ret)
{
    static struct model model;
    size_t used = 1;

    memset(ret, 0, sizeof *ret);
    memset(&model, 0, sizeof model);
    model.is_client = is_client;
    model.max = max;
    while (size > 0 && used > 0 && !ret->has_ended) {
        used = read_frame(&model, data, size, ret);
        data += used;
        size -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct story model, whole, pieces;
    struct fuzz_input input = {data, data + size};
    bool is_client = fuzz_below(&input, 2) != 0;
    size_t step = 1 + fuzz_byte(&input);
    unsigned limit = fuzz_byte(&input);
    uint64_t max = limit >= 250 ? UINT64_MAX : (uint64_t) limit * 4;
    size_t left = fuzz_left(&input);

    if (left > TEXT_MAX / 16)
        return 0;
    read_model(is_client, max, input.next, left, &model);
    read_pieces(is_client, max, left + 1, input.next, left, &whole);
    read_pieces(is_client, max, step, input.next, left, &pieces);
    if (fuzz_traces())
        printf("%.*s\n", (int) pieces.size, (const char *) pieces.text);
    FUZZ_CHECK(whole.size == model.size &&
               memcmp(whole.text, model.text, model.size) == 0);
    FUZZ_CHECK(pieces.error == model.error &&
               pieces.has_ended == model.has_ended);
    /* In pieces, more of a text is reported before it turns out to be wrong. */
    if (model.error != WEBSOCKET_NOT_UTF8)
        FUZZ_CHECK(pieces.size == model.size &&
                   memcmp(pieces.text, model.text, model.size) == 0);
    return 0;
}
