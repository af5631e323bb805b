/* Closing descriptors.
 *
 * Most descriptors are closed on the pool, because close() may wait, for
 * example until a network file system has written its data.  The closing is an
 * operation without an owner.
 *
 * A program that only reads cached files should need no thread for that.  A
 * file that is open for reading only, on a device without a server, can be
 * closed on the loop's thread, with two exceptions.  The last close of a file
 * without a name removes its data.  And on ext4, xfs and btrfs, the first close
 * after a file was truncated begins to write what was written to it since, also
 * if that descriptor is only a reader's.  (21 ms were seen for 64 MiB.)
 * Therefore the links of the file, and its pages that are to be written, are
 * looked at right before.  (What another process does to the file between these
 * calls and the close has its effect.)  The kernel counts pages one by one, so
 * that large files are left to the pool. */

#include "file/blocking.h"
#include "file/file.h"
#include "loop/report.h"
#include "os/sys_file.h"

enum { KNOWN_SIZE_MAX = 1 << 20 };

/* An operation that closes a descriptor, after the file was freed. */
struct closing {
    struct aloop__file_op op;
    int fd;
    bool has_begun; /* The work has. */
};

/* Closes on the loop's thread.  There is no caller any more that could receive
 * the error. */
static void close_here(aloop *loop, int fd)
{
    int error = aloop__blocking_close(fd);

    if (error < 0)
        aloop__unhandled(loop, error, "file close");
}

/* kind->work.  `has_begun` informs the loop's thread that the descriptor must
 * not be closed a second time: its number may belong to another file by
 * then. */
static ssize_t close_work(struct aloop__file_op *op)
{
    struct closing *closing = CONTAINER_OF(op, struct closing, op);

    closing->has_begun = true;
    return aloop__blocking_close(closing->fd);
}

/* kind->done.  If no thread has begun the work, the descriptor is still open
 * and is closed here. */
static bool close_done(struct aloop__file_op *op)
{
    struct closing *closing = CONTAINER_OF(op, struct closing, op);

    if (!closing->has_begun)
        close_here(op->future.loop, closing->fd);
    else if (op->status < 0 && op->status != ALOOP_ECANCELED)
        aloop__unhandled(op->future.loop, (int) op->status, "file close");
    op->status = 0;
    return true;
}

/* kind->cancel; also called if the pool refuses the operation. */
static void close_cancel(struct aloop__file_op *op)
{
    close_done(op);
    aloop__file_op_end(op, 0);
}

static const struct aloop__file_op_kind close_kind = {
    .ops = FILE_OP_FUTURE("file close", struct closing),
    .work = close_work,
    .done = close_done,
    .cancel = close_cancel,
};

/* It goes before all other operations that wait, because the number of
 * descriptors is limited. */
void aloop__file_close_later(aloop *loop, int fd)
{
    struct closing *closing = NULL;

    if (!loop->is_dying && !aloop__is_foreign_by_pid(loop))
        closing = aloop__future_new(loop, &close_kind.ops);
    if (closing == NULL) {
        close_here(loop, fd);
        return;
    }
    closing->fd = fd;
    closing->op.future.is_detached = true;
    if (aloop__file_op_submit_first(&closing->op) < 0)
        close_cancel(&closing->op);
    aloop__future_unref(&closing->op.future);
}

void aloop__file_close_seen(aloop *loop, int fd, const aloop_stat *stat)
{
    if (stat->links > 0 && stat->size <= KNOWN_SIZE_MAX &&
        aloop__sys_is_written(fd) > 0)
        close_here(loop, fd);
    else
        aloop__file_close_later(loop, fd);
}

void aloop__file_close_known(aloop *loop, int fd)
{
    struct aloop__device_file found;

    if (aloop__device_stat(&loop->devices, fd, &found) == 0)
        aloop__file_close_seen(loop, fd, &found.stat);
    else
        aloop__file_close_later(loop, fd);
}
