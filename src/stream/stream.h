/* Streams from the inside: stream.c, stream_*.c, pieces.c and forward.c.
 *
 * Received bytes go to one of two readers.  stream_ready() calls
 * aloop__stream_readable().  If a read operation is pending,
 * aloop__stream_run_read() receives for it, and settles it when it is complete.
 * Otherwise the bytes are received into the loop's receive buffer and passed to
 * on_data.  `input` has bytes that a read operation received but did not use.
 * While it exists nothing is received, so that the order of bytes is kept.
 *
 * Written bytes become pieces.  aloop__stream_flush() sends them: when on_data
 * returns, at the end of the turn, or when the kernel accepts more.  Afterwards
 * it settles drains and shutdowns, resumes reading, and ends a stream that was
 * closed. */

#ifndef ALOOP_STREAM_STREAM_H
#define ALOOP_STREAM_STREAM_H

#include "aloop/stream.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/io.h"

enum { STREAM_ROUNDS_MAX = 4 }; /* Receives of one stream in one turn. */

/* Who owns the bytes of a piece. */
enum aloop__piece_kind {
    PIECE_OWNED, /* Copied by a put: in `room` bytes behind the piece. */
    /* Put by on_data directly out of the loop's receive buffer.  The bytes stay
     * valid until on_data returns; see aloop__stream_own(). */
    PIECE_LENT,
    PIECE_WRITE /* Part of a write operation; the bytes are the caller's. */
};

/* Bytes to send. */
struct aloop__piece {
    struct aloop__node node; /* In stream->pieces. */
    const char *data;        /* The bytes that were not sent yet. */
    size_t size;             /* Their number. */
    /* How many of them on_data has put.  If the piece has other bytes too, the
     * replies count as the first ones, so that other bytes never keep a stream
     * paused. */
    size_t replies;
    size_t room;             /* PIECE_OWNED only, else 0. */
    enum aloop__piece_kind kind;
};

/* Bytes that were received but not requested yet: [start, end). */
struct aloop__input {
    size_t room;
    size_t start;
    size_t end;
    char bytes[];
};

struct aloop_stream {
    struct aloop__handle handle;
    struct aloop__io io;
    /* In loop->flushing while bytes are to be sent. */
    struct aloop__ready flush;
    /* Queued if on_data must be called without a readiness event. */
    struct aloop__ready deliver;
    /* Reading, by a callback or an operation, never by both. */
    aloop_stream_cb on_data;
    void *arg;
    struct aloop__read *reading;
    /* All read operations that exist: `reading`, and those that have
     * settled. */
    struct aloop__node reads;
    struct aloop__input *input; /* NULL if there are none. */
    int read_error;             /* The error that ended reading, or 0. */
    bool has_ended;             /* The peer has ended its side. */
    bool is_hot;                /* The last receive filled its buffer. */
    bool is_dispatching;        /* Inside its own on_data. */
    /* Writing. */
    /* A shutdown was requested; no more may be written. */
    bool is_shut;
    bool has_shut;              /* The shutdown was sent to the peer. */
    bool is_sending;            /* Counted in loop->live. */
    bool has_lent;              /* There is a PIECE_LENT. */
    /* `replies` has exceeded the high-water mark and has not yet fallen to the
     * low-water mark.  on_data is not called in between. */
    bool is_paused;
    bool has_auto_pause;        /* If false, `is_paused` is never set. */
    int write_error;            /* The error that ended writing, or 0. */
    struct aloop__node pieces;
    struct aloop__node waits;   /* Drains and shutdowns. */
    size_t queued;              /* Bytes in `pieces`. */
    size_t replies;             /* Bytes in `pieces` that on_data has put. */
    size_t low;
    size_t high;
    struct aloop__linger *linger; /* While a closed stream is still sending. */
    /* The forward that reads this stream, or NULL. */
    struct aloop__forward *forward_from;
    /* The forward that writes to this stream, or NULL. */
    struct aloop__forward *forward_to;
};

/* Creates a stream for `fd`, which is connected.  Closes `fd` on failure. */
int aloop__stream_new(aloop *loop, int fd, aloop_stream **ret);

/* Adds or removes events that are watched.  Interest in reading is kept when it
 * is not needed, until an event shows that it is useless.  That avoids system
 * calls for a stream that reads again soon. */
