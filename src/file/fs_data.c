/* Operations that read or write a whole file.
 *
 * A thread never waits for the other end of a FIFO or a terminal.  It gives the
 * descriptor back, and the loop watches it and submits the operation again:
 *
 *     in the pool --has_to_wait--> watched by the loop --ready--> in the pool
 *
 * Only one of them uses the descriptor at a time. */

#include "aloop/fs_data.h"

#include "file/blocking.h"
#include "file/file.h"
#include "file/file_budget.h"
#include "loop/data.h"
#include "loop/debug.h"
#include "os/reactor.h"

struct data_op {
    struct aloop__file_op op;
    struct aloop__blocking_data data;
    struct aloop__io io;  /* Watches data.fd while the operation waits. */
    bool is_always_ready; /* The reactor has refused to watch it. */
    void **ret_data;
};

static struct data_op *data_op_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct data_op, op);
}

static ssize_t read_work(struct aloop__file_op *op)
{
    struct aloop__blocking_data *data = &data_op_of(op)->data;
    int error = aloop__blocking_read(data);

    return error < 0 ? error : (ssize_t) data->done;
}

static ssize_t write_work(struct aloop__file_op *op)
{
    struct aloop__blocking_data *data = &data_op_of(op)->data;
    int error = aloop__blocking_write(data);

    return error < 0 ? error : (ssize_t) data->done;
}

static ssize_t replace_work(struct aloop__file_op *op)
{
    struct aloop__blocking_data *data = &data_op_of(op)->data;
    int error = aloop__blocking_replace(data);

    return error < 0 ? error : (ssize_t) data->done;
}

/* Lets a thread continue. */
static int submit_again(struct data_op *data_op)
{
    data_op->data.has_to_wait = false;
    return aloop__file_op_try_submit(&data_op->op);
}

/* An error is found by the next read or write. */
static void data_ready(struct aloop__io *io, unsigned bits)
{
    struct data_op *data_op = CONTAINER_OF(io, struct data_op, io);
    int error;

    (void) bits;
    aloop__io_close(data_op->op.future.loop, io);
    error = submit_again(data_op);
    if (error < 0)
        aloop__file_op_end(&data_op->op, error);
}

/* Waits until the descriptor is ready.  What the reactor refuses to watch, such
 * as /dev/zero, should always be, and is not waited for twice.  After a fork,
 * the descriptor belongs to both processes. */
static int wait_for_data(struct data_op *data_op, unsigned bits)
{
    aloop *loop = data_op->op.future.loop;
    int error;

    if (aloop__file_op_is_cancelled(&data_op->op))
        return ALOOP_ECANCELED;
    if (data_op->is_always_ready)
        return ALOOP_EAGAIN;
    error = aloop__io_open(loop, &data_op->io, data_op->data.fd, data_ready);
    if (error < 0)
        return error;
    data_op->io.process = IO_ANY_PROCESS;
    error = aloop__io_arm(loop, &data_op->io, bits);
    if (error < 0)
        aloop__io_close(loop, &data_op->io);
    if (error != ALOOP_EPERM)
        return error;
    data_op->is_always_ready = true;
    return submit_again(data_op);
}

/* Waits for the descriptor, if the operation has to.  Returns false if it is
 * still under way. */
static bool end_or_wait(struct data_op *data_op, unsigned bits)
{
    struct aloop__file_op *op = &data_op->op;

    if (op->status != ALOOP_EAGAIN || !data_op->data.has_to_wait)
        return true;
    op->status = wait_for_data(data_op, bits);
    return op->status < 0;
}

/* kind->done. */
static bool read_done(struct aloop__file_op *op)
{
    struct data_op *data_op = data_op_of(op);

    if (!end_or_wait(data_op, REACTOR_READ))
        return false;
    if (op->status >= 0)
        aloop__device_learn(op->future.loop, &data_op->data.look);
    if (op->status >= 0 && aloop__file_op_is_wanted(op)) {
        *data_op->ret_data =
            aloop__data_give(op->future.loop, data_op->data.block);
        data_op->data.block = NULL;
    }
    return true;
}

/* kind->done. */
static bool write_done(struct aloop__file_op *op)
{
    return end_or_wait(data_op_of(op), REACTOR_WRITE);
}

/* In a forked child, a thread of the parent may have been changing the
 * descriptor and the block at the time of the fork.  Then they are leaked,
 * because what the members refer to may have been closed or freed. */
static void data_fini(struct aloop__file_op *op)
{
    struct data_op *data_op = data_op_of(op);
    struct aloop__blocking_data *data = &data_op->data;

    if (data->path == NULL || atomic_load(&data->is_busy))
        return; /* The first: it was not set up. */
    aloop__io_close(op->future.loop, &data_op->io);
    if (data->fd >= 0)
        aloop__file_close_later(op->future.loop, data->fd);
    aloop__data_drop(data->block);
}

