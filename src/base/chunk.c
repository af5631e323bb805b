/* The chunks of a slab, and the map from an object to its chunk.
 *
 * The map is a hash table with linear probing that is at most half full.  The
 * key is the number of the 8 KiB page in which a chunk begins.  Every chunk is
 * larger than such a page, so that no two chunks begin in the same one.  An
 * object is looked up in its own page and then in the pages before it, as far
 * as a large chunk reaches.  A computation from the address alone is not
 * possible, because the allocator may align chunks no better than malloc()
 * does.  Only huge chunks are aligned. */

#include "base/chunk.h"

#include <stdint.h>

/* SLAB_PAGE_SHIFT: pages of the map, which are not those of the system.
 * PAGES_BEFORE: how many pages before that of its object a chunk may begin. */
enum {
    SLAB_PAGE_SHIFT = 13,
    PAGES_BEFORE = (CHUNK_SIZE_LARGE >> SLAB_PAGE_SHIFT) + 1,
    MAP_SIZE_MIN = 16
};

_Static_assert(CHUNK_SIZE >= 1 << SLAB_PAGE_SHIFT,
               "two chunks may share a page");

static uintptr_t page_of(const void *address)
{
    return (uintptr_t) address >> SLAB_PAGE_SHIFT;
}

/* Returns where the search for a page begins.  The multiplier is 2 to the 64th
 * divided by the golden ratio: it spreads neighbouring pages. */
static size_t place_of(const struct aloop__slab *slab, uintptr_t page)
{
    uint64_t hash = (uint64_t) page * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t) (hash >> 32) & (slab->map_size - 1);
}

static size_t after(const struct aloop__slab *slab, size_t place)
{
    return (place + 1) & (slab->map_size - 1);
}

/* The map has a free place, because it is at most half full. */
static void insert(struct aloop__slab *slab, struct aloop__chunk *chunk)
{
    size_t place = place_of(slab, page_of(chunk));

    while (slab->map[place] != NULL)
        place = after(slab, place);
    slab->map[place] = chunk;
}

/* Moves later entries of the probe sequence back into the gap.  Otherwise a
 * lookup would stop at the gap and miss them. */
static void close_gap(struct aloop__slab *slab, size_t gap)
{
    size_t mask = slab->map_size - 1;

    for (size_t at = after(slab, gap); slab->map[at] != NULL;
         at = after(slab, at)) {
        size_t home = place_of(slab, page_of(slab->map[at]));

        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        slab->map[gap] = slab->map[at];
        slab->map[at] = NULL;
        gap = at;
    }
}

/* Returns the chunk that begins in `page`, or NULL.  *ret_place is its place in
 * the map, or the empty place where the search ended. */
static struct aloop__chunk *find_chunk(const struct aloop__slab *slab,
                                       uintptr_t page, size_t *ret_place)
{
    size_t place = place_of(slab, page);

    while (slab->map[place] != NULL && page_of(slab->map[place]) != page)
        place = after(slab, place);
    *ret_place = place;
    return slab->map[place];
}

/* Replaces the map by one of another size.  Returns false if out of memory, and
 * leaves it as it is. */
