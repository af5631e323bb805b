/* Read operations of a stream; stream_start.c has the callback.
 *
 *     kernel --> buffer of the operation                     it wants much
 *     kernel --> sender->input --fill()--> the same buffer   it wants little
 *
 * At most one operation is pending, the first of stream->reads.  It takes what
 * is in sender->input.  If that is not enough it receives: directly into its
 * own buffer or, if it wants little or looks for a delimiter, into
 * sender->input.  It and the following operations take their bytes from there,
 * so that many small reads cost one system call.
 *
 * No byte is lost or changes its place.  Nothing is received while
 * sender->input has bytes, and an operation that fails gives the bytes that it
 * took back to the front of sender->input.
 *
 * The caller's buffer is used only while the operation is pending.  Settling
 * calls nothing: the application reads again in a later turn, never inside this
 * file. */

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/input.h"
#include "stream/read_list.h"
#include "stream/stream.h"

#include <string.h>

enum { DIRECT_MIN = 2048 }; /* Smaller reads use sender->input. */

/* Ends the pending operation.  After a failure the bytes are given back before
 * the future settles, because that may free the operation. */
static void settle_read(struct aloop__read *op, ssize_t status)
{
    aloop_stream *stream = op->stream;

    stream->is_reading = false;
    if (status < 0)
        aloop__input_give_back(stream, op->buffer, op->filled);
    aloop__future_settle(&op->future, status);
}

/* ops->cancel.  It settles immediately: the kernel has no pointer to the
 * buffer. */
static void read_cancel(aloop_future *future)
{
    settle_read(CONTAINER_OF(future, struct aloop__read, future),
                ALOOP_ECANCELED);
}

static void read_fini(aloop_future *future)
{
    aloop__read_remove(CONTAINER_OF(future, struct aloop__read, future));
}

/* ops->release of reads without a delimiter. */
static void read_release(aloop_future *future);

static const struct aloop__future_ops read_ops = {
    .name = "stream read",
    .size = sizeof(struct aloop__read),
    .cancel = read_cancel,
    .fini = read_fini,
    .is_live = true,
    .is_leaf = true,
};

/* Most reads have no delimiter and do not need memory for one. */
static const struct aloop__future_ops plain_ops = {
    .name = "stream read",
    .size = offsetof(struct aloop__read, searched),
    .cancel = read_cancel,
    .fini = read_fini,
    .release = read_release,
    .is_live = true,
    .is_leaf = true,
};

static void read_release(aloop_future *future)
{
    aloop__read_remove(CONTAINER_OF(future, struct aloop__read, future));
    aloop__slab_put_inline(&future->loop->slab, future, plain_ops.size);
}

/* Returns the offset behind the delimiter in the filled part of the buffer, or
 * 0 if it is not there.  No byte is searched twice as a beginning, so that the
 * time does not depend on the sizes in which the bytes arrive. */
static size_t find_delimiter(struct aloop__read *op)
{
    size_t size = op->delimiter_size;

    while (op->searched + size <= op->filled) {
        size_t left = op->filled - size + 1 - op->searched;
        const char *from = op->buffer + op->searched;
        const char *hit = memchr(from, op->delimiter[0], left);

        if (hit == NULL) {
            op->searched += left;
            break;
        }
        op->searched = (size_t) (hit - op->buffer);
        if (memcmp(hit, op->delimiter, size) == 0)
            return op->searched + size;
        op->searched++;
    }
    return 0;
}

/* Moves bytes that the operation can use out of sender->input.  What follows
 * the delimiter belongs to the next operation, and stays. */
static void fill(struct aloop__read *op)
{
    aloop_stream *stream = op->stream;
    size_t before = op->filled, size, end;
    const struct aloop__input *input;

    if (!stream->has_input || op->filled == op->size)
        return;
    input = stream->sender->input;
    size = aloop__input_size(stream);
    if (size > op->size - op->filled)
        size = op->size - op->filled;
    memcpy(op->buffer + op->filled, input->bytes + input->start, size);
    op->filled += size;
    end = op->kind == UNTIL ? find_delimiter(op) : 0;
    if (end > 0)
        op->filled = end; /* The rest stays in sender->input. */
    aloop__input_consume(stream, op->filled - before);
}

/* Returns whether the operation has all its bytes, and its status.  A read to
 * the end with a full buffer is not complete before one more byte has arrived,
 * because the end may follow instead. */
static bool is_complete(const struct aloop__read *op, ssize_t *ret_status)
{
    bool is_full, has_found;

    *ret_status = (ssize_t) op->filled;
    if (op->kind == SOME)
        return op->filled > 0;
    is_full = op->filled == op->size;
    has_found = op->kind == UNTIL && op->filled > op->searched &&
                op->filled - op->searched == op->delimiter_size &&
                memcmp(op->buffer + op->searched, op->delimiter,
                       op->delimiter_size) == 0;
    if (op->kind == EXACTLY)
        return is_full;
    if (op->kind == UNTIL && !has_found)
        *ret_status = ALOOP_EMSGSIZE;
    if (op->kind == UNTIL)
        return has_found || is_full;
    *ret_status = ALOOP_EMSGSIZE;
    return is_full && aloop__input_size(op->stream) > 0;
}

