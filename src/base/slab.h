/* Allocation of small objects that are created and freed often.
 *
 * Memory is taken from the allocator in chunks, each for objects of one size.
 * Freed objects are reused last in, first out.  Trimming, described below,
 * frees chunks whose objects were all unused for some time.  Closing the slab
 * frees all chunks, even if objects are still in use.
 *
 * Chunks have an allocator of their own, because malloc() may keep freed memory
 * instead of returning it to the system.  Under AddressSanitizer each object is
 * a separate allocation, so that a use after free is detected. */

#ifndef ALOOP_BASE_SLAB_H
#define ALOOP_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/list.h"

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

enum { SLAB_STEP = 32, SLAB_CLASSES = 20, SLAB_MAX = SLAB_STEP * SLAB_CLASSES };

/* Chunks of this size contain many objects of one class.  They fill one huge
 * page, so that the objects need few entries of the TLB. */
enum { CHUNK_SIZE_HUGE = 2 * 1024 * 1024 };

struct aloop__chunk;

/* A free object.  The link is stored in the object itself. */
struct slab_free {
    struct slab_free *next;
};

struct aloop__slab {
    const struct aloop__alloc *alloc;
    const struct aloop__alloc *chunk_alloc;
    /* Free objects by class, last in, first out. */
    struct slab_free *free[SLAB_CLASSES];
    size_t used; /* Size of all objects in use, in units of SLAB_STEP bytes. */
    struct aloop__slab_class {
        struct slab_free *aging; /* Free since the current window began. */
        struct slab_free *stale; /* Free during all of the window before. */
        /* Chunks that have free objects of their own. */
        struct aloop__node partial;
        /* A small chunk in `partial` whose objects are all free, or NULL. */
        struct aloop__chunk *empty;
        size_t room; /* Size of all chunks in bytes. */
    } classes[SLAB_CLASSES];
    /* All chunks that are in no `partial` list. */
    struct aloop__node chunks;
    /* Size of all objects in all chunks, in units of SLAB_STEP bytes. */
    size_t room;
    /* Size of the free objects that were returned to their chunks, in the same
     * unit. */
    size_t returned;
    struct aloop__chunk **map; /* All chunks, hashed by address. */
    size_t map_size;           /* A power of two, or 0. */
    /* Number of chunks in the map. */
    size_t map_count;
};

/* Initialises a slab.  Only chunks are allocated with `chunk_alloc`.  Unless it
 * is `alloc`, it must align blocks of CHUNK_SIZE_HUGE bytes to their size. */
void aloop__slab_open(struct aloop__slab *slab,
                      const struct aloop__alloc *alloc,
                      const struct aloop__alloc *chunk_alloc);
/* Frees all memory of the slab, objects in use included. */
void aloop__slab_close(struct aloop__slab *slab);

/* Returns a zeroed object, or NULL if out of memory.  `size` is at most
 * SLAB_MAX. */
void *aloop__slab_get(struct aloop__slab *slab, size_t size);
/* Does the same without clearing the object, for small objects that are created
 * often. */
void *aloop__slab_take(struct aloop__slab *slab, size_t size);
/* Does the same inline, for a constant size.  Returns NULL if no object of this
 * size is free. */
static inline void *aloop__slab_take_free(struct aloop__slab *slab, size_t size)
{
    size_t units = (size + SLAB_STEP - 1) / SLAB_STEP;
    struct slab_free *object = slab->free[units - 1];

    if (object == NULL)
        return NULL;
    slab->free[units - 1] = object->next;
    slab->used += units;
    return object;
}
/* The same, but NULL means that it is out of memory. */
static inline void *aloop__slab_take_inline(struct aloop__slab *slab,
                                            size_t size)
{
    void *object = aloop__slab_take_free(slab, size);

    return object != NULL ? object : aloop__slab_take(slab, size);
}
/* Adds an object of a chunk to those that are free.  Its memory becomes the
 * link of the list. */
static inline void aloop__slab_put_free(struct aloop__slab *slab, void *object,
                                        size_t size)
{
    size_t units = (size + SLAB_STEP - 1) / SLAB_STEP;
    struct slab_free *free_object = object;

    free_object->next = slab->free[units - 1];
    slab->free[units - 1] = free_object;
    slab->used -= units;
}
/* Frees an object that was allocated with the same `size`.  `object` may be
 * NULL. */
void aloop__slab_put(struct aloop__slab *slab, void *object, size_t size);

/* Does the same inline, for an object that is not NULL.  If the slab has no
 * chunk, the object comes from a test that has replaced these functions. */
static inline void aloop__slab_put_inline(struct aloop__slab *slab,
                                          void *object, size_t size)
{
    if (SLAB_SINGLE || slab->room == 0)
        aloop__slab_put(slab, object, size);
    else
        aloop__slab_put_free(slab, object, size);
}

/* Trimming.  Time is divided into windows.  An object that stayed free during a
 * whole window is stale and is returned to its chunk.  A chunk whose objects
 * are all free is then freed.  Allocating and freeing objects do no part of
 * this work. */

/* Returns whether much more memory is free than in use.  The parts are added on
 * the right because separate allocations are in use but are not part of
 * `room`. */
static inline bool aloop__slab_has_spare(const struct aloop__slab *slab)
{
    enum { SPARE_UNITS_MIN = 256 * 1024 / SLAB_STEP };
    size_t units = slab->used + slab->returned;

    return slab->room > units + SPARE_UNITS_MIN &&
           slab->room - units > slab->used / 2;
}
/* Ends the current window and begins the next one. */
void aloop__slab_end_window(struct aloop__slab *slab);
/* Returns up to 128 stale objects to their chunks.  Returns false if there
 * were none. */
bool aloop__slab_trim(struct aloop__slab *slab);

#endif
