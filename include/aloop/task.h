/* Tasks: ordinary C functions that may wait.
 *
 * A task runs on a stack of its own, on the loop's thread, until it awaits
 * something that has not settled; then others run.  A task is a future: its
 * status is what the function returned.
 *
 * Cancellation is a state, not an event.  Once aloop_cancel() was called on a
 * task, the await it is in ends, and every later one that would have to wait
 * ends too, after one yield, with ALOOP_ECANCELED, so that clean-up cannot
 * hang; between aloop_shield_begin() and aloop_shield_end() awaits work as if
 * nothing had happened.  A future that has settled is delivered all the same:
 * what completed is not lost.  The function starts even if the task was
 * cancelled before, so that what `arg` owns is freed by it, with one exception:
 * if there is no memory for the task's stack when it is to run, the function
 * never starts, the status is ALOOP_ENOMEM, and what `arg` owns stays the
 * caller's.  A task that never has to wait is not interrupted: in
 * long loops aloop_yield() tells of cancels and deadlines.
 *
 * An exception that leaves a task's function ends a C++ program, with
 * std::terminate().  Exceptions that are being handled belong to the task, also
 * where C++ is loaded by dlopen() while tasks run.
 *
 * Stacks.  A task's stack does not grow: 192 KiB unless `stack_size` is given;
 * 48 KiB on 32-bit systems and where memory is locked (mlockall) or the address
 * space is limited (RLIMIT_AS, RLIMIT_DATA).  Below it is a guard of 96 KiB, or
 * 16 KiB in these cases.  A task that overruns its stack by up to 64 KiB (16
 * KiB in these cases), in one frame or in many, ends the process with SIGSEGV
 * (SIGBUS on some systems).  What is not caught:
 *
 * - a frame that reaches more than 64 KiB beyond the end and is touched only
 *   there (a large array or alloca() of which the first elements are written):
 *   it writes into another task's stack.  Compile with
 *   -fstack-clash-protection, which touches each page of a frame in order, so
 *   that it cannot miss the guard; -Wframe-larger-than=65536 names such
 *   functions.  The CMake option ALOOP_STACK_CHECKS adds both to whatever
 *   links aloop::aloop.
 * - any overrun, where the system has neither MADV_GUARD_INSTALL (Linux 6.13)
 *   nor mappings left for mprotect(): the process's first 8,192 stacks have a
 *   guard there, later ones have none.
 *
 * In a loop with options.debug an overrun is reported with the task's name
 * before the process ends, and a frame that stepped over the guard is found at
 * the task's next wait.
 *
 * A parked task costs one page of memory for a shallow stack, 577 bytes of
 * page tables and 288 KiB of address space (x86-64, measured); of that the
 * guard takes 193 bytes of page tables.  Pages of a stack that were touched
 * once are kept for the next task, and given back when they were not used for
 * half a second.
 *
 * Instrumentation that keeps one stack for each thread does not work with
 * tasks: -fsanitize=safe-stack, -fsanitize=shadow-call-stack, -fsplit-stack. */

#ifndef ALOOP_TASK_H
#define ALOOP_TASK_H

#include "aloop/base.h"
#include "aloop/future.h"
#include "aloop/loop.h"

ALOOP_BEGIN

typedef ssize_t (*aloop_task_fn)(aloop *loop, void *arg);

/**
 * Options of one task; zero means the default.  Set `size` to its sizeof; for
 * other sizes see aloop_options.
 */
typedef struct aloop_task_options {
    size_t size;
    const char *name;  /* For reports; copied.  Default: the function's. */
    size_t stack_size; /* Usable bytes; less than 32 KiB is that. */
} aloop_task_options;

/**
 * A new task that will run fn(loop, arg), from the next turn on.  Runs nothing
 * itself.  Dropping the future cancels the task: aloop_detach() it to let it
 * run alone.
 *
 * aloop_spawn(loop, fn, arg) and aloop_spawn_with(loop, fn, arg, options) are
 * the ways to call it: they add the function's name and the place.
 *
 * Memory:  the caller owns the one reference.  NULL if there is no memory: `fn`
 *          never runs.  A stack is taken when the task first runs; if there is
 *          none, the task ends with ALOOP_ENOMEM and `fn` never runs.  In both
 *          cases what `arg` owns stays the caller's.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_spawn_at(aloop *loop, aloop_task_fn fn,
                                       void *arg,
                                       const aloop_task_options *options,
                                       const char *name, const char *where);

#define aloop_spawn(loop, fn, arg) \
    aloop_spawn_at((loop), (fn), (arg), NULL, #fn, ALOOP_HERE)
#ifndef __cplusplus
#define aloop_spawn_with(loop, fn, arg, ...)                              \
    aloop_spawn_at((loop), (fn), (arg), ALOOP_TASK_OPTIONS_(__VA_ARGS__), \
                   #fn, ALOOP_HERE)
#define ALOOP_TASK_OPTIONS_(...)                                  \
    (&(const aloop_task_options){.size = sizeof(aloop_task_options), \
                                 __VA_ARGS__})
#endif

/**
 * Waits for `future` and returns its status.  Other callbacks and tasks run
 * meanwhile.  Outside any task, with the loop not running, it runs the loop
 * until the future settles.
 *
 * Whatever the outcome, nothing that it waited for is still running when it
 * returns: arguments, buffers and results may live on the caller's stack.  The
 * one exception is a future that has another owner at that moment.  Then an
 * await that ends early, because of a deadline or a cancel, leaves the future
 * to that owner.  Owners are: a reference that was made by aloop_future_ref()
 * and not given back; a task, composition or timeout that was given such a
 * reference; and the loop, after aloop_detach().  Continuations are none, and
 * neither is anything that the library does by itself.
 *
 * A future that has settled is returned without waiting, but every 64th such
 * await of a task in a row yields.
 *
 * A cancel of this task, or a deadline around the await, ends the wait early.
 * If this task holds the only reference, the future is cancelled, and the await
 * returns when it has settled; else the await returns immediately:
 *
 *     the future                what happened first        status
 *     0 or more, or an error    anything                   the same
 *       not ALOOP_ECANCELED
 *     ALOOP_ECANCELED, or       the task was cancelled     ALOOP_ECANCELED
 *       still held by others    a deadline passed          ALOOP_ETIMEDOUT
 *     ALOOP_ECANCELED           another cancel of it       ALOOP_EABORTED
 *
 * In the last row a deadline that passes later changes nothing; a cancel of
 * the task does, and the status is ALOOP_ECANCELED.
 *
 * Memory:  takes over the caller's reference, whatever the result.
 * Status:  as in the table, see also aloop_deadline_begin(); ALOOP_ENOMEM for
 *          NULL; ALOOP_EDEADLK, immediately, in a loop callback, on the task
 *          itself, on anything that waits for this task, through however many
 *          tasks, groups and compositions, and on a promise that nobody else
 *          holds; ALOOP_EINVAL for a future of another loop than the one that
 *          runs on this thread.
 */
