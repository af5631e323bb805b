/* Calls for files that only some systems have: those that do not wait for a
 * disk, and copying inside the kernel.
 *
 * They are made by number, because older C libraries do not have them or
 * replace their errors.  Each returns an error where it does not exist, and its
 * caller then takes another way. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "os/descriptor.h"
#include "os/file_tools.h"

#ifdef __linux__

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* The headers of older systems do not have these. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#endif
enum { NOT_WAITING = 8 };        /* RWF_NOWAIT */
enum { ONLY_CACHED = 0x20 };     /* RESOLVE_CACHED */
enum { ONE_MOUNT = 0x01 };       /* RESOLVE_NO_XDEV */
enum { DONT_SYNC = 0x4000 };     /* AT_STATX_DONT_SYNC */
enum { UNIQUE_MOUNT = 0x4000 };  /* STATX_MNT_ID_UNIQUE */
enum { MOUNT_AT = 0x90 };        /* Of stx_mnt_id in struct statx. */
enum { SUPER_BLOCK = 0x01 };     /* STATMOUNT_SB_BASIC */
enum { TMPFS = 0x01021994 };     /* TMPFS_MAGIC */
#define CLONE _IOW(0x94, 9, int) /* FICLONE */

/* The argument of openat2(). */
struct open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

/* The arguments of cachestat(). */
struct cache_range {
    uint64_t offset;
    uint64_t size;
};

