/* Whether a loop is alive, and whether it has work to do. */

#ifndef ALOOP_LOOP_LIVE_H
#define ALOOP_LOOP_LIVE_H

#include "loop/state.h"

/* Returns whether another thread has posted a function or a signal handler has
 * noted a signal. */
static inline bool aloop__has_posts(const aloop *loop)
{
    return atomic_load_explicit(&loop->posts, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&loop->was_signalled, memory_order_relaxed);
}

/* Returns whether the next turn has work to do and so must not wait. */
static inline bool aloop__has_work(const aloop *loop)
{
    return !list_is_empty(&loop->ready) || !list_is_empty(&loop->flushing) ||
           !list_is_empty(&loop->unreported) || aloop__has_posts(loop);
}

/* Returns whether the loop has anything left to wait for or to do. */
bool aloop__is_alive(const aloop *loop);

#endif
