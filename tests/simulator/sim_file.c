/* The functions of os/sys_file.h on descriptors: opening and data. */

#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* For O_NOFOLLOW. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sim_files.h"

enum { CACHING_NS = 500000 }; /* From a miss until the block is cached. */

/* The descriptor of a file, with a seek position.  `kind` is SIM_FILE or
 * SIM_NAMED, which is only good for a few calls. */
static struct sim_file *file_of(int fd, int *ret_error)
{
    struct sim_file *file = sim__file(fd);

    *ret_error = 0;
    if (file == NULL)
        *ret_error = -EBADF;
    else if (file->node == NULL)
        *ret_error = -ESPIPE; /* A socket or another object. */
    return *ret_error == 0 ? file : NULL;
}

struct sim_node *sim__node_of(int fd, int *ret_error)
{
    const struct sim_file *file = file_of(fd, ret_error);

    if (*ret_error == -ESPIPE)
        *ret_error = -ENOTDIR;
    return file != NULL ? file->node : NULL;
}

/* Opening. */

static int check_access(const struct sim_node *node, int flags)
{
    static const int wanted[] =
        {[O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK};
    bool is_changed = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;

    if (node->type == ALOOP_FILE_LINK)
        return (flags & O_DIRECTORY) != 0 ? -ENOTDIR : -ELOOP;
    if (node->type != ALOOP_FILE_DIRECTORY && (flags & O_DIRECTORY) != 0)
        return -ENOTDIR;
    if (node->type == ALOOP_FILE_DIRECTORY &&
        (is_changed || (flags & O_CREAT) != 0))
        return -EISDIR;
    if (node->type == ALOOP_FILE_SOCKET)
        return -ENXIO;
    if (!sim__node_may(node, wanted[flags & O_ACCMODE]))
        return -EACCES;
    return is_changed && node->device->is_read_only ? -EROFS : 0;
}

/* Takes a number first, so that nothing has changed if there is none. */
int sim__open_node(struct sim_node *node, int flags)
{
    struct sim_file *file;
    int fd = sim__fd_open(SIM_FILE, &file), error = 0;

    if (fd < 0)
        return fd;
    if (node->type == ALOOP_FILE_FIFO)
        error = sim__fifo_open(node, flags);
    if (error < 0) {
        sim__fd_close(fd);
        return error;
    }
    file->node = node;
    file->flags = flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_CLOEXEC |
                            O_NOFOLLOW | O_DIRECTORY);
    node->opens++;
    if ((flags & O_TRUNC) != 0 && node->type == ALOOP_FILE_REGULAR) {
        sim__data_cut(&node->data, 0);
        node->is_dirty = true;
        sim__node_touch(node, true);
    }
    return fd;
}

/* Creates a file, and opens it whatever its mode is. */
static int open_new(const struct sim_walk *walk, int flags, unsigned mode)
{
    int error = sim__may_change(walk->parent), fd;
    struct sim_node *node;

    if ((flags & O_CREAT) == 0)
        return -ENOENT;
    if (walk->has_slash)
        return -EISDIR;
    if (error < 0)
        return error;
    if (!sim__fd_is_free())
        return -EMFILE;
    node = sim__create(walk, ALOOP_FILE_REGULAR, mode);
    fd = sim__open_node(node, flags);
    return fd;
}

int aloop__sys_openat(int dir, const char *path, int flags, unsigned mode)
{
    bool is_exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
    bool is_followed = !is_exclusive && (flags & O_NOFOLLOW) == 0;
    enum sim_file_call kind = (flags & (O_CREAT | O_TRUNC)) != 0 ? SIM_CHANGES
                                                                 : SIM_LOOKS;
    int error = sim__enter_file(CALL_sys_openat, kind);
    struct sim_walk walk;

    if (error == 0)
        error = sim__walk(dir, path, is_followed, &walk);
    if (error < 0)
        return error;
    if (walk.node == NULL)
        return open_new(&walk, flags, mode);
    if (is_exclusive)
        return -EEXIST;
    error = check_access(walk.node, flags);
    return error < 0 ? error : sim__open_node(walk.node, flags);
}

