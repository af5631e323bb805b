/* The part of the seam that is about files; see sys.h for its rules.
 *
 * Most of these calls can block for a long time, so that they belong on a
 * thread of the pool; those that cannot are named *_cached.  Descriptors that
 * are opened here are blocking, unless the flags contain O_NONBLOCK.
 *
 * Calls that change the size of a file must be made on a thread that blocks
 * all signals, as those of the pool do: with RLIMIT_FSIZE the kernel sends
 * SIGXFSZ to the thread, and the call returns -EFBIG.
 *
 * `dir` is an open directory, or SYS_CWD: a relative `path` begins there.
 * Offsets and sizes of files are not negative; otherwise the result is -EINVAL.
 * One call transfers at most SYS_TRANSFER_MAX bytes, because some systems
 * refuse more, and at most SYS_PIECES_MAX pieces.  Results that are written
 * through pointers are valid only after a success. */

#ifndef ALOOP_OS_SYS_FILE_H
#define ALOOP_OS_SYS_FILE_H

#include <fcntl.h>  /* O_* */
#include <unistd.h> /* F_OK, R_OK, W_OK, X_OK */

#include "aloop/stat.h"
#include "os/sys.h"

enum { SYS_CWD = -100, SYS_TRANSFER_MAX = 1 << 30, SYS_PATH_MAX = 4096 };

/* sys_file.c, sys_file_cached.c: descriptors. */

/* The flags are the system's O_*.  O_CLOEXEC is added, and O_NOCTTY, so that no
 * terminal becomes the controlling one of the process. */
int aloop__sys_openat(int dir, const char *path, int flags, unsigned mode);
/* sys_file_flags.c: opens a directory for reading.  If it is not followed, a
 * symbolic link is an error. */
int aloop__sys_open_directory(int dir, const char *path, bool is_followed);
/* Opens without waiting for a disk: openat2() with RESOLVE_CACHED, and
 * O_NONBLOCK, which stays set.  Returns -EAGAIN if the path is not cached, and
 * another error where that is refused or does not exist (ENOSYS, EPERM, ...).
 * -ENOENT is final.  Files of servers (FUSE, NFS) may block nevertheless. */
int aloop__sys_open_cached(const char *path, int flags);
/* Does the same, but crosses no mount point on its way from the working
 * directory or the root directory (RESOLVE_NO_XDEV). */
int aloop__sys_open_near_cached(const char *path, int flags);
/* Like aloop__sys_open_cached(), but only looks the name up (O_PATH), so that
 * no driver and no server is asked.  The result is only good for
 * aloop__sys_fstat_cached() and aloop__sys_close(). */
int aloop__sys_look_up_cached(const char *path);
/* Returns the status flags (O_APPEND, O_DIRECT, access mode) of a
 * descriptor. */
int aloop__sys_file_flags(int fd);
/* sys_file_flags.c: returns whether these flags contain O_DIRECT. */
bool aloop__sys_file_is_direct(int flags);
/* Returns whether flags open a file for reading, and ask for nothing else that
 * has an effect. */
bool aloop__sys_file_only_reads(int flags);
/* Sets or clears O_NONBLOCK. */
int aloop__sys_file_set_blocking(int fd, bool is_blocking);

/* The same files: data.  Short counts are normal, 0 is the end of the file.
 * The data of the pieces are written to by reads. */

ssize_t aloop__sys_preadv(int fd, const struct sys_piece *pieces, size_t count,
                          int64_t offset);
ssize_t aloop__sys_pwritev(int fd, const struct sys_piece *pieces, size_t count,
                           int64_t offset);
/* For files that have no position, such as FIFOs and terminals.  May return
 * -EAGAIN if the descriptor does not block.  A write never raises SIGPIPE. */
ssize_t aloop__sys_read(int fd, void *buffer, size_t size);
ssize_t aloop__sys_writev(int fd, const struct sys_piece *pieces, size_t count);
/* Reads what is in the page cache: preadv2() with RWF_NOWAIT.  Returns -EAGAIN
 * if the first byte is not, or if a signal has interrupted it, and another
 * error where the file system does not support that.  A count that is less than
 * `size` is not the end of the file; 0 is. */
ssize_t aloop__sys_pread_cached(int fd, void *buffer, size_t size,
                                int64_t offset);
/* Returns whether the kernel is known to return wrong counts from
 * aloop__sys_pread_cached() (Linux 5.9 and 5.10), or has no such call. */
bool aloop__sys_pread_cached_is_broken(void);
/* Returns whether the file is on a file system that keeps its files in memory
 * or in the swap area, and nowhere else (tmpfs).  The call may block. */
bool aloop__sys_is_in_memory(int fd);
/* Returns 1 if the mount is one of a local disk whose file system supports
 * aloop__sys_pread_cached(), and 0 if it may not be.  Returns an error where
 * the kernel has no such call (before Linux 6.8), or forbids it.  It does not
 * wait for a disk or a server. */
int aloop__sys_mount_is_local(uint64_t mount);
/* Returns 0 if the page cache has bytes of the file that are still to be
 * written to the disk, and else 1.  Returns an error where the kernel has no
 * such call (before Linux 6.5), or forbids it, as for a file of another user.
 * The call does not wait, but takes time for each page. */
