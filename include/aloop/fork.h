/* A loop after fork(). */

#ifndef ALOOP_FORK_H
#define ALOOP_FORK_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Makes the loop belong to this process, a child made by fork().
 *
 * Call it before anything else is done with the loop.  The kernel objects that
 * parent and child share are replaced; aloop_fd() keeps its number.
 *
 *     object                     in the child from then on
 *     timers, tasks, futures,    exist in both processes, independently
 *     posts, deferred calls
 *     a connected stream         rests until its first use, see below
 *     a closed stream that has   belongs to the parent
 *     bytes to send
 *     a listener                 accepts in both; close it in one of them to
 *                                end that
 *     a connect in progress      begins again
 *     a name look-up             fails with ALOOP_ECANCELED; another one may
 *                                hang in the C library if a thread of the
 *                                parent was inside the resolver
 *     a function of              fails with ALOOP_ECANCELED, whether its thread
 *     aloop_work()               has begun or not; the parent has the thread
 *     an operation on files      fails with ALOOP_ECANCELED, whether its thread
 *                                has begun or not, and so do those that are
 *                                queued after it; the parent has the thread
 *     an open file               exists in both, with a position of its own
 *     an open directory          can only be closed
 *     a poll, or a wait for a    continues in both; close it in one of them
 *     descriptor
 *     a watched signal           is called back in the process that received
 *                                it; one that the child received after the fork
 *                                is called back here
 *
 * A connected stream belongs to one process.  While it rests in the child,
 * nothing is read, no callback runs, and a pending read stays pending:
 *
 *     event                      effect in the child
 *     bytes queued, or a         stay with the parent; futures that wait for
 *     shutdown requested         these fail with ALOOP_EPIPE
 *     close, abort,              drop the child's copy, without an effect on
 *     aloop_free()               the connection
 *     first start, read, put,    takes the stream over; the parent should close
 *     write or shutdown          its copy then
 *
 * Until this function has succeeded, the child cannot run the loop, and what it
 * does to the loop's objects changes nothing that the parent can see.  This
 * does not depend on process numbers.  If a callback or a task has forked, it
 * is the last one that the turn calls in the child, unless it calls this
 * function; what the turn still had to do then stays queued.
 *
 * - A vforked child must not touch the loop; a signal that it receives is
 *   ignored.  It cannot be recognised if it has its parent's process number, in
 *   a PID namespace of its own.
 * - Where the system cannot clear a page of memory in a child (Linux before
 *   4.14, macOS), a forked child is recognised by its process number or by this
 *   call.  Close nothing but files before it; signals received before it are
 *   dropped.  In a PID namespace of its own it can have its parent's process
 *   number; then it may wait indefinitely for the parent's threads.
 *
 * Returns: 0, also in the process that the loop belongs to, where the call has
 *          no effect.
 * Errors:  ALOOP_EBUSY: another thread ran the loop at the fork, and the child
 *          cannot use it;
 *          ALOOP_EPERM: the process is a vforked child;
 *          others: no descriptor or memory, and the function may be called
 *          again, or the loop freed.
 */
ALOOP_API int aloop_after_fork(aloop *loop);

ALOOP_END

#endif
