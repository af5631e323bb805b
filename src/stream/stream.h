/* Streams from the inside: stream.c, stream_*.c, pieces.c and forward.c. */

#ifndef ALOOP_STREAM_STREAM_H
#define ALOOP_STREAM_STREAM_H

#include "aloop/stream.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/io.h"

enum { STREAM_ROUNDS_MAX = 4 }; /* Receives of one stream in one turn. */

enum aloop__piece_kind {
    PIECE_OWNED, /* What was put: in `room` bytes behind the piece. */
    PIECE_LENT,  /* What was put out of the loop's receive buffer, by the very
                  * callback that was given it: ours until that returns. */
    PIECE_WRITE  /* Part of a write operation, whose caller's bytes they are. */
};

/* Some bytes to send. */
struct aloop__piece {
    struct aloop__node node; /* In stream->pieces. */
    const char *data;        /* What was not sent yet ... */
    size_t size;             /* ... and how much. */
    size_t replies;          /* How much of it the stream's own on_data has
                              * put.  Where a piece has other bytes as well
                              * these count as the first, so that what is not
                              * a reply never keeps a stream paused. */
    size_t room;             /* PIECE_OWNED only, else 0. */
    enum aloop__piece_kind kind;
};

/* Bytes that were received and not asked for yet. */
struct aloop__input {
    size_t room;
    size_t start;
    size_t end;
    char bytes[];
};

struct aloop_stream {
    struct aloop__handle handle;
    struct aloop__io io;
    struct aloop__ready flush;   /* In loop->flushing: has bytes to send. */
    struct aloop__ready deliver; /* Queued: on_data has to hear something that
                                  * no readiness will tell. */
    /* Reading: a callback or an operation, never both. */
    aloop_stream_cb on_data;
    void *arg;
    struct aloop__read *reading;
    struct aloop__node reads;   /* All read operations that exist: `reading`,
                                 * and those that have settled. */
    struct aloop__input *input; /* NULL while there is none. */
    int read_error;             /* What reading ended with; 0: it goes on. */
    bool has_ended;             /* The peer sends no more. */
    bool is_hot;                /* The last receive filled its buffer. */
    bool is_dispatching;        /* Inside its own on_data. */
    /* Writing. */
    bool is_shut;               /* No more may be written. */
    bool has_shut;              /* And the peer was told. */
    bool is_sending;            /* Counted in loop->live. */
    bool has_lent;              /* There is a PIECE_LENT. */
    bool is_paused;             /* `replies` was over the high-water mark and
                                 * is not yet down to the low one: on_data has
                                 * to wait. */
    bool has_auto_pause;        /* Else that is of no consequence. */
    int write_error;            /* What sending failed with. */
    struct aloop__node pieces;
    struct aloop__node waits; /* Drains and shutdowns. */
    size_t queued;              /* Bytes in `pieces`. */
    size_t replies;             /* And those that on_data has put. */
    size_t low;
    size_t high;
    struct aloop__linger *linger; /* After a close that still sends. */
    struct aloop__forward *forward_from; /* The forward out of this stream, */
    struct aloop__forward *forward_to;   /* and the one into it. */
};

/* Takes `fd`, which is connected; closes it also on failure. */
int aloop__stream_new(aloop *loop, int fd, aloop_stream **ret);

/* Watches for what is wanted now, and for nothing else where that is known to
 * cost a useless event; interest in reading is otherwise left standing. */
int aloop__stream_want(aloop_stream *stream, unsigned bits);
void aloop__stream_unwant(aloop_stream *stream, unsigned bits);
/* Asks for the error of a connection that has broken.  Never 0. */
int aloop__stream_error(aloop_stream *stream);
/* After sending: a closed stream ends here once it has sent everything. */
void aloop__stream_progress(aloop_stream *stream);

/* False in a forked child that has not used the stream. */
static inline bool aloop__stream_is_ours(const aloop_stream *stream)
{
    return aloop__io_is_ours(stream->handle.loop, &stream->io);
}

/* Nothing more can be received. */
static inline bool aloop__stream_is_over(const aloop_stream *stream)
{
    return stream->has_ended || stream->read_error != 0;
}

/* What a forward reads it puts elsewhere, and waits for that by itself. */
static inline bool aloop__stream_is_paused(const aloop_stream *stream)
{
    return stream->is_paused && stream->forward_from == NULL;
}

/* stream_read.c */

/* One receive; notes the end and errors.  Returns how many bytes arrived. */
size_t aloop__stream_receive(aloop_stream *stream, char *buffer, size_t size);
/* Receives for the read operation, within bounds. */
void aloop__stream_run_read(struct aloop__read *op);
void aloop__stream_stop_reading(aloop_stream *stream); /* For a close. */
/* Reading has failed for a reason that no receive will report. */
void aloop__stream_fail_reading(aloop_stream *stream, int error);

/* stream_start.c */

void aloop__stream_readable(aloop_stream *stream);
void aloop__stream_deliver(struct aloop__ready *ready);
/* Queues the above. */
void aloop__stream_deliver_later(aloop_stream *stream);
/* aloop__io_claim; on_data is then called for what was left over. */
int aloop__stream_claim(aloop_stream *stream);
/* aloop_stream_start and aloop_stream_stop, without their refusals: a forward
 * does the same with a stream that it keeps others from. */
int aloop__stream_listen(aloop_stream *stream, aloop_stream_cb on_data,
                         void *arg);
void aloop__stream_unlisten(aloop_stream *stream);
/* Watches for what on_data wants. */
void aloop__stream_resume(aloop_stream *stream);

/* stream_write.c */
void aloop__stream_flush(aloop_stream *stream);
void aloop__stream_run_flush(struct aloop__ready *ready);
/* Fewer bytes are queued, or the marks have moved: who waits for that? */
void aloop__stream_queue_changed(aloop_stream *stream);
/* Pauses on_data if there are too many replies. */
void aloop__stream_pause_if_due(aloop_stream *stream);
/* Its own callback has returned: what was lent becomes ours. */
void aloop__stream_own(aloop_stream *stream);
/* What was to be sent is taken back, which the end of the loop does to all: the
 * stream is broken then, so that its close is a reset and not an end. */
void aloop__stream_cut_short(aloop_stream *stream);
/* Nothing can be sent any more: whoever waits for that hears `error`. */
void aloop__stream_fail_writing(aloop_stream *stream, int error);

/* pieces.c */
/* Queues a copy of the bytes, or lends them.  ALOOP_ENOMEM: nothing is. */
int aloop__pieces_put(aloop_stream *stream, const char *data, size_t size);
/* Copies what was lent; false without memory. */
bool aloop__pieces_own(aloop_stream *stream);
void aloop__piece_free(aloop_stream *stream, struct aloop__piece *piece);

/* forward.c: ends an aloop_stream_forward(), because a stream is closed. */
void aloop__forward_end(struct aloop__forward *forward);

#endif
