/* File operations; see file_op.h.
 *
 * This file connects three things that know nothing of each other: the future,
 * the job of the pool, and the kind.  While a thread runs op_work() the
 * operation belongs to that thread, except for `is_cancelled`.  At all other
 * times it belongs to the thread of the loop. */

#include "file/file_op.h"

#include <string.h>

#include "loop/debug.h"
#include "loop/quarantine.h"
#include "os/sys_file.h"

_Static_assert(offsetof(struct aloop__file_op_kind, ops) == 0,
               "a pointer to the ops is a pointer to the kind");
_Static_assert(offsetof(struct aloop__file_op, future) == 0,
               "a pointer to the future is a pointer to the operation");

static struct aloop__file_op *op_of(aloop_future *future)
{
    return CONTAINER_OF(future, struct aloop__file_op, future);
}

/* Returns the size of a path, with its end.  The kernel refuses longer paths;
 * the limit bounds the copy. */
static int check_path(const char *path, size_t *ret_size)
{
    const char *end;

    if (path == NULL)
        return ALOOP_EINVAL;
    end = memchr(path, '\0', SYS_PATH_MAX);
    if (end == NULL)
        return ALOOP_ENAMETOOLONG;
    *ret_size = (size_t) (end - path) + 1;
    return 0;
}

/* Copies the paths that the kind requires into one block.  The caller's texts
 * may end before a thread reads them. */
static int copy_paths(struct aloop__file_op *op, const char *path,
                      const char *target)
{
    int paths = aloop__file_op_kind_of(op)->paths, error = 0;
    size_t size = 0, target_size = 0;
    char *copy;

    if (paths > 0)
        error = check_path(path, &size);
    if (paths > 1 && error == 0)
        error = check_path(target, &target_size);
    if (paths == 0 || error < 0)
        return error;
    copy = aloop__alloc_new(&op->future.loop->alloc, size + target_size);
    if (copy == NULL)
        return ALOOP_ENOMEM;
    op->paths_size = size + target_size;
    op->path = memcpy(copy, path, size);
    if (paths > 1)
        op->target = memcpy(copy + size, target, target_size);
    return 0;
}

/* Frees what the operation refers to.  It is called when the operation ends,
 * and again when its future is freed. */
static void free_parts(struct aloop__file_op *op)
{
    const struct aloop__file_op_kind *kind = aloop__file_op_kind_of(op);

    if (op->has_no_parts)
        return;
    op->has_no_parts = true;
    if (kind->fini != NULL)
        kind->fini(op);
    aloop__alloc_free(&op->future.loop->alloc, (char *) (uintptr_t) op->path,
                      op->paths_size);
}

/* A failure after the future was made frees it again: it has no owner yet. */
void *aloop__file_op_new(aloop *loop, const struct aloop__file_op_kind *kind,
                         const char *function, const char *path,
                         const char *target, aloop_future **ret_refused)
{
    int error = aloop__check_loop(loop, function);
    struct aloop__file_op *op;

    if (error < 0 || aloop__is_foreign_by_pid(loop)) {
        *ret_refused = aloop__future_refused(error < 0 ? error : ALOOP_EPERM);
        return NULL;
    }
    *ret_refused = NULL;
    op = aloop__future_new(loop, &kind->ops);
    if (op == NULL)
        return NULL;
    error = copy_paths(op, path, target);
    if (error == 0)
        return op;
    aloop__future_drop_new(&op->future);
    if (error != ALOOP_ENOMEM)
        *ret_refused = aloop__future_failed(loop, error);
    return NULL;
}

/* The settled future may be kept for long, and until the loop is freed. */
void aloop__file_op_end(struct aloop__file_op *op, ssize_t status)
{
    assert(!op->is_submitted);
    free_parts(op);
    aloop__future_settle(&op->future, status);
}

/* job->work, on a thread. */
static void op_work(struct aloop__job *job)
{
    struct aloop__file_op *op = CONTAINER_OF(job, struct aloop__file_op, job);

    atomic_store_explicit(&op->is_at_work, true, memory_order_relaxed);
    op->status = aloop__file_op_kind_of(op)->work(op);
    atomic_store_explicit(&op->is_at_work, false, memory_order_relaxed);
}

/* Called once for each submission, with the error of a job that did not run.
 * The kind may submit the operation again; then it has not ended. */
static void op_ended(struct aloop__file_op *op, int error)
{
    const struct aloop__file_op_kind *kind = aloop__file_op_kind_of(op);

    op->is_submitted = false;
    if (error < 0)
        op->status = error;
    if (kind->done == NULL || kind->done(op))
        aloop__file_op_end(op, op->status);
}

/* job->done, on the loop's thread. */
static void op_done(struct aloop__job *job, int error)
{
    op_ended(CONTAINER_OF(job, struct aloop__file_op, job), error);
}

/* Hands the operation to the pool, which owns the job until op_done() or a
 * success of aloop__file_op_take_back(). */
static int submit_op(struct aloop__file_op *op, bool is_first)
{
    aloop *loop = op->future.loop;
    int error;

    op->job.work = op_work;
    op->job.done = op_done;
    op->is_submitted = true;
    error = is_first ? aloop__pool_submit_first(loop, LANE_FILE, &op->job)
                     : aloop__pool_submit(loop, LANE_FILE, &op->job);
    if (error < 0)
        op->is_submitted = false;
    return error;
}

/* The future is returned even if it has failed: it is pending or has
 * settled. */
aloop_future *aloop__file_op_submit(struct aloop__file_op *op)
{
    aloop_future *future = &op->future;
    int error = submit_op(op, false);

    if (error < 0)
        op_ended(op, error);
    return future;
}

int aloop__file_op_try_submit(struct aloop__file_op *op)
{
    return submit_op(op, false);
}

int aloop__file_op_submit_first(struct aloop__file_op *op)
{
    return submit_op(op, true);
}

/* An operation that was not submitted counts as taken back. */
bool aloop__file_op_take_back(struct aloop__file_op *op)
{
    if (op->is_submitted && !aloop__pool_take_back(op->future.loop, &op->job))
        return false;
    op->is_submitted = false;
    if (op->is_postponed)
        list_remove(&op->postponed);
    return true;
}

/* ops->cancel.  If a thread has begun the work, it sees the flag between two
 * steps, and the operation ends in op_done(): until then the thread uses memory
 * of the caller. */
void aloop__file_op_cancel(aloop_future *future)
{
    struct aloop__file_op *op = op_of(future);
    const struct aloop__file_op_kind *kind = aloop__file_op_kind_of(op);

    atomic_store_explicit(&op->is_cancelled, true, memory_order_relaxed);
    if (!aloop__file_op_take_back(op))
        return;
    if (kind->cancel != NULL)
        kind->cancel(op);
    else
        aloop__file_op_end(op, ALOOP_ECANCELED);
}

/* ops->fini. */
void aloop__file_op_fini(aloop_future *future)
{
    free_parts(op_of(future));
}
