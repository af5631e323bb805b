/* Filters: code between a stream and its descriptor, such as TLS.
 *
 * A filter is a table of functions and a context.  It is given bytes and gives
 * bytes, and never touches a descriptor:
 *
 *     peer --> feed --> read --> reader
 *     peer <-- pull <-- write <-- writer
 *
 * The stream does the rest, so that every function of aloop/stream.h works on
 * top of a filter: buffers, water marks, deadlines, half-close.
 *
 * Filters stack: each new one is nearer to the reader and the writer than those
 * before it. */

#ifndef ALOOP_FILTER_H
#define ALOOP_FILTER_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Holds the functions of a filter.
 *
 * Set `size` to sizeof(aloop_filter).
 *
 *                 > 0        0               ALOOP_EAGAIN    other errors
 *     feed        taken      (size 0 only)   takes nothing   broken
 *     read        given      the end         has nothing     broken
 *     write       taken      (size 0 only)   takes nothing   broken
 *     pull        given      the end         has nothing     broken
 *     lend        given      the end         has nothing     broken
 *     handshake   -          done            continues       failed
 *     keep        -          done            -               broken
 *
 * Results:
 *
 * - `taken` and `given` are 1 to `size` bytes; fewer than `size` is allowed in
 *   every call.
 * - A read of 0: the peer has ended properly.  A pull of 0: no more bytes
 *   follow, and the peer is sent the end of the stream.  Each is final.
 * - `broken`: both directions of the stream fail with the error.  Bytes that
 *   the filter gave before are delivered first.
 * - A result that this table does not allow counts as ALOOP_EINVAL, and so do
 *   ALOOP_EBADF, ALOOP_PENDING and numbers that are no errors.
 * - ALOOP_EPROTO is the usual error if the peer breaks the protocol, and
 *   ALOOP_ECONNRESET if it has cut the stream off.
 *
 * Calls:
 *
 * - A feed or write with `size` 0 and `data` NULL is the end of the peer or of
 *   the writer.  It is called once, after all bytes were taken, and must return
 *   0.  The end of the writer is that of a shutdown or close; an abort has
 *   none.  After the end of the peer, `read` decides whether it was proper.
 * - `handshake` is called first, without input, and then after every feed and
 *   wake until it returns 0.  Before that neither `read` nor `write` is called;
 *   what the application puts stays queued.
 * - `write` is offered everything that was put; small puts are joined, up to
 *   16 KiB for each call.  `pull` is called after that.  A filter should flush
 *   at the first pull that finds nothing left, unless the last `write` has
 *   refused bytes, because then more are coming.
 * - `pull` is also called after `handshake` and `read`, so that these may cause
 *   output.  They may also make room for bytes that `feed` has refused.
 * - `is_idle` saves calls that find nothing.  Without it, `read` and `pull` are
 *   repeated until both return ALOOP_EAGAIN.  It is asked after bytes were
 *   given, and returns true if neither of the two has anything left: no bytes,
 *   no end and no error.  Then they are called again only after another
 *   function or a wake.
 * - `lend` saves a copy.  It is called instead of `pull`, and what is said of
 *   `pull` holds for it.  It sets *ret_data to memory of the filter, and may
 *   return any number of bytes.  The stream uses them only until it calls
 *   another function of the filter.
 * - `keep` saves another one.  With it, the filter may use the bytes that
 *   `feed` has taken until `keep` is called, which copies those that are still
 *   needed.  That is before other bytes are fed, and before the stream waits
 *   for input.  After an error and before `close` it is not called: then the
 *   bytes must not be used any more.
 * - After an error only `pull` is called.  What it gives is sent, for example
 *   an alert.
 * - `close` is called once.  No function is called after it.
 *
 * Rules for the functions:
 *
 * - They must not call functions of their stream, also not to close it, except
 *   aloop_stream_filter_wake().  A debug loop reports such a call, which has no
 *   effect there.  They must not await.
 * - They may cancel or drop a future of their stream.  A read leaves its bytes
 *   to the next one, also those that `read` is giving; its buffer must exist
 *   until the next turn.  A write that is cancelled inside of `write`, or
 *   inside of a `pull` that is called because `write` has refused bytes, breaks
 *   the writing side.
 * - They run on the stack of the loop, except that aloop_stream_close() and
 *   aloop_stream_abort() call them on the stack of their caller.
 * - `data` is borrowed until the function returns, or for `feed` with `keep`
 *   until that returns.
 *
 * A filter that takes and gives nothing more costs no time; a deadline of the
 * application is what ends such a stream.  Whether reading is possible after a
 * shutdown depends on the filter.
 */
