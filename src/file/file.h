/* Open files, from the inside.
 *
 *     file.c         opening, closing, the position
 *     file_close.c   closing descriptors
 *     file_change.c  attributes, size, synchronization
 *     file_data.c    reading and writing; file_transfer.c, its work on a thread
 *     file_device.c  opening on the loop's thread
 *     file_cached.c  reads of one buffer; reads on the loop's thread
 *
 * A file is a handle that never calls back.  Its operations are futures and are
 * in file->operations until they end.  A file that was closed stays until its
 * last operation has ended, because a thread may be using the descriptor. */

#ifndef ALOOP_FILE_FILE_H
#define ALOOP_FILE_FILE_H

#include "aloop/file.h"
#include "file/file_device.h"
#include "file/file_op.h"
#include "loop/handle.h"
#include "loop/io.h"

enum { FILE_READS, FILE_WRITES, FILE_QUEUES };

/* How reads use the page cache; see file_cached.c. */
struct aloop__file_cache {
    bool is_used;      /* aloop__file_read_cached() may try it. */
    bool is_in_memory; /* Then it calls aloop__sys_pread_memory(). */
    /* After a read that was not in the cache, how many reads do not try it, and
     * how many of them are left. */
    uint8_t backoff;
    uint8_t skips;
};

struct aloop_file {
    struct aloop__handle handle;
    int fd;            /* -1 until it is open. */
    bool has_position; /* It can seek. */
    bool is_append;    /* O_APPEND */
    bool is_blocking;  /* Not O_NONBLOCK. */
    bool is_ours;      /* O_NONBLOCK was set by the library. */
    bool is_known;     /* aloop__file_open_known() has opened it. */
    struct aloop__file_cache cache;
    int64_t position;
    struct aloop__node operations; /* Of struct aloop__file_use. */
    /* Reads and writes (struct data) that are served in order.  The first one
     * of each queue has begun.  All are in the first queue if the file has a
     * position. */
    struct aloop__node queues[FILE_QUEUES];
    /* Watches a descriptor without a position; fd is -1 until it is used. */
    struct aloop__io_shared watch;
};

/* fs_cached.c: reads a whole small file of at most `size_max` bytes on the
 * loop's own thread.  Returns the number of bytes, and *ret_block has them and
 * a zero.  Returns ALOOP_PENDING if a later turn is to try it, because this one
 * has done enough.  After another error the pool has to read the file.
 * *ret_fd is then -1, or a descriptor of the file that nothing was read from,
 * for the pool to use. */
struct aloop__data;
ssize_t aloop__fs_read_cached(aloop *loop, const char *path, size_t size_max,
                              struct aloop__data **ret_block, int *ret_fd);

/* An operation on an open file, and the beginning of the structs of all such
 * kinds. */
struct aloop__file_use {
    struct aloop__file_op op;
    struct aloop__node node; /* In file->operations. */
    aloop_file *file;        /* Valid until the operation has ended. */
};

/* What an open or an adoption finds out about a descriptor. */
struct aloop__file_traits {
    bool has_position;
    bool is_cached;
    bool is_in_memory;
    int64_t position;
};

/* An operation that opens a file, and the beginning of the structs of all such
 * kinds.  It uses a new file, which is closed at the loop's end like any
 * other. */
struct aloop__opening {
    struct aloop__file_use use;
    aloop_file **ret_file;
    int flags; /* Of the open; O_NONBLOCK is added. */
    unsigned mode;
    struct aloop__device_look look;
    struct aloop__file_traits traits;
};

/* Returns a new operation that opens a file, with a new file; see
 * aloop__file_op_new(). */
void *aloop__file_opening_new(aloop *loop,
                              const struct aloop__file_op_kind *kind,
                              const char *function, const char *path,
                              aloop_file **ret_file,
                              aloop_future **ret_refused);
/* For kind->work, which returns `fd`: finds out about the open file. */
void aloop__file_look(struct aloop__opening *opening, int fd);
/* kind->done and kind->cancel.  The first gives the file to the application, or
 * closes it if the open was dropped. */
bool aloop__file_open_done(struct aloop__file_op *op);
void aloop__file_open_cancel(struct aloop__file_op *op);

/* file_use.c. */

/* Returns a new operation on `file`; see aloop__file_op_new(). */
void *aloop__file_use_new(aloop_file *file,
                          const struct aloop__file_op_kind *kind,
                          const char *function, aloop_future **ret_refused);
/* Must be called directly before the operation settles.  Closes the descriptor
 * if the file is closed and this was its last operation. */
void aloop__file_use_left(struct aloop__file_use *use);
/* Ends a file without operations, and closes its descriptor. */
void aloop__file_end(aloop_file *file);

/* file_close.c: closes a descriptor on the pool, or here if that is impossible.
 * Errors are unhandled ones. */
void aloop__file_close_later(aloop *loop, int fd);

/* The same for a file of aloop__file_open_known(): the loop's thread closes it
 * if that does not wait. */
void aloop__file_close_known(aloop *loop, int fd);
/* The same for a file whose attributes were just read. */
void aloop__file_close_seen(aloop *loop, int fd, const aloop_stat *stat);

/* file_data.c: watches the descriptor in this process, or ends the operations
 * that wait for it. */
void aloop__file_data_adopt(aloop_file *file);

#endif