/* A hit or a miss is random.  A missing name is certain. */
static int find_cached(enum sim_call call, const char *path, int flags,
                       struct sim_walk *ret)
{
    int error = sim__enter_file(call, SIM_CACHED);

    if (error == 0)
        error = sim__walk(SYS_CWD, path, (flags & O_NOFOLLOW) == 0, ret);
    if (error < 0)
        return error;
    error = ret->parent->device->cached_open_error;
    if (error < 0)
        return error;
    if ((flags & (O_CREAT | O_TRUNC)) != 0 ||
        sim__chance(sim__world.options.miss_percent))
        return -EAGAIN;
    return ret->node == NULL ? -ENOENT : 0;
}

int aloop__sys_open_cached(const char *path, int flags)
{
    struct sim_walk walk;
    int error = find_cached(CALL_sys_open_cached, path, flags, &walk);

    if (error == 0)
        error = check_access(walk.node, flags);
    return error < 0 ? error : sim__open_node(walk.node, flags | O_NONBLOCK);
}

/* The working directory is "/". */
int aloop__sys_open_near_cached(const char *path, int flags)
{
    struct sim_walk walk;
    int error = find_cached(CALL_sys_open_near_cached, path, flags, &walk);

    if (error == 0)
        error = check_access(walk.node, flags);
    if (error == 0 && walk.node->device != sim__root->device)
        error = -EXDEV;
    return error < 0 ? error : sim__open_node(walk.node, flags | O_NONBLOCK);
}

int aloop__sys_look_up_cached(const char *path)
{
    struct sim_walk walk;
    int error = find_cached(CALL_sys_look_up_cached, path, 0, &walk);
    struct sim_file *file;
    int fd;

    if (error < 0)
        return error;
    fd = sim__fd_open(SIM_NAMED, &file);
    if (fd >= 0) {
        file->node = walk.node;
        walk.node->opens++;
    }
    return fd;
}

void sim__file_gone(struct sim_file *file)
{
    struct sim_node *node = file->node;

    if (node->type == ALOOP_FILE_FIFO && file->kind == SIM_FILE)
        sim__fifo_gone(node, file->flags);
    if (node->locker == file)
        node->locker = NULL;
    node->opens--;
    sim__node_release(node);
}

int aloop__sys_file_flags(int fd)
{
    int error = sim__enter_file(CALL_sys_file_flags, SIM_CACHED);
    const struct sim_file *file;

    if (error < 0)
        return error;
    file = sim__file(fd);
    if (file == NULL)
        return -EBADF;
    return file->node != NULL ? file->flags : O_RDWR | O_NONBLOCK;
}

int aloop__sys_file_set_blocking(int fd, bool is_blocking)
{
    int error = sim__enter_file(CALL_sys_file_set_blocking, SIM_CACHED);
    struct sim_file *file;

    if (error < 0)
        return error;
    file = sim__file(fd);
    if (file == NULL)
        return -EBADF;
    sim__change(file);
    if (is_blocking)
        file->flags &= ~O_NONBLOCK;
    else
        file->flags |= O_NONBLOCK;
    return 0;
}

/* Data. */

/* Begins a call for a descriptor that must have been opened for this access,
 * and be a regular file.  O_ACCMODE: any access. */
static struct sim_file *enter_regular(enum sim_call call,
                                      enum sim_file_call kind, int fd,
                                      int access, int *ret_error)
{
    struct sim_file *file = NULL;

    *ret_error = sim__enter_file(call, kind);
    if (*ret_error == 0)
        file = file_of(fd, ret_error);
    if (file == NULL)
        return NULL;
    if (file->kind == SIM_NAMED ||
        (access == O_RDONLY && (file->flags & O_ACCMODE) == O_WRONLY) ||
        (access == O_WRONLY && (file->flags & O_ACCMODE) == O_RDONLY))
        *ret_error = -EBADF;
    else if (file->node->type == ALOOP_FILE_DIRECTORY)
        *ret_error = -EISDIR;
    else if (file->node->type != ALOOP_FILE_REGULAR)
        *ret_error = -ESPIPE;
    return *ret_error == 0 ? file : NULL;
}

