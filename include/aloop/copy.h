/* Copying a file.
 *
 * The rules at the top of aloop/fs.h hold, but a cancel takes effect at any
 * time. */

#ifndef ALOOP_COPY_H
#define ALOOP_COPY_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Is called with the progress of a copy.
 *
 * Both numbers are bytes, holes included.  `total` is the size of the source
 * when the copy began; a source that grows meanwhile can make `copied` larger.
 * The function is called about once for each MiB, and at most once in a turn of
 * the loop.  The last call of a copy that succeeds has `copied` equal to the
 * size of the target, and comes before the future settles.
 *
 * Context: a callback of the loop.  It may cancel the copy, or drop its future,
 *          after which no call follows.
 */
typedef void (*aloop_copy_cb)(aloop *loop, uint64_t copied, uint64_t total,
                              void *arg);

/** Selects how to copy; zero fields select the defaults. */
typedef struct aloop_copy_options {
    size_t size;       /* sizeof(aloop_copy_options). */
    bool is_replacing; /* Empty and write a target that exists. */
    bool is_synced;    /* Succeed only when the target is on the disk. */
    aloop_copy_cb on_progress; /* NULL: no call. */
    void *arg;                 /* Of `on_progress`. */
} aloop_copy_options;

/**
 * Copies the data of a regular file to the path `to`.
 *
 * The fastest way that the file systems offer is taken: blocks are shared
 * (reflink, ioctl_ficlone(2)), copied inside the kernel (copy_file_range(2)),
 * or read and written.  Holes stay holes.  Files of /proc and /sys, whose size
 * is not known, are copied until a read finds their end.  So are files that
 * change meanwhile: then the target has a mixture.
 *
 *                          a new target              a target that exists
 *     permissions          those of the source,      its own
 *                          limited by the umask,
 *                          without the set-id and
 *                          sticky bits
 *     a symbolic link      is not followed: a link   is followed
 *                          that leads nowhere is a
 *                          target that exists
 *     a failure or cancel  removes it after it was   leaves it with a part of
 *                          closed, unless another    the data
 *                          file has its name by then
 *
 * - Owner, times and extended attributes are not copied.
 * - A symbolic link `from` is followed.
 * - A file that is copied onto itself is left as it is.
 * - With `is_synced`, the data and the name of the target survive a crash.
 *
 * Status:  the number of bytes; more than fit are SSIZE_MAX.
 * Errors:  ALOOP_EEXIST: the target exists, and `is_replacing` is not set;
 *          ALOOP_EINVAL: source and target are the same file, or one of them is
 *          neither a regular file nor a directory;
 *          ALOOP_EISDIR: one of them is a directory;
 *          ALOOP_ENOSPC, ALOOP_EDQUOT: no space is left;
 *          ALOOP_EFBIG: more than the file system or RLIMIT_FSIZE permits;
 *          ALOOP_ENXIO: one of them is a socket, or a FIFO without a reader;
 *          ALOOP_ETXTBSY: the target is a program that runs;
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          ALOOP_ENOMEM: there is no memory for a buffer;
 *          ALOOP_ECANCELED: cancelled.  A copy that is complete when it notices
 *          the cancel succeeds.
 * Memory:  `options` is not used after the call; its `arg` is, until the future
 *          settles or is dropped.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_copy(aloop *loop, const char *from,
                                      const char *to,
                                      const aloop_copy_options *options);

ALOOP_END

#endif
