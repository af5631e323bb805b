/* The end of streams: closing, lingering, and the last bytes.
 *
 *     open --close, bytes are queued--> lingering --sent, broken, or 30 s
 *      |                                    |       without progress
 *      |                                    v
 *      +--close, abort, aloop_free()----> ended --end of the turn--> freed
 *
 * A stream that is closed while bytes are queued lives on ("lingers") without
 * callbacks.  It ends when the bytes are sent, when the connection breaks, or
 * when the peer has accepted nothing for linger_ns, or for the time that
 * aloop_stream_set_linger() has set.
 *
 * The peer must never mistake a part of what was written for the whole.
 * Therefore a stream that drops bytes ends with a reset, as one that is aborted
 * does.  Any other ends with the end of the stream (end_orderly()).
 *
 * An ended stream keeps its memory until the end of the turn, so that the code
 * that was using it can return.  Its watcher then has no descriptor and is not
 * armed. */

#include "loop/buffers.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/timed.h"
#include "os/reactor.h"
#include "stream/filters.h"
#include "stream/stream.h"
#include "stream/unwatched.h"

enum { DROPS_MAX = 64 }; /* Receives before a close. */
static const int64_t linger_ns = ALOOP_SEC(30);
static const int64_t drain_ns = ALOOP_SEC(5); /* As long as nginx waits. */

/* Only a stream that lingers, or whose time was set, has one, because few
 * streams do. */
struct aloop__linger {
    struct aloop__timed timed;
    aloop_stream *stream;
    int64_t limit_ns;
    bool is_lingering; /* Counted in loop->lingering. */
};

static void end_orderly(aloop_stream *stream);
static void stream_draining(struct aloop__io *io, unsigned bits);

/* The part of a close that concerns the application: no callback runs from now
 * on, and reads are cancelled.  What on_data has put before it closed its own
 * stream is queued first, because it has to be sent. */
static void begin_close(aloop_stream *stream)
{
    aloop__stream_queue_lent(stream);
    aloop__forward_end(aloop__stream_forward_from(stream));
    if (stream->sender != NULL)
        aloop__forward_end(stream->sender->forward_to);
    aloop__stream_stop(stream);
    aloop__stream_end_reads(stream);
    aloop__handle_closing(&stream->handle);
}

/* Ends lingering, if the stream lingers, and frees its time.  The loop counts
 * lingering streams, because aloop_run() does not return before they have
 * ended. */
static void end_linger(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = stream->sender;

    if (sender == NULL || sender->linger == NULL)
        return;
    loop->lingering -= sender->linger->is_lingering;
    aloop__timed_clear(loop, &sender->linger->timed);
    aloop__slab_put(&loop->slab, sender->linger, sizeof *sender->linger);
    sender->linger = NULL;
}

/* Ends what the stream does.  Writes that are pending are cancelled.  Returns
 * the descriptor, which is open and no longer watched, or -1. */
static int take_descriptor(aloop_stream *stream)
{
    end_linger(stream);
    aloop__stream_fail_writing(stream, ALOOP_ECANCELED);
    if (stream->sender != NULL) {
        list_remove(&stream->sender->flush.node);
        list_remove(&stream->sender->deliver.node);
    }
    return aloop__io_close(stream->handle.loop, &stream->io);
}

void aloop__stream_end(aloop_stream *stream)
{
    bool is_lost = aloop__stream_is_lost(stream);
    int fd = take_descriptor(stream);

    stream->carrier->close(stream, is_lost ? -1 : fd);
    aloop__handle_closed(&stream->handle);
}

int aloop__stream_release(aloop_stream *stream)
{
    int fd;

    begin_close(stream);
    fd = take_descriptor(stream);
    stream->carrier->close(stream, -1);
    aloop__handle_closed(&stream->handle);
    return fd;
}

/* Ends the stream with a reset.  In a forked child the connection belongs to
 * the parent and is not reset. */
static void reset_stream(aloop_stream *stream)
{
    if (stream->io.fd >= 0 && !aloop__stream_is_lost(stream) &&
        aloop__stream_is_ours(stream))
        stream->carrier->reset(stream);
    aloop__stream_end(stream);
}

