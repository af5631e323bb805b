/* Objects of a few sizes, allocated and freed all the time.
 *
 * Memory is taken from the allocator in chunks and given back only when the
 * slab is closed, whatever is still in use then.  Under AddressSanitizer each
 * object is an allocation of its own, so that a use after free is seen. */

#ifndef ALOOP_BASE_SLAB_H
#define ALOOP_BASE_SLAB_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/list.h"

enum { SLAB_STEP = 32, SLAB_CLASSES = 20, SLAB_MAX = SLAB_STEP * SLAB_CLASSES };

struct aloop__slab {
    const struct aloop__alloc *alloc;
    struct slab_free *free[SLAB_CLASSES]; /* By size, last in, first out. */
    struct aloop__node chunks;
    size_t used; /* Objects handed out. */
};

void aloop__slab_open(struct aloop__slab *slab,
                      const struct aloop__alloc *alloc);
void aloop__slab_close(struct aloop__slab *slab);

/* Zeroed; size is at most SLAB_MAX.  NULL when there is no memory. */
void *aloop__slab_get(struct aloop__slab *slab, size_t size);
/* The same with indeterminate contents, for what is small and often made. */
void *aloop__slab_take(struct aloop__slab *slab, size_t size);
/* `size` is what it was got with; `object` may be NULL. */
void aloop__slab_put(struct aloop__slab *slab, void *object, size_t size);

#endif
