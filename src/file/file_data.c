/* Reading and writing open files.
 *
 *     start_data() --in the page cache--> settled, no operation
 *         |
 *         | at the position: joins the queue          with an offset: no queue
 *         v                                               |
 *     begin_next() --the first of its queue--> begin_data() <--+
 *         |
 *         +--cached, but not in this turn-> begin_data() again, in the next one
 *         +--has a position---------------> pool --> data_done()
 *         +--none: wait in the reactor----> pool --> data_done(), or wait again
 *
 * Operations at the position wait in a queue of the file, whose first one has
 * begun: it gets the position of the file, and moves it when it ends.  The
 * others have offsets of their own and begin immediately.  file_transfer.c does
 * their work on a thread.
 *
 * A file without a position has a queue for each direction.  Its operations
 * first wait in the reactor, so that they occupy no thread and can be
 * cancelled.  They wait again when the descriptor would block.
 *
 * An operation leaves its file directly before it settles.  After the last one
 * has left a closed file, the file is in loop->closed, with its memory still
 * valid: code here may look at the queues, which are empty then. */

#include "aloop/file_data.h"

#include "file/file_data.h"
#include "loop/debug.h"
#include "os/reactor.h"
#include "os/sys_file.h"

static struct aloop__file_data *first_in(const struct aloop__node *queue)
{
    return list_is_empty(queue)
               ? NULL
               : CONTAINER_OF(queue->next, struct aloop__file_data, queued);
}

/* Returns the queue of an operation at the position: that of its direction if
 * the file has no position, because the directions are independent then. */
static struct aloop__node *queue_of(const struct aloop__file_data *data)
{
    aloop_file *file = data->use.file;
    bool is_second = !file->has_position && data->is_write;

    return &file->queues[is_second ? FILE_WRITES : FILE_READS];
}

/* Moves the position of the file when an operation at it ends.  A read that has
 * failed does not move it, because its bytes are not delivered; a write moves
 * it by what was written.  After an append the position is the end that the
 * system found. */
static void move_position(const struct aloop__file_data *data, ssize_t status)
{
    aloop_file *file = data->use.file;

    if (!data->is_at_position || !file->has_position)
        return;
    if (data->is_seek)
        file->position = status >= 0 ? data->offset : file->position;
    else if (data->is_write && file->is_append && data->moved > 0)
        file->position = data->offset >= 0 ? data->offset : file->position;
    else if (data->is_write || status >= 0)
        file->position += (int64_t) data->moved;
}

/* Removes an operation from its file.  It settles next. */
static void leave_file(struct aloop__file_data *data, ssize_t status)
{
    move_position(data, status);
    list_remove(&data->queued);
    aloop__file_use_left(&data->use);
}

/* Watches exactly what the first operations of the queues wait for. */
static int arm_waiting(aloop_file *file)
{
    static const unsigned bits[FILE_QUEUES] = {REACTOR_READ, REACTOR_WRITE};
    unsigned wanted = 0;

    for (int i = 0; i < FILE_QUEUES; i++) {
        const struct aloop__file_data *first = first_in(&file->queues[i]);

        if (first != NULL && first->is_waiting)
            wanted |= bits[i];
    }
    return aloop__io_arm(file->handle.loop, &file->watch.io, wanted);
}

static void file_ready(struct aloop__io *io, unsigned bits);

/* Waits until the descriptor is ready.  Returns ALOOP_EPERM if it always is, or
 * another error. */
static int wait_until_ready(struct aloop__file_data *data)
{
    aloop_file *file = data->use.file;
    aloop *loop = file->handle.loop;
    int error = 0;

    if (file->watch.io.fd < 0)
        error = aloop__io_share(loop, &file->watch, file->fd, file_ready);
    else
        error = aloop__io_adopt(loop, &file->watch.io);
    if (error == 0) {
        data->is_waiting = true;
        error = arm_waiting(file);
        data->is_waiting = error == 0;
    }
    return error;
}

/* Begins an operation that is the first of its queue or has no queue.  Returns
 * true if the operation is under way.  Otherwise it ends now, with op.status.
 * `was_tried` is true if the page cache was asked for it a moment ago. */
