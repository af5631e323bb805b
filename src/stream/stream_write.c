/* Writing to a stream.
 *
 * A put adds copied bytes to the pieces (pieces.c); a write operation adds a
 * piece that refers to the caller's bytes.  All pieces are sent in one gathered
 * send, when the stream's own callback returns or at the end of the turn.
 * Writability is watched only after the kernel accepted less than that. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/stream.h"

enum { SENDS_MAX = 8 }; /* Of one stream in one flush. */

struct write {
    aloop_future future;
    aloop_stream *stream;
    struct aloop__piece piece;
    size_t size;
};

/* The future of a drain or a shutdown. */
struct stream_wait {
    aloop_future future;
    struct aloop__node node; /* In stream->waits. */
    bool is_shutdown;        /* If false, it is a drain. */
};

/* Pieces. */

static struct write *write_of(struct aloop__piece *piece)
{
    return CONTAINER_OF(piece, struct write, piece);
}

/* Ends the first piece, which was sent, and settles its write operation. */
static void finish_piece(aloop_stream *stream, struct aloop__piece *piece)
{
    bool is_write = piece->kind == PIECE_WRITE;

    aloop__piece_free(stream, piece);
    if (is_write)
        aloop__future_settle(&write_of(piece)->future,
                             (ssize_t) write_of(piece)->size);
}

static struct aloop__piece *first_piece(const aloop_stream *stream)
{
    return CONTAINER_OF(stream->pieces.next, struct aloop__piece, node);
}

/* Removes sent bytes from the front of a piece.  Replies count as sent
 * first. */
static void count_sent(aloop_stream *stream, struct aloop__piece *piece,
                       size_t size)
{
    size_t replies = piece->replies < size ? piece->replies : size;

    piece->data += size;
    piece->size -= size;
    piece->replies -= replies;
    stream->replies -= replies;
}

/* Removes `sent` bytes from the front of the queue. */
static void advance(aloop_stream *stream, size_t sent)
{
    stream->queued -= sent;
    while (sent > 0) {
        struct aloop__piece *piece = first_piece(stream);
        size_t size = piece->size < sent ? piece->size : sent;

        count_sent(stream, piece, size);
        sent -= size;
        if (piece->size == 0)
            finish_piece(stream, piece);
    }
}

/* Sends as much as one system call accepts. */
static ssize_t send_pieces(aloop_stream *stream, size_t *ret_asked)
{
    struct sys_piece pieces[SYS_PIECES_MAX];
    struct aloop__node *node = stream->pieces.next;
    size_t count = 0, asked = 0;

    for (; node != &stream->pieces && count < SYS_PIECES_MAX;
         node = node->next) {
        struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);

        pieces[count++] = (struct sys_piece){piece->data, piece->size};
        asked += piece->size;
    }
    *ret_asked = asked;
    if (count == 1)
        return aloop__sys_send(stream->io.fd, pieces[0].data, pieces[0].size);
    return aloop__sys_sendv(stream->io.fd, pieces, count);
}

/* Drains and shutdowns. */

