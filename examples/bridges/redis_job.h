/* For redis_worker.h: the jobs that a worker runs. */

#ifndef BRIDGES_REDIS_JOB_H
#define BRIDGES_REDIS_JOB_H

#include "redis_worker.h"

struct redis_worker {
    aloop *loop;
    const struct redis_worker_options *options;
    struct redis_queue queue;
    aloop_semaphore *free;       /* A permit for each job that may start. */
    struct redis_running *first; /* Jobs that run. */
    aloop_future *take;          /* The task that takes jobs. */
    bool is_keeping;             /* The task that keeps jobs runs. */
    bool is_draining;
};

struct redis_running {
    struct redis_running *next;
    struct redis_worker *worker;
    struct redis_job job;
    aloop_future *task;
    bool *has_begun;
    bool is_lost; /* Another worker has it. */
    char result[256];
};

/* Starts a job, which takes over its reply and a permit.  A job for which there
 * is no memory is given back, and reported. */
void redis_job_start(struct redis_worker *worker, const struct redis_job *job);

/* Cancels a job that another worker has taken, if it still runs. */
void redis_job_lose(const struct redis_worker *worker, const char *id);

/* Cancels all jobs that run. */
void redis_job_cancel_all(const struct redis_worker *worker);

/* Waits until no job runs, up to `until_ns`.  It needs no memory if that is
 * INT64_MAX. */
void redis_job_wait_all(const struct redis_worker *worker, int64_t until_ns);

#endif
