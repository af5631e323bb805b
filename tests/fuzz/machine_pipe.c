/* Pipes in the state machine: one stream is forwarded into another.
 *
 * An end that a pipe leads into writes nothing itself, before or afterwards.
 * Its peer therefore reads what the source of the pipe has written, through any
 * number of pipes.  Until a pipe has settled, its source can be neither read
 * nor started nor stopped; after that, its source is only closed. */

#include "machine_stream.h"

bool is_piped(const struct end *end)
{
    return end->pipe != NULL && is_pending(end->pipe);
}

bool is_spent(const struct end *end)
{
    return end->pipe != NULL && !is_pending(end->pipe);
}

struct end *source_of(struct end *writer)
{
    while (writer->fed_by != NULL)
        writer = peer_of(writer->fed_by);
    return writer;
}

/* A failed pipe may have lost bytes, and its other end is closed. */
bool has_failed_pipe(const struct end *writer)
{
    for (; writer->fed_by != NULL; writer = peer_of(writer->fed_by)) {
        const struct io *pipe = writer->fed_by->pipe;

        if (!is_pending(pipe) &&
            (pipe->has_ended ? pipe->status
                             : aloop_future_status(pipe->future)) < 0)
            return true;
    }
    return false;
}

static bool may_feed(const struct end *from, const struct end *to)
{
    return !is_spent(from) && to->fed_by == NULL && !to->is_shut &&
           to->piece_count == 0 && source_of(peer_of(from)) != to;
}

static void act_pipe(void)
{
    struct end *from = any_end(), *to = any_end();
    bool is_busy;
    struct io *io;

    if (from == NULL || to == NULL || from->has_reader)
        return;
    collect(from);
    is_busy = from == to || from->is_started || is_reading(from) ||
              is_piped(from) || (to->fed_by != NULL && is_piped(to->fed_by));
    if ((!is_busy && !may_feed(from, to)) ||
        (io = new_io(IO_PIPE, from)) == NULL)
        return;
    say("pipe from end %d to end %d%s", (int) (from - s.ends),
        (int) (to - s.ends), is_busy ? ", which is busy" : "");
    follow(io, aloop_stream_forward(from->stream, to->stream));
    FUZZ_CHECK(is_busy == (aloop_future_is_settled(io->future) &&
                           aloop_future_status(io->future) == ALOOP_EBUSY));
    if (is_busy)
        return;
    from->pipe = io;
    to->fed_by = from;
}

static void no_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
    FUZZ_CHECK(false); /* The start was refused. */
}

/* Checks that other reads of a stream are refused while its pipe is waiting. */
static void act_disturb(void)
{
    struct end *end = any_end();
    aloop_future *read;
    char byte;

    if (end == NULL || !is_piped(end))
        return;
    say("disturb the pipe out of end %d", (int) (end - s.ends));
    FUZZ_CHECK(aloop_stream_stop(end->stream) == ALOOP_EBUSY);
    FUZZ_CHECK(aloop_stream_start(end->stream, no_data, NULL) == ALOOP_EBUSY);
    read = aloop_stream_read(end->stream, &byte, 1);
    FUZZ_CHECK(aloop_future_status(read) == ALOOP_EBUSY);
    aloop_future_unref(read);
    FUZZ_CHECK(is_piped(end));
}

void check_pipe(const struct io *io, ssize_t status)
{
    const struct end *source = source_of(peer_of(io->end));
    size_t written = 0;

    for (unsigned i = 0; i < source->piece_count; i++)
        written += source->pieces[i].size;
    if (status >= 0)
        FUZZ_CHECK((size_t) status <= written);
    else
        FUZZ_CHECK(status == ALOOP_ECANCELED || status == ALOOP_EABORTED ||
                   status == ALOOP_EBUSY || is_breakage(status));
}

const struct act pipe_acts[] = {
    {"pipe", act_pipe},
    {"pipe", act_pipe},
    {"disturb", act_disturb},
};

const size_t pipe_act_count = sizeof pipe_acts / sizeof pipe_acts[0];
