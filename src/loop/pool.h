/* Threads that run blocking calls outside of the loop.
 *
 * A loop has one pool, with a lane for each kind of call.  A lane has its own
 * queue, threads and limit, so that no kind of call delays another one.
 * Threads start when there is work for them.  One that has been idle for 10
 * seconds ends, unless it is the last one of its lane.
 *
 * What is submitted in a turn is handed to the threads when the turn flushes,
 * with one wake-up for each lane.
 *
 * The lanes for files and work have jobs that use memory of the application.
 * Such a job is taken back before it has begun, or awaited: also aloop_free()
 * waits for it.  A job of the resolver is left to its thread instead, which may
 * outlive the loop.  Therefore it, and everything that its work uses, must have
 * memory that belongs to the job alone: not from a loop's allocator, and not on
 * a stack. */

#ifndef ALOOP_LOOP_POOL_H
#define ALOOP_LOOP_POOL_H

#include "loop/state.h"

enum aloop__lane { LANE_FILE, LANE_RESOLVER, LANE_WORK, LANE_COUNT };

struct aloop__worker;

/* One call, embedded in an object of its owner.  The owner sets the functions,
 * and the pool everything else. */
struct aloop__job {
    struct aloop__node node;  /* In a queue of its lane. */
    struct aloop__node known; /* In the lane's list of its jobs. */
    /* Runs on a thread, with all signals blocked.  It uses the job and what the
     * job points to, and neither the loop nor its allocator. */
    void (*work)(struct aloop__job *job);
    /* Called on the loop's thread, exactly once unless the job is taken back or
     * left.  It may free the job and submit others, but calls no code of the
     * application.  `error` is one of:
     *
     *     0                 the work has ended
     *     ALOOP_ECANCELED   the loop ends, or this is a forked child.  The work
     *                       never ran and never will, except in the lane of the
     *                       resolver, and in the parent.
     *     another error     no thread could be started, and the work never
     *                       ran; ALOOP_EAGAIN if there are too many threads */
    void (*done)(struct aloop__job *job, int error);
    /* For the lane of the resolver, NULL in the others: frees the job.  It is
     * the last call, and is made exactly once, on the loop's thread or on a
     * thread of the pool. */
    void (*drop)(struct aloop__job *job);
    struct aloop__job *next_finished;
    struct aloop__worker *worker; /* Whose thread has begun it. */
    atomic_uint state;
    enum aloop__lane lane;
    bool is_left; /* Only used by the loop. */
    int64_t since_ns;
};

/* Queues a job, which keeps the loop alive until the job is done, taken back or
 * left.  The thread gets it when the turn flushes, and done() is called in a
 * later phase.  Returns 0; or, and then the job is not used, ALOOP_ENOMEM,
 * another error of opening the pool, ALOOP_EPERM in a forked child, or
 * ALOOP_ECANCELED if the loop is closing the pool.  After the first job of any
 * lane was accepted, it fails only with the last two. */
int aloop__pool_submit(aloop *loop, enum aloop__lane lane,
                       struct aloop__job *job);
/* Does the same, but before all jobs of the lane that have not begun, except
 * those that were submitted like this.  For closing descriptors. */
int aloop__pool_submit_first(aloop *loop, enum aloop__lane lane,
                             struct aloop__job *job);
/* Returns true if the job has not begun.  Then the pool does not have it any
 * more, and neither work() nor done() will be called.  Otherwise done() will be
 * called. */
bool aloop__pool_take_back(aloop *loop, struct aloop__job *job);
/* For the lane of the resolver, before done() was called: removes the job
 * without calling done().  Drops it now or, if its work has begun, when that
 * has ended.  The thread does not count towards the limit until then. */
void aloop__pool_leave(aloop *loop, struct aloop__job *job);

/* Returns how many jobs of a lane can run simultaneously. */
unsigned aloop__pool_threads_max(const aloop *loop, enum aloop__lane lane);
/* Returns whether there are jobs for which aloop_free() waits. */
bool aloop__pool_is_working(const aloop *loop);

/* The state of a lane. */
struct aloop__pool_figures {
    unsigned threads; /* Except those whose job was left. */
    unsigned idle;
    size_t queued;     /* Jobs that have not begun. */
    size_t running;    /* Jobs that have begun, and are not done. */
    int64_t oldest_ns; /* Since the first of these jobs was submitted, or 0. */
};

void aloop__pool_look(aloop *loop, enum aloop__lane kind,
                      struct aloop__pool_figures *ret);

/* Ends the jobs that have not begun and those of the resolver with
 * ALOOP_ECANCELED, waits for the others, and ends all threads.  Does not wait
 * for threads that are in a job of the resolver: these access only that job and
 * the pool, and free them when they end. */
void aloop__pool_close(aloop *loop);
/* Ends every job with ALOOP_ECANCELED, or with 0 if its work has ended and it
 * is not the resolver's, and frees the pool: in a forked child, which has none
 * of the threads. */
void aloop__pool_forget(aloop *loop);

#endif
