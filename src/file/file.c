/* Opening and closing files, and their positions.
 *
 *     aloop_file_open() --open_work() on a thread--> open_done() --> the caller
 *                                                       | not wanted any more
 *                                                       v
 *     aloop_file_close() --last operation ended--> aloop__file_end()
 *
 * The handle is made before the operation is submitted, so that nothing can
 * fail once the descriptor is open, and so that the end of the loop finds the
 * file in every state.  The application gets it only when the open has
 * succeeded. */

#include "file/file.h"

#include <stdio.h> /* SEEK_SET */

#include "file/blocking.h"
#include "file/file_budget.h"
#include "file/file_device.h"
#include "loop/debug.h"
#include "os/sys_file.h"

/* Closing. */

/* Ends the operations that no thread has begun.  The last one comes first, so
 * that no end of one begins another one.  Those that a thread has begun end
 * later, and the last of them closes the descriptor
 * (aloop__file_use_left()). */
static void end_waiting(aloop_file *file)
{
    struct aloop__node *node = file->operations.prev;

    while (node != &file->operations) {
        struct aloop__file_use *use =
            CONTAINER_OF(node, struct aloop__file_use, node);

        node = node->prev;
        if (aloop__file_op_take_back(&use->op))
            aloop__file_op_kind_of(&use->op)->cancel(&use->op);
    }
}

/* handle->close, and aloop_file_close().  The second call of an end that waits
 * for operations is that of the loop's end, when no thread uses the descriptor
 * any more. */
static void file_close(struct aloop__handle *handle)
{
    aloop_file *file = CONTAINER_OF(handle, aloop_file, handle);
    bool is_forced = aloop__handle_is_ended(handle);

    if (!is_forced) {
        aloop__handle_closing(handle);
        end_waiting(file);
    }
    if (handle->state == HANDLE_CLOSING &&
        (is_forced || list_is_empty(&file->operations)))
        aloop__file_end(file);
}

/* A forked child watches the descriptor itself, if operations wait for it. */
static void file_fork(struct aloop__handle *handle)
{
    aloop_file *file = CONTAINER_OF(handle, aloop_file, handle);

    if (file->watch.io.fd >= 0 && file->watch.io.armed != 0)
        aloop__file_data_adopt(file);
}

static const struct aloop__handle_ops file_ops = {
    .name = "file",
    .size = sizeof(aloop_file),
    .close = file_close,
    .fork = file_fork,
    .is_fallible = true,
};

void aloop_file_close(aloop_file *file)
{
    if (file != NULL && aloop__check_handle(file, __func__) == 0)
        file_close(&file->handle);
}

/* Opening. */

/* Makes a file without a descriptor.  Returns NULL if out of memory. */
static aloop_file *file_new(aloop *loop)
{
    aloop_file *file = aloop__handle_new(loop, &file_ops);

    if (file == NULL)
        return NULL;
    file->fd = -1;
    file->watch.io.fd = -1;
    list_init(&file->operations);
    for (int i = 0; i < FILE_QUEUES; i++)
        list_init(&file->queues[i]);
    return file;
}

/* A descriptor that cannot seek has no position: a pipe, a terminal, a socket.
 * Those of Linux without a type (eventfd, timerfd, inotify) accept seeks, but
 * no reads at an offset.  `type` is ALOOP_FILE_REGULAR if it was not found. */
static void find_position(int fd, aloop_file_type type,
                          struct aloop__file_traits *traits)
{
    int64_t position = aloop__sys_seek(fd, 0, SYS_SEEK_CURRENT);

    traits->has_position = position >= 0 && type != ALOOP_FILE_UNKNOWN;
    traits->position = position >= 0 ? position : 0;
}

/* What follows from the flags of the descriptor and from its traits. */
static void set_up(aloop_file *file, int fd, int flags,
                   const struct aloop__file_traits *traits)
{
    file->fd = fd;
    file->is_append = (flags & O_APPEND) != 0;
    file->is_blocking = (flags & O_NONBLOCK) == 0;
    file->has_position = traits->has_position;
    file->position = traits->position;
    file->cache.is_used = traits->is_cached;
    file->cache.is_in_memory = traits->is_in_memory;
}

static struct aloop__opening *opening_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct aloop__opening, use.op);
}

/* Everything about the descriptor that needs a system call is asked here, where
 * waiting does no harm. */
void aloop__file_look(struct aloop__opening *opening, int fd)
{
    struct aloop__file_traits *traits = &opening->traits;
    aloop_stat stat = {.type = ALOOP_FILE_UNKNOWN};
    bool is_known = aloop__sys_fstat(fd, &stat) == 0;

    find_position(fd, is_known ? stat.type : ALOOP_FILE_REGULAR, traits);
    traits->is_cached = is_known && stat.type == ALOOP_FILE_REGULAR &&
                        !aloop__sys_file_is_direct(opening->flags) &&
                        (opening->flags & O_ACCMODE) != O_WRONLY &&
                        aloop__device_look(&opening->look, fd, stat.device);
    traits->is_in_memory = opening->look.is_in_memory;
}

