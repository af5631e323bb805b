/* A channel of c-ares in a loop: the lower half of the bridge, on which cares.h
 * makes look-ups operations. */

#ifndef BRIDGES_CARES_CHANNEL_H
#define BRIDGES_CARES_CHANNEL_H

#include <aloop.h>
#include <sys/select.h> /* ares.h needs it. */

#include <ares.h>

#include "cares.h"

struct cares_resolver {
    aloop *loop;
    ares_channel channel;
    size_t pending; /* Operations that have not settled. */
    /* All queries have to end with it, if it is not 0. */
    ssize_t error;

    /* The rest belongs to this module. */
    aloop_timer *timer;
    struct cares_watch *watches;
};

/* Is called after each function of c-ares, because the time that c-ares waits
 * for has changed then, and `error` may have been set. */
void cares_update(cares_resolver *resolver);

#endif