static bool begin_data(struct aloop__file_data *data, bool was_tried)
{
    aloop_file *file = data->use.file;
    struct aloop__file_op *op = &data->use.op;
    bool is_complete = false;

    op->status = ALOOP_ECANCELED;
    if (aloop__is_foreign_by_pid(
            file->handle.loop)) /* A child is leaving it. */
        return false;
    if (data->is_at_position)
        data->offset = file->position;
    if (!was_tried && !data->is_write && file->cache.is_used)
        aloop__file_data_advance(
            data, aloop__file_read_cached(file, data->buffers, data->size,
                                          data->offset, &is_complete));
    if (is_complete) {
        op->status = (ssize_t) data->moved;
        return false;
    }
    if (!data->is_write && data->moved == 0 &&
        aloop__file_is_for_next_turn(file, data->size)) {
        aloop__file_op_postpone(op, data->size);
        return true;
    }
    op->status = file->has_position ? ALOOP_EPERM : wait_until_ready(data);
    if (op->status == ALOOP_EPERM)
        op->status = aloop__file_op_try_submit(op);
    return op->status == 0;
}

/* Begins the first operation of a queue.  Those that end now are followed by
 * the next one, in a loop instead of a recursion. */
static void begin_next(struct aloop__node *queue, bool was_tried)
{
    struct aloop__file_data *data;

    while ((data = first_in(queue)) != NULL && !begin_data(data, was_tried)) {
        ssize_t status = data->use.op.status;

        leave_file(data, status);
        aloop__file_op_end(&data->use.op, status);
        was_tried = false;
    }
}

/* The descriptor was not ready any more.  Returns ALOOP_PENDING if the
 * operation waits. */
static int wait_again(struct aloop__file_data *data)
{
    int error = ALOOP_ECANCELED;

    if (!aloop__file_op_is_cancelled(&data->use.op) &&
        !aloop__handle_is_ended(&data->use.file->handle))
        error = wait_until_ready(data);
    if (error == ALOOP_EPERM) /* It should always be ready. */
        error = ALOOP_EAGAIN;
    return error == 0 ? ALOOP_PENDING : error;
}

/* kind->done.  The next operation of the queue begins after this one has moved
 * the position, and before its future settles. */
static bool data_done(struct aloop__file_op *op)
{
    struct aloop__file_data *data = aloop__file_data_of(op);
    struct aloop__node *queue = queue_of(data);
    bool is_first = first_in(queue) == data;

    if (data->was_blocked && op->status == ALOOP_EAGAIN)
        op->status = wait_again(data);
    if (op->status == ALOOP_PENDING)
        return false;
    leave_file(data, op->status);
    if (is_first)
        begin_next(queue, false);
    return true;
}

/* Ends an operation that is not in the pool, and begins the next one.  `data`
 * may be freed when it has ended; the queue is part of the file. */
static void end_data(struct aloop__file_data *data, ssize_t status)
{
    aloop_file *file = data->use.file;
    struct aloop__node *queue = queue_of(data);
    bool is_first = first_in(queue) == data, was_waiting = data->is_waiting;

    leave_file(data, status);
    if (was_waiting)
        arm_waiting(file);
    aloop__file_op_end(&data->use.op, status);
    if (is_first)
        begin_next(queue, false);
}

/* kind->cancel: the operation waits in its queue, in the reactor, in the pool
 * or for the next turn. */
static void data_cancel(struct aloop__file_op *op)
{
    end_data(aloop__file_data_of(op), ALOOP_ECANCELED);
}

/* kind->again */
static void data_again(struct aloop__file_op *op)
{
    struct aloop__file_data *data = aloop__file_data_of(op);

    if (!begin_data(data, false))
        end_data(data, op->status);
}

static const struct aloop__file_op_kind data_read_kind = {
    .ops = FILE_OP_FUTURE("file read", struct aloop__file_data),
    .work = aloop__file_data_work,
    .done = data_done,
    .again = data_again,
    .cancel = data_cancel,
};

static const struct aloop__file_op_kind data_write_kind = {
    .ops = FILE_OP_FUTURE("file write", struct aloop__file_data),
    .work = aloop__file_data_work,
    .done = data_done,
    .cancel = data_cancel,
};