static ssize_t open_work(struct aloop__file_op *op)
{
    struct aloop__opening *opening = opening_of(op);
    int fd = aloop__blocking_open(op->path, opening->flags, opening->mode);

    if (fd >= 0)
        aloop__file_look(opening, fd);
    return fd;
}

/* Ends a file that the application does not get. */
static void close_unseen(struct aloop__opening *opening)
{
    aloop_file *file = opening->use.file;

    list_remove(&opening->use.node);
    if (aloop__handle_is_ended(&file->handle))
        aloop__file_end(file);
    else
        file_close(&file->handle);
}

/* No thread has begun it, and there is no descriptor. */
void aloop__file_open_cancel(struct aloop__file_op *op)
{
    close_unseen(opening_of(op));
    aloop__file_op_end(op, ALOOP_ECANCELED);
}

/* The file is handed over only if the open has succeeded, the file was not
 * closed by the loop's end meanwhile, and a caller still waits.  Otherwise it
 * is closed, and with it the descriptor. */
bool aloop__file_open_done(struct aloop__file_op *op)
{
    struct aloop__opening *opening = opening_of(op);
    aloop_file *file = opening->use.file;

    if (op->status >= 0) {
        set_up(file, (int) op->status, opening->flags | O_NONBLOCK,
               &opening->traits);
        file->is_ours = (opening->flags & O_NONBLOCK) == 0;
        aloop__device_learn(op->future.loop, &opening->look);
        op->status = aloop__handle_is_ended(&file->handle) ? ALOOP_ECANCELED
                                                           : 0;
    }
    if (op->status == 0 && aloop__file_op_is_wanted(op)) {
        list_remove(&opening->use.node);
        *opening->ret_file = file;
    } else {
        close_unseen(opening);
    }
    return true;
}

void *aloop__file_opening_new(aloop *loop,
                              const struct aloop__file_op_kind *kind,
                              const char *function, const char *path,
                              aloop_file **ret_file, aloop_future **ret_refused)
{
    struct aloop__opening *opening;

    if (loop != NULL && ret_file == NULL)
        path = NULL; /* Another argument that is refused. */
    opening = aloop__file_op_new(loop, kind, function, path, NULL, ret_refused);
    if (opening == NULL)
        return NULL;
    opening->use.file = file_new(loop);
    if (opening->use.file == NULL) {
        *ret_refused = aloop__future_drop_new(&opening->use.op.future);
        return NULL;
    }
    list_init(&opening->use.node);
    list_push(&opening->use.file->operations, &opening->use.node);
    opening->ret_file = ret_file;
    opening->look.known = loop->devices;
    return opening;
}

/* Opens a file on the loop's thread.  After an error a thread has to do it. */
static int open_here(aloop *loop, const char *path, int flags,
                     struct aloop__file_traits *ret_traits)
{
    int fd = aloop__file_look_known(loop, path, UINT64_MAX), unsuited = -1;
    struct aloop__device_file found;

    if (fd == 0)
        fd = aloop__file_open_known(loop, path, flags, UINT64_MAX, &found,
                                    &unsuited);
    if (unsuited >= 0)
        aloop__file_close_later(loop, unsuited);
    if (fd >= 0)
        *ret_traits = (struct aloop__file_traits){
            .has_position = true,
            .is_cached = true,
            .is_in_memory = found.is_in_memory,
        };
    return fd;
}

/* kind->again */
static void opening_again(struct aloop__file_op *op)
{
    struct aloop__opening *opening = opening_of(op);

    aloop__file_charge_open(op->future.loop, 0);
    op->status =
        open_here(op->future.loop, op->path, opening->flags, &opening->traits);
    if (op->status < 0) {
        aloop__file_op_submit(op);
        return;
    }
    opening->use.file->is_known = true;
    aloop__file_open_done(op);
    aloop__file_op_end(op, op->status);
}

static const struct aloop__file_op_kind open_kind = {
    .ops = FILE_OP_FUTURE("file open", struct aloop__opening),
    .paths = 1,
    .work = open_work,
    .done = aloop__file_open_done,
    .again = opening_again,
    .cancel = aloop__file_open_cancel,
};

/* Has a thread open the file, or this one in a later turn. */
static aloop_future *open_later(aloop *loop, const char *path, int flags,
                                unsigned mode, bool is_postponed,
                                aloop_file **ret_file)
{
    aloop_future *refused;
    struct aloop__opening *opening = aloop__file_opening_new(
        loop, &open_kind, "aloop_file_open", path, ret_file, &refused);

    if (opening == NULL)
        return refused;
    opening->flags = flags;
    opening->mode = mode;
    if (!is_postponed)
        return aloop__file_op_submit(&opening->use.op);
    aloop__file_op_postpone(&opening->use.op, OPEN_BYTES);
    return &opening->use.op.future;
}

