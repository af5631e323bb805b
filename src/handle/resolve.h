/* Name resolution on the pool. */

#ifndef ALOOP_HANDLE_RESOLVE_H
#define ALOOP_HANDLE_RESOLVE_H

#include "loop/state.h"
#include "os/sys.h"

struct aloop__resolve;

/* Called with `count` addresses, which are valid during the call, or with an
 * error as `count`. */
typedef void (*aloop__resolve_cb)(void *arg,
                                  const struct sys_address *addresses,
                                  int count);

/* Starts to resolve a name and a service.  Calls back from the loop, never
 * inline.  Both texts are copied.  Returns 0 or an error. */
int aloop__resolve_start(aloop *loop, const char *host, const char *port,
                         aloop__resolve_cb on_resolved, void *arg,
                         struct aloop__resolve **ret);
/* Drops the callback.  The thread may continue for a while without the loop. */
void aloop__resolve_cancel(struct aloop__resolve *resolve);

#endif
