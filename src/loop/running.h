/* The loop that runs on this thread. */

#ifndef ALOOP_LOOP_RUNNING_H
#define ALOOP_LOOP_RUNNING_H

#include "aloop/base.h"

/* Only the following function and running.c use it. */
extern _Thread_local aloop *aloop__running_loop
    __attribute__((visibility("hidden")));

/* Returns the loop whose turn runs on this thread, or NULL.  It must not be
 * called both before and after a switch by one function: a task may continue on
 * another thread, and compilers find the variable only once. */
static inline aloop *aloop__running(void)
{
    return aloop__running_loop;
}
/* Sets that loop and returns the previous one.  A turn calls it when it begins,
 * and restores the previous loop when it ends. */
aloop *aloop__running_set(aloop *loop);

#endif
