/* Open files: opening, closing, the position and the attributes.  Reads and
 * writes are in aloop/file_data.h.
 *
 * Any number of operations of one file may be in flight.  Those at its position
 * are served in order; all others start immediately, in no order.
 *
 * A cancel takes an operation back if no thread has begun it.  One that a
 * thread has begun cannot be interrupted: it settles when the thread is done,
 * with its own status.  A deadline over a file operation may therefore end
 * late.  To free such a loop takes as long as the operations that run.
 *
 * Linux answers reads of up to 64 KiB from its page cache on the loop's own
 * thread, where the file system supports that without blocking (ext4, xfs and
 * btrfs do, and tmpfs since Linux 6.8; overlay and FUSE do not).  It also opens
 * files there for reading, if their names are cached and a thread has opened or
 * read another file of that file system.  The future has then settled when the
 * function returns, unless this turn has read 256 KiB already, where an open
 * counts as 8 KiB: what is beyond that waits for a later turn.  While
 * descriptors become ready in between, a turn begins nothing more when it has
 * read 64 KiB, so that files do not delay the loop's peers.
 *
 * The loop then waits if another program has to permit each open and each read
 * before the kernel does it (fanotify(7), as scanners for viruses use it): the
 * kernel has no flag against that.  `must_use_file_threads` of aloop_options
 * leaves all of it to threads. */

#ifndef ALOOP_FILE_H
#define ALOOP_FILE_H

#include "aloop/base.h"
#include "aloop/stat.h"

ALOOP_BEGIN

/**
 * Opens a file, as open(2) does.
 *
 * `flags` are those of the system: O_RDONLY, O_CREAT, O_APPEND, ...; O_CLOEXEC
 * and O_NOCTTY are always added.  `mode` is used with O_CREAT and O_TMPFILE
 * only.
 *
 * A file without a position (a FIFO, terminal or other device that cannot seek)
 * is opened without waiting: a FIFO for reading opens before it has a writer,
 * and one for writing fails without a reader.  Its operations wait in the loop
 * rather than on a thread, and reads do not wait for the buffer to be full.
 *
 *     the future                            the file
 *     was cancelled, but the open           is delivered: *ret_file is written
 *     succeeds
 *     is dropped before it has settled      is closed; *ret_file is not written
 *     is dropped after it has settled       belongs to the caller
 *
 * The future may already have settled when the function returns.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `loop`, `path` or `ret_file` is NULL;
 *          ALOOP_ENAMETOOLONG: the path has 4096 bytes or more;
 *          ALOOP_ENOENT, ALOOP_EEXIST, ALOOP_EACCES, ALOOP_EISDIR,
 *          ALOOP_ENOTDIR, ALOOP_ELOOP, ALOOP_EROFS, ALOOP_ETXTBSY,
 *          ALOOP_EMFILE, ALOOP_ENFILE, ALOOP_ENOSPC, ...: see open(2);
 *          ALOOP_ENXIO: a FIFO without a reader is opened for writing.
 * Memory:  copies `path`; the library owns the file, until aloop_file_close().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_open(aloop *loop, const char *path,
                                        int flags, unsigned mode,
                                        aloop_file **ret_file);

/**
 * Makes a file of an open descriptor, and takes the descriptor over.
 *
 * The position is that of the descriptor.  Its flags stay as they are.  For a
 * descriptor without a position that blocks, such as an inherited terminal, the
 * application should have no other reader.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `loop` or `ret_file` is NULL, or `fd` is negative;
 *          ALOOP_EBADF: `fd` is not open;
 *          ALOOP_ENOMEM: there is no memory for the file.
 * Memory:  after a success the library owns `fd` and the file, until
 *          aloop_file_close() or aloop_file_detach(); else `fd` stays the
 *          caller's.
 */
ALOOP_API int aloop_file_adopt(aloop *loop, int fd, aloop_file **ret_file);

/**
 * Frees a file without closing its descriptor, which it returns.
 *
 * The descriptor gets the position of the file.  It blocks if aloop_file_open()
 * has opened it without O_NONBLOCK.  One that was adopted keeps its flags.
 *
 * Returns: the descriptor.
 * Errors:  ALOOP_EBUSY: operations are in flight, and nothing has changed;
 *          ALOOP_EINVAL: `file` is NULL;
 *          ALOOP_EPERM: the loop belongs to the parent of this process.
 */
ALOOP_API int aloop_file_detach(aloop_file *file);

