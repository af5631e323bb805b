/* The calls of one filter.
 *
 * Every result of a function of the application is checked here, so that a
 * filter that breaks its contract breaks only its stream.  A layer that has
 * failed is not called any more, except for `pull`.
 *
 * Bytes that a layer refuses are kept in memory, in front of it.  Nothing else
 * is given to it before it has taken them.
 *
 * Nothing here changes the list of layers, frees one, or calls the core of
 * streams, so that the driver may hold a layer over each of these calls. */

#include <string.h>

#include "loop/buffers.h"
#include "loop/future.h"
#include "stream/input.h"
#include "stream/filters.h"

enum { LAST_ERROR = -4095 }; /* No errno, and no error of ours, is beyond. */

/* EBADF would mean that the descriptor of the stream is lost, EAGAIN that there
 * is no error, and PENDING is the status of no settled future.  The first error
 * is the cause; those of other layers after it are only consequences.  The
 * driver passes it on when its round has ended (aloop__filters_break()). */
void aloop__layer_fail(struct aloop__filters *filters,
                       struct aloop__layer *layer, ssize_t error)
{
    if (error >= 0 || error < LAST_ERROR || error == ALOOP_EBADF ||
        error == ALOOP_EAGAIN || error == ALOOP_PENDING)
        error = ALOOP_EINVAL;
    layer->has_failed = true;
    if (filters->error == 0)
        filters->error = (int) error;
}

/* Counts the bytes of a result that moved, and fails for one that the contract
 * does not allow.  Once a layer has failed, its error is the result. */
static ssize_t check_result(struct aloop__filters *filters,
                            struct aloop__layer *layer, ssize_t n, size_t size)
{
    if (!aloop__layer_moved(filters, n, size) && n != 0 && n != ALOOP_EAGAIN)
        aloop__layer_fail(filters, layer, n);
    return layer->has_failed ? filters->error : n;
}

/* `is_dry` lets the carrier report an error of the descriptor only when no
 * layer has bytes left for the reader. */
ssize_t aloop__layer_read_nothing(struct aloop__filters *filters,
                                  struct aloop__layer *layer, ssize_t n)
{
    if (n != 0 && n != ALOOP_EAGAIN)
        aloop__layer_fail(filters, layer, n);
    if (layer->has_failed)
        n = filters->error;
    layer->has_read_end = n == 0;
    layer->is_dry = true;
    return n;
}

/* An error of pull is final, too, but an earlier one of another function is
 * none of pull. */
ssize_t aloop__layer_pull_end(struct aloop__filters *filters,
                              struct aloop__layer *layer, ssize_t n)
{
    /* Either end is final.  Only a result of 0 is passed to the peer as an end
     * of the stream; after an error the peer must not mistake what it has for
     * everything. */
    layer->has_pull_end = true;
    layer->has_given_end = n == 0;
    if (n == 0)
        return 0;
    aloop__layer_fail(filters, layer, n);
    return filters->error;
}

/* There may be no pending future: an error in the middle of a close and the
 * close itself both end the handshake. */
void aloop__handshake_end(struct aloop__filters *filters, int status)
{
    struct aloop__handshake *handshake = filters->handshake;

    filters->handshake = NULL;
    if (handshake != NULL)
        aloop__future_settle(&handshake->future, status);
}

/* `is_due` is cleared before the call, because the handshake may ask for
 * another one.  The layer is ready before the future settles: what waits for it
 * runs in a later turn and may use the stream. */
void aloop__layer_shake(struct aloop__filters *filters,
                        struct aloop__layer *layer)
{
    int error;

    if (layer->is_ready || layer->has_failed || !layer->is_due)
        return;
    layer->is_due = false;
    layer->is_idle = false;
    filters->is_dry = false;
    error = layer->filter.handshake(layer->context);
    if (error == ALOOP_EAGAIN)
        return;
    if (error != 0) {
        aloop__layer_fail(filters, layer, error);
        return;
    }
    layer->is_ready = true;
    /* No byte moved, but the queued bytes of the writer can move now. */
    filters->moved++;
    aloop__handshake_end(filters, 0);
}

/* After an error the layer is not called, and its close needs no bytes. */
void aloop__layer_keep_fed(struct aloop__filters *filters)
{
    struct aloop__layer *layer = filters->borrower;
    int error;

    filters->borrower = NULL;
    error = layer->has_failed ? 0 : layer->filter.keep(layer->context);
    if (error != 0)
        aloop__layer_fail(filters, layer, error);
}

/* A feed may complete a handshake, or make it possible to answer the peer.
 * Therefore the handshake follows each feed, before the next bytes, which may
 * be those of the application already.  A result of 0 would repeat the call
 * without an end, and is an error. */
size_t aloop__layer_feed_rest(struct aloop__filters *filters,
                              struct aloop__layer *layer, const char *data,
                              size_t size, ssize_t n)
{
    size_t done = 0;

    while (true) {
        if (n == 0)
            aloop__layer_fail(filters, layer, ALOOP_EINVAL);
        n = check_result(filters, layer, n, size - done);
        if (n < 0)
            return done;
        done += (size_t) n;
        if (layer->filter.keep != NULL)
            filters->borrower = layer;
        layer->is_due = true;
        if (!layer->is_ready)
            aloop__layer_shake(filters, layer);
        if (done < size)
            aloop__layer_end_loan(filters);
        if (done == size || layer->has_failed)
            return done;
        n = layer->filter.feed(layer->context, data + done, size - done);
    }
}