/* timed->fire: the peer has accepted nothing for linger_ns, or has accepted
 * everything and not ended for drain_ns. */
static void linger_due(struct aloop__timed *timed)
{
    aloop_stream *stream =
        CONTAINER_OF(timed, struct aloop__linger, timed)->stream;

    if (stream->io.on_ready == stream_draining)
        end_orderly(stream);
    else
        reset_stream(stream);
}

/* Starts or restarts the linger timeout.  Restarting cannot fail, because the
 * timer is in the heap. */
static int start_linger(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    return aloop__timed_set(
        loop, &stream->sender->linger->timed,
        aloop__after(aloop__now(loop), stream->sender->linger->limit_ns));
}

/* Closing a socket with unread bytes sends a reset.  A reset may destroy bytes
 * that we sent and the peer has not read (RFC 9293, 3.6.1; RFC 2525, 2.17).
 * Therefore received bytes are read, within bounds, and dropped. */
static void drop_unread(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    size_t size = BUFFER_SMALL;
    ssize_t n = (ssize_t) size;
    void *buffer;

    if (stream->has_ended || stream->read_error != 0 ||
        stream->write_error != 0 || stream->io.fd < 0 ||
        !stream->carrier->is_unread_dropped)
        return;
    /* Not the receive buffer, because an on_data may be using it. */
    buffer = aloop__buffer_get(loop, &size);
    if (buffer == NULL)
        return;
    for (int i = 0; i < DROPS_MAX && n == (ssize_t) size; i++)
        n = stream->carrier->receive(stream, buffer, size);
    aloop__buffer_put(loop, buffer, size);
}

/* Ends a stream that has no more bytes to send, with the end of the stream
 * instead of a reset if nothing was lost. */
static void end_orderly(aloop_stream *stream)
{
    if (!aloop__stream_is_ours(stream)) {
        aloop__stream_end(
            stream); /* The parent continues to use the connection. */
        return;
    }
    if (stream->write_error != 0) {
        /* The peer must not mistake a part for the whole. */
        reset_stream(stream);
        return;
    }
    drop_unread(stream);
    aloop__stream_end(stream);
}

/* io->on_ready of a closed stream that had filters and has sent everything.  A
 * reset would destroy what the peer has not read yet, so that all input is
 * dropped until the peer ends. */
static void stream_draining(struct aloop__io *io, unsigned bits)
{
    aloop_stream *stream = CONTAINER_OF(io, aloop_stream, io);
    aloop *loop = stream->handle.loop;
    size_t size = BUFFER_LARGE;
    ssize_t n = (ssize_t) size;
    void *buffer = aloop__buffer_get(loop, &size);

    (void) bits;
    for (int i = 0; buffer != NULL && io->fd >= 0 && n > 0 && i < 4; i++)
        n = stream->carrier->receive(stream, buffer, size);
    if (buffer != NULL)
        aloop__buffer_put(loop, buffer, size);
    if (buffer == NULL || (n <= 0 && n != ALOOP_EAGAIN) || io->fd < 0)
        aloop__stream_end(stream);
}

/* Waits for the end of the peer, for at most drain_ns. */
static void begin_drain(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = stream->sender;
    int error = sender->has_shut ? 0 : stream->carrier->shut(stream);

    if (error == 0)
        error = aloop__timed_set(loop, &sender->linger->timed,
                                 aloop__after(aloop__now(loop), drain_ns));
    stream->io.on_ready = stream_draining;
    if (error == 0)
        error = stream->carrier->watch(stream, REACTOR_READ);
    if (error < 0)
        aloop__stream_end(stream);
}

/* ops->close, called by aloop_free(): closes immediately and drops unsent
 * bytes.  If there are any, the peer sees a reset, so that it does not mistake
 * the rest for the whole. */
