/* Operations on names of files.
 *
 * Each function does its work on a thread, so that the loop is not blocked.  If
 * there is a system call that does the same, the first sentence names it.  What
 * holds for all of them:
 *
 *   paths     are copied, so that they need not outlive the call.  A relative
 *             path begins in the working directory of the process at the time
 *             when the thread uses it.
 *   Errors    ALOOP_EINVAL: an argument is NULL or out of range;
 *             ALOOP_ENAMETOOLONG: a path has 4096 bytes or more, or a part of
 *             it more than the file system permits;
 *             ALOOP_ENOENT: no such file, or the path is empty;
 *             ALOOP_ENOTDIR: a part of the path is not a directory;
 *             ALOOP_EACCES, ALOOP_EPERM: not permitted;
 *             ALOOP_ELOOP: too many symbolic links;
 *             ALOOP_EROFS: the file system is read-only;
 *             ALOOP_ENOSPC, ALOOP_EDQUOT: no space is left for a new name;
 *             ALOOP_EIO: the device failed;
 *             ALOOP_ENOMEM: out of memory;
 *             ALOOP_ECANCELED: cancelled before a thread had begun;
 *             ALOOP_EAGAIN: no thread could be started.
 *   cancel    takes effect until a thread begins.  After that the operation
 *             settles with its own status, so that the caller always learns
 *             what has happened.
 *   result    is written through `ret_` when the future settles, so the memory
 *             behind it must exist until then.  If the future is dropped before
 *             that, nothing is written, and what the operation has opened or
 *             allocated is closed or freed.  If it is dropped later, these are
 *             the caller's.
 *   order     operations run side by side.  Await one before starting another
 *             that depends on it. */

#ifndef ALOOP_FS_H
#define ALOOP_FS_H

#include "aloop/base.h"
#include "aloop/stat.h"

ALOOP_BEGIN

