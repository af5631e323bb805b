/* Directories: the names in them.
 *
 * The rules at the top of aloop/fs.h hold. */

#ifndef ALOOP_DIR_H
#define ALOOP_DIR_H

#include "aloop/base.h"
#include "aloop/stat.h"

ALOOP_BEGIN

/** Is one name in a directory. */
typedef struct aloop_dir_entry {
    const char *name;     /* Without the path of the directory. */
    aloop_file_type type; /* Of the name itself, not of a link's target. */
    uint64_t inode;       /* Its number in the file system. */
} aloop_dir_entry;

/**
 * Opens a directory, as opendir(3) does, to be read in batches.
 *
 * Status:  0.
 * Errors:  ALOOP_ENOTDIR: it is not a directory;
 *          ALOOP_EMFILE, ALOOP_ENFILE: no descriptor is left;
 *          others: see aloop/fs.h.
 * Memory:  the caller closes *ret_dir with aloop_dir_close(); aloop_free()
 *          closes what is left.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_dir_open(aloop *loop, const char *path,
                                       aloop_dir **ret_dir);

/**
 * Reads the next names of a directory, as readdir(3) does.
 *
 * At most `count` names are read.  They have no order, and "." and ".." are
 * left out.  A name that is added or removed meanwhile may be there or not.
 * The type is that of the name itself, so that a symbolic link is
 * ALOOP_FILE_LINK.  Where the directory does not have the types, they are found
 * with lstat(2); the type is ALOOP_FILE_UNKNOWN only if that fails, for example
 * because the file has been removed.
 *
 *     a read                       the next read
 *     has failed                   fails with the same error, and so do all
 *                                  later ones: no name is left out unnoticed
 *     was cancelled                continues with the next name
 *     was dropped while a thread   continues behind the names of the dropped
 *     worked on it                 read, which are lost
 *
 * Status:  the number of names, 0 only at the end.  Less than `count` is not
 *          the end.
 * Errors:  ALOOP_EBUSY: a read of this directory is pending;
 *          ALOOP_EINVAL: an argument is NULL, or `count` is 0;
 *          ALOOP_ENOMEM: there is no memory for the names;
 *          ALOOP_EPERM: the process is a forked child, and the directory was
 *          opened by the parent, with which it shares the position.
 * Memory:  borrows `ret_entries` until the future settles.  The names in it are
 *          valid until the next read of this directory, or its close.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_dir_read(aloop_dir *dir,
                                       aloop_dir_entry *ret_entries,
                                       size_t count);

/**
 * Closes a directory.
 *
 * It takes effect immediately: the directory must not be used any more.  A
 * pending read settles with an error, which is ALOOP_ECANCELED if nothing else
 * has failed.  A thread closes the descriptor after that.  NULL is allowed.
 */
ALOOP_API void aloop_dir_close(aloop_dir *dir);

/**
 * Reads all names of a directory, as scandir(3) does.
 *
 * The names are sorted by their bytes.  Names and types are as those of
 * aloop_dir_read().  A cancel takes effect at any time.
 *
 * Status:  the number of names.
 * Errors:  ALOOP_EFBIG: there are more than `count_max`;
 *          ALOOP_ENOMEM: there is no memory for the names;
 *          others: as for aloop_dir_open().
 * Memory:  the caller frees *ret_entries with aloop_data_free(), names
 *          included, also those of an empty directory; aloop_free() frees what
 *          is left.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_fs_scan(aloop *loop, const char *path,
                                      size_t count_max,
                                      aloop_dir_entry **ret_entries);

ALOOP_END

#endif
