/* Streams from the inside.  Each file calls only those above it:
 *
 *   splice.c        a pipe through which bytes move without being copied
 *   pieces.c        the queue of bytes to send
 *   carrier.c       the descriptor: what is watched, its errors, a forked child
 *   carrier_socket.c, carrier_pipe.c
 *                   a table of functions for each kind of descriptor
 *   send.c          one call of the carrier, and what it changes in the queue
 *   sender.c        the writing half: sending, and what follows from it
 *   stream_write.c  put, write, drain and shutdown
 *   carrier_fds.c   Unix sockets, and descriptors that are passed with bytes
 *   stream_input.c  bytes that were received and not consumed
 *   read_list.c     the read operations that exist
 *   stream_read.c   read operations
 *   stream_start.c  reading by callback
 *   forward.c       from one stream to another
 *   filter_*.c      the carrier with which a stream passes through filters
 *   stream_close.c  lingering, and the end of the descriptor
 *   stream.c        from connected to closed: the events of the descriptor
 *   unwatched_job.c, carrier_unwatched.c, carrier_terminal.c
 *                   carriers that make their streams, and cause their events
 *   stream_open.c   from a descriptor, pairs, pipes
 *   tty.c           sizes and modes of terminals
 *   stream_address.c, stdio.c, tcp_race.c, tcp_connect.c, unix_connect.c,
 *   listener.c, listener_adopt.c, tcp_listen.c, unix_listen.c, tcp_options.c
 *
 * Sending has consequences for reading and for a close.  sender.c reports
 * them upwards by the functions of struct aloop__stream_ops.
 *
 * Received bytes go to one of two readers.  stream_ready() calls
 * aloop__stream_readable().  If a read operation is pending,
 * aloop__stream_run_read() receives for it, and settles it when it is complete.
 * Otherwise the bytes are received into the loop's receive buffer and passed to
 * on_data.  sender->input has bytes that a read operation received but did not
 * use, and bytes that the application has put back.  While it exists nothing is
 * received, so that the order of bytes is kept.
 *
 * Written bytes become pieces.  aloop__stream_flush() sends them: when on_data
 * returns, at the end of the turn, or when the kernel accepts more.  Afterwards
 * it settles drains and shutdowns, resumes reading, and ends a stream that was
 * closed. */

#ifndef ALOOP_STREAM_STREAM_H
#define ALOOP_STREAM_STREAM_H

#include "aloop/stream.h"
#include "loop/buffers.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "stream/carrier.h"
#include "stream/piece.h"

enum { STREAM_ROUNDS_MAX = 4 }; /* Receives of one stream in one turn. */

/* Bytes that were received but not consumed yet: [start, end).  It exists only
 * while it has bytes, except while a read operation receives into it. */
struct aloop__input {
    size_t room;
    size_t start;
    size_t end;
    char bytes[];
};

/* The writing half of a stream, and what else an idle one does without.  The
 * stream has it while there is something to send, longer if `is_kept` or one of
 * the first three fields is in use, and until its next flush after
 * aloop__sender_hurry() and after `input` or `reads` was used. */
