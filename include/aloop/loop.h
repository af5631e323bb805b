/* The loop: what runs callbacks and tasks, on the thread that calls it.
 *
 * While a thread is inside aloop_run(), aloop_step(), or an aloop_await()
 * outside of tasks, the loop belongs to that thread: other threads may then
 * only call aloop_post() and aloop_wake(), which is checked in debug builds.
 * In between any thread may use, run or free the loop, one at a time: it may be
 * made on one thread and run on another.  A task that waits meanwhile goes on
 * there.  Its thread-local variables, errno among them, are then those of
 * another thread, which a compiler does not expect within one function.
 *
 * A loop belongs to the process that made it; see aloop_after_fork(). */

#ifndef ALOOP_LOOP_H
#define ALOOP_LOOP_H

#include "aloop/base.h"
#include "aloop/options.h"

ALOOP_BEGIN

typedef void (*aloop_fn)(aloop *loop, void *arg);

/**
 * Makes a loop.  `options` may be NULL.  NULL when memory or descriptors ran
 * out, or when the options are refused because of their size.
 *
 * Memory:  free it with aloop_free().
 */
ALOOP_API aloop *aloop_new(const aloop_options *options);

/**
 * Cancels what is still running, lets tasks run to their ends (each await of
 * theirs now returns ALOOP_ECANCELED, shielded or not), closes every handle,
 * and frees everything: afterwards not one byte or descriptor is left.  What
 * was deferred or posted before still runs, and so do continuations; but no
 * callback of a handle does, so that what its `arg` points to may be gone.
 * What streams still had to send is not waited for; aloop_main() does.  Tasks
 * that go on awaiting all the same, for 10,000 turns in which none of them
 * ends, lose their stacks as they are.  NULL is allowed.
 *
 * A thread that is inside the system's resolver is not waited for.  It ends
 * when the resolver returns, uses neither the loop nor its allocator, and frees
 * what it has itself.
 *
 * Futures that were never awaited, detached or unreferenced are reported to
 * on_unhandled: how many there are, with ALOOP_EHELD, and then each of the
 * first five, with its error or else ALOOP_EHELD.
 *
 * In a forked child, without a successful aloop_after_fork(), it runs nothing:
 * no callback, task, post or continuation.  It frees the child's copy, closes
 * the child's descriptors, and changes nothing that the parent can see.
 *
 * Context: any thread, while the loop does not run.
 * Errors:  ALOOP_EBUSY while it runs, so from inside a callback or task of this
 *          loop; ALOOP_EPERM in a vforked child.  It is then left as it was.
 */
ALOOP_API int aloop_free(aloop *loop);

/**
 * Runs turns until nothing is left to wait for, or aloop_stop().  A loop is
 * alive while a referenced handle is active, an operation or a task is
 * pending, a closed stream still has bytes to send, or work is queued.
 *
 * An exception that leaves a callback ends a C++ program, with
 * std::terminate() where it was thrown or in this call, as one that leaves a
 * task does: the functions that called the callback cannot be unwound.
 * pthread_cancel() of a thread that runs a loop (here, in aloop_step(), in an
 * await outside of tasks or in aloop_free()) takes effect after that call has
 * returned; post an aloop_stop() to end it.  After a pthread_exit() in a
 * callback the loop can only be freed, by another thread.
 *
 * Returns: 0 when nothing is left, 1 when stopped; it may be run again.
 * Errors:  ALOOP_EBUSY when it is running already; ALOOP_EPERM in a forked
 *          child that has not called aloop_after_fork(); what the system's wait
 *          failed with.
 */
ALOOP_API int aloop_run(aloop *loop);

/**
 * Runs turns until at least one callback or task has run, with one wait of at
 * most `max_wait_ns` before that (less than 0: as long as it takes).  It does
 * not wait once something has run, or while there is work.  It returns without
 * a call when the wait has ended and nothing was to be called: because the time
 * is over, because of aloop_wake() or a signal (whose callback the next step
 * then runs, without a wait), or because an operation needs more than what
 * arrived.  With unreferenced handles alone it waits as it was told to; without
 * any active handle and operation it does not wait without a limit.
 *
 * With 0 it is one turn that does not wait: due timers; what was queued when
 * the turn began; sending; what is ready; reports of errors.
 *
 * Returns: 1 if the loop is still alive afterwards, else 0.
 * Errors:  as aloop_run().
 */
ALOOP_API int aloop_step(aloop *loop, int64_t max_wait_ns);

/**
 * Called in a callback or task, ends what runs the loop now, after the turn
 * that is under way, which then does not wait:
 *
 *   aloop_run()         returns 1.
 *   aloop_step()        returns as usual.
 *   aloop_await()       outside of tasks, behaves as that of a cancelled task:
 *                       cancels the future, waits until it has ended, and
 *                       returns ALOOP_ECANCELED, or the status of a future that
 *                       has completed all the same.  A future that is held
 *                       elsewhere too goes on, and is not waited for.
 *   aloop_main()        does that with the program's root task.
 *
 * None of these leaves anything behind for a later aloop_run().  Called outside
 * of the loop, makes the next aloop_run() return 1 without a turn; steps and
 * awaits in between do not take notice of that.
 */
ALOOP_API void aloop_stop(aloop *loop);

/** Whether there is anything for aloop_run() to wait for. */
ALOOP_API bool aloop_alive(aloop *loop);

/** The loop that runs on this thread now, or NULL. */
ALOOP_API aloop *aloop_current(void);

/** Now, on the loop's clock; read anew at each call.  0 for a NULL loop. */
ALOOP_API int64_t aloop_now(aloop *loop);

/**
 * The one descriptor that a host loop has to watch: it is readable exactly when
 * aloop_step(loop, 0) has something to do, due timers and posts from other
 * threads included.  The host needs no timeout.  It stays the same until
 * aloop_free(), and belongs to the loop.  The poll reactor starts a thread for
 * it, which lives as long.
 *
 * Errors:  ALOOP_EINVAL; no descriptor, memory or thread, and then nothing has
 *          changed.
 */
ALOOP_API int aloop_fd(aloop *loop);

/**
 * Queues fn(loop, arg) for the next turn, in the order of the calls.
 *
 * Errors:  ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_API int aloop_defer(aloop *loop, aloop_fn fn, void *arg);

/**
 * aloop_defer() for other threads: fn runs on the loop's thread, first in,
 * first out, each post once.  A queued post keeps the loop alive, a promise to
 * post does not: hold the loop with aloop_hold() first.  The loop must not be
 * freed before the call returns: let the thread end first.
 *
 * Context: any thread; not signal handlers.
 * Errors:  ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_API int aloop_post(aloop *loop, aloop_fn fn, void *arg);

/**
 * Ends the loop's present wait, or its next one; many wake-ups may become one.
 *
 * Context: any thread, signal handlers included.
 */
ALOOP_API void aloop_wake(aloop *loop);

/**
 * Keeps the loop alive until aloop_release(), as an active handle would: for
 * work that another thread will post.  Counted.
 */
ALOOP_API void aloop_hold(aloop *loop);
/**
 * Takes one hold back.  Only holds of aloop_hold() are counted here: one
 * release too many does nothing, whatever the library itself still waits for.
 */
ALOOP_API void aloop_release(aloop *loop);

/** "epoll", "kqueue" or "poll". */
ALOOP_API const char *aloop_reactor(void);

ALOOP_END

#endif
