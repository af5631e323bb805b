/* Streams: their kind, how they begin, and what their events lead to.
 *
 * This file ties the halves of a stream together: an event of the descriptor
 * flushes the writing half (sender.c) and then reads (stream_start.c), and what
 * sending reports reaches reading and the close from here. */

#include <stdio.h>

#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/filters.h"
#include "stream/plain.h"
#include "stream/stream.h"

/* In a forked child, leaves the queued bytes and a requested shutdown to the
 * parent.  The child may write bytes of its own, so that this is no error of
 * the stream.
 *
 * Failing is the way to drop the bytes, because it settles everything that
 * waits for them.  The two fields that it sets are restored afterwards. */
static void stream_fork(struct aloop__handle *handle)
{
    aloop_stream *stream = CONTAINER_OF(handle, aloop_stream, handle);
    short error = stream->write_error;
    bool has_failed = stream->has_failed;

    if (aloop__stream_is_dispatching(stream))
        handle->loop->lent_size = handle->loop->lent_room = 0;
    aloop__stream_fail_writing(stream, ALOOP_EPIPE);
    stream->write_error = error;
    stream->has_failed = has_failed;
    if (stream->sender != NULL)
        stream->sender->has_shut = stream->sender->is_shut;
    if (stream->carrier->fork != NULL)
        stream->carrier->fork(stream);
}

/* The descriptor is broken and nothing reads, or it was closed outside the
 * loop's control.  Reports the error to everything that waits: writes, drains,
 * shutdowns and, in the second case, reads. */
static void stream_failed(aloop_stream *stream)
{
    int error = stream->io.fd < 0 ? ALOOP_EBADF : aloop__stream_error(stream);

    aloop__stream_unwant(stream, REACTOR_READ | REACTOR_WRITE);
    aloop__stream_fail_writing(stream, error);
    if (stream->io.fd < 0)
        aloop__stream_fail_reading(stream, error);
    if (aloop__handle_is_ended(&stream->handle))
        aloop__stream_end(stream);
}

/* Sending comes first: it may take the last bytes of a pause away, so that
 * reading continues.  It may also end the stream, and therefore what is watched
 * is read again after it.
 *
 * An error alone goes to a reader or a writer, whose next call finds out what
 * it is and what was received before it.  Only if there is neither a reader nor
 * bytes that can be sent, stream_failed() asks for it. */
static void serve_events(aloop_stream *stream, unsigned bits)
{
    const struct aloop__io *io = &stream->io;
    unsigned armed = io->armed & ~(unsigned) REACTOR_HANGUP;

    if (io->fd < 0 || (bits == REACTOR_ERROR && armed == REACTOR_WRITE)) {
        stream_failed(stream);
        return;
    }
    if ((bits & (REACTOR_WRITE | REACTOR_ERROR)) != 0 &&
        (io->armed & REACTOR_WRITE) != 0)
        aloop__stream_flush(stream);
    if ((bits & (REACTOR_READ | REACTOR_ERROR)) != 0 &&
        (io->armed & REACTOR_READ) != 0)
        aloop__stream_readable(stream);
}

/* A hang-up, which only forwards watch, is an error. */
static NOINLINE void serve_all(aloop_stream *stream, unsigned bits)
{
    serve_events(stream, (bits & REACTOR_HANGUP) == 0
                             ? bits
                             : (bits ^ REACTOR_HANGUP) | REACTOR_ERROR);
    if ((bits & (REACTOR_HANGUP | REACTOR_ERROR)) != 0)
        aloop__forward_hung_up(stream, bits);
}

/* Usually there is only input, and only input is wanted.  A watcher that has
 * lost its descriptor is not armed. */
static void stream_ready(struct aloop__io *io, unsigned bits)
{
    aloop_stream *stream = CONTAINER_OF(io, aloop_stream, io);

    if (bits != REACTOR_READ || io->armed != REACTOR_READ)
        serve_all(stream, bits);
    else if (aloop__stream_is_plain(stream))
        aloop__stream_serve_plain(stream);
    else
        aloop__stream_readable(stream);
}

/* ops->failed: ends the forward to the stream, which may wait only for its
 * source now.  In a forked child the forward is the parent's. */
static void stream_writing_failed(aloop_stream *stream, int error)
{
    stream->has_failed = true;
    if (stream->sender->forward_to != NULL && aloop__stream_is_ours(stream))
        aloop__forward_fail(stream->sender->forward_to, error);
}

/* ops->lost: a failure that dropped bytes of a put is reported by on_data,
 * except one that the peer caused: reading reports that anyway. */
static void stream_lost(aloop_stream *stream, int error)
{
    stream->has_failed = true;
    if (stream->on_data != NULL && !aloop__handle_is_ended(&stream->handle) &&
        error != ALOOP_EPIPE && error != ALOOP_ECONNRESET &&
        error != ALOOP_ETIMEDOUT)
        aloop__stream_fail_reading(stream, error);
}

/* handle->fini, at the end of the turn: code of sender.c may use the writing
 * half until then. */
static void stream_fini(struct aloop__handle *handle)
{
    const aloop_stream *stream = CONTAINER_OF(handle, aloop_stream, handle);

    if (stream->sender != NULL)
        aloop__slab_put(&handle->loop->slab, stream->sender,
                        sizeof *stream->sender);
}