/* Returns the status of an incomplete operation at the end of the stream.  The
 * kinds that promise certain bytes fail; the bytes that they have are given
 * back. */
static ssize_t status_at_end(const struct aloop__read *op)
{
    if (op->stream->read_error != 0)
        return op->stream->read_error;
    if (op->kind == TO_END)
        return (ssize_t) op->filled;
    return op->kind == SOME ? 0 : ALOOP_EOF;
}

/* Settles the operation if sender->input or the end of the stream allows it.
 * Returns whether it has settled; `op` may be freed then. */
static bool settle_if_complete(struct aloop__read *op)
{
    ssize_t status;

    fill(op);
    if (is_complete(op, &status))
        settle_read(op, status);
    else if (aloop__stream_is_over(op->stream) && !op->stream->has_input)
        settle_read(op, status_at_end(op));
    else
        return false;
    return true;
}

/* Returns whether the operation, which may be freed, is the pending one. */
static inline bool is_pending_read(const aloop_stream *stream,
                                   const struct aloop__read *op)
{
    return stream->is_reading && stream->reads == op;
}

/* Receives once into the buffer of the operation.  Returns the number of bytes.
 * A filter may cancel the operation meanwhile, and so free it.  The bytes are
 * then left to the next one. */
static inline size_t receive_directly(struct aloop__read *op)
{
    aloop_stream *stream = op->stream;
    char *buffer = op->buffer + op->filled;
    size_t n = aloop__stream_receive(stream, buffer, op->size - op->filled);

    if (is_pending_read(stream, op))
        op->filled += n;
    else
        aloop__input_append(stream, buffer, n);
    return n;
}

/* Receives once for the operation.  Returns the number of bytes; after a failed
 * allocation it is 0 and the operation has settled.  sender->input is empty
 * here, because a pending operation has taken all that it had.
 *
 * A read that wants much saves the copy.  One with a delimiter does not know
 * how much it wants, and must not take bytes behind the delimiter into the
 * caller's buffer. */
static size_t receive_for(struct aloop__read *op)
{
    aloop_stream *stream = op->stream;
    struct aloop__input *input;
    size_t n;

    if (op->kind != UNTIL && op->size - op->filled >= DIRECT_MIN)
        return receive_directly(op);
    input = aloop__input_new_for(stream, DIRECT_MIN);
    if (input == NULL) {
        settle_read(op, ALOOP_ENOMEM);
        return 0;
    }
    n = aloop__stream_receive(stream, input->bytes, input->room);
    input->end = n;
    aloop__input_add(stream, input);
    return n;
}

/* Receives in several rounds.  The operation may settle in each, and so be
 * freed. */
static NOINLINE void receive_rounds(struct aloop__read *op)
{
    aloop_stream *stream = op->stream;

    /* The number of rounds is limited, so that a peer that sends quickly does
     * not keep the loop from its other work. */
    for (int i = 0; i < STREAM_ROUNDS_MAX; i++) {
        size_t n = receive_for(op);

        if (!is_pending_read(stream, op) || settle_if_complete(op) || n == 0 ||
            !stream->is_hot)
            return;
    }
}

/* Called when the descriptor is readable, and by a read that begins.  Any bytes
 * complete most reads, so that one round is enough. */
void aloop__stream_run_read(struct aloop__read *op)
{
    aloop_stream *stream = op->stream;
    char *buffer;
    size_t n;

    if (op->kind != SOME || op->size < DIRECT_MIN) {
        receive_rounds(op);
        return;
    }
    buffer = op->buffer;
    n = aloop__stream_receive(stream, buffer, op->size);
    if (!is_pending_read(stream, op))
        aloop__input_append(stream, buffer, n);
    else if (n > 0)
        settle_read(op, (ssize_t) n);
    else
        settle_if_complete(op);
}

void aloop__stream_fail_read(aloop_stream *stream, int error)
{
    if (stream->is_reading)
        settle_read(stream->reads, error);
}

static inline void init_read(struct aloop__read *op, aloop_stream *stream,
                             enum aloop__read_kind kind, void *buffer,
                             size_t size)
{
    op->stream = stream;
    op->kind = kind;
    op->buffer = buffer;
    op->size = size;
    op->filled = 0;
}

/* Returns a pending operation, which is in no list yet, or NULL if out of
 * memory. */
static struct aloop__read *new_read(aloop_stream *stream,
                                    enum aloop__read_kind kind, void *buffer,
                                    size_t size)
{
    struct aloop__read *op = aloop__future_new_bare(
        stream->handle.loop, kind == UNTIL ? &read_ops : &plain_ops);

    if (op != NULL)
        init_read(op, stream, kind, buffer, size);
    return op;
}

