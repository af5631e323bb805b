/* Reads on the loop's own thread, of what the page cache has.
 *
 * Reads of one buffer begin here, because most of their time is that of the one
 * call of the system, and a few branches more can be measured.  All others, and
 * those that are not of the usual kind, begin in file_data.c.
 *
 * The kernel is asked for bytes without waiting for the disk.  That is done for
 * regular files only, and not with O_DIRECT, because the call would then wait
 * for the device.  A file whose file system refuses it is marked.
 *
 * A call that finds nothing starts the transfer from the disk, and may have to
 * wait until the device accepts the request.  Therefore the next 1, 2, 4, ...
 * reads of the file are left to the pool, until one is in the cache again.
 *
 * Copying takes time, too, in which the loop does nothing else.  The number of
 * bytes is limited for each call and for each turn.  Reads beyond the second
 * limit wait for the next turn, which takes a tenth of the time of a job. */

#include "file/file_data.h"

#include <string.h>

#include "file/file_budget.h"
#include "loop/debug.h"
#include "os/sys_file.h"

enum { BACKOFF_MAX = 64 };

static inline bool is_within_limits(const aloop *loop, size_t size)
{
    return size <= CACHED_MAX && aloop__file_is_within_turn(loop, size) &&
           !aloop__file_is_interrupted(loop);
}

bool aloop__file_is_for_next_turn(const aloop_file *file, size_t size)
{
    return file->cache.is_used && file->cache.skips == 0 &&
           size <= CACHED_MAX &&
           !aloop__file_is_within_turn(file->handle.loop, size);
}

/* Returns whether to read from the page cache now.  A read that is skipped is
 * counted. */
static bool choose_cached(aloop_file *file, size_t size)
{
    if (!file->cache.is_used || !is_within_limits(file->handle.loop, size))
        return false;
    if (file->cache.skips == 0)
        return true;
    file->cache.skips--;
    return false;
}

/* Takes the result of a call that has read nothing. */
static void note_failure(aloop_file *file, ssize_t error)
{
    if (error != ALOOP_EAGAIN) {
        file->cache.is_used = false;
        return;
    }
    if (file->cache.backoff < BACKOFF_MAX)
        file->cache.backoff =
            file->cache.backoff == 0 ? 1 : (uint8_t) (2 * file->cache.backoff);
    file->cache.skips = file->cache.backoff;
}

/* Fills one buffer.  Returns how many bytes were read.  *ret_is_over is set if
 * the file ends there or the rest is not in the cache, and *ret_has_ended in
 * the first case. */
static inline size_t fill_cached(aloop_file *file, struct iovec buffer,
                                 int64_t offset, bool *ret_is_over,
                                 bool *ret_has_ended)
{
    size_t moved = 0;

    while (moved < buffer.iov_len && !*ret_is_over) {
        ssize_t n = aloop__file_pread_now(file->fd, file->cache.is_in_memory,
                                          (char *) buffer.iov_base + moved,
                                          buffer.iov_len - moved,
                                          offset + (int64_t) moved);

        if (n > 0) {
            moved += (size_t) n;
            continue;
        }
        *ret_is_over = true;
        *ret_has_ended = n == 0;
        if (n < 0)
            note_failure(file, n);
    }
    return moved;
}

size_t aloop__file_read_cached(aloop_file *file, const struct iovec *buffers,
                               size_t size, int64_t offset,
                               bool *ret_is_complete)
{
    bool is_over = false, has_ended = false;
    size_t moved = 0;

    *ret_is_complete = false;
    if (!choose_cached(file, size) || offset > INT64_MAX - (int64_t) size)
        return 0;
    for (; moved < size && !is_over; buffers++)
        moved += fill_cached(file, *buffers, offset + (int64_t) moved, &is_over,
                             &has_ended);
    *ret_is_complete = moved == size || has_ended;
    if (*ret_is_complete)
        file->cache.backoff = 0;
    file->handle.loop->cached_bytes += moved;
    return moved;
}

/* Returns whether a read is of the usual kind: valid arguments, what was read
 * before was in the page cache, no operation before it, and no loop whose calls
 * are checked. */
