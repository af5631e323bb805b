/* The functions of os/sys_file.h on descriptors, continued: positions, syncs
 * and copies. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sim_files.h"

/* Returns the first offset of data from `offset` on, or the size if there is
 * none. */
static int64_t data_from(const struct sim_data *data, int64_t offset)
{
    const struct sim_block *block = sim__block_from(data, offset / SIM_BLOCK);
    int64_t start;

    if (block == NULL)
        return data->size;
    start = block->index * SIM_BLOCK;
    return start < offset ? offset : start;
}

static int64_t hole_from(const struct sim_data *data, int64_t offset)
{
    while (offset < data->size && sim__block(data, offset / SIM_BLOCK) != NULL)
        offset = (offset / SIM_BLOCK + 1) * SIM_BLOCK;
    return offset < data->size ? offset : data->size;
}

static int64_t search(const struct sim_node *node, int64_t offset,
                      enum sys_seek how)
{
    int64_t found;

    if (node->device->search_error < 0)
        return node->device->search_error;
    if (offset < 0)
        return -EINVAL;
    if (offset >= node->data.size)
        return -ENXIO;
    if (how == SYS_SEEK_HOLE)
        return hole_from(&node->data, offset);
    found = data_from(&node->data, offset);
    return found < node->data.size ? found : -ENXIO;
}

static int64_t move_from(const struct sim_file *file, int64_t offset,
                         enum sys_seek how)
{
    int64_t from = 0;

    if (how == SYS_SEEK_CURRENT)
        from = file->position;
    if (how == SYS_SEEK_END)
        from = file->node->data.size;
    return from + offset < 0 ? -EINVAL : from + offset;
}

int64_t aloop__sys_seek(int fd, int64_t offset, enum sys_seek how)
{
    /* These two look at nothing but the descriptor. */
    bool is_quick = how == SYS_SEEK_CURRENT || how == SYS_SEEK_START;
    int error =
        sim__enter_file(CALL_sys_seek, is_quick ? SIM_CACHED : SIM_LOOKS);
    struct sim_file *file;
    int64_t result;

    if (error < 0)
        return error;
    file = sim__file(fd);
    if (file == NULL || file->kind == SIM_NAMED)
        return -EBADF;
    if (file->node == NULL || file->node->type == ALOOP_FILE_FIFO)
        return -ESPIPE;
    if (how == SYS_SEEK_DATA || how == SYS_SEEK_HOLE)
        result = search(file->node, offset, how);
    else
        result = move_from(file, offset, how);
    if (result < 0)
        return result;
    sim__change(file);
    file->position = result;
    return result;
}

int aloop__sys_ftruncate(int fd, int64_t size)
{
    int error = sim__enter_file(CALL_sys_ftruncate, SIM_CHANGES);
    const struct sim_file *file;

    if (error < 0)
        return error;
    file = sim__file(fd);
    if (file == NULL || file->kind == SIM_NAMED)
        return -EBADF;
    if (size < 0 || file->node == NULL ||
        file->node->type != ALOOP_FILE_REGULAR ||
        (file->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    if (size > sim__file_size_max())
        return -EFBIG;
    sim__change(file);
    sim__data_cut(&file->node->data, size);
    file->node->is_dirty = true;
    sim__node_touch(file->node, true);
    return 0;
}

/* After a sync that has failed, later ones succeed without an effect, and the
 * data are lost in a crash. */
static int sync_file(enum sim_call call, int fd)
{
    int error = sim__enter_file(call, SIM_CHANGES);
    const struct sim_file *file = sim__file(fd);

    if (file == NULL || file->kind == SIM_NAMED)
        return error < 0 ? error : -EBADF;
    if (file->node == NULL || file->node->type == ALOOP_FILE_FIFO)
        return error < 0 ? error : -EINVAL;
    if (error == 0)
        sim__sync(file->node);
    else if (!sim_file_has_stopped())
        file->node->is_dirty = false;
    return error;
}

int aloop__sys_fsync(int fd)
{
    return sync_file(CALL_sys_fsync, fd);
}

int aloop__sys_fdatasync(int fd)
{
    return sync_file(CALL_sys_fdatasync, fd);
}

/* Returns an error unless both are regular files, open for this. */
static int find_both(int from, int to, struct sim_file **ret_from,
                     struct sim_file **ret_to)
{
    *ret_from = sim__file(from);
    *ret_to = sim__file(to);
    if (*ret_from == NULL || *ret_to == NULL)
        return -EBADF;
    if (((*ret_from)->flags & O_ACCMODE) == O_WRONLY ||
        ((*ret_to)->flags & O_ACCMODE) == O_RDONLY ||
        ((*ret_to)->flags & O_APPEND) != 0)
        return -EBADF;
    if ((*ret_from)->node == NULL || (*ret_to)->node == NULL)
        return -EINVAL;
    if ((*ret_from)->node->type != ALOOP_FILE_REGULAR ||
        (*ret_to)->node->type != ALOOP_FILE_REGULAR)
        return -EINVAL;
    if ((*ret_from)->node->device != (*ret_to)->node->device)
        return -EXDEV;
    return 0;
}

int aloop__sys_clone(int from, int to)
{
    int error = sim__enter_file(CALL_sys_clone, SIM_CHANGES);
    struct sim_file *source, *target;
    unsigned mode;

    if (error == 0)
        error = find_both(from, to, &source, &target);
    if (error == 0)
        error = source->node->device->clone_error;
    if (error < 0)
        return error;
    sim__change(target);
    mode = target->node->data.mode;
    sim__data_copy(&target->node->data, &source->node->data);
    target->node->data.mode = mode;
    target->node->is_dirty = true;
    sim__node_touch(target->node, true);
    return 0;
}

/* Fills holes, as ext4 does.  Copies one block at most, so that callers have to
 * continue. */
ssize_t aloop__sys_copy_range(int from, int64_t from_offset, int to,
                              int64_t to_offset, size_t size)
{
    int error = sim__enter_file(CALL_sys_copy_range, SIM_CHANGES);
    struct sim_file *source, *target;
    unsigned char bytes[SIM_BLOCK];
    ssize_t count;

    if (error == 0)
        error = find_both(from, to, &source, &target);
    if (error == 0)
        error = source->node->device->copy_error;
    if (error < 0)
        return error;
    if (from_offset < 0 || to_offset < 0)
        return -EINVAL;
    if (source->node->device->has_empty_copies)
        return 0;
    count = (ssize_t) sim__read_node(
        source->node, bytes, size < SIM_BLOCK ? size : SIM_BLOCK, from_offset);
    if (count == 0)
        return 0;
    if (to_offset + count > sim__file_size_max())
        return -EFBIG;
    count = sim__write_node(target->node, bytes, (size_t) count, to_offset);
    sim__change(target);
    target->node->is_dirty = true;
    sim__node_touch(target->node, true);
    sim__trace(count);
    return count;
}
