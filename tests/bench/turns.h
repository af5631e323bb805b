/* Operations with turns and threads, which each peer implements. */

#ifndef TURNS_H
#define TURNS_H

#include <pthread.h>

#include "bench.h"

/* What a peer does not have is NULL. */
struct turns_peer {
    /* Makes `count` calls, each deferred to the next turn, `batch` of them in
     * each turn. */
    void (*defer)(size_t count, size_t batch);
    /* Lets two threads wake each other alternately, `count` times each. */
    void (*ping_pong)(size_t count);
    /* Lets this thread post `count` calls to the loop of another one. */
    void (*post)(size_t count);
};

extern const struct turns_peer turns_hand, turns_aloop, turns_uv, turns_ev,
    turns_event;

#endif