/* Reads from one block.  Returns the number of bytes, which is 0 at the end. */
static size_t read_block(struct sim_node *node, unsigned char *to, size_t size,
                         int64_t offset)
{
    struct sim_block *block = sim__block(&node->data, offset / SIM_BLOCK);
    size_t at = (size_t) (offset % SIM_BLOCK);
    int64_t left = node->data.size - offset;

    if (size > SIM_BLOCK - at)
        size = SIM_BLOCK - at;
    if (left <= 0 || size == 0)
        return 0;
    if ((int64_t) size > left)
        size = (size_t) left;
    if (block == NULL) {
        memset(to, 0, size);
        return size;
    }
    memcpy(to, block->bytes + at, size);
    if (block->cached_ns > sim__world.now_ns)
        block->cached_ns = sim__world.now_ns;
    return size;
}

size_t sim__read_node(struct sim_node *node, void *buffer, size_t size,
                      int64_t offset)
{
    size_t done = 0, count;

    if (size == 0) /* `buffer` may be NULL. */
        return 0;
    do {
        count = read_block(node, (unsigned char *) buffer + done, size - done,
                           offset + (int64_t) done);
        done += count;
    } while (count > 0 && done < size);
    return done;
}

/* Sometimes less than `size`. */
static size_t shorten(size_t size)
{
    if (size > SYS_TRANSFER_MAX)
        size = SYS_TRANSFER_MAX;
    if (size > 1 && sim__chance(sim__world.options.short_file_percent))
        return 1 + (size_t) sim_random(size - 1);
    return size;
}

size_t sim__size_of(const struct sys_piece *pieces, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count && i < SYS_PIECES_MAX; i++)
        size += pieces[i].size;
    return size;
}

ssize_t aloop__sys_preadv(int fd, const struct sys_piece *pieces, size_t count,
                          int64_t offset)
{
    int error;
    const struct sim_file *file =
        enter_regular(CALL_sys_preadv, SIM_LOOKS, fd, O_RDONLY, &error);
    size_t done = 0, room;

    if (offset < 0)
        return -EINVAL;
    if (file == NULL)
        return error;
    room = shorten(sim__size_of(pieces, count));
    for (size_t i = 0; i < count && done < room; i++) {
        size_t size = pieces[i].size < room - done ? pieces[i].size
                                                   : room - done;
        size_t got = sim__read_node(file->node, (void *) pieces[i].data, size,
                                    offset + (int64_t) done);

        sim__trace_bytes(pieces[i].data, got);
        done += got;
        if (got < size)
            break;
    }
    sim__trace((int64_t) done);
    return (ssize_t) done;
}

/* Writes to one block.  Returns the number of bytes, or -ENOSPC. */
static ssize_t write_block(struct sim_node *node, const unsigned char *from,
                           size_t size, int64_t offset)
{
    int64_t index = offset / SIM_BLOCK;
    size_t at = (size_t) (offset % SIM_BLOCK);
    struct sim_block *block = sim__block(&node->data, index);

    if (block == NULL && !sim__has_space(node->device))
        return -ENOSPC;
    if (block == NULL)
        block = sim__block_make(&node->data, index);
    if (size > SIM_BLOCK - at)
        size = SIM_BLOCK - at;
    memcpy(block->bytes + at, from, size);
    block->cached_ns = sim__world.now_ns;
    if (offset + (int64_t) size > node->data.size)
        node->data.size = offset + (int64_t) size;
    return (ssize_t) size;
}

