/* Tasks: ordinary C functions that may wait.
 *
 * A task runs on a stack of its own, on the loop's thread, until it awaits a
 * future that has not settled; then others run.  A task is a future: its status
 * is what the function returned.
 *
 * Cancellation is a state, not an event.  After aloop_cancel() on a task:
 *
 *     what the task does                   effect
 *     is in an await                       the await ends
 *     awaits a settled future              receives its status: what completed
 *                                          is not lost
 *     awaits a pending future, yields      ALOOP_ECANCELED, after one yield, so
 *                                          that clean-up cannot hang
 *     either of them, between              works as if the task had not been
 *     aloop_shield_begin() and _end()      cancelled
 *     computes without waiting             is not interrupted; long loops call
 *                                          aloop_yield()
 *     has not started yet                  starts, so that it frees what `arg`
 *                                          owns
 *     has no memory for its stack          never starts: the status is
 *     when it is to start                  ALOOP_ENOMEM, and what `arg` owns
 *                                          stays the caller's
 *
 * An exception that leaves a task's function ends a C++ program, with
 * std::terminate().  Exceptions that are being handled belong to the task, also
 * where C++ is loaded by dlopen() while tasks run.
 *
 * A task must not call pthread_exit(), and must not leave its function by
 * longjmp(): the thread, or what the jump returns to, belongs to the loop.  It
 * ends by returning from its function.
 *
 * Stacks.  A task's stack does not grow.  The sizes are:
 *
 *     system                                        stack      guard     caught
 *     64 bits                                       192 KiB    96 KiB    64 KiB
 *     32 bits, locked memory (mlockall), or a       48 KiB     16 KiB    16 KiB
 *     limit on memory (RLIMIT_AS, RLIMIT_DATA)
 *
 * A task that overruns its stack by no more than the last column, in one frame
 * or in many, ends the process with SIGSEGV (SIGBUS on some systems).  Not
 * caught are:
 *
 * - a frame that reaches further beyond the end and is touched only there (a
 *   large array or alloca() of which the first elements are written).  It
 *   writes into another task's stack.  Compile with -fstack-clash-protection,
 *   which touches each page of a frame in order, so that it cannot miss the
 *   guard.  -Wframe-larger-than=65536 reports such functions.  The CMake option
 *   ALOOP_STACK_CHECKS adds both to each target that links aloop::aloop.
 * - any overrun, where the system has neither MADV_GUARD_INSTALL (Linux 6.13)
 *   nor mappings left for mprotect(): the process's first 8,192 stacks have a
 *   guard there, later ones have none.
 *
 * In a debug loop an overrun is reported with the task's name before the
 * process ends, and a frame that skipped the guard is detected at the task's
 * next wait.
 *
 * A task that waits costs one page of memory for a shallow stack, 577 bytes of
 * page tables and 288 KiB of address space (measured on x86-64); of that the
 * guard takes 193 bytes of page tables.  Pages of a stack that were touched
 * once are kept for the next task, and returned to the system after half a
 * second without use.
 *
 * Instrumentation that keeps one stack for each thread does not work with
 * tasks: -fsanitize=safe-stack, -fsanitize=shadow-call-stack, -fsplit-stack. */

#ifndef ALOOP_TASK_H
#define ALOOP_TASK_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/** Is the function that a task runs; the result is the task's status. */
typedef ssize_t (*aloop_task_fn)(aloop *loop, void *arg);

/**
 * Holds the options of a task; zero selects a default.
 *
 * Set `size` to sizeof(aloop_task_options), by the rule of aloop/options.h.
 * aloop_spawn_with() does that.  Fields that are zero are taken from
 * `defaults`, unless that is NULL; its own `defaults` is ignored.
 */
typedef struct aloop_task_options {
    size_t size; /* Bytes of this struct. */
    const struct aloop_task_options *defaults;
    const char *name; /* For reports; copied.  Default: the function's. */
    /* Usable bytes of the stack; smaller values are raised to 32 KiB.  Default:
     * aloop_options.stack_size of the loop. */
    size_t stack_size;
} aloop_task_options;

