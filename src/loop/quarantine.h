/* Objects that were freed in a debug loop.
 *
 * They are kept for a while before their memory is used again: unreadable under
 * AddressSanitizer and valgrind, and otherwise with their contents, which still
 * show that a future has no references and that a handle is closed. */

#ifndef ALOOP_LOOP_QUARANTINE_H
#define ALOOP_LOOP_QUARANTINE_H

#include "loop/state.h"

/* loop->quarantine, in debug loops.  ALOOP_ENOMEM. */
int aloop__quarantine_open(aloop *loop);
/* Frees what is kept, too. */
void aloop__quarantine_close(aloop *loop);

/* Frees an object of a debug loop: it is kept, and the oldest ones are given
 * back to the slab in its place.  `name` is copied. */
void aloop__quarantine_put(aloop *loop, void *object, size_t size,
                           const char *name);
/* Frees all that is kept; false if there was nothing. */
bool aloop__quarantine_drain(aloop *loop);
/* The name that an object was freed with; NULL if it is not kept any more, or
 * had none. */
const char *aloop__quarantine_name(const aloop *loop, const void *object);

/* Overwrites the stack of a task that has ended: what pointed to it reads
 * nothing that looks right. */
void aloop__quarantine_fill(void *low, size_t size);

/* Memory for an object if the slab has none: what is kept is given up. */
COLD void *aloop__quarantine_take(aloop *loop, size_t size);

/* Memory of the loop's slab, zeroed, or NULL. */
static inline void *aloop__object_new(aloop *loop, size_t size)
{
    void *object = aloop__slab_get(&loop->slab, size);

    return object != NULL ? object : aloop__quarantine_take(loop, size);
}

#endif
