/* Functions that other threads post; see post.c. */

#ifndef ALOOP_LOOP_POST_H
#define ALOOP_LOOP_POST_H

#include "loop/state.h"

/* Makes every wake-up run the functions that were posted. */
void aloop__posts_open(aloop *loop);
/* Must be called in a forked child, which has no other threads.  Puts back the
 * posts that a turn of the parent has taken but not run. */
void aloop__posts_requeue(aloop *loop);
/* Must be called in a forked child: forgets the threads of the parent that were
 * inside aloop_post(). */
void aloop__posts_fork(aloop *loop);
/* Waits until no thread is between the push of a post and its wake-up. */
void aloop__posts_settle(aloop *loop);
/* Frees the posts that have not run. */
void aloop__posts_close(aloop *loop);

#endif
