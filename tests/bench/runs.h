/* Bursts of datagrams from one socket to another in the same loop, which each
 * peer implements.  The next burst follows when one has been received. */

#ifndef RUNS_H
#define RUNS_H

#include "bench.h"

enum { BURST = 40, RUN_DATAGRAM_SIZE = 1200, RUN_DATAGRAM_MAX = 1300 };

struct runs {
    /* All datagrams of a burst have one size, so that the system can send them
     * as one (GSO).  Otherwise each is longer than the one before. */
    bool is_equal;
    bool is_joined; /* The receiver gets them as one (GRO). */
    size_t bursts;
};

static inline size_t run_datagram_size(const struct runs *runs, size_t i)
{
    return RUN_DATAGRAM_SIZE + (runs->is_equal ? 0 : i);
}

typedef void runs_peer(const struct runs *runs);

extern runs_peer runs_hand, runs_aloop, runs_uv;

#endif
