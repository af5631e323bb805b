/* Writing to a stream: put, write, drain and shutdown.
 *
 * A put adds copied bytes to the pieces (pieces.c); a write operation adds a
 * piece that refers to the caller's bytes.  Neither sends: sender.c does that
 * when the callback of the stream returns, a task awaits a write or the turn
 * ends, so that all that was written until then leaves in one system call.
 *
 * The caller's bytes of a write must not change until its future has settled,
 * which is when all of them were passed to the kernel or the piece was removed.
 * A drain and a shutdown wait in sender->waits; sender.c settles them.
 *
 * A stream that has no memory for its writing half cannot be written to, but
 * nothing that was written before is lost. */

#include <string.h>

#include "loop/debug.h"
#include "loop/future.h"
#include "os/reactor.h"
#include "stream/stream.h"

/* Checks whether something can be queued, and makes the writing half for it. An
 * error of the connection is returned before ALOOP_EPIPE, because it is more
 * precise.  The adoption is last: a forked child that is refused before it
 * leaves the stream to its parent. */
int aloop__stream_prepare_writing(aloop_stream *stream)
{
    struct aloop__sender *sender;

    if (stream->write_error != 0)
        return stream->write_error;
    sender = aloop__sender_get(stream);
    if (sender == NULL)
        return ALOOP_ENOMEM;
    if (sender->is_shut)
        return ALOOP_EPIPE;
    return aloop__stream_is_ours(stream) ? 0 : aloop__stream_adopt(stream);
}

/* Returns whether something can be queued in a writing half that there is. */
static inline bool is_prepared(const aloop_stream *stream)
{
    return stream->write_error == 0 && stream->sender != NULL &&
           !aloop__stream_is_dispatching(stream) && !stream->sender->is_shut &&
           aloop__stream_is_ours(stream);
}

/* Lends received bytes that on_data puts, so that they are sent when it returns
 * and need no writing half.  Several puts are joined if their bytes are
 * adjacent.  Returns false if that is not possible: the stream has bytes to
 * send, or these bytes do not follow those that are lent. */
static bool lend_received(aloop_stream *stream, const char *data, size_t size)
{
    aloop *loop = stream->handle.loop;

    if (!aloop__stream_may_lend(stream) || size == 0 ||
        !aloop__is_received(loop, data, size) ||
        (loop->lent_size > 0 && data != loop->lent + loop->lent_size))
        return false;
    if (loop->lent_size == 0)
        loop->lent = data;
    loop->lent_size += size;
    loop->lent_room = 0;
    return true;
}

/* Copies other bytes that on_data puts into the cork, a small buffer of the
 * loop, behind bytes that are lent already, and lends them from there.  Small
 * answers so need no writing half either.  Returns false if the stream has one,
 * or there is not enough room. */
static bool cork(aloop_stream *stream, const char *data, size_t size)
{
    aloop *loop = stream->handle.loop;
    size_t lent_size = loop->lent_size;
    char *bytes;

    if (stream->sender != NULL || loop->receive_buffer == NULL ||
        data == NULL || lent_size > CORK_SIZE || size > CORK_SIZE - lent_size)
        return false;
    bytes = loop->receive_buffer + RECEIVE_SIZE;
    if (lent_size > 0 && loop->lent != bytes)
        memcpy(bytes, loop->lent, lent_size);
    memcpy(bytes + lent_size, data, size);
    loop->lent = bytes;
    loop->lent_size = lent_size + size;
    loop->lent_room = 0;
    return true;
}

/* Returns whether more bytes are lent than the high-water mark allows.  Without
 * a writing half its usual value, which they cannot exceed, holds. */
static bool exceeds_mark(const aloop_stream *stream)
{
    return stream->sender != NULL &&
           stream->handle.loop->lent_size > stream->sender->high;
}

/* The size is limited so that the size of a piece cannot overflow. */
static int put_copy(aloop_stream *stream, const void *data, size_t size)
{
    int error;

    if ((data == NULL && size > 0) ||
        size > PTRDIFF_MAX - sizeof(struct aloop__piece))
        return ALOOP_EINVAL;
    error = aloop__stream_prepare_writing(stream);
    if (error == 0 && size > 0)
        error = aloop__pieces_put(stream->sender, data, size);
    if (error < 0)
        return error;
    aloop__sender_queued_more(stream->sender, size);
    return aloop__sender_queued(stream->sender) > stream->sender->high;
}

