/* Wake-ups of a waiting loop; see wake.c. */

#ifndef ALOOP_LOOP_WAKE_H
#define ALOOP_LOOP_WAKE_H

#include "loop/state.h"

/* Open, close and replace the channel of the wake-up.  aloop__wake_renew()
 * gives a forked child a channel of its own. */
int aloop__wake_open(aloop *loop);
void aloop__wake_close(aloop *loop);
int aloop__wake_renew(aloop *loop);

/* Wakes the loop again, after a turn that has not returned. */
void aloop__wake_repeat(aloop *loop);

/* Makes every wake-up call hook->run, until the hook is removed. */
void aloop__wake_hook_add(aloop *loop, struct aloop__wake_hook *hook);
void aloop__wake_hook_remove(struct aloop__wake_hook *hook);
/* Calls all hooks.  Called by every wake-up, and by turns that find a post or a
 * signal before its wake-up arrives. */
void aloop__wake_hooks_run(aloop *loop);

#endif
