/* Blocks of data that operations return to the application. */

#ifndef ALOOP_LOOP_DATA_H
#define ALOOP_LOOP_DATA_H

#include "loop/state.h"

/* A block.  The bytes follow the struct and are aligned to 64 bytes.  It comes
 * from the default allocator, because threads of the pool allocate blocks. */
struct aloop__data;

/* Allocates a block of `size` bytes.  Returns NULL if out of memory.  May be
 * called on any thread. */
struct aloop__data *aloop__data_new(size_t size);
/* Returns a block with the first `kept` bytes of `data`, which is freed.
 * Returns NULL if out of memory; `data` is then unchanged. */
struct aloop__data *aloop__data_resize(struct aloop__data *data, size_t kept,
                                       size_t size);
/* Frees a block that was not given to the application.  May be NULL. */
void aloop__data_drop(struct aloop__data *data);
void *aloop__data_bytes(struct aloop__data *data);
/* Gives the block to the application, which frees it with aloop_data_free().
 * Returns the bytes.  On the loop's thread. */
void *aloop__data_give(aloop *loop, struct aloop__data *data);
/* Frees all blocks that the application still has, at the loop's end. */
void aloop__datas_free(aloop *loop);

#endif
