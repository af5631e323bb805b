/* Threads that run blocking calls outside of the loop.
 *
 * A job that has not begun is taken back when the loop does not need it any
 * more.  One that is running is left to its thread, which may outlive the loop.
 * Therefore a job, and everything that its work uses, must have memory that
 * belongs to the job alone: not from a loop's allocator, and not on a stack. */

#ifndef ALOOP_LOOP_POOL_H
#define ALOOP_LOOP_POOL_H

#include "loop/state.h"

struct aloop__pool;

/* Work for a thread, embedded in an object from the default allocator. */
struct aloop__job {
    struct aloop__node node;              /* In the queue or the done list. */
    struct aloop__node known;             /* In the loop's list of its jobs. */
    void (*work)(struct aloop__job *job); /* Runs on a thread. */
    /* Called on the loop's thread.  `error` is 0 if the work has ended, or
     * ALOOP_ECANCELED if the pool did not wait for that. */
    void (*done)(struct aloop__job *job, int error);
    /* Frees the job.  It is the last call, and is made exactly once, on the
     * loop's thread or on a thread of the pool. */
    void (*drop)(struct aloop__job *job);
    int state; /* For pool.c; protected by the monitor. */
};

/* Creates a pool of at most `threads` threads.  Those whose jobs were left to
 * them do not count, but there are never more than 64 threads in all.  Returns
 * ALOOP_ENOMEM or an error of the system. */
int aloop__pool_open(aloop *loop, unsigned threads, struct aloop__pool **ret);
/* Ends every job with ALOOP_ECANCELED, and frees the pool without waiting for
 * any work.  A thread that is running a job is left behind: it accesses only
 * its job and the pool, and frees them when it ends. */
void aloop__pool_close(struct aloop__pool *pool);
/* Ends every job with ALOOP_ECANCELED and frees the pool, in a forked child,
 * which has none of the threads. */
void aloop__pool_forget(struct aloop__pool *pool);

/* Queues a job, which keeps the loop alive until the job is done or left.
 * Starts a thread if none is idle and the limit permits.  Fails only if there
 * is no thread at all: with the error of starting one, or with ALOOP_EAGAIN if
 * too many threads are running jobs that were left to them.  After a failure
 * the job still belongs to the caller. */
int aloop__pool_submit(struct aloop__pool *pool, struct aloop__job *job);
/* Must be called when the loop does not need a job any more, and only before
 * its done() was called.  Drops the job without calling done(), or leaves it to
 * its thread, which then does not count towards the limit. */
void aloop__pool_leave(struct aloop__pool *pool, struct aloop__job *job);

#endif
