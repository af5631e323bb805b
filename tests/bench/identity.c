/* Each direction of the filter is a buffer, so that all bytes are copied twice:
 * into the filter and out of it.  A filter has a buffer only while it has
 * bytes, and the buffer used last is used next, so that it is in the cache. */

#include "identity.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 * 1024 };

union buffer {
    union buffer *next; /* While it is unused. */
    char bytes[ROOM];
};

struct way {
    union buffer *buffer; /* NULL: it is empty. */
    size_t start;
    size_t end;
};

struct identity {
    struct way in;
    struct way out;
};

static union buffer *unused;

/* Returns an unused buffer. */
static union buffer *buffer_take(void)
{
    union buffer *buffer = unused;

    if (buffer != NULL)
        unused = buffer->next;
    else
        buffer = malloc(sizeof *buffer);
    if (buffer == NULL)
        abort();
    return buffer;
}

static void buffer_put(union buffer *buffer)
{
    buffer->next = unused;
    unused = buffer;
}

static ssize_t take(struct way *way, const void *data, size_t size)
{
    size_t room = ROOM - way->end;

    if (size == 0)
        return 0;
    size = size < room ? size : room;
    if (size == 0)
        return ALOOP_EAGAIN;
    if (way->buffer == NULL)
        way->buffer = buffer_take();
    memcpy(way->buffer->bytes + way->end, data, size);
    way->end += size;
    return (ssize_t) size;
}

static ssize_t give(struct way *way, void *data, size_t size)
{
    size_t left = way->end - way->start;

    if (left == 0)
        return ALOOP_EAGAIN;
    size = size < left ? size : left;
    memcpy(data, way->buffer->bytes + way->start, size);
    way->start += size;
    if (way->start == way->end) {
        buffer_put(way->buffer);
        *way = (struct way){0};
    }
    return (ssize_t) size;
}

static ssize_t identity_feed(void *context, const void *data, size_t size)
{
    return take(&((struct identity *) context)->in, data, size);
}

static ssize_t identity_read(void *context, void *data, size_t size)
{
    return give(&((struct identity *) context)->in, data, size);
}

static ssize_t identity_write(void *context, const void *data, size_t size)
{
    return take(&((struct identity *) context)->out, data, size);
}

static ssize_t identity_pull(void *context, void *data, size_t size)
{
    return give(&((struct identity *) context)->out, data, size);
}

static bool identity_is_idle(void *context)
{
    const struct identity *identity = context;

    return identity->in.buffer == NULL && identity->out.buffer == NULL;
}

static const aloop_filter identity_filter = {
    .size = sizeof identity_filter,
    .name = "identity",
    .feed = identity_feed,
    .read = identity_read,
    .write = identity_write,
    .pull = identity_pull,
    .close = free,
    .is_idle = identity_is_idle,
};

void identity_put_on(aloop_stream *stream)
{
    struct identity *identity = calloc(1, sizeof *identity);

    if (identity == NULL)
        abort();
    aloop_detach(aloop_stream_filter(stream, &identity_filter, identity));
}
