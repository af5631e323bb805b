/* Reading from a stream by callback: aloop_stream_start() and its consequences.
 *
 * on_data gets a view of the loop's receive buffer, which is valid until it
 * returns.  Three causes lead to a call:
 *
 *     bytes to receive                          aloop__stream_readable()
 *     bytes that an operation has left over     aloop__stream_deliver(),
 *     an end or an error that is known already  from the ready queue
 *
 * on_data may do anything with its stream: stop it, start it with another
 * callback, stop it and read, close or abort it.  Each of these changes what
 * the code here tests after a call; the memory of a closed stream is valid
 * until the end of the turn.
 *
 * The end or an error is the last call.  The handle is not active any more
 * then. */

#include "loop/buffers.h"
#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "stream/input.h"
#include "stream/plain.h"
#include "stream/stream.h"

enum { LOOKS_TO_SKIP = 3 }; /* See receive_more(). */

/* Calls on_data.  Afterwards it sends what the callback has put, in one system
 * call, and copies lent bytes that were not sent.  Lending requires
 * loop->dispatching, which is set only in here.  The callback may close the
 * stream or fork. */
static inline __attribute__((always_inline)) void call_on_data(
    aloop_stream *stream, const char *data, ssize_t size)
{
    aloop *loop = stream->handle.loop;

    loop->dispatching = &stream->handle;
    loop->lent_size = 0;
    aloop__calling(loop);
    stream->on_data(stream, data, size, stream->arg);
    aloop__called(loop, "the callback of a stream");
    loop->dispatching = NULL;
    aloop__stream_send_replies(stream);
}

/* Calls on_data the last time, with 0 or an error. */
static NOINLINE void call_last(aloop_stream *stream, int error)
{
    aloop__stream_unwant(stream, REACTOR_READ);
    aloop__handle_set_active(&stream->handle, false);
    stream->handle.loop->lent_room = 0;
    call_on_data(stream, NULL, error);
}

/* Reports the end or the error to on_data, once: the call makes the handle
 * inactive, and then no data is wanted.  Bytes in sender->input come before the
 * end. */
static NOINLINE void call_end(aloop_stream *stream)
{
    if (!aloop__stream_wants_data(stream) || !aloop__stream_is_over(stream) ||
        stream->has_input)
        return;
    call_last(stream, stream->read_error);
}

/* Returns whether received bytes can be passed to on_data. */
static inline bool may_receive(const aloop_stream *stream)
{
    return aloop__stream_wants_data(stream) &&
           !aloop__stream_is_paused(stream) && !stream->has_input;
}

/* Returns whether on_data may lend `size` received bytes without more checks.
 * The high-water mark of a stream without a writing half is the usual one,
 * which they cannot exceed. */
static inline bool may_lend(const aloop_stream *stream, size_t size)
{
    return stream->write_error == 0 &&
           (stream->sender == NULL ||
            (aloop__stream_may_lend(stream) && size <= stream->sender->high));
}

void aloop__stream_give(aloop_stream *stream, size_t size)
{
    aloop *loop = stream->handle.loop;

    loop->lent = loop->receive_buffer;
    loop->lent_room = may_lend(stream, size) ? size : 0;
    call_on_data(stream, loop->receive_buffer, (ssize_t) size);
}

/* Receives and calls on_data, until less than a full buffer was received or the
 * budget of the turn is used up.  Receiving again after a short receive would
 * usually find nothing, and would cost a system call for each message.  Returns
 * whether the first receive has found something. */
static bool receive_up_to(aloop_stream *stream, int rounds)
{
    aloop *loop = stream->handle.loop;
    char *buffer = loop->receive_buffer;
    int i = 0;

    for (; i < rounds && !aloop__stream_is_over(stream); i++) {
        size_t n = aloop__stream_receive(stream, buffer, RECEIVE_SIZE);

        if (n == 0)
            break;
        loop->lent = buffer;
        loop->lent_room = may_lend(stream, n) ? n : 0;
        call_on_data(stream, buffer, (ssize_t) n);
        if (!stream->is_hot || !may_receive(stream) ||
            !aloop__stream_is_ours(stream)) /* The callback may fork. */
            return true;
    }
    call_end(stream);
    return i > 0;
}

/* Called after the first receive has filled the buffer.  There is more, unless
 * the peer sends as many bytes at a time as the buffer has, or a pipe has no
 * room for more.  Therefore most looks are left out after one that has found
 * nothing: if there is more, the reactor reports it in the next turn. */
static NOINLINE void receive_more(aloop_stream *stream)
{
    if (!may_receive(stream) || !aloop__stream_is_ours(stream))
        return;
    if (stream->looks_to_skip > 0)
        stream->looks_to_skip--;
    else if (!receive_up_to(stream, STREAM_ROUNDS_MAX - 1))
        stream->looks_to_skip = LOOKS_TO_SKIP;
}

/* Allocates the receive buffer, if there is none yet.  Returns false if out of
 * memory, which ends the stream. */
static inline bool ensure_buffer(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;

    if (loop->receive_buffer != NULL || aloop__receive_buffer(loop) != NULL)
        return true;
    call_last(stream, ALOOP_ENOMEM);
    return false;
}

static NOINLINE void run_callback(aloop_stream *stream)
{
    if (ensure_buffer(stream))
        receive_up_to(stream, STREAM_ROUNDS_MAX);
}

void aloop__stream_readable(aloop_stream *stream)
{
    if (stream->is_reading)
        aloop__stream_run_read(stream->reads);
    else if (may_receive(stream))
        run_callback(stream);
    else
        aloop__stream_unwant(stream, REACTOR_READ); /* There is no reader. */
}