ssize_t sim__write_node(struct sim_node *node, const void *data, size_t size,
                        int64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t count = write_block(node, (const unsigned char *) data + done,
                                    size - done, offset + (int64_t) done);

        if (count < 0)
            return done > 0 ? (ssize_t) done : count;
        done += (size_t) count;
    }
    return (ssize_t) done;
}

static ssize_t write_pieces_at(struct sim_node *node,
                               const struct sys_piece *pieces, size_t room,
                               int64_t offset)
{
    size_t done = 0;

    for (size_t i = 0; done < room; i++) {
        size_t size = pieces[i].size < room - done ? pieces[i].size
                                                   : room - done;
        ssize_t count = sim__write_node(node, pieces[i].data, size,
                                        offset + (int64_t) done);

        if (count < 0)
            return done > 0 ? (ssize_t) done : count;
        done += (size_t) count;
        if ((size_t) count < size)
            break;
    }
    return (ssize_t) done;
}

ssize_t aloop__sys_pwritev(int fd, const struct sys_piece *pieces, size_t count,
                           int64_t offset)
{
    int error;
    const struct sim_file *file =
        enter_regular(CALL_sys_pwritev, SIM_CHANGES, fd, O_WRONLY, &error);
    size_t room = sim__size_of(pieces, count);
    ssize_t written;

    if (offset < 0)
        return -EINVAL;
    if (file == NULL)
        return error;
    sim__change(file);
    if ((file->flags & O_APPEND) != 0)
        offset = file->node->data.size; /* As on Linux. */
    if (room == 0)
        return 0;
    if (offset >= sim__file_size_max())
        return -EFBIG;
    room = shorten(room);
    if ((int64_t) room > sim__file_size_max() - offset)
        room = (size_t) (sim__file_size_max() - offset);
    written = write_pieces_at(file->node, pieces, room, offset);
    sim__trace(written);
    if (written > 0) {
        file->node->is_dirty = true;
        sim__node_touch(file->node, true);
    }
    return written;
}

/* Begins a call for a file that may have no position: a FIFO or a device. */
static struct sim_file *enter_fifo(enum sim_call call, int fd, int access,
                                   int *ret_error)
{
    struct sim_file *file =
        enter_regular(call, SIM_CACHED, fd, access, ret_error);

    if (*ret_error != -ESPIPE)
        return file;
    file = sim__peek(fd);
    if (file->node == NULL || (file->node->type != ALOOP_FILE_FIFO &&
                               file->node->type != ALOOP_FILE_CHARACTER))
        return NULL;
    *ret_error = 0;
    return file;
}

/* Returns whether a device that is not ready may not make the caller wait. */
static bool would_wait(const struct sim_file *file)
{
    return file->node->type == ALOOP_FILE_CHARACTER && file->node->is_slow &&
           (file->flags & O_NONBLOCK) != 0;
}

ssize_t aloop__sys_read(int fd, void *buffer, size_t size)
{
    int error;
    struct sim_file *file = enter_fifo(CALL_sys_read, fd, O_RDONLY, &error);
    ssize_t count;

    if (file == NULL && error == -ESPIPE && sim__peek(fd)->tty != NULL)
        return sim__tty_read(sim__peek(fd), buffer, size);
    if (file == NULL)
        return error;
    sim__change(file);
    if (file->node->type == ALOOP_FILE_FIFO)
        count = sim__fifo_read(file, buffer, size);
    else if (sim__is_null(file->node))
        count = 0;
    else if (would_wait(file))
        count = -EAGAIN;
    else {
        sim__take_time();
        count = (ssize_t) sim__read_node(file->node, buffer, shorten(size),
                                         file->position);
        file->position += count;
    }
    sim__trace(count);
    return count;
}

