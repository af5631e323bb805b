/* Filters from the inside; aloop/filter.h has their contract.
 *
 *   filter_layer.c    calls of the functions of one filter
 *   filter_wire.c     the bytes that leave the last filter
 *   filter_pull.c     moves bytes from the filters to the wire
 *   filter_driver.c   moves bytes through all filters of a stream
 *   filter_event.c    serves the usual event in a shorter way
 *   filter_carrier.c  the carrier that the stream sees
 *   filter_close.c    the end of filters
 *   filter.c          the public functions
 *
 * A stream with filters has another carrier, whose state is a struct
 * aloop__filters.  The core of streams uses that carrier as any other: it
 * receives what the top filter gives, and sends what that filter takes.  The
 * carrier below it has the descriptor.
 *
 *     reader  <-- top layer  <-- ... <-- bottom layer <-- receive
 *     writer  --> top layer  --> ... --> bottom layer --> wire --> send
 *
 * All functions of filters are called by the driver, which runs on the stack of
 * the loop.  When the core wants something elsewhere, the carrier answers
 * ALOOP_EAGAIN and queues the driver.  The driver calls the core, in turn:
 * aloop__stream_flush() for a writer, and aloop__stream_readable() for a
 * reader.
 *
 * `stream->io.armed` is what the driver has found necessary, not what the core
 * has asked for. */

#ifndef ALOOP_STREAM_FILTERS_H
#define ALOOP_STREAM_FILTERS_H

#include "aloop/filter.h"
#include "stream/stream.h"

/* A close pulls no more bytes than that from a layer that takes none. */
enum { FILTER_ENDLESS = 16 * 1024 * 1024 };

/* What a layer is given in one direction. */
struct aloop__filter_side {
    struct aloop__input *held; /* Bytes that it has refused, or NULL. */
    bool is_ending;            /* The end follows the held bytes. */
    bool has_ended;            /* It was given the end. */
};

/* A filter on a stream. */
struct aloop__layer {
    struct aloop__filter_side in;
    struct aloop__filter_side out; /* Unused in the top layer, but for ends. */
    bool is_ready;                 /* The handshake is done. */
    bool is_due;                   /* The handshake is to be called. */
    bool has_failed;               /* Only pull may be called. */
    bool has_read_end;             /* read has returned 0. */
    bool has_pull_end;             /* pull has returned 0 or an error. */
    bool has_given_end;            /* pull has returned 0. */
    bool is_dry;                   /* The last read had nothing. */
    /* It has said so, and none of its functions was called since. */
    bool is_idle;
    size_t pulled; /* Bytes it has given to pull since it has taken any. */
    void *context;
    aloop_filter filter;
    struct aloop__layer *above; /* NULL: the reader and the writer. */
    struct aloop__layer *below; /* NULL: the wire. */
};

/* The future of a handshake.  filter.c makes it. */
struct aloop__handshake {
    aloop_future future;
    struct aloop__filters *filters;
};

/* What each message needs comes first, in few lines of the cache. */
struct aloop__filters {
    aloop_stream *stream;
    const struct aloop__carrier *inner; /* The carrier of the descriptor. */
    struct aloop__layer *top;
    struct aloop__layer *bottom;
    /* The layer that uses the bytes of its last feed, or NULL. */
    struct aloop__layer *borrower;
    bool is_driving;
    /* The last pull of each layer found nothing, and nothing was called since
     * that could change this, except on behalf of the reader. */
    bool is_dry;
    bool is_quiet;     /* Nothing had to leave when the driver has ended. */
    bool is_resting;   /* The next input can be served by serve_message(). */
    bool is_closed;    /* Closed while the driver runs, which then frees it. */
    bool is_finishing; /* The close takes everything that the layers give. */
    bool is_broken;    /* The core knows `error`. */
    bool is_breaking;  /* The core is being notified; the wire is kept. */
    bool can_receive;  /* The descriptor probably has input. */
    bool can_send;     /* It probably accepts output. */
    bool is_unused;    /* There was an event of input that no one needed. */
    bool is_deaf;      /* The end of the peer was received. */
    bool is_mute;      /* Nothing more can be sent: broken, or shut. */
    bool has_forked;   /* What the layers have to give is the parent's. */
    int receives;      /* Of the present run of the driver. */
    int sends;         /* The same. */
    int error;         /* The error that breaks the stream, or 0. */
    int receive_error; /* The error of the descriptor, or 0. */
    size_t moved;   /* Bytes that layers have taken and given in this round. */
    size_t replies; /* Bytes of on_data that were taken and not pulled. */
    struct aloop__node taken; /* Pieces of writes that are not in `wire` yet. */
    /* The bytes that leave the bottom layer, and those that were written before
     * the first filter.  A write that the filters have taken is in it as an
     * empty piece, behind the bytes that it became. */
    struct aloop__sender wire;
    char *scratch; /* Memory of the driver while it runs its rounds. */
    size_t scratch_size;
    /* What stream->io and stream->sender call without filters. */
    void (*inner_ready)(struct aloop__io *io, unsigned bits);
    void (*inner_flush)(struct aloop__ready *ready);
    struct aloop__handshake *handshake; /* The pending future, or NULL. */
    struct aloop__ready run; /* Queued if the driver must run in any case. */
};

