/* A worker.
 *
 * One task takes jobs, one keeps those that run, and each job is a task.  None
 * of them outlives the worker, also if there is no memory. */

#include "redis_job.h"
#include "redis_take.h"

#define TAKE_NS ALOOP_SEC(2)
#define IDLE_NS ALOOP_SEC(600)
#define AGAIN_NS ALOOP_SEC(1)
#define STOP_NS ALOOP_MS(50)

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
    int64_t remove_at_ns = 0;
    ssize_t status = 0;

    worker->is_keeping = true;
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
        if (status >= 0 && aloop_now(loop) >= remove_at_ns) {
            status = redis_queue_remove_idle(&worker->queue, IDLE_NS);
            remove_at_ns = aloop_now(loop) + IDLE_NS;
        }
    }
    worker->is_keeping = false;
    aloop_cancel(worker->take); /* Others would take the jobs. */
    return status;
}

/* Waits for the jobs that run, for a while.  The task that takes jobs may begin
 * to wait after a stop, so that another one follows. */
static void drain(struct redis_worker *worker)
{
    int64_t until_ns = aloop_now(worker->loop) + worker->options->drain_ns;
    int64_t pause_ns = ALOOP_MS(1);
    ssize_t status = 0;

    worker->is_draining = true;
    while (status >= 0 && !aloop_future_is_settled(worker->take) &&
           aloop_now(worker->loop) < until_ns) {
        status = redis_queue_stop(&worker->queue);
        if (status >= 0)
            status = aloop_await(aloop_sleep(worker->loop, pause_ns));
        if (pause_ns < STOP_NS)
            pause_ns *= 2;
    }
    if (status >= 0)
        redis_job_wait_all(worker, until_ns);
}

/* Cancels a task, and returns its status when it has ended.  While the loop is
 * freed, awaits return before that. */
static ssize_t end_task(aloop_future *task)
{
    aloop_cancel(task);
    while (!aloop_future_is_settled(task))
        (void) aloop_await(aloop_future_ref(task));
    return aloop_await(task);
}

/* Works until the task is cancelled or the connection is lost. */
static ssize_t serve(struct redis_worker *worker)
{
    aloop_future *keep = aloop_spawn(worker->loop, keep_run, worker);
    ssize_t status, kept;

    while (!worker->is_keeping && !aloop_future_is_settled(keep))
        (void) aloop_yield(worker->loop);
    if (worker->is_keeping) /* Others would take the jobs. */
        worker->take = aloop_spawn(worker->loop, take_run, worker);
    status = aloop_await(aloop_future_ref(worker->take));
    aloop_shield_begin();
    if (aloop_is_cancelled())
        drain(worker);
    (void) end_task(worker->take);
    worker->take = NULL;
    redis_job_cancel_all(worker);
    redis_job_wait_all(worker, INT64_MAX);
    kept = end_task(keep);
    (void) redis_queue_leave(&worker->queue);
    aloop_shield_end();
    return kept < 0 && kept != ALOOP_EABORTED ? kept : status;
}

static void report(struct redis_worker *worker, ssize_t status)
{
    bool is_own = status == ALOOP_ENOMEM || status == ALOOP_EINVAL;

    worker->options->on_event(
        NULL, status, is_own ? aloop_strerror(status) : worker->queue.words);
}

ssize_t redis_worker_run(aloop *loop,
                         const struct redis_worker_options *options)
{
    struct redis_worker worker = {
        .loop = loop,
        .options = options,
        .queue = options->queue,
        .free = aloop_semaphore_new(loop, options->jobs_max)};
    ssize_t status = worker.free == NULL ? ALOOP_ENOMEM : 0;
    bool was_open = false;

    if (options->jobs_max == 0 || options->jobs_max > REDIS_KEEP_MAX ||
        options->queue.claim_ns < ALOOP_MS(1))
        status = ALOOP_EINVAL;
    if (status < 0)
        report(&worker, status);
    while (status >= 0 && !aloop_is_cancelled()) {
        status = redis_queue_open(loop, &worker.queue, true);
        if (status >= 0) {
            was_open = true;
            status = serve(&worker);
        }
        redis_queue_close(&worker.queue);
        if (status < 0 && !aloop_is_cancelled())
            report(&worker, status);
        if (was_open)
            status = aloop_await(aloop_sleep(loop, AGAIN_NS));
    }
    aloop_semaphore_free(worker.free);
    return aloop_is_cancelled() ? ALOOP_ECANCELED : status;
}
