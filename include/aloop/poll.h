/* Descriptors that belong to the application or to another library, watched for
 * readiness.
 *
 * Libraries with descriptors of their own (libcurl, libpq, c-ares, ...) and
 * terminals, pipes and devices are joined to a loop in this way.  The loop
 * never reads from, writes to or closes such a descriptor, and never changes
 * its flags.
 *
 * The events:
 *
 *     ALOOP_POLL_...  reported    when
 *     READABLE        if watched  a read would not block: there are data, the
 *                                 end of the data or an error to read
 *     WRITABLE        if watched  a write would not block
 *     PRIORITY        if watched  there are urgent data, see below
 *     HANGUP          always      both directions are closed, or the other end
 *                                 of a pipe is
 *     ERROR           always      the descriptor has an error, or the reading
 *                                 end of a pipe is closed
 *
 * HANGUP and ERROR are reported together with READABLE and WRITABLE if these
 * are watched, because a read or a write does not block then.  Code that tests
 * for READABLE alone learns the rest from its read.  A peer that only ends its
 * direction is READABLE without HANGUP, since it can still be written to.
 *
 * Readiness is level-triggered: it is reported in each turn until the
 * application has used it, so that a callback may use a part, or do one thing
 * and return.  A descriptor that has hung up stays ready.
 *
 * Any number of polls and waits, each with events of its own, may watch one
 * descriptor in one loop, beside a stream that has it.  Each is called back
 * with what was ready when the turn looked, so the first may have read what is
 * reported to the second.  A descriptor that blocks is safe to read once for
 * each READABLE, but only if nothing else reads from it.  A terminal or pipe
 * that is shared with other processes should stay as it is: O_NONBLOCK would
 * apply to them, too.
 *
 * A descriptor that the system's reactor refuses, such as a regular file, is
 * always READABLE and WRITABLE and nothing else.  This is reported once in each
 * turn, until the poll is closed.
 *
 * What PRIORITY means depends on the descriptor.  In all but the first line
 * READABLE does not show whether there is something new:
 *
 *     descriptor             PRIORITY when
 *     a TCP socket           an out-of-band byte (MSG_OOB) is pending
 *     an attribute in sysfs  it has changed since it was read last, or was
 *                            never read; with ERROR.  Reading it again from
 *                            offset 0 ends that
 *     /proc/pressure/...     its trigger has fired, which is reported once;
 *                            without a trigger always, with ERROR
 *     /proc/self/mounts,     the mounts have changed, which is reported once;
 *     mountinfo              with ERROR
 *
 * What is reported once is reported to the first call that looks for it.  This
 * may be a change of the watched events at that moment, or the wait of a host
 * loop for aloop_fd(); then no callback runs.
 *
 * Only sockets have PRIORITY on macOS and OpenBSD, and nothing on FreeBSD and
 * NetBSD.  To the kqueue reactor, the files above are regular files, which are
 * always ready.
 *
 * End the poll before the descriptor is closed.  A library may close its
 * descriptor and open another one with the same number: libpq does so when it
 * tries the next host.  The loop is not notified, and watches the old one.
 * Close the poll and start a new one after each call that may do so; setting
 * the events that were set before has no effect.  If the loop finds out that a
 * number belongs to another descriptor, it ends the polls of the old one
 * without a callback.  The poll reactor only knows numbers: its polls may then
 * report the readiness of the new descriptor.  So may all polls when the loop
 * watches all numbers again, in aloop_after_fork() for example, or when a poll
 * changes its events: if the number belongs to a regular file by then, its
 * polls are always ready.
 *
 * In a forked child, polls continue after aloop_after_fork(), as they do in the
 * parent.  Close them in one of the two. */

#ifndef ALOOP_POLL_H
#define ALOOP_POLL_H

#include "aloop/base.h"

ALOOP_BEGIN

/** Is an event of a descriptor, as in the first table: bits for `|`. */
enum {
    ALOOP_POLL_READABLE = 1,
    ALOOP_POLL_WRITABLE = 2,
    ALOOP_POLL_ERROR = 4,
    ALOOP_POLL_HANGUP = 8,
    ALOOP_POLL_PRIORITY = 16
};

