/* Descriptors that are made in pairs, pipes and socket pairs, and what a
 * descriptor is. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/sys_stream.h"
#include "sim_files.h"

static enum sys_kind kind_of_node(const struct sim_node *node)
{
    static const enum sys_kind kinds[] = {
        [ALOOP_FILE_REGULAR] = SYS_KIND_FILE,
        [ALOOP_FILE_FIFO] = SYS_KIND_PIPE,
        [ALOOP_FILE_CHARACTER] = SYS_KIND_DEVICE,
    };

    return (size_t) node->type < sizeof kinds / sizeof kinds[0]
               ? kinds[node->type]
               : SYS_KIND_OTHER;
}

static enum sys_kind kind_of_file(const struct sim_file *file)
{
    if (file->kind == SIM_SOCKET)
        return file->socket->state == SIM_LISTENING ? SYS_KIND_LISTENER
                                                    : SYS_KIND_SOCKET;
    if (file->kind == SIM_FILE && file->node != NULL)
        return kind_of_node(file->node);
    if (file->kind == SIM_TERMINAL)
        return SYS_KIND_TERMINAL;
    return file->kind == SIM_REGULAR ? SYS_KIND_FILE : SYS_KIND_OTHER;
}

/* The simulated sockets never block. */
int aloop__sys_examine(int fd, struct sys_descriptor *ret)
{
    int error = sim__enter(CALL_sys_examine);
    const struct sim_file *file = error < 0 ? NULL : sim__peek(fd);
    int access;

    if (file == NULL)
        return error < 0 ? error : -EBADF;
    access = file->node != NULL ? file->flags & O_ACCMODE : O_RDWR;
    *ret = (struct sys_descriptor){
        .kind = kind_of_file(file),
        .can_read = access != O_WRONLY,
        .can_write = access != O_RDONLY,
        .is_blocking = (file->node != NULL || file->tty != NULL) &&
                       (file->flags & O_NONBLOCK) == 0,
    };
    return 0;
}

int aloop__sys_socket_pair(int fds[2])
{
    int error = sim__enter(CALL_sys_socket_pair);
    int ends[2] = {-1, -1};

    if (error == 0)
        error = sim__pair_open(SYS_UNIX, ends);
    if (error < 0)
        return error;
    fds[0] = ends[0];
    fds[1] = ends[1];
    return 0;
}

/* The reader is opened first, because a writer without a reader is refused. */
int aloop__sys_pipe(int fds[2])
{
    int error = sim__enter(CALL_sys_pipe);
    struct sim_node *node;
    int ends[2];

    if (error < 0)
        return error;
    node = sim__node_new(sim__root, ALOOP_FILE_FIFO, 0600);
    ends[0] = sim__open_node(node, O_RDONLY | O_NONBLOCK);
    if (ends[0] < 0)
        return ends[0];
    ends[1] = sim__open_node(node, O_WRONLY | O_NONBLOCK);
    if (ends[1] < 0) {
        sim__fd_close(ends[0]);
        return ends[1];
    }
    fds[0] = ends[0];
    fds[1] = ends[1];
    return 0;
}

ssize_t aloop__sys_pipe_write(int fd, const struct sys_piece *pieces,
                              size_t count)
{
    int error = sim__enter(CALL_sys_pipe_write);
    struct sim_file *file = error < 0 ? NULL : sim__file(fd);
    ssize_t written;

    if (file == NULL)
        return error < 0 ? error : -EBADF;
    if (file->kind == SIM_TERMINAL)
        return sim__tty_write(file, pieces, count);
    if (file->node == NULL || (file->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (file->node->type != ALOOP_FILE_FIFO)
        return -EBADF;
    sim__change(file);
    if (count > SYS_PIECES_MAX)
        count = SYS_PIECES_MAX;
    written = sim__chance(sim__world.options.spurious_percent)
                  ? -EAGAIN
                  : sim__fifo_write(file, pieces, count);
    sim__trace(written);
    return written;
}

/* A description of a FIFO, or NULL. */
static struct sim_file *find_pipe(int fd)
{
    struct sim_file *file = sim__file(fd);

    return file != NULL && file->node != NULL &&
                   file->node->type == ALOOP_FILE_FIFO
               ? file
               : NULL;
}

ssize_t aloop__sys_splice_in(int fd, int pipe_end, size_t size)
{
    static unsigned char bytes[SIM_FIFO_SIZE];
    int error = sim__enter(CALL_sys_splice_in);
    struct sim_file *pipe = error < 0 ? NULL : find_pipe(pipe_end);
    struct sim_file *from = error < 0 ? NULL : sim__file(fd);
    ssize_t moved;

    if (pipe == NULL || from == NULL)
        return error < 0 ? error : -EBADF;
    if (size > SIM_FIFO_SIZE - pipe->node->used)
        size = SIM_FIFO_SIZE - pipe->node->used;
    if (size == 0)
        return -EAGAIN;
    sim__change(from);
    sim__change(pipe);
    if (from->kind == SIM_SOCKET)
        moved = sim__receive(from->socket, bytes, size);
    else if (find_pipe(fd) != NULL)
        moved = sim__fifo_read(from, bytes, size);
    else
        return -EINVAL;
    if (moved > 0) {
        memcpy(pipe->node->bytes + pipe->node->used, bytes, (size_t) moved);
        pipe->node->used += (size_t) moved;
    }
    return moved;
}

ssize_t aloop__sys_splice_out(int pipe_end, int fd, size_t size)
{
    int error = sim__enter(CALL_sys_splice_out);
    struct sim_file *pipe = error < 0 ? NULL : find_pipe(pipe_end);
    struct sim_file *to = error < 0 ? NULL : sim__file(fd);
    struct sys_piece piece;
    ssize_t moved;

    if (pipe == NULL || to == NULL)
        return error < 0 ? error : -EBADF;
    piece = (struct sys_piece){
        pipe->node->bytes, size < pipe->node->used ? size : pipe->node->used};
    if (piece.size == 0)
        return -EAGAIN;
    sim__change(to);
    sim__change(pipe);
    if (to->kind == SIM_SOCKET)
        moved = sim__send(to->socket, &piece, 1);
    else if (find_pipe(fd) != NULL)
        moved = sim__fifo_write(to, &piece, 1);
    else
        return -EINVAL;
    if (moved > 0) {
        pipe->node->used -= (size_t) moved;
        memmove(pipe->node->bytes, pipe->node->bytes + moved, pipe->node->used);
    }
    return moved;
}

void aloop__sys_pipe_grow(int fd, size_t size)
{
    sim__note(CALL_sys_pipe_grow);
    sim__trace(fd);
    sim__trace((int64_t) size);
}

int aloop__sys_duplicate(int fd)
{
    int error = sim__enter(CALL_sys_duplicate);
    struct sim_file *file = error < 0 ? NULL : sim__peek(fd);

    if (file == NULL)
        return error < 0 ? error : -EBADF;
    return sim__fd_take(file);
}
