/* The functions of os/sys_stdio.h: descriptors that are shared with other
 * programs.  A call that would block is counted as a mistake by sim_fifo.c. */

#include "os/sys_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sim_files.h"

enum { ATOMIC = 4096 };

/* Begins a call for a file that must have been opened for this access. */
static struct sim_file *enter_shared(enum sim_call call, int fd, int access,
                                     int *ret_error)
{
    struct sim_file *file = NULL;

    *ret_error = sim__enter(call);
    if (*ret_error == 0)
        file = sim__file(fd);
    if (file != NULL && file->node != NULL && file->kind != SIM_NAMED &&
        ((file->flags & O_ACCMODE) == O_RDWR ||
         (file->flags & O_ACCMODE) == access))
        return file;
    if (*ret_error == 0)
        *ret_error = -EBADF;
    return NULL;
}

static bool is_fifo(const struct sim_file *file)
{
    return file->node->type == ALOOP_FILE_FIFO;
}

/* Only pipes without a name, regular files, and /dev/null can do that. */
static bool has_nowait(const struct sim_file *file)
{
    return file->node->device->cached_read_error == 0 &&
           (file->node->type == ALOOP_FILE_REGULAR ||
            sim__is_null(file->node) ||
            (is_fifo(file) && file->node->links == 0));
}

ssize_t aloop__sys_read_now(int fd, void *buffer, size_t size)
{
    int error;
    struct sim_file *file =
        enter_shared(CALL_sys_read_now, fd, O_RDONLY, &error);
    struct sim_file once;
    ssize_t count;

    if (file == NULL)
        return error;
    if (!has_nowait(file))
        return -EOPNOTSUPP;
    sim__change(file);
    if (sim__is_null(file->node))
        return 0;
    once = *file;
    once.flags |= O_NONBLOCK;
    count = is_fifo(file)
                ? sim__fifo_read(&once, buffer, size)
                : sim__read_cached(file, buffer, size, file->position);
    if (count > 0)
        file->position += count;
    sim__trace(count);
    return count;
}

ssize_t aloop__sys_write_now(int fd, const struct sys_piece *pieces,
                             size_t count)
{
    int error;
    const struct sim_file *file =
        enter_shared(CALL_sys_write_now, fd, O_WRONLY, &error);
    struct sim_file once;
    ssize_t written;

    if (file == NULL)
        return error;
    if (!has_nowait(file) || file->node->type == ALOOP_FILE_REGULAR)
        return -EOPNOTSUPP;
    sim__change(file);
    if (sim__is_null(file->node))
        return (ssize_t) sim__size_of(pieces, count);
    once = *file;
    once.flags |= O_NONBLOCK;
    written = sim__fifo_write(&once, pieces, count);
    sim__trace(written);
    return written;
}

ssize_t aloop__sys_read_polled(int fd, void *buffer, size_t size)
{
    int error;
    const struct sim_file *file =
        enter_shared(CALL_sys_read_polled, fd, O_RDONLY, &error);

    if (file == NULL)
        return error;
    if ((sim__ready_bits(file) & (REACTOR_READ | REACTOR_HANGUP)) == 0)
        return -EAGAIN;
    sim__change(file);
    return sim__fifo_read(file, buffer, size);
}

ssize_t aloop__sys_write_polled(int fd, const struct sys_piece *pieces,
                                size_t count)
{
    int error;
    const struct sim_file *file =
        enter_shared(CALL_sys_write_polled, fd, O_WRONLY, &error);
    struct sys_piece first = *pieces;

    (void) count; /* The first one. */
    if (file == NULL)
        return error;
    if ((sim__ready_bits(file) & (REACTOR_WRITE | REACTOR_ERROR)) == 0)
        return -EAGAIN;
    sim__change(file);
    if (first.size > ATOMIC)
        first.size = ATOMIC;
    return sim__fifo_write(file, &first, 1);
}

int aloop__sys_reopen(int fd)
{
    int error = sim__enter(CALL_sys_reopen);
    const struct sim_file *file = error < 0 ? NULL : sim__file(fd);

    if (file == NULL || file->node == NULL)
        return error < 0 ? error : -EBADF;
    if (file->node->device->reopen_error < 0)
        return file->node->device->reopen_error;
    return sim__open_node(file->node, (file->flags & O_ACCMODE) | O_NONBLOCK);
}

/* A pipe has its reader before it is opened, so that the open does not wait. */
void sim_standard_output(int fd, const char *path)
{
    struct sim_walk walk;
    struct sim_node *node;

    sim__fd_standard(fd, -1);
    if (path == NULL) {
        node = sim__node_new(sim__root, ALOOP_FILE_FIFO, 0600);
        node->readers = 1;
    } else if (sim__find(SYS_CWD, path, true, &walk) == 0) {
        node = walk.node;
    } else {
        return;
    }
    sim__fd_standard(fd, sim__open_node(node, O_WRONLY));
}

static struct sim_node *standard_node(int fd)
{
    const struct sim_file *file = sim__peek(fd);

    return file != NULL ? file->node : NULL;
}

size_t sim_standard_read(int fd, void *buffer, size_t size)
{
    struct sim_node *node = standard_node(fd);

    if (node == NULL || node->type != ALOOP_FILE_FIFO)
        return 0;
    if (size > node->used)
        size = node->used;
    memcpy(buffer, node->bytes, size);
    node->used -= size;
    memmove(node->bytes, node->bytes + size, node->used);
    return size;
}

void sim_standard_fill(int fd)
{
    struct sim_node *node = standard_node(fd);

    memset(node->bytes + node->used, '.', SIM_FIFO_SIZE - node->used);
    node->used = SIM_FIFO_SIZE;
}

void sim_standard_leave(int fd)
{
    standard_node(fd)->readers--;
}
