/* Slabs: chunks cut into objects of one size, with a free list for each size.
 *
 * The way of an object that is freed and not needed for a while:
 *
 *     free ----> aging ----> stale ----> chunk->free ----> its chunk is freed
 *       \__end of a window__/   \__step of trimming__/
 *
 * An object is taken from these lists in the order free, partial chunks, aging,
 * stale, and only then from a new chunk.  Get and put touch the first list
 * only. */

#include "base/slab.h"

#include <stdint.h>
#include <string.h>

#include "base/chunk.h"

enum {
    DRAW_BATCH = 32, /* Objects moved from `aging` or `stale` at a time. */
    STEP = 128       /* Objects that one step of trimming returns. */
};

/* Returns the size class: class i has objects of (i + 1) * SLAB_STEP bytes. */
static size_t class_of(size_t size)
{
    return (size + SLAB_STEP - 1) / SLAB_STEP - 1;
}

void aloop__slab_open(struct aloop__slab *slab,
                      const struct aloop__alloc *alloc,
                      const struct aloop__alloc *chunk_alloc)
{
    memset(slab, 0, sizeof *slab);
    slab->alloc = alloc;
    slab->chunk_alloc = SLAB_SINGLE ? alloc : chunk_alloc;
    list_init(&slab->chunks);
    for (size_t i = 0; i < SLAB_CLASSES; i++)
        list_init(&slab->classes[i].partial);
}

/* Frees the chunks of a list, with their objects. */
static void free_all(struct aloop__slab *slab, struct aloop__node *list)
{
    struct aloop__node *node;

    while ((node = list_pop(list)) != NULL) {
        struct aloop__chunk *chunk =
            CONTAINER_OF(node, struct aloop__chunk, node);

        aloop__alloc_free(slab->chunk_alloc, chunk, chunk->size);
    }
}

void aloop__slab_close(struct aloop__slab *slab)
{
    free_all(slab, &slab->chunks);
    for (size_t i = 0; i < SLAB_CLASSES; i++)
        free_all(slab, &slab->classes[i].partial);
    aloop__chunks_close(slab);
}

/* Cuts a new chunk into free objects.  The highest address is handed out first:
 * most systems place each new mapping below the one before, so that the
 * addresses of many new objects fall steadily, across chunks too. */
static void cut(struct aloop__slab *slab, size_t class)
{
    struct aloop__chunk *chunk = aloop__chunk_new(slab, class);
    size_t size = (class + 1) * SLAB_STEP;
    char *first;

    if (chunk == NULL)
        return;
    first = (char *) (chunk + 1);
    for (size_t i = 0; i < aloop__chunk_room(chunk, class); i++) {
        struct slab_free *object = (void *) (first + i * size);

        object->next = slab->free[class];
        slab->free[class] = object;
    }
}

/* Moves all free objects of the chunk to the free list of its class, which is
 * empty. */
static void draw_chunk(struct aloop__slab *slab, size_t class,
                       struct aloop__chunk *chunk)
{
    if (slab->classes[class].empty == chunk)
        slab->classes[class].empty = NULL;
    slab->free[class] = chunk->free;
    slab->returned -= chunk->count * (class + 1);
    chunk->free = NULL;
    chunk->count = 0;
    list_remove(&chunk->node);
    list_push(&slab->chunks, &chunk->node);
}

/* Moves the first objects from one list to another, which is empty. */
static void draw_batch(struct slab_free **from, struct slab_free **to)
{
    struct slab_free *last = *from;

    *to = last;
    for (int i = 1; i < DRAW_BATCH && last->next != NULL; i++)
        last = last->next;
    *from = last->next;
    last->next = NULL;
}

/* Fills an empty free list.  Objects of partial chunks are preferred to aging
 * ones, so that the chunks of aging objects can become entirely free. */