/**
 * Closes a file.
 *
 * It takes effect immediately: the file must not be used any more.  Operations
 * that no thread has begun settle with ALOOP_ECANCELED; those that run settle
 * with their own status.  Then a thread of the pool closes the descriptor,
 * before it does other work.  (The loop's thread closes a small file that is
 * open for reading only, if the close waits for nothing.)  It is closed when
 * aloop_run() returns because nothing is left to do, and at the latest by
 * aloop_free().
 *
 * An error of close(2), which may mean that written data were lost, is given to
 * the hook for unhandled errors.  aloop_file_sync() before the close finds such
 * an error earlier.  NULL is allowed.
 *
 * close(2) releases the record locks (F_SETLK) that the process has on the
 * file, also those of other descriptors.
 */
ALOOP_API void aloop_file_close(aloop_file *file);

/**
 * Returns the descriptor of a file.
 *
 * Errors:  ALOOP_EINVAL: `file` is NULL.
 * Memory:  the descriptor belongs to the file.  Its own position (lseek(2)) is
 *          not that of the file.
 */
ALOOP_API int aloop_file_fd(const aloop_file *file);

/**
 * Moves the position, for operations that are started later.
 *
 * `origin` is SEEK_SET or SEEK_CUR.  For SEEK_END see aloop_file_seek_end(),
 * because to ask the file system for the size can block.
 *
 * Returns: the new position.
 * Errors:  ALOOP_EINVAL: `file` is NULL, `origin` is another value, or the
 *          position would be negative;
 *          ALOOP_EOVERFLOW: it would be out of range;
 *          ALOOP_ESPIPE: the file has no position;
 *          ALOOP_EBUSY: operations at the position are in flight.
 */
ALOOP_API int64_t aloop_file_seek(aloop_file *file, int64_t offset, int origin);

/**
 * Moves the position to the end of the file plus `offset`.
 *
 * `offset` may be negative, and is added as lseek(2) does with SEEK_END.  It is
 * an operation at the position, which is served in order with the reads and
 * writes there: a write that is started after it is at the end.
 * aloop_file_position() returns the new position.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `file` is NULL, or the position would be negative;
 *          ALOOP_EOVERFLOW: it would be out of range;
 *          ALOOP_ESPIPE: the file has no position;
 *          ALOOP_ECANCELED, ALOOP_EPERM: as for aloop_file_read().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_seek_end(aloop_file *file, int64_t offset);

/**
 * Returns the position of a file.
 *
 * An operation at the position moves it before its future settles.
 *
 * Errors:  ALOOP_EINVAL: `file` is NULL;
 *          ALOOP_ESPIPE: the file has no position.
 */
ALOOP_API int64_t aloop_file_position(const aloop_file *file);

/**
 * Describes an open file, as fstat(2) does.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `file` or `ret_stat` is NULL;
 *          ALOOP_ECANCELED, ALOOP_EPERM: as for aloop_file_read().
 * Memory:  writes `ret_stat` before the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_stat(aloop_file *file, aloop_stat *ret_stat);

/**
 * Changes the size of a file, as ftruncate(2) does.
 *
 * Bytes that are added are zeros.  The position stays as it is.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `file` is NULL, `size` is negative, or the file is not
 *          open for writing;
 *          ALOOP_EFBIG: the limit of file sizes would be exceeded;
 *          ALOOP_EIO, ...: see ftruncate(2);
 *          ALOOP_ECANCELED, ALOOP_EPERM: as for aloop_file_read().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_truncate(aloop_file *file, int64_t size);

/**
 * Writes a file to its disk, as fsync(2) does.
 *
 * It includes the writes that have settled when it is called.  The name of a
 * new file is on the disk only after a sync of its directory.  After an error
 * written data may be lost, and a second sync does not report it again.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: `file` is NULL, or the file cannot be synchronized;
 *          ALOOP_EIO, ALOOP_ENOSPC, ALOOP_EDQUOT: see fsync(2);
 *          ALOOP_ECANCELED, ALOOP_EPERM: as for aloop_file_read().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_sync(aloop_file *file);

/**
 * Writes the data of a file to its disk, as fdatasync(2) does.
 *
 * It is aloop_file_sync() without attributes that are not needed to read the
 * data, such as the times.
 *
 * Status:  0.
 * Errors:  others: as for aloop_file_sync().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_datasync(aloop_file *file);

ALOOP_END

#endif
