/* Functions of the application on threads of the pool: aloop_work().
 *
 * A work is a future and a job.  The thread uses `fn`, `arg` and `result` only,
 * and hands them back with the job.  The memory that `arg` points to may be on
 * the stack of the waiting task, because the future settles only when the
 * function has ended. */

#include "aloop/work.h"

#include <string.h>

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/pool.h"

/* The future of aloop_work().  Its tie lets a composition that is out of memory
 * wait until the function has ended (tie.c). */
struct work {
    aloop_future future;
    struct aloop__job job;
    aloop_work_fn fn;
    void *arg;
    ssize_t result; /* Written by the thread. */
    struct aloop__tie tie;
};

static struct work *work_of(struct aloop__job *job)
{
    return CONTAINER_OF(job, struct work, job);
}

/* job->work, on a thread. */
static void work_run(struct aloop__job *job)
{
    struct work *work = work_of(job);

    work->result = work->fn(work->arg);
}

/* job->done, on the loop's thread.  `error` means that the function did not
 * run. */
static void work_done(struct aloop__job *job, int error)
{
    struct work *work = work_of(job);
    ssize_t status = error < 0 ? error : work->result;

    if (status == ALOOP_PENDING)
        status = ALOOP_EINVAL; /* It is not a status. */
    aloop__future_settle(&work->future, status);
}

/* ops->cancel.  A function that has begun cannot be interrupted; its status is
 * delivered by work_done(). */
static void work_cancel(aloop_future *future)
{
    struct work *work = CONTAINER_OF(future, struct work, future);

    if (aloop__pool_take_back(future->loop, &work->job))
        aloop__future_settle(future, ALOOP_ECANCELED);
}

/* A job keeps the loop alive, so that its future need not. */
static const struct aloop__future_ops work_ops = {
    .name = "work",
    .size = sizeof(struct work),
    .tie = offsetof(struct work, tie),
    .cancel = work_cancel,
};

aloop_future *aloop_work(aloop *loop, aloop_work_fn fn, void *arg)
{
    int error = aloop__check_loop(loop, __func__);
    struct work *work;

    if (error < 0)
        return aloop__future_refused(error);
    if (fn == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    work = aloop__future_new(loop, &work_ops);
    if (work == NULL)
        return NULL;
    work->fn = fn;
    work->arg = arg;
    work->job.work = work_run;
    work->job.done = work_done;
    error = aloop__pool_submit(loop, LANE_WORK, &work->job);
    if (error < 0)
        aloop__future_settle(&work->future, error);
    return &work->future;
}

_Static_assert((int) ALOOP_LANE_FILE == (int) LANE_FILE &&
                   (int) ALOOP_LANE_RESOLVER == (int) LANE_RESOLVER &&
                   (int) ALOOP_LANE_WORK == (int) LANE_WORK,
               "the public lanes are those of the pool");

/* The caller's struct may be smaller or larger than the library's (options.h):
 * exactly ret_info->size bytes are written. */
int aloop_pool_info_get(aloop *loop, aloop_lane lane, aloop_pool_info *ret_info)
{
    int error = aloop__check_loop(loop, __func__);
    struct aloop__pool_figures figures;
    aloop_pool_info info;

    if (error < 0)
        return error;
    if ((int) lane < 0 || (int) lane >= LANE_COUNT || ret_info == NULL ||
        ret_info->size < sizeof ret_info->size)
        return ALOOP_EINVAL;
    aloop__pool_look(loop, (enum aloop__lane) lane, &figures);
    info = (aloop_pool_info){
        .size = ret_info->size,
        .threads = figures.threads,
        .idle = figures.idle,
        .queued = figures.queued,
        .running = figures.running,
        .oldest_ns = figures.oldest_ns,
    };
    if (info.size > sizeof info)
        memset(ret_info + 1, 0, info.size - sizeof info);
    memcpy(ret_info, &info, info.size < sizeof info ? info.size : sizeof info);
    return 0;
}
