/* Reading from a stream in all ways, mixed.  The result of each read is
 * compared with the result computed from all bytes that were sent.
 *
 * The input is a program: the peer sends, ends or resets; time passes; a read
 * starts, is cancelled or ends; a callback receives for a while.  The
 * alphabet of text and delimiters is small, so that parts of a delimiter are
 * frequent. */

#include "fuzz_world.h"

enum {
    SENT_MAX = 16 * 1024,
    BUFFER_MAX = 600,
    DELIMITER_MAX = 256,
    STEPS_MAX = 64
};

enum kind { SOME, EXACTLY, UNTIL, TO_END };

static struct {
    struct fuzz_world world;
    aloop_stream *stream;
    int peer;
    uint8_t sent[SENT_MAX];
    size_t sent_size;
    size_t at;          /* Bytes that were read. */
    size_t least, most; /* Bounds for the bytes received before a reset. */
    bool has_ended, is_reset, is_starved;
    /* The pending read, if any. */
    aloop_future *read;
    enum kind kind;
    uint8_t *buffer; /* Exactly `size` bytes, for checkers. */
    size_t size;
    uint8_t delimiter[DELIMITER_MAX];
    size_t delimiter_size;
    bool is_listening;
    bool has_seen_end;
} u;

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Returns the result of the read if exactly `count` bytes from u.at on are
 * known: a status, or ALOOP_PENDING. */
static ssize_t expect(size_t count)
{
    const uint8_t *text = u.sent + u.at;
    size_t size = u.delimiter_size;

    if (u.kind == SOME)
        return count > 0 ? (ssize_t) min(count, u.size) : ALOOP_PENDING;
    if (u.kind == EXACTLY)
        return count >= u.size ? (ssize_t) u.size : ALOOP_PENDING;
    if (u.kind == TO_END)
        return count > u.size ? ALOOP_EMSGSIZE : ALOOP_PENDING;
    for (size_t end = size; end <= min(count, u.size); end++)
        if (memcmp(text + end - size, u.delimiter, size) == 0)
            return (ssize_t) end;
    return count >= u.size ? ALOOP_EMSGSIZE : ALOOP_PENDING;
}

/* Returns the result if no more bytes will arrive. */
static ssize_t expect_at_end(size_t count)
{
    ssize_t status = expect(count);

    if (status != ALOOP_PENDING)
        return status;
    return u.kind == TO_END ? (ssize_t) count : u.kind == SOME ? 0 : ALOOP_EOF;
}

/* A reset has lost an unknown number of bytes at the end.  Each result narrows
 * the bounds, and later results must agree with them. */
static void check_after_reset(ssize_t status)
{
    size_t least = u.least, most = u.most;

    if (status == ALOOP_ECONNRESET) {
        while (most > u.at && expect(most - u.at) != ALOOP_PENDING)
            most--; /* With so many bytes the read would have succeeded. */
        FUZZ_CHECK(expect(most - u.at) == ALOOP_PENDING);
    } else {
        while (least < most && expect(least - u.at) != status)
            least++; /* At least this many bytes have arrived. */
        if (u.kind != SOME)
            FUZZ_CHECK(expect(least - u.at) == status);
    }
    FUZZ_CHECK(least <= most);
    u.least = least;
    u.most = most;
}

static void check_bytes(const uint8_t *bytes, size_t size)
{
    FUZZ_CHECK(size <= u.sent_size - u.at);
    FUZZ_CHECK(memcmp(bytes, u.sent + u.at, size) == 0);
    u.at += size;
    if (u.least < u.at)
        u.least = u.at;
}

/* Checks the `status` of a read that has settled. */
static void check_status(ssize_t status)
{
    size_t count = u.sent_size - u.at;
    ssize_t expected = u.has_ended ? expect_at_end(count) : expect(count);

    if (status == ALOOP_ENOMEM) {
        FUZZ_CHECK(u.world.has_failed);
        return;
    }
    if (u.is_reset)
        check_after_reset(status);
    else if (u.kind == SOME && status > 0)
        FUZZ_CHECK(status <= expected);
    else
        FUZZ_CHECK(status == expected);
    FUZZ_CHECK(status != ALOOP_PENDING);
    if (status > 0) {
        FUZZ_CHECK((size_t) status <= u.size);
        check_bytes(u.buffer, (size_t) status);
    }
}

static void forget_read(void)
{
    aloop_future_unref(u.read);
    u.read = NULL;
    free(u.buffer);
    u.buffer = NULL;
}

/* Checks the pending read.  If `is_quiet`, everything that was sent has
 * arrived. */
static void look(bool is_quiet)
{
    ssize_t status;

    if (u.read == NULL)
        return;
    status = aloop_future_status(u.read);
    if (status == ALOOP_PENDING) {
        FUZZ_CHECK(!is_quiet || (!u.has_ended && !u.is_reset &&
                                 expect(u.sent_size - u.at) == ALOOP_PENDING));
        return;
    }
    check_status(status);
    forget_read();
}

/* Steps of the program. */

static void send_text(struct fuzz_input *input)
{
    unsigned letters = 1 + fuzz_below(input, 3);
    size_t size = fuzz_byte(input);
    uint32_t random = fuzz_byte(input);
    ssize_t taken;

    if (fuzz_below(input, 8) == 0)
        size *= 16;
    size = min(size, SENT_MAX - u.sent_size);
    for (size_t i = 0; i < size; i++) {
        if (i < 24 && fuzz_left(input) > 0)
            random = fuzz_byte(input) << 16;
        else
            random = random * 1103515245 + 12345;
        u.sent[u.sent_size + i] = (uint8_t) ('a' + (random >> 16) % letters);
    }
    taken = sim_peer_send(u.peer, u.sent + u.sent_size, size);
    if (taken > 0)
        u.sent_size += (size_t) taken;
    u.most = u.sent_size;
}

