/* The loop that runs on a thread. */

#ifndef ALOOP_LOOP_RUNNING_H
#define ALOOP_LOOP_RUNNING_H

#include "aloop/base.h"

/* The loop whose turn runs on this thread, or NULL. */
aloop *aloop__running(void);
/* Sets it; the turn does, and puts back what it was, which this returns. */
aloop *aloop__running_set(aloop *loop);

#endif
