/* Memory for bytes on their way; see buffers.c. */

#ifndef ALOOP_LOOP_BUFFERS_H
#define ALOOP_LOOP_BUFFERS_H

#include "loop/loop.h"

enum { BUFFER_SMALL = 4096, BUFFER_LARGE = 64 * 1024 };

/* At least `*size` bytes, and then `*size` is how many; NULL without memory. */
void *aloop__buffer_get(aloop *loop, size_t *size);
/* `size` as it was told. */
void aloop__buffer_put(aloop *loop, void *memory, size_t size);
void aloop__buffers_close(aloop *loop);

#endif
