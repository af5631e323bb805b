/* Slabs: chunks cut into objects of one size, free ones in a list per size. */

#include "base/slab.h"

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_SINGLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_SINGLE 1
#endif
#endif
#ifndef SLAB_SINGLE
#define SLAB_SINGLE 0
#endif

enum { CHUNK_SIZE = 16 * 1024 - 64 };

struct slab_free {
    struct slab_free *next;
};

/* What precedes the objects of a chunk. */
struct chunk {
    struct aloop__node node; /* In slab->chunks. */
    size_t size;             /* Of the whole chunk, for the allocator. */
    size_t reserved;         /* Keeps what follows aligned to 16. */
};

static size_t class_of(size_t size)
{
    return (size + SLAB_STEP - 1) / SLAB_STEP - 1;
}

static size_t size_of(size_t class)
{
    return (class + 1) * SLAB_STEP;
}

void aloop__slab_open(struct aloop__slab *slab,
                      const struct aloop__alloc *alloc)
{
    memset(slab, 0, sizeof *slab);
    slab->alloc = alloc;
    list_init(&slab->chunks);
}

static void free_chunk(struct aloop__slab *slab, struct chunk *chunk)
{
    aloop__alloc_free(slab->alloc, chunk, chunk->size);
}

void aloop__slab_close(struct aloop__slab *slab)
{
    struct aloop__node *node;

    while ((node = list_pop(&slab->chunks)) != NULL)
        free_chunk(slab, CONTAINER_OF(node, struct chunk, node));
}

static struct chunk *new_chunk(struct aloop__slab *slab, size_t size)
{
    struct chunk *chunk = aloop__alloc_new(slab->alloc, size);

    if (chunk == NULL)
        return NULL;
    list_init(&chunk->node);
    chunk->size = size;
    list_push(&slab->chunks, &chunk->node);
    return chunk;
}

/* Cuts a new chunk; the lowest address is handed out first. */
static void refill(struct aloop__slab *slab, size_t class)
{
    size_t size = size_of(class);
    struct chunk *chunk = new_chunk(slab, CHUNK_SIZE);
    char *first;

    if (chunk == NULL)
        return;
    first = (char *) (chunk + 1);
    for (size_t i = (CHUNK_SIZE - sizeof *chunk) / size; i-- > 0;) {
        struct slab_free *object = (void *) (first + i * size);

        object->next = slab->free[class];
        slab->free[class] = object;
    }
}

static void *get_single(struct aloop__slab *slab, size_t size)
{
    struct chunk *chunk = new_chunk(slab, sizeof *chunk + size);

    return chunk == NULL ? NULL : chunk + 1;
}

static void put_single(struct aloop__slab *slab, void *object)
{
    struct chunk *chunk = (struct chunk *) object - 1;

    list_remove(&chunk->node);
    free_chunk(slab, chunk);
}

static void *get_shared(struct aloop__slab *slab, size_t class)
{
    struct slab_free *object;

    if (slab->free[class] == NULL)
        refill(slab, class);
    object = slab->free[class];
    if (object != NULL)
        slab->free[class] = object->next;
    return object;
}

void *aloop__slab_take(struct aloop__slab *slab, size_t size)
{
    void *object;

    assert(size > 0 && size <= SLAB_MAX);
    object = SLAB_SINGLE ? get_single(slab, size)
                         : get_shared(slab, class_of(size));
    slab->used += object != NULL;
    return object;
}

void *aloop__slab_get(struct aloop__slab *slab, size_t size)
{
    void *object = aloop__slab_take(slab, size);

    if (object != NULL)
        memset(object, 0, size);
    return object;
}

void aloop__slab_put(struct aloop__slab *slab, void *object, size_t size)
{
    struct slab_free *free_object = object;

    if (object == NULL)
        return;
    slab->used--;
    if (SLAB_SINGLE) {
        put_single(slab, object);
        return;
    }
    free_object->next = slab->free[class_of(size)];
    slab->free[class_of(size)] = free_object;
}