/* What `struct aloop__sender wire` belongs to. */
static inline struct aloop__filters *aloop__filters_of(
    const aloop_stream *stream)
{
    return CONTAINER_OF(stream->sender->wire, struct aloop__filters, wire);
}

/* filter_layer.c */

/* Records the first error, which breaks the stream.  Errors that would be
 * mistaken for something else become ALOOP_EINVAL. */
void aloop__layer_fail(struct aloop__filters *filters,
                       struct aloop__layer *layer, ssize_t error);
/* Returns whether `n`, of `size`, is a number of bytes that have moved, and
 * counts them.  filters->moved shows the driver that another round may find
 * something to do; a function that moved bytes and did not count them would let
 * the stream stop. */
static inline bool aloop__layer_moved(struct aloop__filters *filters, ssize_t n,
                                      size_t size)
{
    if (n <= 0 || (size_t) n > size)
        return false;
    filters->moved += (size_t) n;
    return true;
}

/* Record and return the result of a read that gave nothing, and of a pull that
 * will give nothing more. */
ssize_t aloop__layer_read_nothing(struct aloop__filters *filters,
                                  struct aloop__layer *layer, ssize_t n);
ssize_t aloop__layer_pull_end(struct aloop__filters *filters,
                              struct aloop__layer *layer, ssize_t n);
/* Call `read` and `pull`, unless the layer is idle.  Return a number of bytes,
 * 0 at the end, and otherwise an error. */
static inline ssize_t aloop__layer_read(struct aloop__filters *filters,
                                        struct aloop__layer *layer, void *data,
                                        size_t size)
{
    ssize_t n = ALOOP_EAGAIN;

    if (!layer->is_idle)
        n = layer->filter.read(layer->context, data, size);
    if (!aloop__layer_moved(filters, n, size) || layer->has_failed)
        return aloop__layer_read_nothing(filters, layer, n);
    layer->is_dry = false;
    return n;
}
static inline ssize_t aloop__layer_pulled(struct aloop__filters *filters,
                                          struct aloop__layer *layer, ssize_t n,
                                          size_t size)
{
    if (n == ALOOP_EAGAIN)
        return n;
    if (!aloop__layer_moved(filters, n, size))
        return aloop__layer_pull_end(filters, layer, n);
    layer->pulled += (size_t) n;
    return n;
}
static inline ssize_t aloop__layer_pull(struct aloop__filters *filters,
                                        struct aloop__layer *layer, void *data,
                                        size_t size)
{
    ssize_t n = ALOOP_EAGAIN;

    if (!layer->is_idle)
        n = layer->filter.pull(layer->context, data, size);
    return aloop__layer_pulled(filters, layer, n, size);
}
/* The same with memory of the layer, which lends its bytes. */
static inline ssize_t aloop__layer_lend(struct aloop__filters *filters,
                                        struct aloop__layer *layer,
                                        const char **ret_data)
{
    const void *data = NULL;
    ssize_t n = ALOOP_EAGAIN;

    if (!layer->is_idle)
        n = layer->filter.lend(layer->context, &data);
    *ret_data = data;
    return aloop__layer_pulled(filters, layer, n,
                               data != NULL ? PTRDIFF_MAX : 0);
}
/* Asks a layer that has just given bytes whether it is idle.  One that is not
 * ready, or that has failed, is not asked: it may have nothing and still owe
 * its future or an end. */
