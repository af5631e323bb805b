/* The carrier of a stream with filters: what the core of streams calls.
 *
 * It receives from the top layer and sends to it, but only while the driver
 * runs.  Elsewhere the answer is ALOOP_EAGAIN, and the driver is queued.  The
 * core needs no rule for that: as after a full socket, it keeps the bytes in
 * its queue, or the reader pending.  The driver then calls the core, and so
 * these functions again, on the stack of the loop. */

#include <string.h>

#include "loop/buffers.h"
#include "loop/future.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/filters.h"

/* Pieces are joined up to this size, which is that of a record of TLS.  Joining
 * larger ones would only copy their bytes. */
enum { JOIN_MAX = 16 * 1024 };
enum { OFFERS_MAX = 64 }; /* Of the same bytes, with pulls in between. */

/* Returns whether no layer has anything left for the reader.  The driver reads
 * each layer after it has fed it, so that the result of the last read, which
 * `is_dry` records, describes the layer. */
static bool is_drained(const struct aloop__filters *filters)
{
    const struct aloop__layer *layer;

    for (layer = filters->top; layer != NULL; layer = layer->below)
        if (layer->in.held != NULL || !layer->is_dry)
            return false;
    return true;
}

/* The layer may have room for held bytes after each read, and give more.  They
 * are offered when it has nothing left, and it is read again if it took some.
 * filters->moved counts both, so that the loop ends when neither happens.
 *
 * Bytes come before what ends them: first those of the layer, then its end or
 * its error, and an error of the descriptor only when no layer has anything
 * left.  The reader would otherwise lose bytes that arrived before a reset. */
ssize_t aloop__filters_read_rest(struct aloop__filters *filters, char *buffer,
                                 size_t size, ssize_t n)
{
    struct aloop__layer *top = filters->top;
    size_t done = n > 0 ? (size_t) n : 0, moved = filters->moved;

    while (done < size) {
        if (n == ALOOP_EAGAIN)
            aloop__layer_offer_in(filters, top);
        if ((n <= 0 && (n != ALOOP_EAGAIN || moved == filters->moved)) ||
            top->has_failed)
            break;
        moved = filters->moved;
        n = aloop__layer_read(filters, top, buffer + done, size - done);
        if (n > 0)
            done += (size_t) n;
        if (n > 0 && top->in.held == NULL && aloop__layer_ask_idle(top))
            break;
    }
    if (done > 0)
        return (ssize_t) done;
    if (top->has_read_end)
        return 0;
    if (top->has_failed)
        return filters->error;
    if (n == ALOOP_EAGAIN && filters->receive_error != 0 && is_drained(filters))
        return filters->receive_error;
    return n;
}

static ssize_t filter_receive(aloop_stream *stream, void *buffer, size_t size)
{
    struct aloop__filters *filters = aloop__filters_of(stream);

    if (filters->error != 0)
        return filters->error;
    if (!filters->is_driving || !filters->top->is_ready) {
        aloop__filters_drive_later(filters);
        return ALOOP_EAGAIN;
    }
    if (filters->top->has_read_end)
        return 0;
    return aloop__filters_read(filters, buffer, size);
}

/* Counts how many of the first `size` bytes are replies.  If none are queued,
 * they are those that on_data has lent.
 *
 * The bytes leave the queue of the core when the layers take them, but on_data
 * must stay paused until they are sent.  filters->replies remembers them until
 * queue_bytes() (filter_wire.c) counts them among the bytes that they became.
 * */
static size_t count_replies(const struct aloop__sender *sender, size_t size)
{
    struct aloop__node *node = sender->pieces.next;
    size_t replies = 0;

    if (list_is_empty(&sender->pieces))
        return size;
    for (; size > 0 && node != &sender->pieces; node = node->next) {
        const struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);
        size_t part = piece->size < size ? piece->size : size;

        replies += piece->replies < part ? piece->replies : part;
        size -= part;
    }
    return replies;
}

