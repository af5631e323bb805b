/* Memory for bytes on their way through a stream.
 *
 * Buffers come in a few sizes, so that their cost is in proportion to the bytes
 * in them: above 4 KiB each size is at most one and a half times the one
 * before.  Some buffers of each size are kept for reuse, last in, first out, so
 * that a request and its reply use memory that is still in the cache.  Larger
 * ones come from the allocator and are returned to it.  Buffers that were not
 * used for a while are freed; see trim.c. */

#include "loop/buffers.h"

static const struct {
    size_t size;
    unsigned kept_max;
} classes[BUFFER_CLASSES] = {
    {256, 64},      {1024, 64},     {BUFFER_SMALL, 64}, {6 * 1024, 8},
    {8 * 1024, 8},  {12 * 1024, 8}, {16 * 1024, 8},     {24 * 1024, 8},
    {32 * 1024, 8}, {48 * 1024, 8}, {BUFFER_LARGE, 64},
};

/* An unused buffer.  The link is in the buffer itself. */
struct aloop__free_buffer {
    struct aloop__free_buffer *next;
};

/* Takes the first buffer of a list.  Returns NULL if the list is empty. */
static struct aloop__free_buffer *draw(aloop *loop, size_t class,
                                       struct aloop__free_buffer **list)
{
    struct aloop__free_buffer *buffer = *list;

    if (buffer == NULL)
        return NULL;
    *list = buffer->next;
    loop->buffers[class].count--;
    loop->buffer_bytes -= classes[class].size;
    return buffer;
}

/* Returns the first class that may have room for `size` bytes.  The drivers of
 * filters take the largest one for each event, so that it is not searched. */
static inline size_t first_class(size_t size)
{
    return size > classes[BUFFER_CLASSES - 2].size ? BUFFER_CLASSES - 1 : 0;
}

/* Buffers of the window before are used only if there are no others, so that
 * they become stale when the load has fallen. */
void *aloop__buffer_get(aloop *loop, size_t *size)
{
    for (size_t i = first_class(*size); i < BUFFER_CLASSES; i++) {
        struct aloop__free_buffer *buffer;

        if (*size > classes[i].size)
            continue;
        *size = classes[i].size;
        buffer = draw(loop, i, &loop->buffers[i].first);
        if (buffer == NULL)
            buffer = draw(loop, i, &loop->buffers[i].aging);
        if (buffer == NULL)
            break;
        return buffer;
    }
    return aloop__alloc_new(&loop->alloc, *size);
}

/* A size of no class came from the allocator directly. */
void aloop__buffer_put(aloop *loop, void *memory, size_t size)
{
    struct aloop__free_buffer *buffer = memory;

    for (size_t i = first_class(size); i < BUFFER_CLASSES; i++) {
        if (size != classes[i].size ||
            loop->buffers[i].count == classes[i].kept_max)
            continue;
        buffer->next = loop->buffers[i].first;
        loop->buffers[i].first = buffer;
        loop->buffers[i].count++;
        loop->buffer_bytes += size;
        return;
    }
    aloop__alloc_free(&loop->alloc, memory, size);
}

/* Frees the first buffer of a list.  Returns whether there was one. */
static bool free_first(aloop *loop, size_t class,
                       struct aloop__free_buffer **list)
{
    struct aloop__free_buffer *buffer = draw(loop, class, list);

    aloop__alloc_free(&loop->alloc, buffer, classes[class].size);
    return buffer != NULL;
}

void aloop__buffers_close(aloop *loop)
{
    for (size_t i = 0; i < BUFFER_CLASSES; i++)
        while (free_first(loop, i, &loop->buffers[i].first) ||
               free_first(loop, i, &loop->buffers[i].aging) ||
               free_first(loop, i, &loop->buffers[i].stale))
            ;
}

void aloop__buffers_end_window(aloop *loop)
{
    for (size_t i = 0; i < BUFFER_CLASSES; i++) {
        if (loop->buffers[i].stale != NULL)
            continue; /* The last window's are not yet freed. */
        loop->buffers[i].stale = loop->buffers[i].aging;
        loop->buffers[i].aging = loop->buffers[i].first;
        loop->buffers[i].first = NULL;
    }
}

bool aloop__buffers_trim(aloop *loop)
{
    for (size_t i = 0; i < BUFFER_CLASSES; i++)
        if (free_first(loop, i, &loop->buffers[i].stale))
            return true;
    return false;
}

/* One buffer for all streams of the loop: an idle connection costs no
 * buffer. */
char *aloop__receive_buffer(aloop *loop)
{
    if (loop->receive_buffer == NULL)
        loop->receive_buffer =
            aloop__alloc_new_aligned(&loop->alloc, RECEIVE_SIZE + CORK_SIZE);
    return loop->receive_buffer;
}

/* One buffer for all sockets of the loop. */
char *aloop__batch_buffer(aloop *loop)
{
    if (loop->batch_buffer == NULL)
        loop->batch_buffer = aloop__alloc_new_aligned(&loop->alloc, BATCH_SIZE);
    return loop->batch_buffer;
}
