/* A worker: it takes jobs of a redis_queue.h, and runs several at a time.
 *
 *     static ssize_t greet(aloop *loop, const char *argument, char *result,
 *                          size_t size)
 *     {
 *         ...
 *         snprintf(result, size, "hello, %s", argument);
 *         return 0;
 *     }
 *
 *     static const struct redis_job_type types[] = {{"greet", greet}, {0}};
 *     struct redis_worker_options options = {.types = types, ...};
 *     ssize_t status = redis_worker_run(loop, &options);
 *
 * See redis_workers.c for a whole program. */

#ifndef BRIDGES_REDIS_WORKER_H
#define BRIDGES_REDIS_WORKER_H

#include "redis_hold.h"

/**
 * Runs a job, in a task of its own.
 *
 * It may run more than once; see redis_queue.h.  It is cancelled when another
 * worker has taken the job, or when the time of a drain is over.
 *
 * Returns: 0 or more, and the result in `result`.  After an error the job is
 *          tried again when claim_ns have passed, by any worker.
 */
typedef ssize_t (*redis_job_fn)(aloop *loop, const char *argument, char *result,
                                size_t size);

struct redis_job_type {
    const char *name; /* NULL after the last one. */
    redis_job_fn run;
};

struct redis_worker_options {
    /* The members that redis_queue_open() needs. */
    struct redis_queue queue;
    const struct redis_job_type *types;
    size_t jobs_max; /* At a time; from 1 to REDIS_KEEP_MAX. */
    /* A job that fails so often is not tried again.  One that was delivered
     * more often, because its workers were killed, fails without a run. */
    int64_t attempts_max;
    int64_t drain_ns; /* For jobs that run at the end. */
    /* Receives what has happened: to a job, or if that is NULL to the
     * connection.  `status` is 0 or more if the job has ended well. */
    void (*on_event)(const struct redis_job *job, ssize_t status,
                     const char *words);
};

/**
 * Works until the task is cancelled, and then drains.
 *
 * A drain takes no more jobs, and waits for those that run.  Those that have
 * not ended after drain_ns are cancelled and given back, for other workers.
 *
 * If the connection is lost, the jobs that run are cancelled, and it is made
 * again, after pauses of a second.  A job for which there is no memory is
 * reported and given back.  Workers of the group that were killed are removed
 * from it when they have no job and were silent for 10 minutes.
 *
 * Returns: ALOOP_ECANCELED.
 * Errors:  those of redis_queue_open(), if the first attempt fails; on_event
 *          was called with the reason;
 *          ALOOP_EINVAL: jobs_max is not in its range, or claim_ns is less
 *          than a millisecond;
 *          ALOOP_ENOMEM: out of memory, at the start or for a pause.
 * Context: a task.
 */
ssize_t redis_worker_run(aloop *loop,
                         const struct redis_worker_options *options);

#endif