/* Continues an offer of which `done` bytes were taken, and returns how many are
 * taken in all.  When the layer refuses bytes, pulling may make room for them.
 * It may also find that sending has failed, which frees the bytes if they were
 * put.  serve_message() (filter_event.c) takes no memory for a pull before one
 * is needed.  OFFERS_MAX limits a filter that takes a few bytes in each call;
 * the rest stays queued for the next run. */
static NOINLINE size_t offer_rest(struct aloop__filters *filters,
                                  const char *data, size_t size, size_t done)
{
    struct aloop__layer *top = filters->top;
    size_t moved = filters->moved - done;

    for (int i = 1; i <= OFFERS_MAX; i++) {
        if (!top->has_failed &&
            (filters->scratch != NULL || aloop__filters_take_scratch(filters)))
            aloop__filters_pull(filters, top);
        if (moved == filters->moved || filters->error != 0 ||
            filters->stream->write_error != 0)
            break;
        moved = filters->moved;
        done += aloop__layer_write(filters, top, data + done, size - done);
        if (done == size)
            break;
    }
    return done;
}

/* Returns how many bytes the top layer takes. */
static inline size_t offer(struct aloop__filters *filters, const char *data,
                           size_t size)
{
    size_t done;

    filters->wire.is_offering = true;
    done = aloop__layer_write(filters, filters->top, data, size);
    if (done < size)
        done = offer_rest(filters, data, size, done);
    filters->wire.is_offering = false;
    return done;
}

/* Offers the first piece, joined with those after it as far as JOIN_MAX allows,
 * because a call of write may be expensive.  Sets *ret_count to the number of
 * pieces and *ret_size to their bytes.  Out of memory they are not joined. */
static size_t offer_some(struct aloop__filters *filters,
                         const struct sys_piece *pieces, size_t count,
                         size_t *ret_count, size_t *ret_size)
{
    aloop *loop = filters->stream->handle.loop;
    size_t size = pieces[0].size, n = 1, room, done;
    char *joined = NULL;

    while (size < JOIN_MAX && n < count && pieces[n].size <= JOIN_MAX - size)
        size += pieces[n++].size;
    room = size;
    if (n > 1)
        joined = aloop__buffer_get(loop, &room);
    if (joined == NULL) {
        *ret_count = 1;
        *ret_size = pieces[0].size;
        return offer(filters, pieces[0].data, pieces[0].size);
    }
    size = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(joined + size, pieces[i].data, pieces[i].size);
        size += pieces[i].size;
    }
    done = offer(filters, joined, size);
    aloop__buffer_put(loop, joined, room);
    *ret_count = n;
    *ret_size = size;
    return done;
}

/* Returns whether the top layer may be offered something now.  If not, the
 * result of a send is *ret, and the driver will call the core again. */
static inline bool may_offer(struct aloop__filters *filters, ssize_t *ret)
{
    *ret = filters->error;
    if (filters->error != 0)
        return false;
    *ret = ALOOP_EAGAIN;
    if (filters->is_driving && filters->top->is_ready && !filters->has_forked)
        return true;
    aloop__filters_drive_later(filters);
    return false;
}

/* Returns the result of a send of which `done` bytes were taken.  If sending
 * has failed meanwhile, the bytes are freed, and those that were taken must not
 * be counted.
 *
 * `is_filling` lasts until the driver has pulled.  In between the bytes are in
 * neither of the two queues, and a drain would settle too early. */
static ssize_t offered(struct aloop__filters *filters, size_t done)
{
    const aloop_stream *stream = filters->stream;

    if (stream->write_error != 0)
        return stream->write_error;
    filters->replies += count_replies(stream->sender, done);
    filters->wire.is_filling = true;
    if (done > 0)
        return (ssize_t) done;
    return filters->error != 0 ? filters->error : ALOOP_EAGAIN;
}

/* All pieces are offered before the driver pulls. */
static ssize_t filter_send_pieces(aloop_stream *stream,
                                  const struct sys_piece *pieces, size_t count)
{
    struct aloop__filters *filters = aloop__filters_of(stream);
    size_t done = 0, taken = 0, size = 0, n;
    ssize_t result;

    if (!may_offer(filters, &result))
        return result;
    for (size_t i = 0; i < count && taken == size && stream->write_error == 0;
         i += n) {
        taken = offer_some(filters, pieces + i, count - i, &n, &size);
        done += taken;
    }
    return offered(filters, done);
}

