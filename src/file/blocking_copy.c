/* Copying a file.
 *
 * There are three ways, tried in this order, because none of them works
 * everywhere: sharing the blocks (reflink), copying inside the kernel, and
 * reading and writing.  An error of the first two never ends the copy; the last
 * one reports it.  A count of 0 from the kernel's copy is not trusted either,
 * because some versions return it for files that are not empty.  The copy ends
 * where a read returns 0, or where only a hole is left. */

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "file/blocking.h"

enum { COPY_BUFFER_SIZE = 128 * 1024, NOTE_EVERY = 1 << 20 };
enum { COPY_TRIES_MAX = 8 }; /* To create or open the target. */

/* The two files. */
struct copy_ends {
    struct aloop__blocking_copy *copy;
    int from; /* Same as copy->from_fd. */
    int to;
    int64_t offset;  /* Everything before it has been copied. */
    int64_t written; /* Size of the target; less if a hole is before offset. */
    int64_t noted;   /* The offset that was noted last. */
    bool has_holes;
    bool is_kernel_refused; /* The kernel's copy does not work here. */
    bool is_new;            /* The target was created. */
    aloop_stat made;        /* The new target; inode 0: not known. */
    char *buffer;           /* Allocated when first needed. */
};

static void note_piece(struct copy_ends *ends, int64_t every)
{
    if (ends->offset - ends->noted < every)
        return;
    ends->noted = ends->offset;
    atomic_store(&ends->copy->copied, (uint64_t) ends->offset);
    if (ends->copy->on_piece != NULL)
        ends->copy->on_piece(ends->copy);
}

/* Reads and writes at most `size` bytes.  Returns the count, 0 at the end. */
static ssize_t copy_by_hand(struct copy_ends *ends, size_t size)
{
    struct sys_piece piece;
    ssize_t count, done = 0;

    if (ends->buffer == NULL)
        ends->buffer =
            aloop__alloc_new(&aloop__alloc_default, COPY_BUFFER_SIZE);
    if (ends->buffer == NULL)
        return -ENOMEM;
    piece = (struct sys_piece){
        ends->buffer, size < COPY_BUFFER_SIZE ? size : COPY_BUFFER_SIZE};
    count = aloop__sys_preadv(ends->from, &piece, 1, ends->offset);
    while (done < count) {
        ssize_t written;

        piece =
            (struct sys_piece){ends->buffer + done, (size_t) (count - done)};
        written = aloop__sys_pwritev(ends->to, &piece, 1, ends->offset + done);
        if (written <= 0)
            return written < 0 ? written : -EIO;
        done += written;
    }
    return count;
}

/* Copies at most `size` bytes.  Returns the count, 0 at the end. */
static ssize_t copy_piece(struct copy_ends *ends, size_t size)
{
    ssize_t count;

    if (!ends->is_kernel_refused) {
        count = aloop__sys_copy_range(ends->from, ends->offset, ends->to,
                                      ends->offset, size);
        if (count > 0)
            return count;
        ends->is_kernel_refused = true;
    }
    return copy_by_hand(ends, size);
}

/* The source ends at the offset, or before it: it may have been cut in the hole
 * that precedes the offset.  Returns 1, or an error. */
static int end_of_data(struct copy_ends *ends)
{
    aloop_stat stat;
    int error;

    if (ends->offset == ends->written)
        return 1;
    error = aloop__sys_fstat(ends->from, &stat);
    if (error < 0)
        return error;
    if ((int64_t) stat.size < ends->offset)
        ends->offset = (int64_t) stat.size;
    if (ends->offset < ends->written)
        ends->offset = ends->written;
    return 1;
}

/* Copies up to `end`.  Returns 1 at the end of the file. */
static int copy_until(struct copy_ends *ends, int64_t end)
{
    while (ends->offset < end) {
        int64_t left = end - ends->offset;
        ssize_t count;

        if (atomic_load(ends->copy->is_cancelled))
            return -ECANCELED;
        count = copy_piece(ends, left < BLOCKING_PIECE ? (size_t) left
                                                       : BLOCKING_PIECE);
        if (count < 0)
            return (int) count;
        if (count == 0)
            return end_of_data(ends);
        ends->offset += count;
        ends->written = ends->offset;
        note_piece(ends, NOTE_EVERY);
    }
    return 0;
}

