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

enum { WATER_LOW = 16 * 1024, WATER_HIGH = 64 * 1024 };

struct write {
    aloop_future future;
    struct aloop__sender *sender;
    struct aloop__piece piece;
    size_t size;
};

/* The future of a drain or a shutdown. */
struct stream_wait {
    aloop_future future;
    struct aloop__node node; /* In sender->waits. */
    bool is_shutdown;        /* If false, it is a drain. */
};

/* Pieces. */

static struct write *write_of(struct aloop__piece *piece)
{
    return CONTAINER_OF(piece, struct write, piece);
}

/* Ends the first piece, which was sent, and settles its write operation. */
static void finish_piece(struct aloop__sender *sender,
                         struct aloop__piece *piece)
{
    bool is_write = piece->kind == PIECE_WRITE;

    aloop__piece_free(sender, piece);
    if (is_write)
        aloop__future_settle(&write_of(piece)->future,
                             (ssize_t) write_of(piece)->size);
}

static struct aloop__piece *first_piece(const struct aloop__sender *sender)
{
    return CONTAINER_OF(sender->pieces.next, struct aloop__piece, node);
}

/* Removes sent bytes from the front of a piece.  Replies count as sent
 * first. */
static void count_sent(struct aloop__sender *sender,
                       struct aloop__piece *piece, size_t size)
{
    size_t replies = piece->replies < size ? piece->replies : size;

    piece->data += size;
    piece->size -= size;
    piece->replies -= replies;
    sender->replies -= replies;
}

/* Removes `sent` bytes from the front of the queue. */
static void advance(struct aloop__sender *sender, size_t sent)
{
    sender->queued -= sent;
    while (sent > 0) {
        struct aloop__piece *piece = first_piece(sender);
        size_t size = piece->size < sent ? piece->size : sent;

        count_sent(sender, piece, size);
        sent -= size;
        if (piece->size == 0)
            finish_piece(sender, piece);
    }
}

/* Sends as much as one system call accepts. */
static ssize_t send_pieces(const struct aloop__sender *sender,
                           size_t *ret_asked)
{
    const aloop_stream *stream = sender->stream;
    struct sys_piece pieces[SYS_PIECES_MAX];
    struct aloop__node *node = sender->pieces.next;
    size_t count = 0, asked = 0;

    for (; node != &sender->pieces && count < SYS_PIECES_MAX;
         node = node->next) {
        struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);

        pieces[count++] = (struct sys_piece){piece->data, piece->size};
        asked += piece->size;
    }
    *ret_asked = asked;
    if (count == 1)
        return stream->carrier->send(stream->io.fd, pieces[0].data,
                                     pieces[0].size);
    return stream->carrier->send_pieces(stream->io.fd, pieces, count);
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
static void settle_waits(struct aloop__sender *sender)
{
    struct aloop__node *node = sender->waits.next;

    while (node != &sender->waits) {
        struct stream_wait *wait = CONTAINER_OF(node, struct stream_wait, node);
        int error = sender->stream->write_error;

        node = node->next;
        if (error == 0 && (wait->is_shutdown ? !sender->has_shut
                                             : sender->queued > sender->low))
            continue;
        list_remove(&wait->node);
        aloop__future_settle(&wait->future, error);
    }
}

/* Shuts the connection down if that was requested and all bytes are sent. */
static void shut_if_due(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;
    int error;

    if (!sender->is_shut || sender->has_shut || sender->queued > 0 ||
        stream->write_error != 0 || !aloop__stream_is_ours(stream))
        return;
    error = stream->carrier->shut(stream->io.fd);
    if (error == ALOOP_ENOTCONN)
        error = aloop__stream_error(stream);
    else if (error < 0)
        error = aloop__io_failed(&stream->io, error);
    sender->has_shut = error == 0;
    stream->write_error = (short) error;
}

/* Flushing. */

/* Keeps the loop alive while bytes are queued. */
static void set_sending(struct aloop__sender *sender)
{
    aloop *loop = sender->stream->handle.loop;
    bool is_sending = !list_empty(&sender->pieces);

    loop->live += is_sending;
    loop->live -= sender->is_sending;
    sender->is_sending = is_sending;
}

void aloop__stream_pause_if_due(struct aloop__sender *sender)
{
    if (sender->replies > sender->high && sender->has_auto_pause)
        sender->is_paused = true;
}

