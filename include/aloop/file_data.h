/* Reading and writing open files.
 *
 * See aloop/file.h for the order of operations and for what a cancel does. */

#ifndef ALOOP_FILE_DATA_H
#define ALOOP_FILE_DATA_H

#include <sys/uio.h> /* struct iovec */

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Reads at the position, which moves behind the bytes that were read.
 *
 * It fills the buffer unless the file ends before; short counts of the system
 * are continued.  From a file without a position it reads what is available,
 * waiting for at least one byte.
 *
 * After an error the position has not moved.
 *
 * Status:  the number of bytes; 0 at the end of the file, or if `size` is 0.
 * Errors:  ALOOP_EINVAL: `file` is NULL, `buffer` is NULL and `size` is not 0,
 *          or `size` does not fit a ssize_t;
 *          ALOOP_EBADF: the file is not open for reading;
 *          ALOOP_EISDIR: it is a directory;
 *          ALOOP_EIO, ...: see read(2);
 *          ALOOP_ECANCELED: the operation was cancelled, or the file closed,
 *          before it began;
 *          ALOOP_EPERM: the loop belongs to the parent of this process.
 * Memory:  borrows `buffer` until the future settles, also if the future is
 *          dropped.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_read(aloop_file *file, void *buffer,
                                        size_t size);

/**
 * Writes all bytes at the position, which moves behind them.
 *
 * After an error, such as ALOOP_ENOSPC, the position shows how many were
 * written.  With O_APPEND the bytes are appended to the file, and the position
 * is their end.
 *
 * Status:  `size`.
 * Errors:  ALOOP_EINVAL: `file` is NULL, `data` is NULL and `size` is not 0, or
 *          `size` does not fit a ssize_t;
 *          ALOOP_EBADF: the file is not open for writing;
 *          ALOOP_ENOSPC, ALOOP_EDQUOT: there is no space left;
 *          ALOOP_EFBIG: the limit of file sizes (RLIMIT_FSIZE) or the range of
 *          offsets would be exceeded (SIGXFSZ is not raised);
 *          ALOOP_EPIPE: the FIFO has no reader (SIGPIPE is not raised);
 *          ALOOP_EIO, ...: see write(2);
 *          ALOOP_ECANCELED, ALOOP_EPERM: as for aloop_file_read().
 * Memory:  borrows `data` until the future settles, also if the future is
 *          dropped.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_write(aloop_file *file, const void *data,
                                         size_t size);

/**
 * Reads at an offset, and leaves the position as it is.
 *
 * Status:  as for aloop_file_read().
 * Errors:  ALOOP_EINVAL: also if `offset` is negative;
 *          ALOOP_ESPIPE: the file has no position;
 *          others: as for aloop_file_read().
 * Memory:  as for aloop_file_read().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_read_at(aloop_file *file, void *buffer,
                                           size_t size, int64_t offset);

/**
 * Writes at an offset, and leaves the position as it is.
 *
 * After an error some of the bytes may have been written.
 *
 * Status:  `size`.
 * Errors:  ALOOP_EINVAL: also if `offset` is negative, or the file was opened
 *          with O_APPEND;
 *          ALOOP_ESPIPE: the file has no position;
 *          others: as for aloop_file_write().
 * Memory:  as for aloop_file_write().
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_write_at(aloop_file *file, const void *data,
                                            size_t size, int64_t offset);

/* The same with several buffers, which are filled or written one after the
 * other.  There may be any number of them.  ALOOP_EINVAL also means that
 * `count` is negative, that a buffer is NULL and not empty, or that the total
 * does not fit a ssize_t. */

/**
 * Reads into several buffers at the position.
 *
 * Status:  as for aloop_file_read(), of all buffers together.
 * Errors:  others: as for aloop_file_read().
 * Memory:  borrows `buffers`, and what they point to, until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_readv(aloop_file *file,
                                         const struct iovec *buffers,
                                         int count);

/**
 * Writes several buffers at the position.
 *
 * Status:  as for aloop_file_write(), of all buffers together.
 * Errors:  others: as for aloop_file_write().
 * Memory:  borrows `buffers`, and what they point to, until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_writev(aloop_file *file,
                                          const struct iovec *buffers,
                                          int count);

/**
 * Reads into several buffers at an offset.
 *
 * Status:  as for aloop_file_read_at(), of all buffers together.
 * Errors:  others: as for aloop_file_read_at().
 * Memory:  borrows `buffers`, and what they point to, until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_readv_at(aloop_file *file,
                                            const struct iovec *buffers,
                                            int count, int64_t offset);

/**
 * Writes several buffers at an offset.
 *
 * Status:  as for aloop_file_write_at(), of all buffers together.
 * Errors:  others: as for aloop_file_write_at().
 * Memory:  borrows `buffers`, and what they point to, until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_file_writev_at(aloop_file *file,
                                             const struct iovec *buffers,
                                             int count, int64_t offset);

ALOOP_END

#endif
