/* The one way to memory: a loop's allocator, malloc unless told otherwise. */

#ifndef ALOOP_BASE_ALLOC_H
#define ALOOP_BASE_ALLOC_H

#include <stddef.h>

/* The same contract as realloc, with the old size told: size 0 frees and
 * returns NULL, old NULL allocates.  May be called from several threads. */
struct aloop__alloc {
    void *(*resize)(void *context, void *old, size_t old_size, size_t size);
    void *context;
};

/* malloc, realloc and free. */
extern const struct aloop__alloc aloop__alloc_default;

/* NULL when there is no memory; the contents are indeterminate. */
void *aloop__alloc_new(const struct aloop__alloc *alloc, size_t size);
/* Zeroed. */
void *aloop__alloc_zero(const struct aloop__alloc *alloc, size_t size);
/* NULL leaves `old` as it was. */
void *aloop__alloc_resize(const struct aloop__alloc *alloc, void *old,
                          size_t old_size, size_t size);
/* `old` may be NULL. */
void aloop__alloc_free(const struct aloop__alloc *alloc, void *old,
                       size_t size);

#endif
