/* The list of the watchers of a descriptor, and walks through it.
 *
 *     loop->ios[fd] --> shared watcher --> shared watcher --> owner, or NULL
 *
 * Only watchers that share have a link.  An owner has none, and so ends the
 * list.
 *
 * A walk calls the watchers one after the other, and a callback may close any
 * of them.  Each walk that is under way is recorded in loop->io_walks, and a
 * watcher that is closed leaves all of them, because it may be freed.  Walks
 * nest: a callback may evict the watchers of another descriptor. */

#ifndef ALOOP_LOOP_IO_WALK_H
#define ALOOP_LOOP_IO_WALK_H

#include "loop/io.h"

struct aloop__io_walk {
    struct aloop__io *next; /* To be visited next, or NULL. */
    struct aloop__io_walk *outer;
};

/* Returns the link of a watcher that shares. */
static inline struct aloop__io **aloop__io_link(struct aloop__io *io)
{
    return &CONTAINER_OF(io, struct aloop__io_shared, io)->next;
}

/* Returns the watcher behind this one, or NULL. */
static inline struct aloop__io *aloop__io_after(struct aloop__io *io)
{
    return io->is_shared ? *aloop__io_link(io) : NULL;
}

/* Removes a watcher from the list that begins at *place, if it is there. */
static inline void aloop__io_unlink(struct aloop__io **place,
                                    const struct aloop__io *io)
{
    while (*place != NULL && *place != io && (*place)->is_shared)
        place = aloop__io_link(*place);
    if (*place == io)
        *place = aloop__io_after(*place);
}

/* Makes no walk visit this watcher. */
static inline void aloop__io_leave_walks(const aloop *loop,
                                         const struct aloop__io *io)
{
    struct aloop__io_walk *walk;

    for (walk = loop->io_walks; walk != NULL; walk = walk->outer)
        aloop__io_unlink(&walk->next, io);
}

/* Begins a walk, at the watcher that aloop__io_walk_next() returns first. */
static inline void aloop__io_walk_begin(aloop *loop,
                                        struct aloop__io_walk *walk,
                                        struct aloop__io *first)
{
    walk->next = first;
    walk->outer = loop->io_walks;
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
