/* The end of filters, in the close of their stream.
 *
 * No function of a filter may run after the close has returned.  Therefore the
 * close has the layers take everything that is queued, and the end, and pulls
 * all that they give.  The stream continues without filters, and lingers with
 * the bytes of the wire. */

#include "loop/future.h"
#include "stream/filters.h"

/* Offers what the application has written.  This is not a flush, because the
 * stream is closed and a flush would end it. */
static void offer_pieces(struct aloop__filters *filters)
{
    struct aloop__sender *sender = filters->stream->sender;
    size_t asked;
    ssize_t n = 1;

    while (n > 0 && !list_is_empty(&sender->pieces)) {
        n = aloop__sender_send(sender, filters->stream->carrier, &asked);
        if (n > 0)
            aloop__sender_advance(sender, (size_t) n);
    }
    if (list_is_empty(&sender->pieces))
        filters->top->out.is_ending = true;
}

/* Returns whether the layers have taken everything.  A layer that was given the
 * end, or that has itself ended, owes nothing more.  One that has pulled
 * without a limit was cut off, and the peer has not got all of it. */
static bool has_taken_all(const struct aloop__filters *filters)
{
    const struct aloop__layer *layer;

    for (layer = filters->top; layer != NULL; layer = layer->below)
        if (layer->out.held != NULL || layer->has_failed ||
            layer->pulled >= FILTER_ENDLESS ||
            (!layer->out.has_ended && !layer->has_pull_end))
            return false;
    return filters->stream->sender->queued == 0;
}

/* Runs the layers until they give nothing more.  Returns false if bytes were
 * lost.
 *
 * on_data may close its own stream while the driver runs.  The driver then has
 * the scratch memory and keeps it, and its own `is_driving` is restored, so
 * that it finds the filters as it has left them.  `is_driving` is what lets the
 * carrier call the layers; without it, offer_pieces() would only get
 * ALOOP_EAGAIN.
 *
 * The loop ends, because each round must move bytes, and `is_finishing` limits
 * what a layer may give for nothing (FILTER_ENDLESS). */
static bool finish_layers(struct aloop__filters *filters)
{
    bool was_driving = filters->is_driving;
    struct aloop__layer *layer;

    if (filters->scratch == NULL && !aloop__filters_take_scratch(filters))
        return false;
    filters->is_driving = true;
    filters->is_finishing = true;
    for (layer = filters->top; layer != NULL; layer = layer->below)
        layer->pulled = 0;
    if (filters->has_forked)
        aloop__filters_leave(filters);
    do {
        filters->moved = 0;
        offer_pieces(filters);
        aloop__filters_pull(filters, filters->top);
        aloop__wire_flush(filters);
    } while (filters->moved > 0 && filters->error == 0 && !filters->is_mute);
    filters->is_driving = was_driving;
    if (!was_driving)
        aloop__filters_put_scratch(filters);
    aloop__wire_mark(filters);
    return has_taken_all(filters);
}

/* Returns whether the layers can still send.  A layer whose handshake is not
 * done cannot encode what the application has written. */
static bool can_finish(const struct aloop__filters *filters)
{
    const aloop_stream *stream = filters->stream;

    return filters->top->is_ready && filters->error == 0 &&
           stream->write_error == 0 && stream->io.fd >= 0 &&
           aloop__stream_is_ours(stream);
}

/* Gives the stream the carrier of the descriptor, and the bytes of the wire.
 * After this the stream is one without filters, as if the application had put
 * the bytes of the wire itself.  The pieces in front of the filters are sent or
 * dropped by now; those of the wire are appended, and the writes among them
 * belong to the other sender, in whose count a cancel has to find them.  The
 * driver may have used up its sends, so that no event would flush the bytes.
 * The reader's state becomes that of the descriptor, because the end of a
 * filter is not the end of the peer. */
