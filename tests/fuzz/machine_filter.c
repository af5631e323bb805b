/* Filters in the state machine.
 *
 * Every filter passes on what it is given, so that the rules of streams apply
 * to what is above it.  Each function checks the contract of aloop/filter.h: it
 * is not called before the handshake, after the end or an error, or after the
 * close, and not from inside of another call.  Every context is closed once,
 * before the close of its stream returns. */

#include "machine_stream.h"
#include "support/filter_fixture.h"

enum { FILTERS_MAX = 12 };

enum place { NOWHERE, IN_FEED, IN_READ, IN_WRITE, IN_PULL, IN_SHAKE, IN_IDLE };

static struct layer {
    struct passing_filter passing; /* The first member: its functions. */
    const struct end *end;
    enum place fails; /* Which function fails, after `fails_in` calls. */
    unsigned fails_in;
    int error;
    bool has_handshake;
    bool is_wake_needed, is_woken; /* The handshake waits for a wake. */
    bool is_byte_needed, has_sent; /* It sends a byte, and waits for one. */
    bool has_shaken, has_failed, is_closed, is_inside;
    bool was_fed_end, has_read_end, was_written_end, has_pulled_end;
} layers[FILTERS_MAX];

static unsigned layer_count;
static bool may_fail; /* One that fails was put on, or one was cancelled. */

void filters_begin(void)
{
    layer_count = 0;
    may_fail = false;
}

bool is_filter_error(ssize_t error)
{
    return (may_fail || w.is_freeing) &&
           (error == ALOOP_EPROTO || error == ALOOP_ECONNABORTED);
}

void filter_cancelled(void)
{
    may_fail = true;
}

/* Returns 0, or the error with which the function fails. */
static int go_in(struct layer *layer, enum place place)
{
    FUZZ_CHECK(!w.is_over && !layer->is_closed && !layer->is_inside);
    FUZZ_CHECK(!layer->has_failed || place == IN_PULL);
    FUZZ_CHECK(!layer->has_handshake || layer->has_shaken || place == IN_FEED ||
               place == IN_PULL || place == IN_SHAKE);
    if (layer->has_failed)
        return ALOOP_EAGAIN;
    if (layer->fails != place || layer->fails_in-- > 0)
        return 0;
    say("  a filter of end %d fails", (int) (layer->end - s.ends));
    layer->has_failed = true;
    return layer->error;
}

static ssize_t layer_feed(void *context, const void *data, size_t size)
{
    struct layer *layer = context;
    int error = go_in(layer, IN_FEED);

    FUZZ_CHECK(!layer->was_fed_end && (data == NULL) == (size == 0));
    if (error < 0)
        return error;
    layer->was_fed_end = size == 0;
    return passing_give(&layer->passing.in, data, size);
}

static ssize_t layer_read(void *context, void *data, size_t size)
{
    struct layer *layer = context;
    int error = go_in(layer, IN_READ);
    ssize_t n;

    FUZZ_CHECK(!layer->has_read_end && size > 0);
    if (error < 0)
        return error;
    n = passing_take(&layer->passing.in, data, size);
    layer->has_read_end = n == 0;
    return n;
}

static ssize_t layer_write(void *context, const void *data, size_t size)
{
    struct layer *layer = context;
    int error = go_in(layer, IN_WRITE);

    FUZZ_CHECK(!layer->was_written_end && (data == NULL) == (size == 0));
    if (error < 0)
        return error;
    layer->was_written_end = size == 0;
    return passing_give(&layer->passing.out, data, size);
}

static ssize_t layer_pull(void *context, void *data, size_t size)
{
    struct layer *layer = context;
    int error = go_in(layer, IN_PULL);
    ssize_t n;

    FUZZ_CHECK(!layer->has_pulled_end && size > 0);
    if (error < 0)
        return error;
    n = passing_take(&layer->passing.out, data, size);
    layer->has_pulled_end = n == 0;
    return n;
}

static bool layer_is_idle(void *context)
{
    struct layer *layer = context;

    FUZZ_CHECK(go_in(layer, IN_IDLE) == 0);
    FUZZ_CHECK(!layer->has_failed &&
               (!layer->has_handshake || layer->has_shaken));
    return layer->fails == NOWHERE && passing_is_idle(&layer->passing);
}

