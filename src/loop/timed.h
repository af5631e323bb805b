/* The loop's queue of deadlines; contract of timed.c. */

#ifndef ALOOP_LOOP_TIMED_H
#define ALOOP_LOOP_TIMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/list.h"

/* Something that happens at a time.  Zeroed and then aloop__timed_init()ed. */
struct aloop__timed {
    struct aloop__node due; /* In timers->due while its batch fires. */
    int64_t when_ns;
    uint64_t order;       /* Of starting: decides between equal deadlines. */
    uint64_t entry_order; /* `order` as its entry in the heap has it. */
    size_t place;         /* In the heap, counted from 1; 0: not there. */
    void (*fire)(struct aloop__timed *timed);
};

struct aloop__timers {
    const struct aloop__alloc *alloc;
    struct aloop__entry *heap; /* Four children each; the first is next. */
    size_t count;
    size_t room;
    uint64_t order;
    struct aloop__node due;
    bool was_spare; /* When the last window began. */
    bool is_spare;  /* And when it ended. */
};

void aloop__timers_open(struct aloop__timers *timers,
                        const struct aloop__alloc *alloc);
void aloop__timers_close(struct aloop__timers *timers);

void aloop__timed_init(struct aloop__timed *timed,
                       void (*fire)(struct aloop__timed *timed));
/* Starts it, or moves it.  ALOOP_ENOMEM only when it was not started. */
int aloop__timed_start(struct aloop__timers *timers,
                       struct aloop__timed *timed, int64_t when_ns);
/* Idempotent; out of the batch that is firing, too. */
void aloop__timed_stop(struct aloop__timers *timers,
                       struct aloop__timed *timed);

/* The earliest deadline, INT64_MAX when there is none. */
int64_t aloop__timers_next(struct aloop__timers *timers);

/* Trimming, see trim.c: room of the heap goes back after a window at whose ends
 * most of it was not used. */
bool aloop__timers_have_spare(const struct aloop__timers *timers);
void aloop__timers_end_window(struct aloop__timers *timers);
bool aloop__timers_trim(struct aloop__timers *timers);

/* Takes what is due at now_ns for the batch, to be fired one by one. */
void aloop__timers_take(struct aloop__timers *timers, int64_t now_ns);

/* Fires the next one of the batch, which is not empty: the earliest. */
static inline void aloop__timers_fire(struct aloop__timers *timers)
{
    struct aloop__timed *timed =
        CONTAINER_OF(timers->due.next, struct aloop__timed, due);

    list_remove(&timed->due);
    timed->fire(timed); /* May free it. */
}

#endif
