/* Listeners of every kind, except how their descriptors are opened.
 *
 * The number of connections accepted per event adapts to the load.  The limit
 * doubles while more are pending, and falls to the number that was available
 * when there are no more.  Thus a low load causes no accept() that only returns
 * EAGAIN, and a burst is still accepted quickly.
 *
 * A connection is accepted only if there is a receiver for its stream: the
 * callback, or a future of aloop_listener_accept().  Without either it stays in
 * the backlog, so that a future that was cancelled loses no connection.  A
 * listener that accepts by futures is active while one is pending.
 *
 * A failed accept is one of three things, which judge() distinguishes:
 *
 *     no connection is pending     the event is over
 *     this connection is broken    the next one is accepted
 *     descriptors or memory are    accepting is suspended for back_off_ns,
 *     exhausted, or many accepts   because the pending connection would
 *     have failed in a row         cause events all the time */

#include <stdio.h>

#include "handle/address.h"
#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/report.h"
#include "os/reactor.h"
#include "stream/listener.h"
#include "stream/stream.h"

enum { DRAIN_MAX = 4096, BURST_MAX = 64, FAILURES_MAX = 8, ADDRESS_SIZE = 128 };
static const int64_t back_off_ns = ALOOP_MS(100);

/* A future of aloop_listener_accept(). */
struct accept {
    struct aloop__waiter waiter;
    aloop_stream **ret_stream;
};

/* Returns whether there is a receiver for the next stream.  Each accept asks
 * this before, because a stream without a receiver would have to be closed,
 * although it looks established to its peer. */
static bool has_receiver(const aloop_listener *listener)
{
    return (listener->on_stream != NULL && !listener->is_paused) ||
           listener->accepts.count > 0;
}

/* Called after a future was added to or removed from the queue.  A listener
 * that nothing waits for must not keep the loop alive. */
static void accepts_changed(aloop_listener *listener)
{
    aloop__handle_set_active(
        &listener->handle,
        listener->io.fd >= 0 &&
            (listener->on_stream != NULL || listener->accepts.count > 0));
}

/* ops->cancel.  No connection is lost: a future gets its stream in the call
 * that settles it, so that a pending one has none. */
static void accept_cancel(aloop_future *future)
{
    struct aloop__wait_queue *queue = aloop__waiter_of(future)->queue;

    aloop__waiter_cancel(future);
    accepts_changed(CONTAINER_OF(queue, aloop_listener, accepts));
}

/* The handle keeps the loop alive, unless the application has unreferenced it.
 * Therefore the future does not. */
static const struct aloop__future_ops accept_ops = {
    .name = "accept",
    .size = sizeof(struct accept),
    .cancel = accept_cancel,
};

/* Closes the descriptor, which may be -1.  The kind comes first: as long as the
 * listener listens, no other program takes the path of a Unix socket for a
 * stale one. */
static void close_descriptor(aloop_listener *listener, int fd)
{
    if (listener->kind->close != NULL)
        listener->kind->close(listener, fd);
    if (fd >= 0)
        aloop__sys_close(fd);
}

/* handle->close, and the end of a listener that could not be opened.  The
 * descriptor is removed from the reactor before it is closed: afterwards its
 * number may belong to another one. */
