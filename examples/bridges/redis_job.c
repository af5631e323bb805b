/* The jobs that a worker runs.  Each is a task. */

#include "redis_job.h"

#include <stdlib.h>
#include <string.h>

/* Returns whether a job was delivered more often than it may be tried: no
 * worker has lived until it ended. */
static bool is_given_up(const struct redis_worker *worker,
                        const struct redis_job *job)
{
    return job->attempt > worker->options->attempts_max;
}

static ssize_t run_type(aloop *loop, struct redis_running *running)
{
    const struct redis_job_type *type = running->worker->options->types;

    if (is_given_up(running->worker, &running->job))
        return ALOOP_ECONNABORTED;
    while (type->name != NULL && strcmp(type->name, running->job.type) != 0)
        type++;
    return type->name != NULL
               ? type->run(loop, running->job.argument, running->result,
                           sizeof running->result)
               : ALOOP_ENOSYS;
}

/* Ends a job whose function has returned `status`. */
static void end_job(struct redis_worker *worker, struct redis_running *running,
                    ssize_t status)
{
    const struct redis_worker_options *options = worker->options;
    const struct redis_job *job = &running->job;
    const char *words = is_given_up(worker, job)
                            ? "no worker has lived until it ended"
                        : status == ALOOP_ENOSYS ? "the type is not known"
                        : status < 0             ? aloop_strerror(status)
                                                 : running->result;
    ssize_t ended = 1;

    if (running->is_lost) {
        ended = 0;
        words = "another worker has taken it";
    } else if (status == ALOOP_ECANCELED) {
        ended = redis_queue_give_back(&worker->queue, job);
        words = "given back";
    } else if (status >= 0 || job->attempt >= options->attempts_max) {
        ended = redis_queue_end(&worker->queue, job, status < 0, words);
        if (ended == 0)
            words = "it had ended before";
    }
    if (ended < 0)
        words = worker->queue.words;
    if (status >= 0 && ended != 1)
        status = ended < 0 ? ended : ALOOP_EALREADY;
    options->on_event(job, status, words);
}

static ssize_t job_run(aloop *loop, void *arg)
{
    struct redis_running *running = arg, **link;
    struct redis_worker *worker = running->worker;
    ssize_t status;

    *running->has_begun = true;
    running->next = worker->first;
    worker->first = running;
    status = run_type(loop, running);
    aloop_shield_begin();
    end_job(worker, running, status);
    aloop_shield_end();
    for (link = &worker->first; *link != running; link = &(*link)->next)
        ;
    *link = running->next;
    aloop_detach(running->task);
    freeReplyObject(running->job.reply);
    free(running);
    aloop_semaphore_release(worker->free, 1);
    return 0;
}

static struct redis_running *find(const struct redis_worker *worker,
                                  const char *id)
{
    struct redis_running *running = worker->first;

    while (running != NULL && strcmp(running->job.id, id) != 0)
        running = running->next;
    return running;
}

/* Makes the task of a job, and waits until it has begun.  A task for whose
 * stack there is no memory never begins. */
static bool begin(struct redis_worker *worker, const struct redis_job *job)
{
    struct redis_running *running = calloc(1, sizeof *running);
    bool has_begun = false;
    aloop_future *task;

    if (running == NULL)
        return false;
    running->worker = worker;
    running->job = *job;
    running->has_begun = &has_begun;
    task = running->task = aloop_spawn(worker->loop, job_run, running);
    while (!has_begun && !aloop_future_is_settled(task))
        (void) aloop_yield(worker->loop);
    if (!has_begun) {
        (void) aloop_future_status(task);
        aloop_future_unref(task);
        free(running);
        return false;
    }
    return true;
}

void redis_job_start(struct redis_worker *worker, const struct redis_job *job)
{
    /* One that this worker runs was not kept in time, and came back. */
    bool is_known = find(worker, job->id) != NULL;

    if (!is_known && begin(worker, job))
        return;
    if (!is_known) {
        aloop_shield_begin();
        (void) redis_queue_give_back(&worker->queue, job);
        aloop_shield_end();
        worker->options->on_event(job, ALOOP_ENOMEM,
                                  aloop_strerror(ALOOP_ENOMEM));
    }
    freeReplyObject(job->reply);
    aloop_semaphore_release(worker->free, 1);
}

void redis_job_lose(const struct redis_worker *worker, const char *id)
{
    struct redis_running *running = find(worker, id);

    if (running == NULL)
        return;
    running->is_lost = true;
    aloop_cancel(running->task);
}

void redis_job_cancel_all(const struct redis_worker *worker)
{
    for (struct redis_running *running = worker->first; running != NULL;
         running = running->next)
        aloop_cancel(running->task);
}

void redis_job_wait_all(const struct redis_worker *worker, int64_t until_ns)
{
    ssize_t status = 0;

    /* While the loop is freed, awaits return before a job has ended. */
    while (worker->first != NULL && (status >= 0 || until_ns == INT64_MAX)) {
        aloop_future *task = aloop_future_ref(worker->first->task);

        if (until_ns < INT64_MAX)
            task = aloop_timeout(task, until_ns - aloop_now(worker->loop));
        status = aloop_await(task);
    }
}
