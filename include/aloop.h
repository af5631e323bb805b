/* libaloop: asyncio-style concurrency for plain C.
 *
 * This header includes every other one.  The interface has two kinds of calls:
 *
 *   - A handle calls you back repeatedly (timer, signal, listener, stream).  It
 *     takes a callback and `void *arg`.
 *   - An operation happens once, and is a future (sleep, connect, read, write,
 *     a task).  Callback code attaches aloop_then() to it; a task calls
 *     aloop_await().
 *
 * A task is a function on a stack of its own, which may wait; see aloop/task.h.
 * A future is pending until it settles, which gives it a status.  A turn is one
 * pass of the loop: it runs what is due, sends what was written and waits for
 * events.
 *
 * Names follow one table.  Exceptions are stated with the function.
 *
 *   name                     effect                          on failure
 *   x_new(...)               returns an object               NULL
 *   x_start(..., &ret_x)     starts a handle that calls      an error; *ret_x
 *                            back; x_restart() begins its    stays untouched
 *                            time again
 *   x_stop(x)                stops the callbacks, keeps x,   an error
 *                            may be called twice
 *   x_begin(), x_end()       enclose a stretch of a task's   NULL or an error
 *                            code
 *   x_verb(x, ...)           an operation: returns a         a future that has
 *                            future                          failed, or NULL
 *   x_try_verb(x, ...)       does it without waiting         ALOOP_EAGAIN
 *   x_is_y(x), is_y()        a question                      false
 *   x_free(x)                ends an object; futures that    -
 *                            wait for it settle with
 *                            ALOOP_ECLOSED
 *   x_close(x)               ends a handle immediately: no   -
 *                            callback runs any more
 *   x_ref(x), x_unref(x)     of a handle: whether it keeps   -
 *                            the loop alive; not counted
 *   future_ref, _unref       of a future: adds or drops an   -
 *                            owner's reference; counted
 *   x_set_y(x, ...)          changes a property              an error
 *
 *   exceptions               what differs
 *   aloop_tcp_listen()       starts a handle
 *   aloop_timer_new()        makes a handle that is stopped; a close ends it
 *   aloop_prepare_start()    starts a handle that does not keep the loop alive
 *   aloop_channel_close()    closes, and keeps the channel until its free
 *   aloop_stream_abort()     a second end of streams: drops what is queued
 *   aloop_group_free()       waits settle when the members have ended
 *   aloop_free()             returns an error where it cannot free
 *   aloop_stop()             stops a run, not a handle
 *   aloop_alive()            a question without `is`
 *
 * What holds everywhere, unless a function states otherwise:
 *
 *   Errors:   int and ssize_t results are 0 or more on success and an
 *             ALOOP_E... (always negative) on failure; errno is not used.
 *             Results written through `ret_` parameters stay untouched on
 *             failure.
 *   NULL:     free, close, abort, ref, unref, detach and wake accept it and do
 *             nothing.  Other functions return ALOOP_EINVAL, or a future that
 *             has failed with it; counts and questions return 0 or false, and
 *             aloop_channel_is_closed() true.  As a future, NULL has failed
 *             with ALOOP_ENOMEM.
 *   Misuse:   an argument out of range gives ALOOP_EINVAL.  Debug loops
 *             (aloop_options.debug) report more mistakes, and return
 *             ALOOP_EPERM on a wrong thread.
 *   Options:  structs that begin with their `size`; NULL and zero fields select
 *             the defaults, see aloop/options.h.
 *   Memory:   the library owns every object.  A handle is freed after its
 *             close, a future after its last reference.  ALOOP_ENOMEM may be
 *             returned by whatever allocates, and a NULL future means the same.
 *   Context:  the thread that runs the loop, from a callback, a task or outside
 *             of both.  Only aloop_post() and aloop_wake() may be called on
 *             other threads.
 *   Time:     int64_t nanoseconds on a monotonic clock.
 *   SIGPIPE:  is never raised by the library's writes. */

#ifndef ALOOP_H
#define ALOOP_H

#include "aloop/base.h"
#include "aloop/error.h"
#include "aloop/options.h"
#include "aloop/loop.h"
#include "aloop/post.h"
#include "aloop/fork.h"
#include "aloop/future.h"
#include "aloop/operation.h"
#include "aloop/timer.h"
#include "aloop/signal.h"
#include "aloop/poll.h"
#include "aloop/prepare.h"
#include "aloop/address.h"
#include "aloop/resolve.h"
#include "aloop/stream.h"
#include "aloop/stream_open.h"
#include "aloop/stream_fds.h"
#include "aloop/stdio.h"
#include "aloop/tty.h"
#include "aloop/stream_read.h"
#include "aloop/stream_write.h"
#include "aloop/filter.h"
#include "aloop/listener.h"
#include "aloop/tcp.h"
#include "aloop/tcp_options.h"
#include "aloop/unix.h"
#include "aloop/udp.h"
#include "aloop/udp_options.h"
#include "aloop/file.h"
#include "aloop/file_data.h"
#include "aloop/fs.h"
#include "aloop/fs_attributes.h"
#include "aloop/fs_data.h"
#include "aloop/dir.h"
#include "aloop/copy.h"
#include "aloop/task.h"
#include "aloop/main.h"
#include "aloop/deadline.h"
#include "aloop/timeout.h"
#include "aloop/compose.h"
#include "aloop/work.h"
#include "aloop/group.h"
#include "aloop/server.h"
#include "aloop/channel.h"
#include "aloop/stat.h"
#include "aloop/sync.h"
#include "aloop/mutex.h"
#include "aloop/semaphore.h"
#include "aloop/event.h"
#include "aloop/condition.h"
#include "aloop/barrier.h"
#include "aloop/renamed.h"

#endif
