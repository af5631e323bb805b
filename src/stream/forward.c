/* aloop_stream_forward(): copies from one stream to another, with back
 * pressure.
 *
 *     FLOWING --over the high-water mark--> WAITING (for a drain of `to`)
 *        ^                                     |
 *        +-------------------------------------+
 *        |
 *        +--the end of `from`--> CLOSING (a shutdown of `to`) --> settled
 *
 * It is built from the functions that an application would use: a callback on
 * `from`, puts, drains and a shutdown of `to`.  At most the high-water mark and
 * one receive are queued.  A drain or shutdown is a future, which the forward
 * waits for by its awaiter `step`.
 *
 * Large transfers between sockets and pipes are not copied.  After SPLICE_AFTER
 * bytes in large parts the forward opens a pipe (splice.c), and receives into
 * it.  It goes back to copying when little is received at a time, and copies
 * whenever the pipe cannot be used: an end, an error and a full pipe are found
 * by the usual receive.  Nothing else has to know about the pipe, because its
 * bytes are pieces in the queue of `to`.
 *
 * Both streams point to the forward, and closing one of them cancels it.  Until
 * it settles, `from` cannot be read, started or stopped by other code, because
 * that would take bytes out of the middle.
 *
 * A side may fail while the forward uses only the other one.  Therefore
 * REACTOR_HANGUP is watched, of `to` from the beginning and of `from` from the
 * first drain on.  It stays watched afterwards, until an event shows that it is
 * useless, because that costs no system calls. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "os/refusal.h"
#include "stream/splice.h"
#include "stream/stream.h"

enum {
    SPLICE_AFTER = 256 * 1024,
    SPLICE_MIN = 16 * 1024 /* Less is not worth two system calls. */
};

struct aloop__forward {
    aloop_future future;
    struct aloop__awaiter step; /* Waits for a drain or the shutdown. */
    /* Both exist until the forward settles, because their close ends it
     * first. */
    aloop_stream *from;
    aloop_stream *to;
    bool is_closing;  /* `step` is the shutdown. */
    bool is_emptying; /* `from` was reset: what it has left is queued. */
    bool has_hung_up; /* `from` has ended orderly in both directions. */
    bool was_refused; /* The system has refused it. */
    ssize_t moved;    /* Bytes forwarded so far. */
    size_t bulk; /* Copied since a receive of less than SPLICE_MIN bytes. */
    struct aloop__splice *splice; /* NULL: it has no pipe. */
    /* The function of `from` that handles events, which forward_ready()
     * replaces while there is a pipe. */
    void (*on_ready)(struct aloop__io *io, unsigned bits);
};

/* Detaches the forward from both streams and settles it, which may free it. */
static void finish_forward(struct aloop__forward *forward, ssize_t status)
{
    if (forward->splice != NULL) {
        forward->from->io.on_ready = forward->on_ready;
        aloop__splice_drop(forward->future.loop, forward->splice);
    }
    forward->from->is_forwarded = false;
    forward->from->reads = NULL;
    forward->to->sender->forward_to = NULL;
    aloop__stream_stop(forward->from);
    aloop__future_settle(&forward->future, status);
}

static void drop_step(struct aloop__forward *forward)
{
    aloop_future *step = forward->step.future;

    if (step == NULL)
        return;
    aloop__awaiter_remove(&forward->step);
    aloop__future_unref_checked(step);
}

/* ops->cancel; also called when a stream is closed.  Unless all bytes were
 * forwarded already, the peer of `to` must not mistake a part for the whole
 * when the loop ends.  The failure of `to` must not settle the forward, too. */
static void forward_cancel(aloop_future *future)
{
    struct aloop__forward *forward =
        CONTAINER_OF(future, struct aloop__forward, future);

    drop_step(forward);
    forward->to->sender->forward_to = NULL;
    if (!forward->is_closing)
        aloop__stream_cut_short(forward->to);
    finish_forward(forward, ALOOP_ECANCELED);
}

static const struct aloop__future_ops forward_ops = {
    .name = "forward",
    .size = sizeof(struct aloop__forward),
    .awaiter = offsetof(struct aloop__forward, step),
    .cancel = forward_cancel,
    .is_live = true,
};

void aloop__forward_end(struct aloop__forward *forward)
{
    if (forward != NULL)
        aloop__future_cancel_checked(&forward->future);
}