static void stream_wait_cancel(aloop_future *future)
{
    struct stream_wait *wait = CONTAINER_OF(future, struct stream_wait, future);

    list_remove(&wait->node);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

static const struct aloop__future_ops stream_wait_ops = {
    .name = "stream drain or shutdown",
    .size = sizeof(struct stream_wait),
    .cancel = stream_wait_cancel,
    .is_live = true};

/* Settles the drains and shutdowns whose condition is met, or all if writing
 * has failed. */
static void settle_waits(aloop_stream *stream)
{
    struct aloop__node *node = stream->waits.next;

    while (node != &stream->waits) {
        struct stream_wait *wait = CONTAINER_OF(node, struct stream_wait, node);
        int error = stream->write_error;

        node = node->next;
        if (error == 0 && (wait->is_shutdown ? !stream->has_shut
                                             : stream->queued > stream->low))
            continue;
        list_remove(&wait->node);
        aloop__future_settle(&wait->future, error);
    }
}

/* Shuts the connection down if that was requested and all bytes are sent. */
static void shut_if_due(aloop_stream *stream)
{
    int error;

    if (!stream->is_shut || stream->has_shut || stream->queued > 0 ||
        stream->write_error != 0 ||
        !aloop__stream_is_ours(stream))
        return;
    error = aloop__sys_shutdown_write(stream->io.fd);
    if (error == ALOOP_ENOTCONN)
        error = aloop__stream_error(stream);
    else if (error < 0)
        error = aloop__io_failed(&stream->io, error);
    stream->has_shut = error == 0;
    stream->write_error = error;
}

/* Flushing. */

/* Keeps the loop alive while bytes are queued. */
static void set_sending(aloop_stream *stream)
{
    bool is_sending = !list_empty(&stream->pieces);

    stream->handle.loop->live += is_sending;
    stream->handle.loop->live -= stream->is_sending;
    stream->is_sending = is_sending;
}

void aloop__stream_pause_if_due(aloop_stream *stream)
{
    if (stream->replies > stream->high && stream->has_auto_pause)
        stream->is_paused = true;
}

/* Ends a pause once the replies have fallen to the low-water mark. */
static void resume_if_drained(aloop_stream *stream)
{
    if (!stream->is_paused || stream->replies > stream->low)
        return;
    stream->is_paused = false;
    aloop__stream_resume(stream);
}

void aloop__stream_queue_changed(aloop_stream *stream)
{
    settle_waits(stream);
    resume_if_drained(stream);
}

/* Returns whether on_data must be called for a failure that dropped bytes of a
 * put, which has no future to report it.  Failures that the peer caused are
 * reported by reading. */
static bool is_report_due(const aloop_stream *stream, int error)
{
    return stream->on_data != NULL && !stream->handle.closed &&
           error != ALOOP_EPIPE && error != ALOOP_ECONNRESET &&
           error != ALOOP_ETIMEDOUT;
}

void aloop__stream_fail_writing(aloop_stream *stream, int error)
{
    bool has_lost = false;

    stream->write_error = error;
    while (!list_empty(&stream->pieces)) {
        struct aloop__piece *piece = first_piece(stream);
        bool is_write = piece->kind == PIECE_WRITE;

        has_lost = has_lost || !is_write;
        aloop__piece_free(stream, piece);
        if (is_write)
            aloop__future_settle(&write_of(piece)->future, error);
    }
    stream->queued = 0;
    stream->replies = 0;
    set_sending(stream);
    /* This may settle a wait and resume reading. */
    aloop__stream_queue_changed(stream);
    if (has_lost && is_report_due(stream, error))
        aloop__stream_fail_reading(stream, error);
}

/* Sends until the kernel accepts no more.  Returns whether unsent bytes are
 * left. */
static bool send_all(aloop_stream *stream)
{
    for (int i = 0; i < SENDS_MAX && !list_empty(&stream->pieces); i++) {
        size_t asked;
        ssize_t n = send_pieces(stream, &asked);

        if (n == ALOOP_EAGAIN)
            return true;
        if (n < 0) {
            aloop__stream_fail_writing(
                stream, aloop__io_failed(&stream->io, (int) n));
            return false;
        }
        advance(stream, (size_t) n);
        if ((size_t) n < asked)
            return true;
    }
    return !list_empty(&stream->pieces);
}

/* Does what follows from a send, or from the end of writing. */
static void after_sending(aloop_stream *stream)
{
    set_sending(stream);
    shut_if_due(stream);
    aloop__stream_queue_changed(stream);
    if (stream->handle.closed)
        aloop__stream_progress(stream);
}

void aloop__stream_flush(aloop_stream *stream)
{
    bool is_blocked;

    list_remove(&stream->flush.node);
    if (stream->io.fd < 0 ||
        !aloop__stream_is_ours(stream))
        return;
    is_blocked = send_all(stream);
    if (is_blocked) {
        int error = aloop__stream_want(stream, REACTOR_WRITE);

        if (error < 0)
            aloop__stream_fail_writing(stream, error);
    } else {
        aloop__stream_unwant(stream, REACTOR_WRITE);
    }
    after_sending(stream);
}

void aloop__stream_run_flush(struct aloop__ready *ready)
{
    aloop__stream_flush(CONTAINER_OF(ready, aloop_stream, flush));
}

/* Schedules a flush, unless one will follow anyway: after on_data, when the
 * kernel accepts more, or because it is scheduled already. */
static void flush_later(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    set_sending(stream);
    if (stream->is_dispatching || (stream->io.armed & REACTOR_WRITE) != 0 ||
        !list_empty(&stream->flush.node))
        return;
    list_push(&loop->flushing, &stream->flush.node);
    if (loop->embedded)
        aloop__touch(loop);
}

/* The public functions. */

/* Returns why nothing can be written, or 0. */
static int refusal(aloop_stream *stream)
{
    if (stream->write_error != 0)
        return stream->write_error;
    if (stream->is_shut)
        return ALOOP_EPIPE;
    return aloop__stream_claim(stream);
}

void aloop__stream_own(aloop_stream *stream)
{
    if (aloop__pieces_own(stream))
        return;
    aloop__stream_fail_writing(stream, ALOOP_ENOMEM);
    if (stream->handle.closed)
        aloop__stream_progress(stream);
}

/* Counts bytes that were queued, and schedules a flush. */
static void queued_more(aloop_stream *stream, size_t size)
{
    stream->queued += size;
    aloop__stream_pause_if_due(stream);
    flush_later(stream);
}

int aloop_stream_put(aloop_stream *stream, const void *data, size_t size)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    if ((data == NULL && size > 0) ||
        size > PTRDIFF_MAX - sizeof(struct aloop__piece))
        return ALOOP_EINVAL;
    error = refusal(stream);
    if (error == 0 && size > 0)
        error = aloop__pieces_put(stream, data, size);
    if (error < 0)
        return error;
    queued_more(stream, size);
    return stream->queued > stream->high;
}

