/* What is called before each wait, and may limit it; see prepare.c. */

#ifndef ALOOP_LOOP_PREPARE_H
#define ALOOP_LOOP_PREPARE_H

#include "loop/state.h"

/* An item of loop->prepares.  The handle of a prepare contains one. */
struct aloop__prepare {
    struct aloop__node node;
    uint32_t round; /* That of its start; see aloop__prepares_run(). */
    /* When the limit ends that the last call gave: a time on the loop's clock,
     * INT64_MAX without a limit, or INT64_MIN before the first call. */
    int64_t when_ns;
    void (*call)(struct aloop__prepare *prepare); /* Sets `when_ns`. */
};

/* Start and stop an item.  The caller updates the host. */
void aloop__prepare_start(aloop *loop, struct aloop__prepare *prepare,
                          void (*call)(struct aloop__prepare *prepare));
void aloop__prepare_stop(aloop *loop, struct aloop__prepare *prepare);

/* Calls all items, and returns `max_wait_ns`, or the shortest limit if that is
 * less.  Both are negative if there is no limit. */
COLD int64_t aloop__prepares_run(aloop *loop, int64_t max_wait_ns);
/* Returns when the shortest limit ends, as in struct aloop__prepare. */
COLD int64_t aloop__prepares_next(const aloop *loop);

#endif
