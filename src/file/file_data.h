/* Reads and writes of open files, from the inside. */

#ifndef ALOOP_FILE_FILE_DATA_H
#define ALOOP_FILE_FILE_DATA_H

#include "aloop/file_data.h"

#include "file/file.h"

/* A read or a write. */
struct aloop__file_data {
    struct aloop__file_use use;
    struct aloop__node queued; /* In a queue of the file, or in no list. */
    struct iovec one;          /* The buffer of operations that have one. */
    const struct iovec *buffers;
    int count; /* Of `buffers`, without those that are done. */
    bool is_write;
    bool is_at_position;
    bool is_waiting;  /* For the reactor. */
    bool would_block; /* The work has ended because of that. */
    size_t skip;      /* Bytes of the first buffer that are done. */
    size_t size;      /* Of all buffers. */
    size_t moved;     /* Bytes that were read or written. */
    int64_t offset;   /* Of the first byte.  After an append: of the end. */
};

static inline struct aloop__file_data *aloop__file_data_of(
    struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct aloop__file_data, use.op);
}

/* file_transfer.c: marks bytes of the buffers as done. */
void aloop__file_data_advance(struct aloop__file_data *data, size_t size);
/* kind->work of reads and writes. */
ssize_t aloop__file_data_work(struct aloop__file_op *op);

/* file_cached.c: reads into `buffers` what the page cache has.  Returns the
 * number of bytes.  *ret_is_complete is set to whether all `size` bytes were
 * read, or those up to the end of the file. */
size_t aloop__file_read_cached(aloop_file *file, const struct iovec *buffers,
                               size_t size, int64_t offset,
                               bool *ret_is_complete);

#endif
