/* Objects that were freed in a debug loop.
 *
 * The memory of these objects is kept for a while before it is used again.
 * Under AddressSanitizer and valgrind it is unreadable.  Otherwise it keeps its
 * contents, which still show that a future has no references or that a handle
 * is closed. */

#ifndef ALOOP_LOOP_QUARANTINE_H
#define ALOOP_LOOP_QUARANTINE_H

#include "loop/state.h"

/* Creates loop->quarantine, which only debug loops have.  Returns
 * ALOOP_ENOMEM. */
int aloop__quarantine_open(aloop *loop);
/* Frees loop->quarantine and all objects in it. */
void aloop__quarantine_close(aloop *loop);

/* Frees an object of a debug loop.  The object is kept, and the oldest ones are
 * returned to the slab to make room.  `name` is copied. */
void aloop__quarantine_put(aloop *loop, void *object, size_t size,
                           const char *name);
/* Frees all objects that are kept.  Returns false if there were none. */
bool aloop__quarantine_drain(aloop *loop);
/* Returns the name that an object was freed with.  Returns NULL if the object
 * is not kept any more or had no name. */
const char *aloop__quarantine_name(const aloop *loop, const void *object);

/* Overwrites the stack of a task that has ended, so that code which still
 * points to it does not read plausible values. */
void aloop__quarantine_fill(void *low, size_t size);

/* Returns memory for an object when the slab has none, by freeing the objects
 * that are kept.  Returns NULL if that does not help. */
COLD void *aloop__quarantine_take(aloop *loop, size_t size);

/* Returns zeroed memory from the loop's slab, or NULL if out of memory. */
static inline void *aloop__object_new(aloop *loop, size_t size)
{
    void *object = aloop__slab_get(&loop->slab, size);

    return object != NULL ? object : aloop__quarantine_take(loop, size);
}

/* Does the same without clearing the memory, inline for a constant size. */
static inline void *aloop__object_take(aloop *loop, size_t size)
{
    void *object = aloop__slab_take_inline(&loop->slab, size);

    return object != NULL ? object : aloop__quarantine_take(loop, size);
}

#endif