static void listener_close(struct aloop__handle *handle)
{
    aloop_listener *listener = CONTAINER_OF(handle, aloop_listener, handle);
    int fd = aloop__io_close(handle->loop, &listener->io);

    aloop__timed_clear(handle->loop, &listener->retry);
    close_descriptor(listener, fd);
    aloop__wait_queue_settle(&listener->accepts, ALOOP_ECANCELED);
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops listener_ops = {
    .name = "listener",
    .size = sizeof(aloop_listener),
    .close = listener_close,
};

/* Reports an error, with the address of the listener. */
static void report_listener(const aloop_listener *listener, int error,
                            const char *what)
{
    char text[ADDRESS_SIZE] = "?", whole[ADDRESS_SIZE + 16];

    aloop__sys_address_format(&listener->address, text, sizeof text);
    snprintf(whole, sizeof whole, "%s on %s", what, text);
    aloop__unhandled(listener->handle.loop, error, whole);
}

/* Called when the descriptor was closed outside the loop's control.  Futures
 * get the error.  A callback has no parameter for it, so that it is reported.
 * The listener itself stays, because only the application may close it. */
static void lost_descriptor(aloop_listener *listener)
{
    aloop *loop = listener->handle.loop;

    aloop__io_close(loop, &listener->io); /* The number is not ours. */
    aloop__timed_clear(loop, &listener->retry);
    aloop__wait_queue_settle(&listener->accepts, ALOOP_EBADF);
    accepts_changed(listener);
    if (listener->on_stream != NULL)
        report_listener(listener, ALOOP_EBADF, "listener");
}

/* Suspends accepting for a while.  The reason of the failure lasts, and the
 * pending connection would cause events again and again.  Only the first
 * failure of a series is reported.  If there is no timer, events continue. */
static void suspend_accepting(aloop_listener *listener, int error)
{
    aloop *loop = listener->handle.loop;
    int64_t when_ns = aloop__after(aloop__now(loop), back_off_ns);

    aloop__io_arm(loop, &listener->io, 0);
    listener->is_suspended =
        aloop__timed_set(loop, &listener->retry, when_ns) == 0;
    if (!listener->is_suspended)
        aloop__io_arm(loop, &listener->io, REACTOR_READ);
    if (!listener->has_reported)
        report_listener(listener, error, "accept");
    listener->has_reported = true;
}

/* Watches for connections. */
static void watch_connections(aloop_listener *listener)
{
    int error =
        aloop__io_arm(listener->handle.loop, &listener->io, REACTOR_READ);

    if (error == ALOOP_EBADF)
        lost_descriptor(listener);
    else if (error < 0)
        suspend_accepting(listener, error);
}

/* timed->fire: resumes accepting. */
static void listener_retry(struct aloop__timed *timed)
{
    aloop_listener *listener = CONTAINER_OF(timed, aloop_listener, retry);

    /* Keeps its place in the timer queue, so that the next suspension needs no
     * memory. */
    aloop__timed_set(listener->handle.loop, timed, INT64_MAX);
    listener->is_suspended = false;
    if (has_receiver(listener))
        watch_connections(listener);
}

/* Returns whether the next accept would fail as well. */
static bool is_shortage(int error)
{
    return error == ALOOP_EMFILE || error == ALOOP_ENFILE ||
           error == ALOOP_ENOBUFS || error == ALOOP_ENOMEM;
}

/* Decides about a failed accept.  Most errors concern one connection, which is
 * lost (see accept(2)); 0 is returned then, and the next one is tried.  After
 * several failures in a row this is no longer assumed, and the error is
 * returned. */
static int judge(aloop_listener *listener, int error)
{
    if (error == ALOOP_EAGAIN)
        return error;
    if (listener->failures < FAILURES_MAX)
        listener->failures++;
    if (listener->failures == FAILURES_MAX || is_shortage(error))
        return error;
    return 0;
}

/* Gives a stream to the callback, or to the future that waits longest.  The
 * callback may close the listener, so that nothing here uses it afterwards.
 * Settling a future calls nothing: its task resumes in a later turn. */
static void deliver_stream(aloop_listener *listener, aloop_stream *stream)
{
    aloop *loop = listener->handle.loop;
    struct aloop__waiter *waiter;

    if (listener->on_stream != NULL) {
        aloop__calling(loop);
        listener->on_stream(listener, stream, listener->arg);
        aloop__called(loop, "the callback of a listener");
        return;
    }
    waiter = aloop__wait_queue_first(&listener->accepts);
    *CONTAINER_OF(waiter, struct accept, waiter)->ret_stream = stream;
    aloop__waiter_settle(waiter, 0);
    accepts_changed(listener);
}

/* Accepts one connection, for which there is a receiver.  Returns 0, or the
 * reason why none can be accepted now.  The callback may close the listener,
 * whose memory is valid until the end of the turn.
 *
 * aloop__stream_new() closes the connection if it fails.  A success ends a
 * series of failures, also for reports: the next one is a new event for the
 * application. */
static int accept_one(aloop_listener *listener)
{
    aloop_stream *stream;
    int fd = aloop__sys_accept(listener->io.fd);
    int error = fd;

    if (fd >= 0)
        error = aloop__stream_new(listener->handle.loop, fd,
                                  listener->kind->carrier, &stream);
    if (error < 0)
        return judge(listener, error);
    listener->failures = 0;
    listener->has_reported = false;
    deliver_stream(listener, stream);
    return 0;
}

/* Accepts up to `burst` connections, and adapts the limit.  Events are
 * level-triggered: connections that are left cause the next one, after other
 * descriptors had their turn. */
static void accept_burst(aloop_listener *listener)
{
    unsigned accepted = 0;
    int error = 0;

    /* A callback may close the listener, which disarms it, or fork; the child
     * then accepts no more. */
    while (accepted < listener->burst && error == 0 &&
           listener->io.armed != 0 && has_receiver(listener) &&
           !aloop__is_foreign(listener->handle.loop)) {
        error = accept_one(listener);
        accepted += error == 0;
    }
    if (aloop__handle_is_ended(&listener->handle))
        return;
    if (error == 0 && listener->burst < BURST_MAX)
        listener->burst *= 2;
    else if (error < 0)
        listener->burst = accepted > 0 ? accepted : 1;
    if (error < 0 && error != ALOOP_EAGAIN)
        suspend_accepting(listener, error);
}

/* on_ready of a listener.  Interest in connections is kept until an event shows
 * that there is no receiver, because the next future usually follows the one
 * before soon. */
static void listener_ready(struct aloop__io *io, unsigned bits)
{
    aloop_listener *listener = CONTAINER_OF(io, aloop_listener, io);
    bool is_dying = listener->handle.loop->is_dying; /* Would end each wait. */

    (void) bits;
    if (io->fd < 0)
        lost_descriptor(listener);
    else if (is_dying || !has_receiver(listener))
        aloop__io_arm(listener->handle.loop, io, 0);
    else
        accept_burst(listener);
}

/* The retry timer is put into the heap here, far in the future: with its place
 * in the heap, suspending needs no memory, which may be exhausted at that
 * time.
 *
 * A failure ends in listener_close(), whatever was reached before.  An adopted
 * descriptor belongs to the application until the start has succeeded: it is
 * taken out of `io` before, so that the close finds none. */
int aloop__listener_start(aloop *loop, const struct aloop__listener_kind *kind,
                          const void *place, aloop_listener_cb on_stream,
                          void *arg, aloop_listener **ret_listener)
{
    aloop_listener *listener = aloop__handle_new(loop, &listener_ops);
    int error;

    if (listener == NULL)
        return ALOOP_ENOMEM;
    listener->kind = kind;
    listener->io.fd = -1;
    listener->burst = 1;
    aloop__wait_queue_init(&listener->accepts, loop);
    listener->on_stream = on_stream;
    listener->arg = arg;
    aloop__timed_init(&listener->retry, listener_retry);
    error = kind->open(listener, place);
    if (error >= 0) {
        int fd = error;

        error = aloop__io_open(loop, &listener->io, fd, listener_ready);
        listener->io.process = IO_ANY_PROCESS; /* Children accept too. */
        if (error < 0 && !kind->is_adopted)
            close_descriptor(listener, fd);
    }
    if (error == 0)
        error = aloop__timed_set(loop, &listener->retry, INT64_MAX);
    if (error == 0 && on_stream != NULL)
        error = aloop__io_arm(loop, &listener->io, REACTOR_READ);
    if (error < 0) {
        if (kind->is_adopted)
            aloop__io_close(loop, &listener->io);
        listener_close(&listener->handle);
        return error;
    }
    /* For reports, even after the descriptor was closed by other code. */
    aloop__sys_local_address(listener->io.fd, &listener->address);
    accepts_changed(listener);
    *ret_listener = listener;
    return 0;
}

/* Until now connections stayed in the backlog, possibly unwatched.  The
 * callback is set only after everything that can fail, so that a failure
 * changes nothing that the application sees. */
int aloop__listener_deliver_to(aloop_listener *listener,
                               aloop_listener_cb on_stream, void *arg)
{
    int error = 0;

    if (listener->on_stream != NULL || listener->accepts.count > 0)
        return listener->on_stream != NULL ? ALOOP_EINVAL : ALOOP_EBUSY;
    if (listener->io.fd < 0)
        return ALOOP_EBADF;
    error = aloop__io_adopt(listener->handle.loop, &listener->io);
    if (error == 0 && !listener->is_suspended)
        error =
            aloop__io_arm(listener->handle.loop, &listener->io, REACTOR_READ);
    if (error < 0)
        return error;
    listener->on_stream = on_stream;
    listener->arg = arg;
    listener->is_owned = true;
    accepts_changed(listener);
    return 0;
}

/* The next event shows that the listener is paused, and ends the watching. */
void aloop__listener_pause(aloop_listener *listener, bool is_paused)
{
    bool was_paused = listener->is_paused;

    listener->is_paused = is_paused;
    if (was_paused && !is_paused && !listener->is_suspended &&
        listener->io.fd >= 0 && !listener->handle.loop->is_dying)
        watch_connections(listener);
}

/* Without memory for watching, accepting is suspended, so that the future does
 * not fail. */
aloop_future *aloop_listener_accept(aloop_listener *listener,
                                    aloop_stream **ret_stream)
{
    int error = aloop__check_handle(listener, __func__);
    struct accept *accept;

    if (error < 0)
        return aloop__future_refused(error);
    if (ret_stream == NULL || listener->on_stream != NULL)
        error = ALOOP_EINVAL;
    else if (listener->io.fd < 0)
        error = ALOOP_EBADF;
    else
        error = aloop__io_adopt(listener->handle.loop, &listener->io);
    if (error < 0)
        return aloop__future_failed(listener->handle.loop, error);
    accept = aloop__waiter_new(listener->handle.loop, &accept_ops);
    if (accept == NULL)
        return NULL;
    accept->ret_stream = ret_stream;
    aloop__wait_queue_push(&listener->accepts, &accept->waiter);
    accepts_changed(listener);
    if (!listener->is_suspended)
        watch_connections(listener);
    return &accept->waiter.future;
}

int aloop_listener_address(const aloop_listener *listener,
                           aloop_address *ret_address)
{
    int error = aloop__check_handle(listener, __func__);
    struct sys_address address;

    if (error < 0 || ret_address == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    if (listener->io.fd < 0)
        return ALOOP_EBADF;
    error = aloop__sys_local_address(listener->io.fd, &address);
    return error < 0 ? error : aloop__address_of_end(&address, ret_address);
}

int aloop_listener_port(const aloop_listener *listener)
{
    int error = aloop__check_handle(listener, __func__);
    struct sys_address address;

    if (error < 0)
        return error;
    if (listener->io.fd < 0)
        return ALOOP_EBADF;
    error = aloop__sys_local_address(listener->io.fd, &address);
    return error < 0 ? error : aloop__sys_address_port(&address);
}

int aloop_listener_fd(const aloop_listener *listener)
{
    int error = aloop__check_handle(listener, __func__);

    if (error < 0)
        return error;
    return listener->io.fd >= 0 ? listener->io.fd : ALOOP_EBADF;
}

void aloop_listener_ref(aloop_listener *listener)
{
    aloop__handle_reference((struct aloop__handle *) listener, true, __func__);
}

void aloop_listener_unref(aloop_listener *listener)
{
    aloop__handle_reference((struct aloop__handle *) listener, false, __func__);
}

/* Accepts all connections that wait for a listener with reuse_port, because the
 * system would reset them.  The callback may close the listener again, or
 * fork. */
static void drain_backlog(aloop_listener *listener)
{
    int error = 0;

    listener->is_closing = true;
    for (int i = 0;
         i < DRAIN_MAX && error == 0 && listener->io.fd >= 0 &&
         has_receiver(listener) && !aloop__is_foreign(listener->handle.loop);
         i++)
        error = accept_one(listener);
}

void aloop__listener_end(aloop_listener *listener)
{
    if (listener->is_drained)
        drain_backlog(listener);
    listener_close(&listener->handle);
}

void aloop_listener_close(aloop_listener *listener)
{
    if (listener == NULL || aloop__check_handle(listener, __func__) < 0 ||
        listener->is_closing || listener->is_owned)
        return;
    aloop__listener_end(listener);
}