/* No data were found after the offset.  The size is found before a second
 * search, so that data that are appended meanwhile are not taken for a hole.
 * Returns 1 if the file ends with the hole. */
static int end_of_hole(struct copy_ends *ends)
{
    aloop_stat stat;
    int error = aloop__sys_fstat(ends->from, &stat);

    if (error < 0)
        return error;
    if (aloop__sys_seek(ends->from, ends->offset, SYS_SEEK_DATA) != -ENXIO)
        return 0;
    if ((int64_t) stat.size > ends->offset)
        ends->offset = (int64_t) stat.size;
    return 1;
}

/* Copies one stretch of data, after the hole before it, if there is one.
 * Returns 1 at the end of the file. */
static int copy_stretch(struct copy_ends *ends)
{
    int64_t data, hole = -1;

    if (!ends->has_holes)
        return copy_until(ends, INT64_MAX);
    data = aloop__sys_seek(ends->from, ends->offset, SYS_SEEK_DATA);
    if (data == -ENXIO)
        return end_of_hole(ends);
    if (data >= ends->offset)
        hole = aloop__sys_seek(ends->from, data, SYS_SEEK_HOLE);
    if (data < ends->offset || hole <= data) {
        ends->has_holes = false; /* No reliable answer: copy everything. */
        return 0;
    }
    ends->offset = data;
    return copy_until(ends, hole);
}

/* Shares the blocks.  Returns false if that is impossible, which leaves the
 * target empty.  Both sizes are those of the target, because the source may
 * have changed meanwhile. */
static bool share_blocks(struct copy_ends *ends, int *ret_error)
{
    int cloned = aloop__sys_clone(ends->from, ends->to);
    aloop_stat stat;

    *ret_error = aloop__sys_fstat(ends->to, &stat);
    if (*ret_error < 0)
        return true;
    if (cloned >= 0)
        ends->offset = ends->written = (int64_t) stat.size;
    else if (stat.size > 0)
        *ret_error = aloop__sys_ftruncate(ends->to, 0);
    return cloned >= 0 || *ret_error < 0;
}

static int copy_data(struct copy_ends *ends, const aloop_stat *stat)
{
    int result = 0;

    /* Files of /proc claim to be empty. */
    if (stat->size > 0 && share_blocks(ends, &result))
        return result;
    ends->has_holes = stat->allocated_size < stat->size;
    while (result == 0)
        result = copy_stretch(ends);
    if (result > 0 && ends->offset > ends->written)
        result = aloop__sys_ftruncate(ends->to, ends->offset);
    aloop__alloc_free(&aloop__alloc_default, ends->buffer, COPY_BUFFER_SIZE);
    return result < 0 ? result : 0;
}

