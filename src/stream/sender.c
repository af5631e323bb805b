/* The writing half of a stream, and sending.
 *
 * A stream gets a writing half when something is written and gives it back when
 * everything is sent.  All pieces are sent in one gathered send, when the
 * stream's own callback returns or at the end of the turn.  Writability is
 * watched only after the kernel accepted less than that.
 *
 * Four ways lead into this file:
 *
 *     from on_data      aloop__stream_send_replies(), when it returns
 *     from a task       aloop__sender_hurry(), when it awaits a write
 *     from elsewhere    aloop__sender_flush_later(), and stream_flush_due()
 *                       when the turn flushes
 *     after EAGAIN      stream_ready() (stream.c), when the kernel accepts more
 *
 * Bytes that on_data echoes out of the receive buffer, or that a put has copied
 * into the cork, need no writing half, if the kernel accepts all of them:
 * loop->lent only remembers where they are.  They come before everything that
 * is queued later; aloop__sender_get() ensures this.
 *
 * Nothing here calls the application.  What sending changes is reported to
 * stream.c by the functions of struct aloop__stream_ops, which may end the
 * stream: after `sent` it may be in loop->closed, with its memory still
 * valid. */

#include "loop/future.h"
#include "loop/host.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/splice.h"
#include "stream/stream.h"

enum {
    SENDS_MAX = 8, /* Of one stream in one flush. */
    WATER_LOW = 16 * 1024,
    WATER_HIGH = 64 * 1024
};

/* Settles the drains and shutdowns whose condition is met, or all if writing
 * has failed.  All drains have the same condition, and so do all shutdowns:
 * nothing is visited while neither is met, because many may wait for many
 * flushes.  Settling removes no other wait from the list. */
static void settle_waits(struct aloop__sender *sender)
{
    int error = sender->stream->write_error;
    bool is_drained = error != 0 || aloop__sender_is_drained(sender);
    bool has_shut = error != 0 || sender->has_shut;
    struct aloop__node *node = sender->waits.next;

    while ((is_drained || has_shut) && node != &sender->waits) {
        struct aloop__stream_wait *wait =
            CONTAINER_OF(node, struct aloop__stream_wait, node);

        node = node->next;
        if (wait->is_shutdown ? !has_shut : !is_drained)
            continue;
        list_remove(&wait->node);
        aloop__future_settle(&wait->future, error);
    }
}

/* Shuts the connection down if that was requested and all bytes are sent.  The
 * reason for ENOTCONN is SO_ERROR.  The caller settles the waits afterwards. */
static void shut_if_due(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;
    int error;

    if (!sender->is_shut || sender->has_shut || sender->queued > 0 ||
        stream->write_error != 0 || !aloop__stream_is_ours(stream))
        return;
    error = stream->carrier->shut(stream);
    if (error == ALOOP_EAGAIN && stream->carrier->is_shut_later)
        return; /* The filters give their end first, a thread its result. */
    if (error == ALOOP_ENOTCONN)
        error = aloop__stream_error(stream);
    else if (error < 0)
        error = aloop__io_failed(&stream->io, error);
    sender->has_shut = error == 0;
    stream->write_error = (short) error;
}

/* Flushing. */

/* Returns the number of bytes for which on_data waits.  Replies that filters
 * have not taken count only while the peer accepts nothing, because a filter
 * may have to receive before it takes them. */
static size_t unsent_replies(const struct aloop__sender *sender)
{
    const struct aloop__sender *wire = sender->wire;

    if (wire == NULL)
        return sender->replies;
    return wire->replies + (wire->queued > sender->high ? sender->replies : 0);
}

void aloop__sender_pause_if_due(struct aloop__sender *sender)
{
    if (unsent_replies(sender) > sender->high && sender->has_auto_pause)
        sender->is_paused = true;
}

/* Ends a pause once the replies have fallen to the low-water mark.  The two
 * marks differ, so that reading does not stop and start with every send. */
