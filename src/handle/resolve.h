/* Looking up a name away from the loop. */

#ifndef ALOOP_HANDLE_RESOLVE_H
#define ALOOP_HANDLE_RESOLVE_H

#include "loop/state.h"
#include "os/sys.h"

struct aloop__resolve;

/* `count` addresses at `addresses`, valid during the call; or an error. */
typedef void (*aloop__resolve_cb)(void *arg,
                                  const struct sys_address *addresses,
                                  int count);

/* Calls back, in the loop and not inline, with what the name has.  Both texts
 * are copied. */
int aloop__resolve_start(aloop *loop, const char *host, const char *port,
                         aloop__resolve_cb on_resolved, void *arg,
                         struct aloop__resolve **ret);
/* No call back; the look-up itself may go on for a while, without the loop. */
void aloop__resolve_cancel(struct aloop__resolve *resolve);

#endif
