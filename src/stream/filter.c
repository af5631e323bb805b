/* The public functions of filters, and the future of a handshake.
 *
 * A filter is put on top of those that there are.  What the stream has queued
 * belongs in front of it: to the layer below, or to the wire.  What the stream
 * has received and not consumed is behind it: its first input.  So a filter can
 * be put on in the middle of a stream.
 *
 * Putting a filter on has three steps, and only the first two can fail: the
 * memory is allocated, queued bytes go where they belong, the layer is linked.
 * After a failure the stream works as before.  The caller has given `context`
 * away in any case, so that each path that fails calls the filter's close. */

#include "aloop/filter.h"

#include "base/options.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "stream/filters.h"
#include "stream/input.h"

static const struct options_field filter_fields[] = {
    OPTIONS_FIELD(aloop_filter, size),      OPTIONS_FIELD(aloop_filter, name),
    OPTIONS_FIELD(aloop_filter, feed),      OPTIONS_FIELD(aloop_filter, read),
    OPTIONS_FIELD(aloop_filter, write),     OPTIONS_FIELD(aloop_filter, pull),
    OPTIONS_FIELD(aloop_filter, handshake), OPTIONS_FIELD(aloop_filter, close),
    OPTIONS_FIELD(aloop_filter, is_idle),   OPTIONS_FIELD(aloop_filter, lend),
    OPTIONS_FIELD(aloop_filter, keep),
};

OPTIONS_LAST(aloop_filter, keep);

static const struct options_kind filter_kind = {
    sizeof(aloop_filter), filter_fields,
    sizeof filter_fields / sizeof *filter_fields};

/* ops->cancel: the state of the protocol is unknown after that, so that the
 * stream is broken.  `handshake` is cleared first, because breaking the stream
 * would settle the future again.  The driver is queued and not called: it may
 * be running, or the caller may be using the stream. */
static void handshake_cancel(aloop_future *future)
{
    struct aloop__filters *filters =
        CONTAINER_OF(future, struct aloop__handshake, future)->filters;

    filters->handshake = NULL;
    aloop__future_settle(future, ALOOP_ECANCELED);
    aloop__layer_fail(filters, filters->top, ALOOP_ECONNABORTED);
    aloop__filters_break(filters);
    aloop__filters_drive_later(filters);
}

/* A pending handshake keeps the loop alive, as a pending connect does: the
 * stream itself may be neither read nor written yet. */
static const struct aloop__future_ops handshake_ops = {
    .name = "stream filter",
    .size = sizeof(struct aloop__handshake),
    .cancel = handshake_cancel,
    .is_live = true,
};

/* Returns whether a piece is queued that is not only bytes.  Such pieces know
 * their stream and cannot be moved to the wire. */
static bool has_special_pieces(const struct aloop__sender *sender)
{
    const struct aloop__node *node = sender->pieces.next;

    for (; node != &sender->pieces; node = node->next)
        if (CONTAINER_OF(node, struct aloop__piece, node)->kind >= PIECE_FDS)
            return true;
    return false;
}

/* Returns why no filter can be put on the stream, or 0.  Everything that has
 * begun to use the bytes of the stream as they are is in the way: a read, a
 * forward, descriptors, or on_data, unless it is on_data that puts the filter
 * on, as for STARTTLS. */
static int check_use(aloop_stream *stream)
{
    const struct aloop__sender *sender = stream->sender;

    if (stream->is_reading || stream->is_forwarded ||
        (stream->on_data != NULL && !aloop__stream_is_dispatching(stream)) ||
        (sender != NULL &&
         (sender->forward_to != NULL || has_special_pieces(sender))) ||
        aloop__fds_are_left(stream) ||
        (aloop__stream_is_filtered(stream) &&
         aloop__filters_of(stream)->handshake != NULL))
        return ALOOP_EBUSY;
    if (sender != NULL && sender->is_shut)
        return ALOOP_EPIPE; /* The filter could not send its handshake. */
    if (stream->read_error != 0)
        return stream->read_error;
    /* An end of a pipe has only one direction. */
    if (stream->write_error != 0 && stream->write_error != ALOOP_EPIPE)
        return stream->write_error;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    /* In a forked child the descriptor becomes the child's before anything of
     * the stream is moved. */
    return aloop__io_adopt(stream->handle.loop, &stream->io);
}

