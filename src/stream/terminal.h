/* Streams of terminals: what carrier_terminal.c and tty.c share. */

#ifndef ALOOP_STREAM_TERMINAL_H
#define ALOOP_STREAM_TERMINAL_H

#include "aloop/signal.h"
#include "aloop/tty.h"
#include "loop/timed.h"
#include "os/sys_stream.h"
#include "os/sys_tty.h"
#include "stream/stream.h"

/* The state of a terminal that has used more than reading and writing. */
struct aloop__terminal {
    aloop_stream *stream;
    /* The events that are not watched until `retry` fires, because the process
     * is in the background. */
    unsigned held;
    struct aloop__timed retry;

    /* Changes of the size: the watch is NULL if the application has not asked
     * for them. */
    aloop_signal *watch;
    aloop_tty_cb on_resize;
    void *arg;
    struct sys_tty_size size; /* The last one that is known. */

    /* Raw mode: in raw_terminals while the stream needs it, under the signal
     * lock.  `before` is the mode to restore. */
    struct aloop__node raw;
    uint64_t device;
    unsigned process; /* That has set the mode. */
    int raw_fd;       /* A duplicate, which no other code closes. */
    struct sys_tty_mode before;
};

/* carrier_terminal.c */

/* Creates a stream of a terminal.  `fd` stays the caller's on failure. */
int aloop__terminal_open(aloop *loop, int fd, bool is_blocking,
                         aloop_stream **ret);
/* Returns whether the stream is one of a terminal. */
bool aloop__is_terminal(const aloop_stream *stream);
/* Returns the state, or NULL if there is none. */
struct aloop__terminal *aloop__terminal_state(const aloop_stream *stream);
/* Returns the state, which it creates if necessary, or NULL if out of
 * memory. */
struct aloop__terminal *aloop__terminal_get(aloop_stream *stream);

/* tty.c: ends the calls about the size, and raw mode. */
void aloop__terminal_leave(struct aloop__terminal *terminal);

#endif
