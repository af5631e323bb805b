/* Files of the real system: attributes and names.
 *
 * Most functions here are one call of POSIX each.  What they add:
 *
 * - a directory `dir` as the place where a relative path begins (SYS_CWD); -
 * the call is repeated after EINTR, which file systems of servers return; -
 * errors are results, and never left in errno; - types, times and sizes are
 * those of aloop/stat.h on every system. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "os/file_tools.h"

/* macOS has other names for the fields that POSIX.1-2008 defines. */
#ifdef __APPLE__
#define ACCESSED st_atimespec
#define MODIFIED st_mtimespec
#define CHANGED st_ctimespec
#else
#define ACCESSED st_atim
#define MODIFIED st_mtim
#define CHANGED st_ctim
#endif

_Static_assert(PATH_MAX <= SYS_PATH_MAX, "realpath() writes up to PATH_MAX");

/* SYS_CWD is the same number everywhere; AT_FDCWD differs between systems. */
int aloop__file_dir(int dir)
{
    return dir == SYS_CWD ? AT_FDCWD : dir;
}

/* Bits that are not in the table, such as a whiteout of BSD, are unknown. */
aloop_file_type aloop__file_type(unsigned mode)
{
    static const struct {
        unsigned bits;
        aloop_file_type type;
    } types[] = {
        {S_IFREG, ALOOP_FILE_REGULAR}, {S_IFDIR, ALOOP_FILE_DIRECTORY},
        {S_IFLNK, ALOOP_FILE_LINK},    {S_IFIFO, ALOOP_FILE_FIFO},
        {S_IFSOCK, ALOOP_FILE_SOCKET}, {S_IFCHR, ALOOP_FILE_CHARACTER},
        {S_IFBLK, ALOOP_FILE_BLOCK},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if ((mode & S_IFMT) == types[i].bits)
            return types[i].type;
    return ALOOP_FILE_UNKNOWN;
}

/* Times beyond the range of nanoseconds in 64 bits (the year 2262) saturate.
 * INT64_MIN is no result, because it means "left as it is" when times are
 * set. */
int64_t aloop__file_time_ns(int64_t seconds, int64_t nanoseconds)
{
    const int64_t seconds_max = INT64_MAX / 1000000000 - 1;

    if (seconds > seconds_max)
        return INT64_MAX;
    if (seconds < -seconds_max)
        return -INT64_MAX;
    return seconds * 1000000000 + nanoseconds;
}

static int64_t timespec_ns(struct timespec time)
{
    return aloop__file_time_ns(time.tv_sec, time.tv_nsec);
}

/* Converts what the system has found.  Blocks are units of 512 bytes, whatever
 * the block size of the file system is (stat(2)). */
static void take_status(const struct stat *status, aloop_stat *ret)
{
    *ret = (aloop_stat){
        .type = aloop__file_type(status->st_mode),
        .mode = status->st_mode & 07777,
        .size = (uint64_t) status->st_size,
        .allocated_size = (uint64_t) status->st_blocks * 512,
        .device = (uint64_t) status->st_dev,
        .inode = (uint64_t) status->st_ino,
        .links = (uint64_t) status->st_nlink,
        .user = status->st_uid,
        .group = status->st_gid,
        .accessed_ns = timespec_ns(status->ACCESSED),
        .modified_ns = timespec_ns(status->MODIFIED),
        .changed_ns = timespec_ns(status->CHANGED),
    };
}

int aloop__sys_fstat(int fd, aloop_stat *ret)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    take_status(&status, ret);
    return 0;
}

static int link_flag(bool is_followed)
{
    return is_followed ? 0 : AT_SYMLINK_NOFOLLOW;
}

int aloop__sys_statat(int dir, const char *path, bool is_followed,
                      aloop_stat *ret)
{
    struct stat status;
    int result;

    REPEAT(result = fstatat(aloop__file_dir(dir), path, &status,
                            link_flag(is_followed)));
    if (result < 0)
        return -errno;
    take_status(&status, ret);
    return 0;
}

/* Counts are in units of f_frsize, which a few file systems leave 0. */
int aloop__sys_statvfs(const char *path, aloop_statvfs *ret)
{
    struct statvfs found;
    uint64_t unit;
    int result;

    REPEAT(result = statvfs(path, &found));
    if (result < 0)
        return -errno;
    unit = found.f_frsize > 0 ? found.f_frsize : found.f_bsize;
    *ret = (aloop_statvfs){
        .size = found.f_blocks * unit,
        .free_size = found.f_bfree * unit,
        .available_size = found.f_bavail * unit,
        .files = found.f_files,
        .free_files = found.f_ffree,
        .block_size = found.f_bsize,
        .name_max = found.f_namemax,
        .is_read_only = (found.f_flag & ST_RDONLY) != 0,
    };
    return 0;
}

