/* Reads and writes of open files, from the inside. */

#ifndef ALOOP_FILE_FILE_DATA_H
#define ALOOP_FILE_FILE_DATA_H

#include "aloop/file_data.h"

#include "file/file.h"

/* In place of an offset: the operation is at the position of the file. */
enum { FILE_AT_POSITION = -1 };

/* A read or a write. */
struct aloop__file_data {
    struct aloop__file_use use;
    struct aloop__node queued; /* In a queue of the file, or in no list. */
    struct iovec one;          /* The buffer of operations that have one. */
    const struct iovec *buffers;
    int count; /* Of `buffers`, without those that are done. */
    bool is_write;
    bool is_seek; /* It only moves the position, to `offset`. */
    bool is_at_position;
    bool is_waiting;  /* For the reactor. */
    bool was_blocked; /* The work has ended because of that. */
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

/* What a public function was called with. */
struct aloop__file_request {
    const char *function;
    const struct iovec *buffers;
    int count;
    int64_t offset; /* Or FILE_AT_POSITION. */
    bool is_write;
    /* The function has tried to read what is cached; `moved` is the number of
     * bytes that it has read. */
    bool was_tried;
    size_t moved;
};

/* Starts an operation, after checks of the arguments. */
aloop_future *aloop__file_start(aloop_file *file,
                                const struct aloop__file_request *request);

/* file_cached.c: returns whether a read was not tried only because this turn
 * has read enough, so that it is to be tried in the next one. */
bool aloop__file_is_for_next_turn(const aloop_file *file, size_t size);
/* file_cached.c: reads into `buffers` what the page cache has.  Returns the
 * number of bytes.  *ret_is_complete is set to whether all `size` bytes were
 * read, or those up to the end of the file. */
size_t aloop__file_read_cached(aloop_file *file, const struct iovec *buffers,
                               size_t size, int64_t offset,
                               bool *ret_is_complete);

#endif
