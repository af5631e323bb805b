/* What threads of the pool do for operations of several calls.
 *
 * These functions know no loop.  They block, call only the seam, and take
 * memory from the default allocator.  Each returns an error, or 0 or more.
 * `is_cancelled` may become true at any time; the long ones then end at the
 * next piece with -ECANCELED, after they have undone what they can. */

#ifndef ALOOP_FILE_BLOCKING_H
#define ALOOP_FILE_BLOCKING_H

#include <stdatomic.h>

#include "file/file_device.h"
#include "os/sys_file.h"

/* The longest stretch of data between two looks at `is_cancelled`. */
enum { BLOCKING_PIECE = 8 << 20 };

/* blocking_write.c */

/* Opens without waiting for the other end of a FIFO. */
int aloop__blocking_open(const char *path, int flags, unsigned mode);
/* Closes a descriptor.  An error means that written data may be lost. */
int aloop__blocking_close(int fd);
/* Writes the names in a directory to the disk. */
int aloop__blocking_sync_directory(int dir);

/* A whole file that is being read or written. */
struct aloop__blocking_data {
    const char *path;
    const atomic_uint *is_cancelled;
    /* A thread is using these members.  In a forked child this stays true. */
    atomic_uint is_busy;
    /* -1 before the first call, unless the file is open already, and after the
     * last one. */
    int fd;
    bool has_to_wait;  /* Set with the result -EAGAIN. */
    bool has_position; /* Of the file: writes have an offset. */
    size_t done;       /* Number of bytes that were read or written. */
    /* For reading: */
    size_t size_max;           /* At most PTRDIFF_MAX. */
    struct aloop__data *block; /* The result, or NULL. */
    size_t capacity;           /* Of the block. */
    uint64_t size_claimed;     /* 0: the size is not known. */
    struct aloop__device_look look;
    /* For writing: */
    const void *bytes;
    size_t size;
    unsigned mode; /* Of a new file. */
};

/* Read or write the whole file.  Return 0 when that is complete, and -EAGAIN if
 * the descriptor, which stays open, has to become ready before the next call.
 * What was read has a zero behind it, which is not counted. */
int aloop__blocking_read(struct aloop__blocking_data *data);
int aloop__blocking_write(struct aloop__blocking_data *data);
/* Writes what is left of the bytes to data->fd. */
int aloop__blocking_write_all(struct aloop__blocking_data *data);
/* Replaces the contents of a file, so that they are old or new after a
 * crash. */
int aloop__blocking_replace(struct aloop__blocking_data *data);

/* blocking_temp.c: makes `name`, which ends in "XXXXXX", unique, and creates a
 * directory, or a file whose descriptor is returned. */
int aloop__blocking_make_directory(char *name);
int aloop__blocking_make_file(char *name);

/* mkdir -p.  Returns the number of directories that were made. */
ssize_t aloop__blocking_mkdir_all(const char *path, unsigned mode);

/* rm -r.  Returns the number of names that were removed. */
ssize_t aloop__blocking_remove_all(const char *path,
                                   const atomic_uint *is_cancelled);

/* A copy that is under way. */
struct aloop__blocking_copy {
    const char *from;
    const char *to;
    bool is_replacing;
    bool is_synced;
    const atomic_uint *is_cancelled;
    int from_fd; /* -1 while it is not open, as before the call. */
    int to_fd;
    /* Bytes.  Other threads may read these two. */
    atomic_uint_fast64_t copied;
    atomic_uint_fast64_t total;
    /* Called after about each MiB, and at the end; may be NULL. */
    void (*on_piece)(struct aloop__blocking_copy *copy);
};

/* Returns 0; the number of bytes is copy->copied. */
int aloop__blocking_copy(struct aloop__blocking_copy *copy);
/* In a forked child: closes the descriptors of a copy that the parent
 * continues. */
void aloop__blocking_copy_forget(struct aloop__blocking_copy *copy);

#endif