/* A drain or shutdown that is pending settles with the error itself. */
void aloop__forward_fail(struct aloop__forward *forward, int error)
{
    if (forward->step.future == NULL)
        finish_forward(forward, error);
}

/* Continues in forward_step() when `step` has settled.  Takes over the
 * reference.  NULL means that it is out of memory. */
static void wait_for_step(struct aloop__forward *forward, aloop_future *step)
{
    if (step == NULL) {
        finish_forward(forward, ALOOP_ENOMEM);
        return;
    }
    aloop__awaiter_add(&forward->step, step);
}

/* Splicing. */

static void forward_data(aloop_stream *from, const void *data, ssize_t size,
                         void *arg);

/* Lets `to` send what is queued before more is received. */
static void wait_for_drain(struct aloop__forward *forward)
{
    int error = 0;

    if (!forward->has_hung_up)
        error = aloop__stream_want(forward->from, REACTOR_HANGUP);
    if (error < 0) {
        finish_forward(forward, error);
        return;
    }
    aloop__stream_stop(forward->from);
    wait_for_step(forward, aloop_stream_drain(forward->to));
}

/* Returns whether bytes can be received into the pipe now. */
static bool is_splicing(const struct aloop__forward *forward)
{
    const aloop_stream *from = forward->from;

    return forward->bulk >= SPLICE_AFTER && !forward->was_refused &&
           !forward->is_emptying && from->on_data == forward_data &&
           aloop__stream_wants_data(from) && !from->has_input &&
           !aloop__stream_is_over(from) && from->carrier->has_splice &&
           forward->to->carrier->has_splice && aloop__stream_is_ours(from) &&
           aloop__stream_prepare_writing(forward->to) == 0;
}

/* Receives into the pipe.  Returns false if the bytes have to be copied, which
 * also finds the end.  An error is kept for that, because the system may report
 * it only once. */
static bool splice_once(struct aloop__forward *forward)
{
    struct aloop__sender *sender = forward->to->sender;
    ssize_t n = aloop__splice_receive(forward->splice, forward->from, sender);

    if (n < 0 && is_refusal((int) -n))
        forward->was_refused = true;
    else if (n < 0 && n != ALOOP_EAGAIN)
        aloop__io_failed(&forward->from->io, (int) n);
    if (n <= 0)
        return false;
    forward->moved += n;
    if (n < SPLICE_MIN)
        forward->bulk = 0;
    aloop__sender_queued_more(sender, (size_t) n);
    if (sender->queued > sender->high)
        wait_for_drain(forward);
    return true;
}

/* io->on_ready of `from` while there is a pipe. */
static void forward_ready(struct aloop__io *io, unsigned bits)
{
    struct aloop__forward *forward = CONTAINER_OF(io, aloop_stream, io)->arg;

    if (bits == REACTOR_READ && io->fd >= 0 &&
        (io->armed & REACTOR_READ) != 0 && is_splicing(forward) &&
        splice_once(forward))
        return;
    forward->on_ready(io, bits);
}

/* Counts what was copied, and opens the pipe when there is enough. */
static void count_copied(struct aloop__forward *forward, size_t size)
{
    aloop_stream *from = forward->from;

    forward->bulk = size >= SPLICE_MIN ? forward->bulk + size : 0;
    if (forward->bulk < SPLICE_AFTER || forward->splice != NULL ||
        forward->was_refused || !from->carrier->has_splice ||
        !forward->to->carrier->has_splice)
        return;
    forward->splice = aloop__splice_open(from->handle.loop);
    if (forward->splice == NULL) {
        forward->was_refused = true;
        return;
    }
    forward->on_ready = from->io.on_ready;
    from->io.on_ready = forward_ready;
}

/* Copying. */

/* on_data of `from`, with its bytes, its end (0) or its error.  After a put
 * that exceeds the high-water mark the stream is stopped, so that nothing more
 * is received until the drain has settled.  What is left of a connection that
 * was reset is finite. */
static void forward_data(aloop_stream *from, const void *data, ssize_t size,
                         void *arg)
{
    struct aloop__forward *forward = arg;
    int error = 0;

    (void) from;
    if (size < 0) {
        finish_forward(forward, size);
        return;
    }
    if (size == 0) {
        forward->is_closing = true;
        wait_for_step(forward, aloop_stream_shutdown(forward->to));
        return;
    }
    error = aloop_stream_put(forward->to, data, (size_t) size);
    if (error < 0) {
        finish_forward(forward, error);
        return;
    }
    forward->moved += size;
    count_copied(forward, (size_t) size);
    if (error > 0 && !forward->is_emptying)
        wait_for_drain(forward);
}

