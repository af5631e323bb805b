/* A worker.
 *
 * One task takes jobs, one keeps those that run, and each job is a task.  A
 * task that has all permits of the semaphore knows that no job runs. */

#include "redis_job.h"
#include "redis_take.h"

#define TAKE_NS ALOOP_SEC(2)
#define AGAIN_NS ALOOP_SEC(1)

/* The tasks of a worker. */

static ssize_t take_run(aloop *loop, void *arg)
{
    struct redis_worker *worker = arg;
    ssize_t status = 0;

    (void) loop;
    while (status >= 0 && !worker->is_draining) {
        struct redis_job job;

        status = aloop_await(aloop_semaphore_acquire(worker->free, 1));
        if (status < 0)
            return status;
        if (!worker->is_draining)
            status = redis_queue_take(&worker->queue, TAKE_NS, &job);
        if (status > 0)
            redis_job_start(worker, &job);
        else
            aloop_semaphore_release(worker->free, 1);
    }
    return status;
}

static ssize_t keep_run(aloop *loop, void *arg)
{
    struct redis_worker *worker = arg;
    ssize_t status = 0;

    while (status >= 0) {
        const char *ids[REDIS_KEEP_MAX];
        redisReply *lost = NULL;
        size_t count = 0;

        status = aloop_await(aloop_sleep(loop, worker->queue.claim_ns / 4));
        for (struct redis_running *running = worker->first;
             running != NULL && count < REDIS_KEEP_MAX; running = running->next)
            ids[count++] = running->job.id;
        if (status >= 0)
            status = count == 0 ? 0
                                : redis_queue_keep(&worker->queue, count, ids,
                                                   0, &lost);
        for (size_t i = 0; status > 0 && i < lost->elements; i++)
            if (lost->element[i]->str != NULL)
                redis_job_lose(worker, lost->element[i]->str);
        freeReplyObject(lost);
    }
    aloop_cancel(worker->take); /* Others would take the jobs. */
    return status;
}

/* Waits for the jobs that run, for a while. */
static void drain(struct redis_worker *worker)
{
    size_t all = worker->options->jobs_max;
    int64_t until_ns = aloop_now(worker->loop) + worker->options->drain_ns;
    ssize_t status;

    worker->is_draining = true;
    (void) redis_queue_stop(&worker->queue);
    status = aloop_await(aloop_timeout(aloop_future_ref(worker->take),
                                       until_ns - aloop_now(worker->loop)));
    if (status >= 0)
        status = aloop_await(
            aloop_timeout(aloop_semaphore_acquire(worker->free, all),
                          until_ns - aloop_now(worker->loop)));
    if (status >= 0)
        aloop_semaphore_release(worker->free, all);
}

/* Works until the task is cancelled or the connection is lost. */
static ssize_t serve(struct redis_worker *worker)
{
    aloop_future *take = aloop_spawn(worker->loop, take_run, worker), *keep;
    ssize_t status;

    worker->take = take;
    keep = aloop_spawn(worker->loop, keep_run, worker);
    if (keep == NULL)
        aloop_cancel(take); /* Others would take the jobs. */
    status = aloop_await(aloop_future_ref(take));
    aloop_shield_begin();
    if (aloop_is_cancelled())
        drain(worker);
    aloop_cancel(take);
    (void) aloop_await(aloop_future_ref(take));
    redis_job_cancel_all(worker);
    if (aloop_await(aloop_semaphore_acquire(worker->free,
                                            worker->options->jobs_max)) >= 0)
        aloop_semaphore_release(worker->free, worker->options->jobs_max);
    aloop_cancel(keep);
    (void) aloop_await(keep);
    aloop_future_unref(take);
    (void) redis_queue_leave(&worker->queue);
    aloop_shield_end();
    return status;
}

ssize_t redis_worker_run(aloop *loop,
                         const struct redis_worker_options *options)
{
    struct redis_worker worker = {.loop = loop,
                                  .options = options,
                                  .queue = options->queue};
    bool was_open = false;
    ssize_t status = 0;

    worker.free = aloop_semaphore_new(loop, options->jobs_max);
    if (worker.free == NULL)
        return ALOOP_ENOMEM;
    while (!aloop_is_cancelled()) {
        status = redis_queue_open(loop, &worker.queue, true);
        if (status >= 0) {
            was_open = true;
            status = serve(&worker);
        }
        redis_queue_close(&worker.queue);
        if (status < 0 && !aloop_is_cancelled())
            options->on_event(NULL, status, worker.queue.words);
        if (!was_open)
            break;
        (void) aloop_await(aloop_sleep(loop, AGAIN_NS));
    }
    aloop_semaphore_free(worker.free);
    return aloop_is_cancelled() ? ALOOP_ECANCELED : status;
}
