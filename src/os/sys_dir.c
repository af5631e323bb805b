/* Directories of the real system, and its random numbers.
 *
 * A directory is read by readdir() with the DIR of libc, one entry at a time.
 * Its owner uses it on one thread at a time; then readdir() is safe
 * (readdir(3)). */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "os/file_tools.h"

/* A struct sys_dir is a DIR. */
static DIR *dir_of(const struct sys_dir *dir)
{
    return (DIR *) (void *) dir;
}

/* fdopendir() takes the descriptor over only if it succeeds. */
int aloop__sys_dir_open(int fd, struct sys_dir **ret)
{
    DIR *dir = fdopendir(fd);

    if (dir == NULL) {
        int error = -errno;

        close(fd);
        return error;
    }
    *ret = (struct sys_dir *) (void *) dir;
    return 0;
}

int aloop__sys_dir_fd(const struct sys_dir *dir)
{
    return dirfd(dir_of(dir));
}

/* Returns the type that the entry itself has.  File systems that do not store
 * it there give DT_UNKNOWN, and some systems have no such field. */
static aloop_file_type entry_type(const struct dirent *entry)
{
#ifdef DT_UNKNOWN
    static const aloop_file_type types[] = {
        [DT_REG] = ALOOP_FILE_REGULAR, [DT_DIR] = ALOOP_FILE_DIRECTORY,
        [DT_LNK] = ALOOP_FILE_LINK,    [DT_FIFO] = ALOOP_FILE_FIFO,
        [DT_SOCK] = ALOOP_FILE_SOCKET, [DT_CHR] = ALOOP_FILE_CHARACTER,
        [DT_BLK] = ALOOP_FILE_BLOCK,
    };

    if (entry->d_type < sizeof types / sizeof types[0])
        return types[entry->d_type];
#else
    (void) entry;
#endif
    return ALOOP_FILE_UNKNOWN;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* readdir() reports the end and an error in the same way, so that errno must be
 * 0 before the call (readdir(3)).  A name that does not fit is an error: a cut
 * name would be that of another file. */
int aloop__sys_dir_read(struct sys_dir *dir, struct sys_dir_entry *ret)
{
    const struct dirent *entry;
    size_t length;

    do {
        errno = 0;
        entry = readdir(dir_of(dir));
    } while (entry != NULL ? is_dots(entry->d_name) : errno == EINTR);
    if (entry == NULL)
        return -errno;
    length = strlen(entry->d_name);
    if (length >= SYS_NAME_MAX)
        return -ENAMETOOLONG;
    ret->type = entry_type(entry);
    ret->inode = (uint64_t) entry->d_ino;
    memcpy(ret->name, entry->d_name, length + 1);
    return 1;
}

void aloop__sys_dir_rewind(struct sys_dir *dir)
{
    rewinddir(dir_of(dir));
}

void aloop__sys_dir_close(struct sys_dir *dir)
{
    closedir(dir_of(dir));
}

/* Some systems take a lock to close it, which the thread may have held.  There
 * the memory is lost. */
void aloop__sys_dir_forget(struct sys_dir *dir)
{
#ifdef __linux__
    closedir(dir_of(dir));
#else
    close(dirfd(dir_of(dir)));
#endif
}

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || \
    defined(__OpenBSD__) || defined(__DragonFly__)

int aloop__sys_random(void *buffer, size_t size)
{
    arc4random_buf(buffer, size);
    return 0;
}

#else

/* Reads from `fd` or, if it is negative, from the kernel.  Returns how many
 * bytes were written, which may be less than `size`. */
static ssize_t read_random(int fd, void *buffer, size_t size)
{
    ssize_t count;

    if (fd >= 0)
        return aloop__sys_read(fd, buffer, size);
    errno = ENOSYS;
#ifdef SYS_getrandom
    REPEAT(count = syscall(SYS_getrandom, buffer, size, 0));
#else
    count = -1;
#endif
    return count < 0 ? -errno : count;
}

/* A signal or the limit of one call ends a call early; the rest is asked for
 * again. */
static int fill_random(int fd, unsigned char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t count = read_random(fd, buffer, size);

        if (count <= 0)
            return count < 0 ? (int) count : -EIO;
        buffer += count;
        size -= (size_t) count;
    }
    return 0;
}

/* Older kernels, filters and emulators refuse getrandom(). */
int aloop__sys_random(void *buffer, size_t size)
{
    int error = fill_random(-1, buffer, size), fd;

    if (error == 0)
        return 0;
    fd = aloop__sys_openat(SYS_CWD, "/dev/urandom", O_RDONLY, 0);
    if (fd < 0)
        return fd;
    error = fill_random(fd, buffer, size);
    close(fd);
    return error;
}

#endif
