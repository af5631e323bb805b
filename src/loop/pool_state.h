/* Inside the pool: shared by pool.c, pool_thread.c and pool_end.c.
 *
 * One mutex protects all data that the threads share.  The pool, its places and
 * their conditions have memory from the default allocator, and exist until the
 * last holder of a reference drops it. */

#ifndef ALOOP_LOOP_POOL_STATE_H
#define ALOOP_LOOP_POOL_STATE_H

#include "loop/pool.h"
#include "loop/timed.h"
#include "loop/wake.h"

/* States of a job.  Those of the last two change without the mutex:
 *
 *     QUEUED --> RUNNING --> FINISHED --> done() and drop(), on the loop
 *                   |  leave
 *                   +-------> LEFT --> drop(), on the thread */
enum aloop__job_state { JOB_QUEUED, JOB_RUNNING, JOB_LEFT, JOB_FINISHED };

/* A place for a thread.  It is used again, so that a late notification of its
 * condition has no effect. */
struct aloop__worker {
    struct aloop__pool *pool;
    struct aloop__pool_lane *lane;
    struct aloop__worker *next; /* In pool->workers. */
    struct sys_condition *condition;
    /* Protected by the mutex: */
    struct aloop__node node;   /* In the idle or the unused places of a lane. */
    struct sys_thread *thread; /* To be joined, or NULL. */
    struct aloop__job *left;   /* The job that it runs, if that was left. */
    bool is_left_behind;       /* It is detached and has a reference. */
};

enum { URGENT, NORMAL, ORDERS };

struct aloop__pool_lane {
    unsigned threads_max; /* Except those whose job was left. */
    unsigned threads_all; /* Including these. */
    size_t stack_size;
    /* Used by the loop only: */
    struct aloop__node known; /* Jobs that are not done, oldest first. */
    struct aloop__node given[ORDERS]; /* Jobs since the last flush. */
    size_t known_count;
    size_t collected; /* Jobs that had begun and are known no more. */
    /* Protected by the mutex: */
    struct aloop__node queues[ORDERS]; /* Jobs that a thread may take. */
    size_t begun;                      /* Jobs that threads have taken. */
    atomic_size_t ended_jobs; /* Of these, those that need no thread more. */
    unsigned live;            /* Threads, except those in a left job. */
    unsigned left;            /* Threads in a left job. */
    unsigned idle_count;
    bool is_short;               /* A thread could not be started. */
    struct aloop__node idle;     /* Last in, first out. */
    struct aloop__node unused;   /* Places without a thread. */
    struct aloop__worker *ended; /* A thread that the next one to end joins. */
};

struct aloop__pool {
    aloop *loop;
    struct sys_mutex *mutex;
    struct aloop__wake_hook hook;
    struct aloop__ready flush; /* In loop->flushing if jobs were given. */
    int64_t now_ns;            /* Valid while `flush` is queued. */
    struct aloop__timed retry; /* Set if a lane is short of threads. */
    bool is_closed;            /* No job is accepted. */
    struct aloop__pool_lane lanes[LANE_COUNT];
    _Atomic(struct aloop__job *) finished; /* Last in, first out. */
    /* Protected by the mutex: */
    unsigned refs; /* One of the loop and of each thread left behind. */
    bool is_closing;
    struct aloop__worker *workers; /* All places. */
};

/* pool.c, on the loop's thread. */

/* Removes a job from the loop's list.  It no longer keeps the loop alive. */
void aloop__pool_remove_job(struct aloop__pool *pool, struct aloop__job *job);
/* Ends a job that was removed. */
void aloop__pool_end_job(struct aloop__job *job, int error);
/* Ends the jobs that have finished, in the order in which they did. */
void aloop__pool_collect(struct aloop__pool *pool);

/* pool_thread.c. */

/* Starts as many threads as there are jobs for, within the limits.  Returns an
 * error only if the lane has no thread that takes jobs, and otherwise notes in
 * lane->is_short that one is missing.  Called with the mutex locked. */
int aloop__workers_start(struct aloop__pool *pool,
                         struct aloop__pool_lane *lane);
/* Takes the thread that was idle last from the idle ones, or returns NULL.
 * Called with the mutex locked.  The caller unlocks it and then notifies the
 * thread. */
struct aloop__worker *aloop__worker_wake(struct aloop__pool_lane *lane);
/* Frees the pool. */
void aloop__workers_close(struct aloop__pool *pool);

#endif