/* Hands the first operation of a queue to the pool, if it waits for this. */
static void stop_waiting(aloop_file *file, struct aloop__node *queue, int error)
{
    struct aloop__file_data *data = first_in(queue);

    if (data == NULL || !data->is_waiting)
        return;
    data->is_waiting = false;
    data->was_blocked = false; /* The work sets it, if it runs. */
    arm_waiting(file);
    if (error == 0)
        error = aloop__file_op_try_submit(&data->use.op);
    if (error == 0)
        return;
    leave_file(data, error);
    aloop__file_op_end(&data->use.op, error);
    begin_next(queue, false);
}

/* on_ready of the watch.  An error, also that of an eviction, concerns both
 * directions: the system call of the operation then returns it. */
static void file_ready(struct aloop__io *io, unsigned bits)
{
    struct aloop__io_shared *watch =
        CONTAINER_OF(io, struct aloop__io_shared, io);
    aloop_file *file = CONTAINER_OF(watch, aloop_file, watch);

    if ((bits & ~(unsigned) REACTOR_WRITE) != 0)
        stop_waiting(file, &file->queues[FILE_READS], 0);
    if ((bits & ~(unsigned) REACTOR_READ) != 0)
        stop_waiting(file, &file->queues[FILE_WRITES], 0);
}

/* In a forked child.  If the descriptor cannot be watched, the operations that
 * wait for it end with the error. */
void aloop__file_data_adopt(aloop_file *file)
{
    int error = aloop__io_adopt(file->handle.loop, &file->watch.io);

    for (int i = 0; error < 0 && i < FILE_QUEUES; i++)
        stop_waiting(file, &file->queues[i], error);
}

/* Adds up the sizes of the buffers. */
static int measure(const struct iovec *buffers, int count, size_t *ret_size)
{
    size_t size = 0;

    if (count < 0 || (count > 0 && buffers == NULL))
        return ALOOP_EINVAL;
    for (int i = 0; i < count; i++) {
        if ((buffers[i].iov_base == NULL && buffers[i].iov_len > 0) ||
            buffers[i].iov_len > PTRDIFF_MAX - size)
            return ALOOP_EINVAL;
        size += buffers[i].iov_len;
    }
    *ret_size = size;
    return 0;
}

/* Returns the error of a request that no operation needs to find out. */
static int check_request(const aloop_file *file,
                         const struct aloop__file_request *request, size_t size)
{
    if (aloop__is_foreign_by_pid(file->handle.loop))
        return ALOOP_EPERM;
    if (request->offset == FILE_AT_POSITION)
        return 0;
    if (request->offset < 0)
        return ALOOP_EINVAL;
    if (!file->has_position)
        return ALOOP_ESPIPE;
    if (request->is_write && file->is_append)
        return ALOOP_EINVAL;
    if (request->is_write && (int64_t) size > INT64_MAX - request->offset)
        return ALOOP_EFBIG;
    return 0;
}

/* Answers a read that needs no operation.  Returns false if it does. */
static bool read_now(aloop_file *file,
                     const struct aloop__file_request *request, size_t size,
                     size_t *ret_moved, aloop_future **ret_future)
{
    bool is_queued = request->offset == FILE_AT_POSITION, is_complete;

    if (is_queued && !list_is_empty(&file->queues[FILE_READS]))
        return false;
    *ret_moved = aloop__file_read_cached(
        file, request->buffers, size,
        is_queued ? file->position : request->offset, &is_complete);
    if (!is_complete)
        return false;
    *ret_future =
        aloop__future_new_settled(file->handle.loop, (ssize_t) *ret_moved);
    if (is_queued && *ret_future != NULL)
        file->position += (int64_t) *ret_moved;
    return true;
}

/* What read_now() has read before it met a byte that is not in the cache is
 * kept: the operation continues behind it. */