/* A function of its own, so that a put that lends saves no registers for it. */
static NOINLINE int put_checked(aloop_stream *stream, const void *data,
                                size_t size)
{
    int error = aloop__check_handle(stream, "aloop_stream_put");

    if (error < 0)
        return error;
    if (aloop__stream_is_dispatching(stream) && stream->write_error == 0 &&
        aloop__stream_is_ours(stream) &&
        (lend_received(stream, data, size) || cork(stream, data, size)))
        return exceeds_mark(stream);
    return put_copy(stream, data, size);
}

/* Returns whether the bytes follow those that on_data has lent, so that they
 * need no more checks than whether on_data has forked.  A size of 0 is left to
 * the other checks: loop->lent may be NULL, which must not be added to. */
static inline bool is_next_to_lend(const aloop_stream *stream, const char *data,
                                   size_t size)
{
    const aloop *loop = stream->handle.loop;

    return aloop__stream_is_dispatching(stream) && size - 1 < loop->lent_room &&
           data == loop->lent + loop->lent_size && !aloop__is_foreign(loop);
}

/* Returns 1 if the caller should wait for a drain before it puts more. */
int aloop_stream_put(aloop_stream *stream, const void *data, size_t size)
{
    if (stream == NULL || aloop__is_checked_handle(stream) ||
        !is_next_to_lend(stream, data, size))
        return put_checked(stream, data, size);
    stream->handle.loop->lent_size += size;
    stream->handle.loop->lent_room -= size;
    return 0;
}

/* ops->cancel of a write: takes its piece out of the queue, and with it the
 * caller's bytes.  If a part of them was sent already, or a filter that takes
 * them has cancelled it, the stream cannot continue behind the gap, and writing
 * fails.  The rest of the function does what follows when the queue has become
 * shorter. */
static void write_cancel(aloop_future *future)
{
    struct aloop__write *write =
        CONTAINER_OF(future, struct aloop__write, future);
    struct aloop__sender *sender = write->sender;
    aloop_stream *stream = sender->stream;
    bool is_torn = write->piece.size < write->size ||
                   (sender->wire != NULL && sender->wire->is_offering);

    sender->queued -= write->piece.size;
    list_remove(&write->piece.node);
    aloop__future_settle(future, ALOOP_ECANCELED);
    if (is_torn) /* The peer must not see a gap. */
        aloop__stream_fail_writing(stream, ALOOP_EPIPE);
    aloop__stream_cut_short(stream);
    if (list_is_empty(&sender->pieces))
        aloop__stream_unwant(stream, REACTOR_WRITE);
    aloop__sender_queue_changed(sender);
    aloop__sender_flush_later(sender); /* A shutdown or a close may be due. */
}

static ssize_t write_hurry(aloop_future *future);

/* ops->release */
static void write_release(aloop_future *future)
{
    aloop__slab_put_inline(&future->loop->slab, future,
                           sizeof(struct aloop__write));
}

/* It is not live: sender->is_sending counts for all pieces together. */
static const struct aloop__future_ops write_ops = {
    .name = "stream write",
    .size = sizeof(struct aloop__write),
    .cancel = write_cancel,
    .hurry = write_hurry,
    .release = write_release,
};

/* ops->hurry */
static ssize_t write_hurry(aloop_future *future)
{
    ssize_t n =
        aloop__sender_hurry(CONTAINER_OF(future, struct aloop__write, future));

    return n == ALOOP_PENDING
               ? n
               : aloop__future_settle_and_take(future, &write_ops, n);
}

/* Queues a new write.  The piece is inside the operation, so that a write needs
 * one allocation and its bytes are never copied.  They are no reply: on_data
 * does not pause for them. */
static inline aloop_future *queue_write(aloop_stream *stream,
                                        struct aloop__write *write,
                                        const void *data, size_t size)
{
    struct aloop__sender *sender = stream->sender;

    write->sender = sender;
    write->size = size;
    write->piece =
        (struct aloop__piece){.data = data, .size = size, .kind = PIECE_WRITE};
    list_push_new(&sender->pieces, &write->piece.node);
    sender->queued += size;
    aloop__sender_flush_later(sender);
    return &write->future;
}

