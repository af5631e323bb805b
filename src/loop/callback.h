/* What is noted where the application is called back. */

#ifndef ALOOP_LOOP_CALLBACK_H
#define ALOOP_LOOP_CALLBACK_H

#include "loop/state.h"

/* debug.c: the time is taken. */
COLD void aloop__debug_calling(aloop *loop);

/* Notes that the application is about to be called back. */
static inline void aloop__calling(aloop *loop)
{
    loop->has_called = true;
    if (loop->debug != NULL)
        aloop__debug_calling(loop);
}

/* Whether a callback of a handle may run now, which is then noted.  None does
 * inside aloop_free(): what its `arg` points to may be gone. */
static inline bool aloop__may_call(aloop *loop)
{
    aloop__calling(loop);
    return !loop->dying;
}

#endif
