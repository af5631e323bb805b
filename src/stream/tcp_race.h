/* The race of attempts to connect; see tcp_race.c. */

#ifndef ALOOP_STREAM_TCP_RACE_H
#define ALOOP_STREAM_TCP_RACE_H

#include "loop/io.h"
#include "loop/timed.h"
#include "os/sys.h"

struct aloop__race {
    aloop *loop;
    struct sys_address *addresses; /* An allocated copy. */
    size_t count;
    struct sys_address local;    /* To bind to; without a size: to none. */
    size_t next;                 /* Index of the next address to try. */
    struct aloop__node attempts; /* Pending attempts. */
    struct aloop__timed timed;   /* Due when the next attempt starts. */
    int last_error;
    /* Receives the descriptor of a connection, or an error.  It may free the
     * race. */
    void (*ended)(struct aloop__race *race, int result);
};

/* The other members of `race` are zero. */
void aloop__race_init(struct aloop__race *race, aloop *loop,
                      void (*ended)(struct aloop__race *race, int result));
/* Starts the attempts with a copy of the addresses.  May end the race inside
 * this call. */
void aloop__race_start(struct aloop__race *race,
                       const struct sys_address *addresses, size_t count);
/* Ends a race without a call of `ended`.  It may have ended already. */
void aloop__race_stop(struct aloop__race *race);

#endif