/* ready->run of the awaiter: a drain or the shutdown has settled.  `to` may
 * have failed since. */
static void forward_step(struct aloop__ready *ready)
{
    struct aloop__forward *forward =
        CONTAINER_OF(ready, struct aloop__forward, step.ready);
    ssize_t status = aloop__awaiter_take(&forward->step);

    if (status == ALOOP_ECANCELED)
        status = ALOOP_EABORTED; /* `to` was closed. */
    if (status == 0 && !forward->is_closing)
        status = forward->to->write_error;
    if (status == 0 && !forward->is_closing)
        status = aloop__stream_start(forward->from, forward_data, forward);
    if (status < 0)
        finish_forward(forward, status);
    else if (forward->is_closing)
        finish_forward(forward, forward->moved);
}

/* Hang-ups. */

/* SO_ERROR is 0 if another call has taken it, or if the peer has closed a Unix
 * socket in order.  Without a hang-up the event is not about the connection
 * then. */
static void target_failed(aloop_stream *to, bool is_hang_up)
{
    int error = to->write_error;

    if (error == 0)
        error = to->carrier->error(to);
    if (error < 0)
        error = aloop__io_failed(&to->io, error);
    else
        error = to->io.error;
    if (error == 0 && is_hang_up)
        error = ALOOP_EPIPE;
    if (error < 0)
        aloop__stream_fail_writing(to, error);
}

/* `from` was reset while the forward waits for `to`, perhaps indefinitely.
 * Everything that it has received is queued, and then its error ends the
 * forward. */
static void empty_source(struct aloop__forward *forward)
{
    int error;

    drop_step(forward);
    forward->is_emptying = true;
    error = aloop__stream_start(forward->from, forward_data, forward);
    if (error < 0)
        finish_forward(forward, error);
}

/* An orderly end of both directions is a hang-up, too.  Reading reports it in
 * its turn. */
void aloop__forward_hung_up(aloop_stream *stream, unsigned bits)
{
    struct aloop__sender *sender = stream->sender;
    struct aloop__forward *forward;

    if (!aloop__stream_is_ours(stream))
        return;
    aloop__stream_unwant(stream, REACTOR_HANGUP);
    if (sender != NULL && sender->forward_to != NULL && !sender->has_shut)
        target_failed(stream, (bits & REACTOR_HANGUP) != 0);
    forward = aloop__stream_forward_from(stream);
    if (forward == NULL || (bits & REACTOR_HANGUP) == 0)
        return;
    if ((bits & REACTOR_ERROR) == 0 && stream->io.error == 0)
        forward->has_hung_up = true;
    else if (forward->step.future != NULL && !forward->is_closing)
        empty_source(forward);
}

/* Starting. */

static int start_forward(struct aloop__forward *forward)
{
    int error = aloop__stream_prepare_writing(forward->to);

    if (error == 0)
        error = aloop__stream_want(forward->to, REACTOR_HANGUP);
    if (error == 0)
        error = aloop__stream_start(forward->from, forward_data, forward);
    return error;
}

/* The writing half of `to` is kept from now on, because it points to the
 * forward. */
aloop_future *aloop_stream_forward(aloop_stream *from, aloop_stream *to)
{
    int error = aloop__check_handle(from, __func__);
    struct aloop__forward *forward;
    struct aloop__sender *sender;
    aloop *loop;

    if (error == 0)
        error = aloop__check_handle(to, __func__);
    if (error < 0)
        return aloop__future_refused(error);
    loop = from->handle.loop;
    if (to->handle.loop != loop)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    sender = aloop__sender_get(to);
    if (sender == NULL)
        return NULL;
    if (from->on_data != NULL || from->is_reading || from->is_forwarded ||
        sender->forward_to != NULL || from == to)
        return aloop__future_failed(loop, ALOOP_EBUSY);
    if (aloop__stream_keep_reads(from) < 0)
        return NULL;
    forward = aloop__future_new(loop, &forward_ops);
    if (forward == NULL)
        return NULL;
    aloop__awaiter_init(&forward->step, forward_step, &forward->future);
    forward->from = from;
    forward->to = to;
    from->is_forwarded = true;
    from->arg = forward;
    sender->forward_to = forward;
    sender->is_kept = true;
    error = start_forward(forward);
    if (error < 0)
        finish_forward(forward, error);
    return &forward->future;
}
