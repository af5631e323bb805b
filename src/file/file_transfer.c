/* The work of reads and writes, on a thread of the pool.
 *
 * It transfers pieces of up to PIECE_MAX bytes until all buffers are done, and
 * looks between two of them whether the operation was cancelled.
 *
 *     file                        a read ends       a write ends
 *     with a position             when full, or     when all is written
 *                                 at the end
 *     without, non-blocking       after one call    when all is written, or
 *                                                   it would block
 *     without, blocking           after one call    after one call of PIPE_BUF
 *                                                   bytes; it then waits again
 *
 * Only the operation and the descriptor are used here.  The file is valid,
 * because it waits for its operations, and the fields that are read here do not
 * change while one is in the pool. */

#include "file/file_data.h"

#include "os/sys_file.h"

enum {
    PIECE_MAX = 8 << 20,
    /* What a pipe accepts without blocking when it is ready: PIPE_BUF of every
     * system. */
    PIPE_PIECE_MAX = 512
};

/* Also used on the loop's thread, for what was read from the page cache. */
void aloop__file_data_advance(struct aloop__file_data *data, size_t size)
{
    data->moved += size;
    data->skip += size;
    while (data->count > 0 && data->skip >= data->buffers->iov_len) {
        data->skip -= data->buffers->iov_len;
        data->buffers++;
        data->count--;
    }
}

/* Lists the next buffers, up to `max` bytes.  Returns how many there are. */
static size_t next_pieces(const struct aloop__file_data *data, size_t max,
                          struct sys_piece pieces[SYS_PIECES_MAX])
{
    size_t skip = data->skip, count = 0;

    for (int i = 0; i < data->count && count < SYS_PIECES_MAX && max > 0; i++) {
        const struct iovec *buffer = &data->buffers[i];
        size_t size = buffer->iov_len - skip;

        if (size > max)
            size = max;
        if (size > 0)
            pieces[count++] = (struct sys_piece){
                (const char *) buffer->iov_base + skip, size};
        max -= size;
        skip = 0;
    }
    return count;
}

/* Returns how many bytes the next call may transfer.  Offsets end at INT64_MAX,
 * and the system refuses a call that would cross that.  A blocking pipe that is
 * ready accepts PIPE_BUF bytes without blocking (pipe(7)). */
static size_t piece_max(const struct aloop__file_data *data)
{
    const aloop_file *file = data->use.file;
    int64_t offset = data->offset, room = INT64_MAX;

    if (!file->has_position)
        return file->is_blocking && data->is_write ? PIPE_PIECE_MAX : PIECE_MAX;
    if (!file->is_append || !data->is_write)
        room = INT64_MAX - offset - (int64_t) data->moved;
    return room < PIECE_MAX ? (size_t) room : PIECE_MAX;
}

/* Calls the system once.  An append is written without an offset, because only
 * the system knows the end of the file (open(2), O_APPEND). */
static ssize_t transfer(const struct aloop__file_data *data)
{
    const aloop_file *file = data->use.file;
    struct sys_piece pieces[SYS_PIECES_MAX];
    size_t count = next_pieces(data, piece_max(data), pieces);
    int64_t offset = data->offset + (int64_t) data->moved;

    if (count == 0)
        return 0;
    if (!file->has_position && !data->is_write)
        return aloop__sys_read(file->fd, (void *) (uintptr_t) pieces[0].data,
                               pieces[0].size);
    if (!file->has_position || (file->is_append && data->is_write))
        return aloop__sys_writev(file->fd, pieces, count);
    if (data->is_write)
        return aloop__sys_pwritev(file->fd, pieces, count, offset);
    return aloop__sys_preadv(file->fd, pieces, count, offset);
}

/* Returns whether a read ends although its buffers are not full, or a write
 * has to wait. */
static bool is_piecewise(const struct aloop__file_data *data)
{
    const aloop_file *file = data->use.file;

    return !file->has_position && (!data->is_write || file->is_blocking);
}

/* Returns the status of the operation.  A cancel between two pieces ends it
 * with ALOOP_ECANCELED; the position is not moved then by a read. */
static ssize_t transfer_all(struct aloop__file_data *data)
{
    while (data->moved < data->size) {
        ssize_t n = transfer(data);

        if (n < 0)
            return n;
        if (n == 0)
            return data->is_write ? ALOOP_EFBIG : (ssize_t) data->moved;
        aloop__file_data_advance(data, (size_t) n);
        if (data->moved == data->size)
            break;
        if (is_piecewise(data) && !data->is_write)
            break; /* Also if cancelled: the bytes are in no other place. */
        if (aloop__file_op_is_cancelled(&data->use.op))
            return ALOOP_ECANCELED;
        if (is_piecewise(data))
            return ALOOP_EAGAIN;
    }
    return (ssize_t) data->moved;
}

/* kind->work.  The end of the file after an append is asked here, where waiting
 * does no harm; it is the new position. */
ssize_t aloop__file_data_work(struct aloop__file_op *op)
{
    struct aloop__file_data *data = aloop__file_data_of(op);
    const aloop_file *file = data->use.file;
    ssize_t status = transfer_all(data);

    data->was_blocked = status == ALOOP_EAGAIN && !file->has_position;
    if (file->is_append && data->is_write && file->has_position)
        data->offset = aloop__sys_seek(file->fd, 0, SYS_SEEK_CURRENT);
    return status;
}
