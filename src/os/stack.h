/* Stacks for tasks: mapped in slabs, guarded, handed out last in, first out. */

#ifndef ALOOP_OS_STACK_H
#define ALOOP_OS_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"
#include "os/guard.h"

enum { STACK_SIZE_MIN = 32 * 1024 };

struct aloop__stacks; /* One pool for each loop. */

/* What a task runs on.  Usable bytes are [low, low + size). */
struct aloop__stack {
    void *low;
    size_t size;
    void *slab; /* The pool's own. */
};

/* `size` is the usable size that aloop__stack_get gives by default; 0 for the
 * library's default. */
int aloop__stacks_open(const struct aloop__alloc *alloc, size_t size,
                       struct aloop__stacks **ret);
/* Unmaps everything, stacks that were not put back included. */
void aloop__stacks_close(struct aloop__stacks *stacks);

/* size 0 is the pool's default; a larger one gets a mapping of its own; a
 * smaller one than STACK_SIZE_MIN is raised to it.  -ENOMEM. */
int aloop__stack_get(struct aloop__stacks *stacks, size_t size,
                     struct aloop__stack *ret);
void aloop__stack_put(struct aloop__stacks *stacks, struct aloop__stack *stack);

/* Giving memory back to the system; see loop/trim.c. */

/* Whether more than a few stacks are free. */
bool aloop__stacks_have_spare(const struct aloop__stacks *stacks);
/* Ends a window of time: what was free all through it may be given back. */
void aloop__stacks_end_window(struct aloop__stacks *stacks);
/* Gives one of those stacks back; false if there was none left. */
bool aloop__stacks_trim(struct aloop__stacks *stacks);

/* How the next slab will be guarded. */
enum aloop__guard aloop__stacks_guard(const struct aloop__stacks *stacks);
/* How many stacks are in use, for tests and dumps. */
size_t aloop__stacks_used(const struct aloop__stacks *stacks);

#endif
