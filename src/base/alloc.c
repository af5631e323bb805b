/* The allocator.  All memory of a loop is allocated through one function
 * pointer, so that an application can replace it.
 *
 * Every caller knows the size of its block and passes it back, so that an
 * allocator need not store sizes.  Nothing else of the library calls malloc(),
 * except src/os for memory that can outlive its loop. */

#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Size 0 is handled apart, because the result of realloc(old, 0) differs
 * between systems (malloc(3)). */
static void *libc_resize(void *context, void *old, size_t old_size, size_t size)
{
    (void) context;
    (void) old_size;
    if (size > 0)
        return realloc(old, size);
    free(old);
    return NULL;
}

const struct aloop__alloc aloop__alloc_default = {libc_resize, NULL};

void *aloop__alloc_new(const struct aloop__alloc *alloc, size_t size)
{
    return alloc->resize(alloc->context, NULL, 0, size);
}

void *aloop__alloc_zero(const struct aloop__alloc *alloc, size_t size)
{
    void *memory = aloop__alloc_new(alloc, size);

    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

void *aloop__alloc_resize(const struct aloop__alloc *alloc, void *old,
                          size_t old_size, size_t size)
{
    return alloc->resize(alloc->context, old, old_size, size);
}

void aloop__alloc_free(const struct aloop__alloc *alloc, void *old, size_t size)
{
    if (old != NULL)
        alloc->resize(alloc->context, old, size, 0);
}

enum { ALIGNED = 64 };

/* The address of the allocation is in front of the bytes.  There is room for
 * it, because every allocation is aligned to a pointer at least. */
void *aloop__alloc_new_aligned(const struct aloop__alloc *alloc, size_t size)
{
    char *allocation = aloop__alloc_new(alloc, size + ALIGNED);
    void **bytes;

    if (allocation == NULL)
        return NULL;
    bytes = (void *) (allocation + ALIGNED - (uintptr_t) allocation % ALIGNED);
    bytes[-1] = allocation;
    return bytes;
}

void aloop__alloc_free_aligned(const struct aloop__alloc *alloc, void *old,
                               size_t size)
{
    if (old != NULL)
        aloop__alloc_free(alloc, ((void **) old)[-1], size + ALIGNED);
}

void aloop__alloc_shrink(const struct aloop__alloc *alloc, void **block,
                         size_t *size, size_t step)
{
    size_t left = *size > step ? *size - step : 0;
    void *shrunk = NULL;

    if (left > 0)
        shrunk = aloop__alloc_resize(alloc, *block, *size, left);
    if (shrunk == NULL)
        aloop__alloc_free(alloc, *block, *size);
    *block = shrunk;
    *size = shrunk != NULL ? left : 0;
}
