/* The queue of deadlines: a heap in which each node has four children.
 *
 * Each entry of the heap contains a copy of the deadline, so that comparisons
 * read only the heap unless two deadlines are equal.  Moving a deadline to a
 * later time only writes it to the timed object.  The entry is then out of
 * date, which its different `order` shows.  It is too close to the top, and is
 * corrected when it reaches the top.  Therefore postponing an idle timeout for
 * every message costs two writes.  So does a pause, which leaves the entry of
 * an object that is not started any more; at the top it is removed.
 *
 * A started object is in exactly one place: in the heap or, once it is due, in
 * timers->due.  The turn that takes it there also empties that list. */

#include "loop/timed.h"

#include <assert.h>

#include "aloop/error.h"

/* One call corrects at most SETTLE_MAX entries.  There may be as many as there
 * are objects, and a whole heap of a million takes a tenth of a second. */
enum { ARITY = 4, ROOM_MIN = 64, SETTLE_MAX = 256 };

/* The entries before this index are probably in a fast cache. */
enum { FAST_END = 1024 };

/* Those from SOON_BEGIN on, before SOON_END, are next but one to the top. */
enum { SOON_BEGIN = TOP + 1 + ARITY, SOON_END = SOON_BEGIN + ARITY * ARITY };

/* In one step the heap shrinks by one of so many parts of its size, but at
 * least by so many entries.  The allocator needs time for each page that it
 * gives back, and a whole heap of a million entries took some milliseconds. */
enum { SHRINK_PARTS = 16, SHRINK_MIN = 4096 };

void aloop__timers_open(struct aloop__timers *timers,
                        const struct aloop__alloc *alloc)
{
    *timers = (struct aloop__timers){.alloc = alloc};
    list_init(&timers->due);
}

void aloop__timers_close(struct aloop__timers *timers)
{
    aloop__alloc_free(timers->alloc, timers->heap,
                      timers->room * sizeof *timers->heap);
    timers->heap = NULL;
}

void aloop__timed_init(struct aloop__timed *timed,
                       void (*fire)(struct aloop__timed *timed))
{
    *timed = (struct aloop__timed){.fire = fire};
}

/* Returns whether `a` is before `b` in the heap.  Equal deadlines are in the
 * order of their starts. */
static bool is_before(const struct aloop__entry *a,
                      const struct aloop__entry *b)
{
    if (a->when_ns != b->when_ns)
        return a->when_ns < b->when_ns;
    return a->timed->entry_order < b->timed->entry_order;
}

/* Writes an entry, and its place to its object.  Only an entry that moves
 * towards the top is written without its place; see find_entry(). */
static void put(struct aloop__timers *timers, size_t i,
                struct aloop__entry entry)
{
    timers->heap[i] = entry;
    entry.timed->place = i;
}

static size_t parent_of(size_t i)
{
    return (i - TOP - 1) / ARITY + TOP;
}

/* Returns the index of the object's entry, which is timed->place or an ancestor
 * of it.  Each removal moves about ten entries of a large heap to their
 * parents, and their objects are rarely in the cache.  Therefore only an entry
 * that moves away from the top is noted in its object.  The place may be behind
 * the end of the heap if the heap has become smaller. */
static size_t find_entry(const struct aloop__timers *timers,
                         const struct aloop__timed *timed)
{
    size_t i = timed->place, end = TOP + timers->count;

    while (i >= end || timers->heap[i].timed != timed) {
        assert(i > TOP);
        i = parent_of(i);
    }
    return i;
}

/* Puts an entry into the heap at `i`, which is free, or above it: entries that
 * fire later than this one move down. */
static void sift_up(struct aloop__timers *timers, size_t i,
                    struct aloop__entry entry)
{
    while (i > TOP) {
        size_t parent = parent_of(i);

        if (!is_before(&entry, &timers->heap[parent]))
            break;
        put(timers, i, timers->heap[parent]);
        i = parent;
    }
    put(timers, i, entry);
}

