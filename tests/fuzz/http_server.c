/* The HTTP server of the examples.  Its answer to bytes in pieces of any size
 * must equal the answer that is computed in memory.
 *
 * The first three bytes select random behaviour, the failing allocation and how
 * the client ends; the rest is the data that the client sends. */

#include "fuzz_world.h"

#include "../../examples/support/http_server.h"

enum {
    REQUEST_MAX = 4096,
    ANSWER_MAX = 128 * 1024,
    PAGES = HTTP_SERVER_PAGES,
    PIECES = 20
};

static struct {
    char expected[ANSWER_MAX], got[ANSWER_MAX];
    size_t expected_size, got_size;
} s;

/* Returns the end of the request, or NULL if there is none. */
static const uint8_t *end_of(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i + 4 <= size && i + 4 <= REQUEST_MAX; i++)
        if (memcmp(text + i, "\r\n\r\n", 4) == 0)
            return text + i + 4;
    return NULL;
}

static const char *status_of(const uint8_t *text, const uint8_t *end,
                             size_t *ret_page)
{
    const uint8_t *path = text + 4, *stop = path;

    *ret_page = PAGES;
    if (memcmp(text, "GET ", 4) != 0)
        return "405 Method Not Allowed";
    while (stop < end && *stop != ' ' && *stop != '\r' && *stop != '\n' &&
           *stop != '\0')
        stop++;
    if (end - stop < 8 || memcmp(stop, " HTTP/1.", 8) != 0)
        return "400 Bad Request";
    for (size_t i = 0; i < PAGES; i++) {
        const char *name = http_server_path(i);

        if (strlen(name) == (size_t) (stop - path) &&
            memcmp(name, path, strlen(name)) == 0)
            *ret_page = i;
    }
    return *ret_page < PAGES ? "200 OK" : "404 Not Found";
}

static void expect_body(size_t piece_size)
{
    for (size_t i = 0; i < PIECES; i++) {
        memset(s.expected + s.expected_size, '.', piece_size);
        s.expected_size += piece_size;
        s.expected[s.expected_size - 1] = '\n';
    }
}

/* Computes the answer.  Returns whether all bytes belong to the request. */
static bool expect(const uint8_t *text, size_t size)
{
    static const size_t sizes[] = {1000, 2000, 4000, 0};
    const uint8_t *end = end_of(text, size);
    size_t page = PAGES;
    const char *status = "431 Request Header Fields Too Large";

    s.expected_size = 0;
    if (end == NULL && size < REQUEST_MAX)
        return true;
    if (end != NULL)
        status = status_of(text, end, &page);
    s.expected_size =
        (size_t) snprintf(s.expected, sizeof s.expected,
                          "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                          status, PIECES * sizes[page]);
    if (page < PAGES)
        expect_body(sizes[page]);
    return end == text + size;
}

/* Receives until the server has closed, which must happen within ten
 * seconds. */
static void receive(struct fuzz_world *world, int peer)
{
    s.got_size = 0;
    for (int i = 0; i < 100 && !sim_peer_eof(peer) && sim_peer_error(peer) == 0;
         i++) {
        ssize_t n = 1;

        fuzz_run_for(world, ALOOP_MS(i < 8 ? 1 : 200));
        while (n > 0) {
            FUZZ_CHECK(s.got_size < sizeof s.got);
            n = sim_peer_receive(peer, s.got + s.got_size,
                                 sizeof s.got - s.got_size);
            s.got_size += n > 0 ? (size_t) n : 0;
        }
    }
    FUZZ_CHECK(sim_peer_eof(peer) || sim_peer_error(peer) < 0);
}

static void talk(struct fuzz_world *world, uint16_t port, unsigned end,
                 const uint8_t *text, size_t size)
{
    bool is_whole = expect(text, size);
    int peer = sim_connect(port);

    FUZZ_CHECK(peer >= 0);
    FUZZ_CHECK(size == 0 || sim_peer_send(peer, text, size) == (ssize_t) size);
    if (end == 1)
        sim_peer_shutdown(peer);
    if (end == 2) { /* No client is left to receive the answer. */
        sim_peer_reset(peer);
        fuzz_run_for(world, ALOOP_SEC(12));
        return;
    }
    receive(world, peer);
    FUZZ_CHECK(s.got_size <= s.expected_size);
    FUZZ_CHECK(memcmp(s.got, s.expected, s.got_size) == 0);
    /* Unread data causes a reset, with or without an answer. */
    FUZZ_CHECK(s.got_size == s.expected_size || !is_whole || world->has_failed);
    sim_peer_close(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    unsigned seed = fuzz_byte(&input), starve = fuzz_byte(&input);
    unsigned end = fuzz_below(&input, 3);
    aloop_listener *listener;
    struct fuzz_world world;

    fuzz_world_open(&world, seed);
    FUZZ_CHECK(http_server_start(world.loop, &listener) == 0);
    fuzz_world_starve(&world, starve < 200 ? 0 : starve - 199);
    talk(&world, (uint16_t) aloop_listener_port(listener), end, input.next,
         fuzz_left(&input));
    aloop_listener_close(listener);
    fuzz_world_close(&world);
    return 0;
}