static ssize_t filter_send(aloop_stream *stream, const void *data, size_t size)
{
    struct aloop__filters *filters = aloop__filters_of(stream);
    ssize_t result;

    return may_offer(filters, &result)
               ? offered(filters, offer(filters, data, size))
               : result;
}

/* The driver watches the descriptor when it ends.  It may have bytes of the
 * layers for a reader that begins now.  `bits` are not recorded: what has to be
 * watched depends on the layers, and watch_again() (filter_driver.c) decides it
 * by the state of the reader and the writer.  A hang-up concerns only the
 * descriptor. */
static int filter_watch(aloop_stream *stream, unsigned bits)
{
    struct aloop__filters *filters = aloop__filters_of(stream);
    unsigned armed = stream->io.armed;

    aloop__filters_drive_later(filters);
    if (((bits ^ armed) & REACTOR_HANGUP) == 0)
        return 0;
    return filters->inner->watch(stream, armed ^ REACTOR_HANGUP);
}

/* The end goes through the layers like a byte: each of them may add a last
 * message.  The answer is always ALOOP_EAGAIN, because shut_inner()
 * (filter_wire.c) notes when the descriptor is shut. */
static int filter_shut(aloop_stream *stream)
{
    struct aloop__filters *filters = aloop__filters_of(stream);

    filters->top->out.is_ending = true;
    aloop__filters_drive_later(filters);
    return ALOOP_EAGAIN;
}

/* These act on the descriptor, of which the filters know nothing. */

static int filter_error(aloop_stream *stream)
{
    return aloop__filters_of(stream)->inner->error(stream);
}

static int filter_reset(aloop_stream *stream)
{
    return aloop__filters_of(stream)->inner->reset(stream);
}

static void filter_close(aloop_stream *stream, int fd)
{
    aloop__filters_of(stream)->inner->close(stream, fd);
}

/* The layers have taken the last byte of the write, but may still hold it.
 * aloop__wire_mark() queues its piece behind the bytes that it became. */
static void filter_taken(aloop_stream *stream, struct aloop__write *write)
{
    list_push(&aloop__filters_of(stream)->taken, &write->piece.node);
}

/* Writes that were taken have left the queue of the core, so that dropping it
 * has not settled them.  What the layers gave before an error is still sent.
 * All other errors are those of the descriptor. */
static void filter_failed(aloop_stream *stream, int error)
{
    struct aloop__filters *filters = aloop__filters_of(stream);

    filters->is_resting = false;
    while (!list_is_empty(&filters->taken)) {
        struct aloop__piece *piece =
            CONTAINER_OF(filters->taken.next, struct aloop__piece, node);

        list_remove(&piece->node);
        aloop__future_settle(
            &CONTAINER_OF(piece, struct aloop__write, piece)->future, error);
    }
    if (filters->is_breaking)
        return;
    filters->is_mute = true;
    aloop__wire_drop(filters, error);
}

/* The child has dropped what was queued, which stream_fork() (stream.c) does by
 * a failure.  That has set `is_mute`, but the child may write bytes of its own.
 * Whether the descriptor has room is unknown, so that the next send tries it.
 * */
static void filter_fork(aloop_stream *stream)
{
    struct aloop__filters *filters = aloop__filters_of(stream);

    filters->is_mute = stream->write_error != 0 || stream->sender->has_shut;
    filters->can_send = true;
    filters->has_forked = true;
    if (filters->inner->fork != NULL)
        filters->inner->fork(stream);
}

const struct aloop__carrier aloop__carrier_filter = {
    .name = "filter",
    .receive = filter_receive,
    .send = filter_send,
    .send_pieces = filter_send_pieces,
    .watch = filter_watch,
    .shut = filter_shut,
    .error = filter_error,
    .reset = filter_reset,
    .close = filter_close,
    .fork = filter_fork,
    .is_shut_later = true,
    .has_input = true,
    .taken = filter_taken,
    .failed = filter_failed,
};