static void remove_filters(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    struct aloop__sender *sender = stream->sender;
    struct aloop__node *node;

    sender->wire = NULL;
    sender->flush.run = filters->inner_flush;
    stream->carrier = filters->inner;
    stream->io.on_ready = filters->inner_ready;
    if (stream->read_error == 0 && filters->receive_error != 0)
        stream->read_error = (short) filters->receive_error;
    stream->has_ended = filters->is_deaf;
    list_append(&sender->pieces, &filters->wire.pieces);
    for (node = sender->pieces.next; node != &sender->pieces;
         node = node->next) {
        struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);

        if (piece->kind == PIECE_WRITE)
            CONTAINER_OF(piece, struct aloop__write, piece)->sender = sender;
    }
    sender->queued = filters->wire.queued;
    sender->replies = filters->wire.replies;
    aloop__sender_set_sending(sender);
    aloop__sender_set_sending(&filters->wire);
    list_remove(&filters->wire.flush.node);
    list_remove(&filters->run.node);
    if (aloop__stream_is_busy(stream) && aloop__stream_is_ours(stream))
        aloop__sender_flush_later(sender);
}

/* Returns whether an abort would lose nothing that the library knows of.  What
 * a layer has inside of it is not known: an abort promises nothing about it. */
static bool has_nothing_left(const struct aloop__filters *filters)
{
    const struct aloop__layer *layer;

    for (layer = filters->top; layer != NULL; layer = layer->below)
        if (layer->out.held != NULL)
            return false;
    return aloop__sender_queued(filters->stream->sender) == 0 &&
           list_is_empty(&filters->taken) && filters->top->is_ready &&
           filters->error == 0;
}

/* The reader's side first: a layer may use what is below it until its end. */
static void close_layers(struct aloop__filters *filters)
{
    aloop *loop = filters->stream->handle.loop;
    struct aloop__layer *layer;

    filters->borrower = NULL;
    while ((layer = filters->top) != NULL) {
        filters->top = layer->below;
        if (layer->filter.close != NULL)
            layer->filter.close(layer->context);
        aloop__side_drop(filters, &layer->in);
        aloop__side_drop(filters, &layer->out);
        aloop__alloc_free(&loop->alloc, layer, sizeof *layer);
    }
}

/* No continuation may run after the close, as for reads. */
static void close_handshake(struct aloop__filters *filters)
{
    if (filters->handshake == NULL)
        return;
    aloop__thens_drop(&filters->handshake->future);
    aloop__handshake_end(filters, ALOOP_ECANCELED);
}

/* The peer must not mistake a part for the whole, so that writing fails if
 * anything was lost.  Nothing was if an abort finds nothing queued.
 *
 * The order matters.  The handshake ends first, because its continuations must
 * not run after the close.  The layers finish while they are still connected to
 * the wire.  A failure is reported before the filters are removed, because the
 * carrier of filters settles the writes that it has taken.  The layers are
 * closed last: their close may free what the other functions use.  If this runs
 * inside the driver, which uses `filters` after on_data has returned, the
 * driver frees the memory. */
void aloop__filters_end(aloop_stream *stream, bool is_orderly)
{
    struct aloop__filters *filters = aloop__filters_of(stream);
    bool is_idle = has_nothing_left(filters);

    close_handshake(filters);
    if (is_orderly && can_finish(filters))
        is_idle = finish_layers(filters);
    if (!is_idle && stream->write_error == 0)
        aloop__stream_fail_writing(stream, ALOOP_ECANCELED);
    else if (!is_idle)
        aloop__wire_drop(filters, ALOOP_ECANCELED);
    remove_filters(filters);
    stream->sender->is_dropping_input = is_orderly &&
                                        stream->write_error == 0 &&
                                        filters->inner->is_unread_dropped &&
                                        aloop__stream_is_ours(stream) &&
                                        !aloop__stream_is_over(stream);
    close_layers(filters);
    filters->is_closed = true;
    if (!filters->is_driving)
        aloop__filters_free(filters);
}
