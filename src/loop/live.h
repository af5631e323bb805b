/* Whether a loop has something to do, now or ever. */

#ifndef ALOOP_LOOP_LIVE_H
#define ALOOP_LOOP_LIVE_H

#include "loop/state.h"

/* Whether there is work for the next turn, now. */
bool aloop__has_work(const aloop *loop);
/* Whether another thread or a signal handler has left work. */
static inline bool aloop__has_posts(const aloop *loop)
{
    return atomic_load_explicit(&loop->posts, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&loop->signalled, memory_order_relaxed);
}

/* Whether there is anything to wait for. */
bool aloop__is_alive(const aloop *loop);

#endif