static bool is_same_file(const aloop_stat *a, const aloop_stat *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Opens without waiting for the other end of a FIFO.  A file with a lease
 * refuses that until its holder has given the lease up. */
static int open_end(const char *path, int flags)
{
    int fd = aloop__sys_openat(SYS_CWD, path, flags | O_NONBLOCK, 0);

    return fd == -EAGAIN ? aloop__sys_openat(SYS_CWD, path, flags, 0) : fd;
}

/* Empties a target that exists, unless it is the source. */
static int empty_target(int fd, const aloop_stat *source)
{
    aloop_stat stat;
    int error = aloop__sys_fstat(fd, &stat);

    if (error < 0)
        return error;
    if (stat.type != ALOOP_FILE_REGULAR || is_same_file(&stat, source))
        return -EINVAL;
    return stat.size > 0 ? aloop__sys_ftruncate(fd, 0) : 0;
}

/* Creates the target, or opens the one that exists.  That may have been removed
 * in between, for example by another copy that was cancelled.  A link that
 * leads nowhere exists each time, and cannot be opened. */
static int create_target(struct copy_ends *ends, const aloop_stat *source)
{
    const struct aloop__blocking_copy *copy = ends->copy;
    int fd = -ENOENT;

    for (int i = 0; i < COPY_TRIES_MAX && fd == -ENOENT; i++) {
        fd = aloop__sys_openat(SYS_CWD, copy->to, O_WRONLY | O_CREAT | O_EXCL,
                               source->mode & 0777);
        ends->is_new = fd >= 0;
        if (fd != -EEXIST || !copy->is_replacing)
            return fd;
        fd = open_end(copy->to, O_WRONLY);
    }
    return fd;
}

static int open_target(struct copy_ends *ends, const aloop_stat *source)
{
    int error;

    ends->to = create_target(ends, source);
    if (ends->is_new && aloop__sys_fstat(ends->to, &ends->made) < 0)
        ends->made.inode = 0;
    if (ends->to < 0 || ends->is_new)
        return ends->to;
    error = empty_target(ends->to, source);
    if (error < 0)
        (void) aloop__sys_close(ends->to);
    return error;
}

/* Writes the name of the target to the disk.  The name of a target that existed
 * need not be there yet, because what made it may not have synced it. */
static int sync_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t) (slash - path);
    char parent[SYS_PATH_MAX] = ".";
    int dir, error;

    if (slash == path)
        length = 1;
    if (length > 0) {
        memcpy(parent, path, length);
        parent[length] = '\0';
    }
    dir = aloop__sys_open_directory(SYS_CWD, parent, true);
    if (dir < 0)
        return dir;
    error = aloop__blocking_sync_directory(dir);
    (void) aloop__sys_close(dir);
    return error;
}

/* Removes the new target, unless its name is that of another file now. */
static void remove_target(const struct copy_ends *ends)
{
    const char *path = ends->copy->to;
    aloop_stat stat;

    if (ends->made.inode == 0 ||
        aloop__sys_statat(SYS_CWD, path, false, &stat) < 0 ||
        is_same_file(&stat, &ends->made))
        (void) aloop__sys_unlinkat(SYS_CWD, path);
}

/* A child that is forked at the end of this must not close the number again,
 * which may be that of another file by then. */
static int close_end(int *fd)
{
    int closed = *fd;

    *fd = -1;
    return aloop__sys_close(closed);
}

static int copy_to(struct copy_ends *ends, const aloop_stat *source)
{
    bool is_synced = ends->copy->is_synced;
    int error = open_target(ends, source), close_error;

    if (error < 0)
        return error;
    ends->copy->to_fd = ends->to;
    error = copy_data(ends, source);
    if (error >= 0 && is_synced)
        error = aloop__sys_fsync(ends->to);
    close_error = close_end(&ends->copy->to_fd);
    if (error >= 0 && close_error != -EINTR && close_error != -EINPROGRESS)
        error = close_error;
    if (error >= 0 && is_synced)
        error = sync_name(ends->copy->to);
    if (error >= 0)
        note_piece(ends, 0);
    else if (ends->is_new)
        remove_target(ends);
    return error;
}

int aloop__blocking_copy(struct aloop__blocking_copy *copy)
{
    struct copy_ends ends = {.copy = copy};
    aloop_stat stat = {.type = ALOOP_FILE_UNKNOWN};
    int error;

    ends.from = open_end(copy->from, O_RDONLY);
    if (ends.from < 0)
        return ends.from;
    copy->from_fd = ends.from;
    error = aloop__sys_fstat(ends.from, &stat);
    if (error >= 0 && stat.type == ALOOP_FILE_DIRECTORY)
        error = -EISDIR;
    else if (error >= 0 && stat.type != ALOOP_FILE_REGULAR)
        error = -EINVAL;
    if (error >= 0) {
        atomic_store(&copy->total, stat.size);
        error = copy_to(&ends, &stat);
    }
    (void) close_end(&copy->from_fd);
    return error;
}

void aloop__blocking_copy_forget(struct aloop__blocking_copy *copy)
{
    if (copy->from_fd >= 0)
        (void) aloop__sys_close(copy->from_fd);
    if (copy->to_fd >= 0)
        (void) aloop__sys_close(copy->to_fd);
}
