/* Terminals: their size, and raw mode.
 *
 * aloop_stream_open() makes a stream of a terminal.  These functions are for
 * such streams; others give ALOOP_ENOTTY. */

#ifndef ALOOP_TTY_H
#define ALOOP_TTY_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Stores the size of a terminal, in characters.
 *
 * Both numbers are 0 if the terminal does not know its size.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_ENOTTY: the stream is no terminal;
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          ALOOP_EIO: the terminal has hung up.
 */
ALOOP_API int aloop_tty_size(const aloop_stream *stream, unsigned *ret_columns,
                             unsigned *ret_rows);

/**
 * Receives the new size of a terminal.
 *
 * Context: a turn of the loop.
 */
typedef void (*aloop_tty_cb)(aloop_stream *stream, unsigned columns,
                             unsigned rows, void *arg);

/**
 * Calls `on_resize` each time the size of a terminal has changed.
 *
 * A second call replaces callback and argument.  NULL ends the calls, and so
 * does the close of the stream.  They do not keep the loop alive.
 *
 * The terminal has to be the controlling one of the process, because the size
 * is read when the process receives SIGWINCH.  That signal is watched, see
 * aloop_signal_start(), from the first call until the end of the calls; the
 * application may watch it too.  Several changes may cause one call.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ENOMEM: out of memory;
 *          others: as for aloop_tty_size().
 *          Nothing has changed after an error.
 */
ALOOP_API int aloop_tty_on_resize(aloop_stream *stream, aloop_tty_cb on_resize,
                                  void *arg);

/**
 * Puts a terminal into raw mode, or restores its mode.
 *
 * In raw mode each byte of the input arrives immediately and unchanged: the
 * terminal does not echo it, edit lines or turn ^C into a signal.  Output is
 * processed as before.  Input that was typed before the change is kept.
 *
 * The mode belongs to the terminal, which several streams, loops and processes
 * may share.  It is raw while at least one stream of this process needs that.
 * When the last one does not need it any more, the terminal gets the mode back
 * that it had before the first one.  A stream needs it until `is_raw` is false,
 * or until it is closed, aborted or detached; aloop_free() does that too.
 * Lingering counts as open.  A forked child does not restore the mode that its
 * parent has set.
 *
 * A program that ends in another way should call aloop_tty_reset().  One that
 * was stopped finds the mode of the shell when it continues.  It can watch
 * SIGCONT and call this function again, which sets the mode again.
 *
 * It works in the background too, where the system would stop the process
 * (SIGTTOU).
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `stream` is NULL;
 *          ALOOP_ENOTTY: the stream is no terminal;
 *          ALOOP_ENOTSUP: it is the master of a pseudo-terminal;
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          ALOOP_EIO: the terminal has hung up;
 *          ALOOP_EMFILE: no descriptor is left, of which each stream in raw
 *          mode needs one more;
 *          ALOOP_ENOMEM: out of memory.
 *          Nothing has changed after an error.
 */
ALOOP_API int aloop_tty_set_raw(aloop_stream *stream, bool is_raw);

/**
 * Restores the modes of all terminals that this process has made raw.
 *
 * It is for handlers of signals that end the program, and for code that ends it
 * without closing the streams.  The streams stay usable, and
 * aloop_tty_set_raw() may set the mode again.
 *
 * Context: any thread and any signal handler (async-signal-safe).  It keeps
 * errno.
 */
ALOOP_API void aloop_tty_reset(void);

ALOOP_END

#endif