/* In a close, `pulled` limits a filter that makes bytes out of nothing; the
 * count begins again when the layer has taken some.  The bytes of the
 * application are not valid any more if the layer has cancelled their write. */
size_t aloop__layer_write_rest(struct aloop__filters *filters,
                               struct aloop__layer *layer, const char *data,
                               size_t size, ssize_t n)
{
    size_t done = 0;

    while (true) {
        if (n == 0)
            aloop__layer_fail(filters, layer, ALOOP_EINVAL);
        n = check_result(filters, layer, n, size - done);
        if (n < 0)
            return done;
        done += (size_t) n;
        layer->pulled = 0;
        if (done == size ||
            (layer->above == NULL && filters->stream->write_error != 0))
            return done;
        n = layer->filter.write(layer->context, data + done, size - done);
    }
}

/* What is held. */

void aloop__side_drop(struct aloop__filters *filters,
                      struct aloop__filter_side *side)
{
    if (side->held != NULL)
        aloop__buffer_put(filters->stream->handle.loop, side->held,
                          sizeof *side->held + side->held->room);
    side->held = NULL;
}

/* The memory is as large as the bytes, because a slow peer may keep it for a
 * long time.  It is bounded by what the driver moves in one step: a layer that
 * holds something is given nothing else, and only bytes that were queued before
 * another filter was put on find older ones here.  On failure the old bytes
 * stay as they are. */
bool aloop__side_keep(struct aloop__filters *filters,
                      struct aloop__filter_side *side, const char *data,
                      size_t size)
{
    struct aloop__input *old = side->held, *held;
    size_t before = old == NULL ? 0 : old->end - old->start;

    if (size == 0)
        return true;
    held = aloop__input_new(filters->stream->handle.loop, before + size);
    if (held == NULL)
        return false;
    if (old != NULL)
        memcpy(held->bytes, old->bytes + old->start, before);
    memcpy(held->bytes + before, data, size);
    held->end = before + size;
    aloop__side_drop(filters, side);
    side->held = held;
    return true;
}

/* Bytes of the peer cannot be asked for again.  If there is no memory for what
 * the layer has refused, the stream has lost some, and has to fail. */
void aloop__layer_keep_in(struct aloop__filters *filters,
                          struct aloop__layer *layer, const char *data,
                          size_t size)
{
    if (!layer->has_failed &&
        !aloop__side_keep(filters, &layer->in, data, size))
        aloop__layer_fail(filters, layer, ALOOP_ENOMEM);
}

/* The same towards the peer.  After the end of pull the layer could not send
 * the bytes any more, so that losing them is no further error. */
void aloop__layer_keep_out(struct aloop__filters *filters,
                           struct aloop__layer *layer, const char *data,
                           size_t size)
{
    if (!layer->has_failed && !layer->has_pull_end &&
        !aloop__side_keep(filters, &layer->out, data, size))
        aloop__layer_fail(filters, layer, ALOOP_ENOMEM);
}

/* Gives the layer what `side` holds, and then the end if it is due.  The held
 * bytes come first, so that the order is kept, and the end only after the last
 * of them.  `offer_bytes` reads `held` and keeps nothing, so that the memory
 * does not change under it.
 *
 * Returns whether the layer is to be given the end now, and notes that it is,
 * before the function of the application is called: it must see the end once,
 * whatever it does.  The end counts as a move, because a layer often answers it
 * with bytes of its own, such as close_notify. */
static bool offer_held(struct aloop__filters *filters,
                       struct aloop__layer *layer,
                       struct aloop__filter_side *side,
                       size_t (*offer_bytes)(struct aloop__filters *filters,
                                             struct aloop__layer *layer,
                                             const char *data, size_t size))
{
    struct aloop__input *held = side->held;

    if (held != NULL && !layer->has_failed) {
        held->start += offer_bytes(filters, layer, held->bytes + held->start,
                                   held->end - held->start);
        if (held->start == held->end)
            aloop__side_drop(filters, side);
    }
    if (!side->is_ending || side->has_ended || side->held != NULL ||
        layer->has_failed)
        return false;
    side->has_ended = true;
    layer->is_idle = false;
    filters->moved++;
    return true;
}

/* Held bytes are freed when the layer has taken them. */
static size_t feed_held(struct aloop__filters *filters,
                        struct aloop__layer *layer, const char *data,
                        size_t size)
{
    size_t done = aloop__layer_feed(filters, layer, data, size);

    aloop__layer_end_loan(filters);
    return done;
}

void aloop__layer_offer_in(struct aloop__filters *filters,
                           struct aloop__layer *layer)
{
    ssize_t n;

    aloop__layer_end_loan(filters);
    if (!offer_held(filters, layer, &layer->in, feed_held))
        return;
    n = layer->filter.feed(layer->context, NULL, 0);
    if (n != 0)
        aloop__layer_fail(filters, layer, n);
    layer->is_due = true;
}

/* A layer whose handshake is not done takes nothing: it may have no keys
 * yet. */
void aloop__layer_offer_out(struct aloop__filters *filters,
                            struct aloop__layer *layer)
{
    ssize_t n;

    if (!layer->is_ready || layer->has_pull_end ||
        !offer_held(filters, layer, &layer->out, aloop__layer_write))
        return;
    n = layer->filter.write(layer->context, NULL, 0);
    if (n != 0)
        aloop__layer_fail(filters, layer, n);
}
