/* Listeners: what TCP and other kinds of listeners share. */

#ifndef ALOOP_STREAM_LISTENER_H
#define ALOOP_STREAM_LISTENER_H

#include "aloop/listener.h"
#include "loop/handle.h"
#include "loop/io.h"
#include "loop/timed.h"
#include "loop/wait_queue.h"
#include "os/sys.h"

struct aloop__listener_kind;

struct aloop_listener {
    struct aloop__handle handle;
    const struct aloop__listener_kind *kind;
    void *own; /* What its kind keeps; NULL if nothing. */
    struct aloop__io io;
    struct aloop__timed retry; /* Due when accepting is resumed. */
    unsigned burst;            /* Limit of accepts for the next event. */
    unsigned failures;         /* Consecutive accepts that failed. */
    bool is_suspended;         /* Until `retry` is due. */
    bool is_paused;            /* By its owner. */
    bool is_owned;             /* See aloop__listener_deliver_to(). */
    bool is_drained;           /* A close first accepts all that wait. */
    bool is_closing;           /* The close is doing that. */
    /* The present series of failures was reported. */
    bool has_reported;
    struct sys_address address;  /* Its local address, for reports. */
    aloop_listener_cb on_stream; /* NULL: streams go to `accepts`. */
    void *arg;
    struct aloop__wait_queue accepts; /* Of aloop_listener_accept(). */
};

/* What differs between kinds of listeners. */
struct aloop__listener_kind {
    /* Returns a descriptor that listens at `place`, or an error. */
    int (*open)(aloop_listener *listener, const void *place);
    /* Called before `fd` is closed, and after a failed open, with -1.  `fd` is
     * also -1 if it was closed outside the loop's control.  May be called
     * twice.  May be NULL. */
    void (*close)(aloop_listener *listener, int fd);
    const struct aloop__carrier *carrier; /* Of the accepted streams. */
    bool is_adopted; /* The descriptor stays open if the start fails. */
};

/* Starts a listener at a place of its kind. */
int aloop__listener_start(aloop *loop, const struct aloop__listener_kind *kind,
                          const void *place, aloop_listener_cb on_stream,
                          void *arg, aloop_listener **ret_listener);

/* Has a listener without a callback call `on_stream` from now on.  The caller
 * owns it then, so that aloop_listener_close() has no effect.  Returns
 * ALOOP_EINVAL if it has a callback, and ALOOP_EBUSY if accepts are pending. */
int aloop__listener_deliver_to(aloop_listener *listener,
                               aloop_listener_cb on_stream, void *arg);
/* Leaves connections in the backlog, or continues to call `on_stream`. */
void aloop__listener_pause(aloop_listener *listener, bool is_paused);
/* For the owner: does what aloop_listener_close() does with other listeners. */
void aloop__listener_end(aloop_listener *listener);

#endif
