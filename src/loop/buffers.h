/* Memory for bytes on their way; see buffers.c. */

#ifndef ALOOP_LOOP_BUFFERS_H
#define ALOOP_LOOP_BUFFERS_H

#include "loop/state.h"

enum { RECEIVE_SIZE = 64 * 1024 };
enum { BUFFER_SMALL = 4096, BUFFER_LARGE = 64 * 1024 };

/* At least `*size` bytes, and then `*size` is how many; NULL without memory. */
void *aloop__buffer_get(aloop *loop, size_t *size);
/* `size` as it was told. */
void aloop__buffer_put(aloop *loop, void *memory, size_t size);
void aloop__buffers_close(aloop *loop);

/* A buffer of RECEIVE_SIZE bytes for the callback that runs now, NULL without
 * memory. */
char *aloop__receive_buffer(aloop *loop);

/* For trim.c; see there. */
bool aloop__buffers_have_spare(const aloop *loop);
void aloop__buffers_end_window(aloop *loop);
bool aloop__buffers_trim(aloop *loop);

#endif
