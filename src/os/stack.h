/* Stacks for tasks: mapped in slabs, guarded, reused last in, first out. */

#ifndef ALOOP_OS_STACK_H
#define ALOOP_OS_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"

enum { STACK_SIZE_MIN = 32 * 1024 };

struct aloop__stacks; /* A pool; each loop has one. */

/* The stack of a task.  Its usable bytes are [low, low + size). */
struct aloop__stack {
    void *low;
    size_t size;
    void *slab; /* Private to the pool. */
};

/* Creates a pool.  `size` is the usable size of its stacks, which is raised to
 * STACK_SIZE_MIN; 0 means the library's default. */
int aloop__stacks_open(const struct aloop__alloc *alloc, size_t size,
                       struct aloop__stacks **ret);
/* Unmaps everything, including stacks that are still in use. */
void aloop__stacks_close(struct aloop__stacks *stacks);

/* Takes a stack of at least `size` usable bytes.  It has the pool's default
 * size, unless `size` is larger; such a stack gets a mapping of its own.
 * Returns -ENOMEM if out of memory. */
int aloop__stack_get(struct aloop__stacks *stacks, size_t size,
                     struct aloop__stack *ret);
/* Returns a stack to the pool. */
void aloop__stack_put(struct aloop__stacks *stacks, struct aloop__stack *stack);

/* Trimming: giving memory back to the system.  See loop/trim.c. */

/* Returns whether more than a few stacks are free. */
bool aloop__stacks_have_spare(const struct aloop__stacks *stacks);
/* Ends a window of time.  Stacks that were free during all of it may be
 * trimmed. */
void aloop__stacks_end_window(struct aloop__stacks *stacks);
/* Trims one of those stacks.  Returns false if there was none left. */
bool aloop__stacks_trim(struct aloop__stacks *stacks);

#endif
