/* Threads that run what may block, away from the loop.
 *
 * A job that has not begun is taken back when the loop has no use for it any
 * more; one that runs is left to its thread, which may outlive the loop.  So a
 * job, and all that its work uses, has memory that belongs to it alone: of no
 * loop's allocator, on no stack. */

#ifndef ALOOP_LOOP_POOL_H
#define ALOOP_LOOP_POOL_H

#include "loop/state.h"

struct aloop__pool;

/* What a thread does for the loop; embedded in something that lives on the
 * default allocator. */
struct aloop__job {
    struct aloop__node node;  /* Under the monitor: in the queue, or done. */
    struct aloop__node known; /* The loop's list of its jobs. */
    void (*work)(struct aloop__job *job); /* On a thread. */
    /* On the loop: `error` is 0, or ALOOP_ECANCELED if it did not wait for
     * work to end. */
    void (*done)(struct aloop__job *job, int error);
    /* Frees the job: the last call, once, on the loop or on a thread. */
    void (*drop)(struct aloop__job *job);
    int state; /* Under the monitor; pool.c. */
};

/* At most `threads` work for the loop; with those whose jobs were left to them
 * there are never more than 64. */
int aloop__pool_open(aloop *loop, unsigned threads, struct aloop__pool **ret);
/* Every job is done with ALOOP_ECANCELED.  Waits for no work: a thread that is
 * at work is left behind, touches nothing but its job and the pool, and frees
 * both. */
void aloop__pool_close(struct aloop__pool *pool);
/* In a forked child, which has none of the threads: every job is done with
 * ALOOP_ECANCELED. */
void aloop__pool_abandon(struct aloop__pool *pool);

/* Queues a job, which keeps the loop alive until it is done or left.  Starts a
 * thread if none is idle and there may be more.  Fails only if there is no
 * thread at all: with the error of starting one, or with ALOOP_EAGAIN where
 * there are too many on jobs that were left to them.  The job is then still
 * the caller's. */
int aloop__pool_submit(struct aloop__pool *pool, struct aloop__job *job);
/* Calls done() for what threads have finished; part of every wake-up. */
void aloop__pool_collect(struct aloop__pool *pool);
/* The loop has no use for the job any more, which must not be done yet: done()
 * is not called, and the job is gone or left to its thread, which then does
 * not count against the limit. */
void aloop__pool_leave(struct aloop__pool *pool, struct aloop__job *job);

#endif