static aloop_future *start_data(aloop_file *file,
                                const struct aloop__file_request *request,
                                size_t size)
{
    aloop_future *future = NULL;
    size_t moved = request->moved;
    bool was_tried = !request->is_write && file->cache.is_used &&
                     (request->offset != FILE_AT_POSITION ||
                      list_is_empty(&file->queues[FILE_READS]));
    struct aloop__file_data *data;

    if (request->was_tried)
        was_tried = true;
    else if (was_tried && read_now(file, request, size, &moved, &future))
        return future;
    data = aloop__file_use_new(
        file, request->is_write ? &data_write_kind : &data_read_kind,
        request->function, &future);
    if (data == NULL)
        return future;
    future = &data->use.op.future;
    list_init(&data->queued);
    data->buffers = request->buffers;
    data->count = request->count;
    if (data->count == 1) { /* Then the array may belong to the function. */
        data->one = request->buffers[0];
        data->buffers = &data->one;
    }
    data->is_write = request->is_write;
    data->is_at_position = request->offset == FILE_AT_POSITION;
    data->offset = request->offset;
    data->size = size;
    aloop__file_data_advance(data, moved);
    if (data->is_at_position) {
        struct aloop__node *queue = queue_of(data);

        list_push(queue, &data->queued);
        if (first_in(queue) == data)
            begin_next(queue, was_tried);
    } else if (!begin_data(data, was_tried)) {
        leave_file(data, data->use.op.status);
        aloop__file_op_end(&data->use.op, data->use.op.status);
    }
    return future;
}

/* The common part of all public functions.  Without bytes there is nothing to
 * do. */
aloop_future *aloop__file_start(aloop_file *file,
                                const struct aloop__file_request *request)
{
    int error = aloop__check_handle(file, request->function);
    size_t size = 0;

    if (error < 0)
        return aloop__future_refused(error);
    error = measure(request->buffers, request->count, &size);
    if (error == 0)
        error = check_request(file, request, size);
    if (error < 0 || size == 0)
        return aloop__future_new_settled(file->handle.loop, error);
    return start_data(file, request, size);
}

/* Moving the position to the end.  It waits its turn among the reads and writes
 * at the position, and counts as a write without data. */

struct seek_end {
    struct aloop__file_data data;
    int64_t distance; /* From the end. */
};

/* lseek() would also move the position of the descriptor, which other processes
 * may share, but only that knows the size of a device. */
static int64_t end_of(int fd)
{
    aloop_stat stat = {0};
    int error = aloop__sys_fstat(fd, &stat);

    if (error < 0)
        return error;
    if (stat.type == ALOOP_FILE_REGULAR)
        return (int64_t) stat.size;
    return aloop__sys_seek(fd, 0, SYS_SEEK_END);
}

static ssize_t seek_end_work(struct aloop__file_op *op)
{
    struct seek_end *seek =
        CONTAINER_OF(aloop__file_data_of(op), struct seek_end, data);
    int64_t end = end_of(seek->data.use.file->fd);

    if (end < 0)
        return (ssize_t) end;
    if (seek->distance > INT64_MAX - end)
        return ALOOP_EOVERFLOW;
    if (seek->distance < -end)
        return ALOOP_EINVAL;
    seek->data.offset = end + seek->distance;
    return 0;
}

static const struct aloop__file_op_kind seek_end_kind = {
    .ops = FILE_OP_FUTURE("file seek", struct seek_end),
    .work = seek_end_work,
    .done = data_done,
    .cancel = data_cancel,
};

aloop_future *aloop_file_seek_end(aloop_file *file, int64_t offset)
{
    aloop_future *refused;
    struct seek_end *seek =
        aloop__file_use_new(file, &seek_end_kind, __func__, &refused);
    struct aloop__file_data *data;

    if (seek == NULL)
        return refused;
    seek->distance = offset;
    data = &seek->data;
    list_init(&data->queued);
    data->is_write = data->is_seek = data->is_at_position = true;
    if (!file->has_position) {
        leave_file(data, ALOOP_ESPIPE);
        aloop__file_op_end(&data->use.op, ALOOP_ESPIPE);
        return &data->use.op.future;
    }
    list_push(queue_of(data), &data->queued);
    if (first_in(queue_of(data)) == data)
        begin_next(queue_of(data), false);
    return &data->use.op.future;
}
