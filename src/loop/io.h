/* Descriptors that the loop watches; see io.c. */

#ifndef ALOOP_LOOP_IO_H
#define ALOOP_LOOP_IO_H

#include "loop/state.h"

/* Takes `fd` under watch, of nothing yet.  ALOOP_ENOMEM. */
int aloop__io_open(aloop *loop, struct aloop__io *io, int fd,
                   void (*on_ready)(struct aloop__io *io, unsigned bits));
/* Watches exactly `bits` (REACTOR_READ | REACTOR_WRITE). */
int aloop__io_arm(aloop *loop, struct aloop__io *io, unsigned bits);
/* Stops watching; returns the descriptor, still open, or -1. */
int aloop__io_close(aloop *loop, struct aloop__io *io);
/* A call on the descriptor has failed with `error`, or its event brought one:
 * keeps the first that ends the connection.  Returns what to report, which is
 * that one in the place of those that follow. */
int aloop__io_failed(struct aloop__io *io, int error);
struct aloop__event;
/* The reactor may have taken the errors that it reports: before any callback
 * can use the descriptors, they are kept. */
void aloop__io_keep_errors(aloop *loop, const struct aloop__event *events,
                           int count);
/* Calls back for what the reactor reported. */
void aloop__io_dispatch(aloop *loop, const struct aloop__event *event);
/* After fork, or when the reactor reports what cannot be removed. */
int aloop__io_renew(aloop *loop);
/* Whether what is at the descriptor belongs to this process. */
static inline bool aloop__io_is_ours(const aloop *loop,
                                     const struct aloop__io *io)
{
    return (io->process == loop->process || io->process == IO_ANY_PROCESS) &&
           !aloop__is_foreign(loop);
}

/* Before the application uses the descriptor: a forked child takes over what
 * was its parent's, and watches it.  ALOOP_EPERM if the loop is foreign, or is
 * being freed and so has no use for it; what watching failed with. */
int aloop__io_claim(aloop *loop, struct aloop__io *io);

#endif