static void end_or_reset(struct fuzz_input *input)
{
    if (u.has_ended || u.is_reset)
        return;
    if (fuzz_below(input, 2) == 0) {
        sim_peer_shutdown(u.peer);
        u.has_ended = true;
    } else {
        sim_peer_reset(u.peer);
        u.is_reset = true;
    }
}

static void pass_time(struct fuzz_input *input)
{
    unsigned kind = fuzz_below(input, 4);

    if (kind == 0)
        aloop_step(u.world.loop, 0);
    else
        fuzz_run_for(&u.world, kind * kind * ALOOP_US(1));
    look(false);
}

static void choose_delimiter(struct fuzz_input *input)
{
    unsigned kind = fuzz_byte(input);
    unsigned letters = 1 + fuzz_below(input, 3);

    u.delimiter_size = kind < 250 ? 1 + kind % 7 : 1 + fuzz_byte(input);
    for (size_t i = 0; i < u.delimiter_size; i++)
        u.delimiter[i] = (uint8_t) ('a' + fuzz_below(input, letters));
}

static aloop_future *call(void)
{
    switch (u.kind) {
    case SOME:
        return aloop_stream_read(u.stream, u.buffer, u.size);
    case EXACTLY:
        return aloop_stream_read_exactly(u.stream, u.buffer, u.size);
    case UNTIL:
        return aloop_stream_read_until(u.stream, u.buffer, u.size, u.delimiter,
                                       u.delimiter_size);
    default:
        return aloop_stream_read_to_end(u.stream, u.buffer, u.size);
    }
}

static void start_read(struct fuzz_input *input)
{
    if (u.read != NULL || u.is_listening)
        return;
    u.kind = (enum kind) fuzz_below(input, 4);
    u.size = 1 + fuzz_byte(input);
    if (fuzz_below(input, 16) == 0)
        u.size *= 20; /* Such a read receives directly into its buffer. */
    if (u.kind == UNTIL)
        choose_delimiter(input);
    u.buffer = malloc(u.size);
    FUZZ_CHECK(u.buffer != NULL);
    u.read = call();
    memset(u.delimiter + u.delimiter_size, 0,
           sizeof u.delimiter - u.delimiter_size);
    if (u.read == NULL) {
        FUZZ_CHECK(u.world.has_failed);
        forget_read();
    }
    look(false);
}

static void cancel_read(void)
{
    if (u.read == NULL || aloop_future_is_settled(u.read))
        return;
    FUZZ_CHECK(aloop_cancel(u.read) == 1);
    FUZZ_CHECK(aloop_future_status(u.read) == ALOOP_ECANCELED);
    forget_read();
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    FUZZ_CHECK(stream == u.stream && arg == &u && !u.has_seen_end);
    if (size > 0) {
        check_bytes(data, (size_t) size);
        return;
    }
    u.has_seen_end = true;
    u.is_listening = false;
    if (size == 0)
        FUZZ_CHECK(u.has_ended && u.at == u.sent_size);
    else
        FUZZ_CHECK(size == ALOOP_ECONNRESET ? u.is_reset : u.world.has_failed);
    aloop_stream_stop(stream);
}

static void listen_or_stop(void)
{
    int error;

    if (u.read != NULL)
        return;
    if (u.is_listening) {
        FUZZ_CHECK(aloop_stream_stop(u.stream) == 0);
        u.is_listening = false;
        return;
    }
    u.has_seen_end = false;
    error = aloop_stream_start(u.stream, on_data, &u);
    FUZZ_CHECK(error == 0 || u.world.has_failed);
    u.is_listening = error == 0;
}

static void step(struct fuzz_input *input)
{
    switch (fuzz_below(input, 12)) {
    case 0:
    case 1:
    case 2:
        send_text(input);
        break;
    case 3:
        end_or_reset(input);
        break;
    case 4:
        cancel_read();
        break;
    case 5:
        listen_or_stop();
        break;
    case 6:
    case 7:
        pass_time(input);
        break;
    default:
        start_read(input);
        break;
    }
}

/* Lets everything arrive, and reads the rest, so that each byte is checked. */
static void finish(void)
{
    fuzz_world_starve(&u.world, 0);
    fuzz_run_for(&u.world, ALOOP_SEC(1));
    look(!u.world.has_failed);
    cancel_read();
    if (u.is_listening || u.world.has_failed)
        return;
    for (int i = 0; i < SENT_MAX && u.at < u.sent_size; i++) {
        u.kind = SOME;
        u.size = BUFFER_MAX;
        u.buffer = malloc(u.size);
        FUZZ_CHECK(u.buffer != NULL);
        u.read = call();
        fuzz_run_for(&u.world, ALOOP_SEC(1));
        FUZZ_CHECK(u.read != NULL && aloop_future_is_settled(u.read));
        if (aloop_future_status(u.read) == ALOOP_ECONNRESET)
            i = SENT_MAX;
        look(true);
    }
    FUZZ_CHECK(u.is_reset || u.at == u.sent_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    unsigned seed = fuzz_byte(&input), starve = fuzz_byte(&input);

    memset(&u, 0, sizeof u);
    fuzz_world_open(&u.world, seed);
    u.stream = fuzz_connect(&u.world, &u.peer);
    fuzz_world_starve(&u.world, starve < 200 ? 0 : starve - 199);
    for (int i = 0; i < STEPS_MAX && fuzz_left(&input) > 0; i++)
        step(&input);
    finish();
    aloop_stream_close(u.stream);
    fuzz_world_close(&u.world);
    free(u.buffer);
    return 0;
}
