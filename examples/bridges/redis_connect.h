/* Connecting to Redis by TCP; see redis.h. */

#ifndef BRIDGES_REDIS_CONNECT_H
#define BRIDGES_REDIS_CONNECT_H

#include "redis.h"

/**
 * Connects to a server by TCP.
 *
 * A password or a database is a command of its own: "AUTH %s", "SELECT 3".
 *
 * Status:  0.
 * Errors:  as for aloop_tcp_connect().
 * Memory:  `host` and `port` are copied.  *ret is NULL until the future has
 *          settled with 0, and is borrowed until it settles.  The caller calls
 *          redis_close() for it.
 */
ALOOP_MUST_USE
aloop_future *redis_connect(aloop *loop, const char *host, const char *port,
                            struct redis **ret);

#endif
