/* Files of the real system: descriptors and data. */

#define _GNU_SOURCE /* For preadv(), SEEK_DATA and SEEK_HOLE. */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __APPLE__
#include <AvailabilityMacros.h>
#endif

#include "os/descriptor.h"
#include "os/file_tools.h"
#include "os/sigpipe.h"

/* macOS has preadv() since version 11. */
#if defined(__APPLE__) && MAC_OS_X_VERSION_MIN_REQUIRED < 110000
#define HAS_PREADV 0
#else
#define HAS_PREADV 1
#endif

/* O_CLOEXEC is set in the same call, so that a program that another thread
 * starts at this moment does not inherit the descriptor. */
int aloop__sys_openat(int dir, const char *path, int flags, unsigned mode)
{
    int fd;

    REPEAT(fd = openat(aloop__file_dir(dir), path, flags | O_CLOEXEC | O_NOCTTY,
                       (mode_t) mode));
    return file_result(aloop__above_standard(fd));
}

int aloop__sys_file_flags(int fd)
{
    return file_result(fcntl(fd, F_GETFL));
}

/* The flag belongs to the open file; it is written only if it differs. */
int aloop__sys_file_set_blocking(int fd, bool is_blocking)
{
    int before = fcntl(fd, F_GETFL);
    int after = is_blocking ? before & ~O_NONBLOCK : before | O_NONBLOCK;

    if (before < 0)
        return -errno;
    return before == after ? 0 : file_result(fcntl(fd, F_SETFL, after));
}

/* Returns how many bytes may be written from `offset` on.  Linux sends SIGXFSZ
 * only to the thread that exceeds the limit.  Other systems send it to the
 * process, so that the limit must be observed here. */
static int64_t limit_after(int64_t offset)
{
#ifndef __linux__
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < INT64_MAX)
        return offset < (int64_t) limit.rlim_cur
                   ? (int64_t) limit.rlim_cur - offset
                   : 0;
#endif
    return INT64_MAX - offset;
}

/* Converts pieces with up to `room` bytes, without those that are empty.
 * Returns the number of vectors, which is at least 1. */
static int take_vectors(const struct sys_piece *pieces, size_t count,
                        int64_t room, struct iovec ret[SYS_PIECES_MAX])
{
    size_t left = room < SYS_TRANSFER_MAX ? (size_t) room : SYS_TRANSFER_MAX;
    int taken = 0;

    ret[0] = (struct iovec){0};
    for (size_t i = 0; i < count && taken < SYS_PIECES_MAX && left > 0; i++) {
        size_t size = pieces[i].size < left ? pieces[i].size : left;

        if (size == 0)
            continue;
        ret[taken].iov_base = (void *) pieces[i].data;
        ret[taken].iov_len = size;
        taken++;
        left -= size;
    }
    return taken > 0 ? taken : 1;
}

/* One piece needs no vector.  Where there is no preadv(), only the first piece
 * is read: short counts are normal. */
ssize_t aloop__sys_preadv(int fd, const struct sys_piece *pieces, size_t count,
                          int64_t offset)
{
    struct iovec vectors[SYS_PIECES_MAX];
    int taken = take_vectors(pieces, count, SYS_TRANSFER_MAX, vectors);
    ssize_t result;

    if (offset < 0)
        return -EINVAL; /* Linux would take -1 for the position. */
    if (taken == 1 || !HAS_PREADV)
        REPEAT(result = pread(fd, vectors[0].iov_base, vectors[0].iov_len,
                              (off_t) offset));
#if HAS_PREADV
    else
        REPEAT(result = preadv(fd, vectors, taken, (off_t) offset));
#endif
    return result < 0 ? -errno : result;
}

/* A write of nothing is no error, also at the limit of the size. */
static bool are_empty(const struct sys_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pieces[i].size > 0)
            return false;
    return true;
}

/* The limit of the size is observed before the call, where the system would
 * send a signal to the process.  A write that crosses it is cut, as on
 * Linux. */