/* Returns the index of the first child.  The others follow it. */
static size_t first_child(size_t i)
{
    return (i - TOP) * ARITY + TOP + 1;
}

/* Returns which of `count` entries fires first.  Only equal deadlines need a
 * branch that depends on them: it would be mispredicted often. */
static inline size_t earliest_of(const struct aloop__entry *entries,
                                 size_t count)
{
    int64_t first_ns = entries[0].when_ns;
    size_t first = 0;

    for (size_t i = 1; i < count; i++) {
        int64_t when_ns = entries[i].when_ns;

        if (when_ns == first_ns) {
            if (is_before(&entries[i], &entries[first]))
                first = i;
            continue;
        }
        first = when_ns < first_ns ? i : first;
        first_ns = when_ns < first_ns ? when_ns : first_ns;
    }
    return first;
}

/* Has the cache load the children of four siblings, which begin at `first`: it
 * takes as long as choosing one of the four. */
static inline void fetch_children(const struct aloop__entry *heap, size_t first,
                                  size_t end)
{
    size_t child = first_child(first);

    if (first < FAST_END || child + (size_t) ARITY * ARITY > end)
        return;
    for (size_t i = 0; i < ARITY; i++)
        __builtin_prefetch(&heap[child + i * ARITY]);
}

/* Has the cache load the object of an entry that moves to `i`, if it will soon
 * be at the top: firing it reads two lines. */
static inline void fetch_object(size_t i, const struct aloop__timed *timed)
{
    if (i < SOON_BEGIN || i >= SOON_END)
        return;
    __builtin_prefetch(&timed->when_ns, 1);
    __builtin_prefetch(&timed->fire, 1);
}

/* Puts an entry into the heap at `i`, which is free, or below it. */
static void sift_down(struct aloop__timers *timers, size_t i,
                      struct aloop__entry entry)
{
    struct aloop__entry *heap = timers->heap;
    size_t end = TOP + timers->count, child;

    while ((child = first_child(i)) < end) {
        fetch_children(heap, child, end);
        child += child + ARITY <= end ? earliest_of(&heap[child], ARITY)
                                      : earliest_of(&heap[child], end - child);
        if (!is_before(&heap[child], &entry))
            break;
        heap[i] = heap[child];
        fetch_object(i, heap[i].timed);
        i = child;
    }
    put(timers, i, entry);
}

static int grow(struct aloop__timers *timers)
{
    size_t room = timers->room == 0 ? ROOM_MIN : timers->room * 2;
    struct aloop__entry *heap = aloop__alloc_resize(timers->alloc, timers->heap,
                                                    timers->room * sizeof *heap,
                                                    room * sizeof *heap);

    if (heap == NULL)
        return ALOOP_ENOMEM;
    timers->heap = heap;
    timers->room = room;
    return 0;
}

/* Removes the entry at `i`.  The last entry of the heap takes its place.  It
 * came from another branch, and may belong above or below that place. */
static void remove_entry(struct aloop__timers *timers, size_t i)
{
    size_t end = TOP + --timers->count;
    struct aloop__entry last = timers->heap[end];

    timers->heap[i].timed->place = 0;
    if (i == end)
        return;
    if (i > TOP && is_before(&last, &timers->heap[parent_of(i)]))
        sift_up(timers, i, last);
    else
        sift_down(timers, i, last);
}

void aloop__timed_leave_due(struct aloop__timed *timed)
{
    list_remove(&timed->due);
    timed->place = 0;
}

/* The object is not in the heap, or its entry there is too late. */
int aloop__timed_insert(struct aloop__timers *timers,
                        struct aloop__timed *timed, int64_t when_ns)
{
    struct aloop__entry entry = {when_ns, timed};
    size_t place = 0;

