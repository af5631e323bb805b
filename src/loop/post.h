/* Calls from other threads; see post.c. */

#ifndef ALOOP_LOOP_POST_H
#define ALOOP_LOOP_POST_H

#include "loop/state.h"

/* Has the wake-up run what was posted. */
void aloop__posts_open(aloop *loop);
/* In a forked child, which has no other threads: puts back what a turn of the
 * parent has taken and not run. */
void aloop__posts_requeue(aloop *loop);
/* Frees what was posted and has not run. */
void aloop__posts_close(aloop *loop);

#endif