ALOOP_API ssize_t aloop_await(aloop_future *future);

/**
 * Lets everything else that is ready run once.  Outside a task: one turn that
 * does not wait.
 *
 * Status:  0; in a task ALOOP_ECANCELED and ALOOP_ETIMEDOUT as for an await;
 *          ALOOP_EDEADLK in a loop callback.
 */
ALOOP_API ssize_t aloop_yield(aloop *loop);

/** The task that runs on this thread now, borrowed, or NULL. */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_current_task(void);

/** A task's name, NULL for any other future.  Lives as long as the task. */
ALOOP_API const char *aloop_task_name(const aloop_future *task);

/** Whether somebody cancelled the running task; for loops without awaits. */
ALOOP_API bool aloop_is_cancelled(void);

/**
 * Until the matching end, awaits of the running task end neither by
 * cancellation nor by a deadline.  Nests.
 *
 * Errors:  ALOOP_EINVAL outside a task, or for an end without a begin.
 */
ALOOP_API int aloop_shield_begin(void);
ALOOP_API int aloop_shield_end(void); /**< See aloop_shield_begin. */

/**
 * A deadline for a stretch of the running task's code: once it has passed,
 * awaits that would have to wait end with ALOOP_ETIMEDOUT until
 * aloop_deadline_end().  Nests; the scopes must be ended innermost first, and
 * the task's end ends what is left.  A deadline that passes after the task was
 * cancelled has no effect.
 *
 * Memory:  the library owns the scope, until its end.  NULL outside a task,
 *          or when there is no memory; the calls below take that.
 */
ALOOP_API aloop_deadline *aloop_deadline_begin(aloop *loop, int64_t delay_ns);

/**
 * Moves it to `delay_ns` from now.  One that has passed starts anew.
 */
ALOOP_API int aloop_deadline_restart(aloop_deadline *deadline,
                                     int64_t delay_ns);

/**
 * Ends the scope, and reports whether its deadline is the reason for an
 * ALOOP_ETIMEDOUT that was seen in it:
 *
 *     what happened first                                 result
 *     this deadline passed                                1
 *     the deadline of an enclosing scope passed           0, and 1 from that
 *     the task was cancelled, or none of them happened    0
 *
 * Errors:  ALOOP_EINVAL for NULL, and for a scope that is not the innermost of
 *          its task; nothing has changed then.
 */
ALOOP_API int aloop_deadline_end(aloop_deadline *deadline);

/**
 * A whole program: makes a loop, runs fn(loop, arg) as a task until it returns,
 * cancels what is still running and waits for its end, lets closed streams send
 * what they still have, and frees everything.
 *
 * Status:  what `fn` returned, ALOOP_ECANCELED included; ALOOP_ENOMEM if there
 *          was no loop; ALOOP_EDEADLK inside a callback or task of any loop
 *          (`fn` does not run then).
 */
ALOOP_API ssize_t aloop_main(aloop_task_fn fn, void *arg);

/**
 * aloop_main() with a loop that is made with `options`, which may be NULL.
 *
 * With options->cancel_on_interrupt the first SIGINT or SIGTERM cancels the
 * task of `fn`, which cleans up and returns; from then on both signals have the
 * effect that they had before the call, so that a second one ends the program.
 * The first one does not interrupt a function that computes or blocks, since
 * the loop has to run for the cancel; the second one does.  A signal that is
 * ignored at the call stays ignored.  Before aloop_main_with() returns, what it
 * did to the signals is undone.
 *
 * Status:  as aloop_main(); ALOOP_EINVAL if options->size is no size that this
 *          library knows; what aloop_signal_start() failed with, and then `fn`
 *          has not run.
 */
ALOOP_API ssize_t aloop_main_with(aloop_task_fn fn, void *arg,
                                  const aloop_options *options);

ALOOP_END

#endif