static int layer_shake(void *context)
{
    struct layer *layer = context;
    int error = go_in(layer, IN_SHAKE);
    char byte = 'h';

    FUZZ_CHECK(layer->has_handshake && !layer->has_shaken);
    if (error < 0)
        return error;
    if (layer->is_byte_needed && !layer->has_sent)
        passing_give(&layer->passing.out, "h", 1);
    layer->has_sent = true;
    if (layer->is_wake_needed && !layer->is_woken)
        return ALOOP_EAGAIN;
    if (layer->is_byte_needed &&
        passing_take(&layer->passing.in, &byte, 1) != 1) {
        layer->has_failed = layer->passing.in.has_ended;
        return layer->has_failed ? ALOOP_ECONNRESET : ALOOP_EAGAIN;
    }
    FUZZ_CHECK(byte == 'h');
    layer->has_shaken = true;
    return 0;
}

static void layer_close(void *context)
{
    struct layer *layer = context;

    FUZZ_CHECK(!w.is_over && !layer->is_closed && !layer->is_inside);
    layer->is_closed = true;
}

void filters_closed(const struct end *end)
{
    for (unsigned i = 0; i < layer_count; i++)
        FUZZ_CHECK(layers[i].end != end || layers[i].is_closed);
    for (unsigned i = 0; i < s.io_count; i++) {
        struct io *io = &s.ios[i];

        if (io->end != end || io->kind != IO_FILTER || !io->is_shaking ||
            io->has_ended)
            continue;
        FUZZ_CHECK(aloop_future_status(io->future) == ALOOP_ECANCELED);
        end_io(io); /* It is not reported, as a read. */
    }
}

void filters_closing(const struct end *end)
{
    for (unsigned i = 0; i < s.io_count; i++)
        s.ios[i].is_shaking = s.ios[i].end == end &&
                              s.ios[i].kind == IO_FILTER &&
                              is_pending(&s.ios[i]);
}

void filters_check(void)
{
    for (unsigned i = 0; i < layer_count; i++)
        FUZZ_CHECK(layers[i].is_closed);
}

void check_filter(const struct io *io, ssize_t status)
{
    const struct layer *layer = &layers[io->piece];

    if (status == 0)
        FUZZ_CHECK(!layer->has_handshake || layer->has_shaken);
    else
        FUZZ_CHECK(status == ALOOP_EBUSY || status == ALOOP_ECANCELED ||
                   is_breakage(status));
}

static bool is_shaking(const struct end *end)
{
    for (unsigned i = 0; i < s.io_count; i++)
        if (s.ios[i].end == end && s.ios[i].kind == IO_FILTER &&
            is_pending(&s.ios[i]))
            return true;
    return false;
}

/* Chooses how much a layer keeps, and how much one call moves. */
static struct layer *new_layer(const struct end *end)
{
    static const size_t amounts[][2] = {{PASSING_ROOM, PASSING_ROOM},
                                        {PASSING_ROOM, PASSING_ROOM},
                                        {500, 500},
                                        {50, 3},
                                        {PASSING_ROOM, 1}};
    const size_t *amount =
        amounts[any_below(sizeof amounts / sizeof amounts[0])];
    struct layer *layer = &layers[layer_count++];
    char *state = (char *) layer + sizeof layer->passing;

    memset(state, 0, sizeof *layer - sizeof layer->passing);
    for (int i = 0; i < 2; i++) {
        struct passing *p = i == 0 ? &layer->passing.in : &layer->passing.out;

        p->start = p->end = 0;
        p->room = amount[0];
        p->step = amount[1];
        p->has_ended = false;
    }
    layer->end = end;
    return layer;
}

/* Returns whether the application reads the stream.  A callback of its own may
 * put a filter on. */
static bool is_in_use(const struct end *end)
{
    return (end->is_started && s.current != end) || is_reading(end) ||
           is_piped(end) || (end->fed_by != NULL && is_piped(end->fed_by)) ||
           is_shaking(end);
}

