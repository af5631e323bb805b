/* A queue of jobs on a Redis stream, for any number of workers on any number of
 * machines; see redis_worker.h for a worker, and for one of your own
 * redis_take.h and redis_hold.h.
 *
 *     key                  contents
 *     KEY                  a stream of jobs that wait or run, with the fields
 *                          "type" and "argument"
 *     KEY:done             a stream of the last 100,000 results
 *     KEY:failed           the same of jobs that have failed too often
 *
 * Each job is delivered to one worker of the group "workers" of the stream.
 * That worker keeps it, by redis_queue_keep(), until it ends.  A job that was
 * not kept for claim_ns is delivered again, to another worker:
 *
 *     what is promised     a job that was added ends, whatever happens to
 *                          workers, as long as one of them runs; and it has one
 *                          result, that of the run that ends first, because the
 *                          server acknowledges a job once, and adds the result
 *                          in the same step
 *     what is not          that a job runs only once: one whose worker was
 *                          killed, or was cut off, runs again, maybe while the
 *                          first one still runs
 *     the server           has to keep its data when it restarts (appendonly
 *                          yes), or jobs are lost with it.  A job that a worker
 *                          has ended comes back if the server dies before it
 *                          has written that down (appendfsync); the same holds
 *                          if a replica takes its place.  In a cluster the name
 *                          KEY has a part in braces, such as {jobs}, and the
 *                          workers connect to the node that has it
 *
 * It needs Redis 6.2.  The functions await; one that the server does not answer
 * for 10 s fails with ALOOP_ETIMEDOUT. */

#ifndef BRIDGES_REDIS_QUEUE_H
#define BRIDGES_REDIS_QUEUE_H

#include "redis_command.h"

#define REDIS_GROUP "workers"

struct redis_queue {
    /* The application sets these. */
    const char *host, *port;
    const char *password; /* NULL: the server has none. */
    const char *key;
    const char *worker; /* The name of this worker, which no other has. */
    int64_t claim_ns;

    struct redis *redis;  /* For commands that do not wait. */
    struct redis *reader; /* Waits for jobs. */
    ssize_t reader_id;    /* The server's number of that connection. */
    int64_t claim_at_ns;  /* When to look for jobs that are not kept. */
    char cursor[48];      /* Where this search continues. */
    char words[256];      /* Of the last error: "HOST:PORT: REASON". */
};

struct redis_job {
    const char *id, *type, *argument; /* Parts of `reply`. */
    int64_t attempt;                  /* 1: it was not delivered before. */
    redisReply *reply;                /* The owner calls freeReplyObject(). */
};

/* Connects, and makes the stream and its group unless they exist.  Only with
 * `can_take` jobs can be taken.  Returns 0 or more, or an error of
 * redis_connect() or redis_command(); the caller closes in both cases. */
ssize_t redis_queue_open(aloop *loop, struct redis_queue *queue, bool can_take);

void redis_queue_close(struct redis_queue *queue);

/* Starts to add a job, of which *ret is the id.  It is an operation, so that
 * many can be added together. */
ALOOP_MUST_USE
aloop_future *redis_queue_add(struct redis_queue *queue, const char *type,
                              const char *argument, redisReply **ret);

/* Lets a redis_queue_take() that waits return. */
ssize_t redis_queue_stop(struct redis_queue *queue);

/* Keeps the reason of an error, as `words` of the queue. */
void redis_queue_explain(struct redis_queue *queue, const char *words);

/* For the parts of this module: waits for a reply, and keeps the words of an
 * error. */
ssize_t redis_queue_finish(struct redis_queue *queue, const struct redis *redis,
                           aloop_future *command, redisReply **reply,
                           int64_t wait_ns);

/* Does the same for a command of which only the status matters. */
ssize_t redis_queue_status(struct redis_queue *queue, const struct redis *redis,
                           aloop_future *command, redisReply **reply);

#endif
