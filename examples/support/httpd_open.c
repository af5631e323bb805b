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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

/* A FIFO is opened without waiting for its other end. */
enum { OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY };

static int open_at(int directory, const char *name, int flags)
{
    int fd;

    do
        fd = openat(directory, name, OPEN_FLAGS | flags);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
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
        fd = open_at(directory, part,
                     *next == '\0' ? O_NOFOLLOW : O_NOFOLLOW | O_DIRECTORY);
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

int httpd_open_beneath(const struct httpd_root *root, const char *name)
{
    int fd;

    if (root->is_open)
        return open_at(root->fd, *name == '\0' ? "." : name, 0);
    fd = walk(root->fd, name);
    /* Systems differ in the error for a link. */
    if (fd == -ELOOP || fd == -ENOTDIR || fd == -EMLINK)
        fd = walk_resolved(root, name);
    return fd;
}

#if defined(__linux__) && defined(SYS_openat2)

/* As in <linux/openat2.h>, which older systems do not have. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

enum { NO_MAGICLINKS = 0x02, BENEATH = 0x08, CACHED = 0x20 };

int httpd_open_cached(const struct httpd_root *root, const char *name)
{
    struct how how = {
        .flags = OPEN_FLAGS,
        .resolve = root->is_open ? CACHED : CACHED | BENEATH | NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, root->fd, *name == '\0' ? "." : name, &how,
                      sizeof how);

    if (fd >= 0)
        return (int) fd;
    /* A name that does not exist needs no second look. */
    return errno == ENOENT ? -ENOENT : -EAGAIN;
}

#else

int httpd_open_cached(const struct httpd_root *root, const char *name)
{
    (void) root;
    (void) name;
    return -EAGAIN;
}

#endif

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
