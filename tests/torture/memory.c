/* Memory of the library during torture.
 *
 * Each block stores its size, is overwritten when it is freed, and moves
 * whenever it is resized, so that a use of freed memory is detected.  The
 * linker (--wrap) redirects calls to slabs, pages and the default allocator to
 * this file, so that each object is counted and can fail. */

#define _GNU_SOURCE

#include "point.h"
#include "programs.h"

#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "simulator/sim_world.h"

static struct {
    size_t bytes; /* Allocated, single objects included. */
    size_t page_bytes;
    size_t object_bytes; /* In single objects of open slabs. */
    size_t lost;         /* Objects in use when their slab was closed. */
    bool has_slabs;
    bool may_lose;  /* The scenario leaves objects in use. */
    bool may_leave; /* The scenario leaves all memory in use. */
} memory;

struct header {
    _Alignas(max_align_t) size_t size;
    struct header *prev, *next; /* In `blocks`. */
};

/* All blocks.  A scenario may leave objects, which valgrind would take for
 * leaks if nothing referred to them.  point_check_memory() finds real leaks. */
static struct header *blocks;

static void link_block(struct header *header)
{
    header->prev = NULL;
    header->next = blocks;
    if (blocks != NULL)
        blocks->prev = header;
    blocks = header;
}

static void unlink_block(struct header *header)
{
    if (header->next != NULL)
        header->next->prev = header->prev;
    if (header->prev != NULL)
        header->prev->next = header->next;
    else
        blocks = header->next;
}

static void free_block(void *old, size_t old_size)
{
    struct header *header = old;

    if (old == NULL)
        return;
    header--;
    torture_expect(header->size == old_size,
                   "freed twice, or with another size");
    memory.bytes -= old_size;
    unlink_block(header);
    memset(header, 0xdd, sizeof *header + old_size);
    free(header);
}

void *point_resize(void *context, void *old, size_t old_size, size_t size)
{
    struct header *header;

    (void) context;
    if (size == 0) {
        free_block(old, old_size);
        return NULL;
    }
    if (point_memory_fails())
        return NULL;
    header = malloc(sizeof *header + size);
    torture_expect(header != NULL, "the test ran out of memory");
    header->size = size;
    link_block(header);
    memset(header + 1, 0xaa, size);
    if (old != NULL)
        memcpy(header + 1, old, size < old_size ? size : old_size);
    memory.bytes += size;
    free_block(old, old_size);
    return header + 1;
}

/* Allocations that programs make themselves. */

void *torture_malloc(size_t size)
{
    return point_resize(NULL, NULL, 0, size > 0 ? size : 1);
}

void *torture_calloc(size_t count, size_t size)
{
    void *block = NULL;

    if (size == 0 || count <= SIZE_MAX / size)
        block = torture_malloc(count * size);
    if (block != NULL)
        memset(block, 0, count * size);
    return block;
}

static size_t size_of(const void *block)
{
    return block == NULL ? 0 : ((const struct header *) block - 1)->size;
}

void *torture_realloc(void *old, size_t size)
{
    return point_resize(NULL, old, size_of(old), size > 0 ? size : 1);
}

void torture_free(void *old)
{
    point_resize(NULL, old, size_of(old), 0);
}

void point_use_memory(bool has_slabs)
{
    memory.has_slabs = has_slabs;
}

void torture_leave_objects(void)
{
    memory.may_lose = true;
}

void torture_leave_memory(void)
{
    memory.may_leave = true;
}

bool point_leaves_memory(void)
{
    return memory.may_leave;
}

void point_check_memory(void)
{
    if (memory.may_leave)
        return;
    torture_expect(memory.lost == 0 || memory.may_lose, "leaks objects");
    torture_expect(memory.bytes == 0, "leaks bytes");
    torture_expect(memory.page_bytes == 0, "leaks pages");
}

#ifdef WITH_WRAPS

extern const struct aloop__alloc __wrap_aloop__alloc_default;
void *__real_aloop__slab_get(struct aloop__slab *slab, size_t size);
void *__wrap_aloop__slab_get(struct aloop__slab *slab, size_t size);
void *__real_aloop__slab_take(struct aloop__slab *slab, size_t size);
void *__wrap_aloop__slab_take(struct aloop__slab *slab, size_t size);
void __real_aloop__slab_put(struct aloop__slab *slab, void *object,
                            size_t size);
void __wrap_aloop__slab_put(struct aloop__slab *slab, void *object,
                            size_t size);
void __real_aloop__slab_close(struct aloop__slab *slab);
void __wrap_aloop__slab_close(struct aloop__slab *slab);
void *__real_aloop__sys_pages_map(size_t size);
void *__wrap_aloop__sys_pages_map(size_t size);
void *__real_aloop__sys_pages_map_huge(size_t size);
void *__wrap_aloop__sys_pages_map_huge(size_t size);
void __real_aloop__sys_pages_unmap(void *pages, size_t size);
void __wrap_aloop__sys_pages_unmap(void *pages, size_t size);
int __real_aloop__sys_pages_guard(void *pages, size_t size, bool is_light);
int __wrap_aloop__sys_pages_guard(void *pages, size_t size, bool is_light);

const struct aloop__alloc __wrap_aloop__alloc_default = {point_resize, NULL};

void *__wrap_aloop__slab_take(struct aloop__slab *slab, size_t size)
{
    void *object;

    if (memory.has_slabs)
        return __real_aloop__slab_take(slab, size);
    object = aloop__alloc_new(slab->alloc, size);
    slab->used += object != NULL;
    memory.object_bytes += object != NULL ? size : 0;
    return object;
}

void *__wrap_aloop__slab_get(struct aloop__slab *slab, size_t size)
{
    void *object = __wrap_aloop__slab_take(slab, size);

    if (object != NULL)
        memset(object, 0, size);
    return object;
}

void __wrap_aloop__slab_put(struct aloop__slab *slab, void *object, size_t size)
{
    if (memory.has_slabs || object == NULL) {
        __real_aloop__slab_put(slab, object, size);
        return;
    }
    slab->used--;
    memory.object_bytes -= size;
    aloop__alloc_free(slab->alloc, object, size);
}

void __wrap_aloop__slab_close(struct aloop__slab *slab)
{
    memory.lost += slab->used;
    if (!memory.has_slabs)
        memory.bytes -= memory.object_bytes; /* They are counted as lost. */
    __real_aloop__slab_close(slab);
}

void *__wrap_aloop__sys_pages_map(size_t size)
{
    void *pages = sim__enter(CALL_sys_pages_map) < 0
                      ? NULL
                      : __real_aloop__sys_pages_map(size);

    if (pages != NULL)
        memory.page_bytes += size;
    return pages;
}

void *__wrap_aloop__sys_pages_map_huge(size_t size)
{
    void *pages = sim__enter(CALL_sys_pages_map_huge) < 0
                      ? NULL
                      : __real_aloop__sys_pages_map_huge(size);

    if (pages != NULL)
        memory.page_bytes += size;
    return pages;
}

void __wrap_aloop__sys_pages_unmap(void *pages, size_t size)
{
    if (pages != NULL)
        memory.page_bytes -= size;
    __real_aloop__sys_pages_unmap(pages, size);
}

int __wrap_aloop__sys_pages_guard(void *pages, size_t size, bool is_light)
{
    int fault = sim__enter(CALL_sys_pages_guard);

    return fault < 0 ? fault
                     : __real_aloop__sys_pages_guard(pages, size, is_light);
}

#endif
