/* Opens files beneath a directory.
 *
 * The portable way opens one directory after the other, and follows no link, so
 * that a name that changes meanwhile cannot lead out of the root.  If there is
 * a link, realpath() finds the name behind it, which is then opened in the same
 * way.  Linux has one call for all of that. */

#ifdef __linux__
#define _GNU_SOURCE
#endif
#define _XOPEN_SOURCE 700 /* POSIX.1-2008, with realpath(). */
#define _DARWIN_C_SOURCE  /* For O_NOFOLLOW. */
#define _NETBSD_SOURCE

#include "httpd_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

/* If a FIFO has replaced a file, it is opened without waiting for its other
 * end. */
enum { OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY };

static int open_at(int directory, const char *name, int flags)
{
    int fd;

    do
        fd = openat(directory, name, OPEN_FLAGS | flags);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* Opens what the name leads to, if it is a file or a directory. */
static int open_file(int directory, const char *name, int flags)
{
    int follow = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
    struct stat stat;

    if (fstatat(directory, name, &stat, follow) < 0)
        return -errno;
    if (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode) &&
        !S_ISLNK(stat.st_mode))
        return -ENXIO;
    return open_at(directory, name, flags);
}

/* Opens one directory after the other, without following links. */
static int walk(int root, const char *name)
{
    int directory = root;

    for (;;) {
        char part[256];
        size_t size = strcspn(name, "/");
        const char *next = name + size + strspn(name + size, "/");
        int fd;

        if (size >= sizeof part)
            return -ENAMETOOLONG;
        memcpy(part, size > 0 ? name : ".", size > 0 ? size : 1);
        part[size > 0 ? size : 1] = '\0';
        fd = *next == '\0' ? open_file(directory, part, O_NOFOLLOW)
                           : open_at(directory, part, O_NOFOLLOW | O_DIRECTORY);
        if (directory != root)
            close(directory);
        if (fd < 0 || *next == '\0')
            return fd;
        directory = fd;
        name = next;
    }
}

/* Finds the name behind the links, and opens it if it is beneath the root. */
static int walk_resolved(const struct httpd_root *root, const char *name)
{
    size_t root_size = strlen(root->path), size = root_size + strlen(name) + 2;
    char *full = malloc(size), resolved[HTTPD_PATH_MAX];
    int result = -ENOENT;

    if (full == NULL)
        return -ENOMEM;
    snprintf(full, size, "%s/%s", root->path, name);
    if (realpath(full, resolved) == NULL)
        result = -errno;
    else if (root_size == 1)
        result = walk(root->fd, resolved + 1);
    else if (strncmp(resolved, root->path, root_size) == 0 &&
             (resolved[root_size] == '/' || resolved[root_size] == '\0'))
        result =
            walk(root->fd, resolved + root_size + (resolved[root_size] == '/'));
    free(full);
    return result;
}

static ssize_t read_at(int fd, void *buffer, size_t size, int64_t offset,
                       bool is_cached)
{
#if defined(__linux__) && defined(RWF_NOWAIT)
    struct iovec part = {buffer, size};

    if (is_cached)
        return preadv2(fd, &part, 1, (off_t) offset, RWF_NOWAIT);
#else
    if (is_cached) {
        errno = EAGAIN;
        return -1;
    }
#endif
    return pread(fd, buffer, size, (off_t) offset);
}

/* Returns where root->known has a name, and its hash (FNV-1a), which is not 0:
 * that is an empty place. */
static _Atomic uint32_t *place_of(struct httpd_root *root, const char *name,
                                  uint32_t *ret_hash)
{
    uint64_t hash = 14695981039346656037u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char) *name) * 1099511628211u;
    *ret_hash = (uint32_t) hash | 1;
    return &root->known[(hash >> 32) % HTTPD_KNOWN_MAX];
}

/* Notes whether httpd_open_cached() may open the name.  The root is asked, too,
 * because a file system may be mounted on the way to the file. */
static void learn(struct httpd_root *root, const char *name, int fd)
{
    uint32_t hash;
    _Atomic uint32_t *place = place_of(root, name, &hash);
    struct stat stat, root_stat;
    char byte;

    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
        fstat(root->fd, &root_stat) == 0 && root_stat.st_dev == stat.st_dev &&
        (read_at(fd, &byte, 1, 0, true) >= 0 || errno == EAGAIN))
        atomic_store_explicit(place, hash, memory_order_relaxed);
}

int httpd_open_beneath(struct httpd_root *root, const char *name)
{
    int fd;

    if (root->is_open) {
        fd = open_file(root->fd, *name == '\0' ? "." : name, 0);
    } else {
        fd = walk(root->fd, name);
        /* Systems differ in the error for a link. */
        if (fd == -ELOOP || fd == -ENOTDIR || fd == -EMLINK)
            fd = walk_resolved(root, name);
    }
    if (fd >= 0)
        learn(root, name, fd);
    return fd;
}

#if defined(__linux__) && defined(SYS_openat2)

/* As in <linux/openat2.h>, which older systems do not have. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

enum { NO_XDEV = 0x01, NO_MAGICLINKS = 0x02, BENEATH = 0x08, CACHED = 0x20 };

/* Nothing is opened of a file system that was mounted after the name was
 * learnt, because its server may be slow. */
int httpd_open_cached(struct httpd_root *root, const char *name)
{
    uint32_t hash;
    _Atomic uint32_t *place = place_of(root, name, &hash);
    bool is_known = atomic_load_explicit(place, memory_order_relaxed) == hash;
    /* Other names are only looked up. */
    struct how how = {.flags = is_known ? OPEN_FLAGS : O_PATH | O_CLOEXEC,
                      .resolve = CACHED | (is_known ? NO_XDEV : 0) |
                                 (root->is_open ? 0 : BENEATH | NO_MAGICLINKS)};
    long fd = syscall(SYS_openat2, root->fd, *name == '\0' ? "." : name, &how,
                      sizeof how);

    if (fd >= 0 && is_known)
        return (int) fd;
    if (fd >= 0)
        close((int) fd);
    /* A name that does not exist needs no second look. */
    return fd < 0 && errno == ENOENT ? -ENOENT : -EAGAIN;
}

#else

int httpd_open_cached(struct httpd_root *root, const char *name)
{
    (void) root;
    (void) name;
    return -EAGAIN;
}

#endif

ssize_t httpd_read_start(int fd, void *buffer, size_t size, bool is_cached)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read_at(fd, (char *) buffer + done, size - done,
                            (int64_t) done, is_cached);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return is_cached ? -EAGAIN : -errno;
        if (n == 0 && is_cached) /* Linux 5.9 and 5.10 report a false end. */
            return -EAGAIN;
        if (n == 0)
            break;
        done += (size_t) n;
    }
    return (ssize_t) done;
}

/* Each read looks at the last byte of a page and at the first one of the next
 * page. */
bool httpd_is_cached(int fd, int64_t offset, int64_t size)
{
    enum { PAGE = 4096 };
    int64_t end = offset + size;

    while (offset < end) {
        int64_t next = offset - offset % PAGE + PAGE;
        bool has_next = next < end;
        char bytes[2];
        ssize_t n;

        do
            n = read_at(fd, bytes, has_next ? 2 : 1,
                        has_next ? next - 1 : end - 1, true);
        while (n < 0 && errno == EINTR);
        if (n != (has_next ? 2 : 1))
            return false;
        offset = next + PAGE;
    }
    return true;
}