struct cache_pages {
    uint64_t cached;
    uint64_t dirty;
    uint64_t in_writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

/* The arguments of statmount(). */
struct mount_query {
    uint32_t size;
    uint32_t unused;
    uint64_t mount;
    uint64_t wanted;
};

struct mount_answer {
    uint32_t size;
    uint32_t options;
    uint64_t found; /* The bit SUPER_BLOCK if there is a type. */
    uint32_t device_major;
    uint32_t device_minor;
    uint64_t type;
};

/* openat2() with RESOLVE_CACHED, which Linux has since version 5.12. */
static int open_known(const char *path, int flags, unsigned resolve)
{
    struct open_how how = {.flags = (unsigned) flags,
                           .resolve = ONLY_CACHED | resolve};
    long fd;

    REPEAT(fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
    return file_result(aloop__above_standard((int) fd));
}

int aloop__sys_open_cached(const char *path, int flags)
{
    return open_known(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
}

int aloop__sys_open_near_cached(const char *path, int flags)
{
    return open_known(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
                      ONE_MOUNT);
}

int aloop__sys_look_up_cached(const char *path)
{
    return open_known(path, O_PATH | O_CLOEXEC, 0);
}

/* The call does not write to errno, because this is a hot path, and is not
 * repeated after an interruption, so that it saves no registers: it does not
 * wait, so that a signal should not interrupt it. */
ssize_t aloop__sys_pread_cached(int fd, void *buffer, size_t size,
                                int64_t offset)
{
    struct iovec vector = {buffer, size};
    long count;

    if (offset < 0)
        return -EINVAL;
    /* The offset is passed as two numbers.  The second one has an effect only
     * where a number has 32 bits. */
    count = syscall(SYS_preadv2, fd, &vector, 1L, (long) offset,
                    (long) (offset >> 32), NOT_WAITING);
    if (count >= 0)
        return count;
    return errno == EINTR ? -EAGAIN : -errno;
}

bool aloop__sys_is_in_memory(int fd)
{
    struct statfs found;
    int result;

    REPEAT(result = fstatfs(fd, &found));
    return result == 0 && (unsigned long) found.f_type == TMPFS;
}

/* statmount(), which Linux has since version 6.8, copies what the kernel notes
 * of each mount, and calls no file system, as fstatfs() would.  It takes the
 * lock of the table of mounts, which no task holds while it waits for a disk or
 * a server.  (A reader of /proc/self/mountinfo holds it together with others.)
 *
 * The types are those of ext2 to ext4, xfs and btrfs. */
int aloop__sys_mount_is_local(uint64_t mount)
{
    static const uint64_t types[] = {0xef53, 0x58465342, 0x9123683e};
    struct mount_query query = {.size = sizeof query,
                                .mount = mount,
                                .wanted = SUPER_BLOCK};
    struct mount_answer answer;

    if (syscall(SYS_statmount, &query, &answer, sizeof answer, 0) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if ((answer.found & SUPER_BLOCK) != 0 && answer.type == types[i])
            return 1;
    return 0;
}

/* cachestat(), which Linux has since version 6.5; the range of size 0 is the
 * whole file. */
int aloop__sys_is_written(int fd)
{
    struct cache_range range = {0, 0};
    struct cache_pages pages;

    if (syscall(SYS_cachestat, fd, &range, &pages, 0) < 0)
        return -errno;
    return pages.dirty == 0;
}

/* cachestat() counts pages in the swap area
 * as evicted.  Holes, and what is behind the end, are not counted. */
ssize_t aloop__sys_pread_memory(int fd, void *buffer, size_t size,
                                int64_t offset)
{
    struct cache_range range = {(uint64_t) offset, size};
    struct cache_pages pages;
    ssize_t count;

    if (offset < 0)
        return -EINVAL;
    if (size > SYS_TRANSFER_MAX)
        range.size = SYS_TRANSFER_MAX;
    if (syscall(SYS_cachestat, fd, &range, &pages, 0) < 0)
        return -errno;
    if (pages.evicted > 0)
        return -EAGAIN;
    REPEAT(count = pread(fd, buffer, (size_t) range.size, (off_t) offset));
    return count < 0 ? -errno : count;
}

/* Returns the version of the kernel as major * 1000 + minor, or 0 if it is
 * unknown. */
static unsigned long kernel_version(void)
{
    struct utsname name;
    unsigned long major, minor;
    char *end;

    if (uname(&name) < 0)
        return 0;
    major = strtoul(name.release, &end, 10);
    if (end == name.release || *end != '.')
        return 0;
    minor = strtoul(end + 1, NULL, 10);
    return minor < 1000 ? major * 1000 + minor : 0;
}

bool aloop__sys_pread_cached_is_broken(void)
{
    unsigned long version = kernel_version();

    return version == 0 || version == 5009 || version == 5010;
}

int aloop__sys_clone(int from, int to)
{
    int result;

    REPEAT(result = ioctl(to, CLONE, from));
    return file_result(result);
}

/* Before version 5.3, the kernel copied nothing of some files and reported
 * success. */
ssize_t aloop__sys_copy_range(int from, int64_t from_offset, int to,
                              int64_t to_offset, size_t size)
{
    long count;

    if (kernel_version() < 5003)
        return -ENOSYS;
    if (size > SYS_TRANSFER_MAX)
        size = SYS_TRANSFER_MAX;
    REPEAT(count = syscall(SYS_copy_file_range, from, &from_offset, to,
                           &to_offset, size, 0));
    return count < 0 ? -errno : count;
}

#else

int aloop__sys_open_cached(const char *path, int flags)
{
    (void) path;
    (void) flags;
    return -ENOSYS;
}

int aloop__sys_open_near_cached(const char *path, int flags)
{
    (void) path;
    (void) flags;
    return -ENOSYS;
}

int aloop__sys_look_up_cached(const char *path)
{
    (void) path;
    return -ENOSYS;
}

ssize_t aloop__sys_pread_cached(int fd, void *buffer, size_t size,
                                int64_t offset)
{
    (void) fd;
    (void) buffer;
    (void) size;
    (void) offset;
    return -ENOSYS;
}

bool aloop__sys_pread_cached_is_broken(void)
{
    return true;
}

bool aloop__sys_is_in_memory(int fd)
{
    (void) fd;
    return false;
}

int aloop__sys_mount_is_local(uint64_t mount)
{
    (void) mount;
    return -ENOSYS;
}

int aloop__sys_is_written(int fd)
{
    (void) fd;
    return -ENOSYS;
}

ssize_t aloop__sys_pread_memory(int fd, void *buffer, size_t size,
                                int64_t offset)
{
    (void) fd;
    (void) buffer;
    (void) size;
    (void) offset;
    return -ENOSYS;
}

/* The calls of macOS that share blocks create the target themselves. */
int aloop__sys_clone(int from, int to)
{
    (void) from;
    (void) to;
    return -EOPNOTSUPP;
}

ssize_t aloop__sys_copy_range(int from, int64_t from_offset, int to,
                              int64_t to_offset, size_t size)
{
#if defined(__FreeBSD_version) && __FreeBSD_version >= 1300000
    off_t from_at = (off_t) from_offset, to_at = (off_t) to_offset;
    ssize_t count;

    if (size > SYS_TRANSFER_MAX)
        size = SYS_TRANSFER_MAX;
    REPEAT(count = copy_file_range(from, &from_at, to, &to_at, size, 0));
    return count < 0 ? -errno : count;
#else
    (void) from;
    (void) from_offset;
    (void) to;
    (void) to_offset;
    (void) size;
    return -ENOSYS;
#endif
}

#endif

#if defined(__linux__) && defined(STATX_BASIC_STATS) && defined(SYS_statx)

static int64_t statx_time_ns(struct statx_timestamp time)
{
    return aloop__file_time_ns(time.tv_sec, time.tv_nsec);
}

/* Returns whether a descriptor has no type, as those of eventfd() and
 * timerfd_create(), whose names no file has.  Nothing else distinguishes them
 * from a file without asking its server. */
static bool has_no_type(int fd)
{
    static const char start[] = "anon_inode:";
    char path[32], name[sizeof start - 1];

    (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, name, sizeof name) == (ssize_t) sizeof name &&
           memcmp(name, start, sizeof name) == 0;
}

int aloop__sys_fstat_cached(int fd, aloop_stat *ret, uint64_t *ret_mount)
{
    struct statx found;
    int error;

    *ret_mount = 0;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH | DONT_SYNC,
                STATX_BASIC_STATS | UNIQUE_MOUNT, &found) < 0) {
        error = -errno;
        if (!has_no_type(fd))
            return error;
        *ret = (aloop_stat){.type = ALOOP_FILE_UNKNOWN};
        return 0;
    }
    if ((found.stx_mask & UNIQUE_MOUNT) != 0)
        memcpy(ret_mount, (const char *) &found + MOUNT_AT, sizeof *ret_mount);
    *ret = (aloop_stat){
        .type = aloop__file_type(found.stx_mode),
        .mode = found.stx_mode & 07777,
        .size = found.stx_size,
        .allocated_size = found.stx_blocks * 512,
        .device = makedev(found.stx_dev_major, found.stx_dev_minor),
        .inode = found.stx_ino,
        .links = found.stx_nlink,
        .user = found.stx_uid,
        .group = found.stx_gid,
        .accessed_ns = statx_time_ns(found.stx_atime),
        .modified_ns = statx_time_ns(found.stx_mtime),
        .changed_ns = statx_time_ns(found.stx_ctime),
    };
    return 0;
}

#else

int aloop__sys_fstat_cached(int fd, aloop_stat *ret, uint64_t *ret_mount)
{
    (void) fd;
    (void) ret;
    (void) ret_mount;
    return -ENOSYS;
}

#endif
