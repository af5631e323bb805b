/* What is done with turns and threads, by each peer in its own way. */

#ifndef TURNS_H
#define TURNS_H

#include <pthread.h>

#include "bench.h"

enum { DEFER_BATCH = 1000 };

struct turns_peer {
    /* So many calls, each put off to the next turn, a batch in each turn. */
    void (*defer)(size_t count);
    /* Two threads that wake each other in turn, so many times each. */
    void (*ping_pong)(size_t count);
};

extern const struct turns_peer turns_hand, turns_aloop, turns_uv;

#endif
