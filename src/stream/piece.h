/* What a stream has to send, piece by piece. */

#ifndef ALOOP_STREAM_PIECE_H
#define ALOOP_STREAM_PIECE_H

#include "loop/state.h"

/* Who owns the bytes of a piece. */
enum aloop__piece_kind {
    PIECE_OWNED, /* Copied by a put: in `room` bytes behind the piece. */
    /* Put by on_data directly out of the loop's receive buffer.  The bytes stay
     * valid until on_data returns. */
    PIECE_LENT,
    PIECE_WRITE, /* Part of a write operation; the bytes are the caller's. */
    /* This and the following kind are sent one at a time.
     *
     * Copied, and sent with the descriptors of a struct aloop__passed, which is
     * behind the piece and in front of the bytes.  It becomes a PIECE_OWNED
     * when they are sent. */
    PIECE_FDS,
    /* In the pipe of a forward; see splice.c. */
    PIECE_SPLICED
};

/* Bytes to send. */
struct aloop__piece {
    struct aloop__node node; /* In sender->pieces. */
    /* The bytes that were not sent yet.  NULL: they are in a pipe. */
    const char *data;
    size_t size; /* Their number. */
    /* How many of them on_data has put.  If the piece has other bytes too, the
     * replies count as the first ones, so that other bytes never keep a stream
     * paused. */
    size_t replies;
    size_t room; /* PIECE_OWNED and PIECE_FDS only, else 0. */
    enum aloop__piece_kind kind;
};

/* Descriptors to send, which belong to their piece.  If too many descriptors
 * are in flight, the piece is sent again when a timer fires, because no event
 * shows that there are fewer. */
struct aloop__passed {
    struct aloop__sender *sender; /* NULL before the piece is queued. */
    struct aloop__timed retry;    /* Active while `is_delayed`. */
    int64_t retry_ns;             /* The next delay, or 0 for the shortest. */
    bool is_delayed;
    size_t count;
    int fds[];
};

#endif