/**
 * Is notified that a descriptor is ready.
 *
 * `events` has at least one bit: watched ones, ALOOP_POLL_HANGUP and
 * ALOOP_POLL_ERROR.  On some systems two events of one turn are reported by two
 * calls.
 *
 * Context: a turn of the loop.  The callback may close the poll, or any other.
 */
typedef void (*aloop_poll_cb)(aloop_poll *poll, unsigned events, void *arg);

/**
 * Starts to watch a descriptor.
 *
 *     `events`                  effect
 *     READABLE, WRITABLE,       these are watched, and HANGUP and ERROR
 *     PRIORITY
 *     only HANGUP or ERROR      both are watched; some systems then report each
 *                               of them only once
 *     0                         nothing is watched until
 *                               aloop_poll_set_events()
 *
 * Returns: 0.
 * Errors:  ALOOP_EBADF: `fd` is not open;
 *          ALOOP_EINVAL: an argument is NULL, or `events` has other bits;
 *          ALOOP_ENOTSUP: the system has no ALOOP_POLL_PRIORITY;
 *          ALOOP_EPERM: the process is a forked child that has not called
 *          aloop_after_fork();
 *          ALOOP_ENOMEM: out of memory;
 *          others: the system cannot watch `fd`.
 * Memory:  the library owns the poll, until aloop_poll_close(); `fd` stays the
 *          caller's.
 */
ALOOP_API int aloop_poll_start(aloop *loop, int fd, unsigned events,
                               aloop_poll_cb on_ready, void *arg,
                               aloop_poll **ret_poll);

/**
 * Changes the events that are watched, as in aloop_poll_start().
 *
 * A change is one system call, or none if other polls of the descriptor watch
 * the same.  Equal events have no effect.  With 0 the poll pauses: no callback
 * runs, the poll does not keep the loop alive, and the system does not watch
 * the descriptor for it.
 *
 * Returns: 0.
 * Errors:  ALOOP_EBADF: the descriptor was closed;
 *          ALOOP_EINVAL: `poll` is NULL, or `events` has other bits;
 *          others: as in aloop_poll_start().  The watched events stay as they
 *          were.
 */
ALOOP_API int aloop_poll_set_events(aloop_poll *poll, unsigned events);

/**
 * Returns the descriptor that the poll was started with.
 *
 * It is the same number even if the descriptor was closed meanwhile.
 *
 * Errors:  ALOOP_EINVAL: `poll` is NULL.
 */
ALOOP_API int aloop_poll_fd(const aloop_poll *poll);

/**
 * Makes a poll keep the loop alive, as it does initially.
 *
 * A second call has no effect.
 */
ALOOP_API void aloop_poll_ref(aloop_poll *poll);

/**
 * Stops a poll from keeping the loop alive.
 *
 * The poll itself continues.  A second call has no effect.
 */
ALOOP_API void aloop_poll_unref(aloop_poll *poll);

/**
 * Ends a poll and frees it.
 *
 * It takes effect immediately: no callback runs after this returns, and the
 * system does not watch the descriptor for the poll any more.  The caller may
 * close the descriptor in the next line.  If it was closed before, or its
 * number belongs to another descriptor now, nothing else is changed.  NULL is
 * allowed.
 */
ALOOP_API void aloop_poll_close(aloop_poll *poll);

/**
 * Waits until a descriptor is ready.
 *
 * `events` are those of aloop_poll_start(), but not 0.  Several waits for one
 * descriptor are independent.  Do not close the descriptor before the future
 * has settled; aloop_cancel() settles it.
 *
 * Status:  the events, as the callback of a poll gets them; more than 0.
 * Errors:  ALOOP_EBADF: `fd` is not open, or the loop has found out that it was
 *          closed;
 *          ALOOP_EINVAL: `loop` is NULL, or `events` is 0 or has other bits;
 *          others: as in aloop_poll_start().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_poll_wait(aloop *loop, int fd, unsigned events);

ALOOP_END

#endif
