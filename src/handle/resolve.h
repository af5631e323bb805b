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
/* Called with a name, which is valid during the call, and its length, or with
 * an error as `length`. */
typedef void (*aloop__resolve_name_cb)(void *arg, const char *name, int length);

/* Starts to resolve a name and a service.  Calls back from the loop, never
 * inline.  Both texts are copied.  SYS_FAMILY_NONE means all families.  Returns
 * 0; or, without a look-up, ALOOP_EINVAL, ALOOP_ENAMETOOLONG or ALOOP_ENODEV if
 * `host` cannot be a name, or another error. */
int aloop__resolve_start(aloop *loop, const char *host, const char *port,
                         enum sys_family family, aloop__resolve_cb on_resolved,
                         void *arg, struct aloop__resolve **ret);
/* Does the same for the name of an address, which is copied. */
int aloop__resolve_name_start(aloop *loop, const struct sys_address *address,
                              aloop__resolve_name_cb on_resolved, void *arg,
                              struct aloop__resolve **ret);
/* Drops the callback.  The thread may continue for a while without the loop. */
void aloop__resolve_cancel(struct aloop__resolve *resolve);

#endif
