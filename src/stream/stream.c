/* Streams: a descriptor's life from connected to closed.
 *
 * After a close that still has bytes to send the object lives on ("lingers"),
 * without callbacks, until they are gone, the connection breaks, or the peer
 * took nothing for linger_ns. */

#include "loop/buffers.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "loop/timed.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/stream.h"

#include <string.h>

#include "aloop/tcp.h"

enum {
    WATER_LOW = 16 * 1024,
    WATER_HIGH = 64 * 1024,
    ADDRESS_TEXT_MAX = 128,
    DISCARDS_MAX = 64 /* Receives before a close. */
};
static const int64_t linger_ns = ALOOP_SEC(30);

struct aloop__linger {
    struct aloop__timed timed;
    aloop_stream *stream;
};

static void end_stream(aloop_stream *stream);
static void stream_close(struct aloop__handle *handle);
static void stream_fork(struct aloop__handle *handle);

static const struct aloop__handle_ops stream_ops = {
    .name = "stream",
    .size = sizeof(aloop_stream),
    .close = stream_close,
    .fork = stream_fork};

/* The user's part of a close: no callback from now on, readers are told. */
static void begin_close(aloop_stream *stream)
{
    aloop__forward_end(stream->forward_from);
    aloop__forward_end(stream->forward_to);
    aloop__stream_stop_reading(stream);
    stream->handle.closed = true;
}

/* In a forked child: what was queued, and an end that was asked for, is left to
 * the parent. */
static void stream_fork(struct aloop__handle *handle)
{
    aloop_stream *stream = CONTAINER_OF(handle, aloop_stream, handle);
    int error = stream->write_error;

    aloop__stream_fail_writing(stream, ALOOP_EPIPE);
    stream->write_error = error;
    stream->has_shut = stream->is_shut;
}

int aloop__stream_want(aloop_stream *stream, unsigned bits)
{
    return aloop__io_arm(stream->handle.loop, &stream->io,
                         stream->io.armed | bits);
}

void aloop__stream_unwant(aloop_stream *stream, unsigned bits)
{
    /* A failure leaves useless events, which lead here again. */
    aloop__io_arm(stream->handle.loop, &stream->io,
                  stream->io.armed & ~bits);
}

int aloop__stream_error(aloop_stream *stream)
{
    int error = sys_socket_error(stream->io.fd);

    if (error == 0)
        error = ALOOP_ENOTCONN; /* Another call has taken it. */
    return aloop__io_failed(&stream->io, error);
}

/* The descriptor is broken and nobody reads: whoever waits is told why. */
static void stream_failed(aloop_stream *stream)
{
    int error = stream->io.fd < 0 ? ALOOP_EBADF : aloop__stream_error(stream);

    aloop__stream_unwant(stream, REACTOR_READ | REACTOR_WRITE);
    aloop__stream_fail_writing(stream, error);
    if (stream->io.fd < 0)
        aloop__stream_fail_reading(stream, error);
    if (stream->handle.closed)
        end_stream(stream);
}