static inline bool aloop__layer_ask_idle(struct aloop__layer *layer)
{
    layer->is_idle = layer->filter.is_idle != NULL && layer->is_ready &&
                     !layer->has_failed &&
                     layer->filter.is_idle(layer->context);
    return layer->is_idle;
}
/* Has the borrower keep what it needs. */
void aloop__layer_keep_fed(struct aloop__filters *filters);
/* Ends the use of the bytes of the last feed, if a layer still has it.  It must
 * be called before their memory changes. */
static inline void aloop__layer_end_loan(struct aloop__filters *filters)
{
    if (filters->borrower != NULL)
        aloop__layer_keep_fed(filters);
}
/* Continue when the first call has returned `n`, and call until all bytes are
 * taken. */
size_t aloop__layer_feed_rest(struct aloop__filters *filters,
                              struct aloop__layer *layer, const char *data,
                              size_t size, ssize_t n);
size_t aloop__layer_write_rest(struct aloop__filters *filters,
                               struct aloop__layer *layer, const char *data,
                               size_t size, ssize_t n);
/* Call `feed` and `write` until all bytes are taken, usually once.  Return the
 * number of bytes that were. */
static inline size_t aloop__layer_feed(struct aloop__filters *filters,
                                       struct aloop__layer *layer,
                                       const char *data, size_t size)
{
    ssize_t n;

    aloop__layer_end_loan(filters);
    if (size == 0 || layer->has_failed)
        return 0;
    layer->is_idle = false;
    n = layer->filter.feed(layer->context, data, size);
    if (n != (ssize_t) size || !layer->is_ready || layer->filter.keep != NULL)
        return aloop__layer_feed_rest(filters, layer, data, size, n);
    filters->moved += size;
    layer->is_due = true;
    return size;
}
/* A layer whose pull has ended can send nothing more, so that nothing is given
 * to it. */
static inline size_t aloop__layer_write(struct aloop__filters *filters,
                                        struct aloop__layer *layer,
                                        const char *data, size_t size)
{
    ssize_t n;

    if (size == 0 || layer->has_failed || layer->has_pull_end ||
        (layer->above == NULL && filters->stream->write_error != 0))
        return 0;
    layer->is_idle = false;
    n = layer->filter.write(layer->context, data, size);
    if (n != (ssize_t) size)
        return aloop__layer_write_rest(filters, layer, data, size, n);
    filters->moved += size;
    layer->pulled = 0;
    return size;
}
/* Keep the bytes that the layer has refused.  Nothing may be held. */
void aloop__layer_keep_in(struct aloop__filters *filters,
                          struct aloop__layer *layer, const char *data,
                          size_t size);
void aloop__layer_keep_out(struct aloop__filters *filters,
                           struct aloop__layer *layer, const char *data,
                           size_t size);
/* Gives bytes to a layer, and keeps what it refuses.  Nothing may be held. */
static inline void aloop__layer_feed_all(struct aloop__filters *filters,
                                         struct aloop__layer *layer,
                                         const char *data, size_t size)
{
    size_t done = aloop__layer_feed(filters, layer, data, size);

    if (done < size)
        aloop__layer_keep_in(filters, layer, data + done, size - done);
    if (filters->top != filters->bottom) /* Reads will use the memory. */
        aloop__layer_end_loan(filters);
}
/* Offer what is held, and then the end if it is due. */
void aloop__layer_offer_in(struct aloop__filters *filters,
                           struct aloop__layer *layer);
void aloop__layer_offer_out(struct aloop__filters *filters,
                            struct aloop__layer *layer);
/* Keeps bytes for `side`, behind those that are held.  Returns false if out of
 * memory. */
bool aloop__side_keep(struct aloop__filters *filters,
                      struct aloop__filter_side *side, const char *data,
                      size_t size);
void aloop__side_drop(struct aloop__filters *filters,
                      struct aloop__filter_side *side);
/* Ends the pending handshake, if there is one, with `status`. */
void aloop__handshake_end(struct aloop__filters *filters, int status);
/* Calls the handshake if it is due. */
void aloop__layer_shake(struct aloop__filters *filters,
                        struct aloop__layer *layer);

/* filter_wire.c */

/* Sends or queues the bytes of the bottom layer. */
void aloop__wire_put(struct aloop__filters *filters, const char *data,
                     size_t size);
/* Queues what was not sent when a send has returned `n`, or fails. */
void aloop__wire_put_rest(struct aloop__filters *filters, const char *data,
                          size_t size, ssize_t n);