/**
 * Describes the file that a path names, as stat(2) does.
 *
 * The file is not opened, so that record locks of the process stay.
 *
 * Status:  0.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_stat(aloop *loop, const char *path,
                                      aloop_stat *ret_stat);

/**
 * Describes a symbolic link itself, as lstat(2) does.
 *
 * Status:  0.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_lstat(aloop *loop, const char *path,
                                       aloop_stat *ret_stat);

/**
 * Describes the file system of a path, as statvfs(3) does.
 *
 * Status:  0.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_statvfs(aloop *loop, const char *path,
                                         aloop_statvfs *ret_statvfs);

/**
 * Checks what the process may do with a file, as access(2) does.
 *
 * `mode` is F_OK, or a combination of R_OK, W_OK and X_OK, of <unistd.h>.  The
 * check is by the real user, not the effective one.  Opening the file and
 * looking at the error is safer, because the answer may change at any time.
 *
 * Status:  0.
 * Errors:  ALOOP_EACCES: not permitted;
 *          ALOOP_ETXTBSY: writing to a program that runs.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_access(aloop *loop, const char *path,
                                        int mode);

/**
 * Removes the name of a file, as unlink(2) does.
 *
 * A symbolic link is removed itself.
 *
 * Status:  0.
 * Errors:  ALOOP_EISDIR: it is a directory, also where the system reports
 *          EPERM for that;
 *          ALOOP_EBUSY: the system uses the file.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_unlink(aloop *loop, const char *path);

/**
 * Renames a file or a directory, as rename(2) does.
 *
 * An existing file `to` is replaced in one step.  The change is durable only
 * after an fsync of the directory; see fsync(2).
 *
 * Status:  0.
 * Errors:  ALOOP_EXDEV: the two are on different file systems;
 *          ALOOP_ENOTEMPTY, ALOOP_EEXIST: `to` is a directory that is not
 *          empty;
 *          ALOOP_EISDIR, ALOOP_ENOTDIR: only one of the two is a directory;
 *          ALOOP_EINVAL: `to` is inside of the directory `from`;
 *          ALOOP_EBUSY: the system uses one of the two;
 *          ALOOP_EMLINK: the new parent has too many directories.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_rename(aloop *loop, const char *from,
                                        const char *to);

/**
 * Gives the file `target` one more name, `path`, as link(2) does.
 *
 * Status:  0.
 * Errors:  ALOOP_EEXIST: `path` exists;
 *          ALOOP_EXDEV: the two are on different file systems;
 *          ALOOP_EPERM: the file is a directory, or the file system has no
 *          links;
 *          ALOOP_EMLINK: the file has too many names.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_link(aloop *loop, const char *target,
                                      const char *path);

/**
 * Makes `path` a symbolic link to `target`, as symlink(2) does.
 *
 * `target` need not exist.
 *
 * Status:  0.
 * Errors:  ALOOP_EEXIST: `path` exists.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_symlink(aloop *loop, const char *target,
                                         const char *path);

/**
 * Reads where a symbolic link leads, as readlink(2) does.
 *
 * The text ends with a zero.
 *
 * Status:  the length of the text, without the zero.
 * Errors:  ALOOP_EINVAL: it is not a symbolic link, or `size` is 0;
 *          ALOOP_ENOSPC: the text does not fit into `size` bytes.
 * Memory:  borrows `ret_text` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_readlink(aloop *loop, const char *path,
                                          char *ret_text, size_t size);

/**
 * Writes the absolute path of a file without links, as realpath(3) does.
 *
 * Status:  the length of the path, without the final zero; at most 4095.
 * Errors:  ALOOP_ENOSPC: the path does not fit into `size` bytes.
 * Memory:  borrows `ret_path` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_realpath(aloop *loop, const char *path,
                                          char *ret_path, size_t size);

/**
 * Makes a directory, as mkdir(2) does.
 *
 * `mode` is limited by the umask of the process.
 *
 * Status:  0.
 * Errors:  ALOOP_EEXIST: `path` exists, as a directory or as something else;
 *          ALOOP_EMLINK: the parent has too many directories.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_mkdir(aloop *loop, const char *path,
                                       unsigned mode);

/**
 * Makes a directory and all that lead to it, as `mkdir -p` does.
 *
 * Directories that exist are left as they are, also if other processes make
 * them at the same time.  After a failure the ones that were made stay.  All
 * get `mode`, and those that lead to `path` also get the permissions of the
 * owner to write and to search.  The umask limits both.
 *
 * Status:  the number of directories that were made.
 * Errors:  ALOOP_EEXIST: `path` exists and is not a directory;
 *          ALOOP_ENOTDIR: a part of `path` exists and is not a directory;
 *          ALOOP_ENOENT: a part of `path` was removed meanwhile;
 *          others: see aloop_fs_mkdir().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_mkdir_all(aloop *loop, const char *path,
                                           unsigned mode);

/**
 * Removes an empty directory, as rmdir(2) does.
 *
 * Status:  0.
 * Errors:  ALOOP_ENOTEMPTY: it is not empty, also where the system reports
 *          EEXIST for that;
 *          ALOOP_EINVAL: `path` ends in ".";
 *          ALOOP_EBUSY: it is in use, for example as a mount point.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_rmdir(aloop *loop, const char *path);

/**
 * Removes a file, or a directory with all that is in it.
 *
 * No symbolic link is followed out of the tree, also if other processes replace
 * directories by links at the same time.  Trees of any depth take only a few
 * descriptors.  A cancel, or a failure, ends it in the middle.  Names that are
 * added meanwhile are removed, too, within limits.
 *
 * Status:  the number of names that were removed.
 * Errors:  ALOOP_ENOENT: there is no such file;
 *          ALOOP_EBUSY: a mount point is in the tree, or another process has
 *          moved or removed a directory that is being left;
 *          ALOOP_ENOTEMPTY: names are added faster than they are removed;
 *          ALOOP_EINVAL: the path ends in "." or "..", or is "/";
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          others: see the top of this file.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_remove_all(aloop *loop, const char *path);

ALOOP_END

#endif