static void stream_ready(struct aloop__io *io, unsigned bits)
{
    aloop_stream *stream = CONTAINER_OF(io, aloop_stream, io);

    if (io->fd < 0 || (bits == REACTOR_ERROR && io->armed == REACTOR_WRITE)) {
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

int aloop__stream_new(aloop *loop, int fd, aloop_stream **ret)
{
    aloop_stream *stream = aloop__handle_new(loop, &stream_ops);
    int error = ALOOP_ENOMEM;

    if (stream != NULL)
        error = aloop__io_open(loop, &stream->io, fd, stream_ready);
    if (error < 0) {
        sys_reset_on_close(fd); /* The peer must not take it for an end. */
        sys_close(fd);
        if (stream != NULL)
            aloop__handle_closed(&stream->handle);
        return error;
    }
    list_init(&stream->flush.node);
    stream->flush.run = aloop__stream_run_flush;
    list_init(&stream->deliver.node);
    stream->deliver.run = aloop__stream_deliver;
    list_init(&stream->reads);
    list_init(&stream->pieces);
    list_init(&stream->waits);
    stream->low = WATER_LOW;
    stream->high = WATER_HIGH;
    stream->has_auto_pause = true;
    *ret = stream;
    return 0;
}

static void drop_linger(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    if (stream->linger == NULL)
        return;
    loop->lingering--;
    aloop__timed_clear(loop, &stream->linger->timed);
    aloop__slab_put(&loop->slab, stream->linger, sizeof *stream->linger);
    stream->linger = NULL;
}

/* Somebody closed the descriptor: the number may be another's by now. */
static bool has_lost_descriptor(const aloop_stream *stream)
{
    return stream->read_error == ALOOP_EBADF ||
           stream->write_error == ALOOP_EBADF;
}

/* Nothing is left of it after this turn. */
static void end_stream(aloop_stream *stream)
{
    bool is_ours = !has_lost_descriptor(stream);
    int fd;

    drop_linger(stream);
    aloop__stream_fail_writing(stream, ALOOP_ECANCELED);
    list_remove(&stream->flush.node);
    list_remove(&stream->deliver.node);
    fd = aloop__io_close(stream->handle.loop, &stream->io);
    if (fd >= 0 && is_ours)
        sys_close(fd);
    aloop__handle_closed(&stream->handle);
}

static void reset_stream(aloop_stream *stream)
{
    if (stream->io.fd >= 0 && !has_lost_descriptor(stream) &&
        aloop__stream_is_ours(stream))
        sys_reset_on_close(stream->io.fd);
    end_stream(stream);
}

static void linger_due(struct aloop__timed *timed)
{
    reset_stream(CONTAINER_OF(timed, struct aloop__linger, timed)->stream);
}

static int start_linger(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    return aloop__timed_set(loop, &stream->linger->timed,
                            aloop__after(aloop__now(loop), linger_ns));
}

/* Closing a socket that has unread bytes resets the connection, and a reset may
 * destroy what we sent and the peer has not read (RFC 9293, 3.6.1; RFC 2525,
 * 2.17): what has come is read, within bounds, and forgotten. */
static void discard_unread(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    size_t size = BUFFER_SMALL;
    ssize_t n = (ssize_t) size;
    void *buffer;

    if (stream->has_ended || stream->read_error != 0 ||
        stream->write_error != 0 || stream->io.fd < 0)
        return;
    /* Not the receive buffer: an on_data may be reading that just now. */
    buffer = aloop__buffer_get(loop, &size);
    if (buffer == NULL)
        return;
    for (int i = 0; i < DISCARDS_MAX && n == (ssize_t) size; i++)
        n = sys_recv(stream->io.fd, buffer, size);
    aloop__buffer_put(loop, buffer, size);
}

static void end_in_peace(aloop_stream *stream)
{
    if (!aloop__stream_is_ours(stream)) {
        end_stream(stream); /* The parent goes on with it. */
        return;
    }
    if (stream->write_error != 0) {
        reset_stream(stream); /* The peer must not take a part for the whole. */
        return;
    }
    discard_unread(stream);
    end_stream(stream);
}

/* As the loop's end: immediately.  What was not sent never will be, and the
 * peer must not take the rest for the whole. */
static void stream_close(struct aloop__handle *handle)
{
    aloop_stream *stream = CONTAINER_OF(handle, aloop_stream, handle);

    if (!handle->closed)
        begin_close(stream);
    if (stream->queued > 0)
        reset_stream(stream);
    else
        end_in_peace(stream);
}

void aloop__stream_progress(aloop_stream *stream)
{
    if (list_empty(&stream->pieces) && list_empty(&stream->waits))
        end_in_peace(stream);
    else if (stream->linger != NULL)
        start_linger(stream);
}

/* Stays for as long as it has something to send, within bounds. */
static void begin_linger(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    aloop__stream_unwant(stream, REACTOR_READ);
    stream->linger = aloop__slab_get(&loop->slab, sizeof *stream->linger);
    if (stream->linger == NULL) {
        reset_stream(stream); /* Without memory there is no bound to keep. */
        return;
    }
    loop->lingering++;
    aloop__timed_init(&stream->linger->timed, linger_due);
    stream->linger->stream = stream;
    if (start_linger(stream) < 0)
        reset_stream(stream);
}

void aloop_stream_close(aloop_stream *stream)
{
    if (stream == NULL || aloop__check_handle(stream, __func__) < 0)
        return;
    begin_close(stream);
    if (!aloop__stream_is_ours(stream) ||
        (list_empty(&stream->pieces) && list_empty(&stream->waits)))
        end_in_peace(stream);
    else
        begin_linger(stream);
}

void aloop_stream_abort(aloop_stream *stream)
{
    if (stream == NULL || aloop__check_handle(stream, __func__) < 0)
        return;
    begin_close(stream);
    reset_stream(stream);
}

size_t aloop_stream_queued(const aloop_stream *stream)
{
    return aloop__check_handle(stream, __func__) < 0 ? 0 : stream->queued;
}

/* As if all that is queued had been put just now. */
static void renew_pause(aloop_stream *stream)
{
    stream->is_paused = false;
    aloop__stream_pause_if_due(stream);
    aloop__stream_resume(stream);
}

int aloop_stream_set_watermarks(aloop_stream *stream, size_t low, size_t high)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    if (low > high || (low == high && high != 0))
        return ALOOP_EINVAL;
    stream->low = low;
    stream->high = high;
    renew_pause(stream);
    aloop__stream_queue_changed(stream);
    return 0;
}

int aloop_stream_set_auto_pause(aloop_stream *stream, bool on)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    stream->has_auto_pause = on;
    renew_pause(stream);
    return 0;
}

