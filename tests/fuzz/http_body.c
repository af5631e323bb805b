/* Bodies of replies.  The result of examples/support/http_body.c, with bytes in
 * pieces of any size, is compared with a parser in memory.  A body that is
 * encoded in chunks must be decoded to the same bytes. */

#include "fuzz_http.h"

enum { ENCODED_MAX = 8192 };

static struct {
    struct http_input input;
    struct fuzz_head head;
    size_t budget;
    uint64_t max;
    size_t step; /* Bytes of each read. */
    struct http_body body;
} b;

static ssize_t read_body(aloop *loop, void *arg)
{
    static char buffer[64 * 1024];
    struct http_head head = {.status = b.head.status,
                             .length = b.head.length,
                             .is_coded = b.head.is_coded,
                             .is_chunked = b.head.is_chunked};
    ssize_t n;

    (void) loop;
    (void) arg;
    http_body_begin(&b.body, &head, false, &b.input, b.budget, b.max);
    do
        n = http_body_read(&b.body, buffer, b.step);
    while (n > 0);
    FUZZ_CHECK(http_body_read(&b.body, buffer, 1) == n);
    return n;
}

/* Returns the size of the body, or an error. */
static int64_t check(unsigned seed, unsigned starve, struct fuzz_text text)
{
    struct fuzz_world world;
    size_t left = b.budget;
    ssize_t status, result;
    uint64_t sum;
    int peer;

    b.step = seed % 4 == 0 ? sizeof b.input.data * 4 : 1 + seed;
    fuzz_world_open(&world, seed);
    b.input.stream = fuzz_connect(&world, &peer);
    fuzz_serve(peer, text);
    fuzz_world_starve(&world, starve);
    result = fuzz_run_task(&world, read_body, NULL);
    status = fuzz_body(&text, &b.head, &left, b.max, &sum);
    FUZZ_CHECK(result == status ||
               (result == ALOOP_ENOMEM && world.has_failed));
    if (result == 0)
        FUZZ_CHECK(b.body.received == sum && b.body.is_done &&
                   (!b.head.is_coded || sum == 0 || b.body.budget == left));
    http_input_close(&b.input);
    aloop_stream_close(b.input.stream);
    fuzz_world_close(&world);
    return result < 0 ? result : (int64_t) sum;
}

/* Encodes chunks, whose sizes and line ends the input selects. */
static void check_encoded(struct fuzz_input *input, unsigned seed)
{
    static const char *const ends[] = {"\r\n", ";\r\n", " \t\r\n",
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
        text[size++] = '\n';
    }
    size += (size_t) snprintf((char *) text + size, 64, "0\r\n%s\r\n",
                              seed & 1 ? "Trailer: x\r\n" : "");
    b.head.is_coded = b.head.is_chunked = true;
    b.head.status = 200;
    b.budget = 1000;
    b.max = sum;
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
    b.max = fuzz_byte(&input) * 16;
    if (kind & 0x20)
        b.max = UINT64_MAX;
    check(seed, starve < 200 ? 0 : starve - 199,
          (struct fuzz_text){input.next, input.end});
    return 0;
}
