/* What the system knows of a file or a file system. */

#ifndef ALOOP_STAT_H
#define ALOOP_STAT_H

#include "aloop/base.h"

/** Is the type of a file. */
typedef enum aloop_file_type {
    ALOOP_FILE_UNKNOWN,
    ALOOP_FILE_REGULAR,
    ALOOP_FILE_DIRECTORY,
    ALOOP_FILE_LINK, /* A symbolic link. */
    ALOOP_FILE_FIFO,
    ALOOP_FILE_SOCKET,
    ALOOP_FILE_CHARACTER, /* A character device, such as a terminal. */
    ALOOP_FILE_BLOCK      /* A block device. */
} aloop_file_type;

/**
 * Describes a file, as stat(2) does.
 *
 * Times are nanoseconds since 1970-01-01 00:00 UTC and may be negative.
 */
typedef struct aloop_stat {
    aloop_file_type type;
    unsigned mode; /* The permission bits, set-id bits included: 07777. */
    uint64_t size; /* Bytes; a hint only for files of /proc and the like. */
    uint64_t allocated_size; /* Bytes that are allocated; less with holes. */
    uint64_t device;         /* Together with `inode`, identifies a file. */
    uint64_t inode;
    uint64_t links;
    uint32_t user;
    uint32_t group;
    int64_t accessed_ns;
    int64_t modified_ns; /* Of the contents. */
    int64_t changed_ns;  /* Of the contents or of the attributes. */
} aloop_stat;

/**
 * Describes a file system, as statvfs(3) does.
 *
 * Sizes are bytes.
 */
typedef struct aloop_statvfs {
    uint64_t size;
    uint64_t free_size;      /* Unused. */
    uint64_t available_size; /* Unused, and not reserved for root. */
    uint64_t files;
    uint64_t free_files;
    uint64_t block_size;
    uint64_t name_max; /* Bytes of the longest file name. */
    bool is_read_only;
} aloop_statvfs;

#endif
