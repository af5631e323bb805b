/* Freeing memory that is kept for reuse; see trim.c. */

#ifndef ALOOP_LOOP_TRIM_H
#define ALOOP_LOOP_TRIM_H

#include <stdint.h>

#include "aloop/base.h"

struct aloop__event;

/* Returns when there may be memory to free, by the system's clock, or INT64_MAX
 * if there is none. */
int64_t aloop__trim_next(aloop *loop);

/* Like aloop__reactor_wait().  Also frees memory when it is time for that,
 * before or during the wait. */
int aloop__trim_wait(aloop *loop, int64_t timeout_ns,
                     struct aloop__event *events, int max);

#endif
