/* Events of the descriptor of a stream with filters.
 *
 * The usual one is a message for a stream at rest, and most of what the driver
 * does in a round has nothing to do then.  serve_message() serves it with the
 * few steps that are left:
 *
 *     receive, feed --> read --> on_data --> write --> pull, send
 *
 * Whatever is not usual is left to the driver, at the place at which it is
 * found: each step leaves a state from which the driver can continue. */

#include "loop/buffers.h"
#include "loop/io.h"
#include "os/reactor.h"
#include "stream/filters.h"

/* Returns whether serve_message() can begin. */
static inline bool may_serve_message(const struct aloop__filters *filters)
{
    const aloop_stream *stream = filters->stream;

    return filters->is_resting && stream->io.armed == REACTOR_READ &&
           stream->handle.loop->receive_buffer != NULL &&
           !aloop__stream_is_busy(stream) && aloop__filters_are_read(stream) &&
           aloop__stream_is_ours(stream);
}

/* Feeds the filter one message, lets the reader answer, and sends what the
 * filter makes of the answer.  All bytes pass through the receive buffer of the
 * loop, because each of these steps has copied what it takes when the next one
 * begins.  Returns early if a step is not the usual one. */
static inline void move_message(struct aloop__filters *filters)
{
    aloop_stream *stream = filters->stream;
    struct aloop__layer *layer = filters->top;
    char *buffer = stream->handle.loop->receive_buffer;
    ssize_t n, sent;

    aloop__filters_receive(filters, buffer, RECEIVE_SIZE);
    if (layer->is_idle || layer->has_failed)
        return; /* Nothing was received, or the filter fails. */
    if (stream->on_data == NULL) {
        aloop__stream_readable(stream); /* For a read operation. */
    } else {
        n = aloop__filters_read(filters, buffer, RECEIVE_SIZE);
        if (n <= 0)
            return;
        aloop__stream_give(stream, (size_t) n);
    }
    if (filters->is_closed || !aloop__stream_is_ours(stream))
        return; /* By on_data, which may also have put on another filter. */
    if (layer->is_idle || filters->is_mute || filters->scratch != NULL)
        return; /* No answer, or not all of it was taken with one call. */
    n = aloop__layer_pull(filters, layer, buffer, RECEIVE_SIZE);
    if (n > 0) { /* Nothing is in the wire. */
        sent = filters->inner->send(stream, buffer, (size_t) n);
        if (sent != n)
            aloop__wire_put_rest(filters, buffer, (size_t) n, sent);
    }
    aloop__layer_ask_idle(layer);
}

/* Does what a run of the driver would do, in a fraction of its time: most of
 * its steps have nothing to do if the stream is at rest before and after them.
 * Returns false if it is not at rest again.  The driver then continues from
 * there, since each step leaves a state from which it can begin. */
static bool serve_message(struct aloop__filters *filters)
{
    filters->is_resting = false;
    filters->is_quiet = false;
    filters->receives = 0;
    filters->sends = 0;
    filters->can_send = true;
    filters->is_driving = true;
    move_message(filters);
    filters->is_driving = false;
    if (filters->scratch != NULL)
        aloop__filters_put_scratch(filters);
    if (filters->is_closed) {
        aloop__filters_free(filters);
        return true;
    }
    if (!aloop__filters_are_at_rest(filters))
        return false;
    filters->wire.is_filling = false;
    filters->replies = 0;
    if (!list_is_empty(&filters->taken))
        aloop__wire_mark(filters);
    filters->is_dry = true;
    filters->is_quiet = true;
    filters->is_resting = true;
    return true;
}

/* An error or a hang-up counts as input and as room: the calls find out which
 * error it is, and receive first what arrived before it.  `is_unused` stays set
 * if no layer wanted the input; watch_again() (filter_driver.c) then ends the
 * interest in it. */
static NOINLINE void serve_event(struct aloop__filters *filters, unsigned bits)
{
    aloop_stream *stream = filters->stream;

    if (stream->io.fd < 0) { /* Closed outside the loop's control. */
        filters->is_mute = true;
        filters->top->has_failed = true;
        filters->error = ALOOP_EBADF;
    }
    if ((bits & (REACTOR_READ | REACTOR_ERROR | REACTOR_HANGUP)) != 0) {
        filters->can_receive = stream->io.fd >= 0;
        filters->is_unused = true;
    }
    if ((bits & (REACTOR_WRITE | REACTOR_ERROR | REACTOR_HANGUP)) != 0)
        filters->can_send = true;
    aloop__filters_drive(filters);
    if ((bits & (REACTOR_HANGUP | REACTOR_ERROR)) != 0)
        aloop__forward_hung_up(stream, bits);
}

void aloop__filters_ready(struct aloop__io *io, unsigned bits)
{
    struct aloop__filters *filters =
        aloop__filters_of(CONTAINER_OF(io, aloop_stream, io));

    if (bits != REACTOR_READ || !may_serve_message(filters))
        serve_event(filters, bits);
    else if (!serve_message(filters))
        aloop__filters_drive(filters);
}
