/* Operations on timers, which each peer implements.
 *
 * Timers are numbered.  Times are nanoseconds since open(). */

#ifndef TIMERS_H
#define TIMERS_H

#include "bench.h"

struct timers_peer {
    void (*open)(size_t count);
    /* Starts all timers, in the order of their numbers. */
    void (*start)(const int64_t *when_ns);
    /* Stops all timers, in this order. */
    void (*stop)(const uint32_t *order);
    /* Moves all timers, in this order, to when_ns + push_ns. */
    void (*move)(const int64_t *when_ns, const uint32_t *order,
                 int64_t push_ns);
    /* Runs until all timers have fired.  Returns how early a timer was at
     * most. */
    int64_t (*fire)(const int64_t *when_ns);
    /* Makes, starts and frees a timer `times` times. */
    void (*make)(size_t times);
};

extern const struct timers_peer timers_hand, timers_aloop, timers_uv, timers_ev,
    timers_event;

/* Records how early a timer is, for one in SAMPLE timers, because reading the
 * clock takes time. */
enum { SAMPLE = 64 };

static inline void note_early(size_t fired, int64_t when_ns, int64_t start_ns,
                              int64_t *early_ns)
{
    int64_t ns;

    if (fired % SAMPLE != 0)
        return;
    ns = when_ns - (wall_ns() - start_ns);
    if (ns > *early_ns)
        *early_ns = ns;
}

#endif
