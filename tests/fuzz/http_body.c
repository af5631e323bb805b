/* Bodies of replies.  The result of examples/support/http_body.c, with bytes in
 * pieces of any size, is compared with a parser in memory.  A body that is
 * encoded in chunks must be decoded to the same bytes. */

#include "fuzz_http.h"

enum { ENCODED_MAX = 8192 };

static struct {
    aloop_stream *stream;
    struct http_head head;
    size_t budget;
    struct http_get get;
    struct http_reply reply;
    uint64_t received; /* As reported by on_progress(). */
} b;

static ssize_t read_body(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return http_read_body(b.stream, &b.head, &b.budget, &b.get, &b.reply);
}

static void on_progress(uint64_t received, int64_t total, void *arg)
{
    FUZZ_CHECK(arg == &b && received <= b.get.body_max);
    FUZZ_CHECK(total == (b.head.is_coded ? -1 : b.head.length));
    FUZZ_CHECK(received > b.received || received == 0);
    FUZZ_CHECK(total < 0 || received <= (uint64_t) total);
    b.received = received;
}

/* Returns the size of the body, or an error. */
static int64_t check(unsigned seed, unsigned starve, struct fuzz_text text)
{
    struct fuzz_world world;
    size_t left = b.budget;
    ssize_t status, result;
    uint64_t sum;
    int peer;

    b.get.on_progress = on_progress;
    b.get.arg = &b;
    b.received = 0;
    fuzz_world_open(&world, seed);
    b.stream = fuzz_connect(&world, &peer);
    fuzz_serve(peer, text);
    fuzz_world_starve(&world, starve);
    result = fuzz_run_task(&world, read_body, NULL);
    status = fuzz_body(&text, &b.head, &left, b.get.body_max, &sum);
    FUZZ_CHECK(result == status ||
               (result == ALOOP_ENOMEM && world.has_failed));
    if (result == 0)
        FUZZ_CHECK(b.reply.size == sum && b.received == sum &&
                   b.budget == left);
    aloop_stream_close(b.stream);
    fuzz_world_close(&world);
    return result < 0 ? result : (int64_t) sum;
}

/* Encodes chunks, whose sizes and line ends the input selects. */
static void check_encoded(struct fuzz_input *input, unsigned seed)
{
    static const char *const ends[] = {"\r\n", "\n", " \t\r\n",
                                       ";name=value\r\n"};
    static const char *const formats[] = {"%x%s", "%X%s", "00%x%s", "%03x%s"};
    static uint8_t text[ENCODED_MAX + 64];
    size_t size = 0, sum = 0;
    int n = 1;

    for (int chunks = 0; chunks < 32 && n > 0 && size < ENCODED_MAX; chunks++) {
        unsigned look = fuzz_byte(input);

        n = (int) fuzz_byte(input) * (look & 0x80 ? 16 : 1);
        if (n == 0 || size + (size_t) n + 64 > ENCODED_MAX)
            break;
        size += (size_t) snprintf((char *) text + size, 64, formats[look % 4],
                                  (unsigned) n, ends[look / 4 % 4]);
        for (int i = 0; i < n; i++)
            text[size + (size_t) i] = (uint8_t) (look + (unsigned) i * 7);
        size += (size_t) n;
        sum += (size_t) n;
        text[size++] = '\r';
        size -= look & 0x40 ? 1 : 0;
        text[size++] = '\n';
    }
    size += (size_t) snprintf((char *) text + size, 64, "0\r\n%s\r\n",
                              seed & 1 ? "Trailer: x\r\n" : "");
    b.head.is_coded = b.head.is_chunked = true;
    b.head.status = 200;
    b.budget = 1000;
    b.get.body_max = sum;
    FUZZ_CHECK(check(seed, 0, (struct fuzz_text){text, text + size}) ==
               (int64_t) sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 200, 200, 204, 304, 404, 999, 200};
    struct fuzz_input input = {data, data + size};
    unsigned kind = fuzz_byte(&input), seed = fuzz_byte(&input);
    unsigned starve;

    memset(&b, 0, sizeof b);
    if (kind % 4 == 1) {
        check_encoded(&input, seed);
        return 0;
    }
    starve = fuzz_byte(&input);
    b.head.status = statuses[fuzz_below(&input, 8)];
    b.head.is_coded = kind % 4 != 2;
    b.head.is_chunked = b.head.is_coded && kind / 4 % 8 != 1;
    b.head.length = kind & 0x80 ? (int64_t) fuzz_byte(&input) : -1;
    if (kind & 0x40)
        b.head.length = b.head.length * 64;
    b.budget = fuzz_byte(&input) * 4;
    b.get.body_max = fuzz_byte(&input) * 16;
    if (kind & 0x20)
        b.get.body_max = UINT64_MAX;
    check(seed, starve < 200 ? 0 : starve - 199,
          (struct fuzz_text){input.next, input.end});
    return 0;
}