int aloop__sys_accessat(int dir, const char *path, int mode)
{
    int result;

    REPEAT(result = faccessat(aloop__file_dir(dir), path, mode, 0));
    return file_result(result);
}

int aloop__sys_fchmod(int fd, unsigned mode)
{
    int result;

    REPEAT(result = fchmod(fd, (mode_t) mode));
    return file_result(result);
}

int aloop__sys_chmodat(int dir, const char *path, unsigned mode)
{
    int result;

    REPEAT(result = fchmodat(aloop__file_dir(dir), path, (mode_t) mode, 0));
    return file_result(result);
}

int aloop__sys_fchown(int fd, uint32_t user, uint32_t group)
{
    int result;

    REPEAT(result = fchown(fd, (uid_t) user, (gid_t) group));
    return file_result(result);
}

int aloop__sys_chownat(int dir, const char *path, uint32_t user, uint32_t group,
                       bool is_followed)
{
    int result;

    REPEAT(result = fchownat(aloop__file_dir(dir), path, (uid_t) user,
                             (gid_t) group, link_flag(is_followed)));
    return file_result(result);
}

/* Converts a time for utimensat().  The nanoseconds are never negative, also
 * for times before 1970. */
static struct timespec file_timespec(int64_t ns)
{
    struct timespec time = {.tv_nsec = UTIME_OMIT};

    if (ns == INT64_MIN)
        return time;
    time.tv_sec = (time_t) (ns / 1000000000);
    time.tv_nsec = (long) (ns % 1000000000);
    if (time.tv_nsec < 0) {
        time.tv_sec--;
        time.tv_nsec += 1000000000;
    }
    return time;
}

int aloop__sys_futimens(int fd, int64_t accessed_ns, int64_t modified_ns)
{
    struct timespec times[] = {file_timespec(accessed_ns),
                               file_timespec(modified_ns)};
    int result;

    REPEAT(result = futimens(fd, times));
    return file_result(result);
}

int aloop__sys_utimensat(int dir, const char *path, int64_t accessed_ns,
                         int64_t modified_ns, bool is_followed)
{
    struct timespec times[] = {file_timespec(accessed_ns),
                               file_timespec(modified_ns)};
    int result;

    REPEAT(result = utimensat(aloop__file_dir(dir), path, times,
                              link_flag(is_followed)));
    return file_result(result);
}

int aloop__sys_unlinkat(int dir, const char *path)
{
    int result;

    REPEAT(result = unlinkat(aloop__file_dir(dir), path, 0));
    return file_result(result);
}

int aloop__sys_rmdirat(int dir, const char *path)
{
    int result;

    REPEAT(result = unlinkat(aloop__file_dir(dir), path, AT_REMOVEDIR));
    return file_result(result);
}

int aloop__sys_renameat(int from_dir, const char *from, int to_dir,
                        const char *to)
{
    int result;

    REPEAT(result = renameat(aloop__file_dir(from_dir), from,
                             aloop__file_dir(to_dir), to));
    return file_result(result);
}

int aloop__sys_linkat(int from_dir, const char *from, int to_dir,
                      const char *to)
{
    int result;

    REPEAT(result = linkat(aloop__file_dir(from_dir), from,
                           aloop__file_dir(to_dir), to, 0));
    return file_result(result);
}

int aloop__sys_symlinkat(const char *target, int dir, const char *path)
{
    int result;

    REPEAT(result = symlinkat(target, aloop__file_dir(dir), path));
    return file_result(result);
}

/* readlinkat() writes no terminating zero and cuts without an error
 * (readlink(2)). */
ssize_t aloop__sys_readlinkat(int dir, const char *path, char *buffer,
                              size_t size)
{
    ssize_t length;

    REPEAT(length = readlinkat(aloop__file_dir(dir), path, buffer, size));
    return length < 0 ? -errno : length;
}

/* It returns a pointer and no number, so that REPEAT does not fit. */
int aloop__sys_realpath(const char *path, char ret[SYS_PATH_MAX])
{
    char *result;

    do {
        result = realpath(path, ret);
    } while (result == NULL && errno == EINTR);
    return result == NULL ? -errno : 0;
}

int aloop__sys_mkdirat(int dir, const char *path, unsigned mode)
{
    int result;

    REPEAT(result = mkdirat(aloop__file_dir(dir), path, (mode_t) mode));
    return file_result(result);
}
