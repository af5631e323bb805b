/* The jobs that a worker runs.  Each is a task. */

#include "redis_job.h"

#include <stdlib.h>
#include <string.h>

/* Longer than claim_ns of any worker. */
#define GIVEN_BACK_NS ALOOP_SEC(1000000)

static ssize_t run_type(aloop *loop, struct redis_running *running)
{
    const struct redis_job_type *type = running->worker->options->types;

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
    const char *words = status == ALOOP_ENOSYS ? "the type is not known"
                        : status < 0           ? aloop_strerror(status)
                                               : running->result;
    ssize_t ended = 1;

    if (running->is_lost) {
        words = "another worker has taken it";
    } else if (status == ALOOP_ECANCELED) {
        redisReply *lost;

        ended =
            redis_queue_keep(&worker->queue, 1, &job->id, GIVEN_BACK_NS, &lost);
        freeReplyObject(lost);
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
    ssize_t status = run_type(loop, running);

    aloop_shield_begin();
    end_job(worker, running, status);
    aloop_shield_end();
    for (link = &worker->first; *link != running; link = &(*link)->next)
        ;
    *link = running->next;
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

/* A job that this worker runs already was not kept in time, and came back. */
void redis_job_start(struct redis_worker *worker, const struct redis_job *job)
{
    struct redis_running *running =
        find(worker, job->id) == NULL ? calloc(1, sizeof *running) : NULL;

    if (running != NULL)
        running->task = aloop_spawn(worker->loop, job_run, running);
    if (running == NULL || running->task == NULL) {
        free(running);
        freeReplyObject(job->reply);
        aloop_semaphore_release(worker->free, 1);
        return;
    }
    running->worker = worker;
    running->job = *job;
    running->next = worker->first;
    worker->first = running;
    aloop_detach(running->task);
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