/* ready->run of sender->deliver. */
static void stream_deliver_due(struct aloop__ready *ready)
{
    aloop__stream_deliver(
        CONTAINER_OF(ready, struct aloop__sender, deliver)->stream);
}

/* Returns whether on_data waits for nothing but the report of an end or an
 * error. */
static bool is_end_due(const struct aloop__handle *handle)
{
    const aloop_stream *stream =
        CONTAINER_OF(handle, const aloop_stream, handle);

    return handle->ops->fini == stream_fini && !stream->has_input &&
           aloop__stream_is_over(stream) && aloop__stream_wants_data(stream) &&
           aloop__stream_is_ours(stream);
}

/* ready->run of loop->ends: finds one stream that had no memory to be queued,
 * and returns in the next turn, because on_data may change the list. */
static void stream_end_due(struct aloop__ready *ready)
{
    aloop *loop = CONTAINER_OF(ready, aloop, stream_ends);
    struct aloop__node *node = loop->handles.next;

    while (node != &loop->handles &&
           !is_end_due(CONTAINER_OF(node, struct aloop__handle, node)))
        node = node->next;
    if (node == &loop->handles)
        return;
    aloop__ready_push(loop, ready);
    aloop__stream_deliver(CONTAINER_OF(
        CONTAINER_OF(node, struct aloop__handle, node), aloop_stream, handle));
}

/* ops->due.  A stream without a writing half gets one for its place in the
 * queue.  It has no input, so that without memory all streams can be searched
 * for those that have ended. */
static void stream_due(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = aloop__sender_get(stream);
    struct aloop__ready *ready = &loop->stream_ends;

    if (sender == NULL)
        sender = stream->sender;
    if (sender != NULL)
        ready = &sender->deliver;
    else if (ready->run == NULL)
        list_init(&ready->node);
    ready->run = sender != NULL ? stream_deliver_due : stream_end_due;
    if (list_is_empty(&ready->node))
        aloop__ready_push(loop, ready);
}

/* ops->unwound: what on_data has put is queued, so that aloop_free() finds it
 * and resets the connection. */
static void stream_unwound(struct aloop__handle *handle)
{
    aloop__stream_queue_lent(CONTAINER_OF(handle, aloop_stream, handle));
}

/* ops->describe: "tcp stream".  A stream that could not be made has no
 * carrier. */
static const char *stream_describe(const struct aloop__handle *handle)
{
    const aloop_stream *stream =
        CONTAINER_OF(handle, const aloop_stream, handle);
    static _Thread_local char text[32];

    if (stream->carrier == NULL)
        return handle->ops->name;
    snprintf(text, sizeof text, "%s stream", stream->carrier->name);
    return text;
}

/* ops->is_inside: the driver calls the functions of filters.  Between them it
 * only calls on_data, which may use the stream. */
static bool stream_is_inside(const struct aloop__handle *handle)
{
    const aloop_stream *stream =
        CONTAINER_OF(handle, const aloop_stream, handle);

    return aloop__stream_is_filtered(stream) &&
           aloop__filters_of(stream)->is_driving &&
           !aloop__stream_is_dispatching(stream);
}

/* The table by which src/loop and sender.c reach this file and
 * stream_close.c. */
static const struct aloop__stream_ops stream_ops = {
    .handle = {.name = "stream",
               .size = sizeof(aloop_stream),
               .close = aloop__stream_close_handle,
               .fork = stream_fork,
               .fini = stream_fini,
               .unwound = stream_unwound,
               .describe = stream_describe,
               .is_inside = stream_is_inside},
    .sent = aloop__stream_sent,
    .resumed = aloop__stream_resume,
    .due = stream_due,
    .failed = stream_writing_failed,
    .lost = stream_lost,
};

/* The descriptor stays the caller's after a failure.  The handle is then closed
 * without its operations, which would use the carrier that it does not have. */
int aloop__stream_make(aloop *loop, int fd,
                       const struct aloop__carrier *carrier, aloop_stream **ret)
{
    aloop_stream *stream = aloop__handle_new(loop, &stream_ops.handle);
    int error = ALOOP_ENOMEM;

    if (stream != NULL)
        error = aloop__io_open(loop, &stream->io, fd, stream_ready);
    if (error < 0) {
        if (stream != NULL)
            aloop__handle_closed(&stream->handle);
        return error;
    }
    stream->carrier = carrier;
    *ret = stream;
    return 0;
}

/* The peer must see a reset if there is no memory for the stream.  It could
 * take an end for the answer. */
int aloop__stream_new(aloop *loop, int fd, const struct aloop__carrier *carrier,
                      aloop_stream **ret)
{
    int error = aloop__stream_make(loop, fd, carrier, ret);

    if (error < 0) {
        aloop__sys_reset_on_close(fd);
        aloop__sys_close(fd);
    }
    return error;
}

int aloop_stream_fd(const aloop_stream *stream)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    return stream->io.fd >= 0 ? stream->io.fd : ALOOP_EBADF;
}

void aloop_stream_ref(aloop_stream *stream)
{
    aloop__handle_reference((struct aloop__handle *) stream, true, __func__);
}

void aloop_stream_unref(aloop_stream *stream)
{
    aloop__handle_reference((struct aloop__handle *) stream, false, __func__);
}