int aloop__stream_want(aloop_stream *stream, unsigned bits);
void aloop__stream_unwant(aloop_stream *stream, unsigned bits);
/* Returns the error of a broken connection, never 0. */
int aloop__stream_error(aloop_stream *stream);
/* Called after sending.  Ends a closed stream that has sent everything, and
 * restarts the linger timeout of one that has not. */
void aloop__stream_progress(aloop_stream *stream);

/* Returns false in a forked child that has not used the stream. */
static inline bool aloop__stream_is_ours(const aloop_stream *stream)
{
    return aloop__io_is_ours(stream->handle.loop, &stream->io);
}

/* Returns whether nothing more can be received. */
static inline bool aloop__stream_is_over(const aloop_stream *stream)
{
    return stream->has_ended || stream->read_error != 0;
}

/* Returns whether on_data must wait for the peer.  The callback of a forward
 * writes to another stream and waits for that itself. */
static inline bool aloop__stream_is_paused(const aloop_stream *stream)
{
    return stream->is_paused && stream->forward_from == NULL;
}

/* stream_read.c: read operations. */

/* Receives once, and records the end of the stream or an error.  Returns the
 * number of bytes. */
size_t aloop__stream_receive(aloop_stream *stream, char *buffer, size_t size);
/* Receives for the read operation, at most STREAM_ROUNDS_MAX times. */
void aloop__stream_run_read(struct aloop__read *op);
/* For a close: ends reading and drops the continuations of all reads. */
void aloop__stream_stop_reading(aloop_stream *stream);
/* Ends reading with an error that no receive will report. */
void aloop__stream_fail_reading(aloop_stream *stream, int error);

/* stream_start.c: reading by callback. */

/* Called when the descriptor is readable or broken. */
void aloop__stream_readable(aloop_stream *stream);
/* Calls on_data for bytes, an end or an error that are known without an
 * event. */
void aloop__stream_deliver(struct aloop__ready *ready);
/* Queues aloop__stream_deliver(). */
void aloop__stream_deliver_later(aloop_stream *stream);
/* Takes the stream over in a forked child, see aloop__io_claim(), and has
 * on_data called for what was left over. */
int aloop__stream_claim(aloop_stream *stream);
/* aloop_stream_start() and aloop_stream_stop(), without their checks.  A
 * forward uses them for a stream on which those functions fail. */
int aloop__stream_listen(aloop_stream *stream, aloop_stream_cb on_data,
                         void *arg);
void aloop__stream_unlisten(aloop_stream *stream);
/* Watches for input if on_data can be called. */
void aloop__stream_resume(aloop_stream *stream);

/* stream_write.c: writing. */
/* Sends the queued pieces and does everything that follows from it. */
void aloop__stream_flush(aloop_stream *stream);
void aloop__stream_run_flush(struct aloop__ready *ready);
/* Called after fewer bytes are queued, or the watermarks have changed.  Settles
 * drains and shutdowns, and resumes reading. */
void aloop__stream_queue_changed(aloop_stream *stream);
/* Pauses on_data if too many of its replies are queued. */
void aloop__stream_pause_if_due(aloop_stream *stream);
/* Called after on_data has returned: copies the pieces that were lent. */
void aloop__stream_own(aloop_stream *stream);
/* Called after unsent bytes were taken back.  If aloop_free() did that, writing
 * fails, so that the close sends a reset and not an end. */
void aloop__stream_cut_short(aloop_stream *stream);
/* Ends writing.  All pieces are dropped, and writes, drains and shutdowns fail
 * with `error`. */
void aloop__stream_fail_writing(aloop_stream *stream, int error);

/* pieces.c: the queue of bytes to send. */
/* Queues a copy of the bytes, or lends them.  ALOOP_ENOMEM: nothing was
 * queued. */
int aloop__pieces_put(aloop_stream *stream, const char *data, size_t size);
/* Copies all lent pieces.  Returns false if out of memory. */
bool aloop__pieces_own(aloop_stream *stream);
/* Removes a piece from the queue and frees it, except that a PIECE_WRITE
 * belongs to its operation. */
void aloop__piece_free(aloop_stream *stream, struct aloop__piece *piece);

/* forward.c: cancels a forward because one of its streams is closed.  NULL is
 * allowed. */
void aloop__forward_end(struct aloop__forward *forward);

#endif
