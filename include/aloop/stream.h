/* Streams: bytes in both directions, in order, with back pressure.
 *
 * There are two ways to read and two ways to write:
 *
 *     aloop_stream_start()    a callback for all data that arrives
 *     aloop_stream_read()     one future at a time; also _read_exactly(),
 *                             _read_until(), _read_to_end()
 *     aloop_stream_put()      copies the bytes and returns immediately
 *     aloop_stream_write()    borrows the bytes until its future settles
 *
 * What is written in one callback or turn leaves in one system call.
 *
 * If the application closes a stream's descriptor, the next use of the stream
 * reports ALOOP_EBADF.  A pending read may not be notified, because the system
 * does not report this. */

#ifndef ALOOP_STREAM_H
#define ALOOP_STREAM_H

#include "aloop/address.h"
#include "aloop/base.h"
#include "aloop/stream_read.h"
#include "aloop/stream_write.h"

ALOOP_BEGIN

/**
 * Receives what arrives on a started stream.
 *
 *     `size`         meaning
 *     more than 0    that many bytes at `data`
 *     0              the end of the stream
 *     less than 0    an error, also if a put could not be sent because memory
 *                    was exhausted
 *
 * After the end or an error the callback is not called again; the stream still
 * has to be closed.
 *
 * Memory:  `data` is borrowed until the callback returns.
 * Context: a turn of the loop.
 */
typedef void (*aloop_stream_cb)(aloop_stream *stream, const void *data,
                                ssize_t size, void *arg);

/**
 * Starts to call `on_data` for all data that arrives.
 *
 * Calling it on a started stream replaces callback and argument.
 *
 * Reading pauses while more than the high-water mark of bytes are queued that
 * `on_data` itself has put on this stream (replies), and continues when no more
 * than the low-water mark of them are left (64 and 16 KiB, unless
 * aloop_stream_set_watermarks() has changed them).  So a peer that sends and
 * never reads the replies costs no more memory than that.  Nothing else pauses
 * reading: neither what was put by other code, nor what aloop_stream_write() or
 * a forward sends.  Reads by futures and forwards are never paused.
 *
 * Two ends that both put more than they receive, both in `on_data`, can wait
 * for each other indefinitely.  One of them should turn the pause off with
 * aloop_stream_set_auto_pause(), or raise its marks.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` or `on_data` is NULL;
 *          ALOOP_EBUSY: a read is pending, or the stream is forwarded;
 *          others: the descriptor could not be watched.
 */
ALOOP_API int aloop_stream_start(aloop_stream *stream, aloop_stream_cb on_data,
                                 void *arg);

/**
 * Stops calling `on_data`, until the next aloop_stream_start().
 *
 * No data is lost.  A second call has no effect.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_EBUSY: the stream is forwarded.
 */
ALOOP_API int aloop_stream_stop(aloop_stream *stream);

/**
 * Enables or disables the pause that aloop_stream_start() describes.
 *
 * It is enabled initially.  Without it the callback has to limit its replies
 * itself.  The change takes effect immediately.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ENOMEM: out of memory, and nothing has changed.
 */
ALOOP_API int aloop_stream_set_auto_pause(aloop_stream *stream, bool is_on);

/**
 * Moves everything that `from` receives into `to`, with back pressure.
 *
 * At the end of `from` it shuts `to` down.  Both streams stay the caller's, to
 * be closed afterwards; closing one earlier cancels the forward.  Until it
 * settles, `from` cannot be read, started or stopped.
 *
 * Between sockets and pipes, a long transfer is not copied where the system has
 * splice().  The forward then has two more descriptors, until it has settled
 * and `to` has sent its bytes.
 *
 * It notices that `to` has failed, or that its peer has closed it, also while
 * nothing arrives.  If `from` is reset while `to` accepts nothing, what had
 * arrived before is queued in `to` regardless of the high-water mark, and the
 * forward ends.
 *
 * Status:  the number of bytes.
 * Errors:  ALOOP_EBUSY: `from` is started or read, another forward leads into
 *          `to`, or both streams are the same;
 *          ALOOP_EINVAL: a stream is NULL;
 *          ALOOP_ECANCELED: the future was cancelled, or a stream was closed;
 *          others: the error of either stream.  That of `to` is then also the
 *          error of every write, and that of `from` leaves `to` unchanged.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_stream_forward(aloop_stream *from,
                                             aloop_stream *to);

/**
 * Returns the descriptor of a stream.
 *
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_EBADF: the stream has no descriptor any more.
 * Memory:  the descriptor belongs to the stream.
 */
