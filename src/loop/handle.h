/* The life cycle that is common to all handles. */

#ifndef ALOOP_LOOP_HANDLE_H
#define ALOOP_LOOP_HANDLE_H

#include "loop/state.h"

/* The part of a handle that the loop uses: the first member of every handle.
 *
 *          activate          close                 the turn ends
 *     IDLE <-------> ACTIVE -------> CLOSED (in loop->closed) ----> freed
 *       +------------------------------^                              */
struct aloop__handle {
    struct aloop__node node; /* In loop->handles, or in loop->closed. */
    aloop *loop;
    const struct aloop__handle_ops *ops;
    bool is_active;     /* Counts in loop->live if also `is_referenced`. */
    bool is_referenced; /* True in a new handle. */
    bool is_closed;
};

/* The properties of one kind of handle. */
struct aloop__handle_ops {
    const char *name; /* "timer"; for reports. */
    size_t size;                                /* Of the whole object. */
    void (*close)(struct aloop__handle *handle); /* The public close. */
    /* Called in a forked child, to drop the state that belongs to the parent.
     * May be NULL. */
    void (*fork)(struct aloop__handle *handle);
    /* Frees what a closed handle owns, at the end of the turn.  May be NULL. */
    void (*fini)(struct aloop__handle *handle);
};

/* Returns a zeroed handle of ops->size bytes, which is referenced and idle.
 * Returns NULL if out of memory. */
void *aloop__handle_new(aloop *loop, const struct aloop__handle_ops *ops);
void aloop__handle_set_active(struct aloop__handle *handle, bool is_active);
void aloop__handle_set_referenced(struct aloop__handle *handle,
                                  bool is_referenced);
/* Makes the handle idle and moves it from loop->handles to loop->closed.  The
 * end of the turn frees it. */
void aloop__handle_closed(struct aloop__handle *handle);
void aloop__handles_free_closed(aloop *loop);
void aloop__handles_close_all(aloop *loop);
/* Returns whether any handle is active, referenced or not. */
bool aloop__handles_active(const aloop *loop);
/* Calls ops->close again for handles that are closed but still have something
 * to do.  That stops them. */
void aloop__handles_close_lingering(aloop *loop);
/* Calls ops->fork of all handles, in a forked child. */
void aloop__handles_fork(aloop *loop);

#endif
