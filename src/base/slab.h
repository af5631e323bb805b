/* Objects of a few sizes, allocated and freed all the time.
 *
 * Memory is taken from the allocator in chunks, each for objects of one size.
 * What is freed is handed out again, last in, first out.  Chunks whose objects
 * were all free for a while are given back by the trimming, see below; the rest
 * when the slab is closed, whatever is still in use then.  Chunks have an
 * allocator of their own, because malloc may keep what it is given back.  Under
 * AddressSanitizer each object is an allocation of its own, so that a use after
 * free is seen. */

#ifndef ALOOP_BASE_SLAB_H
#define ALOOP_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/list.h"

enum { SLAB_STEP = 32, SLAB_CLASSES = 20, SLAB_MAX = SLAB_STEP * SLAB_CLASSES };

struct aloop__chunk;

struct aloop__slab {
    const struct aloop__alloc *alloc;
    const struct aloop__alloc *chunk_alloc;
    struct slab_free *free[SLAB_CLASSES]; /* By size, last in, first out. */
    size_t used; /* What is handed out, in units of SLAB_STEP bytes. */
    struct aloop__slab_class {
        struct slab_free *idle;    /* Not used since the window began. */
        struct slab_free *surplus; /* Not used in the window before. */
        struct aloop__node partial; /* Chunks that have free objects of their
                                     * own. */
        struct aloop__chunk *empty; /* One of them that is small and free as a
                                     * whole. */
    } classes[SLAB_CLASSES];
    struct aloop__node chunks; /* All that are in no list of partial ones. */
    size_t room;    /* For objects, in all chunks; in units of SLAB_STEP. */
    size_t settled; /* Of it, what is free in partial chunks. */
    struct aloop__chunk **map; /* All chunks, hashed by address. */
    size_t map_size;           /* A power of two, or 0. */
    size_t map_count;
};

/* Nothing but chunks comes from `chunk_alloc`. */
void aloop__slab_open(struct aloop__slab *slab,
                      const struct aloop__alloc *alloc,
                      const struct aloop__alloc *chunk_alloc);
void aloop__slab_close(struct aloop__slab *slab);

/* Zeroed; size is at most SLAB_MAX.  NULL when there is no memory. */
void *aloop__slab_get(struct aloop__slab *slab, size_t size);
/* The same with indeterminate contents, for what is small and often made. */
void *aloop__slab_take(struct aloop__slab *slab, size_t size);
/* `size` is what it was got with; `object` may be NULL. */
void aloop__slab_put(struct aloop__slab *slab, void *object, size_t size);

/* Trimming.  Time is divided into windows; what was not handed out during a
 * whole window is sorted by chunks, and chunks that are free as a whole go
 * back.  Getting and putting take no part in that. */

/* Whether much more is free than in use. */
bool aloop__slab_has_spare(const struct aloop__slab *slab);
/* A window ends, and the next one begins. */
void aloop__slab_end_window(struct aloop__slab *slab);
/* Sorts a few objects; false if there were none left. */
bool aloop__slab_trim(struct aloop__slab *slab);

#endif
