/* The attributes and the size of open files, and their synchronization.
 *
 * Four kinds of operations that differ only in their system call.  Each is
 * always done on the pool: fstat() may wait for a network, the others for a
 * disk.  They do not wait for reads and writes of the file that have begun. */

#include "file/file.h"
#include "loop/debug.h"
#include "os/sys_file.h"

/* The operation of all four kinds.  Each kind uses those members that it
 * needs. */
struct change {
    struct aloop__file_use use;
    aloop_stat *ret_stat;
    aloop_stat stat; /* As the thread has found it. */
    int64_t size;
};

static struct change *change_from(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct change, use.op);
}

/* The four works, each on a thread.  stat_work() writes to the operation,
 * because the memory of the caller may be freed if the future is not wanted
 * any more. */
static ssize_t stat_work(struct aloop__file_op *op)
{
    struct change *change = change_from(op);

    return aloop__sys_fstat(change->use.file->fd, &change->stat);
}

static ssize_t truncate_work(struct aloop__file_op *op)
{
    const struct change *change = change_from(op);

    return aloop__sys_ftruncate(change->use.file->fd, change->size);
}

static ssize_t sync_work(struct aloop__file_op *op)
{
    return aloop__sys_fsync(change_from(op)->use.file->fd);
}

static ssize_t datasync_work(struct aloop__file_op *op)
{
    return aloop__sys_fdatasync(change_from(op)->use.file->fd);
}

/* kind->done of all kinds: copies the result, and leaves the file. */
static bool change_done(struct aloop__file_op *op)
{
    struct change *change = change_from(op);

    if (op->status >= 0 && change->ret_stat != NULL &&
        aloop__file_op_is_wanted(op))
        *change->ret_stat = change->stat;
    aloop__file_use_left(&change->use);
    return true;
}

/* kind->cancel: no thread has begun it. */
static void change_cancel(struct aloop__file_op *op)
{
    aloop__file_use_left(&change_from(op)->use);
    aloop__file_op_end(op, ALOOP_ECANCELED);
}

#define CHANGE_KIND(text, function) \
    { \
        .ops = FILE_OP_FUTURE(text, struct change), .work = (function), \
        .done = change_done, .cancel = change_cancel \
    }

static const struct aloop__file_op_kind stat_kind =
    CHANGE_KIND("file stat", stat_work);
static const struct aloop__file_op_kind truncate_kind =
    CHANGE_KIND("file truncate", truncate_work);
static const struct aloop__file_op_kind sync_kind =
    CHANGE_KIND("file sync", sync_work);
static const struct aloop__file_op_kind datasync_kind =
    CHANGE_KIND("file datasync", datasync_work);

/* Starts an operation of any of the kinds. */
static aloop_future *start_change(aloop_file *file,
                                  const struct aloop__file_op_kind *kind,
                                  const char *function, int64_t size,
                                  aloop_stat *ret_stat)
{
    aloop_future *refused;
    struct change *change = aloop__file_use_new(file, kind, function, &refused);

    if (change == NULL)
        return refused;
    change->size = size;
    change->ret_stat = ret_stat;
    return aloop__file_op_submit(&change->use.op);
}

aloop_future *aloop_file_stat(aloop_file *file, aloop_stat *ret_stat)
{
    int error = aloop__check_handle(file, __func__);

    if (error < 0)
        return aloop__future_refused(error);
    if (ret_stat == NULL)
        return aloop__future_failed(file->handle.loop, ALOOP_EINVAL);
    return start_change(file, &stat_kind, __func__, 0, ret_stat);
}

aloop_future *aloop_file_truncate(aloop_file *file, int64_t size)
{
    return start_change(file, &truncate_kind, __func__, size, NULL);
}

aloop_future *aloop_file_sync(aloop_file *file)
{
    return start_change(file, &sync_kind, __func__, 0, NULL);
}

aloop_future *aloop_file_datasync(aloop_file *file)
{
    return start_change(file, &datasync_kind, __func__, 0, NULL);
}