/* Makes a file of a descriptor that this thread has opened. */
static aloop_future *open_now(aloop *loop, int fd, int flags,
                              const struct aloop__file_traits *traits,
                              aloop_file **ret_file)
{
    aloop_file *file = file_new(loop);
    aloop_future *future = NULL;

    if (file != NULL) {
        set_up(file, fd, flags | O_NONBLOCK, traits);
        file->is_ours = (flags & O_NONBLOCK) == 0;
        file->is_known = true;
        future = aloop__future_new_settled(loop, 0);
    }
    if (future != NULL)
        *ret_file = file;
    else if (file != NULL)
        file_close(&file->handle);
    else
        aloop__file_close_later(loop, fd);
    return future;
}

aloop_future *aloop_file_open(aloop *loop, const char *path, int flags,
                              unsigned mode, aloop_file **ret_file)
{
    int error = aloop__check_loop(loop, __func__), fd = ALOOP_EAGAIN;
    struct aloop__file_traits traits;
    bool is_for_loop;

    if (error < 0)
        return aloop__future_refused(error);
    is_for_loop = ret_file != NULL &&
                  aloop__file_is_openable(loop, path, flags);
    if (is_for_loop && !aloop__file_charge_open(loop, 0))
        return open_later(loop, path, flags, mode, true, ret_file);
    if (is_for_loop)
        fd = open_here(loop, path, flags, &traits);
    if (fd >= 0)
        return open_now(loop, fd, flags, &traits, ret_file);
    return open_later(loop, path, flags, mode, false, ret_file);
}

/* Asks nothing that can block, because it runs on the loop's thread. */
int aloop_file_adopt(aloop *loop, int fd, aloop_file **ret_file)
{
    int error = aloop__check_loop(loop, __func__), flags;
    struct aloop__file_traits traits;
    struct aloop__device_file found;
    aloop_file *file;
    bool is_known;

    if (error < 0 || fd < 0 || ret_file == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    flags = aloop__sys_file_flags(fd);
    if (flags < 0)
        return flags;
    is_known = aloop__device_stat(&loop->devices, fd, &found) == 0;
    find_position(fd, is_known ? found.stat.type : ALOOP_FILE_REGULAR, &traits);
    traits.is_cached = is_known && found.stat.type == ALOOP_FILE_REGULAR &&
                       !loop->devices.is_off &&
                       !aloop__sys_file_is_direct(flags) &&
                       !aloop__sys_pread_cached_is_broken();
    traits.is_in_memory = traits.is_cached && found.is_in_memory;
    file = file_new(loop);
    if (file == NULL)
        return ALOOP_ENOMEM;
    set_up(file, fd, flags, &traits);
    *ret_file = file;
    return 0;
}

/* Gives the descriptor back in the state that other code expects: with the
 * position of the file, and blocking unless it was opened otherwise. */
int aloop_file_detach(aloop_file *file)
{
    int fd = aloop__check_handle(file, __func__);

    if (fd < 0)
        return fd;
    if (aloop__is_foreign_by_pid(file->handle.loop))
        return ALOOP_EPERM;
    if (!list_is_empty(&file->operations))
        return ALOOP_EBUSY;
    if (file->has_position) /* The kernel does not know it. */
        aloop__sys_seek(file->fd, file->position, SYS_SEEK_START);
    if (file->is_ours)
        aloop__sys_file_set_blocking(file->fd, true);
    fd = file->fd;
    file->fd = -1;
    file_close(&file->handle);
    return fd;
}

/* The position. */

int aloop_file_fd(const aloop_file *file)
{
    int error = aloop__check_handle(file, __func__);

    return error < 0 ? error : file->fd;
}

int64_t aloop_file_position(const aloop_file *file)
{
    int error = aloop__check_handle(file, __func__);

    if (error < 0)
        return error;
    return file->has_position ? file->position : ALOOP_ESPIPE;
}

/* Fails while operations at the position are pending: their results depend on
 * it.  The position is a number of this file, so that no system call is
 * needed. */
int64_t aloop_file_seek(aloop_file *file, int64_t offset, int origin)
{
    int error = aloop__check_handle(file, __func__);

    if (error < 0)
        return error;
    if (!file->has_position)
        return ALOOP_ESPIPE;
    if (origin != SEEK_SET && origin != SEEK_CUR)
        return ALOOP_EINVAL;
    if (!list_is_empty(&file->queues[FILE_READS]))
        return ALOOP_EBUSY;
    if (origin == SEEK_CUR && offset > INT64_MAX - file->position)
        return ALOOP_EOVERFLOW;
    if (origin == SEEK_CUR)
        offset += file->position;
    if (offset < 0)
        return ALOOP_EINVAL;
    file->position = offset;
    return offset;
}