static void resume_if_drained(struct aloop__sender *sender)
{
    if (!sender->is_paused || unsent_replies(sender) > sender->low)
        return;
    sender->is_paused = false;
    aloop__stream_ops_of(sender->stream)->resumed(sender->stream);
}

void aloop__sender_queue_changed(struct aloop__sender *sender)
{
    if (!list_is_empty(&sender->waits))
        settle_waits(sender);
    resume_if_drained(sender);
}

/* The error is set first, because settle_waits() reads it.  A later error
 * replaces it. */
void aloop__stream_fail_writing(aloop_stream *stream, int error)
{
    struct aloop__sender *sender = stream->sender;
    bool has_lost;

    stream->write_error = (short) error;
    stream->handle.loop->lent_room = 0;
    if (sender == NULL)
        return;
    has_lost = aloop__sender_drop(sender, error);
    aloop__sender_set_sending(sender);
    if (sender->wire != NULL)
        stream->carrier->failed(stream, error);
    aloop__stream_ops_of(stream)->failed(stream, error);
    /* This may settle a wait and resume reading. */
    aloop__sender_queue_changed(sender);
    if (has_lost)
        aloop__stream_ops_of(stream)->lost(stream, error);
}

/* Sends until the kernel accepts no more, or has accepted SENDS_MAX times, so
 * that one stream with a long queue does not delay the others.  Returns whether
 * unsent bytes are left. */
static bool send_all(struct aloop__sender *sender)
{
    for (int i = 0; i < SENDS_MAX && !list_is_empty(&sender->pieces); i++) {
        aloop_stream *stream = sender->stream;
        size_t asked;
        ssize_t n = aloop__sender_send(sender, stream->carrier, &asked);

        if (n == ALOOP_EAGAIN)
            return true;
        if (n < 0) {
            aloop__stream_fail_writing(stream,
                                       aloop__io_failed(&stream->io, (int) n));
            return false;
        }
        aloop__sender_advance(sender, (size_t) n);
        if ((size_t) n < asked)
            return true;
    }
    return !list_is_empty(&sender->pieces);
}

/* Does what follows from a send, or from the end of writing.  The order
 * matters: a shutdown comes after the last byte, its future settles after the
 * shutdown, and a closed stream ends last, because ending it frees what the
 * others use. */
static void after_sending(struct aloop__sender *sender)
{
    aloop__sender_set_sending(sender);
    shut_if_due(sender);
    aloop__sender_queue_changed(sender);
    if (aloop__handle_is_ended(&sender->stream->handle))
        aloop__stream_ops_of(sender->stream)->sent(sender->stream);
}

/* Sends, and watches for writability exactly while bytes are left. */
static void flush_sender(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;
    int error;

    list_remove(&sender->flush.node);
    if (stream->io.fd < 0 || !aloop__stream_is_ours(stream))
        return;
    if (send_all(sender) && !aloop__sender_is_delayed(sender)) {
        error = aloop__stream_want(stream, REACTOR_WRITE);
        if (error < 0)
            aloop__stream_fail_writing(stream, error);
    } else {
        aloop__stream_unwant(stream, REACTOR_WRITE);
    }
    after_sending(sender);
}

/* The writing half. */

static void stream_flush_due(struct aloop__ready *ready);

/* Creates the writing half. */
static struct aloop__sender *new_sender(aloop_stream *stream)
{
    struct aloop__sender *sender;

    sender = aloop__slab_take(&stream->handle.loop->slab, sizeof *sender);
    if (sender == NULL)
        return NULL;
    *sender = (struct aloop__sender){.stream = stream,
                                     .flush.run = stream_flush_due,
                                     .low = WATER_LOW,
                                     .high = WATER_HIGH,
                                     .has_auto_pause = true};
    list_init(&sender->deliver.node);
    list_init(&sender->flush.node);
    list_init(&sender->pieces);
    list_init(&sender->waits);
    stream->sender = sender;
    return sender;
}