int aloop_stream_fd(const aloop_stream *stream)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    return stream->io.fd >= 0 ? stream->io.fd : ALOOP_EBADF;
}

/* A system has no address for a connection that is gone, and says ENOTCONN or,
 * some of them, EINVAL: which is not what has happened to it. */
static int address_error(const aloop_stream *stream, int error)
{
    bool is_gone = error == ALOOP_ENOTCONN || error == ALOOP_EINVAL;

    if (is_gone && stream->io.error != 0)
        return stream->io.error;
    if (is_gone && !(stream->has_shut && stream->has_ended))
        return ALOOP_ECONNRESET;
    return error;
}

static int address_text(const aloop_stream *stream, char *text, size_t size,
                        int (*ask)(int fd, struct sys_address *ret),
                        const char *function)
{
    int length = aloop__check_handle(stream, function);
    struct sys_address address;
    char whole[ADDRESS_TEXT_MAX];

    if (length < 0 || text == NULL)
        return length < 0 ? length : ALOOP_EINVAL;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    length = ask(stream->io.fd, &address);
    if (length < 0)
        return address_error(stream, length);
    if (length == 0)
        length = sys_address_format(&address, whole, sizeof whole);
    if (length >= 0 && (size_t) length >= size)
        return ALOOP_ENOSPC;
    if (length >= 0)
        memcpy(text, whole, (size_t) length + 1);
    return length;
}

int aloop_stream_peer(const aloop_stream *stream, char *text, size_t size)
{
    return address_text(stream, text, size, sys_peer_address, __func__);
}

int aloop_stream_local(const aloop_stream *stream, char *text, size_t size)
{
    return address_text(stream, text, size, sys_local_address, __func__);
}

void aloop_stream_ref(aloop_stream *stream)
{
    if (stream != NULL && aloop__check_handle(stream, __func__) == 0)
        aloop__handle_set_referenced(&stream->handle, true);
}

void aloop_stream_unref(aloop_stream *stream)
{
    if (stream != NULL && aloop__check_handle(stream, __func__) == 0)
        aloop__handle_set_referenced(&stream->handle, false);
}

int aloop_tcp_set_nodelay(aloop_stream *stream, bool on)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    return sys_no_delay(stream->io.fd, on);
}