typedef struct aloop_filter {
    size_t size;
    /* A name for debuggers, such as "tls"; may be NULL.  The library does not
     * use it. */
    const char *name;
    /* Takes bytes of the peer. */
    ssize_t (*feed)(void *context, const void *data, size_t size);
    /* Gives bytes to the reader. */
    ssize_t (*read)(void *context, void *data, size_t size);
    /* Takes bytes of the writer. */
    ssize_t (*write)(void *context, const void *data, size_t size);
    /* Gives bytes for the peer; NULL: `lend` does. */
    ssize_t (*pull)(void *context, void *data, size_t size);
    /* Takes the next step before the first byte; NULL: there is none. */
    int (*handshake)(void *context);
    /* Frees the context; NULL: there is nothing to free. */
    void (*close)(void *context);
    /* Returns whether read and pull have nothing left.  NULL: both are called
     * once more to find that out. */
    bool (*is_idle)(void *context);
    /* Gives bytes for the peer in memory of the filter; NULL: `pull` does. */
    ssize_t (*lend)(void *context, const void **ret_data);
    /* Copies what is needed of the last feed; NULL: `feed` has done that. */
    int (*keep)(void *context);
} aloop_filter;

/**
 * Puts a filter on a stream, which may have been in use before.
 *
 *     bytes                          go
 *     put or written before          to the peer, unfiltered by this filter
 *     unread: aloop_stream_unread()  to `feed`, first
 *     put or written from now on     to `write`, after the handshake
 *
 * The stream must not be read meanwhile: no read is pending, and it is stopped,
 * or the call is made in its own callback.
 *
 * With a filter, passing descriptors fails with ALOOP_ENOTSUP, those that
 * arrive are closed, and aloop_stream_detach() fails with ALOOP_EBUSY.
 * aloop_stream_queued() is the number of bytes that the filter has not taken
 * and of those from it that were not sent.  A write settles when the bytes that
 * it became are sent; a cancel after the filter has taken its first byte breaks
 * the writing side.  Reading pauses for replies only while bytes from the
 * filter wait to be sent.
 *
 * aloop_stream_close() has the filter take what is queued and its end, sends
 * what it gives, and then drops what the peer sends until the peer ends, for at
 * most 5 s.  What the filter does not take is dropped, and the peer receives a
 * reset.  So are all bytes before the end of the handshake, and those of a
 * filter that gives 16 MiB without taking any.
 *
 * Status:  0 when the handshake is done; immediately if there is none.
 * Errors:  ALOOP_EINVAL: `stream`, `filter` or a function is NULL, or
 *          `filter->size` is wrong;
 *          ALOOP_EBUSY: the stream is read, started or forwarded, descriptors
 *          were not sent or not taken yet, or the handshake of another filter
 *          is pending;
 *          ALOOP_ENOMEM: out of memory;
 *          ALOOP_EPIPE: the writing side was shut down;
 *          ALOOP_ECANCELED: the stream was closed during the handshake, or the
 *          future was cancelled, which breaks the stream: ALOOP_ECONNABORTED;
 *          others: the error of the handshake or the stream.
 * Memory:  copies `filter`.  `context` is the stream's from this call on, until
 *          `close` was called.  That is before the call returns if it fails
 *          immediately, and else before aloop_stream_close() or
 *          aloop_stream_abort() returns.  Only if `filter` is NULL or its size
 *          is wrong, `close` is not called, and `context` stays the caller's.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_filter(aloop_stream *stream,
                                            const aloop_filter *filter,
                                            void *context);

/**
 * Has the stream call its filters in the next turn, without input.
 *
 * This is for a filter that can continue for another reason than bytes: a
 * timer, or a job on a thread that has ended.  The functions of a filter may
 * call it.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ENOTSUP: the stream has no filter.
 */
ALOOP_API int aloop_stream_filter_wake(aloop_stream *stream);

ALOOP_END

#endif
