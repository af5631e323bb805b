/* The driver: moves bytes through the filters of a stream.
 *
 *     until two rounds in a row moved nothing, at most ROUNDS_MAX times:
 *         handshake, if a wake or the start has asked for it
 *         unless nothing has to leave:
 *             for each layer, the reader's side first:
 *                 write; the end of the writer; pull
 *             send; the end of the wire
 *         receive
 *         for each layer, the descriptor's side first:
 *             feed; handshake; read; feed what was refused; pull
 *
 * Rules, each of which prevents a stream from stopping or spinning:
 *
 *  - handshake and read may make output, or room for bytes that feed has
 *    refused, also if they have no bytes.  Both are tried after them.
 *  - Bytes inside a layer cause no event.  A reader that begins has the driver
 *    run.
 *  - If nothing is refused and nothing has to leave, one round that moved
 *    nothing is enough: a second one would only repeat its calls.
 *  - If the budget is used up no event will come, so that the driver queues
 *    itself.
 *  - Nothing is received, and input is not watched, while the bottom layer has
 *    refused bytes.
 *  - If a layer refuses to write and nothing is to be sent, it waits for the
 *    peer.  Then bytes are received even if no reader wants any.
 *  - The wire is filled only up to the high-water mark, and a layer is given
 *    nothing while it has refused bytes.  So a filter that makes bytes without
 *    an end is limited by the peer or the reader. */

#include "loop/buffers.h"
#include "loop/host.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "stream/filters.h"

enum {
    ROUNDS_MAX = 64,
    READS_MAX =
        4, /* Full buffers of a layer that is not the top, in one call. */
    MOVED_MAX = 4 * 1024 * 1024 /* Bytes of one run, at each function. */
};

/* Streams that wait have no such buffer: one run needs it, and returns it. */
bool aloop__filters_take_scratch(struct aloop__filters *filters)
{
    filters->scratch_size = BUFFER_LARGE;
    filters->scratch =
        aloop__buffer_get(filters->stream->handle.loop, &filters->scratch_size);
    return filters->scratch != NULL;
}

void aloop__filters_put_scratch(struct aloop__filters *filters)
{
    aloop__layer_end_loan(filters);
    aloop__buffer_put(filters->stream->handle.loop, filters->scratch,
                      filters->scratch_size);
    filters->scratch = NULL;
}

void aloop__filters_free(struct aloop__filters *filters)
{
    aloop *loop = filters->stream->handle.loop;

    aloop__alloc_free(&loop->alloc, filters, sizeof *filters);
}

/* The flush of the turn runs the driver, so that several requests of one turn
 * lead to one run.  While it runs, its next round does what is asked. */
