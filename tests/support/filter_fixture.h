/* Filters for tests: one that passes on what it is given, with limits for its
 * memory and for the bytes of one call. */

#ifndef FILTER_FIXTURE_H
#define FILTER_FIXTURE_H

#include <aloop.h>

#include <stdlib.h>
#include <string.h>

enum { PASSING_ROOM = 16384 };

/* The bytes of one direction. */
struct passing {
    char bytes[PASSING_ROOM];
    size_t start;
    size_t end;
    size_t room; /* At most so many are kept. */
    size_t step; /* At most so many are taken or given in one call. */
    bool has_ended;
};

struct passing_filter {
    struct passing in;
    struct passing out;
};

static inline ssize_t passing_give(struct passing *p, const void *data,
                                   size_t size)
{
    size_t kept = p->end - p->start;

    if (size == 0)
        p->has_ended = true;
    else if (kept == p->room)
        return ALOOP_EAGAIN;
    if (size > p->room - kept)
        size = p->room - kept;
    if (size > p->step)
        size = p->step;
    if (p->start > 0 && size > PASSING_ROOM - p->end) {
        memmove(p->bytes, p->bytes + p->start, kept);
        p->start = 0;
        p->end = kept;
    }
    if (size > 0)
        memcpy(p->bytes + p->end, data, size);
    p->end += size;
    return (ssize_t) size;
}

static inline ssize_t passing_take(struct passing *p, void *data, size_t size)
{
    size_t kept = p->end - p->start;

    if (kept == 0)
        return p->has_ended ? 0 : ALOOP_EAGAIN;
    if (size > kept)
        size = kept;
    if (size > p->step)
        size = p->step;
    memcpy(data, p->bytes + p->start, size);
    p->start += size;
    if (p->start == p->end) {
        p->start = 0;
        p->end = 0;
    }
    return (ssize_t) size;
}

static inline ssize_t passing_feed(void *context, const void *data, size_t size)
{
    struct passing_filter *f = context;

    return passing_give(&f->in, data, size);
}

static inline ssize_t passing_read(void *context, void *data, size_t size)
{
    struct passing_filter *f = context;

    return passing_take(&f->in, data, size);
}

static inline ssize_t passing_write(void *context, const void *data,
                                    size_t size)
{
    struct passing_filter *f = context;

    return passing_give(&f->out, data, size);
}

static inline ssize_t passing_pull(void *context, void *data, size_t size)
{
    struct passing_filter *f = context;

    return passing_take(&f->out, data, size);
}

/* The same as passing_pull(), without a copy. */
static inline ssize_t passing_lend(void *context, const void **ret_data)
{
    struct passing *p = &((struct passing_filter *) context)->out;
    size_t size = p->end - p->start;

    if (size == 0)
        return p->has_ended ? 0 : ALOOP_EAGAIN;
    if (size > p->step)
        size = p->step;
    *ret_data = p->bytes + p->start;
    p->start += size;
    return (ssize_t) size;
}

static inline bool passing_has(const struct passing *p)
{
    return p->end > p->start || p->has_ended;
}

static inline bool passing_is_idle(void *context)
{
    const struct passing_filter *f = context;

    return !passing_has(&f->in) && !passing_has(&f->out);
}

static const aloop_filter passing_filter = {
    .size = sizeof passing_filter,
    .name = "passing",
    .feed = passing_feed,
    .read = passing_read,
    .write = passing_write,
    .pull = passing_pull,
    .close = free,
    .is_idle = passing_is_idle,
};

/* Returns a context for `passing_filter`, which frees it. */
static inline struct passing_filter *new_passing(size_t room, size_t step)
{
    struct passing_filter *f = calloc(1, sizeof *f);

    if (f == NULL)
        abort();
    f->in.room = f->out.room = room;
    f->in.step = f->out.step = step;
    return f;
}

#endif