struct aloop__sender {
    /* Queued if on_data must be called without a readiness event. */
    struct aloop__ready deliver;
    /* Bytes for the next reader, if stream->has_input. */
    struct aloop__input *input;
    /* Read operations that still exist although on_data or a forward reads
     * now. */
    struct aloop__read *reads;
    aloop_stream *stream;
    struct aloop__node pieces;
    struct aloop__node waits; /* Drains and shutdowns. */
    /* What the filters of the stream have to send, or NULL if it has none.
     * `pieces` are for the filters then; see filters.h. */
    struct aloop__sender *wire;
    /* A shutdown was requested; no more may be written. */
    bool is_shut;
    bool has_shut;   /* The shutdown was sent to the peer. */
    bool is_sending; /* Counted in loop->live. */
    bool has_lent;   /* There is a PIECE_LENT. */
    /* `replies` has exceeded the high-water mark and has not yet fallen to the
     * low-water mark.  on_data is not called in between. */
    bool is_paused;
    bool has_auto_pause; /* If false, `is_paused` is never set. */
    /* It has more to remember than an idle one: the application has changed the
     * watermarks or the pause, or it was shut, or a forward writes, or the
     * carrier has state. */
    bool is_kept;
    /* Of a wire: the filters have taken bytes and may give some.  No drain
     * settles. */
    bool is_filling;
    bool is_offering; /* Of a wire: the top filter is being given bytes. */
    bool is_dropping_input; /* A close drops input until the peer ends. */
    size_t high;            /* The watermarks. */
    size_t low;
    size_t queued;  /* Bytes in `pieces`. */
    size_t replies; /* Bytes in `pieces` that on_data has put. */
    /* In loop->flushing while bytes are to be sent. */
    struct aloop__ready flush;
    struct aloop__linger *linger; /* While a closed stream is still sending. */
    /* The state of a carrier that has one, or NULL. */
    void *carried;
    /* The forward that writes to this stream, or NULL. */
    struct aloop__forward *forward_to;
};

/* A write operation. */
struct aloop__write {
    aloop_future future;
    struct aloop__sender *sender;
    struct aloop__piece piece;
    size_t size;
};

/* The future of a drain or a shutdown. */
struct aloop__stream_wait {
    aloop_future future;
    struct aloop__node node; /* In sender->waits. */
    bool is_shutdown;        /* If false, it is a drain. */
};

struct aloop_stream {
    union {
        struct aloop__handle handle;
        /* What fits into handle.own. */
        struct {
            unsigned char before_own[offsetof(struct aloop__handle, own)];
            bool is_hot;        /* The last receive filled its buffer. */
            bool has_ended : 1; /* The peer has ended its side. */
            /* The descriptor blocked before it was opened. */
            bool has_blocked : 1;
            bool has_failed : 1;   /* Sending has; bytes may be lost. */
            bool is_forwarded : 1; /* A forward reads it, which is `arg`. */
            bool is_reading : 1;   /* The first of `reads` is pending. */
            bool has_input : 1;    /* There is sender->input. */
            /* How often on_data does not look for more after a full buffer. */
            unsigned char looks_to_skip : 2;
            short read_error;  /* The error that ended reading, or 0. */
            short write_error; /* The error that ended writing, or 0. */
        };
    };
    struct aloop__io io;
    const struct aloop__carrier *carrier;
    struct aloop__sender *sender; /* NULL if the stream is idle. */
    /* Reading, by a callback or an operation, never by both. */
    aloop_stream_cb on_data;
    union {
        /* Of on_data.  If `is_forwarded`, it is the struct aloop__forward, also
         * while on_data is NULL. */
        void *arg;
        /* Otherwise, all read operations that exist: the pending one, and then
         * those that have settled.  sender->reads has those that have settled
         * if the stream has `arg`. */
        struct aloop__read *reads;
    };
};

_Static_assert(offsetof(aloop_stream, io) == sizeof(struct aloop__handle),
               "fields of the stream do not fit into handle.own");

/* The kind of all streams, and what is reported to the files above. */
struct aloop__stream_ops {
    struct aloop__handle_ops handle;
    /* A closed stream has sent bytes, or cannot send any more. */
    void (*sent)(aloop_stream *stream);
    /* on_data may be called again. */
    void (*resumed)(aloop_stream *stream);
    /* on_data must be called without an event. */
    void (*due)(aloop_stream *stream);
    /* Writing has ended with `error`. */
    void (*failed)(aloop_stream *stream, int error);
    /* Bytes of a put were dropped because of `error`.  No future reports it. */
    void (*lost)(aloop_stream *stream, int error);
};

static inline const struct aloop__stream_ops *aloop__stream_ops_of(
    const aloop_stream *stream)
{
    return CONTAINER_OF(stream->handle.ops, const struct aloop__stream_ops,
                        handle);
}

/* stream_open.c */

void aloop__stream_set_directions(aloop_stream *stream, bool can_read,
                                  bool can_write);
