/* Taking jobs from a queue on a Redis stream; see redis_queue.h. */

#ifndef BRIDGES_REDIS_TAKE_H
#define BRIDGES_REDIS_TAKE_H

#include "redis_queue.h"

/* Takes a job, and waits for one up to `wait_ns`.  Returns 1, 0 if there was
 * none, or an error of redis_command(). */
ssize_t redis_queue_take(struct redis_queue *queue, int64_t wait_ns,
                         struct redis_job *ret);

#endif
