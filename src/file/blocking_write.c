/* Opening, writing and closing files. */

#include <errno.h>

#include "file/blocking.h"

/* A file with a lease refuses O_NONBLOCK until its holder has given the lease
 * up. */
int aloop__blocking_open(const char *path, int flags, unsigned mode)
{
    int fd = aloop__sys_openat(SYS_CWD, path, flags | O_NONBLOCK, mode);

    if (fd == -EAGAIN && (flags & O_NONBLOCK) == 0)
        fd = aloop__sys_openat(SYS_CWD, path, flags, mode);
    return fd;
}

/* The descriptor is closed after all errors.  These mean that the system still
 * works on it. */
int aloop__blocking_close(int fd)
{
    int error = aloop__sys_close(fd);

    return error == -EINTR || error == -EINPROGRESS ? 0 : error;
}

/* Some file systems have nothing to sync in a directory. */
int aloop__blocking_sync_directory(int dir)
{
    int error = aloop__sys_fsync(dir);
    bool is_refused = error == -EINVAL || error == -EOPNOTSUPP;

    return is_refused || error == -ENOTSUP ? 0 : error;
}

/* Writes the next piece.  A piece is small enough that a cancel takes effect
 * soon, and a thread does not hold one call for the whole file.
 *
 * Offsets are used for regular files only, because a FIFO or a device has none.
 * Some drivers report that only with the first write, which moved nothing. */
static ssize_t write_piece(struct aloop__blocking_data *data)
{
    size_t left = data->size - data->done;
    struct sys_piece piece = {
        (const char *) data->bytes + data->done,
        left < BLOCKING_PIECE ? left : BLOCKING_PIECE,
    };
    ssize_t count = 0;

    if (data->has_position)
        count = aloop__sys_pwritev(data->fd, &piece, 1, (int64_t) data->done);
    if (count == -ESPIPE && data->done == 0) /* A file of a driver. */
        data->has_position = false;
    if (!data->has_position)
        count = aloop__sys_writev(data->fd, &piece, 1);
    data->has_to_wait = count == -EAGAIN;
    return count == 0 ? -EFBIG : count; /* Do not repeat it indefinitely. */
}

/* data->done is kept after an error, so that a call that has to wait continues
 * there. */
int aloop__blocking_write_all(struct aloop__blocking_data *data)
{
    while (data->done < data->size) {
        ssize_t count = atomic_load(data->is_cancelled) ? -ECANCELED
                                                        : write_piece(data);

        if (count < 0)
            return (int) count;
        data->done += (size_t) count;
    }
    return 0;
}

/* O_NONBLOCK makes a FIFO without a reader an error. */
static int open_to_write(struct aloop__blocking_data *data)
{
    aloop_stat stat;
    int error;

    data->fd = aloop__blocking_open(data->path, O_WRONLY | O_CREAT | O_TRUNC,
                                    data->mode);
    if (data->fd < 0)
        return data->fd;
    error = aloop__sys_fstat(data->fd, &stat);
    data->has_position = error == 0 && stat.type == ALOOP_FILE_REGULAR;
    return error;
}

/* May be called several times for one operation.  A descriptor that has to wait
 * stays open for the loop, which watches it; after any other result it is
 * closed, and the first error is the result.  `is_busy` covers the whole call:
 * a forked child must not use what a thread of its parent was changing. */
int aloop__blocking_write(struct aloop__blocking_data *data)
{
    int error = 0, close_error;

    atomic_store(&data->is_busy, true);
    if (data->fd < 0)
        error = open_to_write(data);
    if (error == 0)
        error = aloop__blocking_write_all(data);
    if (!data->has_to_wait && data->fd >= 0) {
        close_error = aloop__blocking_close(data->fd);
        data->fd = -1;
        error = error < 0 ? error : close_error;
    }
    atomic_store(&data->is_busy, false);
    return error;
}
