/* The life cycle that all handles share. */

#ifndef ALOOP_LOOP_HANDLE_H
#define ALOOP_LOOP_HANDLE_H

#include "loop/state.h"

/* What a handle is to the loop; each kind embeds one.
 *
 *          activate          close                 the turn ends
 *     IDLE <-------> ACTIVE -------> CLOSED (in loop->closed) ----> freed
 *       +------------------------------^                              */
struct aloop__handle {
    struct aloop__node node; /* In loop->handles, or in loop->closed. */
    aloop *loop;
    const struct aloop__handle_ops *ops;
    bool active;     /* Counted in loop->live if also referenced. */
    bool referenced; /* True at first. */
    bool closed;
};

/* What differs between kinds of handle. */
struct aloop__handle_ops {
    const char *name; /* "timer"; for reports. */
    size_t size;                                /* Of the whole object. */
    void (*close)(struct aloop__handle *handle); /* As the user's close. */
    /* In a forked child: what concerns the parent is forgotten.  Or NULL. */
    void (*fork)(struct aloop__handle *handle);
};

/* A zeroed handle of ops->size bytes, referenced, idle; or NULL. */
void *aloop__handle_new(aloop *loop, const struct aloop__handle_ops *ops);
void aloop__handle_set_active(struct aloop__handle *handle, bool active);
void aloop__handle_set_referenced(struct aloop__handle *handle,
                                  bool referenced);
/* Idle, out of loop->handles, freed when the turn ends. */
void aloop__handle_closed(struct aloop__handle *handle);
void aloop__handles_free_closed(aloop *loop);
void aloop__handles_close_all(aloop *loop);
bool aloop__handles_active(const aloop *loop); /* Any, referenced or not. */
/* Those that are closed and still have something to do. */
void aloop__handles_close_lingering(aloop *loop);
/* In a forked child: see aloop__handle_ops.fork. */
void aloop__handles_fork(aloop *loop);

#endif
