/* Headers of replies.  The result of examples/support/http_head.c, with bytes
 * in pieces of any size, is compared with a parser in memory.  A header made of
 * known parts must give exactly these parts. */

#include "fuzz_http.h"

static struct {
    struct http_input input;
    size_t budget;
    struct http_head head;
} h;

static ssize_t read_head(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return http_head_read(&h.input, &h.budget, &h.head);
}

static void check_same(const struct http_head *a, const struct fuzz_head *b)
{
    const char *location = http_head_field(a, "location");

    FUZZ_CHECK(a->status == b->status && a->length == b->length);
    FUZZ_CHECK(a->is_coded == b->is_coded && a->is_chunked == b->is_chunked);
    FUZZ_CHECK(a->is_kept == b->is_kept);
    FUZZ_CHECK((location != NULL) == b->has_location);
    FUZZ_CHECK(location == NULL || strcmp(location, b->location) == 0);
}

/* Checks that all bytes after the header are still in the stream. */
static void check_rest(struct fuzz_world *world, struct fuzz_text rest)
{
    size_t size = (size_t) (rest.end - rest.next), got = 0;
    char *buffer = malloc(size + 1);
    ssize_t n;

    FUZZ_CHECK(buffer != NULL);
    do {
        n = http_input_read(&h.input, buffer + got, size + 1 - got);
        got += n > 0 ? (size_t) n : 0;
    } while (n > 0);
    FUZZ_CHECK((n == 0 && got == size) || world->has_failed);
    FUZZ_CHECK(world->has_failed || memcmp(buffer, rest.next, size) == 0);
    free(buffer);
}

static void check(unsigned seed, unsigned starve, struct fuzz_text text,
                  size_t budget, const struct fuzz_head *known)
{
    static struct fuzz_head expected;
    struct fuzz_world world;
    size_t left = budget;
    ssize_t status, result;
    int peer;

    fuzz_world_open(&world, seed);
    memset(&h, 0, offsetof(struct http_input, data));
    memset(&h.head, 0, sizeof h.head);
    h.input.stream = fuzz_connect(&world, &peer);
    h.budget = budget;
    fuzz_serve(peer, text);
    fuzz_world_starve(&world, starve);
    result = fuzz_run_task(&world, read_head, NULL);
    status = fuzz_head(&text, &left, &expected);
    FUZZ_CHECK(result == status ||
               (result == ALOOP_ENOMEM && world.has_failed));
    if (result == 0) {
        check_same(&h.head, &expected);
        FUZZ_CHECK(h.budget == left);
        FUZZ_CHECK(h.head.status >= 100 && h.head.status <= 999);
        check_rest(&world, text);
        if (known != NULL)
            check_same(&h.head, known);
    }
    FUZZ_CHECK(known == NULL || status == 0);
    http_input_close(&h.input);
    http_head_free(&h.head);
    aloop_stream_close(h.input.stream);
    fuzz_world_close(&world);
}

/* Writes a name with random upper and lower case, a colon and blanks. */
static int put_name(char *at, struct fuzz_input *input, const char *name)
{
    unsigned cases = fuzz_byte(input), blanks = fuzz_byte(input);
    int size = (int) strlen(name);

    for (int i = 0; i < size; i++)
        at[i] = (char) (name[i] ^
                        (name[i] != '-' && cases >> (i % 8) & 1 ? 0x20 : 0));
    at[size++] = ':';
    for (unsigned i = 0; i < blanks % 4; i++)
        at[size++] = blanks >> i & 4 ? '\t' : ' ';
    return size;
}

/* Makes a header of known parts, and checks them. */
static void check_known(struct fuzz_input *input, unsigned seed)
{
    static struct fuzz_head head;
    char text[4096];
    unsigned fields = fuzz_byte(input);
    int version = (int) fuzz_below(input, 10);
    const char *end = "\r\n";
    int size;

    memset(&head, 0, sizeof head);
    head.length = -1;
    head.status = 200 + (int) (fuzz_byte(input) * 3);
    head.is_kept = version != 0 && (fields & 1) == 0;
    size = snprintf(text, sizeof text, "HTTP/1.%d %d%s%s", version, head.status,
                    fields & 2 ? " any reason" : "", end);
    if (fields & 4) {
        head.length = (int64_t) fuzz_byte(input) << fuzz_below(input, 55);
        size += put_name(text + size, input, "Content-Length");
        size += sprintf(text + size, "%lld%s", (long long) head.length, end);
    }
    if (fields & 1) {
        size += put_name(text + size, input, "Connection");
        size += sprintf(text + size, "x, Close%s", end);
    }
    if ((fields & 12) == 8) {
        head.is_coded = head.is_chunked = true;
        size += put_name(text + size, input, "Transfer-Encoding");
        size += sprintf(text + size, "chunked%s", end);
    }
    if (fields & 16) {
        head.has_location = true;
        for (unsigned i = 0; i < 40; i++)
            head.location[i] = (char) (0x21 + fuzz_below(input, 94));
        size += put_name(text + size, input, "Location");
        size += sprintf(text + size, "%.99s%s%s", head.location,
                        fields & 32 ? " \t" : "", end);
    }
    size += sprintf(text + size, "X: y%s%srest", end, end);
    check(seed, 0,
          (struct fuzz_text){(uint8_t *) text, (uint8_t *) text + size}, 1024,
          &head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    unsigned kind = fuzz_byte(&input), seed = fuzz_byte(&input);
    unsigned budget = fuzz_byte(&input);

    if (kind % 8 == 1)
        check_known(&input, seed);
    else
        check(seed, kind % 8 == 2 ? 1 + kind / 8 : 0,
              (struct fuzz_text){input.next, input.end},
              budget == 0 ? 65536 : budget * 16, NULL);
    return 0;
}
