/* Memory for bytes on their way through a stream.
 *
 * A few sizes, so that what bytes cost is in proportion to them: above 4 KiB
 * each is at most half as large again as the one before it.  Some of each are
 * kept for reuse, last in, first out, so that a request and its reply use
 * memory that is still in the cache; anything larger comes from and goes to the
 * allocator. */

#include "loop/buffers.h"

static const struct {
    size_t size;
    unsigned kept_max;
} classes[BUFFER_CLASSES] = {
    {256, 64},      {1024, 64},     {BUFFER_SMALL, 64}, {6 * 1024, 8},
    {8 * 1024, 8},  {12 * 1024, 8}, {16 * 1024, 8},     {24 * 1024, 8},
    {32 * 1024, 8}, {48 * 1024, 8}, {BUFFER_LARGE, 64},
};

struct aloop__free_buffer {
    struct aloop__free_buffer *next;
};

void *aloop__buffer_get(aloop *loop, size_t *size)
{
    for (size_t i = 0; i < BUFFER_CLASSES; i++) {
        struct aloop__free_buffer *buffer = loop->buffers[i].first;

        if (*size > classes[i].size)
            continue;
        *size = classes[i].size;
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
        if (size != classes[i].size ||
            loop->buffers[i].count == classes[i].kept_max)
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
            aloop__alloc_free(&loop->alloc, buffer, classes[i].size);
        }
}

char *aloop__receive_buffer(aloop *loop)
{
    if (loop->receive_buffer == NULL)
        loop->receive_buffer = aloop__alloc_new(&loop->alloc, RECEIVE_SIZE);
    return loop->receive_buffer;
}
