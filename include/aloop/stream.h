/* Streams: bytes in both directions, in order, with back pressure.
 *
 * Reading is either a callback for whatever comes (aloop_stream_start) or one
 * future at a time (aloop_stream_read and its kin).  Writing is either a copy
 * that returns at once (aloop_stream_put) or a future that borrows the bytes
 * (aloop_stream_write).  What is written in one callback or turn leaves in one
 * system call. */

#ifndef ALOOP_STREAM_H
#define ALOOP_STREAM_H

#include "aloop/base.h"

ALOOP_BEGIN

/* A descriptor that somebody else closes is noticed at its next use, with
 * ALOOP_EBADF; a read that waits may not hear of it, for the system says
 * nothing. */

/**
 * `size` > 0: that many bytes at `data`, which is borrowed until the callback
 * returns.  0: the end of the stream.  Less: an error, also when what was put
 * could not be sent for want of memory.  After the end or an error the callback
 * is not called again; the stream still has to be closed.
 */
typedef void (*aloop_stream_cb)(aloop_stream *stream, const void *data,
                                ssize_t size, void *arg);

/**
 * Calls `on_data` for whatever arrives, until aloop_stream_stop().  Calling it
 * while started replaces callback and argument.
 *
 * While more than the high-water mark of bytes wait to be sent that `on_data`
 * itself has put on this stream, that is replies, it is not called, until no
 * more than the low-water mark of them are left.  So a peer that sends and
 * never reads the replies costs no more memory than that.  Nothing else pauses
 * reading: neither what was put by other code, nor what aloop_stream_write() or
 * a forward sends; and neither reads by futures nor forwards are ever paused.
 *
 * Two ends that both put more than they receive, both from `on_data`, can wait
 * for each other indefinitely: one of them should turn the pause off with
 * aloop_stream_set_auto_pause(), or raise its marks.
 *
 * Errors:  ALOOP_EINVAL; ALOOP_EBUSY while a read future is pending or the
 *          stream is forwarded; what watching the descriptor failed with.
 */
ALOOP_API int aloop_stream_start(aloop_stream *stream,
                                 aloop_stream_cb on_data, void *arg);

/**
 * No more on_data until the next start; nothing is lost.  Idempotent.
 *
 * Errors:  ALOOP_EINVAL; ALOOP_EBUSY while a forward leads out of the stream.
 */
ALOOP_API int aloop_stream_stop(aloop_stream *stream);

/**
 * Reads what is there, once there is something: 1 to `size` bytes into
 * `buffer`, which is borrowed until the future settles.
 *
 * Status:  the number of bytes; 0 at the end of the stream; else an error:
 *          ALOOP_EINVAL, for size 0, too; ALOOP_EBUSY (only one read at a time,
 *          none while started, none while a forward leads out of the stream);
 *          ALOOP_ECANCELED after aloop_cancel() or when the stream is closed;
 *          ALOOP_ECONNRESET or whatever else the system reported of the
 *          connection, also if it reported it to a write: only the peer's end
 *          is an end.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read(aloop_stream *stream, void *buffer,
                                          size_t size);

/**
 * Reads exactly `size` bytes; none, which is done immediately, for 0.
 *
 * Status:  `size`; ALOOP_EOF if the stream ends before.  On any failure and on
 *          cancellation the bytes that had come are not lost: the next read
 *          gets them.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read_exactly(aloop_stream *stream,
                                                  void *buffer, size_t size);

/**
 * Reads up to and including the first `delimiter` (1 to 256 bytes, copied).
 *
 * Status:  the bytes up to its end; ALOOP_EMSGSIZE if it does not come within
 *          `size` bytes, ALOOP_EOF if the stream ends without it: nothing is
 *          lost then, the next read gets the bytes.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read_until(aloop_stream *stream,
                                                void *buffer, size_t size,
                                                const void *delimiter,
                                                size_t delimiter_size);

/**
 * Reads to the end of the stream; 0 bytes, immediately, into no room at all.
 *
 * Status:  the number of bytes; ALOOP_EMSGSIZE once there are more than `size`
 *          (nothing is lost).
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_read_to_end(aloop_stream *stream,
                                                 void *buffer, size_t size);

/**
 * Copies the bytes and sends them after the present callback, or at the end of
 * the turn.
 *
 * Returns: 0, or 1 when more than the high-water mark of bytes are queued now:
 *          the caller had better aloop_stream_drain().
 * Errors:  ALOOP_EINVAL, ALOOP_ENOMEM (nothing of it is queued), ALOOP_EPIPE
 *          after aloop_stream_shutdown(), or what an earlier send failed with.
 */
ALOOP_API int aloop_stream_put(aloop_stream *stream, const void *data,
                               size_t size);

