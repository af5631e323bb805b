/* Memory that malloc(), calloc() and realloc() refuse on request, for calls of
 * the program and not those of its libraries.  The linker redirects the calls
 * (--wrap), so only programs of one file can use it. */

#ifndef REFUSED_MEMORY_H
#define REFUSED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

static struct {
    int left;     /* Calls until the one that fails; 0: none does. */
    bool was_one; /* It has failed. */
} refused_memory;

/* Lets the nth call from now fail; 0: none.  Returns whether the one before did
 * so. */
static inline int refuse_memory(int nth)
{
    bool was_one = refused_memory.was_one;

    refused_memory.left = nth;
    refused_memory.was_one = false;
    return was_one;
}

static inline bool is_memory_refused(void)
{
    if (refused_memory.left == 0 || --refused_memory.left > 0)
        return false;
    refused_memory.was_one = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return is_memory_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_memory_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_memory_refused() ? NULL : __real_realloc(old, size);
}

#endif