static inline bool is_usual(const aloop_file *file, const void *buffer,
                            size_t size, int64_t offset)
{
    static const struct aloop__file_cache usual = {.is_used = true};

    return file != NULL && !aloop__is_checked_handle(file) && buffer != NULL &&
           size > 0 && offset >= 0 && offset <= INT64_MAX - CACHED_MAX &&
           memcmp(&file->cache, &usual, sizeof usual) == 0 &&
           !aloop__is_foreign(file->handle.loop) &&
           is_within_limits(file->handle.loop, size);
}

/* Does the rest of a read whose first call has returned `first`.  Returns the
 * number of bytes if the read is complete.  Otherwise it returns ALOOP_PENDING,
 * and *ret_moved is that number. */
NOINLINE static ssize_t finish_usual(aloop_file *file, struct iovec buffer,
                                     int64_t offset, ssize_t first,
                                     ssize_t *ret_moved)
{
    bool is_over = first <= 0, has_ended = first == 0;
    size_t moved = first > 0 ? (size_t) first : 0, size = buffer.iov_len;

    if (first < 0)
        note_failure(file, first);
    buffer.iov_base = (char *) buffer.iov_base + moved;
    buffer.iov_len -= moved;
    moved += fill_cached(file, buffer, offset + (int64_t) moved, &is_over,
                         &has_ended);
    *ret_moved = (ssize_t) moved;
    if (moved == size || has_ended)
        return (ssize_t) moved;
    file->handle.loop->cached_bytes += moved;
    return ALOOP_PENDING;
}

/* Reads into one buffer.  The result is that of finish_usual(). */
static inline ssize_t read_usual(aloop_file *file, void *buffer, size_t size,
                                 int64_t offset, ssize_t *ret_moved)
{
    ssize_t count = aloop__sys_pread_cached(file->fd, buffer, size, offset);

    if (count != (ssize_t) size)
        count = finish_usual(file, (struct iovec){buffer, size}, offset, count,
                             ret_moved);
    if (count >= 0)
        file->handle.loop->cached_bytes += (size_t) count;
    return count;
}

/* `moved` is -1 if read_usual() was not called. */
NOINLINE static aloop_future *read_unusual(aloop_file *file,
                                           const char *function, void *buffer,
                                           size_t size, int64_t offset,
                                           ssize_t moved)
{
    struct iovec one = {buffer, size};

    return aloop__file_start(file, &(struct aloop__file_request){
                                       .function = function,
                                       .buffers = &one,
                                       .count = 1,
                                       .offset = offset,
                                       .was_tried = moved >= 0,
                                       .moved = moved > 0 ? (size_t) moved : 0,
                                   });
}

NOINLINE static aloop_future *new_hit(aloop *loop, ssize_t count)
{
    aloop_future *future = aloop__future_new_settled(loop, count);

    if (future != NULL && loop->hit == NULL && loop->debug == NULL) {
        list_remove(&future->node); /* From loop->kept. */
        loop->hit = future;
    }
    return future;
}

/* Returns the settled future of a read.  It and its await take a part of the
 * time that can be measured.  Therefore the loop uses one future, loop->hit,
 * again and again, while there is no reference to it. */
static inline aloop_future *hit_of(aloop *loop, ssize_t count)
{
    aloop_future *hit = loop->hit;

    if (hit == NULL || hit->refs > 0)
        return new_hit(loop, count);
    hit->refs = 1;
    hit->status = count;
    return hit;
}

aloop_future *aloop_file_read_at(aloop_file *file, void *buffer, size_t size,
                                 int64_t offset)
{
    ssize_t count = ALOOP_PENDING, moved = -1;

    if (offset < 0)
        offset = INT64_MIN; /* It is not FILE_AT_POSITION. */
    if (is_usual(file, buffer, size, offset))
        count = read_usual(file, buffer, size, offset, &moved);
    if (count < 0)
        return read_unusual(file, __func__, buffer, size, offset, moved);
    return hit_of(file->handle.loop, count);
}

aloop_future *aloop_file_read(aloop_file *file, void *buffer, size_t size)
{
    ssize_t count = ALOOP_PENDING, moved = -1;
    aloop_future *future;

    if (is_usual(file, buffer, size, 0) &&
        file->position <= INT64_MAX - CACHED_MAX &&
        list_is_empty(&file->queues[FILE_READS]))
        count = read_usual(file, buffer, size, file->position, &moved);
    if (count < 0)
        return read_unusual(file, __func__, buffer, size, FILE_AT_POSITION,
                            moved);
    future = hit_of(file->handle.loop, count);
    if (future != NULL)
        file->position += count;
    return future;
}