/* Ends a pause once the replies have fallen to the low-water mark. */
static void resume_if_drained(struct aloop__sender *sender)
{
    if (!sender->is_paused || sender->replies > sender->low)
        return;
    sender->is_paused = false;
    aloop__stream_ops_of(sender->stream)->resumed(sender->stream);
}

void aloop__stream_queue_changed(struct aloop__sender *sender)
{
    settle_waits(sender);
    resume_if_drained(sender);
}

/* Drops all pieces and settles the writes among them.  Returns whether bytes of
 * a put were lost. */
static bool drop_pieces(struct aloop__sender *sender, int error)
{
    bool has_lost = false;

    while (!list_empty(&sender->pieces)) {
        struct aloop__piece *piece = first_piece(sender);
        bool is_write = piece->kind == PIECE_WRITE;

        has_lost = has_lost || !is_write;
        aloop__piece_free(sender, piece);
        if (is_write)
            aloop__future_settle(&write_of(piece)->future, error);
    }
    sender->queued = 0;
    sender->replies = 0;
    return has_lost;
}

void aloop__stream_fail_writing(aloop_stream *stream, int error)
{
    struct aloop__sender *sender = stream->sender;
    bool has_lost;

    stream->write_error = (short) error;
    if (sender == NULL)
        return;
    has_lost = drop_pieces(sender, error);
    set_sending(sender);
    /* This may settle a wait and resume reading. */
    aloop__stream_queue_changed(sender);
    if (has_lost)
        aloop__stream_ops_of(stream)->lost(stream, error);
}

/* Sends until the kernel accepts no more.  Returns whether unsent bytes are
 * left. */
static bool send_all(struct aloop__sender *sender)
{
    for (int i = 0; i < SENDS_MAX && !list_empty(&sender->pieces); i++) {
        aloop_stream *stream = sender->stream;
        size_t asked;
        ssize_t n = send_pieces(sender, &asked);

        if (n == ALOOP_EAGAIN)
            return true;
        if (n < 0) {
            aloop__stream_fail_writing(
                stream, aloop__io_failed(&stream->io, (int) n));
            return false;
        }
        advance(sender, (size_t) n);
        if ((size_t) n < asked)
            return true;
    }
    return !list_empty(&sender->pieces);
}

/* Does what follows from a send, or from the end of writing. */
static void after_sending(struct aloop__sender *sender)
{
    set_sending(sender);
    shut_if_due(sender);
    aloop__stream_queue_changed(sender);
    if (sender->stream->handle.closed)
        aloop__stream_ops_of(sender->stream)->sent(sender->stream);
}

void aloop__stream_flush(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;
    int error;

    list_remove(&sender->flush.node);
    if (stream->io.fd < 0 || !aloop__stream_is_ours(stream))
        return;
    if (send_all(sender)) {
        error = aloop__stream_want(stream, REACTOR_WRITE);
        if (error < 0)
            aloop__stream_fail_writing(stream, error);
    } else {
        aloop__stream_unwant(stream, REACTOR_WRITE);
    }
    after_sending(sender);
}

static void stream_flush_due(struct aloop__ready *ready)
{
    aloop__stream_flush(CONTAINER_OF(ready, struct aloop__sender, flush));
}

/* Schedules a flush, unless one will follow anyway: after on_data, when the
 * kernel accepts more, or because it is scheduled already. */
static void flush_later(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;
    aloop *loop = stream->handle.loop;

    set_sending(sender);
    if (stream->is_dispatching || (stream->io.armed & REACTOR_WRITE) != 0 ||
        !list_empty(&sender->flush.node))
        return;
    list_push(&loop->flushing, &sender->flush.node);
    if (loop->embedded)
        aloop__touch(loop);
}

/* The writing half. */

NOINLINE static struct aloop__sender *new_sender(aloop_stream *stream)
{
    struct aloop__sender *sender =
        aloop__slab_get(&stream->handle.loop->slab, sizeof *sender);

    if (sender == NULL)
        return NULL;
    sender->stream = stream;
    list_init(&sender->flush.node);
    sender->flush.run = stream_flush_due;
    list_init(&sender->pieces);
    list_init(&sender->waits);
    sender->low = WATER_LOW;
    sender->high = WATER_HIGH;
    sender->has_auto_pause = true;
    stream->sender = sender;
    return sender;
}

struct aloop__sender *aloop__stream_sender(aloop_stream *stream)
{
    return stream->sender != NULL ? stream->sender : new_sender(stream);
}