ALOOP_API int aloop_stream_fd(const aloop_stream *stream);

/**
 * Writes the peer's address to `text`: "127.0.0.1:80", "[::1]:80".
 *
 * An IPv4 address that a listener on every address reports as IPv6 is written
 * as IPv4.  The address of a Unix socket is its path, or an empty text if it
 * has none, as the connecting end.  A `size` of 128 is always enough.
 *
 * Returns: the length of the text, without its terminating 0.
 * Errors:  ALOOP_ENOSPC: `size` is too small, and nothing is written;
 *          ALOOP_EINVAL: `stream` or `text` is NULL;
 *          ALOOP_EAFNOSUPPORT: the stream is no socket;
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          ALOOP_ENOTCONN: both ends have closed the connection;
 *          others: the error that ended the connection, ALOOP_ECONNRESET if
 *          none is known yet.
 */
ALOOP_API int aloop_stream_peer(const aloop_stream *stream, char *text,
                                size_t size);

/**
 * Writes the address of this end to `text`: "127.0.0.1:80", "[::1]:80".
 *
 * The format is that of aloop_stream_peer().
 *
 * Returns: the length of the text, without its terminating 0.
 * Errors:  ALOOP_ENOSPC: `size` is too small, and nothing is written;
 *          ALOOP_EINVAL: `stream` or `text` is NULL;
 *          ALOOP_EAFNOSUPPORT: the stream is no socket;
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          others: the error that ended the connection.
 */
ALOOP_API int aloop_stream_local(const aloop_stream *stream, char *text,
                                 size_t size);

/**
 * Stores the peer's address.
 *
 * An IPv4 address that a listener on every address reports as IPv6 is stored as
 * IPv4.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAFNOSUPPORT: the stream is not one of IPv4 or IPv6;
 *          ALOOP_EINVAL: `stream` or `ret_address` is NULL;
 *          others: as for aloop_stream_peer().
 */
ALOOP_API int aloop_stream_peer_address(const aloop_stream *stream,
                                        aloop_address *ret_address);

/**
 * Stores the address of this end.
 *
 * An IPv4-mapped address is stored as IPv4.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAFNOSUPPORT: the stream is not one of IPv4 or IPv6;
 *          ALOOP_EINVAL: `stream` or `ret_address` is NULL;
 *          others: as for aloop_stream_local().
 */
ALOOP_API int aloop_stream_local_address(const aloop_stream *stream,
                                         aloop_address *ret_address);

/**
 * Makes a started stream keep the loop alive, as it does initially.
 *
 * A second call has no effect.
 */
ALOOP_API void aloop_stream_ref(aloop_stream *stream);

/**
 * Stops a started stream from keeping the loop alive.
 *
 * The stream itself continues.  A second call has no effect.
 */
ALOOP_API void aloop_stream_unref(aloop_stream *stream);

/**
 * Closes a stream and sends what is queued.
 *
 * It takes effect immediately: no callback of the stream runs after this
 * returns.  NULL is allowed.
 *
 *                           close             abort           aloop_free()
 *     a pending read        is cancelled      is cancelled    is cancelled
 *     queued bytes          are sent          are dropped     are dropped
 *     pending writes,       settle            are cancelled   are cancelled
 *     drains, shutdowns
 *     unread input          is dropped        is dropped      is dropped
 *     the peer receives     the bytes, then   a reset         a reset if bytes
 *                           the end                           were queued, else
 *                                                             the end
 *     the target of a       is not closed     is not closed   is reset
 *     pending forward
 *
 * The descriptor is closed when the queued bytes have been sent.  A peer that
 * accepts nothing for 30 s receives a reset.  Data that arrives after the close
 * makes the system send a reset, so let the peer end first if it may be
 * sending.  A peer never mistakes a part of what was written for the whole.
 *
 * Memory:  `stream` is no longer valid.
 */
ALOOP_API void aloop_stream_close(aloop_stream *stream);

/**
 * Closes a stream, drops what is queued and resets the connection.
 *
 * It takes effect immediately, as the table of aloop_stream_close() shows.
 * NULL is allowed.
 *
 * Memory:  `stream` is no longer valid.
 */
ALOOP_API void aloop_stream_abort(aloop_stream *stream);

ALOOP_END

#endif
