/* The life cycle that is common to all handles. */

#ifndef ALOOP_LOOP_HANDLE_H
#define ALOOP_LOOP_HANDLE_H

#include "loop/state.h"

/* The states of a handle, in this order.  A close leads to CLOSED, directly or
 * through CLOSING:
 *
 *     IDLE <----> ACTIVE --close--> CLOSING ----> CLOSED --end of turn--> freed
 */
enum aloop__handle_state {
    HANDLE_IDLE = false,
    HANDLE_ACTIVE = true, /* Counts in loop->live if also `is_referenced`. */
    HANDLE_CLOSING, /* Closed by the application; it has something to finish. */
    HANDLE_CLOSED   /* In loop->closed. */
};

/* The part of a handle that the loop uses: the first member of every handle. */
struct aloop__handle {
    struct aloop__node node; /* In loop->handles, or in loop->closed. */
    aloop *loop;
    const struct aloop__handle_ops *ops;
    uint8_t state;      /* enum aloop__handle_state */
    bool is_referenced; /* True in a new handle. */
    /* Bytes that the kind may use, because they cost nothing here; see struct
     * aloop_stream. */
    unsigned char own[6];
};

/* The properties of one kind of handle. */
struct aloop__handle_ops {
    const char *name;                            /* "timer"; for reports. */
    size_t size;                                 /* Of the whole object. */
    void (*close)(struct aloop__handle *handle); /* The public close. */
    /* Called in a forked child, to drop the state that belongs to the parent.
     * May be NULL. */
    void (*fork)(struct aloop__handle *handle);
    /* Frees what a closed handle owns, at the end of the turn.  May be NULL. */
    void (*fini)(struct aloop__handle *handle);
    /* Called if a callback of loop->dispatching has ended its thread.  NULL for
     * all other kinds. */
    void (*unwound)(struct aloop__handle *handle);
    /* Returns the name for reports, in place of `name`, which is valid until
     * the next call.  May be NULL. */
    const char *(*describe)(const struct aloop__handle *handle);
    /* Returns whether a function of the application runs that must not use the
     * handle.  May be NULL. */
    bool (*is_inside)(const struct aloop__handle *handle);
    /* It is called back only because the loop waits for something else. */
    bool is_passive;
    bool is_fallible; /* The close may report an error. */
};

static inline bool aloop__handle_is_active(const struct aloop__handle *handle)
{
    return handle->state == HANDLE_ACTIVE;
}

/* Returns whether the application has closed the handle. */
static inline bool aloop__handle_is_ended(const struct aloop__handle *handle)
{
    return handle->state >= HANDLE_CLOSING;
}

/* Returns the handle's name for reports.  It is valid until the next call. */
static inline const char *aloop__handle_name(const struct aloop__handle *handle)
{
    return handle->ops->describe != NULL ? handle->ops->describe(handle)
                                         : handle->ops->name;
}

/* Makes a new handle known to its loop: it is referenced and inactive. */
static inline void aloop__handle_begin(struct aloop__handle *handle,
                                       aloop *loop,
                                       const struct aloop__handle_ops *ops)
{
    list_push_new(&loop->handles, &handle->node);
    handle->loop = loop;
    handle->ops = ops;
    handle->is_referenced = true;
}

/* Returns a zeroed handle of ops->size bytes, which is referenced and inactive.
 * Returns NULL if out of memory. */
void *aloop__handle_new(aloop *loop, const struct aloop__handle_ops *ops);
/* No effect on a handle that the application has closed: a callback that closes
 * its own handle may be followed by code that stops it. */
static inline void aloop__handle_set_active(struct aloop__handle *handle,
                                            bool is_active)
{
    if (handle->state == is_active || aloop__handle_is_ended(handle))
        return;
    handle->state = is_active;
    if (handle->is_referenced && is_active)
        handle->loop->live++;
    else if (handle->is_referenced)
        handle->loop->live--;
}
/* Ends a handle for the application: it is not active any more, and no callback
 * runs.  aloop__handle_closed() follows, now or later. */
void aloop__handle_closing(struct aloop__handle *handle);
/* The public ref and unref of every kind of handle.  `handle` may be NULL. */
void aloop__handle_reference(struct aloop__handle *handle, bool is_referenced,
                             const char *function);
/* Moves the handle from loop->handles to loop->closed.  The
 * end of the turn frees it. */
void aloop__handle_closed(struct aloop__handle *handle);
void aloop__handles_free_closed(aloop *loop);
/* Returns whether the handle, which may be freed, is one that the loop has. */
bool aloop__handles_have(const aloop *loop, const struct aloop__handle *handle);
void aloop__handles_close_all(aloop *loop);
/* Closes those whose close may report an error, before the last reports. */
void aloop__handles_close_fallible(aloop *loop);
/* Returns whether any handle is active, referenced or not, and not passive. */
bool aloop__handles_are_active(const aloop *loop);
/* Calls ops->close again for handles that are closed but still have something
 * to do.  That stops them. */
void aloop__handles_close_lingering(aloop *loop);
/* Calls ops->fork of all handles, in a forked child. */
void aloop__handles_fork(aloop *loop);

#endif