int aloop__sys_is_written(int fd);
/* The same as aloop__sys_pread_cached(), but for these file systems, which do
 * not support that call.  Returns -EAGAIN if the swap area has a part. */
ssize_t aloop__sys_pread_memory(int fd, void *buffer, size_t size,
                                int64_t offset);

enum sys_seek {
    SYS_SEEK_CURRENT,
    SYS_SEEK_END,
    SYS_SEEK_DATA,
    SYS_SEEK_HOLE,
    SYS_SEEK_START
};

/* Returns the offset.  -ENXIO means that there is no more data.  -EINVAL means
 * that the file does not know, -ESPIPE that it has no position. */
int64_t aloop__sys_seek(int fd, int64_t offset, enum sys_seek how);
int aloop__sys_ftruncate(int fd, int64_t size);
/* Writes the file to the disk: with its attributes, or only what is needed to
 * read the data back. */
int aloop__sys_fsync(int fd);
int aloop__sys_fdatasync(int fd);
/* Shares the blocks of `from` with the empty file `to` (a reflink).  Returns
 * -EOPNOTSUPP, -EXDEV and others where that is impossible. */
int aloop__sys_clone(int from, int to);
/* Copies inside the kernel.  Returns the count.  Any error, and 0, means only
 * that another way has to be tried. */
ssize_t aloop__sys_copy_range(int from, int64_t from_offset, int to,
                              int64_t to_offset, size_t size);

/* sys_file_path.c: attributes. */

int aloop__sys_fstat(int fd, aloop_stat *ret);
/* Takes what is known without asking a server (statx with AT_STATX_DONT_SYNC),
 * and returns -ENOSYS where there is no such call.  *ret_mount is the number of
 * the mount, which no later one gets, or 0 if it is unknown (before Linux
 * 6.8).  A descriptor of SYS_CWD is the working directory.  Of one without a
 * type, only that is found where the call is refused. */
int aloop__sys_fstat_cached(int fd, aloop_stat *ret, uint64_t *ret_mount);
int aloop__sys_statat(int dir, const char *path, bool is_followed,
                      aloop_stat *ret);
int aloop__sys_statvfs(const char *path, aloop_statvfs *ret);
int aloop__sys_accessat(int dir, const char *path, int mode); /* R_OK, ... */
int aloop__sys_fchmod(int fd, unsigned mode);
int aloop__sys_chmodat(int dir, const char *path, unsigned mode);
/* An id of UINT32_MAX is left as it is. */
int aloop__sys_fchown(int fd, uint32_t user, uint32_t group);
int aloop__sys_chownat(int dir, const char *path, uint32_t user, uint32_t group,
                       bool is_followed);
/* A time of INT64_MIN is left as it is. */
int aloop__sys_futimens(int fd, int64_t accessed_ns, int64_t modified_ns);
int aloop__sys_utimensat(int dir, const char *path, int64_t accessed_ns,
                         int64_t modified_ns, bool is_followed);

/* sys_file_path.c: names. */

int aloop__sys_unlinkat(int dir, const char *path);
int aloop__sys_rmdirat(int dir, const char *path);
int aloop__sys_renameat(int from_dir, const char *from, int to_dir,
                        const char *to);
int aloop__sys_linkat(int from_dir, const char *from, int to_dir,
                      const char *to);
int aloop__sys_symlinkat(const char *target, int dir, const char *path);
/* Returns the length, without a terminating zero.  A result of `size` may have
 * been cut. */
ssize_t aloop__sys_readlinkat(int dir, const char *path, char *buffer,
                              size_t size);
/* Writes an absolute path without links, "." and "..", with its zero. */
int aloop__sys_realpath(const char *path, char ret[SYS_PATH_MAX]);
int aloop__sys_mkdirat(int dir, const char *path, unsigned mode);

/* sys_dir.c: directories. */

struct sys_dir;

enum { SYS_NAME_MAX = 1024 }; /* Bytes of a file name, with its zero. */

struct sys_dir_entry {
    aloop_file_type type; /* ALOOP_FILE_UNKNOWN where it costs another call. */
    uint64_t inode;
    char name[SYS_NAME_MAX];
};

/* Takes over the descriptor of a directory; after an error it is closed. */
int aloop__sys_dir_open(int fd, struct sys_dir **ret);
int aloop__sys_dir_fd(const struct sys_dir *dir);
/* Returns 1 for an entry and 0 at the end, and leaves "." and ".." out. */
int aloop__sys_dir_read(struct sys_dir *dir, struct sys_dir_entry *ret);
/* Begins again at the first entry. */
void aloop__sys_dir_rewind(struct sys_dir *dir);
void aloop__sys_dir_close(struct sys_dir *dir);
/* Closes a directory in a forked child.  A thread of the parent may have been
 * reading it. */
void aloop__sys_dir_forget(struct sys_dir *dir);

/* sys_dir.c: fills the buffer with unpredictable bytes, for the names of
 * temporary files. */
int aloop__sys_random(void *buffer, size_t size);

#endif
