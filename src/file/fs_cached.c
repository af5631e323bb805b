/* Whole small files that the kernel has in its caches, read on the loop's own
 * thread.
 *
 * The file is opened as file_device.c describes, read with one byte more than
 * it claims to have, and closed.  The close is left to the pool if it could
 * wait; see file_close.c.
 *
 * The look at a name before its file is opened takes as long as a third of all
 * other calls.  It is left out for paths that were recently read here; the loop
 * remembers hashes of them.  Such a path is opened although it is unsuited only
 * if its file was replaced in the meantime by another one of the same file
 * system: aloop__file_open_near() opens no other.
 *
 * If a step fails, a thread of the pool reads the file from its start.  It gets
 * the descriptor if there is one.  That is also right for one that turns out to
 * be something else, such as a FIFO that has replaced the file: the thread
 * would have opened it, too, and the opening has already had its effects.
 *
 * A read that finds nothing in the cache may have to wait, as in file_cached.c.
 * Afterwards the next 1, 2, 4, ... files of the loop are left to the pool,
 * until a file is in the cache again. */

#include "file/file.h"
#include "file/file_budget.h"
#include "loop/data.h"
#include "os/sys_file.h"

enum { WHOLE_SKIPS_MAX = 64 };

/* Returns whether to try it.  The path is checked there, too.  A file that is
 * skipped is counted. */
static bool choose_whole(aloop *loop, const char *path)
{
    struct aloop__devices *devices = &loop->devices;

    if (devices->skips == 0)
        return aloop__file_is_openable(loop, path, O_RDONLY);
    devices->skips--;
    return false;
}

static void note_miss(struct aloop__devices *devices)
{
    if (devices->backoff < WHOLE_SKIPS_MAX)
        devices->backoff =
            devices->backoff == 0 ? 1 : (uint8_t) (2 * devices->backoff);
    devices->skips = devices->backoff;
}

/* Reads a file that claims to have stat.size bytes into a buffer that has room
 * for one more.  Returns the number of bytes, or an error if the end of the
 * file is not in the cache or the file has grown.  A read that ends at `size`
 * although it asked for more has found the end. */
static ssize_t read_whole(struct aloop__devices *devices, int fd,
                          const struct aloop__device_file *file, char *buffer)
{
    size_t size = (size_t) file->stat.size, done = 0;
    ssize_t count;

    do {
        count = aloop__file_pread_now(fd, file->is_in_memory, buffer + done,
                                      size + 1 - done, (int64_t) done);
        if (count > 0)
            done += (size_t) count;
    } while (count > 0 && done < size);
    if (count < 0) {
        note_miss(devices);
        return count;
    }
    devices->backoff = 0;
    return done > size ? ALOOP_EAGAIN : (ssize_t) done;
}

/* Returns a hash of the path (FNV-1a), or 0 if it is too long. */
static uint64_t hash_path(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; path[i] != '\0'; i++) {
        if (i == SYS_PATH_MAX)
            return 0;
        hash = (hash ^ (unsigned char) path[i]) * 0x100000001b3;
    }
    return hash;
}

/* Opens a file whose path is not known, and notes the path in *known. */
static int open_new(aloop *loop, const char *path, size_t size_max,
                    struct aloop__device_file *ret_file, int *ret_unsuited,
                    uint64_t *known)
{
    int fd = aloop__file_look_known(loop, path, size_max);

    if (fd < 0)
        return fd;
    fd = aloop__file_open_known(loop, path, O_RDONLY, size_max, ret_file,
                                ret_unsuited);
    if (fd >= 0 && aloop__file_is_near(loop, path, ret_file))
        *known = hash_path(path);
    return fd;
}

/* Opens the file.  Returns a negative error if the pool has to do the rest; it
 * gets *ret_fd, unless that is -1. */
static int open_whole(aloop *loop, const char *path, size_t size_max,
                      struct aloop__device_file *ret_file, int *ret_fd)
{
    uint64_t hash = hash_path(path);
    uint64_t *known = &loop->known_paths[hash % KNOWN_PATHS];
    int fd = ALOOP_EAGAIN;

    *ret_fd = -1;
    if (hash != 0 && *known == hash) {
        fd = aloop__file_open_near(loop, path, size_max, ret_file, ret_fd);
        if (fd < 0)
            *known = 0;
    }
    if (fd < 0 && *ret_fd < 0)
        fd = open_new(loop, path, size_max, ret_file, ret_fd, known);
    if (fd >= 0)
        *ret_fd = fd;
    return fd;
}

ssize_t aloop__fs_read_cached(aloop *loop, const char *path, size_t size_max,
                              struct aloop__data **ret_block, int *ret_fd)
{
    struct aloop__device_file file;
    struct aloop__data *block;
    ssize_t count = ALOOP_ENOMEM;
    int fd;

    *ret_fd = -1;
    if (!choose_whole(loop, path))
        return ALOOP_EAGAIN;
    size_max = aloop__file_whole_max(size_max) - 1;
    if (!aloop__file_charge_open(loop, size_max + 1))
        return ALOOP_PENDING;
    fd = open_whole(loop, path, size_max, &file, ret_fd);
    if (fd < 0)
        return fd;
    block = aloop__data_new((size_t) file.stat.size + 1);
    if (block != NULL)
        count = read_whole(&loop->devices, fd, &file, aloop__data_bytes(block));
    if (count < 0) {
        aloop__data_drop(block);
        return count;
    }
    aloop__file_close_seen(loop, fd, &file.stat);
    *ret_fd = -1;
    loop->cached_bytes += (size_t) count;
    ((char *) aloop__data_bytes(block))[count] = '\0';
    *ret_block = block;
    return count;
}
