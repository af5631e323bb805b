/* Giving back memory that was kept for later; contract of trim.c. */

#ifndef ALOOP_LOOP_TRIM_H
#define ALOOP_LOOP_TRIM_H

#include <stdint.h>

#include "aloop/base.h"

struct aloop__event;

/* How long until there is memory to give back; less than 0 if there is none. */
int64_t aloop__trim_left(aloop *loop);

/* As aloop__reactor_wait(), and gives memory back when that falls due, before
 * the wait or in the middle of it. */
int aloop__trim_wait(aloop *loop, int64_t timeout_ns,
                     struct aloop__event *events, int max);

#endif
