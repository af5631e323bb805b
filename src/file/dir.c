/* Directories that are read in batches.
 *
 * A directory is a handle that never calls back.  At most one operation uses it
 * at a time, and it stays until that operation has ended.  The descriptor is
 * closed on the pool, ahead of other operations.
 *
 * In a forked child a directory can only be closed, because its position is
 * that of the parent, too. */

#include "aloop/dir.h"

#include <errno.h>

#include "file/file_op.h"
#include "file/names.h"
#include "loop/debug.h"
#include "loop/handle.h"

struct dir_read {
    struct aloop__file_op op;
    aloop_dir *dir;
    aloop_dir_entry *ret_entries;
    size_t count;
};

struct aloop_dir {
    struct aloop__handle handle;
    struct sys_dir *dir;      /* NULL until it is open. */
    struct dir_read *reading; /* The read that is pending, or NULL. */
    bool is_opening;
    int error;                 /* Of all later reads; 0: none. */
    struct aloop__names names; /* Of the last read. */
};

/* Closing.
 *
 * The operation has no owner and no status.  It closes the directory in
 * whichever of its functions is called first: a thread runs it, the pool
 * refuses it, or the loop ends before. */

struct dir_closing {
    struct aloop__file_op op;
    struct sys_dir *dir; /* NULL once it was closed. */
};

/* Only the first call has an effect. */
static void close_dir_now(struct dir_closing *closing)
{
    if (closing->dir != NULL)
        aloop__sys_dir_close(closing->dir);
    closing->dir = NULL;
}

static ssize_t dir_close_work(struct aloop__file_op *op)
{
    close_dir_now(CONTAINER_OF(op, struct dir_closing, op));
    return 0;
}

/* kind->done.  The handle is closed here if no thread has done it. */
static bool dir_close_done(struct aloop__file_op *op)
{
    close_dir_now(CONTAINER_OF(op, struct dir_closing, op));
    op->status = 0;
    return true;
}

static void dir_close_cancel(struct aloop__file_op *op)
{
    close_dir_now(CONTAINER_OF(op, struct dir_closing, op));
    aloop__file_op_end(op, 0);
}

static const struct aloop__file_op_kind dir_close_kind = {
    .ops = FILE_OP_FUTURE("dir close", struct dir_closing),
    .work = dir_close_work,
    .done = dir_close_done,
    .cancel = dir_close_cancel,
};

/* Closes on the pool, or here if that is impossible. */
static void dir_close_later(aloop *loop, struct sys_dir *dir)
{
    struct dir_closing *closing = NULL;

    if (!loop->is_dying && !aloop__is_foreign(loop))
        closing = aloop__future_new(loop, &dir_close_kind.ops);
    if (closing == NULL) {
        aloop__sys_dir_close(dir);
        return;
    }
    closing->dir = dir;
    closing->op.future.is_detached = true;
    if (aloop__file_op_submit_first(&closing->op) < 0)
        dir_close_cancel(&closing->op);
    aloop__future_unref(&closing->op.future);
}

/* The process was forked while a thread was reading. */
static void forget_dir(aloop_dir *dir)
{
    aloop__sys_dir_forget(dir->dir);
    dir->dir = NULL;
}

/* Called when no operation uses the directory any more. */
static void end_dir(aloop_dir *dir)
{
    if (dir->reading != NULL && aloop__file_op_is_lost(&dir->reading->op))
        forget_dir(dir);
    if (dir->dir != NULL)
        dir_close_later(dir->handle.loop, dir->dir);
    dir->dir = NULL;
    aloop__handle_closed(&dir->handle);
}

static void dir_close(struct aloop__handle *handle);

/* handle->fork: each later read in the child fails. */
static void dir_fork(struct aloop__handle *handle)
{
    CONTAINER_OF(handle, aloop_dir, handle)->error = ALOOP_EPERM;
}

static void dir_fini(struct aloop__handle *handle)
{
    aloop__names_free(&CONTAINER_OF(handle, aloop_dir, handle)->names);
}

static const struct aloop__handle_ops dir_ops = {
    .name = "directory",
    .size = sizeof(aloop_dir),
    .close = dir_close,
    .fork = dir_fork,
    .fini = dir_fini,
};

void aloop_dir_close(aloop_dir *dir)
{
    if (dir != NULL && aloop__check_handle(dir, __func__) == 0)
        dir_close(&dir->handle);
}

/* Opening. */

struct dir_opening {
    struct aloop__file_op op;
    aloop_dir *dir; /* A new directory, closed at the loop's end like others. */
    aloop_dir **ret_dir;
    struct sys_dir *opened;
};

static struct dir_opening *dir_opening_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct dir_opening, op);
}

static ssize_t dir_open_work(struct aloop__file_op *op)
{
    return aloop__names_open(op->path, &dir_opening_of(op)->opened);
}

/* Ends a directory that the application does not get. */
static void dir_close_unseen(struct dir_opening *opening)
{
    aloop_dir *dir = opening->dir;

    dir->is_opening = false;
    if (aloop__handle_is_ended(&dir->handle))
        end_dir(dir);
    else
        dir_close(&dir->handle);
}

/* kind->done.  The loop may have ended the handle while the thread opened the
 * directory. */