void aloop__filters_drive_later(struct aloop__filters *filters)
{
    aloop *loop = filters->stream->handle.loop;

    if (!list_is_empty(&filters->wire.flush.node) || filters->is_driving)
        return;
    list_push(&loop->flushing, &filters->wire.flush.node);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

/* An end or an error takes effect behind the bytes before it. */
void aloop__filters_received_none(struct aloop__filters *filters, ssize_t n)
{
    aloop_stream *stream = filters->stream;

    if (n == 0 && stream->io.error == 0) {
        filters->is_deaf = true;
        filters->bottom->in.is_ending = true;
    } else if (n != ALOOP_EAGAIN) {
        filters->receive_error =
            n == 0 ? stream->io.error : aloop__io_failed(&stream->io, (int) n);
    }
}

/* Whether bytes are wanted. */

/* Returns whether a layer has refused bytes and nothing is to be sent. */
static bool is_waiting_for_peer(const struct aloop__filters *filters)
{
    const struct aloop__layer *layer;

    if (filters->wire.queued > 0 || filters->is_mute)
        return false;
    if (filters->stream->sender->queued > 0)
        return true;
    for (layer = filters->top; layer != NULL; layer = layer->below)
        if (layer->out.held != NULL)
            return true;
    return false;
}

/* Returns whether bytes of the descriptor can be used. */
static bool wants_input(const struct aloop__filters *filters)
{
    if (filters->is_deaf || filters->receive_error != 0 ||
        filters->error != 0 || filters->bottom->in.held != NULL)
        return false;
    return !filters->top->is_ready ||
           aloop__filters_are_read(filters->stream) ||
           is_waiting_for_peer(filters);
}

/* Towards the peer. */

/* Lets the core offer what was written, and pulls.  Above a layer that has
 * failed nothing can leave.  Shutdowns fail with its error, also if it has
 * given its end. */
static void move_out(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    struct aloop__layer *layer = filters->top, *first = filters->top;

    if (filters->error == 0 && layer->is_ready && aloop__stream_is_busy(stream))
        aloop__stream_flush(stream);
    for (; layer != NULL; layer = layer->below)
        if (layer->has_failed)
            first = layer;
    aloop__filters_pull(filters, first);
    if (filters->error != 0)
        aloop__filters_break(filters);
    aloop__wire_flush(filters);
    aloop__sender_queue_changed(stream->sender);
}

/* From the peer. */

/* Moves what a layer gives into the one above it. */
static void read_into_above(struct aloop__filters *filters,
                            struct aloop__layer *layer)
{
    struct aloop__layer *above = layer->above;

    for (int i = 0;
         i < READS_MAX && !layer->has_read_end && !layer->has_failed &&
         !above->has_failed && above->in.held == NULL && !above->in.is_ending;
         i++) {
        ssize_t n = aloop__layer_read(filters, layer, filters->scratch,
                                      filters->scratch_size);

        if (n > 0)
            aloop__layer_feed_all(filters, above, filters->scratch, (size_t) n);
        else if (n == 0)
            above->in.is_ending = true;
        if (n <= 0)
            break;
    }
}

/* Serves the next layer or the reader.  Returns false if the driver must stop,
 * because on_data has closed the stream or forked.  This is the only place of
 * the driver in which the application runs with its own callback; after it,
 * layers may have been added, and `filters` is valid only because the close
 * leaves it to the driver (`is_closed`). */
static bool read_from(struct aloop__filters *filters,
                      struct aloop__layer *layer)
{
    if (layer->above != NULL)
        read_into_above(filters, layer);
    else if (aloop__filters_are_read(filters->stream))
        aloop__stream_readable(filters->stream);
    return !filters->is_closed && aloop__stream_is_ours(filters->stream);
}

/* Moves received bytes through the layers.  Returns false if the driver must
 * stop.  They move from the bottom up, so that bytes reach the reader in one
 * round.  Each layer is pulled after it was fed: an answer of its protocol,
 * such as the next message of a handshake, has to leave although no one has
 * written anything. */
static bool move_in(struct aloop__filters *filters)
{
    struct aloop__layer *layer;

    if (filters->can_receive && wants_input(filters))
        aloop__filters_receive(filters, filters->scratch,
                               filters->scratch_size);
    for (layer = filters->bottom; layer != NULL && !layer->has_failed;
         layer = layer->above) {
        if (!layer->is_ready) /* on_data may have put it on. */
            aloop__layer_shake(filters, layer);
        if (layer->in.held != NULL || layer->in.is_ending)
            aloop__layer_offer_in(filters, layer);
        if (!layer->is_ready)
            aloop__layer_shake(filters, layer);
        if (layer->is_ready && !layer->has_failed && !read_from(filters, layer))
            return false;
        aloop__layer_end_loan(filters);
        if (layer->in.held != NULL)
            aloop__layer_offer_in(filters, layer);
        aloop__filters_pull(filters, layer);
    }
    return true;
}

/* What follows. */

/* Bytes that the layers gave before the error are with the reader.  `is_broken`
 * is set first, because each of the calls may lead here again.  While writing
 * fails, `is_breaking` keeps the carrier from dropping the wire: an alert that
 * a layer has given with its error is still to be sent. */
void aloop__filters_break(struct aloop__filters *filters)
{
    if (filters->is_broken)
        return;
    filters->is_broken = true;
    filters->is_breaking = true;
    aloop__handshake_end(filters, filters->error);
    aloop__stream_fail_writing(filters->stream, filters->error);
    filters->is_breaking = false;
    aloop__stream_fail_reading(filters->stream, filters->error);
}

/* Watches what the driver waits for.  An interest in input that is not needed
 * is kept until there is input, because the next reader may need it. */
static void watch_again(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    unsigned bits = stream->io.armed;
    int error;

    bool is_needless = filters->is_unused || filters->is_deaf ||
                       filters->error != 0 || filters->receive_error != 0;

    if ((bits & REACTOR_READ) == 0 || is_needless)
        bits = wants_input(filters) ? bits | REACTOR_READ
               : is_needless        ? bits & ~(unsigned) REACTOR_READ
                                    : bits;
    filters->is_unused = false;
    bits &= ~(unsigned) REACTOR_WRITE;
    if (filters->wire.queued > 0 ||
        (filters->bottom->has_given_end && !filters->is_mute))
        bits |= REACTOR_WRITE; /* For bytes, or for their end. */
    error = bits == stream->io.armed || stream->io.fd < 0
                ? 0
                : filters->inner->watch(stream, bits);
    if (error < 0) {
        filters->error = error;
        aloop__filters_break(filters);
    }
}

/* Returns whether nothing has to leave and no layer has refused anything, as is
 * usual when an event of input has been served.  move_out() would do nothing
 * then. */
static bool is_quiet(const struct aloop__filters *filters)
{
    const struct aloop__layer *layer = filters->top;

    if (!filters->is_dry || filters->error != 0 ||
        !list_is_empty(&filters->wire.pieces) ||
        filters->stream->sender->is_paused ||
        aloop__stream_is_busy(filters->stream))
        return false;
    for (; layer != NULL; layer = layer->below)
        if (!layer->is_ready || layer->has_failed || layer->has_pull_end ||
            layer->in.held != NULL || layer->in.is_ending ||
            layer->out.is_ending)
            return false;
    return true;
}

/* Returns whether another round would find nothing: no layer has anything left,
 * and nothing can be received. */
static bool is_settled(const struct aloop__filters *filters)
{
    const struct aloop__layer *layer = filters->top;

    do
        if (!layer->is_idle)
            return false;
    while ((layer = layer->below) != NULL);
    return filters->receive_error == 0 &&
           (!filters->can_receive || !wants_input(filters));
}

/* Returns false if the driver must stop.  Two rounds without a move are needed
 * in general: what the first one did last (a feed that made room, a pull) may
 * let the second one's beginning move something.  *ret_is_idle is false if a
 * limit has ended the loop; no event would continue it. */
static bool run_rounds(struct aloop__filters *filters, bool *ret_is_idle)
{
    /* To move out. */
    bool has_nothing = filters->is_quiet && filters->is_dry &&
                       filters->error == 0 &&
                       !filters->stream->sender->is_paused &&
                       !aloop__stream_is_busy(filters->stream);
    size_t moved = 0;
    int idle = 0;

    for (int i = 0; i < ROUNDS_MAX && idle < 2 && moved < MOVED_MAX; i++) {
        filters->moved = 0;
        if (filters->has_forked)
            aloop__filters_leave(filters);
        /* No other function of a filter is called before it. */
        if (!filters->top->is_ready)
            aloop__layer_shake(filters, filters->top);
        if (!has_nothing || !filters->is_dry)
            move_out(filters);
        if (!move_in(filters))
            return false;
        if (filters->receive_error != 0 && !filters->top->is_ready)
            filters->error = filters->receive_error;
        if (filters->error != 0 && !filters->is_broken) {
            aloop__filters_break(filters);
            filters->moved++;
        }
        moved += filters->moved;
        has_nothing = is_quiet(filters);
        idle = filters->moved == 0                  ? idle + 1 + has_nothing
               : has_nothing && is_settled(filters) ? 2
                                                    : 0;
    }
    filters->is_quiet = has_nothing;
    filters->is_resting = aloop__filters_are_at_rest(filters);
    *ret_is_idle = idle >= 2;
    return true;
}

/* What runs the driver. */

/* A request to run may have changed what a layer can give. */
static void forget_idle(struct aloop__filters *filters)
{
    struct aloop__layer *layer;

    filters->is_dry = false;
    for (layer = filters->top; layer != NULL; layer = layer->below)
        layer->is_idle = false;
}

/* If writability is not watched, no event would set `can_send` again, and only
 * a send shows whether there is room.  A close inside the driver leaves the
 * memory of the filters to it, because its callers still use them. */
void aloop__filters_drive(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    bool is_idle = true, is_left;

    if (!aloop__stream_is_ours(stream) || filters->is_driving)
        return;
    if (!list_is_empty(&filters->wire.flush.node) ||
        !list_is_empty(&filters->run.node))
        forget_idle(filters); /* It was asked for more than an event. */
    list_remove(&filters->wire.flush.node);
    list_remove(&filters->run.node);
    filters->receives = 0;
    filters->sends = 0;
    if ((stream->io.armed & REACTOR_WRITE) == 0)
        filters->can_send = true;
    if (!aloop__filters_take_scratch(filters)) {
        aloop__layer_fail(filters, filters->top, ALOOP_ENOMEM);
        aloop__filters_break(filters);
        watch_again(filters);
        return;
    }
    filters->is_driving = true;
    is_left = !run_rounds(filters, &is_idle);
    filters->is_driving = false;
    aloop__filters_put_scratch(filters);
    if (filters->is_closed) {
        aloop__filters_free(filters);
        return;
    }
    aloop__sender_set_sending(&filters->wire);
    if (is_left)
        return;
    watch_again(filters);
    if (!is_idle && list_is_empty(&filters->run.node))
        aloop__ready_push(stream->handle.loop, &filters->run);
}

/* These two run the driver because it was asked for, and not for an event. */

void aloop__filters_flush(struct aloop__ready *ready)
{
    struct aloop__filters *filters = aloop__filters_of(
        CONTAINER_OF(ready, struct aloop__sender, flush)->stream);

    forget_idle(filters);
    aloop__filters_drive(filters);
}

void aloop__filters_run(struct aloop__ready *ready)
{
    struct aloop__filters *filters =
        CONTAINER_OF(ready, struct aloop__filters, run);

    forget_idle(filters);
    aloop__filters_drive(filters);
}