static void refill(struct aloop__slab *slab, size_t class)
{
    struct aloop__slab_class *at = &slab->classes[class];

    if (!list_is_empty(&at->partial))
        draw_chunk(slab, class,
                   CONTAINER_OF(at->partial.next, struct aloop__chunk, node));
    else if (at->aging != NULL)
        draw_batch(&at->aging, &slab->free[class]);
    else if (at->stale != NULL)
        draw_batch(&at->stale, &slab->free[class]);
    else
        cut(slab, class);
}

/* Under AddressSanitizer: `used` then counts objects. */
static void *get_single(struct aloop__slab *slab, size_t size)
{
    struct aloop__chunk *chunk = aloop__chunk_new_single(slab, size);

    if (chunk == NULL)
        return NULL;
    slab->used++;
    return chunk + 1;
}

/* Takes the first object of the free list, which is not empty. */
static void *hand_out(struct aloop__slab *slab, size_t class)
{
    struct slab_free *object = slab->free[class];

    slab->free[class] = object->next;
    slab->used += class + 1;
    return object;
}

/* Apart, so that the way of almost every object is short. */
__attribute__((noinline)) static void *get_refilled(struct aloop__slab *slab,
                                                    size_t class)
{
    refill(slab, class);
    return slab->free[class] == NULL ? NULL : hand_out(slab, class);
}

static inline void *get(struct aloop__slab *slab, size_t size)
{
    size_t class = class_of(size);

    assert(size > 0 && size <= SLAB_MAX);
    if (SLAB_SINGLE)
        return get_single(slab, size);
    if (slab->free[class] == NULL)
        return get_refilled(slab, class);
    return hand_out(slab, class);
}

void *aloop__slab_take(struct aloop__slab *slab, size_t size)
{
    return get(slab, size);
}

void *aloop__slab_get(struct aloop__slab *slab, size_t size)
{
    void *object = get(slab, size);

    return object == NULL ? NULL : memset(object, 0, size);
}

void aloop__slab_put(struct aloop__slab *slab, void *object, size_t size)
{
    if (object == NULL)
        return;
    if (SLAB_SINGLE) {
        slab->used--;
        aloop__chunk_free_single(slab, object);
        return;
    }
    aloop__slab_put_free(slab, object, size);
}

/* A class that still has stale objects keeps both of its lists.  Joining two
 * lists would take time proportional to their length. */
void aloop__slab_end_window(struct aloop__slab *slab)
{
    for (size_t i = 0; i < SLAB_CLASSES; i++) {
        struct aloop__slab_class *at = &slab->classes[i];

        if (at->stale != NULL)
            continue;
        at->stale = at->aging;
        at->aging = slab->free[i];
        slab->free[i] = NULL;
    }
}

/* Returns a stale object to its chunk.  Frees the chunk if it is now entirely
 * free, except that one small chunk per class is kept. */
static void sort(struct aloop__slab *slab, size_t class,
                 struct slab_free *object)
{
    struct aloop__slab_class *at = &slab->classes[class];
    struct aloop__chunk *chunk = aloop__chunk_of(slab, object);

    object->next = chunk->free;
    chunk->free = object;
    slab->returned += class + 1;
    if (chunk->count++ == 0) {
        list_remove(&chunk->node);
        list_push(&at->partial, &chunk->node);
    }
    if (chunk->count < aloop__chunk_room(chunk, class))
        return;
    if (at->empty != NULL || chunk->size > CHUNK_SIZE)
        aloop__chunk_free(slab, class, chunk);
    else
        at->empty = chunk;
}

/* One step of trimming.  Its time is bounded by the number of objects. */
bool aloop__slab_trim(struct aloop__slab *slab)
{
    int sorted = 0;

    for (size_t i = 0; i < SLAB_CLASSES && sorted < STEP; i++) {
        struct aloop__slab_class *at = &slab->classes[i];

        for (; at->stale != NULL && sorted < STEP; sorted++) {
            struct slab_free *object = at->stale;

            at->stale = object->next;
            sort(slab, i, object);
        }
    }
    aloop__chunks_shrink(slab);
    return sorted > 0;
}