static bool dir_open_done(struct aloop__file_op *op)
{
    struct dir_opening *opening = dir_opening_of(op);
    aloop_dir *dir = opening->dir;

    dir->dir = opening->opened;
    if (op->status >= 0 && aloop__handle_is_ended(&dir->handle))
        op->status = ALOOP_ECANCELED;
    if (op->status >= 0 && aloop__file_op_is_wanted(op)) {
        dir->is_opening = false;
        *opening->ret_dir = dir;
    } else {
        dir_close_unseen(opening);
    }
    return true;
}

static void dir_open_cancel(struct aloop__file_op *op)
{
    dir_close_unseen(dir_opening_of(op));
    aloop__file_op_end(op, ALOOP_ECANCELED);
}

static const struct aloop__file_op_kind dir_open_kind = {
    .ops = FILE_OP_FUTURE("dir open", struct dir_opening),
    .paths = 1,
    .work = dir_open_work,
    .done = dir_open_done,
    .cancel = dir_open_cancel,
};

aloop_future *aloop_dir_open(aloop *loop, const char *path, aloop_dir **ret_dir)
{
    aloop_future *refused;
    struct dir_opening *opening;

    if (loop != NULL && ret_dir == NULL)
        path = NULL; /* Another argument that is refused. */
    opening = aloop__file_op_new(loop, &dir_open_kind, __func__, path, NULL,
                                 &refused);
    if (opening == NULL)
        return refused;
    opening->dir = aloop__handle_new(loop, &dir_ops);
    if (opening->dir == NULL)
        return aloop__future_drop_new(&opening->op.future);
    opening->dir->is_opening = true;
    opening->ret_dir = ret_dir;
    return aloop__file_op_submit(&opening->op);
}

/* Reading. */

static struct dir_read *dir_read_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct dir_read, op);
}

/* A name that could not be stored is lost, so that an error is kept for the
 * reads that follow.  The names before it are returned first. */
static ssize_t dir_read_work(struct aloop__file_op *op)
{
    const struct dir_read *read = dir_read_of(op);
    aloop_dir *dir = read->dir;
    int result = dir->error < 0 ? dir->error : 1;

    aloop__names_clear(&dir->names);
    while (result > 0 && dir->names.count < read->count) {
        if (aloop__file_op_is_cancelled(op))
            break;
        result = aloop__names_read(&dir->names, dir->dir);
    }
    if (result < 0)
        dir->error = result;
    if (dir->names.count > 0 || result == 0)
        return (ssize_t) dir->names.count;
    return result < 0 ? result : -ECANCELED;
}

/* The directory is free for the next read, or for the close that has waited. */
static void dir_read_end(struct dir_read *read)
{
    aloop_dir *dir = read->dir;

    if (dir->handle.state == HANDLE_CLOSING)
        end_dir(dir);
    else if (aloop__file_op_is_lost(&read->op))
        forget_dir(dir);
    dir->reading = NULL;
}

/* kind->done. */
static bool dir_read_done(struct aloop__file_op *op)
{
    struct dir_read *read = dir_read_of(op);
    const struct aloop__names *names = &read->dir->names;

    if (op->status >= 0 && aloop__handle_is_ended(&read->dir->handle))
        op->status = ALOOP_ECANCELED; /* The names end with the directory. */
    if (op->status >= 0 && aloop__file_op_is_wanted(op))
        aloop__names_list(names, names->bytes, read->ret_entries);
    dir_read_end(read);
    return true;
}

static void dir_read_cancel(struct aloop__file_op *op)
{
    dir_read_end(dir_read_of(op));
    aloop__file_op_end(op, ALOOP_ECANCELED);
}

static const struct aloop__file_op_kind dir_read_kind = {
    .ops = FILE_OP_FUTURE("dir read", struct dir_read),
    .work = dir_read_work,
    .done = dir_read_done,
    .cancel = dir_read_cancel,
};

aloop_future *aloop_dir_read(aloop_dir *dir, aloop_dir_entry *ret_entries,
                             size_t count)
{
    int error = aloop__check_handle(dir, __func__);
    aloop_future *refused;
    struct dir_read *read;

    if (error < 0)
        return aloop__future_refused(error);
    if (ret_entries == NULL || count == 0)
        return aloop__future_failed(dir->handle.loop, ALOOP_EINVAL);
    if (dir->reading != NULL)
        return aloop__future_failed(dir->handle.loop, ALOOP_EBUSY);
    read = aloop__file_op_new(dir->handle.loop, &dir_read_kind, __func__, NULL,
                              NULL, &refused);
    if (read == NULL)
        return refused;
    read->dir = dir;
    read->ret_entries = ret_entries;
    read->count = count;
    dir->reading = read;
    return aloop__file_op_submit(&read->op);
}

/* The second call of a close that waits for an operation is that of the loop's
 * end, when no thread uses the directory any more. */
static void dir_close(struct aloop__handle *handle)
{
    aloop_dir *dir = CONTAINER_OF(handle, aloop_dir, handle);
    bool is_forced = aloop__handle_is_ended(handle);

    if (!is_forced) {
        aloop__handle_closing(handle);
        if (dir->reading != NULL && aloop__file_op_take_back(&dir->reading->op))
            dir_read_cancel(&dir->reading->op);
    }
    if (handle->state == HANDLE_CLOSING &&
        (is_forced || (dir->reading == NULL && !dir->is_opening)))
        end_dir(dir);
}