/* kind->again of a read */
static void read_again(struct aloop__file_op *op)
{
    struct aloop__blocking_data *data = &data_op_of(op)->data;

    op->status = aloop__fs_read_cached(op->future.loop, op->path,
                                       data->size_max, &data->block, &data->fd);
    if (op->status < 0) {
        aloop__file_op_submit(op);
        return;
    }
    read_done(op);
    aloop__file_op_end(op, op->status);
}

#define DATA_KIND(text, work_function, done_function, again_function) \
    { \
        .ops = FILE_OP_FUTURE(text, struct data_op), .paths = 1, \
        .work = (work_function), .done = (done_function), \
        .again = (again_function), .fini = data_fini, \
    }

static const struct aloop__file_op_kind read_file_kind =
    DATA_KIND("read_file", read_work, read_done, read_again);
static const struct aloop__file_op_kind write_file_kind =
    DATA_KIND("write_file", write_work, write_done, NULL);
static const struct aloop__file_op_kind replace_file_kind =
    DATA_KIND("replace_file", replace_work, NULL, NULL);

static struct data_op *data_op_new(aloop *loop,
                                   const struct aloop__file_op_kind *kind,
                                   const char *function, const char *path,
                                   aloop_future **ret_refused)
{
    struct data_op *data_op =
        aloop__file_op_new(loop, kind, function, path, NULL, ret_refused);

    if (data_op == NULL)
        return NULL;
    data_op->data.path = data_op->op.path;
    data_op->data.is_cancelled = &data_op->op.is_cancelled;
    data_op->data.fd = -1;
    data_op->io.fd = -1;
    return data_op;
}

/* Has a thread read the file, or this one in a later turn.  `fd` is the file,
 * or -1 if it is not open. */
static aloop_future *read_later(aloop *loop, const char *path, int fd,
                                bool is_postponed, size_t size_max,
                                void **ret_data)
{
    aloop_future *refused;
    struct data_op *data_op = data_op_new(loop, &read_file_kind,
                                          "aloop_fs_read_file", path, &refused);

    if (data_op == NULL) {
        if (fd >= 0)
            aloop__file_close_later(loop, fd);
        return refused;
    }
    data_op->ret_data = ret_data;
    data_op->data.fd = fd;
    data_op->data.size_max = size_max;
    data_op->data.look.known = loop->devices;
    if (!is_postponed)
        return aloop__file_op_submit(&data_op->op);
    aloop__file_op_postpone(&data_op->op,
                            OPEN_BYTES + aloop__file_whole_max(size_max));
    return &data_op->op.future;
}

aloop_future *aloop_fs_read_file(aloop *loop, const char *path, size_t size_max,
                                 void **ret_data)
{
    struct aloop__data *block = NULL;
    aloop_future *future;
    ssize_t count = aloop__check_loop(loop, __func__);
    int fd;

    if (count < 0)
        return aloop__future_refused((int) count);
    if (ret_data == NULL) /* It is refused as a path that is NULL. */
        return read_later(loop, NULL, -1, false, size_max, NULL);
    if (size_max > PTRDIFF_MAX)
        size_max = PTRDIFF_MAX;
    count = aloop__fs_read_cached(loop, path, size_max, &block, &fd);
    if (count < 0)
        return read_later(loop, path, fd, count == ALOOP_PENDING, size_max,
                          ret_data);
    future = aloop__future_new_settled(loop, count);
    if (future != NULL)
        *ret_data = aloop__data_give(loop, block);
    else
        aloop__data_drop(block);
    return future;
}

static aloop_future *write_whole(aloop *loop,
                                 const struct aloop__file_op_kind *kind,
                                 const char *function, const char *path,
                                 const void *data, size_t size, unsigned mode)
{
    aloop_future *refused;
    struct data_op *data_op;

    if ((data == NULL && size > 0) || size > PTRDIFF_MAX ||
        (mode & ~07777u) != 0)
        path = NULL; /* Another argument that is refused. */
    data_op = data_op_new(loop, kind, function, path, &refused);
    if (data_op == NULL)
        return refused;
    data_op->data.bytes = data;
    data_op->data.size = size;
    data_op->data.mode = mode;
    return aloop__file_op_submit(&data_op->op);
}

aloop_future *aloop_fs_write_file(aloop *loop, const char *path,
                                  const void *data, size_t size, unsigned mode)
{
    return write_whole(loop, &write_file_kind, __func__, path, data, size,
                       mode);
}

aloop_future *aloop_fs_replace_file(aloop *loop, const char *path,
                                    const void *data, size_t size,
                                    unsigned mode)
{
    return write_whole(loop, &replace_file_kind, __func__, path, data, size,
                       mode);
}