/* Gives a stream its first filters.  What is queued becomes the wire: it was
 * written before the filter, so that the peer must get it unchanged, in front
 * of the first byte of the filter.  The writes among it follow their pieces to
 * the other sender, where a cancel subtracts them.  Lent bytes are copied
 * before, because they are lost when on_data returns. */
static struct aloop__filters *new_filters(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = aloop__sender_get(stream);
    struct aloop__filters *filters = NULL;
    struct aloop__node *node;

    /* What can fail comes first.  Owning the lent bytes changes nothing that
     * the application could see. */
    if (sender != NULL && aloop__pieces_own(sender))
        filters = aloop__alloc_new(&loop->alloc, sizeof *filters);
    if (filters == NULL)
        return NULL;
    *filters = (struct aloop__filters){
        .stream = stream,
        .wire = {.stream = stream, .flush.run = aloop__filters_flush},
        .inner = stream->carrier,
        .inner_ready = stream->io.on_ready,
        .inner_flush = sender->flush.run,
        .run.run = aloop__filters_run,
        .can_send = (stream->io.armed & REACTOR_WRITE) == 0,
        .can_receive = stream->is_hot,
        .is_deaf = stream->has_ended,
        .is_mute = stream->write_error != 0,
    };
    /* `can_send` and `can_receive` continue what the core knows: nothing waits
     * until output is accepted, and the last receive has left more. */
    list_init(&filters->wire.flush.node);
    list_init(&filters->wire.pieces);
    list_init(&filters->wire.waits);
    list_init(&filters->taken);
    list_init(&filters->run.node);
    list_append(&filters->wire.pieces, &sender->pieces);
    for (node = filters->wire.pieces.next; node != &filters->wire.pieces;
         node = node->next) {
        struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);

        if (piece->kind == PIECE_WRITE)
            CONTAINER_OF(piece, struct aloop__write, piece)->sender =
                &filters->wire;
    }
    filters->wire.queued = sender->queued;
    filters->wire.replies = sender->replies;
    sender->queued = 0;
    sender->replies = 0;
    /* The filters are found through the sender; see aloop__filters_of(). */
    sender->is_kept = true;
    return filters;
}

/* Makes the filters those of the stream.  From here on every flush, event and
 * call of the carrier reaches the driver.  Both senders are counted in
 * loop->live again, because the pieces have changed hands. */
static void attach_filters(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    struct aloop__sender *sender = stream->sender;

    sender->wire = &filters->wire;
    sender->flush.run = aloop__filters_flush;
    stream->carrier = &aloop__carrier_filter;
    /* `inner_ready` and `inner_flush` have what is replaced here, for the end
     * of the filters in a close. */
    stream->io.on_ready = aloop__filters_ready;
    aloop__sender_set_sending(sender);
    aloop__sender_set_sending(&filters->wire);
}

/* Copies what is queued into the layer on which another one is put.  Returns
 * false if out of memory.  Writes settle as if the layer had taken them
 * already: their bytes are copied, and behind the new layer they would not be
 * the bytes of the stream any more.  A failure in the middle does no harm,
 * because each piece is either still queued or held by the layer, in the same
 * order. */
static bool pass_pieces_down(struct aloop__filters *filters)
{
    struct aloop__sender *sender = filters->stream->sender;

    while (!list_is_empty(&sender->pieces)) {
        const struct aloop__piece *piece =
            CONTAINER_OF(sender->pieces.next, struct aloop__piece, node);

        if (!aloop__side_keep(filters, &filters->top->out, piece->data,
                              piece->size))
            return false;
        aloop__sender_advance(sender, piece->size);
    }
    aloop__sender_set_sending(sender);
    return true;
}

/* Puts the layer on top.  It cannot fail, so that a stream never has half a
 * layer.  Input that was received and not consumed was meant for the new layer,
 * and so was the end behind it. */
static void add_layer(struct aloop__filters *filters,
                      struct aloop__layer *layer)
{
    aloop_stream *stream = filters->stream;
    struct aloop__layer *below = filters->top;

    /* The new layer was never pulled, and its handshake may have output. */
    filters->is_dry = false;
    filters->is_resting = false;
    layer->below = below;
    layer->in.held = aloop__input_take(stream);
    layer->in.is_ending = stream->has_ended;
    stream->has_ended = false;
    if (below != NULL)
        below->above = layer;
    else
        filters->bottom = layer;
    filters->top = layer;
}

/* Makes a layer, on the filters that there are or on new ones.  The handshake
 * is called by the driver when the turn flushes, not here: no function of a
 * filter that is on runs before the caller has the future.  A layer without a
 * handshake is ready from the beginning. */