static bool resize_map(struct aloop__slab *slab, size_t size)
{
    struct aloop__chunk **old = slab->map;
    size_t old_size = slab->map_size;
    struct aloop__chunk **map =
        aloop__alloc_zero(slab->alloc, size * sizeof *map);

    if (map == NULL)
        return false;
    slab->map = map;
    slab->map_size = size;
    for (size_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            insert(slab, old[i]);
    aloop__alloc_free(slab->alloc, old, old_size * sizeof *old);
    return true;
}

/* Allocates a chunk that is in slab->chunks and not in the map. */
static struct aloop__chunk *new_chunk(struct aloop__slab *slab, size_t size)
{
    struct aloop__chunk *chunk = aloop__alloc_new(slab->chunk_alloc, size);

    if (chunk == NULL)
        return NULL;
    list_init(&chunk->node);
    chunk->free = NULL;
    chunk->count = 0;
    chunk->size = (uint32_t) size;
    list_push(&slab->chunks, &chunk->node);
    return chunk;
}

static size_t size_of_next(const struct aloop__slab *slab, size_t class)
{
    if (slab->chunk_alloc != slab->alloc &&
        slab->classes[class].room >= HUGE_ROOM)
        return CHUNK_SIZE_HUGE;
    return slab->map_count < SMALL_CHUNKS ? CHUNK_SIZE : CHUNK_SIZE_LARGE;
}

/* Where memory is limited, a large chunk may still fit if a huge one does
 * not. */
static struct aloop__chunk *new_of_class(struct aloop__slab *slab, size_t class)
{
    size_t size = size_of_next(slab, class);
    struct aloop__chunk *chunk = new_chunk(slab, size);

    if (chunk == NULL && size > CHUNK_SIZE_LARGE)
        chunk = new_chunk(slab, CHUNK_SIZE_LARGE);
    return chunk;
}

/* The map grows before the chunk exists, so that a failure has nothing to
 * undo. */
struct aloop__chunk *aloop__chunk_new(struct aloop__slab *slab, size_t class)
{
    struct aloop__chunk *chunk;

    if (slab->map_count * 2 >= slab->map_size &&
        !resize_map(slab,
                    slab->map_size == 0 ? MAP_SIZE_MIN : slab->map_size * 2))
        return NULL;
    chunk = new_of_class(slab, class);
    if (chunk == NULL)
        return NULL;
    insert(slab, chunk);
    slab->map_count++;
    slab->classes[class].room += chunk->size;
    slab->room += aloop__chunk_room(chunk, class) * (class + 1);
    return chunk;
}

void aloop__chunk_free(struct aloop__slab *slab, size_t class,
                       struct aloop__chunk *chunk)
{
    size_t room = aloop__chunk_room(chunk, class) * (class + 1), place;

    assert(chunk->count == aloop__chunk_room(chunk, class));
    find_chunk(slab, page_of(chunk), &place);
    slab->map[place] = NULL;
    close_gap(slab, place);
    slab->map_count--;
    slab->classes[class].room -= chunk->size;
    slab->room -= room;
    slab->returned -= room;
    list_remove(&chunk->node);
    aloop__alloc_free(slab->chunk_alloc, chunk, chunk->size);
}

static bool has_object(const struct aloop__chunk *chunk, const void *object)
{
    return chunk != NULL && (const char *) chunk < (const char *) object &&
           (const char *) object < (const char *) chunk + chunk->size;
}

/* The chunk that is found first need not be that of the object: one that begins
 * in a page before may end before the object. */
struct aloop__chunk *aloop__chunk_of(const struct aloop__slab *slab,
                                     const void *object)
{
    uintptr_t page = page_of(object);
    uintptr_t huge = (uintptr_t) object & -(uintptr_t) CHUNK_SIZE_HUGE;
    size_t place;
    struct aloop__chunk *chunk =
        find_chunk(slab, huge >> SLAB_PAGE_SHIFT, &place);

    if (has_object(chunk, object))
        return chunk;
    for (int i = 0; i <= PAGES_BEFORE; i++) {
        chunk = find_chunk(slab, page - (uintptr_t) i, &place);
        if (has_object(chunk, object))
            return chunk;
    }
    assert(false);
    return NULL;
}

struct aloop__chunk *aloop__chunk_new_single(struct aloop__slab *slab,
                                             size_t size)
{
    return new_chunk(slab, sizeof(struct aloop__chunk) + size);
}

void aloop__chunk_free_single(struct aloop__slab *slab, void *object)
{
    struct aloop__chunk *chunk = (struct aloop__chunk *) object - 1;

    list_remove(&chunk->node);
    aloop__alloc_free(slab->chunk_alloc, chunk, chunk->size);
}

void aloop__chunks_shrink(struct aloop__slab *slab)
{
    if (slab->map_size > MAP_SIZE_MIN && slab->map_count * 8 < slab->map_size)
        (void) resize_map(slab, slab->map_size / 2);
}

void aloop__chunks_close(struct aloop__slab *slab)
{
    aloop__alloc_free(slab->alloc, slab->map,
                      slab->map_size * sizeof *slab->map);
    slab->map = NULL;
    slab->map_size = 0;
}
