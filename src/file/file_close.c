/* Closing descriptors.
 *
 * A descriptor is closed on the pool, because close() may wait, for example
 * until a network file system has written its data.  The closing is an
 * operation without an owner. */

#include "file/blocking.h"
#include "file/file.h"
#include "loop/report.h"

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
