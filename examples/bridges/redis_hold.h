/* The jobs of a queue that a worker has taken: it keeps them, ends them or
 * gives them back; see redis_queue.h. */

#ifndef BRIDGES_REDIS_HOLD_H
#define BRIDGES_REDIS_HOLD_H

#include "redis_queue.h"

enum { REDIS_KEEP_MAX = 256 }; /* Jobs that one call can keep. */

/* Keeps jobs: the server takes them as kept `idle_ns` ago.  `count` is up to
 * REDIS_KEEP_MAX.  *ret_lost are the ids of those that another worker has
 * taken, or that have ended.  Returns their number, or an error. */
ssize_t redis_queue_keep(struct redis_queue *queue, size_t count,
                         const char *const *ids, int64_t idle_ns,
                         redisReply **ret_lost);

/* Gives a job back, for any worker that looks for one.  The attempt does not
 * count.  Returns 1, or 0 if another worker has the job or it has ended. */
ssize_t redis_queue_give_back(struct redis_queue *queue,
                              const struct redis_job *job);

/* Ends a job with a result, or for `has_failed` with an error.
 *
 *     the job                           a result    an error
 *     is this worker's                  1           1
 *     was taken by another worker       1, and      0: that one may still have
 *                                       counts      a result
 *     had ended before                  0           0
 *
 * With 0 nothing was changed.  After an error of the connection the job may
 * have ended. */
ssize_t redis_queue_end(struct redis_queue *queue, const struct redis_job *job,
                        bool has_failed, const char *result);

/* Removes the worker from the group if it has no job. */
ssize_t redis_queue_leave(struct redis_queue *queue);

/* Removes other workers that have no job, and that have not asked for one for
 * `idle_ns`, from the group: those that were killed.  The server checks and
 * removes in one step, because the jobs of a worker would go with it.  One that
 * lives after all is a member again when it asks for a job.  Returns how many
 * were removed. */
ssize_t redis_queue_remove_idle(struct redis_queue *queue, int64_t idle_ns);

#endif
