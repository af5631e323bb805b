/* The HTTP server of the examples.  Bytes of any kind are sent to it, in one
 * piece and then in pieces of random sizes.  The answers must be equal, must be
 * HTTP, and must end in time.
 *
 * The first three bytes select random behaviour, the failing allocation and how
 * the client ends; the rest is the data that the client sends. */

#include "fuzz_world.h"

#include "../../examples/support/httpd.h"

enum { ANSWER_MAX = 1024 * 1024 };

struct answer {
    size_t size;
    bool is_reset; /* The client may have lost a part. */
    char text[ANSWER_MAX];
};

static struct answer whole, pieces;

static ssize_t fixed(struct httpd_request *request, void *arg)
{
    return httpd_answer(request, 200, "text/plain", arg, strlen(arg));
}

/* Sends the body back, in pieces. */
static ssize_t echo(struct httpd_request *request, void *arg)
{
    ssize_t status = httpd_begin(request, 200, NULL, -1);
    char bytes[64];

    (void) arg;
    while (status >= 0) {
        status = httpd_read(request, bytes, sizeof bytes);
        if (status <= 0)
            break;
        status = httpd_write(request, bytes, (size_t) status);
    }
    return status;
}

/* Counts the body, and answers in the end. */
static ssize_t count(struct httpd_request *request, void *arg)
{
    char bytes[64];
    size_t size = 0;
    ssize_t n;

    (void) arg;
    while ((n = httpd_read(request, bytes, sizeof bytes)) > 0)
        size += (size_t) n;
    return n < 0 ? n : httpd_answer(request, 200, NULL, bytes, size % 10);
}

static const struct httpd_route routes[] = {
    {"GET", "/", fixed, "root\n"},
    {"GET", "/one", fixed, "one\n"},
    {"POST", "/echo", echo, NULL},
    {"POST", "/count", count, NULL},
};

/* Makes the dates of answers equal. */
static void mask_dates(struct answer *answer)
{
    char *next = answer->text;

    answer->text[answer->size] = '\0';
    while ((next = strstr(next, "\r\nDate: ")) != NULL &&
           strlen(next) > 8 + 29) {
        memset(next + 8, '-', 29);
        next += 8;
    }
}

/* Receives until the server has closed.  With the limits below, that takes at
 * most a few seconds. */
static void receive(struct fuzz_world *world, int peer, struct answer *answer)
{
    answer->size = 0;
    for (int i = 0; i < 100 && !sim_peer_eof(peer) && sim_peer_error(peer) == 0;
         i++) {
        ssize_t n = 1;

        fuzz_run_for(world, ALOOP_MS(i < 8 ? 1 : 200));
        while (n > 0) {
            FUZZ_CHECK(answer->size < ANSWER_MAX - 1);
            n = sim_peer_receive(peer, answer->text + answer->size,
                                 ANSWER_MAX - 1 - answer->size);
            answer->size += n > 0 ? (size_t) n : 0;
        }
    }
    FUZZ_CHECK(sim_peer_eof(peer) || sim_peer_error(peer) < 0);
    answer->is_reset = sim_peer_error(peer) < 0;
    mask_dates(answer);
}

static void talk(struct fuzz_world *world, uint16_t port, unsigned end,
                 const uint8_t *text, size_t size, struct answer *answer)
{
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
    receive(world, peer, answer);
    FUZZ_CHECK(answer->size < 9 || memcmp(answer->text, "HTTP/1.1 ", 9) == 0);
    sim_peer_close(peer);
}

/* Runs a server and one client.  Returns whether an allocation has failed. */
static bool run(unsigned seed, unsigned starve, unsigned end,
                const uint8_t *text, size_t size, struct answer *answer)
{
    struct httpd_options options = {.routes = routes,
                                    .routes_count = sizeof routes /
                                                    sizeof routes[0],
                                    .head_max = 512,
                                    .fields_max = 8,
                                    .body_max = 2000,
                                    .idle_ns = ALOOP_SEC(1),
                                    .head_ns = ALOOP_SEC(1),
                                    .stall_ns = ALOOP_SEC(1)};
    struct fuzz_world world;
    struct httpd *httpd;
    bool has_failed;

    fuzz_world_open(&world, seed);
    sim_buffer_size(size + 65536);
    FUZZ_CHECK(httpd_start(world.loop, "127.0.0.1", "0", &options, &httpd) ==
               0);
    fuzz_world_starve(&world, starve);
    talk(&world, (uint16_t) httpd_port(httpd), end, text, size, answer);
    (void) httpd_stop(httpd, 0);
    has_failed = world.has_failed;
    fuzz_world_close(&world);
    return has_failed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    unsigned seed = fuzz_byte(&input), starve = fuzz_byte(&input);
    unsigned end = fuzz_below(&input, 3);
    size_t left = fuzz_left(&input);

    run(0, 0, end == 2 ? 0 : end, input.next, left, &whole);
    if (run(seed, starve < 200 ? 0 : starve - 199, end, input.next, left,
            &pieces) ||
        end == 2)
        return 0;
    FUZZ_CHECK(whole.is_reset || pieces.is_reset ||
               (whole.size == pieces.size &&
                memcmp(whole.text, pieces.text, whole.size) == 0));
    return 0;
}