/* Takes the writing half away from a stream that has nothing to send.  Most
 * streams send everything immediately, so that the slab gives the next stream
 * the same memory, and an idle connection does without it. */
static void release_if_idle(aloop_stream *stream)
{
    struct aloop__sender *sender = stream->sender;

    if (sender->is_kept || stream->has_input || sender->reads != NULL ||
        !list_is_empty(&sender->deliver.node) || aloop__stream_is_busy(stream))
        return;
    assert(list_is_empty(&sender->flush.node));
    stream->sender = NULL;
    aloop__slab_put(&stream->handle.loop->slab, sender, sizeof *sender);
}

void aloop__sender_queued_more(struct aloop__sender *sender, size_t size)
{
    sender->queued += size;
    aloop__sender_pause_if_due(sender);
    aloop__sender_flush_later(sender);
}

/* What on_data has lent is queued first, so that the order of bytes is kept.
 * If there is no memory for it, there is no writing half either, and it stays
 * lent. */
struct aloop__sender *aloop__sender_get(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = stream->sender;
    bool is_dispatching = aloop__stream_is_dispatching(stream);
    size_t size = is_dispatching ? loop->lent_size : 0;

    if (is_dispatching)
        loop->lent_room = 0; /* Nothing may pass what will be queued. */
    if (sender == NULL)
        sender = new_sender(stream);
    if (sender == NULL || size == 0)
        return sender;
    if (aloop__pieces_put(sender, loop->lent, size) < 0) {
        release_if_idle(stream);
        return NULL;
    }
    loop->lent_size = 0;
    aloop__sender_queued_more(sender, size);
    return sender;
}

/* If out of memory, writing fails, so that the close sends a reset instead of
 * an end that would hide the loss. */
void aloop__stream_queue_lent(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    if (!aloop__stream_is_dispatching(stream) || loop->lent_size == 0 ||
        aloop__sender_get(stream) != NULL)
        return;
    loop->lent_size = 0;
    aloop__stream_fail_writing(stream, ALOOP_ENOMEM);
}

/* There is no writing half if the pieces were dropped while the stream waited
 * for the kernel to accept more. */
void aloop__stream_flush(aloop_stream *stream)
{
    if (stream->sender == NULL) {
        aloop__stream_unwant(stream, REACTOR_WRITE);
        return;
    }
    flush_sender(stream->sender);
    release_if_idle(stream);
}

static void stream_flush_due(struct aloop__ready *ready)
{
    aloop__stream_flush(
        CONTAINER_OF(ready, struct aloop__sender, flush)->stream);
}

/* Returns whether the write is all that a flush would send, by one call that
 * needs little of the stack.  A shutdown follows the last byte even if its
 * future was dropped. */
static inline bool is_alone(const struct aloop__sender *sender,
                            const struct aloop__write *write)
{
    const aloop_stream *stream = sender->stream;

    return sender->queued == write->piece.size && sender->wire == NULL &&
           list_is_empty(&sender->waits) && !sender->is_shut &&
           !stream->io.is_unwatched && stream->io.fd >= 0 &&
           aloop__stream_is_ours(stream) &&
           !aloop__handle_is_ended(&stream->handle);
}

/* Does what follows if the system has accepted `n` bytes, and not all.  An
 * error settles the write. */
static NOINLINE void sent_short(struct aloop__sender *sender, ssize_t n)
{
    aloop_stream *stream = sender->stream;
    int error = 0;

    if (n < 0)
        error = aloop__io_failed(&stream->io, (int) n);
    else
        aloop__sender_advance(sender, (size_t) n);
    if (error == 0)
        error = aloop__stream_want(stream, REACTOR_WRITE);
    if (error < 0)
        aloop__stream_fail_writing(stream, error);
}

/* Sends a write that is alone.  Returns the number of bytes if the system has
 * accepted all of them, and the caller settles the write.  Otherwise returns
 * ALOOP_PENDING: it waits, or has failed and settled. */
