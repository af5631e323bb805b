/* Synchronization between the tasks and callbacks of one loop.
 *
 * A task is interrupted only where it waits, so a lock is needed only around
 * code that awaits.  Waiting is a future.  Waiters are served first in, first
 * out, without exception: what becomes free belongs to the first waiter from
 * that moment on.  Cancelling a future that still waits removes it from the
 * queue.  A waiter that was served stays served, and an await returns that.
 *
 * Waiting does not keep the loop alive by itself (a task that waits does).
 * If nothing else is left to wait for, aloop_run() returns, and an
 * aloop_await() outside of tasks returns ALOOP_EDEADLK.
 *
 * The library owns each object, until aloop_x_free() or aloop_free().  Futures
 * that still wait for an object then settle with ALOOP_ECLOSED. */

#ifndef ALOOP_SYNC_H
#define ALOOP_SYNC_H

#include "aloop/barrier.h"
#include "aloop/condition.h"
#include "aloop/event.h"
#include "aloop/mutex.h"
#include "aloop/semaphore.h"

#endif
