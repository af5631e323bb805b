/* Opens files beneath a directory, for the HTTP server. */

#ifndef EXAMPLES_HTTPD_OPEN_H
#define EXAMPLES_HTTPD_OPEN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef PATH_MAX
enum { HTTPD_PATH_MAX = PATH_MAX };
#else
enum { HTTPD_PATH_MAX = 4096 };
#endif

enum { HTTPD_KNOWN_MAX = 16384 };

struct httpd_root {
    int fd;
    /* Hashes of names that were regular files of the root's file system, which
     * can be asked what is cached.  Threads share them. */
    _Atomic uint32_t known[HTTPD_KNOWN_MAX];
    char path[HTTPD_PATH_MAX]; /* Absolute, without symbolic links. */
    bool is_open;              /* Links may lead out of it. */
};

/* Opens a file or a directory for reading.  `name` is relative and has no "..";
 * "" is the root.  It may block.  FIFOs, devices and sockets are not opened,
 * because that can have effects: the error is -ENXIO.  Returns a descriptor or
 * a negated errno. */
int httpd_open_beneath(struct httpd_root *root, const char *name);

/* Does the same for a name that was a regular file before, of the file system
 * of the root.  It fails with -EAGAIN if it might block, or if links have to be
 * followed, or if the system cannot find out. */
int httpd_open_cached(struct httpd_root *root, const char *name);

/* Reads `size` bytes from the beginning of a file.  If `is_cached`, it fails
 * with -EAGAIN if it might block.  Returns the number of bytes, which is less
 * at the end of the file, or a negated errno. */
ssize_t httpd_read_start(int fd, void *buffer, size_t size, bool is_cached);

/* Returns whether a part of a file can be read without waiting for the disk.
 * It is not if the system cannot find out, or if the file is shorter. */
bool httpd_is_cached(int fd, int64_t offset, int64_t size);

#endif
