/* The allocator interface.  All memory of the library comes from it; the
 * default is malloc(). */

#ifndef ALOOP_BASE_ALLOC_H
#define ALOOP_BASE_ALLOC_H

#include <stddef.h>

/* `resize` has the contract of realloc(), but also receives the old size.  Size
 * 0 frees `old` and returns NULL; a NULL `old` allocates.  It may be called
 * from several threads. */
struct aloop__alloc {
    void *(*resize)(void *context, void *old, size_t old_size, size_t size);
    void *context;
};

/* Uses malloc(), realloc() and free(). */
extern const struct aloop__alloc aloop__alloc_default;

/* Returns `size` bytes with indeterminate contents, or NULL if out of
 * memory. */
void *aloop__alloc_new(const struct aloop__alloc *alloc, size_t size);
/* Returns `size` bytes of zeros, or NULL if out of memory. */
void *aloop__alloc_zero(const struct aloop__alloc *alloc, size_t size);
/* Returns `size` bytes at a multiple of 64, or NULL if out of memory.  It is
 * for memory into which the system copies much: some processors copy three to
 * seven times slower to an address 1 to 31 bytes behind a page, which is where
 * malloc() places large blocks. */
void *aloop__alloc_new_aligned(const struct aloop__alloc *alloc, size_t size);
/* Frees what aloop__alloc_new_aligned() has returned.  `old` may be NULL. */
void aloop__alloc_free_aligned(const struct aloop__alloc *alloc, void *old,
                               size_t size);
/* Returns the resized block, or NULL if out of memory; `old` is then
 * unchanged. */
void *aloop__alloc_resize(const struct aloop__alloc *alloc, void *old,
                          size_t old_size, size_t size);
/* Frees `old`, which has `size` bytes.  `old` may be NULL. */
void aloop__alloc_free(const struct aloop__alloc *alloc, void *old,
                       size_t size);
/* Frees up to `step` bytes at the end of `*block`, or all of it if the
 * allocator cannot shrink it.  Nothing is left if `*size` is then 0. */
void aloop__alloc_shrink(const struct aloop__alloc *alloc, void **block,
                         size_t *size, size_t step);

#endif