ssize_t aloop__sys_pwritev(int fd, const struct sys_piece *pieces, size_t count,
                           int64_t offset)
{
    struct iovec vectors[SYS_PIECES_MAX];
    ssize_t result;
    int64_t room;
    int taken;

    if (offset < 0)
        return -EINVAL;
    room = limit_after(offset);
    if (room == 0 && !are_empty(pieces, count))
        return -EFBIG;
    taken = take_vectors(pieces, count, room, vectors);
    if (taken == 1 || !HAS_PREADV)
        REPEAT(result = pwrite(fd, vectors[0].iov_base, vectors[0].iov_len,
                               (off_t) offset));
#if HAS_PREADV
    else
        REPEAT(result = pwritev(fd, vectors, taken, (off_t) offset));
#endif
    return result < 0 ? -errno : result;
}

ssize_t aloop__sys_read(int fd, void *buffer, size_t size)
{
    ssize_t count;

    if (size > SYS_TRANSFER_MAX)
        size = SYS_TRANSFER_MAX;
    REPEAT(count = read(fd, buffer, size));
    return count < 0 ? -errno : count;
}

/* Writes with the flag of the file set, where there is one. */
static ssize_t write_vectors(int fd, const struct iovec *vectors, int count)
{
    int was_quiet = aloop__sigpipe_set_in_file(fd, 1);
    ssize_t result;

    REPEAT(result = writev(fd, vectors, count));
    result = result < 0 ? -errno : result;
    (void) aloop__sigpipe_set_in_file(fd, was_quiet);
    return result;
}

ssize_t aloop__sys_writev(int fd, const struct sys_piece *pieces, size_t count)
{
    struct iovec vectors[SYS_PIECES_MAX];
    int taken = take_vectors(pieces, count, SYS_TRANSFER_MAX, vectors);
    struct sigpipe sigpipe;
    ssize_t result;

    aloop__sigpipe_block(&sigpipe, 0);
    result = write_vectors(fd, vectors, taken);
    aloop__sigpipe_unblock(&sigpipe, result);
    return result;
}

#if defined(SEEK_DATA) && defined(SEEK_HOLE)
enum { FIND_DATA = SEEK_DATA, FIND_HOLE = SEEK_HOLE };
#else
enum { FIND_DATA = -1, FIND_HOLE = -1 };
#endif

int64_t aloop__sys_seek(int fd, int64_t offset, enum sys_seek how)
{
    static const int codes[] = {
        [SYS_SEEK_CURRENT] = SEEK_CUR, [SYS_SEEK_END] = SEEK_END,
        [SYS_SEEK_DATA] = FIND_DATA,   [SYS_SEEK_HOLE] = FIND_HOLE,
        [SYS_SEEK_START] = SEEK_SET,
    };
    bool is_search = how == SYS_SEEK_DATA || how == SYS_SEEK_HOLE;
    off_t result;

    if (codes[how] < 0 || (is_search && offset < 0))
        return -EINVAL;
    result = lseek(fd, (off_t) offset, codes[how]);
    if (result < 0 && is_search && (errno == ENOTTY || errno == EOPNOTSUPP))
        return -EINVAL; /* The file system does not know. */
    return result < 0 ? -errno : (int64_t) result;
}

/* The last byte must be within the limit of the size. */
int aloop__sys_ftruncate(int fd, int64_t size)
{
    int result;

    if (size < 0)
        return -EINVAL;
    if (size > 0 && limit_after(size - 1) == 0)
        return -EFBIG;
    REPEAT(result = ftruncate(fd, (off_t) size));
    return file_result(result);
}

/* The fsync() of macOS leaves the data in the cache of the disk.  Disks and
 * file systems that do not support F_FULLFSYNC refuse it with various
 * errors. */
int aloop__sys_fsync(int fd)
{
    int result;

#ifdef F_FULLFSYNC
    REPEAT(result = fcntl(fd, F_FULLFSYNC));
    if (result == 0)
        return 0;
#endif
    REPEAT(result = fsync(fd));
    return file_result(result);
}

/* Where fsync() is not enough, fdatasync() is not either. */
int aloop__sys_fdatasync(int fd)
{
#if defined(F_FULLFSYNC) || defined(__DragonFly__)
    return aloop__sys_fsync(fd);
#else
    int result;

    REPEAT(result = fdatasync(fd));
    return file_result(result);
#endif
}
