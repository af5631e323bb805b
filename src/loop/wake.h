/* The wake-up of a loop that waits; see wake.c. */

#ifndef ALOOP_LOOP_WAKE_H
#define ALOOP_LOOP_WAKE_H

#include "loop/state.h"

/* The channel of the wake-up.  After a fork the child renews it, and has one of
 * its own then. */
int aloop__wake_open(aloop *loop);
void aloop__wake_close(aloop *loop);
int aloop__wake_renew(aloop *loop);

/* Has every wake-up call hook->run, until it is removed. */
void aloop__wake_hook_add(aloop *loop, struct aloop__wake_hook *hook);
void aloop__wake_hook_remove(struct aloop__wake_hook *hook);
/* Calls the hooks: part of every wake-up, and of a turn in which a signal was
 * received whose wake-up is still to come. */
void aloop__wake_hooks_run(aloop *loop);

#endif
