/* Memory for bytes on their way through a stream; see buffers.c. */

#ifndef ALOOP_LOOP_BUFFERS_H
#define ALOOP_LOOP_BUFFERS_H

#include "loop/state.h"

enum {
    RECEIVE_SIZE = 64 * 1024,
    CORK_SIZE = 4 * 1024 /* Behind the receive buffer; see stream_write.c. */
};
enum { BUFFER_SMALL = 4096, BUFFER_LARGE = 64 * 1024 };
/* Unused buffers of up to this many bytes are kept. */
enum { SPARE_BYTES_MIN = 128 * 1024 };

/* Returns a buffer of at least `*size` bytes and sets `*size` to its real size.
 * Returns NULL if out of memory. */
void *aloop__buffer_get(aloop *loop, size_t *size);
/* Returns a buffer to the loop.  `size` is the size that aloop__buffer_get()
 * has set. */
void aloop__buffer_put(aloop *loop, void *memory, size_t size);
void aloop__buffers_close(aloop *loop);

/* Returns a buffer of RECEIVE_SIZE bytes, which is valid until the callback
 * that runs now returns.  Returns NULL if out of memory. */
char *aloop__receive_buffer(aloop *loop);

/* Room for several datagrams of the largest size.  The memory is used only as
 * far as it is filled.  The offset keeps the beginnings of the datagrams from
 * sharing the same few lines of the cache. */
enum {
    BATCH_MAX = 16,
    BATCH_STRIDE = 64 * 1024 + 320,
    BATCH_SIZE = BATCH_MAX * BATCH_STRIDE
};

/* Returns a buffer of BATCH_SIZE bytes, which is valid until the function that
 * receives into it returns.  Returns NULL if out of memory. */
char *aloop__batch_buffer(aloop *loop);

/* The interface to trim.c, which describes these functions. */
static inline bool aloop__buffers_have_spare(const aloop *loop)
{
    return loop->buffer_bytes > SPARE_BYTES_MIN;
}
void aloop__buffers_end_window(aloop *loop);
bool aloop__buffers_trim(aloop *loop);

#endif
