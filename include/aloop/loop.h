/* The loop, which runs callbacks and tasks on the thread that calls it.
 *
 * It works in turns.  A turn runs the timers that are due and what was queued
 * when it began, sends what was written, waits for descriptors, and runs the
 * callbacks of those that are ready.  What a turn queues runs in the next one.
 *
 * While a thread is inside aloop_run(), aloop_step(), or an aloop_await()
 * outside of tasks, the loop belongs to that thread.  Other threads may then
 * only call aloop_post() and aloop_wake(); debug loops check this.  At other
 * times any thread may use, run or free the loop, one thread at a time.  A loop
 * may be made on one thread and run on another.  A task that waits meanwhile
 * continues on the other thread.  Its thread-local variables, errno among them,
 * are then those of another thread, which a compiler does not expect within one
 * function.
 *
 * A loop belongs to the process that made it; see aloop_after_fork(). */

#ifndef ALOOP_LOOP_H
#define ALOOP_LOOP_H

#include "aloop/base.h"
#include "aloop/options.h"
#include "aloop/post.h"

ALOOP_BEGIN

/**
 * Makes a loop.
 *
 * `options` may be NULL, which selects the defaults.
 *
 * No descriptor that the library opens, for a loop or for what belongs to one,
 * has the number 0, 1 or 2, even if the program has closed these.
 *
 * Returns: the loop, or NULL if memory or descriptors are exhausted, or if the
 *          options are refused because of their size.
 * Memory:  the caller frees the loop with aloop_free().
 * See:     aloop_options.
 */
ALOOP_API aloop *aloop_new(const aloop_options *options);

/**
 * Cancels what still runs, closes every handle and frees the loop.
 *
 * No memory and no descriptor of the loop is left afterwards.  NULL is allowed.
 *
 *     what the loop still has       effect
 *     tasks                         run to their ends; each await that would
 *                                   wait returns ALOOP_ECANCELED, shielded or
 *                                   not
 *     deferred and posted calls,    run
 *     continuations, on_cancel of
 *     operations
 *     callbacks of handles          do not run, so `arg` may be invalid
 *     streams with unsent bytes     are reset; aloop_main() waits for them
 *     tasks that continue to        lose their stacks after 10,000 turns in
 *     await                         which no task ends
 *     functions of aloop_work()     are waited for if they have begun, while
 *                                   posts run; others never run
 *     a thread in the system's      is not waited for; it uses neither the loop
 *     resolver                      nor its allocator, and frees its memory
 *                                   itself when the resolver returns
 *
 * Futures that were never awaited, detached or unreferenced are reported to
 * on_unhandled, also those that did not settle within the turns above.  The
 * first report has their number and ALOOP_EHELD.  Then each of the first five
 * follows, with its error, or ALOOP_EHELD if it has none.
 *
 * In a forked child without a successful aloop_after_fork(), nothing runs: no
 * callback, task, post or continuation.  The call frees the child's copy,
 * closes the child's descriptors, and changes nothing that the parent can see.
 *
 * Returns: 0.
 * Errors:  ALOOP_EBUSY: the loop runs, so the caller is a callback or a task of
 *          it, and the loop is unchanged;
 *          ALOOP_EPERM: the process is a vforked child, or another thread runs
 *          the debug loop, and the loop is unchanged.
 * Context: any thread, while the loop does not run.
 */
ALOOP_API int aloop_free(aloop *loop);

/**
 * Runs turns until nothing is left to wait for, or until aloop_stop().
 *
 * A loop is alive while a referenced handle is active (it may call back, and
 * was not unreferenced, as by aloop_timer_unref()), an operation or a task is
 * pending, a closed stream still has bytes to send, or work is queued.  The
 * loop may be run again after this function has returned.
 *
 * Three other ends hold for all calls that run a loop: this one, aloop_step(),
 * an await outside of tasks, and aloop_free().
 *
 *     event                         effect
 *     an exception leaves a         std::terminate(), where it was thrown or in
 *     callback or a task (C++)      the call, because the functions that called
 *                                   the callback cannot be unwound
 *     pthread_cancel() of the       takes effect after the call has returned;
 *     thread                        post an aloop_stop() to end it
 *     pthread_exit() in a           the loop can only be freed, by another
 *     callback                      thread; not even that if the callback was
 *                                   compiled without unwind tables, the default
 *                                   on riscv64 (-funwind-tables)
 *     pthread_exit() in a task      is not supported: the loop can neither be
 *                                   run nor freed any more
 *
 * Returns: 0 when nothing is left, 1 when stopped.
 * Errors:  ALOOP_EBUSY: the loop runs already;
 *          ALOOP_EPERM: the process is a forked child that has not called
 *          aloop_after_fork();
 *          others: the system could not wait.
 */
