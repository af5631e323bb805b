/* The chunks of a slab, and the map from an object to its chunk. */

#ifndef ALOOP_BASE_CHUNK_H
#define ALOOP_BASE_CHUNK_H

#include <stdint.h>

#include "base/slab.h"

/* The first chunks of a slab are small, because many programs need little
 * memory.  Later ones are large, because each chunk costs system calls.  A
 * class whose chunks have HUGE_ROOM bytes gets huge ones: the memory that an
 * unused one wastes is then at most half of what is used. */
enum {
    CHUNK_SIZE = 16 * 1024 - 64,
    CHUNK_SIZE_LARGE = 64 * 1024 - 64,
    SMALL_CHUNKS = 128, /* Together 2 MiB. */
    HUGE_ROOM = 2 * CHUNK_SIZE_HUGE
};

/* The header of a chunk; its objects follow.  The header fills one cache line,
 * so that in a page-aligned chunk the objects are aligned to cache lines
 * too. */
struct aloop__chunk {
    struct aloop__node node;
    /* Free objects that trimming has returned to this chunk, and their
     * number. */
    struct slab_free *free;
    uint32_t count;
    uint32_t size; /* Bytes of the whole chunk. */
    char unused[64 - sizeof(struct aloop__node) - sizeof(void *) - 8];
};

/* Returns the number of objects of `class` that fit into the chunk. */
static inline size_t aloop__chunk_room(const struct aloop__chunk *chunk,
                                       size_t class)
{
    return (chunk->size - sizeof *chunk) / ((class + 1) * SLAB_STEP);
}

/* Allocates a chunk and adds it to slab->chunks and to the map.  Returns NULL
 * if out of memory. */
struct aloop__chunk *aloop__chunk_new(struct aloop__slab *slab, size_t class);
/* Frees the chunk.  All of its objects must be free and in chunk->free. */
void aloop__chunk_free(struct aloop__slab *slab, size_t class,
                       struct aloop__chunk *chunk);
/* Returns the chunk of `object`, which must be part of a chunk from
 * aloop__chunk_new(). */
struct aloop__chunk *aloop__chunk_of(const struct aloop__slab *slab,
                                     const void *object);

/* Allocates a chunk for a single object.  It is not in the map, so that the
 * functions above must not be called with it. */
struct aloop__chunk *aloop__chunk_new_single(struct aloop__slab *slab,
                                             size_t size);
void aloop__chunk_free_single(struct aloop__slab *slab, void *object);

/* Halves the map if it is less than one eighth full. */
void aloop__chunks_shrink(struct aloop__slab *slab);
/* Frees the map, but not the chunks. */
void aloop__chunks_close(struct aloop__slab *slab);

#endif
