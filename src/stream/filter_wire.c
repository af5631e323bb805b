/* The bytes that leave the bottom layer, on their way to the descriptor.
 *
 * Bytes that were pulled are sent from the memory into which they were pulled.
 * Only what the descriptor does not accept is copied and queued.
 *
 * A write settles when the bytes that it became are sent.  When the layers have
 * taken its last byte it is in filters->taken.  As soon as no layer has
 * anything to give, all its bytes are in the wire, and its empty piece is
 * queued behind them. */

#include "loop/future.h"
#include "loop/io.h"
#include "stream/filters.h"

enum { WIRE_SENDS_MAX = 8 }; /* In one run of the driver. */

void aloop__wire_drop(struct aloop__filters *filters, int error)
{
    aloop__sender_drop(&filters->wire, error);
    aloop__sender_set_sending(&filters->wire);
}

/* Sending has failed, which the core learns.  During a close there is no reader
 * to learn it, and the caller finds it in write_error. */
static void fail_sending(struct aloop__filters *filters, int error)
{
    aloop_stream *stream = filters->stream;

    filters->is_mute = true;
    error = aloop__io_failed(&stream->io, error);
    aloop__stream_fail_writing(stream, error);
    if (!filters->is_finishing)
        aloop__stream_ops_of(stream)->lost(stream, error);
}

/* Returns whether the descriptor may be given bytes. */
static inline bool may_send(const struct aloop__filters *filters)
{
    return !filters->is_mute && filters->stream->io.fd >= 0 &&
           aloop__stream_is_ours(filters->stream);
}

/* Queues bytes.  The replies among the bytes that became them are counted as
 * sent first. */
static void queue_bytes(struct aloop__filters *filters, const char *data,
                        size_t size)
{
    struct aloop__sender *wire = &filters->wire;
    size_t replies = filters->replies < size ? filters->replies : size;
    struct aloop__piece *last;

    if (aloop__pieces_put(wire, data, size) < 0) {
        fail_sending(filters, ALOOP_ENOMEM); /* The stream would have a gap. */
        return;
    }
    last = CONTAINER_OF(wire->pieces.prev, struct aloop__piece, node);
    wire->queued += size;
    if (replies > last->size - last->replies)
        replies = last->size - last->replies;
    last->replies += replies;
    wire->replies += replies;
    filters->replies -= replies;
    aloop__sender_pause_if_due(filters->stream->sender);
}

void aloop__wire_put_rest(struct aloop__filters *filters, const char *data,
                          size_t size, ssize_t n)
{
    if (n == ALOOP_EAGAIN)
        n = 0;
    if (n < 0) {
        fail_sending(filters, (int) n);
        return;
    }
    filters->can_send = false;
    filters->replies -= filters->replies < (size_t) n ? filters->replies
                                                      : (size_t) n;
    queue_bytes(filters, data + n, size - (size_t) n);
}

/* Directly from the memory of the driver while nothing is queued: most records
 * fit into the socket, and then nothing is copied.  `can_send` is false after a
 * send was short, until an event of writability, so that a full socket costs
 * one call and not one for each record.  Bytes in front of the queue would
 * change the order, so that a queue that is not empty is never passed. */
void aloop__wire_put(struct aloop__filters *filters, const char *data,
                     size_t size)
{
    ssize_t n = 0;

    if (filters->has_forked || !may_send(filters))
        return;
    if (filters->can_send && list_is_empty(&filters->wire.pieces))
        n = filters->inner->send(filters->stream, data, size);
    if (n != (ssize_t) size) {
        aloop__wire_put_rest(filters, data, size, n);
        return;
    }
    filters->can_send = ++filters->sends < WIRE_SENDS_MAX;
    filters->replies -= filters->replies < size ? filters->replies : size;
}

/* Called when no layer has anything left to give, or at the end of a close,
 * which has pulled all that it could get.  Earlier, bytes of a
 * taken write could still be inside a layer, and its future would settle before
 * they are sent.  The empty pieces behind the bytes settle in order by the
 * usual advance; if the wire is empty, immediately. */
void aloop__wire_mark(struct aloop__filters *filters)
{
    if (list_is_empty(&filters->wire.pieces))
        filters->replies = 0; /* The layers have made no bytes of the rest. */
    if (list_is_empty(&filters->taken))
        return;
    list_append(&filters->wire.pieces, &filters->taken);
    aloop__sender_advance(&filters->wire, 0);
}

/* Ends the sending side of the descriptor, because no more bytes follow.  The
 * carrier sees the end of its own descriptor, not that of the reader.  EAGAIN:
 * a thread is writing, and the next event is the end of its work. */
static void shut_inner(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    struct aloop__sender *sender = stream->sender;
    bool has_ended = stream->has_ended;
    int error;

    stream->has_ended = filters->is_deaf;
    error = filters->inner->shut(stream);
    stream->has_ended = has_ended;
    if (error == ALOOP_EAGAIN)
        return;
    filters->is_mute = true;
    if (error == ALOOP_ENOTCONN)
        error = aloop__stream_error(stream);
    else if (error < 0)
        error = aloop__io_failed(&stream->io, error);
    if (error == 0 && sender->queued > 0)
        error = ALOOP_EPIPE; /* The filter has ended before the writer. */
    if (error < 0) {
        aloop__stream_fail_writing(stream, error);
        return;
    }
    sender->is_shut = true;
    sender->has_shut = true;
    sender->is_kept = true;
}

/* At most WIRE_SENDS_MAX times in one run, like the flush of a stream.  The end
 * of the bottom layer is passed on only after its last byte.  A close does not
 * shut here: the stream that lingers sends the wire first, and then ends. */
void aloop__wire_flush(struct aloop__filters *filters)
{
    struct aloop__sender *wire = &filters->wire;
    size_t asked = 1;

    while (wire->queued > 0 && filters->can_send && may_send(filters)) {
        ssize_t n = aloop__sender_send(wire, filters->inner, &asked);

        filters->can_send = n == (ssize_t) asked &&
                            ++filters->sends < WIRE_SENDS_MAX;
        if (n > 0) {
            filters->moved += (size_t) n;
            aloop__sender_advance(wire, (size_t) n);
        } else if (n != ALOOP_EAGAIN) {
            fail_sending(filters, (int) n);
        }
    }
    /* A write that was cancelled may have been in front of a mark. */
    aloop__sender_advance(wire, 0);
    if (wire->queued == 0 && filters->bottom->has_given_end &&
        !filters->is_finishing && may_send(filters))
        shut_inner(filters);
}