/* Returns a read that has already settled.  It is in a list too, because a
 * close must drop its continuations, but not in front of the pending one.  NULL
 * means that it is out of memory. */
static NOINLINE aloop_future *settled_read(aloop_stream *stream, int status)
{
    bool has_arg = aloop__stream_has_arg(stream);
    struct aloop__sender *sender = has_arg ? aloop__sender_get(stream) : NULL;
    struct aloop__read *op;

    if (has_arg && sender == NULL)
        return NULL;
    op = new_read(stream, SOME, NULL, 0);
    if (op == NULL)
        return NULL;
    if (has_arg)
        aloop__read_add(&sender->reads, op);
    else
        aloop__read_add(
            stream->is_reading ? &stream->reads->next : &stream->reads, op);
    aloop__future_settle(&op->future, status);
    return &op->future;
}

/* An operation is first served from sender->input.  It receives immediately
 * only if the last receive filled its buffer, because otherwise there is
 * probably nothing to receive. */
static aloop_future *begin_read(struct aloop__read *op)
{
    aloop_stream *stream = op->stream;
    int error;

    aloop__read_add(&stream->reads, op);
    stream->is_reading = true;
    if ((stream->has_input || aloop__stream_is_over(stream)) &&
        settle_if_complete(op))
        return &op->future;
    if (stream->is_hot) {
        aloop__stream_run_read(op);
        if (!is_pending_read(stream, op))
            return &op->future;
    }
    error = aloop__stream_want_input(stream, REACTOR_READ);
    if (error < 0)
        settle_read(op, error);
    return &op->future;
}

/* Starts an operation of any kind. */
static NOINLINE aloop_future *start_read(
    aloop_stream *stream, enum aloop__read_kind kind, void *buffer, size_t size,
    const void *delimiter, size_t delimiter_size, const char *function)
{
    /* A size of 0 cannot be mistaken for an end or a delimiter. */
    bool is_empty_allowed = kind == EXACTLY || kind == TO_END;
    int error = aloop__check_handle(stream, function);
    struct aloop__read *op;

    if (error < 0)
        return aloop__future_refused(error);
    if ((buffer == NULL && size > 0) || size > PTRDIFF_MAX ||
        (size == 0 && !is_empty_allowed))
        return settled_read(stream, ALOOP_EINVAL);
    if (stream->is_reading || aloop__stream_has_arg(stream))
        return settled_read(stream, ALOOP_EBUSY);
    if (!aloop__stream_is_ours(stream))
        error = aloop__io_adopt(stream->handle.loop, &stream->io);
    if (error < 0)
        return settled_read(stream, error);
    if (size == 0)
        return settled_read(stream, 0);
    op = new_read(stream, kind, buffer, size);
    if (op == NULL)
        return NULL;
    if (kind == UNTIL) {
        op->searched = 0;
        op->delimiter_size = delimiter_size;
        memcpy(op->delimiter, delimiter, delimiter_size);
    }
    return begin_read(op);
}

/* Returns whether a read may begin, and can only wait for input, which is
 * watched for. */
static inline bool must_wait(const aloop_stream *stream)
{
    return !stream->is_reading && !aloop__stream_has_arg(stream) &&
           !stream->is_hot && !stream->has_input &&
           !aloop__stream_is_over(stream) &&
           (stream->io.armed & REACTOR_READ) != 0 &&
           !stream->carrier->has_input && aloop__stream_is_ours(stream);
}

/* The usual read makes no call, and saves no registers for one. */
aloop_future *aloop_stream_read(aloop_stream *stream, void *buffer, size_t size)
{
    struct aloop__read *op = NULL;

    if (stream != NULL && !aloop__is_checked_handle(stream) && buffer != NULL &&
        size - 1 < PTRDIFF_MAX && must_wait(stream))
        op = aloop__future_new_free(stream->handle.loop, &plain_ops);
    if (op != NULL) {
        init_read(op, stream, SOME, buffer, size);
        aloop__read_add(&stream->reads, op);
        stream->is_reading = true;
        return &op->future;
    }
    return start_read(stream, SOME, buffer, size, NULL, 0, __func__);
}

aloop_future *aloop_stream_read_exactly(aloop_stream *stream, void *buffer,
                                        size_t size)
{
    return start_read(stream, EXACTLY, buffer, size, NULL, 0, __func__);
}

aloop_future *aloop_stream_read_until(aloop_stream *stream, void *buffer,
                                      size_t size, const void *delimiter,
                                      size_t delimiter_size)
{
    if (stream != NULL && aloop__check_handle(stream, __func__) == 0 &&
        (delimiter == NULL || delimiter_size == 0 ||
         delimiter_size > DELIMITER_MAX))
        return settled_read(stream, ALOOP_EINVAL);
    return start_read(stream, UNTIL, buffer, size, delimiter, delimiter_size,
                      __func__);
}

aloop_future *aloop_stream_read_to_end(aloop_stream *stream, void *buffer,
                                       size_t size)
{
    return start_read(stream, TO_END, buffer, size, NULL, 0, __func__);
}