struct sys_descriptor;

/* Makes a stream of a descriptor that aloop__sys_examine() has described. */
typedef int aloop__stream_open_fn(aloop *loop, int fd,
                                  const struct sys_descriptor *what,
                                  aloop_stream **ret);
/* Examines `fd`, has `open_as` make a stream, and sets its directions. */
int aloop__stream_open_by(aloop *loop, int fd, aloop__stream_open_fn *open_as,
                          aloop_stream **ret_stream);

/* stream.c */

/* Creates a stream for `fd`, which does not block.  `fd` stays the caller's on
 * failure. */
int aloop__stream_make(aloop *loop, int fd,
                       const struct aloop__carrier *carrier,
                       aloop_stream **ret);
/* Creates a stream for `fd`, a connected socket.  Closes `fd` on failure. */
int aloop__stream_new(aloop *loop, int fd, const struct aloop__carrier *carrier,
                      aloop_stream **ret);

/* stream_close.c */

/* Ends a stream that has nothing to send.  Returns its descriptor, which stays
 * open. */
int aloop__stream_release(aloop_stream *stream);
/* Closes the descriptor.  The stream is freed at the end of the turn. */
void aloop__stream_end(aloop_stream *stream);
/* Functions of struct aloop__stream_ops. */
void aloop__stream_close_handle(struct aloop__handle *handle);
void aloop__stream_sent(aloop_stream *stream);

/* carrier.c: the descriptor. */

/* The `watch` of carriers whose descriptor the reactor can watch. */
int aloop__carrier_watch(aloop_stream *stream, unsigned bits);
/* Adds or removes events that are watched.  Interest in reading is kept when it
 * is not needed, until an event shows that it is useless.  That avoids system
 * calls for a stream that reads again soon. */
static inline int aloop__stream_want(aloop_stream *stream, unsigned bits)
{
    unsigned armed = stream->io.armed;

    /* Usually nothing changes. */
    return (armed & bits) == bits
               ? 0
               : stream->carrier->watch(stream, armed | bits);
}

/* Adds REACTOR_READ, for a reader that begins or continues. */
static inline int aloop__stream_want_input(aloop_stream *stream, unsigned bits)
{
    unsigned armed = stream->io.armed;

    return (armed & bits) == bits && !stream->carrier->has_input
               ? 0
               : stream->carrier->watch(stream, armed | bits);
}

/* A failure only causes useless events, which lead here again. */
static inline void aloop__stream_unwant(aloop_stream *stream, unsigned bits)
{
    if ((stream->io.armed & bits) != 0)
        stream->carrier->watch(stream, stream->io.armed & ~bits);
}

/* Records what a receive has found out that has returned 0 or an error. */
void aloop__stream_received_none(aloop_stream *stream, ssize_t n);
/* Returns the error of a broken connection, never 0. */
int aloop__stream_error(aloop_stream *stream);
/* Takes the stream over in a forked child, see aloop__io_adopt(), and has
 * on_data called for what was left over. */
int aloop__stream_adopt(aloop_stream *stream);

/* Returns false in a forked child that has not used the stream. */
static inline bool aloop__stream_is_ours(const aloop_stream *stream)
{
    return aloop__io_is_ours(stream->handle.loop, &stream->io);
}

/* Returns whether its on_data is running. */
static inline bool aloop__stream_is_dispatching(const aloop_stream *stream)
{
    return stream->handle.loop->dispatching == &stream->handle;
}

/* Returns whether the bytes are in the loop's receive buffer. */
static inline bool aloop__is_received(const aloop *loop, const char *data,
                                      size_t size)
{
    uintptr_t offset = (uintptr_t) data - (uintptr_t) loop->receive_buffer;

    return loop->receive_buffer != NULL && offset < RECEIVE_SIZE &&
           size <= RECEIVE_SIZE - offset;
}

/* Returns whether nothing more can be received. */
static inline bool aloop__stream_is_over(const aloop_stream *stream)
{
    return stream->has_ended || stream->read_error != 0;
}