/* Puts the layer on.  Returns whether the stream has it. */
static bool put_layer(struct end *end, struct layer *layer)
{
    aloop_filter filter = {.size = sizeof filter,
                           .feed = layer_feed,
                           .read = layer_read,
                           .write = layer_write,
                           .pull = layer_pull,
                           .close = layer_close};
    struct io *io = new_io(IO_FILTER, end);
    ssize_t status;

    if (layer->has_handshake)
        filter.handshake = layer_shake;
    if ((layer - layers) % 2 == 0)
        filter.is_idle = layer_is_idle;
    io->piece = (unsigned) (layer - layers);
    follow(io, aloop_stream_filter(end->stream, &filter, layer));
    status = is_pending(io) ? 0 : aloop_future_status(io->future);
    if (status == 0)
        end->filter_count++;
    FUZZ_CHECK(layer->is_closed == (status < 0));
    FUZZ_CHECK(status != ALOOP_EBUSY || is_in_use(end) || end->is_started ||
               end->has_fds);
    return status == 0;
}

static bool can_filter(struct end *end)
{
    if (end == NULL || end->stream == NULL || end->has_reader ||
        is_spent(end) || end->filter_count == 3)
        return false;
    collect(end);
    return true;
}

/* Returns whether the peer has received all that was written. */
static bool has_arrived(const struct end *writer)
{
    unsigned i = writer->got;

    while (i < writer->piece_count && writer->pieces[i].fate == GONE)
        i++;
    return writer->got_bytes == 0 && i == writer->piece_count;
}

static bool is_fresh(struct end *end)
{
    return can_filter(end) && !is_in_use(end) && end->pipe == NULL &&
           end->fed_by == NULL && !end->is_shut && has_arrived(end);
}

/* Puts filters with a handshake on both ends.  Their bytes would be data for an
 * end without one. */
static void shake_hands(struct end *end)
{
    struct end *peer = peer_of(end);
    bool has_one;

    if (!is_fresh(end) || !is_fresh(peer))
        return;
    say("handshake between ends %d and %d", (int) (end - s.ends),
        (int) (peer - s.ends));
    for (int i = 0; i < 2; i++) {
        struct layer *layer = new_layer(i == 0 ? end : peer);

        layer->has_handshake = layer->is_byte_needed = true;
        has_one = put_layer(i == 0 ? end : peer, layer);
        if (has_one)
            continue;
        if (i == 1)
            close_end(end, true);
        return;
    }
}

void act_filter(void)
{
    struct end *end = any_end();
    unsigned kind = any_below(7);
    struct layer *layer;
    bool is_busy, is_on;

    if (!can_filter(end) || layer_count + 2 > FILTERS_MAX ||
        s.io_count + 2 > IOS_MAX)
        return;
    if (kind == 6) {
        shake_hands(end);
        return;
    }
    layer = new_layer(end);
    layer->has_handshake = layer->is_wake_needed = kind == 4;
    if (kind == 3 || kind == 5) {
        layer->fails = kind == 5 ? IN_SHAKE : (enum place)(1 + any_below(4));
        layer->has_handshake = kind == 5;
        layer->fails_in = any_below(6);
        layer->error = any_bit() ? ALOOP_EPROTO : ALOOP_ECONNRESET;
        may_fail = true;
    }
    is_busy = is_in_use(end);
    say("filter %u on end %d%s", kind, (int) (end - s.ends),
        is_busy ? ", which is busy" : "");
    is_on = put_layer(end, layer);
    FUZZ_CHECK(!is_on || !is_busy || end->is_over);
}

/* Wakes the filters of a stream.  Handshakes may have waited for it. */
void act_filter_wake(void)
{
    struct end *end = any_end();

    if (end == NULL)
        return;
    say("wake the filters of end %d", (int) (end - s.ends));
    for (unsigned i = 0; i < layer_count; i++)
        if (layers[i].end == end)
            layers[i].is_woken = true;
    FUZZ_CHECK(aloop_stream_filter_wake(end->stream) ==
               (end->filter_count > 0 ? 0 : ALOOP_ENOTSUP));
}