/* A function of its own, so that the usual write saves no registers for it. */
static NOINLINE aloop_future *write_checked(aloop_stream *stream,
                                            const void *data, size_t size)
{
    int error = aloop__check_handle(stream, "aloop_stream_write");
    struct aloop__write *write;

    if (error < 0)
        return aloop__future_refused(error);
    if ((data == NULL && size > 0) || size > PTRDIFF_MAX)
        return aloop__future_failed(stream->handle.loop, ALOOP_EINVAL);
    error = aloop__stream_prepare_writing(stream);
    if (error < 0)
        return aloop__future_failed(stream->handle.loop, error);
    if (size == 0)
        return aloop_future_new_settled(stream->handle.loop, 0);
    write = aloop__future_new_inline(stream->handle.loop, &write_ops);
    return write == NULL ? NULL : queue_write(stream, write, data, size);
}

aloop_future *aloop_stream_write(aloop_stream *stream, const void *data,
                                 size_t size)
{
    struct aloop__write *write = NULL;

    if (stream != NULL && !aloop__is_checked_handle(stream) && data != NULL &&
        size - 1 < PTRDIFF_MAX && is_prepared(stream))
        write = aloop__future_new_free(stream->handle.loop, &write_ops);
    return write == NULL ? write_checked(stream, data, size)
                         : queue_write(stream, write, data, size);
}

/* ops->cancel of a drain or a shutdown.  A shutdown that was requested still
 * takes place: `is_shut` stays set, and nothing could be put since. */
static void stream_wait_cancel(aloop_future *future)
{
    struct aloop__stream_wait *wait =
        CONTAINER_OF(future, struct aloop__stream_wait, future);

    list_remove(&wait->node);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

static const struct aloop__future_ops stream_wait_ops = {
    .name = "stream drain or shutdown",
    .size = sizeof(struct aloop__stream_wait),
    .cancel = stream_wait_cancel,
    .is_live = true,
};

/* Lent bytes count, too: the application has put them. */
size_t aloop_stream_queued(const aloop_stream *stream)
{
    if (aloop__check_handle(stream, __func__) < 0)
        return 0;
    return (aloop__stream_is_dispatching(stream)
                ? stream->handle.loop->lent_size
                : 0) +
           (stream->sender != NULL ? aloop__sender_queued(stream->sender) : 0);
}

/* Returns the future of a drain or a shutdown.  A drain without a writing half
 * has nothing to wait for.  A shutdown waits for the flush of the turn even if
 * nothing is queued, because what was written before in this turn is sent
 * there. */
static aloop_future *wait_until_sent(aloop_stream *stream, bool is_shutdown,
                                     const char *function)
{
    int error = aloop__check_handle(stream, function);
    struct aloop__sender *sender;
    struct aloop__stream_wait *wait;

    if (error < 0)
        return aloop__future_refused(error);
    error = stream->write_error;
    if (error == 0 && is_shutdown)
        error = aloop__stream_adopt(stream);
    if (error < 0)
        return aloop__future_failed(stream->handle.loop, error);
    if (!is_shutdown && aloop_stream_queued(stream) == 0)
        return aloop_future_new_settled(stream->handle.loop, 0);
    sender = aloop__sender_get(stream);
    if (sender == NULL)
        return NULL;
    if (is_shutdown ? sender->has_shut : aloop__sender_is_drained(sender))
        return aloop_future_new_settled(stream->handle.loop, 0);
    wait = aloop__future_new(stream->handle.loop, &stream_wait_ops);
    if (wait == NULL)
        return NULL;
    list_init(&wait->node);
    list_push(&sender->waits, &wait->node);
    wait->is_shutdown = is_shutdown;
    sender->is_shut = sender->is_shut || is_shutdown;
    sender->is_kept = sender->is_kept || is_shutdown;
    aloop__sender_flush_later(sender);
    return &wait->future;
}

aloop_future *aloop_stream_drain(aloop_stream *stream)
{
    return wait_until_sent(stream, false, __func__);
}

aloop_future *aloop_stream_shutdown(aloop_stream *stream)
{
    return wait_until_sent(stream, true, __func__);
}
