/* Memory for bytes on their way through a stream.
 *
 * Two sizes are kept for reuse, last in, first out, so that a request and its
 * reply use memory that is still in the cache; anything larger comes from and
 * goes to the allocator. */

#include "loop/buffers.h"

enum { KEPT_MAX = 64 };

static const size_t sizes[BUFFER_CLASSES] = {BUFFER_SMALL, BUFFER_LARGE};

struct aloop__free_buffer {
    struct aloop__free_buffer *next;
};

void *aloop__buffer_get(aloop *loop, size_t *size)
{
    for (size_t i = 0; i < BUFFER_CLASSES; i++) {
        struct aloop__free_buffer *buffer = loop->buffers[i].first;

        if (*size > sizes[i])
            continue;
        *size = sizes[i];
        if (buffer == NULL)
            break;
        loop->buffers[i].first = buffer->next;
        loop->buffers[i].count--;
        return buffer;
    }
    return aloop__alloc_new(&loop->alloc, *size);
}

void aloop__buffer_put(aloop *loop, void *memory, size_t size)
{
    struct aloop__free_buffer *buffer = memory;

    for (size_t i = 0; i < BUFFER_CLASSES; i++) {
        if (size != sizes[i] || loop->buffers[i].count == KEPT_MAX)
            continue;
        buffer->next = loop->buffers[i].first;
        loop->buffers[i].first = buffer;
        loop->buffers[i].count++;
        return;
    }
    aloop__alloc_free(&loop->alloc, memory, size);
}

void aloop__buffers_close(aloop *loop)
{
    for (size_t i = 0; i < BUFFER_CLASSES; i++)
        while (loop->buffers[i].first != NULL) {
            struct aloop__free_buffer *buffer = loop->buffers[i].first;

            loop->buffers[i].first = buffer->next;
            aloop__alloc_free(&loop->alloc, buffer, sizes[i]);
        }
}
