/* The read operations of a stream that exist: the pending one, and those that
 * have settled.
 *
 * A close must find all of them, because their continuations may not run after
 * it.  They are in stream->reads.  While the stream has `arg` in its place, for
 * on_data or a forward, they are in sender->reads. */

#include "loop/future.h"
#include "stream/input.h"
#include "stream/read_list.h"
#include "stream/stream.h"

/* Returns any of the reads that exist, or NULL. */
static struct aloop__read *any_read(const aloop_stream *stream)
{
    if (!aloop__stream_has_arg(stream) && stream->reads != NULL)
        return stream->reads;
    return stream->sender != NULL ? stream->sender->reads : NULL;
}

/* After the close, `arg` of their continuations may be invalid, so that none of
 * them may run.  The pending read settles with ALOOP_ECANCELED. */
void aloop__stream_end_reads(aloop_stream *stream)
{
    struct aloop__read *pending = stream->is_reading ? stream->reads : NULL;
    struct aloop__read *op;

    while ((op = any_read(stream)) != NULL) {
        aloop__read_remove(op);
        aloop__thens_drop(&op->future);
    }
    if (stream->is_reading)
        aloop__future_cancel_checked(&pending->future);
    if (stream->has_input && stream->carrier->give_back != NULL)
        stream->carrier->give_back(stream, aloop__input_size(stream));
    aloop__input_drop(stream);
}

void aloop__stream_forget_reads(aloop_stream *stream)
{
    struct aloop__read *op;

    while ((op = any_read(stream)) != NULL)
        aloop__read_remove(op);
}

/* There is rarely one: a continuation of a read that starts a callback. */
static NOINLINE int keep_reads(aloop_stream *stream)
{
    struct aloop__sender *sender = aloop__sender_get(stream);

    if (sender == NULL)
        return ALOOP_ENOMEM;
    while (stream->reads != NULL) {
        struct aloop__read *op = stream->reads;

        aloop__read_remove(op);
        aloop__read_add(&sender->reads, op);
    }
    return 0;
}

int aloop__stream_keep_reads(aloop_stream *stream)
{
    return aloop__stream_has_arg(stream) || stream->reads == NULL
               ? 0
               : keep_reads(stream);
}
