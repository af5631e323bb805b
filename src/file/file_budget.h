/* How much of files a turn may read and open on the loop's own thread. */

#ifndef ALOOP_FILE_FILE_BUDGET_H
#define ALOOP_FILE_FILE_BUDGET_H

#include "loop/state.h"

enum {
    CACHED_MAX = 64 << 10, /* Bytes of one call. */
    CACHED_TURN_MAX = 256 << 10,
    CACHED_BUSY_MAX = 64 << 10, /* Read in a turn of a busy loop. */
    OPEN_BYTES = 8 << 10        /* An open takes about as long as this read. */
};

/* Every await of an interrupted task has to end early, and that of a settled
 * future does not. */
static inline bool aloop__file_is_interrupted(const aloop *loop)
{
    return loop->was_interrupted && loop->current != NULL &&
           loop->is_interrupted(loop->current);
}

/* Returns whether this turn may still read so many bytes.  If descriptors were
 * ready a short time ago, the next ones would wait for all that a turn reads:
 * it begins nothing then when it has read CACHED_BUSY_MAX. */
static inline bool aloop__file_is_within_turn(const aloop *loop, size_t size)
{
    return size + loop->cached_bytes <= CACHED_TURN_MAX &&
           (loop->cached_bytes < CACHED_BUSY_MAX ||
            loop->quiet_waits == QUIET_WAITS);
}

/* Returns whether this turn may still open a file and read so many bytes of it,
 * and counts the open. */
static inline bool aloop__file_charge_open(aloop *loop, size_t size)
{
    if (!aloop__file_is_within_turn(loop, OPEN_BYTES + size))
        return false;
    loop->cached_bytes += OPEN_BYTES;
    return true;
}

/* Returns how many bytes are read of a whole file that may have `size_max`: one
 * more shows its end. */
static inline size_t aloop__file_whole_max(size_t size_max)
{
    return size_max < CACHED_MAX ? size_max + 1 : CACHED_MAX;
}

#endif
