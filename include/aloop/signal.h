/* Signals, delivered as callbacks in the loop.
 *
 * This is the only part of the library that changes process-wide state, and
 * only while a signal is watched: the first watch of a number, by any loop of
 * the process, installs a handler; closing the last one puts back what was
 * there.  A disposition that the application has set in between is kept; the
 * next watch of the number installs the handler again. */

#ifndef ALOOP_SIGNAL_H
#define ALOOP_SIGNAL_H

#include "aloop/base.h"

ALOOP_BEGIN

typedef void (*aloop_signal_cb)(aloop_signal *signal, int number, void *arg);

/**
 * Calls `on_signal` in the loop for each time the process received `number`
 * (the kernel may merge several of the same that are pending).  Several watches
 * of one number, in one or several loops, each get it.  A forked child is
 * called back for what it received itself, after aloop_after_fork().
 *
 * The signal has to reach a thread: where each thread of the process blocks it,
 * it stays pending in the kernel, without a callback, until one unblocks it.  A
 * program inherits its signal mask from the one that started it, so it may be
 * blocked from the start; the library changes no thread's mask.
 *
 * Memory:  the library owns the watch, until aloop_signal_close().
 * Errors:  ALOOP_EINVAL for a number that does not exist or cannot be caught,
 *          or a NULL argument; ALOOP_ENOMEM.
 */
ALOOP_API int aloop_signal_start(aloop *loop, int number,
                                 aloop_signal_cb on_signal, void *arg,
                                 aloop_signal **ret_signal);

/** A watch keeps the loop alive unless unreferenced.  Idempotent. */
ALOOP_API void aloop_signal_ref(aloop_signal *signal);
ALOOP_API void aloop_signal_unref(aloop_signal *signal); /**< See ref. */

/** Final at once, also for signals that have come but not been called back.
 * NULL is allowed. */
ALOOP_API void aloop_signal_close(aloop_signal *signal);

ALOOP_END

#endif
