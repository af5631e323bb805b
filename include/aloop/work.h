/* Functions that run on other threads, and the threads that the loop has.
 *
 * A loop has threads of its own, in three lanes: for files, for name look-ups,
 * and for the functions that are given to aloop_work().  Each lane has its own
 * queue, and a limit in aloop_options, so that none delays another.  Threads
 * start when there is something for them to do, and end when they have been
 * idle for 10 seconds, except the last one of a lane; aloop_free() ends all of
 * them.  All signals are blocked on them. */

#ifndef ALOOP_WORK_H
#define ALOOP_WORK_H

#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Runs on a thread of the pool, with the `arg` that was given.
 *
 * It may block and compute, and `errno` is its own.  It must return: it may
 * neither throw an exception, nor end its thread by pthread_exit(), nor leave
 * by longjmp().  A child that it forks should end by exec() or _exit().  If the
 * function returns in the child, the only thread of the child ends, and with it
 * the child, with the exit status 0.
 *
 * Returns: the status of the future.
 * Context: of the library it may only call aloop_post(), for example to report
 *          progress, and aloop_wake().  The loop exists until it has returned.
 */
typedef ssize_t (*aloop_work_fn)(void *arg);

/**
 * Runs fn(arg) on a thread of the pool.
 *
 * Functions begin in the order of the calls, and at most
 * aloop_options.work_threads run simultaneously.  The thread gets the function
 * when the turn ends.
 *
 *     when it is cancelled          effect
 *     the function has not begun    it never runs, and the status is
 *                                   ALOOP_ECANCELED
 *     the function has begun        no effect: the future settles when the
 *                                   function has returned, with its result
 *
 * Therefore `arg` may be on the stack of the task that awaits the future, and a
 * deadline can end late.  To end a function early, let it look at a flag.
 * aloop_free() waits until the functions that have begun have returned; posts
 * run meanwhile.
 *
 * Status:  what `fn` returns.
 * Errors:  ALOOP_EINVAL: `loop` or `fn` is NULL, or `fn` returned
 *          ALOOP_PENDING;
 *          ALOOP_ECANCELED: it was cancelled, and `fn` did not run;
 *          ALOOP_EAGAIN, ALOOP_ENOMEM: no thread could be started, and `fn`
 *          did not run;
 *          ALOOP_EPERM: the loop belongs to another process.
 * Memory:  `arg` is used until the future settles.
 * Example: status = aloop_await(aloop_work(loop, compress, &block));
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_work(aloop *loop, aloop_work_fn fn, void *arg);

/**
 * Runs `fn` on threads of the pool for each of `count` items.
 *
 * Its argument is the address of the item, items + i * item_size.  Items begin
 * in order, and at most `limit` of them run simultaneously; 0 is no limit but
 * that of the lane.  Several items in a row run on a thread without the loop,
 * for about a millisecond, after which other work has its turn.
 *
 * After the first error, or when it is cancelled, no further item begins.  The
 * future settles when the items that have begun have ended.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: an argument is wrong, the items are larger than any
 *          array, or `fn` returned ALOOP_PENDING;
 *          ALOOP_ECANCELED: it was cancelled before all items had begun;
 *          ALOOP_EAGAIN, ALOOP_ENOMEM: no thread could be started;
 *          ALOOP_EPERM: the loop belongs to another process;
 *          others: the first error of an item.
 * Memory:  borrows `items` until the future settles.
 * See:     aloop_map(), which runs a task for each item.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_work_map(aloop *loop, aloop_work_fn fn,
                                       void *items, size_t count,
                                       size_t item_size, size_t limit);

/** Names the lanes of a loop's pool. */
typedef enum aloop_lane {
    ALOOP_LANE_FILE,     /* Files and file systems. */
    ALOOP_LANE_RESOLVER, /* Look-ups of names and addresses. */
    ALOOP_LANE_WORK      /* aloop_work() and aloop_work_map(). */
} aloop_lane;

/**
 * Holds the state of a lane, for aloop_pool_info_get().
 *
 * Set `size` to sizeof(aloop_pool_info).  A look-up that was cancelled counts
 * in no field, nor does the thread that is still in it.
 */
typedef struct aloop_pool_info {
    size_t size;      /* Bytes of this struct. */
    unsigned threads; /* That exist now. */
    unsigned idle;    /* Threads without a job. */
    size_t queued;    /* Jobs that have not begun. */
    size_t running;   /* Jobs that have begun; the loop has no result yet. */
    /* Nanoseconds since the oldest of the jobs, queued or running, was given to
     * the lane; 0: there is none. */
    int64_t oldest_ns;
} aloop_pool_info;

/**
 * Describes what a lane of the pool is doing.
 *
 * A large `oldest_ns` shows a job that does not return, such as a read from a
 * network file system whose server does not answer.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is wrong.
 * Memory:  fills in ret_info->size bytes.
 */
ALOOP_API int aloop_pool_info_get(aloop *loop, aloop_lane lane,
                                  aloop_pool_info *ret_info);

ALOOP_END

#endif
