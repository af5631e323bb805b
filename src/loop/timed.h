/* The loop's queue of deadlines; see timed.c. */

#ifndef ALOOP_LOOP_TIMED_H
#define ALOOP_LOOP_TIMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/list.h"

/* An object with a deadline.  It must be initialised by aloop__timed_init()
 * before use. */
struct aloop__timed {
    /* A start and a pause touch only these, which in a timer are on the cache
     * line of its handle. */
    int64_t when_ns;
    uint64_t order; /* Number of its start; breaks ties. */
    /* Index of its heap entry or of a node below that, 0, or PLACE_DUE. */
    size_t place;
    /* The others. */
    union {
        /* What its heap entry has.  The copy of the deadline spares a look at
         * the heap, whose entry is rarely in the cache. */
        struct {
            int64_t entry_when_ns;
            uint64_t entry_order;
        };
        struct aloop__node due; /* In timers->due until it fires. */
    };
    void (*fire)(struct aloop__timed *timed);
};

#define PLACE_DUE SIZE_MAX /* The object is in timers->due. */

/* The `order` of an object that is not started, but may have an entry. */
enum { PAUSED = 0 };

/* A heap of this many entries is never shrunk. */
enum { SPARE_ROOM_MIN = 4096 };

/* An entry of the heap.  Its deadline may be earlier than that of the
 * object. */
struct aloop__entry {
    int64_t when_ns;
    struct aloop__timed *timed;
};

/* The heap begins at this index, so that the four children of a node, which are
 * 64 bytes, are on one cache line: large blocks of most allocators begin 16
 * bytes behind a page. */
enum { TOP = 2 };

struct aloop__timers {
    const struct aloop__alloc *alloc;
    struct aloop__entry *heap; /* Four children each; that at TOP is next. */
    size_t count;
    size_t room; /* Includes the entries before TOP. */
    uint64_t order;
    struct aloop__node due;
    /* Most of the heap was unused when the last window ended. */
    bool was_spare;
    /* Most of it was also unused one window before, so it is to be shrunk. */
    bool is_stale;
};

void aloop__timers_open(struct aloop__timers *timers,
                        const struct aloop__alloc *alloc);
void aloop__timers_close(struct aloop__timers *timers);

void aloop__timed_init(struct aloop__timed *timed,
                       void (*fire)(struct aloop__timed *timed));
/* The part of aloop__timed_start() that changes the heap. */
int aloop__timed_insert(struct aloop__timers *timers,
                        struct aloop__timed *timed, int64_t when_ns);
/* Starts the object or moves its deadline.  Returns ALOOP_ENOMEM, which can
 * happen only if the object was not in the heap.
 *
 * Every start gets a new number, also one that only moves a deadline: among
 * equal deadlines, the object that was started last fires last. */
static inline int aloop__timed_start(struct aloop__timers *timers,
                                     struct aloop__timed *timed,
                                     int64_t when_ns)
{
    if (timed->place == 0 || timed->place == PLACE_DUE ||
        when_ns < timed->entry_when_ns)
        return aloop__timed_insert(timers, timed, when_ns);
    timed->when_ns = when_ns;
    timed->order = ++timers->order;
    return 0; /* The entry is corrected at the top. */
}
/* Stops the object, even if it is in the batch that is firing.  May be called
 * again. */
void aloop__timed_stop(struct aloop__timers *timers,
                       struct aloop__timed *timed);

/* Removes an object from timers->due, so that it does not fire in this turn. */
void aloop__timed_leave_due(struct aloop__timed *timed);
/* Does the same as aloop__timed_stop() at less cost, for an object that stays
 * in memory until then.  Only the object is written.  A later start finds its
 * entry again. */
static inline void aloop__timed_pause(struct aloop__timed *timed)
{
    if (timed->place == PLACE_DUE)
        aloop__timed_leave_due(timed);
    timed->order = PAUSED;
}

/* Returns the earliest deadline, or INT64_MAX if there is none.  After many
 * deadlines were moved or paused, the result may be too early.  Each further
 * call brings it nearer. */
int64_t aloop__timers_settle(struct aloop__timers *timers);

/* Returns whether there is a deadline that can pass.  A listener keeps one of
 * INT64_MAX in the queue, which must not make each turn read the clock. */
static inline bool aloop__timers_can_pass(const struct aloop__timers *timers)
{
    return timers->count > 0 && timers->heap[TOP].when_ns != INT64_MAX;
}

static inline int64_t aloop__timers_next(struct aloop__timers *timers)
{
    return aloop__timers_can_pass(timers) ? aloop__timers_settle(timers)
                                          : INT64_MAX;
}

/* Returns false if no object is due at now_ns. */
static inline bool aloop__timers_may_be_due(const struct aloop__timers *timers,
                                            int64_t now_ns)
{
    return timers->count > 0 && timers->heap[TOP].when_ns <= now_ns;
}

/* Brings the next deadline nearer to its exact value.  Returns whether it is
 * not too early any more. */
bool aloop__timers_correct(struct aloop__timers *timers);

/* The interface to trim.c, which describes these functions.  The heap is shrunk
 * after a window if most of it was unused at both ends of the window. */
static inline bool aloop__timers_have_spare(const struct aloop__timers *timers)
{
    return timers->room > SPARE_ROOM_MIN && timers->count < timers->room / 4;
}
void aloop__timers_end_window(struct aloop__timers *timers);
bool aloop__timers_trim(struct aloop__timers *timers);

/* Moves the objects that are due at now_ns to the batch, from which
 * aloop__timers_fire() takes them. */
void aloop__timers_take(struct aloop__timers *timers, int64_t now_ns);

/* Fires the earliest object of the batch, which must not be empty. */
static inline void aloop__timers_fire(struct aloop__timers *timers)
{
    struct aloop__timed *timed =
        CONTAINER_OF(timers->due.next, struct aloop__timed, due);

    list_remove(&timed->due);
    timed->place = 0;
    timed->fire(timed); /* May free it. */
}

#endif
