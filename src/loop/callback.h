/* Bookkeeping before the application is called back. */

#ifndef ALOOP_LOOP_CALLBACK_H
#define ALOOP_LOOP_CALLBACK_H

#include "loop/state.h"

/* debug.c: notes the time at which a callback begins. */
COLD void aloop__debug_calling(aloop *loop);

/* Notes that the application is about to be called back. */
static inline void aloop__calling(aloop *loop)
{
    loop->called = CALLED | CALLED_LATE;
    if (loop->debug != NULL)
        aloop__debug_calling(loop);
}

/* Notes a callback of a handle, and returns whether it may run.  No such
 * callback runs inside aloop_free(), because the memory of its `arg` may be
 * freed. */
static inline bool aloop__may_call(aloop *loop)
{
    aloop__calling(loop);
    return !loop->is_dying;
}

#endif
