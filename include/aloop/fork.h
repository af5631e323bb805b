/* A loop after fork(). */

#ifndef ALOOP_FORK_H
#define ALOOP_FORK_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Makes the loop this process's own, in a child made by fork(), before anything
 * else is done with the loop: the kernel objects that parent and child share
 * are replaced, under the same aloop_fd().  Timers, tasks, futures, posts and
 * what was deferred exist in both from then on.
 *
 * - A connected stream belongs to one process.  In the child it rests: nothing
 *   is read, no callback runs, a read that was pending stays so.  What was
 *   queued to be sent, and a shutdown that was asked for, are the parent's:
 *   futures that wait for them fail with ALOOP_EPIPE.  A close or an abort, and
 *   aloop_free(), drop the child's copy and do nothing to the connection.  The
 *   first use in the child (start, any read, put, write, shutdown) takes
 *   the stream over: close it in the parent then.
 * - Listeners accept in both; close them in one of the two to end that.
 * - A signal that the parent received is called back in the parent alone.  One
 *   that the child received after the fork is called back here.
 * - What was closed and still had bytes to send is the parent's.
 * - A connect that was under way begins again in the child.
 * - A name look-up fails with ALOOP_ECANCELED.  Another one may hang in the C
 *   library, if a thread of the parent was inside the resolver.
 *
 * Until it has succeeded, the child cannot run the loop (ALOOP_EPERM), and what
 * it does to the loop's objects changes nothing that the parent can see.  This
 * does not depend on pids.  Where a callback or task has forked, it is the last
 * one that the turn calls in the child, unless it calls this function, too:
 * what the turn still had to do then remains queued.
 *
 * A vforked child must not touch the loop; a signal that it receives is
 * ignored.  It cannot be recognised if it has its parent's
 * pid, in a PID namespace of its own.  Where the system cannot clear a page of
 * memory in a child (Linux before 4.14, macOS), a forked child is recognised by
 * its pid or by this call: close nothing before it; signals that are received
 * before it are dropped.
 *
 * Returns: 0, also in the process that the loop belongs to, where it does
 *          nothing.
 * Errors:  no descriptor or memory: it may be called again, or the loop freed;
 *          ALOOP_EBUSY where another thread was running the loop at the fork,
 *          so that the child cannot use it; ALOOP_EPERM in a vforked child.
 */
ALOOP_API int aloop_after_fork(aloop *loop);

ALOOP_END

#endif
