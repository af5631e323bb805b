/* Whole files: reading, writing and replacing, and temporary files.
 *
 * The rules at the top of aloop/fs.h hold.  A thread that transfers data looks
 * for a cancel before each piece of at most 8 MiB.  If there is one, the
 * operation ends with ALOOP_ECANCELED.
 *
 * FIFOs, terminals and other devices that may never end occupy no thread while
 * they are not ready, and a cancel then takes effect immediately.  If the
 * process forks meanwhile, both processes continue the operation. */

#ifndef ALOOP_FS_DATA_H
#define ALOOP_FS_DATA_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Reads a whole file of at most `size_max` bytes.
 *
 * The file is read until its end is found.  Therefore files of /proc, which
 * claim to be empty, are read completely, and files that grow or shrink
 * meanwhile are read as far as they go.  A FIFO is read until its last writer
 * has closed it; if there is none yet, the operation waits for the first one.
 *
 * Linux reads a file of less than 64 KiB on the loop's own thread if its name
 * and its data are cached, as aloop/file.h describes.  The future has then
 * settled when the function returns, or settles in a later turn.
 *
 * The data are aligned to 64 bytes and are followed by a zero that is not
 * counted, so that a text can be used as a string.
 *
 * Closing a file drops the record locks (fcntl) that the process holds on it,
 * and so does this function; open file description locks stay.
 *
 * Status:  the number of bytes.
 * Errors:  ALOOP_EFBIG: the file has more than `size_max` bytes;
 *          ALOOP_EISDIR: it is a directory;
 *          ALOOP_ENXIO: it is a socket or a device without a driver;
 *          ALOOP_EAGAIN: it is a device that is never ready to be read;
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          ALOOP_ENOMEM: no memory for the data is left;
 *          others: see aloop/fs.h.
 * Memory:  the caller frees *ret_data with aloop_data_free(), also those of an
 *          empty file; aloop_free() frees what is left.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_read_file(aloop *loop, const char *path,
                                           size_t size_max, void **ret_data);

/**
 * Frees data that an operation of the loop has returned.
 *
 * NULL is allowed.  aloop_free() frees all data that are left.
 */
ALOOP_API void aloop_data_free(aloop *loop, void *data);

/**
 * Writes a whole file, which is created or emptied before.
 *
 * A new file gets the permissions `mode`, limited by the umask.  The data are
 * in the page cache afterwards, but may not be on the disk.  A failure or a
 * cancel leaves a file with a part of them.  aloop_fs_replace_file() has
 * neither weakness.
 *
 * Status:  the number of bytes.
 * Errors:  ALOOP_ENOSPC, ALOOP_EDQUOT: no space is left;
 *          ALOOP_EFBIG: more than the file system or RLIMIT_FSIZE permits;
 *          ALOOP_EISDIR: it is a directory;
 *          ALOOP_ENXIO: it is a FIFO without a reader, or a socket;
 *          ALOOP_EPIPE: it is a FIFO whose reader has left;
 *          ALOOP_ETXTBSY: it is a program that is running;
 *          others: see aloop/fs.h and aloop_fs_read_file().
 * Memory:  borrows `data` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_write_file(aloop *loop, const char *path,
                                            const void *data, size_t size,
                                            unsigned mode);

/**
 * Replaces the contents of a file in one step that survives a crash.
 *
 * After a crash of the system at any time, the file has its old or its new
 * contents, never a mix.  A temporary file in the same directory is written and
 * synced, and then renamed; then the directory is synced.  If the operation
 * succeeds, the new contents are on the disk.
 *
 * - The new file has the owner, the group and the permissions of the old one.
 *   If the process may not set the owner or the group, it has those of other
 *   new files, and no permissions that this would give to others.  Access
 *   control lists and extended attributes are not kept.  If there is no old
 *   file, the permissions are `mode`, limited by the umask.
 * - If `path` is a symbolic link, the file that it leads to is replaced.
 * - Other names (hard links) of the old file keep the old contents, and so does
 *   a descriptor that is open.
 * - A failure or a cancel before the rename leaves the old file and removes the
 *   temporary one.  A crash may leave it.  Its name is ".NAME.XXXXXXXX.tmp",
 *   with at most 100 bytes of the name and eight hexadecimal digits.
 * - A file system that cannot sync directories is assumed not to need it.
 *
 * Status:  the number of bytes.
 * Errors:  ALOOP_EINVAL: it is neither a regular file nor a directory;
 *          ALOOP_EISDIR: it is a directory;
 *          ALOOP_ENOENT: the directory does not exist, or a symbolic link leads
 *          to no file;
 *          ALOOP_EACCES: also if the directory cannot be read;
 *          ALOOP_ENOSPC, ALOOP_EDQUOT: no space is left;
 *          ALOOP_EFBIG: more than the file system or RLIMIT_FSIZE permits;
 *          ALOOP_EIO: the device failed.  If that was after the rename, the new
 *          contents are there, but may not survive a crash;
 *          others: see aloop/fs.h.
 * Memory:  borrows `data` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_replace_file(aloop *loop, const char *path,
                                              const void *data, size_t size,
                                              unsigned mode);

/**
 * Creates a directory with a unique name, as mkdtemp(3) does.
 *
 * `name` ends in "XXXXXX", which is replaced when the future settles.  The
 * permissions are 0700.  If the future is dropped while a thread creates the
 * directory, it is removed again.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `name` does not end so;
 *          ALOOP_EEXIST: a hundred names were all taken;
 *          others: see aloop/fs.h.
 * Memory:  borrows `name` until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_mkdtemp(aloop *loop, char *name);

/**
 * Creates a file with a unique name and opens it, as mkstemp(3) does.
 *
 * `name` ends in "XXXXXX", which is replaced when the future settles.  The
 * permissions are 0600, and the file is open for reading and writing.  If the
 * future is dropped while a thread creates the file, it is removed again.
 *
 * Status:  0.
 * Errors:  ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          others: see aloop_fs_mkdtemp().
 * Memory:  borrows `name` until the future settles.  *ret_file is a handle that
 *          the caller closes with aloop_file_close().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_mkstemp(aloop *loop, char *name,
                                         aloop_file **ret_file);

ALOOP_END

#endif