void aloop__stream_cut_short(aloop_stream *stream)
{
    if (stream->handle.loop->ending && stream->write_error == 0)
        aloop__stream_fail_writing(stream, ALOOP_EPIPE);
}

static void write_cancel(aloop_future *future)
{
    struct write *write = CONTAINER_OF(future, struct write, future);
    aloop_stream *stream = write->stream;
    bool is_torn = write->piece.size < write->size;

    stream->queued -= write->piece.size;
    list_remove(&write->piece.node);
    aloop__future_settle(future, ALOOP_ECANCELED);
    if (is_torn) /* The peer must not see a gap. */
        aloop__stream_fail_writing(stream, ALOOP_EPIPE);
    aloop__stream_cut_short(stream);
    if (list_empty(&stream->pieces))
        aloop__stream_unwant(stream, REACTOR_WRITE);
    aloop__stream_queue_changed(stream);
    flush_later(stream); /* A shutdown or a close may be due. */
}

static const struct aloop__future_ops write_ops = {
    .name = "stream write",
    .size = sizeof(struct write),
    .cancel = write_cancel};

aloop_future *aloop_stream_write(aloop_stream *stream, const void *data,
                                 size_t size)
{
    int error = aloop__check_handle(stream, __func__);
    struct write *write;

    if (error < 0)
        return aloop__future_refused(error);
    if ((data == NULL && size > 0) || size > PTRDIFF_MAX)
        return aloop__future_failed(stream->handle.loop, ALOOP_EINVAL);
    error = refusal(stream);
    if (error < 0)
        return aloop__future_failed(stream->handle.loop, error);
    if (size == 0)
        return aloop_future_new_settled(stream->handle.loop, 0);
    write = aloop__future_new(stream->handle.loop, &write_ops);
    if (write == NULL)
        return NULL;
    write->stream = stream;
    write->size = size;
    list_init(&write->piece.node);
    write->piece.data = data;
    write->piece.size = size;
    write->piece.kind = PIECE_WRITE;
    list_push(&stream->pieces, &write->piece.node);
    queued_more(stream, size);
    return &write->future;
}

/* Returns the future of a drain or a shutdown. */
static aloop_future *wait_until_sent(aloop_stream *stream, bool is_shutdown,
                                     const char *function)
{
    int error = aloop__check_handle(stream, function);
    struct stream_wait *wait;

    if (error < 0)
        return aloop__future_refused(error);
    error = stream->write_error;
    if (error == 0 && is_shutdown)
        error = aloop__stream_claim(stream);
    if (error < 0)
        return aloop__future_failed(stream->handle.loop, error);
    if (is_shutdown ? stream->has_shut : stream->queued <= stream->low)
        return aloop_future_new_settled(stream->handle.loop, 0);
    wait = aloop__future_new(stream->handle.loop, &stream_wait_ops);
    if (wait == NULL)
        return NULL;
    list_init(&wait->node);
    list_push(&stream->waits, &wait->node);
    wait->is_shutdown = is_shutdown;
    stream->is_shut = stream->is_shut || is_shutdown;
    flush_later(stream);
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