void aloop__stream_close_handle(struct aloop__handle *handle)
{
    aloop_stream *stream = CONTAINER_OF(handle, aloop_stream, handle);

    if (!aloop__handle_is_ended(handle))
        begin_close(stream);
    if (aloop__stream_is_filtered(stream))
        aloop__filters_end(stream, false);
    if (stream->sender != NULL && stream->sender->queued > 0)
        reset_stream(stream);
    else
        end_orderly(stream);
}

/* ops->sent, called after each send of a closed stream: ends it if it has sent
 * everything, and restarts its linger timeout if it has not. */
void aloop__stream_sent(aloop_stream *stream)
{
    if (stream->io.on_ready == stream_draining)
        return;
    if (!aloop__stream_is_busy(stream) && stream->write_error == 0 &&
        stream->sender->is_dropping_input && stream->sender->linger != NULL)
        begin_drain(stream);
    else if (!aloop__stream_is_busy(stream))
        end_orderly(stream);
    else if (stream->sender->linger != NULL &&
             stream->sender->linger->is_lingering &&
             !aloop__sender_is_delayed(stream->sender))
        start_linger(stream);
}

/* Gives the writing half a linger, unless it has one.  Returns NULL if out of
 * memory. */
static struct aloop__linger *linger_of(struct aloop__sender *sender)
{
    aloop *loop = sender->stream->handle.loop;

    if (sender->linger == NULL)
        sender->linger = aloop__slab_get(&loop->slab, sizeof *sender->linger);
    else
        return sender->linger;
    if (sender->linger == NULL)
        return NULL;
    aloop__timed_init(&sender->linger->timed, linger_due);
    sender->linger->stream = sender->stream;
    sender->linger->limit_ns = linger_ns;
    return sender->linger;
}

/* Keeps a closed stream until its bytes are sent or its time has passed.
 * Nothing is received meanwhile.  A time of 0 is one for queued bytes; if only
 * a shutdown is left, it does not depend on the peer. */
static void begin_linger(aloop_stream *stream)
{
    struct aloop__linger *linger = linger_of(stream->sender);

    aloop__stream_unwant(stream, REACTOR_READ);
    if (linger == NULL) {
        reset_stream(stream); /* Without memory there is no timeout. */
        return;
    }
    stream->handle.loop->lingering++;
    linger->is_lingering = true;
    if (linger->limit_ns == 0 && stream->sender->queued == 0)
        linger->limit_ns = linger_ns;
    if (!aloop__stream_is_busy(stream))
        begin_drain(stream);
    else if (linger->limit_ns == 0 || start_linger(stream) < 0)
        reset_stream(stream);
}

int aloop_stream_set_linger(aloop_stream *stream, int64_t limit_ns)
{
    int error = aloop__check_handle(stream, __func__);
    struct aloop__sender *sender;
    struct aloop__linger *linger;

    if (error < 0 || limit_ns < 0)
        return error < 0 ? error : ALOOP_EINVAL;
    sender = aloop__sender_get(stream);
    linger = sender != NULL ? linger_of(sender) : NULL;
    if (linger == NULL)
        return ALOOP_ENOMEM;
    sender->is_kept = true;
    linger->limit_ns = limit_ns;
    return 0;
}

/* In a forked child that has not used the stream nothing is sent, because the
 * parent has the same bytes to send. */
void aloop_stream_close(aloop_stream *stream)
{
    if (stream == NULL || aloop__check_handle(stream, __func__) < 0)
        return;
    begin_close(stream);
    if (aloop__stream_is_filtered(stream))
        aloop__filters_end(stream, true);
    if (!aloop__stream_is_ours(stream) ||
        (!aloop__stream_is_busy(stream) &&
         (stream->sender == NULL || !stream->sender->is_dropping_input)))
        end_orderly(stream);
    else
        begin_linger(stream);
}

/* Queued bytes are dropped, and with them those that on_data has lent. */
void aloop_stream_abort(aloop_stream *stream)
{
    if (stream == NULL || aloop__check_handle(stream, __func__) < 0)
        return;
    begin_close(stream);
    if (aloop__stream_is_filtered(stream))
        aloop__filters_end(stream, false);
    reset_stream(stream);
}
