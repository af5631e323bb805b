/* The chunks of a slab, and how to find the one of an object. */

#ifndef ALOOP_BASE_CHUNK_H
#define ALOOP_BASE_CHUNK_H

#include <stdint.h>

#include "base/slab.h"

/* The first chunks of a slab are small, for programs that need little; later
 * ones are large, because each costs system calls. */
enum {
    CHUNK_SIZE = 16 * 1024 - 64,
    CHUNK_SIZE_LARGE = 64 * 1024 - 64,
    SMALL_CHUNKS = 128 /* 2 MiB. */
};

struct slab_free {
    struct slab_free *next;
};

/* What precedes the objects of a chunk.  It fills a line of the cache, so that
 * in a chunk that begins with a page the objects begin with a line, too. */
struct aloop__chunk {
    struct aloop__node node;
    struct slab_free *free; /* Objects that trimming has sorted here. */
    uint32_t count;         /* Of them. */
    uint32_t size;          /* Of the whole chunk, for the allocator. */
    char unused[64 - sizeof(struct aloop__node) - sizeof(void *) - 8];
};

/* How many objects of this class a chunk has. */
static inline size_t aloop__chunk_room(const struct aloop__chunk *chunk,
                                       size_t class)
{
    return (chunk->size - sizeof *chunk) / ((class + 1) * SLAB_STEP);
}

/* In slab->chunks; NULL without memory. */
struct aloop__chunk *aloop__chunk_new(struct aloop__slab *slab, size_t class);
/* All of its objects are free, and in chunk->free. */
void aloop__chunk_free(struct aloop__slab *slab, size_t class,
                       struct aloop__chunk *chunk);
/* The chunk of an object that chunk_new's memory was cut into. */
struct aloop__chunk *aloop__chunk_of(const struct aloop__slab *slab,
                                     const void *object);

/* For one object alone, which no other function here knows. */
struct aloop__chunk *aloop__chunk_new_single(struct aloop__slab *slab,
                                             size_t size);
void aloop__chunk_free_single(struct aloop__slab *slab, void *object);

/* Gives back what the map has too much. */
void aloop__chunks_shrink(struct aloop__slab *slab);
/* Frees the map alone. */
void aloop__chunks_close(struct aloop__slab *slab);

#endif