    if (timed->place > 0 && timed->place != PLACE_DUE)
        place = find_entry(timers, timed);
    if (place == 0 && TOP + timers->count >= timers->room && grow(timers) < 0)
        return ALOOP_ENOMEM;
    if (timed->place == PLACE_DUE)
        aloop__timed_leave_due(timed);
    timed->when_ns = when_ns;
    timed->order = ++timers->order;
    timed->entry_when_ns = when_ns;
    timed->entry_order = timed->order;
    sift_up(timers, place > 0 ? place : TOP + timers->count++, entry);
    return 0;
}

/* Also for an object that is due but has not fired, and for one that is
 * stopped. */
void aloop__timed_stop(struct aloop__timers *timers, struct aloop__timed *timed)
{
    if (timed->place == PLACE_DUE)
        aloop__timed_leave_due(timed);
    else if (timed->place > 0)
        remove_entry(timers, find_entry(timers, timed));
}

/* Corrects the entry at the top until it is up to date.  Entries below it may
 * be out of date, too, but they are never too late: the top has the earliest
 * deadline.  Each entry is corrected at most once for each time that its object
 * was moved or paused.  Returns false if SETTLE_MAX entries were not enough:
 * the top is then too early. */
static bool settle_top(struct aloop__timers *timers)
{
    for (int i = 0; i < SETTLE_MAX && timers->count > 0; i++) {
        struct aloop__timed *timed = timers->heap[TOP].timed;
        struct aloop__entry entry = {timed->when_ns, timed};

        if (timed->entry_order == timed->order)
            return true;
        if (timed->order == PAUSED) {
            remove_entry(timers, TOP);
            continue;
        }
        timed->entry_when_ns = timed->when_ns;
        timed->entry_order = timed->order;
        sift_down(timers, TOP, entry);
    }
    return timers->count == 0;
}

bool aloop__timers_correct(struct aloop__timers *timers)
{
    return timers->count <= SETTLE_MAX || settle_top(timers);
}

int64_t aloop__timers_settle(struct aloop__timers *timers)
{
    (void) settle_top(timers);
    return timers->count == 0 ? INT64_MAX : timers->heap[TOP].when_ns;
}

/* Deadlines are taken first and fired afterwards, because firing calls the
 * application, which may start, stop or close anything.  Objects that are
 * started meanwhile are added to the heap, so that no callback can keep the
 * batch from ending. */
void aloop__timers_take(struct aloop__timers *timers, int64_t now_ns)
{
    while (settle_top(timers) && timers->count > 0 &&
           timers->heap[TOP].when_ns <= now_ns) {
        struct aloop__timed *timed = timers->heap[TOP].timed;

        remove_entry(timers, TOP);
        timed->place = PLACE_DUE;
        list_init(&timed->due);
        list_push(&timers->due, &timed->due);
    }
}

/* The heap must have been mostly unused at the ends of two windows, because a
 * short pause in a steady load is no reason to give memory back. */
void aloop__timers_end_window(struct aloop__timers *timers)
{
    bool is_spare = aloop__timers_have_spare(timers);

    timers->is_stale = is_spare && timers->was_spare;
    timers->was_spare = is_spare;
}

/* Returns the size to which the heap is to be shrunk next. */
static size_t heap_room(const struct aloop__timers *timers)
{
    size_t room = timers->room, step = timers->room / SHRINK_PARTS;

    while (room > SPARE_ROOM_MIN && timers->count < room / 4)
        room /= 2;
    if (step < SHRINK_MIN)
        step = SHRINK_MIN;
    return timers->room - room > step ? timers->room - step : room;
}

/* If the allocator cannot shrink the heap, it stays as it is until the next
 * window. */
bool aloop__timers_trim(struct aloop__timers *timers)
{
    struct aloop__entry *heap = NULL;
    size_t room = heap_room(timers);

    if (timers->is_stale && room < timers->room)
        heap = aloop__alloc_resize(timers->alloc, timers->heap,
                                   timers->room * sizeof *heap,
                                   room * sizeof *heap);
    timers->is_stale = heap != NULL;
    if (heap == NULL)
        return false;
    timers->heap = heap;
    timers->room = room;
    return true;
}