/**
 * Sends the bytes, which are borrowed until the future settles, behind all that
 * was written before.  They leave with the end of the turn, so awaiting each of
 * many small writes costs a turn each: put those, and drain when put returns 1.
 *
 * Status:  `size`, once the system has taken all; 0 for none, at once; else
 *          the error, and an unknown part of them was sent.  Cancelling it
 *          before its first byte was sent takes it back; after that the rest
 *          is dropped and the stream's writing side is broken (ALOOP_EPIPE).
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_write(aloop_stream *stream,
                                           const void *data, size_t size);

/** Settles with 0 once no more than the low-water mark of bytes are queued. */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_drain(aloop_stream *stream);

/**
 * Half-close: settles with 0 once all that was written has been sent and the
 * peer told that no more will come.  Reading goes on.  It is done once asked
 * for: cancelling or dropping the future only ends the waiting.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_shutdown(aloop_stream *stream);

/**
 * Moves everything that `from` receives into `to`, with back pressure, until
 * the end of `from`, and then shuts `to` down.  Both streams stay the
 * caller's, to be closed afterwards; closing one earlier cancels this.  Until
 * it settles, `from` cannot be read, started or stopped (ALOOP_EBUSY).
 *
 * Status:  the number of bytes; else the error of either side, with `to` left
 *          as it was; ALOOP_EBUSY while `from` is started or read, when
 *          another forward leads into `to`, or when both are the same.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_forward(aloop_stream *from,
                                             aloop_stream *to);

/** Bytes written that the system has not taken yet. */
ALOOP_API size_t aloop_stream_queued(const aloop_stream *stream);

/**
 * Sets the water marks, low < high or both 0; at first 16 KiB and 64 KiB.  They
 * decide what aloop_stream_put() returns, when a drain settles, when a forward
 * waits, and when the callback of aloop_stream_start() is paused.  A high mark
 * of SIZE_MAX never pauses anything.
 *
 * Errors:  ALOOP_EINVAL.
 */
ALOOP_API int aloop_stream_set_watermarks(aloop_stream *stream, size_t low,
                                          size_t high);

/**
 * Turns the pause that aloop_stream_start() describes off or on again; at first
 * it is on.  Without it the callback is called whatever is queued, and has to
 * bound its replies itself.  Takes effect immediately.
 *
 * Errors:  ALOOP_EINVAL.
 */
ALOOP_API int aloop_stream_set_auto_pause(aloop_stream *stream, bool on);

/** The descriptor, still the stream's; ALOOP_EBADF where there is none. */
ALOOP_API int aloop_stream_fd(const aloop_stream *stream);

/**
 * The other end's address: "127.0.0.1:80", "[::1]:80".  An IPv4 address that
 * a listener on every address reports as IPv6 is given as IPv4.
 *
 * Returns: the length; ALOOP_ENOSPC, and nothing written, where
 *          `size` is too small (96 is enough).
 * Errors:  ALOOP_EINVAL; ALOOP_EBADF where there is no descriptor any more; the
 *          error that the connection has ended with, ALOOP_ECONNRESET if none
 *          is known yet; ALOOP_ENOTCONN once both ends have ended.
 */
ALOOP_API int aloop_stream_peer(const aloop_stream *stream, char *text,
                                size_t size);

/** Our own end's address, as aloop_stream_peer() tells the peer's. */
ALOOP_API int aloop_stream_local(const aloop_stream *stream, char *text,
                                 size_t size);

/** A started stream keeps the loop alive unless unreferenced.  Idempotent. */
ALOOP_API void aloop_stream_ref(aloop_stream *stream);
ALOOP_API void aloop_stream_unref(aloop_stream *stream); /**< See ref. */

/**
 * Final at once: no callback of the stream runs any more, its pending read is
 * cancelled, and `stream` is gone.  What was written is still sent, pending
 * writes settle, and only then the descriptor is closed; a peer that takes
 * nothing for 30 s gets a reset.  What has come and was not read is dropped;
 * what comes after the close still makes the system send a reset, so let the
 * peer end first where it may be sending.  NULL is allowed.
 *
 * aloop_free() closes what is open, and waits for nothing: a connection that
 * still has bytes to send then, closed before or not, is reset, and so is the
 * target of a forward that has not settled.  A peer never takes a part of what
 * was written for the whole.
 */
ALOOP_API void aloop_stream_close(aloop_stream *stream);

/**
 * As close, but what was not sent is dropped, pending writes are cancelled and
 * the peer gets a reset.  NULL is allowed.
 */
ALOOP_API void aloop_stream_abort(aloop_stream *stream);

ALOOP_END

#endif
