/* The loop that runs on this thread. */

#ifndef ALOOP_LOOP_RUNNING_H
#define ALOOP_LOOP_RUNNING_H

#include "aloop/base.h"

/* Returns the loop whose turn runs on this thread, or NULL. */
aloop *aloop__running(void);
/* Sets that loop and returns the previous one.  A turn calls it when it begins,
 * and restores the previous loop when it ends. */
aloop *aloop__running_set(aloop *loop);

#endif
