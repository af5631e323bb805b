/* Reading a whole file.
 *
 * The size that the system claims is only a hint: files of /proc claim 0, files
 * grow and shrink, and one read may return less than there is.  So the file
 * ends where a read returns 0.  It also ends where it claims to end, if a read
 * has asked for one byte more: that saves the last read of nearly all files. */

#include <errno.h>

#include "file/blocking.h"
#include "loop/data.h"

enum { SIZE_FIRST = 4096 };

/* If the file claims to be too large, finds out whether it is.  That is faster
 * than reading all bytes before the one that is too many. */
static int check_size(const struct aloop__blocking_data *data, uint64_t size)
{
    char byte;
    struct sys_piece piece = {&byte, 1};
    ssize_t count = 0;

    if (size > data->size_max)
        count =
            aloop__sys_preadv(data->fd, &piece, 1, (int64_t) data->size_max);
    return count > 0 ? -EFBIG : (int) count;
}

/* A file that may never end is not read before it is ready: a FIFO that had no
 * writer yet would seem to be at its end. */
static int open_to_read(struct aloop__blocking_data *data)
{
    uint64_t size = SIZE_FIRST;
    aloop_stat stat;
    int error;

    if (data->fd < 0)
        data->fd = aloop__blocking_open(data->path, O_RDONLY, 0);
    if (data->fd < 0)
        return data->fd;
    error = aloop__sys_fstat(data->fd, &stat);
    if (error < 0)
        return error;
    if (stat.type == ALOOP_FILE_DIRECTORY)
        return -EISDIR;
    data->has_to_wait = stat.type != ALOOP_FILE_REGULAR;
    if (!data->has_to_wait)
        (void) aloop__device_look(&data->look, data->fd, stat.device);
    if (!data->has_to_wait && stat.size > 0) {
        error = check_size(data, stat.size);
        size = data->size_claimed = stat.size;
    }
    if (error < 0)
        return error;
    if (size > data->size_max)
        size = data->size_max;
    data->capacity = (size_t) size + 1; /* One more shows the end. */
    data->block = aloop__data_new(data->capacity);
    if (data->block == NULL)
        return -ENOMEM;
    return data->has_to_wait ? -EAGAIN : 0;
}

/* Makes room for at least one more byte. */
static int grow_block(struct aloop__blocking_data *data)
{
    size_t max = data->size_max + 1;
    size_t capacity = data->capacity < max / 2 ? data->capacity * 2 : max;
    struct aloop__data *block;

    if (data->done < data->capacity)
        return 0;
    if (data->done > data->size_max)
        return -EFBIG;
    if (capacity < SIZE_FIRST && max > SIZE_FIRST)
        capacity = SIZE_FIRST;
    block = aloop__data_resize(data->block, data->done, capacity);
    if (block == NULL)
        return -ENOMEM;
    data->block = block;
    data->capacity = capacity;
    return 0;
}

/* Reads a piece.  Returns 0 at the end, and else the number of bytes.  There is
 * always room for the zero, because the read of the end has room for a byte. */
static ssize_t read_piece(struct aloop__blocking_data *data)
{
    int error = grow_block(data);
    size_t size = data->capacity - data->done;
    size_t asked = size < BLOCKING_PIECE ? size : BLOCKING_PIECE;
    char *bytes = aloop__data_bytes(data->block);
    ssize_t count;

    if (error < 0)
        return error;
    count = aloop__sys_read(data->fd, bytes + data->done, asked);
    data->has_to_wait = count == -EAGAIN;
    if (count < 0)
        return count;
    data->done += (size_t) count;
    if (count > 0 &&
        ((size_t) count == asked || data->done != data->size_claimed))
        return count;
    bytes[data->done] = '\0';
    return 0;
}

static int read_all(struct aloop__blocking_data *data)
{
    ssize_t count;

    do
        count = atomic_load(data->is_cancelled) ? -ECANCELED : read_piece(data);
    while (count > 0);
    return (int) count;
}

int aloop__blocking_read(struct aloop__blocking_data *data)
{
    int error = 0;

    atomic_store(&data->is_busy, true);
    if (data->block == NULL)
        error = open_to_read(data);
    if (error == 0)
        error = read_all(data);
    if (!data->has_to_wait && data->fd >= 0) {
        (void) aloop__sys_close(data->fd);
        data->fd = -1;
    }
    atomic_store(&data->is_busy, false);
    return error;
}