static int put_on(aloop_stream *stream, const aloop_filter *filter,
                  void *context)
{
    const struct aloop__alloc *alloc = &stream->handle.loop->alloc;
    struct aloop__layer *layer = aloop__alloc_new(alloc, sizeof *layer);
    struct aloop__filters *filters = NULL;

    if (layer == NULL)
        return ALOOP_ENOMEM;
    *layer = (struct aloop__layer){.filter = *filter, .context = context};
    layer->is_ready = filter->handshake == NULL;
    layer->is_due = true;
    if (!aloop__stream_is_filtered(stream))
        filters = new_filters(stream);
    else if (aloop__sender_get(stream) != NULL &&
             pass_pieces_down(aloop__filters_of(stream)))
        filters = aloop__filters_of(stream);
    if (filters == NULL) {
        aloop__alloc_free(alloc, layer, sizeof *layer);
        return ALOOP_ENOMEM;
    }
    /* New filters are attached last, when they have a layer: the carrier and
     * the driver rely on `top` and `bottom`. */
    add_layer(filters, layer);
    if (!aloop__stream_is_filtered(stream))
        attach_filters(filters);
    aloop__filters_drive_later(filters);
    return 0;
}

/* Puts the filter on.  The future is made first, because a filter that is on
 * cannot be taken off.  Returns NULL if there is no memory for it.  While the
 * handshake is pending, check_use() refuses a second filter, so that one field
 * is enough. */
static aloop_future *put_on_shaking(aloop_stream *stream,
                                    const aloop_filter *filter, void *context)
{
    struct aloop__handshake *handshake =
        aloop__future_new(stream->handle.loop, &handshake_ops);
    int error = handshake != NULL ? put_on(stream, filter, context)
                                  : ALOOP_ENOMEM;

    if (error < 0 && filter->close != NULL)
        filter->close(context);
    if (handshake == NULL)
        return NULL;
    if (error < 0) {
        aloop__future_settle(&handshake->future, error);
    } else {
        handshake->filters = aloop__filters_of(stream);
        handshake->filters->handshake = handshake;
    }
    return &handshake->future;
}

/* The same for a filter without a handshake. */
static aloop_future *put_on_ready(aloop_stream *stream,
                                  const aloop_filter *filter, void *context)
{
    aloop *loop = stream->handle.loop;
    aloop_future *future = aloop_future_new_settled(loop, 0);
    int error = future != NULL ? put_on(stream, filter, context) : ALOOP_ENOMEM;

    if (error == 0)
        return future;
    if (filter->close != NULL)
        filter->close(context);
    if (future != NULL)
        aloop__future_unref_checked(future);
    return aloop__future_failed(loop, error);
}

aloop_future *aloop_stream_filter(aloop_stream *stream,
                                  const aloop_filter *filter, void *context)
{
    int error = aloop__check_handle(stream, __func__);
    aloop_filter all = {0};
    bool is_valid = filter != NULL &&
                    aloop__options_take(&filter_kind, filter, &all);

    if (error == 0 &&
        (!is_valid || all.feed == NULL || all.read == NULL ||
         all.write == NULL || (all.pull == NULL && all.lend == NULL)))
        error = ALOOP_EINVAL;
    if (error == 0)
        error = check_use(stream);
    if (error < 0) {
        /* If `filter` is not valid, `all` is zero, and no close is called: in a
         * struct of another layout it would be at another place. */
        if (all.close != NULL)
            all.close(context);
        return stream == NULL || error == ALOOP_EPERM
                   ? aloop__future_refused(error)
                   : aloop__future_failed(stream->handle.loop, error);
    }
    return all.handshake != NULL ? put_on_shaking(stream, &all, context)
                                 : put_on_ready(stream, &all, context);
}

int aloop_stream_filter_wake(aloop_stream *stream)
{
    int error = aloop__check_handle_inside(stream, __func__);
    struct aloop__filters *filters;

    if (error < 0)
        return error;
    if (!aloop__stream_is_filtered(stream))
        return ALOOP_ENOTSUP;
    filters = aloop__filters_of(stream);
    /* Only the top layer can have a handshake that is not done: the next filter
     * is put on after it.  A function of a filter may be the caller, so that
     * the driver is queued and never entered here. */
    filters->top->is_due = true;
    if (list_is_empty(&filters->run.node))
        aloop__ready_push(stream->handle.loop, &filters->run);
    return 0;
}
