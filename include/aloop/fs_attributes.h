/* Setting the attributes of files by name; the rules of aloop/fs.h hold. */

#ifndef ALOOP_FS_ATTRIBUTES_H
#define ALOOP_FS_ATTRIBUTES_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Sets the permissions of a file, as chmod(2) does.
 *
 * Status:  0.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_chmod(aloop *loop, const char *path,
                                       unsigned mode);

/**
 * Sets the owner and the group of a file, as chown(2) does.
 *
 * An id of UINT32_MAX leaves it as it is.
 *
 * Status:  0.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_chown(aloop *loop, const char *path,
                                       uint32_t user, uint32_t group);

/** Leaves a time as it is; see aloop_fs_utimens(). */
#define ALOOP_TIME_KEEP INT64_MIN

/**
 * Sets the times of a file, as utimensat(2) does.
 *
 * Times are nanoseconds since 1970-01-01 00:00 UTC.
 *
 * Status:  0.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_utimens(aloop *loop, const char *path,
                                         int64_t accessed_ns,
                                         int64_t modified_ns);

/**
 * Sets the size of a file, as truncate(2) does.
 *
 * A longer file is filled with zeros, which take no space until they are
 * written.
 *
 * Status:  0.
 * Errors:  ALOOP_EISDIR: it is a directory;
 *          ALOOP_EINVAL: `size` is negative, or it is not a regular file;
 *          ALOOP_EFBIG: `size` is more than the file system or the limit of the
 *          process (RLIMIT_FSIZE) permits;
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          ALOOP_ETXTBSY: it is a program that runs.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_truncate(aloop *loop, const char *path,
                                          int64_t size);

ALOOP_END

#endif
