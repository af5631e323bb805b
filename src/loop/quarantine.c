/* Objects that were freed in a debug loop; see quarantine.h. */

#include "loop/quarantine.h"

#include <stdio.h>
#include <string.h>

#include "loop/future.h"
#include "loop/handle.h"
#include "os/tools.h"

/* OBJECTS_MAX and BYTES_MAX limit what is kept.  FILL is a byte that is no
 * plausible value.  Only FILL_SIZE bytes at the top of a stack are filled,
 * which every task has used. */
enum {
    OBJECTS_MAX = 256,
    BYTES_MAX = 64 * 1024,
    KEPT_NAME_SIZE = 120,
    FILL = 0xdb,
    FILL_SIZE = 8 * 1024
};

/* Size of the part that stays readable under valgrind, because the checks of
 * debug.c read it. */
enum {
    HEADER_SIZE = sizeof(aloop_future) > sizeof(struct aloop__handle)
                      ? sizeof(aloop_future)
                      : sizeof(struct aloop__handle)
};

/* An object that was freed but is still kept. */
struct kept_object {
    void *object;
    size_t size;
    /* The name for reports; "" if that is the name of its kind. */
    char name[KEPT_NAME_SIZE];
};

/* A ring buffer; `first` is the oldest object. */
struct aloop__quarantine {
    struct kept_object objects[OBJECTS_MAX];
    size_t first;
    size_t count;
    size_t bytes;
};

/* Makes an object unreadable for checkers.  Without them it stays as it is. */
static void poison(const struct kept_object *at)
{
#if WITH_ASAN
    __asan_poison_memory_region(at->object, at->size);
#endif
#if WITH_VALGRIND
    if (at->size > HEADER_SIZE)
        (void) VALGRIND_MAKE_MEM_NOACCESS((char *) at->object + HEADER_SIZE,
                                          at->size - HEADER_SIZE);
#endif
    (void) at;
}

/* The slab writes into objects that are free. */
static void unpoison(const struct kept_object *at)
{
#if WITH_ASAN
    __asan_unpoison_memory_region(at->object, at->size);
#endif
#if WITH_VALGRIND
    (void) VALGRIND_MAKE_MEM_UNDEFINED(at->object, at->size);
#endif
    (void) at;
}

/* Returns the oldest object to the slab. */
static void release_first(aloop *loop)
{
    struct aloop__quarantine *kept = loop->quarantine;
    struct kept_object *at = &kept->objects[kept->first];

    unpoison(at);
    aloop__slab_put(&loop->slab, at->object, at->size);
    kept->count--;
    kept->bytes -= at->size;
    kept->first = (kept->first + 1) % OBJECTS_MAX;
}

/* Nothing is kept while the loop is being freed, because aloop_free() looks at
 * the number of objects that are left. */
void aloop__quarantine_put(aloop *loop, void *object, size_t size,
                           const char *name)
{
    struct aloop__quarantine *kept = loop->quarantine;
    struct kept_object *at;

    if (loop->is_dying) {
        aloop__slab_put(&loop->slab, object, size);
        return;
    }
    while (kept->count == OBJECTS_MAX ||
           (kept->count > 0 && kept->bytes + size > BYTES_MAX))
        release_first(loop);
    at = &kept->objects[(kept->first + kept->count) % OBJECTS_MAX];
    at->object = object;
    at->size = size;
    snprintf(at->name, sizeof at->name, "%s", name);
    kept->count++;
    kept->bytes += size;
    poison(at);
}

/* The result shows whether it is worth trying an allocation again. */
bool aloop__quarantine_drain(aloop *loop)
{
    bool was_any = loop->quarantine->count > 0;

    while (loop->quarantine->count > 0)
        release_first(loop);
    return was_any;
}

/* Memory that only serves to find mistakes must not make a program fail. */
void *aloop__quarantine_take(aloop *loop, size_t size)
{
    if (loop->debug == NULL || !aloop__quarantine_drain(loop))
        return NULL;
    return aloop__slab_get(&loop->slab, size);
}

/* A search through a few hundred objects, for a report only. */
const char *aloop__quarantine_name(const aloop *loop, const void *object)
{
    const struct aloop__quarantine *kept = loop->quarantine;

    for (size_t i = 0; i < kept->count; i++) {
        const struct kept_object *at =
            &kept->objects[(kept->first + i) % OBJECTS_MAX];

        if (at->object == object && at->name[0] != '\0')
            return at->name;
    }
    return NULL;
}

/* Under checkers, a stack that is not in use is unreadable anyway. */
void aloop__quarantine_fill(void *low, size_t size)
{
    size_t count = size < FILL_SIZE ? size : FILL_SIZE;

    if (!tools_hide_stacks())
        memset((char *) low + size - count, FILL, count);
}

int aloop__quarantine_open(aloop *loop)
{
    loop->quarantine =
        aloop__alloc_zero(&loop->alloc, sizeof *loop->quarantine);
    return loop->quarantine == NULL ? ALOOP_ENOMEM : 0;
}

void aloop__quarantine_close(aloop *loop)
{
    if (loop->quarantine == NULL)
        return;
    aloop__quarantine_drain(loop);
    aloop__alloc_free(&loop->alloc, loop->quarantine, sizeof *loop->quarantine);
    loop->quarantine = NULL;
}