/* Returns whether the stream has `arg` and not `reads`. */
static inline bool aloop__stream_has_arg(const aloop_stream *stream)
{
    return stream->is_forwarded || stream->on_data != NULL;
}

/* Returns whether bytes are queued or a drain or shutdown is pending. */
static inline bool aloop__stream_is_busy(const aloop_stream *stream)
{
    return stream->sender != NULL && !(list_is_empty(&stream->sender->pieces) &&
                                       list_is_empty(&stream->sender->waits));
}

/* Returns whether on_data must wait for the peer.  The callback of a forward
 * writes to another stream and waits for that itself. */
static inline bool aloop__stream_is_paused(const aloop_stream *stream)
{
    return stream->sender != NULL && stream->sender->is_paused &&
           !stream->is_forwarded;
}

/* Returns whether on_data may be called.  An active stream has one. */
static inline bool aloop__stream_wants_data(const aloop_stream *stream)
{
    return aloop__handle_is_active(&stream->handle) &&
           !stream->handle.loop->is_dying;
}

/* Returns whether the stream has filters. */
static inline bool aloop__stream_is_filtered(const aloop_stream *stream)
{
    return stream->sender != NULL && stream->sender->wire != NULL;
}

/* Returns whether what on_data puts out of the receive buffer can be sent from
 * there: nothing is queued in front of it.  A stream with filters always has a
 * writing half. */
static inline bool aloop__stream_may_lend(const aloop_stream *stream)
{
    return stream->sender == NULL ||
           (stream->sender->wire != NULL &&
            list_is_empty(&stream->sender->wire->pieces) &&
            !stream->sender->is_shut && !aloop__stream_is_busy(stream));
}

/* Returns the number of bytes that are queued in front of filters and behind
 * them. */
static inline size_t aloop__sender_queued(const struct aloop__sender *sender)
{
    return sender->queued + (sender->wire != NULL ? sender->wire->queued : 0);
}

/* Returns whether a drain may settle. */
static inline bool aloop__sender_is_drained(const struct aloop__sender *sender)
{
    return aloop__sender_queued(sender) <= sender->low &&
           (sender->wire == NULL || !sender->wire->is_filling);
}

/* Has on_data called in the next turn, without an event. */
static inline void aloop__stream_deliver_later(aloop_stream *stream)
{
    aloop__stream_ops_of(stream)->due(stream);
}

/* carrier_fds.c: descriptors that are passed with bytes. */

/* Returns whether there are received descriptors that the application has not
 * taken. */
bool aloop__fds_are_left(const aloop_stream *stream);

/* sender.c: sending. */

/* Returns the writing half, which it creates if necessary, or NULL if out of
 * memory. */
struct aloop__sender *aloop__sender_get(aloop_stream *stream);
/* Sends the queued pieces and does everything that follows from it.  Without a
 * writing half, it only ends the watching for writability. */
void aloop__stream_flush(aloop_stream *stream);
/* Does what follows if the system has not accepted all of `size` lent bytes:
 * `n` is what it has returned. */
void aloop__stream_send_rest(aloop_stream *stream, size_t size, ssize_t n);
/* Sends what on_data has queued. */
void aloop__stream_send_queued(aloop_stream *stream);
/* Called before a close: queues the bytes of loop->lent, if on_data closes
 * its own stream. */
void aloop__stream_queue_lent(aloop_stream *stream);
/* Counts bytes that were queued, and schedules a flush. */
void aloop__sender_queued_more(struct aloop__sender *sender, size_t size);
/* Sends the bytes of a write that a task awaits, if nothing else is queued and
 * a flush is due.  Returns their number if the system has accepted all of them,
 * and the caller settles the write.  Otherwise ALOOP_PENDING: it waits, or has
 * failed and settled. */
ssize_t aloop__sender_hurry(struct aloop__write *write);
/* Called after fewer bytes are queued, or the watermarks have changed.  Settles
 * drains and shutdowns, and resumes reading. */
