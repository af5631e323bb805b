/* libaloop: asyncio-style concurrency for plain C.
 *
 * This header includes every other one.  Two ideas carry the interface:
 *
 *   - A handle calls you back, again and again (timer, signal, listener,
 *     stream).  It takes a callback and `void *arg`.
 *   - An operation happens once, and is a future (sleep, connect, read, write,
 *     a task).  Callback code attaches aloop_then() to it; a task says
 *     aloop_await().
 *
 * What holds everywhere, unless a function says otherwise:
 *
 *   Errors:   int and ssize_t results are 0 or more on success and an
 *             ALOOP_E... (always negative) on failure; errno is not used.
 *             Results written through `ret_` parameters stay untouched on
 *             failure.
 *   Misuse:   a NULL or out-of-range argument gives ALOOP_EINVAL, or a future
 *             that has failed with it; nothing is lost and nothing crashes.
 *   Memory:   the library owns every object.  A handle is gone after its close;
 *             a future after its last reference.
 *   Context:  the thread that runs the loop, from a callback, a task or outside
 *             of both.  Only aloop_post() and aloop_wake() may be called from
 *             other threads.
 *   Time:     int64_t nanoseconds on a monotonic clock.
 *   SIGPIPE:  is never raised by the library's writes. */

#ifndef ALOOP_H
#define ALOOP_H

#include "aloop/base.h"
#include "aloop/error.h"
#include "aloop/options.h"
#include "aloop/loop.h"
#include "aloop/fork.h"
#include "aloop/future.h"
#include "aloop/timer.h"
#include "aloop/signal.h"
#include "aloop/stream.h"
#include "aloop/tcp.h"
#include "aloop/task.h"
#include "aloop/compose.h"
#include "aloop/group.h"
#include "aloop/channel.h"
#include "aloop/sync.h"

#endif
