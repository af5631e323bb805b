/* Signals, delivered as callbacks in the loop, or awaited.
 *
 * Apart from aloop_options.debug this is the only part of the library that
 * changes process-wide state, and only while a signal is watched.  The first
 * watch of a number, by any loop of the process, installs a handler; closing
 * the last one restores the previous disposition.  A disposition that the
 * application has set in between is kept; the next watch of the number installs
 * the handler again. */

#ifndef ALOOP_SIGNAL_H
#define ALOOP_SIGNAL_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Receives a signal, once for each time that the process received it.
 *
 * The kernel may merge signals of one number that are pending together.
 *
 * Context: a turn of the loop.
 */
typedef void (*aloop_signal_cb)(aloop_signal *signal, int number, void *arg);

/**
 * Starts to watch a signal.
 *
 * Several watches of one number, in one or several loops, are each called back.
 * A forked child is called back for what it received itself, after
 * aloop_after_fork().  A signal before the fork that has ended an
 * aloop_signal_wait() ends it in both processes.
 *
 * The signal has to reach a thread.  If each thread of the process blocks it,
 * it stays pending in the kernel, without a callback, until one unblocks it.  A
 * program inherits its signal mask from the one that started it, so a signal
 * may be blocked from the start.  The library changes no thread's mask.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: the number does not exist or cannot be caught, or an
 *          argument is NULL;
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the library owns the watch, until aloop_signal_close().
 */
ALOOP_API int aloop_signal_start(aloop *loop, int number,
                                 aloop_signal_cb on_signal, void *arg,
                                 aloop_signal **ret_signal);

/**
 * Makes a watch keep the loop alive, as it does initially.
 *
 * A second call has no effect.
 */
ALOOP_API void aloop_signal_ref(aloop_signal *signal);

/**
 * Stops a watch from keeping the loop alive.
 *
 * The watch itself continues.  A second call has no effect.
 */
ALOOP_API void aloop_signal_unref(aloop_signal *signal);

/**
 * Ends a watch and frees it.
 *
 * It takes effect immediately: no callback runs after this returns, also for
 * signals that were received before.  NULL is allowed.
 */
ALOOP_API void aloop_signal_close(aloop_signal *signal);

/**
 * Waits for a signal.
 *
 * The signal is watched when this returns.  The first one ends the watch, even
 * before the loop runs: if no other watch exists, the next signal of this
 * number has its previous effect.  A cancel ends the watch as well.
 *
 * Status:  the number of the signal.
 * Errors:  ALOOP_EINVAL: the number does not exist or cannot be caught, or
 *          `loop` is NULL;
 *          ALOOP_ENOMEM: out of memory.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_signal_wait(aloop *loop, int number);

ALOOP_END

#endif