ssize_t aloop__sys_writev(int fd, const struct sys_piece *pieces, size_t count)
{
    int error;
    struct sim_file *file = enter_fifo(CALL_sys_writev, fd, O_WRONLY, &error);
    ssize_t written;

    if (file == NULL)
        return error;
    sim__change(file);
    if (count > SYS_PIECES_MAX)
        count = SYS_PIECES_MAX;
    if (file->node->type == ALOOP_FILE_FIFO)
        written = sim__fifo_write(file, pieces, count);
    else if (sim__is_null(file->node))
        written = (ssize_t) sim__size_of(pieces, count);
    else if (would_wait(file))
        written = -EAGAIN;
    else {
        sim__take_time();
        if ((file->flags & O_APPEND) != 0)
            file->position = file->node->data.size;
        written = write_pieces_at(file->node, pieces,
                                  sim__size_of(pieces, count), file->position);
        if (written > 0)
            file->position += written;
        file->node->is_dirty = true;
    }
    sim__trace(written);
    return written;
}

/* A hole is a hit.  A miss reads the block, which is a hit some time later. */
static bool is_cached(struct sim_node *node, int64_t offset)
{
    struct sim_block *block = sim__block(&node->data, offset / SIM_BLOCK);

    if (block == NULL || offset >= node->data.size)
        return true;
    if (block->cached_ns <= sim__world.now_ns) {
        if (!sim__chance(sim__world.options.miss_percent))
            return true;
        block->cached_ns = INT64_MAX; /* It was evicted. */
    }
    if (block->cached_ns == INT64_MAX)
        block->cached_ns = sim__world.now_ns + CACHING_NS;
    return false;
}

static ssize_t read_cached(const struct sim_file *file, void *buffer,
                           size_t size, int64_t offset)
{
    size_t done = 0, count = 0;

    do {
        if (!is_cached(file->node, offset + (int64_t) done))
            break;
        count = read_block(file->node, (unsigned char *) buffer + done,
                           size - done, offset + (int64_t) done);
        done += count;
    } while (count > 0 && done < size);
    sim__trace((int64_t) done);
    if (done == 0 && size > 0 && offset < file->node->data.size)
        return -EAGAIN;
    return (ssize_t) done;
}

ssize_t sim__read_cached(const struct sim_file *file, void *buffer, size_t size,
                         int64_t offset)
{
    int error = file->node->device->cached_read_error;

    return error < 0 ? error : read_cached(file, buffer, size, offset);
}

ssize_t aloop__sys_pread_cached(int fd, void *buffer, size_t size,
                                int64_t offset)
{
    int error;
    const struct sim_file *file =
        enter_regular(CALL_sys_pread_cached, SIM_CACHED, fd, O_RDONLY, &error);

    if (file == NULL)
        return error == -EISDIR ? -EOPNOTSUPP : error;
    return offset < 0 ? -EINVAL : sim__read_cached(file, buffer, size, offset);
}

bool aloop__sys_is_in_memory(int fd)
{
    const struct sim_file *file = NULL;

    if (sim__enter_file(CALL_sys_is_in_memory, SIM_LOOKS) == 0)
        file = sim__file(fd);
    return file != NULL && file->node != NULL &&
           file->node->device->is_in_memory;
}

int aloop__sys_is_written(int fd)
{
    int error;
    const struct sim_file *file =
        enter_regular(CALL_sys_is_written, SIM_CACHED, fd, O_RDONLY, &error);

    if (file == NULL || sim__world.options.has_old_kernel)
        return file == NULL ? error : -ENOSYS;
    return !file->node->is_dirty;
}

ssize_t aloop__sys_pread_memory(int fd, void *buffer, size_t size,
                                int64_t offset)
{
    int error;
    const struct sim_file *file =
        enter_regular(CALL_sys_pread_memory, SIM_CACHED, fd, O_RDONLY, &error);

    if (file == NULL)
        return error;
    if (!file->node->device->is_in_memory)
        return -EOPNOTSUPP;
    return offset < 0 ? -EINVAL : read_cached(file, buffer, size, offset);
}

bool aloop__sys_pread_cached_is_broken(void)
{
    sim__note(CALL_sys_pread_cached_is_broken);
    return sim__world.options.has_old_kernel;
}