/* The public functions. */

/* Returns why nothing can be written, or 0.  Creates the writing half. */
static int prepare_writing(aloop_stream *stream)
{
    struct aloop__sender *sender;

    if (stream->write_error != 0)
        return stream->write_error;
    sender = aloop__stream_sender(stream);
    if (sender == NULL)
        return ALOOP_ENOMEM;
    if (sender->is_shut)
        return ALOOP_EPIPE;
    return aloop__stream_claim(stream);
}

void aloop__stream_own(struct aloop__sender *sender)
{
    aloop_stream *stream = sender->stream;

    if (aloop__pieces_own(sender))
        return;
    aloop__stream_fail_writing(stream, ALOOP_ENOMEM);
    if (stream->handle.closed)
        aloop__stream_ops_of(stream)->sent(stream);
}

/* Counts bytes that were queued, and schedules a flush. */
static void queued_more(struct aloop__sender *sender, size_t size)
{
    sender->queued += size;
    aloop__stream_pause_if_due(sender);
    flush_later(sender);
}

int aloop_stream_put(aloop_stream *stream, const void *data, size_t size)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    if ((data == NULL && size > 0) ||
        size > PTRDIFF_MAX - sizeof(struct aloop__piece))
        return ALOOP_EINVAL;
    error = prepare_writing(stream);
    if (error == 0 && size > 0)
        error = aloop__pieces_put(stream->sender, data, size);
    if (error < 0)
        return error;
    queued_more(stream->sender, size);
    return stream->sender->queued > stream->sender->high;
}

void aloop__stream_cut_short(aloop_stream *stream)
{
    if (stream->handle.loop->ending && stream->write_error == 0)
        aloop__stream_fail_writing(stream, ALOOP_EPIPE);
}

static void write_cancel(aloop_future *future)
{
    struct write *write = CONTAINER_OF(future, struct write, future);
    struct aloop__sender *sender = write->sender;
    aloop_stream *stream = sender->stream;
    bool is_torn = write->piece.size < write->size;

    sender->queued -= write->piece.size;
    list_remove(&write->piece.node);
    aloop__future_settle(future, ALOOP_ECANCELED);
    if (is_torn) /* The peer must not see a gap. */
        aloop__stream_fail_writing(stream, ALOOP_EPIPE);
    aloop__stream_cut_short(stream);
    if (list_empty(&sender->pieces))
        aloop__stream_unwant(stream, REACTOR_WRITE);
    aloop__stream_queue_changed(sender);
    flush_later(sender); /* A shutdown or a close may be due. */
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
    error = prepare_writing(stream);
    if (error < 0)
        return aloop__future_failed(stream->handle.loop, error);
    if (size == 0)
        return aloop_future_new_settled(stream->handle.loop, 0);
    write = aloop__future_new(stream->handle.loop, &write_ops);
    if (write == NULL)
        return NULL;
    write->sender = stream->sender;
    write->size = size;
    list_init(&write->piece.node);
    write->piece.data = data;
    write->piece.size = size;
    write->piece.kind = PIECE_WRITE;
    list_push(&write->sender->pieces, &write->piece.node);
    queued_more(write->sender, size);
    return &write->future;
}

/* Returns the future of a drain or a shutdown. */
static aloop_future *wait_until_sent(aloop_stream *stream, bool is_shutdown,
                                     const char *function)
{
    int error = aloop__check_handle(stream, function);
    struct aloop__sender *sender;
    struct stream_wait *wait;

    if (error < 0)
        return aloop__future_refused(error);
    error = stream->write_error;
    if (error == 0 && is_shutdown)
        error = aloop__stream_claim(stream);
    if (error < 0)
        return aloop__future_failed(stream->handle.loop, error);
    sender = stream->sender;
    if (sender == NULL && is_shutdown)
        sender = aloop__stream_sender(stream);
    if (sender == NULL && is_shutdown)
        return NULL;
    if (sender == NULL ||
        (is_shutdown ? sender->has_shut : sender->queued <= sender->low))
        return aloop_future_new_settled(stream->handle.loop, 0);
    wait = aloop__future_new(stream->handle.loop, &stream_wait_ops);
    if (wait == NULL)
        return NULL;
    list_init(&wait->node);
    list_push(&sender->waits, &wait->node);
    wait->is_shutdown = is_shutdown;
    sender->is_shut = sender->is_shut || is_shutdown;
    flush_later(sender);
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