static inline ssize_t send_alone_write(struct aloop__sender *sender,
                                       struct aloop__write *write)
{
    aloop_stream *stream = sender->stream;
    ssize_t n;

    list_remove(&sender->flush.node);
    n = stream->carrier->send(stream, write->piece.data, write->piece.size);
    if (n != (ssize_t) write->size) {
        sent_short(sender, n == ALOOP_EAGAIN ? 0 : n);
        return ALOOP_PENDING;
    }
    sender->queued = 0;
    list_init(&sender->pieces); /* The write was all that it had. */
    aloop__sender_set_sending(sender);
    return n;
}

/* The task continues without a turn if the system accepts all bytes.  The
 * writing half is kept for its next write. */
ssize_t aloop__sender_hurry(struct aloop__write *write)
{
    struct aloop__sender *sender = write->sender;

    if (list_is_empty(&sender->flush.node) || !is_alone(sender, write))
        return ALOOP_PENDING;
    return send_alone_write(sender, write);
}

/* After on_data. */

/* Copies the pieces that were lent, because the receive buffer is about to be
 * used again.  If out of memory, the bytes are lost and writing fails. */
static void own_pieces(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;

    if (aloop__pieces_own(sender))
        return;
    aloop__stream_fail_writing(stream, ALOOP_ENOMEM);
    if (aloop__handle_is_ended(&stream->handle))
        aloop__stream_ops_of(stream)->sent(stream);
}

/* Queues lent bytes that were not accepted.  They are the first of the queue,
 * because a stream that lends has nothing queued. */
static int queue_rest(aloop_stream *stream, const char *data, size_t size)
{
    struct aloop__sender *sender = stream->sender;
    int error = ALOOP_ENOMEM;

    if (sender == NULL)
        sender = new_sender(stream);
    if (sender != NULL)
        error = aloop__pieces_copy_reply(sender, data, size);
    if (error < 0)
        return error;
    sender->queued = size;
    aloop__sender_pause_if_due(sender);
    aloop__sender_set_sending(sender);
    return aloop__stream_want(stream, REACTOR_WRITE);
}

/* It is also called if the filters have failed, which they have reported. */
void aloop__stream_send_rest(aloop_stream *stream, size_t size, ssize_t n)
{
    int error;

    if (stream->write_error != 0)
        return;
    if (n == ALOOP_EAGAIN)
        n = 0;
    error = n < 0 ? aloop__io_failed(&stream->io, (int) n)
                  : queue_rest(stream, stream->handle.loop->lent + n,
                               size - (size_t) n);
    if (error < 0) {
        aloop__stream_fail_writing(stream, error);
        aloop__stream_ops_of(stream)->lost(stream, error);
    }
}

/* Does the same as flush_sender() if all that is queued is one write.  Returns
 * whether it was that. */
static inline bool send_only_write(struct aloop__sender *sender)
{
    struct aloop__write *write =
        CONTAINER_OF(sender->pieces.next, struct aloop__write, piece.node);
    ssize_t n;

    if (list_is_empty(&sender->pieces) || write->piece.kind != PIECE_WRITE ||
        sender->is_paused || !is_alone(sender, write))
        return false;
    n = send_alone_write(sender, write);
    if (n != ALOOP_PENDING)
        aloop__future_settle(&write->future, n);
    return true;
}

void aloop__stream_send_queued(aloop_stream *stream)
{
    struct aloop__sender *sender = stream->sender;

    if ((stream->io.armed & REACTOR_WRITE) == 0 && !send_only_write(sender))
        flush_sender(sender);
    if (sender->has_lent)
        own_pieces(sender);
    release_if_idle(stream);
}

/* The caller has taken a piece out of the queue.  In an ordinary cancel the
 * application knows that; at the loop's end the peer must learn it. */
void aloop__stream_cut_short(aloop_stream *stream)
{
    if (stream->handle.loop->is_ending && stream->write_error == 0)
        aloop__stream_fail_writing(stream, ALOOP_EPIPE);
}
