/* Descriptors that the loop watches; see io.c. */

#ifndef ALOOP_LOOP_IO_H
#define ALOOP_LOOP_IO_H

#include "loop/state.h"
#include "os/reactor.h"

/* REACTOR_READ to REACTOR_EDGE. */
enum { IO_BITS = 6 };

/* A watcher that shares its descriptor with others. */
struct aloop__io_shared {
    struct aloop__io io;
    struct aloop__io *next; /* The next watcher of the descriptor. */
    /* The one before it, which shares, too; that of the first is the last. */
    struct aloop__io_shared *before;
    uint32_t joined; /* loop->io_joins when it was added. */
    /* In the first one: for how many watchers the reactor watches each bit. */
    uint32_t counts[IO_BITS];
};

/* A watcher whose descriptor was closed outside the loop's control is closed,
 * too, and its on_ready is called a last time, with `io->fd` < 0.  It gets
 * REACTOR_READ and REACTOR_WRITE if the number belongs to a descriptor now that
 * the reactor refuses because it is always ready, and else REACTOR_ERROR. */

/* Makes `io` the owner of `fd`, which was opened just now, and watches nothing
 * yet.  Watchers of an earlier descriptor of this number are closed and get
 * REACTOR_ERROR.  Returns ALOOP_ENOMEM. */
int aloop__io_open(aloop *loop, struct aloop__io *io, int fd,
                   void (*on_ready)(struct aloop__io *io, unsigned bits));
/* Makes `shared` a watcher of `fd` beside those that there are, and watches
 * nothing yet.  It gets nothing of the events of the present wait.  If the loop
 * finds that the number belongs to another descriptor now, the watchers that
 * there are are closed and get REACTOR_ERROR.  Returns ALOOP_ENOMEM, or
 * ALOOP_EBADF for a large number that is not open. */
int aloop__io_share(aloop *loop, struct aloop__io_shared *shared, int fd,
                    void (*on_ready)(struct aloop__io *io, unsigned bits));
/* Watches exactly `bits` (all REACTOR_* but REACTOR_ERROR).  on_ready gets
 * these, and REACTOR_ERROR if `bits` is not 0.  Returns ALOOP_EPERM for a
 * descriptor that is always ready; the next turn then closes its other
 * watchers. */
int aloop__io_arm(aloop *loop, struct aloop__io *io, unsigned bits);
/* Stops watching, also inside a callback of another watcher.  Returns the
 * descriptor, which stays open, or -1 if there was none. */
int aloop__io_close(aloop *loop, struct aloop__io *io);
/* Must be called when a call on the descriptor has failed with `error`, or an
 * event contained that error.  Records the first error that ends the
 * connection.  Returns the error to report, which is the recorded one if there
 * is one, unless `error` concerns only the call. */
int aloop__io_failed(struct aloop__io *io, int error);
/* Records the errors in the events of one wait, before a callback can use the
 * descriptors.  The reactor may have consumed these errors, so that the socket
 * does not report them again. */
void aloop__io_keep_errors(aloop *loop, const struct aloop__event *events,
                           int count);
/* Calls the watchers from `first` on, if there are any, that want an event. */
void aloop__io_dispatch_all(aloop *loop, struct aloop__io *first,
                            unsigned bits);
/* Creates the set of watched descriptors again: after a fork, or if the reactor
 * reports a descriptor that cannot be removed.  What a number belongs to now is
 * watched. */
int aloop__io_renew(aloop *loop);
/* Returns whether the object behind the descriptor belongs to this process. */
static inline bool aloop__io_is_ours(const aloop *loop,
                                     const struct aloop__io *io)
{
    return (io->process == loop->process || io->process == IO_ANY_PROCESS) &&
           !aloop__is_foreign(loop);
}

/* Returns the first watcher of the descriptor, or NULL if the event is about an
 * earlier descriptor of its number. */
static inline struct aloop__io *aloop__io_of(const aloop *loop,
                                             const struct aloop__event *event)
{
    size_t fd = (uint32_t) aloop__event_fd(event);
    struct aloop__io *io;

    if (fd >= loop->io_count) /* Also if it is negative. */
        return NULL;
    io = loop->ios[fd];
    if (io == NULL || io->generation != aloop__event_generation(event))
        return NULL;
    return io;
}

/* Calls the watchers of the descriptor that want an event of the reactor.  The
 * usual case is an owner without other watchers. */
static inline void aloop__io_dispatch(aloop *loop,
                                      const struct aloop__event *event)
{
    struct aloop__io *io = aloop__io_of(loop, event);
    unsigned bits = aloop__event_bits(event);

    if (io == NULL || io->is_shared || io->armed == 0)
        aloop__io_dispatch_all(loop, io, bits);
    else if (aloop__io_is_ours(loop, io)) /* A callback may have forked. */
        io->on_ready(io, bits);
}

/* Must be called before the application uses the descriptor.  A forked child
 * takes over the descriptor from its parent and watches it.  Returns
 * ALOOP_EPERM if the loop is foreign or is being freed, or the error of
 * watching.  `armed` is 0 then if the reactor cannot watch the descriptor. */
int aloop__io_adopt(aloop *loop, struct aloop__io *io);

#endif