void aloop__sender_queue_changed(struct aloop__sender *sender);
/* Pauses on_data if too many of its replies are queued. */
void aloop__sender_pause_if_due(struct aloop__sender *sender);
/* Called after unsent bytes were taken back.  If aloop_free() did that, writing
 * fails, so that the close sends a reset and not an end. */
void aloop__stream_cut_short(aloop_stream *stream);
/* Ends writing.  All pieces are dropped, and writes, drains and shutdowns fail
 * with `error`. */
void aloop__stream_fail_writing(aloop_stream *stream, int error);

/* stream_read.c: read operations. */

/* Receives once.  Returns the number of bytes.  It is the only place that
 * receives.  What it finds out about the connection is recorded in the stream,
 * and its callers look there after a result of 0. */
static inline size_t aloop__stream_receive(aloop_stream *stream, char *buffer,
                                           size_t size)
{
    ssize_t n = stream->carrier->receive(stream, buffer, size);

    stream->is_hot = n == (ssize_t) size;
    if (n > 0)
        return (size_t) n;
    aloop__stream_received_none(stream, n);
    return 0;
}
/* Receives for the read operation, at most STREAM_ROUNDS_MAX times. */
void aloop__stream_run_read(struct aloop__read *op);
/* Settles the pending read operation, if there is one, with an error. */
void aloop__stream_fail_read(aloop_stream *stream, int error);

/* read_list.c: the read operations that exist. */

/* For a close: cancels the pending operation, drops the continuations of all
 * reads, and the bytes that were not used. */
void aloop__stream_end_reads(aloop_stream *stream);
/* Makes room for stream->arg: keeps reads that have settled elsewhere.  Returns
 * ALOOP_ENOMEM, and nothing has changed then. */
int aloop__stream_keep_reads(aloop_stream *stream);
/* For a detach: the continuations of all reads, which have settled, will run
 * although the stream ends. */
void aloop__stream_forget_reads(aloop_stream *stream);

/* stream_start.c: reading by callback. */

/* Called when the descriptor is readable or broken.  If there is no reader, the
 * interest is ended only now, so that a stream that was stopped and started
 * again has saved two system calls. */
void aloop__stream_readable(aloop_stream *stream);
/* Does the same for a stream that is plain; see plain.h. */
void aloop__stream_serve_plain(aloop_stream *stream);
/* Passes the first `size` bytes of the loop's receive buffer to on_data. */
void aloop__stream_give(aloop_stream *stream, size_t size);
/* Calls on_data for bytes, an end or an error that need no event. */
void aloop__stream_deliver(aloop_stream *stream);
/* aloop_stream_start() and aloop_stream_stop(), without their checks.  A
 * forward uses them for a stream on which those functions fail. */
int aloop__stream_start(aloop_stream *stream, aloop_stream_cb on_data,
                        void *arg);
void aloop__stream_stop(aloop_stream *stream);
/* Watches for input if on_data can be called. */
void aloop__stream_resume(aloop_stream *stream);
/* Ends reading with an error that no receive will report. */
void aloop__stream_fail_reading(aloop_stream *stream, int error);

/* stream_write.c: put, write, drain and shutdown. */

/* Returns why nothing can be written, or 0.  Creates the writing half, which
 * the next flush of the stream releases if it stays unused. */
int aloop__stream_prepare_writing(aloop_stream *stream);

/* Returns the forward that reads the stream, or NULL. */
static inline struct aloop__forward *aloop__stream_forward_from(
    const aloop_stream *stream)
{
    return stream->is_forwarded ? stream->arg : NULL;
}

/* forward.c: cancels a forward because a stream is closed; NULL is allowed. */
void aloop__forward_end(struct aloop__forward *forward);
/* Writing to its target has failed. */
void aloop__forward_fail(struct aloop__forward *forward, int error);
/* Called for an event with REACTOR_HANGUP or REACTOR_ERROR. */
void aloop__forward_hung_up(aloop_stream *stream, unsigned bits);

#include "stream/pieces.h"

#endif