/**
 * Makes a task that will run fn(loop, arg), from the next turn on.
 *
 * Nothing runs inside this call.  Dropping the future cancels the task;
 * aloop_detach() lets it run alone.  `options` may be NULL.  `name` and `where`
 * are used in reports, and `where` is a literal, ALOOP_HERE.  Programs in C use
 * aloop_spawn() and aloop_spawn_with(), which add both.
 *
 * Returns: the task, or NULL if out of memory.
 * Status:  the result of `fn`.
 * Errors:  ALOOP_EINVAL: `loop` or `fn` is NULL, or the options are refused
 *          because of their size;
 *          ALOOP_ENOMEM: there is no memory for the stack, which is taken when
 *          the task first runs.
 * Memory:  the caller owns the one reference.  On these errors `fn` never runs,
 *          and what `arg` owns stays the caller's.
 * Example: aloop_task_options options = {};
 *          options.size = sizeof options;
 *          options.stack_size = 1 << 20;
 *          aloop_spawn_at(loop, fn, arg, &options, "fn", ALOOP_HERE);
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_spawn_at(aloop *loop, aloop_task_fn fn, void *arg,
                                       const aloop_task_options *options,
                                       const char *name, const char *where);

/**
 * Makes a task with the default options; see aloop_spawn_at().
 *
 * Example: aloop_await(aloop_spawn(loop, crawl, &site));
 */
#define aloop_spawn(loop, fn, arg) \
    aloop_spawn_at((loop), (fn), (arg), NULL, #fn, ALOOP_HERE)

/**
 * Makes a task with the given options; see aloop_spawn_at().
 *
 * The options are designated initializers of aloop_task_options, for which the
 * macro fills `size` in, or a pointer to such a struct.  In C++ they are a
 * pointer.
 *
 * Example: aloop_spawn_with(loop, crawl, &site, .name = "x",
 *                           .stack_size = 1 << 20);
 */
#ifdef __cplusplus
#define aloop_spawn_with(loop, fn, arg, options) \
    aloop_spawn_at((loop), (fn), (arg), (options), #fn, ALOOP_HERE)
#else
#define aloop_spawn_with(loop, fn, arg, ...) \
    aloop_spawn_at((loop), (fn), (arg), ALOOP_TASK_OPTIONS_(__VA_ARGS__), #fn, \
                   ALOOP_HERE)
#define ALOOP_TASK_OPTIONS_(...) \
    (&(const aloop_task_options){.size = sizeof(aloop_task_options), \
                                 __VA_ARGS__})
#endif

/**
 * Waits for `future` and returns its status.
 *
 * Other callbacks and tasks run meanwhile.  Outside any task, with the loop not
 * running, the call runs the loop until the future settles.
 *
 * When it returns, nothing that it waited for is still running: arguments,
 * buffers and results may live on the caller's stack.  The one exception is a
 * future that has another owner at that moment.  Then an await that ends early,
 * because of a deadline or a cancel, leaves the future to that owner.  Owners
 * are: a reference that was made by aloop_future_ref() and not given back; a
 * task, composition or timeout that was given such a reference; and the loop,
 * after aloop_detach().  Continuations and the library itself are not owners.
 *
 * A settled future is returned without waiting, but every 64th such await of a
 * task in a row yields.
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
 * Status:  as in the table.
 * Errors:  ALOOP_ENOMEM: `future` is NULL;
 *          ALOOP_EDEADLK: the wait would never end, and the call returns
 *          immediately: in a loop callback, on the task itself, on a future
 *          that waits for this task through any number of tasks, groups and
 *          compositions, or on a promise without another owner;
 *          ALOOP_EINVAL: the future belongs to another loop than the one that
 *          runs on this thread;
 *          others: outside of tasks, the system could not wait.  The future was
 *          cancelled and has ended, unless it has another owner.  If the system
 *          can never wait again, only what threads of the pool do has certainly
 *          ended.
 * Memory:  takes over the caller's reference, whatever the result.
 * See:     aloop_deadline_begin(), aloop_shield_begin().
 */
ALOOP_API ssize_t aloop_await(aloop_future *future);

/**
 * Lets everything else that is ready run once.
 *
 * Outside a task it runs one turn that does not wait.
 *
 * Status:  0.
 * Errors:  ALOOP_ECANCELED: the task was cancelled;
 *          ALOOP_ETIMEDOUT: a deadline of the task has passed;
 *          ALOOP_EDEADLK: the caller is a loop callback;
 *          ALOOP_EINVAL: `loop` is NULL or not the task's loop.
 */
ALOOP_API ssize_t aloop_yield(aloop *loop);

/**
 * Returns the task that runs on the calling thread, or NULL.
 *
 * Memory:  borrowed; call aloop_future_ref() to keep it.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_current_task(void);

/**
 * Returns the name of a task, or NULL for any other future.
 *
 * Memory:  valid as long as the task.
 */
ALOOP_API const char *aloop_task_name(const aloop_future *task);

/**
 * Returns whether the running task was cancelled.
 *
 * This is for loops without awaits.  The result is false outside of tasks.
 */
ALOOP_API bool aloop_is_cancelled(void);

ALOOP_END

#endif
