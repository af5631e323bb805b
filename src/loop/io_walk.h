/* The list of the watchers of a descriptor, and walks through it.
 *
 *     loop->ios[fd] --> shared watcher <--> shared watcher --> owner, or NULL
 *
 * Only watchers that share have links.  An owner has none, and so ends the
 * list.  The first watcher's link to the one before it is to the last watcher
 * that shares, so that any number of watchers can be added and removed without
 * a search.
 *
 * A walk calls the watchers one after the other, and a callback may close any
 * of them.  Each walk that is under way is recorded in loop->io_walks, and a
 * watcher that is closed leaves all of them, because it may be freed.  Walks
 * nest: a callback may evict the watchers of another descriptor.  Evicted
 * watchers are not in the table any more; their walk is all that has them. */

#ifndef ALOOP_LOOP_IO_WALK_H
#define ALOOP_LOOP_IO_WALK_H

#include <string.h>

#include "loop/io.h"

struct aloop__io_walk {
    struct aloop__io *next; /* To be visited next, or NULL. */
    struct aloop__io_walk *outer;
    bool is_of_evicted;
};

/* Returns the watcher, or NULL if it does not share its descriptor. */
static inline struct aloop__io_shared *aloop__io_shared_of(struct aloop__io *io)
{
    return io != NULL && io->is_shared
               ? CONTAINER_OF(io, struct aloop__io_shared, io)
               : NULL;
}

/* Returns the watcher behind this one, or NULL. */
static inline struct aloop__io *aloop__io_after(struct aloop__io *io)
{
    return io->is_shared ? aloop__io_shared_of(io)->next : NULL;
}

/* Adds a watcher to the list at *place, behind all that share. */
static inline void aloop__io_append(struct aloop__io **place,
                                    struct aloop__io *io)
{
    struct aloop__io_shared *first = aloop__io_shared_of(*place);
    struct aloop__io_shared *shared = aloop__io_shared_of(io);

    if (first != NULL)
        place = &first->before->next;
    if (shared != NULL) {
        shared->next = *place;
        shared->before = first != NULL ? first->before : shared;
    }
    if (shared != NULL && first != NULL)
        first->before = shared;
    *place = io;
}

/* Removes a watcher from the list at *place. */
static inline void aloop__io_unlink(struct aloop__io **place,
                                    struct aloop__io *io)
{
    struct aloop__io_shared *first = aloop__io_shared_of(*place);
    struct aloop__io_shared *shared = aloop__io_shared_of(io), *after;

    if (shared == NULL && first != NULL)
        place = &first->before->next;
    else if (shared != first)
        place = &shared->before->next;
    *place = aloop__io_after(io);
    if (shared == NULL)
        return;
    after = aloop__io_shared_of(shared->next);
    if (after != NULL)
        after->before = shared->before;
    else
        first->before = shared->before;
    if (shared == first && after != NULL)
        memcpy(after->counts, shared->counts, sizeof after->counts);
}

/* Removes a watcher from those that a walk is still to visit. */
static inline void aloop__io_leave_walk(struct aloop__io_walk *walk,
                                        const struct aloop__io *io)
{
    struct aloop__io **place = &walk->next;

    while (walk->is_of_evicted && *place != NULL && *place != io &&
           (*place)->is_shared)
        place = &aloop__io_shared_of(*place)->next;
    if (*place == io)
        *place = aloop__io_after(*place);
}

/* Makes no walk visit this watcher. */
static inline void aloop__io_leave_walks(const aloop *loop,
                                         const struct aloop__io *io)
{
    struct aloop__io_walk *walk;

    for (walk = loop->io_walks; walk != NULL; walk = walk->outer)
        aloop__io_leave_walk(walk, io);
}

/* Begins a walk, at the watcher that aloop__io_walk_next() returns first. */
static inline void aloop__io_walk_begin(aloop *loop,
                                        struct aloop__io_walk *walk,
                                        struct aloop__io *first)
{
    walk->next = first;
    walk->outer = loop->io_walks;
    walk->is_of_evicted = false;
    loop->io_walks = walk;
}

/* Returns NULL at the end of the list. */
static inline struct aloop__io *aloop__io_walk_next(struct aloop__io_walk *walk)
{
    struct aloop__io *io = walk->next;

    if (io != NULL)
        walk->next = aloop__io_after(io);
    return io;
}

/* The walk is usually the innermost one. */
static inline void aloop__io_walk_end(aloop *loop,
                                      const struct aloop__io_walk *walk)
{
    struct aloop__io_walk **place = &loop->io_walks;

    while (*place != walk)
        place = &(*place)->outer;
    *place = walk->outer;
}

#endif