ALOOP_API int aloop_run(aloop *loop);

/**
 * Runs turns until at least one callback or task has run.
 *
 *     `max_wait_ns`    effect
 *     0                one turn that does not wait: due timers; what was queued
 *                      when the turn began; sending; ready descriptors; reports
 *     more             one wait of at most so long before something runs
 *     less than 0      the same without a limit
 *
 * After aloop_fd(), a step with 0 is that of a host.  Then further turns follow
 * while there is something to do, up to 16 in all, as long as the step has
 * taken less than 0.1 ms when the next one begins.  They may leave descriptors
 * that have become ready since the first one to the next step.
 *
 * The call does not wait once something has run, or while there is work.  It
 * returns without having called anything in these cases:
 *
 * - The time is over, or the limit of a prepare has passed.
 * - aloop_wake() or a signal has ended the wait.  The next step runs the
 *   callback of the signal, without a wait.
 * - An operation needs more data than what arrived.
 * - Work that calls nothing, such as that of a filter, does not end.
 *
 * With unreferenced handles alone it waits for up to `max_wait_ns`.  Without
 * any active handle and operation it never waits without a limit.
 *
 * Returns: 1 if the loop is still alive afterwards, else 0.
 * Errors:  ALOOP_EBUSY: the loop runs already;
 *          ALOOP_EPERM: the process is a forked child that has not called
 *          aloop_after_fork();
 *          others: the system could not wait.
 */
ALOOP_API int aloop_step(aloop *loop, int64_t max_wait_ns);

/**
 * Ends the call that runs the loop, after the present turn.
 *
 * That turn does not wait any more.  Called in a callback or a task:
 *
 *     the loop is run by       effect
 *     aloop_run()              returns 1
 *     aloop_step()             returns as usual
 *     aloop_await() outside    ends as the await of a cancelled task does:
 *     of tasks                 cancels the future, waits until it has ended,
 *                              and returns ALOOP_ECANCELED, or the status of a
 *                              future that completed nevertheless; a future
 *                              with another owner continues, and is not waited
 *                              for
 *     aloop_main()             does the same with the program's root task
 *
 * None of these affects a later aloop_run().  NULL has no effect.  Called while
 * the loop does not run, the function makes the next aloop_run() return 1
 * without a turn; steps and awaits before that are not affected.
 */
ALOOP_API void aloop_stop(aloop *loop);

/** Returns whether aloop_run() would have anything to wait for. */
ALOOP_API bool aloop_alive(aloop *loop);

/** Returns the loop that runs on the calling thread, or NULL. */
ALOOP_API aloop *aloop_current(void);

/**
 * Returns the time on the loop's clock, in nanoseconds.
 *
 * Each call reads the clock.  The result is 0 for a NULL loop.
 *
 * See:     aloop_timer_restart_at(), aloop_sleep_until().
 */
ALOOP_API int64_t aloop_now(aloop *loop);

/**
 * Returns the one descriptor that a host loop has to watch.
 *
 * A host loop is another event loop, inside which this one runs by steps.  The
 * descriptor is readable exactly when aloop_step(loop, 0) has something to do,
 * due timers and posts from other threads included, so the host needs no
 * timeout.  After hundreds of timers were stopped or moved together, that may
 * be only the correction of their queue, at the time at which one of them was
 * due before.  A step updates the descriptor when it returns, and so do
 * aloop_run() and awaits outside of tasks; a call of the host that queues work
 * or starts a timer updates it immediately.  Its number does not change until
 * aloop_free().  The poll reactor starts a thread for it, which exists as long
 * as the loop.
 *
 * A step may leave work, after which the descriptor is still readable.  A host
 * that is notified only of changes (EPOLLET, EV_CLEAR) has to call aloop_step()
 * until poll() finds the descriptor not readable.
 *
 * Errors:  ALOOP_EINVAL: `loop` is NULL;
 *          others: no descriptor, memory or thread is available, and nothing
 *          has changed.
 * Memory:  the descriptor belongs to the loop; the caller must not close it.
 */
ALOOP_API int aloop_fd(aloop *loop);

/**
 * Returns the name of the reactor: "epoll", "kqueue" or "poll".
 *
 * Memory:  static text.
 * Context: any thread.
 */
ALOOP_API const char *aloop_reactor(void);

ALOOP_END

#endif