/* Sends what is queued, and the end if it is due. */
void aloop__wire_flush(struct aloop__filters *filters);
/* Marks the place behind which writes settle that the layers have taken. */
void aloop__wire_mark(struct aloop__filters *filters);
/* Drops everything.  Writes fail with `error`. */
void aloop__wire_drop(struct aloop__filters *filters, int error);

/* filter_pull.c */

/* Pulls from the layer and those below it. */
void aloop__filters_pull(struct aloop__filters *filters,
                         struct aloop__layer *layer);
/* In a child of a fork, leaves what the layers have to give to the parent. */
void aloop__filters_leave(struct aloop__filters *filters);

/* filter_driver.c */

/* Moves bytes until nothing moves any more, or a budget is used up. */
void aloop__filters_drive(struct aloop__filters *filters);
/* Has the driver run in this turn, if that is possible, or in the next one. */
void aloop__filters_drive_later(struct aloop__filters *filters);
/* Passes `error` to everything that waits for the stream. */
void aloop__filters_break(struct aloop__filters *filters);
/* stream->sender and filters->run call these. */
void aloop__filters_flush(struct aloop__ready *ready);
void aloop__filters_run(struct aloop__ready *ready);
/* Takes memory for the driver.  Returns false if out of memory. */
bool aloop__filters_take_scratch(struct aloop__filters *filters);
void aloop__filters_put_scratch(struct aloop__filters *filters);
void aloop__filters_free(struct aloop__filters *filters);

/* Notes the result of a receive that gave nothing. */
void aloop__filters_received_none(struct aloop__filters *filters, ssize_t n);
/* Receives once, and feeds what was received to the bottom layer. */
static inline void aloop__filters_receive(struct aloop__filters *filters,
                                          char *buffer, size_t size)
{
    ssize_t n = filters->inner->receive(filters->stream, buffer, size);

    filters->is_unused = false;
    filters->can_receive = n == (ssize_t) size &&
                           ++filters->receives < STREAM_ROUNDS_MAX;
    if (n <= 0) {
        aloop__filters_received_none(filters, n);
        return;
    }
    filters->moved += (size_t) n;
    aloop__layer_feed_all(filters, filters->bottom, buffer, (size_t) n);
}

/* filter_event.c */

/* Returns whether a reader wants what the top layer gives. */
static inline bool aloop__filters_are_read(const aloop_stream *stream)
{
    if (aloop__stream_is_over(stream))
        return false;
    return stream->is_reading ||
           (aloop__stream_wants_data(stream) && !stream->has_input &&
            !aloop__stream_is_paused(stream));
}

/* Returns whether the stream is at rest: one filter, which has nothing left,
 * and nothing in front of it or behind it.  A filter that has failed is not
 * idle, and on_data is paused only while something is in the wire. */
static inline bool aloop__filters_are_at_rest(
    const struct aloop__filters *filters)
{
    const struct aloop__layer *layer = filters->top;

    return layer == filters->bottom && layer->is_idle && !layer->has_pull_end &&
           layer->filter.lend == NULL && layer->filter.keep == NULL &&
           layer->in.held == NULL && !layer->in.is_ending &&
           !layer->out.is_ending && filters->receive_error == 0 &&
           !filters->can_receive && !filters->is_mute && !filters->has_forked &&
           list_is_empty(&filters->wire.pieces) &&
           !aloop__stream_is_busy(filters->stream);
}
/* stream->io calls it. */
void aloop__filters_ready(struct aloop__io *io, unsigned bits);

/* filter_carrier.c */

/* Continues when the first read has returned `n`. */
ssize_t aloop__filters_read_rest(struct aloop__filters *filters, char *buffer,
                                 size_t size, ssize_t n);
/* Reads what the top layer has, usually with one call.  Returns what `receive`
 * of a carrier returns. */
static inline ssize_t aloop__filters_read(struct aloop__filters *filters,
                                          char *buffer, size_t size)
{
    struct aloop__layer *top = filters->top;
    ssize_t n = aloop__layer_read(filters, top, buffer, size);

    if (n > 0 && top->in.held == NULL && aloop__layer_ask_idle(top))
        return n;
    return aloop__filters_read_rest(filters, buffer, size, n);
}
extern const struct aloop__carrier aloop__carrier_filter;

/* filter_close.c: the end of the filters of a stream, which has some. */

/* Has the filters take what is queued if `is_orderly`, and closes them.  The
 * stream then has what they gave to send.  If anything was lost, writing has
 * failed. */
void aloop__filters_end(aloop_stream *stream, bool is_orderly);

#endif