/* The first round of run_callback(), which usually is the only one, with as few
 * tests as possible. */
void aloop__stream_serve_plain(aloop_stream *stream)
{
    aloop *loop = stream->handle.loop;
    size_t n;

    if (!ensure_buffer(stream))
        return;
    n = aloop__stream_receive(stream, loop->receive_buffer, RECEIVE_SIZE);
    if (n == 0) {
        call_end(stream);
        return;
    }
    loop->lent = loop->receive_buffer;
    loop->lent_room = n;
    call_on_data(stream, loop->receive_buffer, (ssize_t) n);
    if (stream->is_hot)
        receive_more(stream);
}

/* A pending operation fails immediately, a callback in the next turn.  The
 * caller may be in the middle of sending, and must not be surprised by a call
 * of on_data. */
void aloop__stream_fail_reading(aloop_stream *stream, int error)
{
    stream->read_error = (short) error;
    aloop__stream_fail_read(stream, error);
    aloop__stream_deliver_later(stream);
}

/* Called when a pause has ended, and after a delivery. */
void aloop__stream_resume(aloop_stream *stream)
{
    int error = 0;

    if (!aloop__stream_wants_data(stream) || aloop__stream_is_paused(stream))
        return;
    if (stream->has_input)
        aloop__stream_deliver_later(stream);
    else if (!aloop__stream_is_over(stream))
        error = aloop__stream_want_input(stream, REACTOR_READ);
    if (error < 0)
        aloop__stream_fail_reading(stream, error);
}

/* Bytes that an operation left over, and an end that is already known, cause no
 * event of the descriptor.  The buffer is taken away from the stream before the
 * call, because on_data may start an operation that makes a new one, or put
 * bytes back.  In a pause the bytes wait for aloop__stream_resume(). */
void aloop__stream_deliver(aloop_stream *stream)
{
    struct aloop__input *input;

    if (!aloop__stream_wants_data(stream) || !aloop__stream_is_ours(stream) ||
        (stream->has_input && aloop__stream_is_paused(stream)))
        return;
    input = aloop__input_take(stream);
    if (input != NULL) {
        stream->handle.loop->lent_room = 0;
        call_on_data(stream, input->bytes + input->start,
                     (ssize_t) (input->end - input->start));
        aloop__input_free(stream->handle.loop, input);
    }
    if (!stream->has_input && aloop__stream_is_ours(stream))
        call_end(stream);
    aloop__stream_resume(stream);
}

/* The callback is replaced only after everything that can fail. */
int aloop__stream_start(aloop_stream *stream, aloop_stream_cb on_data,
                        void *arg)
{
    int error = aloop__io_adopt(stream->handle.loop, &stream->io);

    if (error < 0)
        return error;
    if (aloop__stream_is_over(stream) || stream->has_input)
        aloop__stream_deliver_later(stream);
    if (!aloop__stream_is_over(stream) && !aloop__stream_is_paused(stream))
        error = aloop__stream_want_input(stream, REACTOR_READ);
    if (error == 0)
        error = aloop__stream_keep_reads(stream);
    if (error < 0)
        return error;
    stream->on_data = on_data;
    stream->arg = arg;
    aloop__handle_set_active(&stream->handle, true);
    return 0;
}

/* Nothing is lost: bytes stay in the kernel or in sender->input. */
void aloop__stream_stop(aloop_stream *stream)
{
    if (stream->on_data != NULL && !stream->is_forwarded)
        stream->reads = NULL; /* It was `arg`. */
    stream->on_data = NULL;
    if (stream->sender != NULL)
        list_remove(&stream->sender->deliver.node);
    aloop__handle_set_active(&stream->handle, false);
}

int aloop_stream_start(aloop_stream *stream, aloop_stream_cb on_data, void *arg)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0 || on_data == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    if (stream->is_reading || stream->is_forwarded)
        return ALOOP_EBUSY;
    return aloop__stream_start(stream, on_data, arg);
}

int aloop_stream_stop(aloop_stream *stream)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    if (stream->is_forwarded)
        return ALOOP_EBUSY;
    aloop__stream_stop(stream);
    return 0;
}

/* The pause. */

/* Recomputes `is_paused`, as if all queued bytes had been put now. */
static void renew_pause(struct aloop__sender *sender)
{
    sender->is_paused = false;
    aloop__sender_pause_if_due(sender);
    aloop__stream_resume(sender->stream);
}

/* Lower marks may begin a pause, and higher ones end it and settle drains. */
int aloop_stream_set_watermarks(aloop_stream *stream, size_t low, size_t high)
{
    int error = aloop__check_handle(stream, __func__);
    struct aloop__sender *sender;

    if (error < 0)
        return error;
    if (low > high || (low == high && high != 0))
        return ALOOP_EINVAL;
    sender = aloop__sender_get(stream);
    if (sender == NULL)
        return ALOOP_ENOMEM;
    sender->is_kept = true;
    sender->low = low;
    sender->high = high;
    renew_pause(sender);
    aloop__sender_queue_changed(sender);
    return 0;
}

int aloop_stream_set_auto_pause(aloop_stream *stream, bool is_on)
{
    int error = aloop__check_handle(stream, __func__);
    struct aloop__sender *sender;

    if (error < 0)
        return error;
    sender = aloop__sender_get(stream);
    if (sender == NULL)
        return ALOOP_ENOMEM;
    sender->is_kept = true;
    sender->has_auto_pause = is_on;
    renew_pause(sender);
    return 0;
}
