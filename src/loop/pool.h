/* Threads that run what may block, away from the loop.
 *
 * A job is a future: it settles, on the loop, once the thread is done with it.
 * A job that has not begun is taken back when it is cancelled; one that runs is
 * let finish, and its memory, which is its own, outlives the future's users. */

#ifndef ALOOP_LOOP_POOL_H
#define ALOOP_LOOP_POOL_H

#include "loop/loop.h"

struct aloop__pool;

/* What a thread does for the loop; embedded in something that lives on the
 * allocator (never on a stack or in the slab). */
struct aloop__job {
    struct aloop__node node;  /* Under the monitor: in the queue, or done. */
    struct aloop__node known; /* The loop's list of all that are not done. */
    void (*work)(struct aloop__job *job); /* On a thread. */
    /* On the loop: `error` is 0, or ALOOP_ECANCELED if work never ran. */
    void (*done)(struct aloop__job *job, int error);
    bool begun; /* Under the monitor: a thread has it, or had it. */
};

int aloop__pool_open(aloop *loop, unsigned threads, struct aloop__pool **ret);
/* Queued jobs are done with ALOOP_ECANCELED, running ones are waited for. */
void aloop__pool_close(struct aloop__pool *pool);
/* In a forked child, which has none of the threads: every job is done with
 * ALOOP_ECANCELED. */
void aloop__pool_abandon(struct aloop__pool *pool);

/* Queues a job, which keeps the loop alive until it is done.  Starts a thread
 * if none is idle and there may be more; the error of that only if there is
 * no thread at all. */
int aloop__pool_submit(struct aloop__pool *pool, struct aloop__job *job);
/* Calls done() for what threads have finished; part of every wake-up. */
void aloop__pool_collect(struct aloop__pool *pool);
/* Takes back a job that has not begun, and calls done() with ALOOP_ECANCELED;
 * false if it runs or has run: done() will come. */
bool aloop__pool_withdraw(struct aloop__pool *pool, struct aloop__job *job);

#endif
