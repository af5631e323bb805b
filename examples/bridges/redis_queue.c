/* A queue of jobs on a Redis stream. */

#include "redis_queue.h"

#include <stdio.h>
#include <string.h>

#include "redis_connect.h"

#define REPLY_NS ALOOP_SEC(10)

void redis_queue_explain(struct redis_queue *queue, const char *words)
{
    snprintf(queue->words, sizeof queue->words, "%.100s:%.20s: %s", queue->host,
             queue->port, words);
}

ssize_t redis_queue_finish(struct redis_queue *queue, const struct redis *redis,
                           aloop_future *command, redisReply **reply,
                           int64_t wait_ns)
{
    ssize_t status = aloop_await(aloop_timeout(command, wait_ns + REPLY_NS));

    if (status < 0)
        redis_queue_explain(queue, redis_error(redis, *reply, status));
    return status;
}

ssize_t redis_queue_status(struct redis_queue *queue, const struct redis *redis,
                           aloop_future *command, redisReply **reply)
{
    ssize_t status = redis_queue_finish(queue, redis, command, reply, 0);

    freeReplyObject(*reply);
    return status;
}

/* Opening and closing. */

static ssize_t open_one(aloop *loop, struct redis_queue *queue,
                        struct redis **ret)
{
    redisReply *reply = NULL;
    ssize_t status = redis_queue_finish(
        queue, NULL, redis_connect(loop, queue->host, queue->port, ret), &reply,
        0);

    if (status >= 0 && queue->password != NULL)
        status = redis_queue_status(
            queue, *ret,
            redis_command(*ret, &reply, "AUTH %s", queue->password), &reply);
    return status;
}

static ssize_t make_group(struct redis_queue *queue)
{
    redisReply *reply;
    ssize_t status = redis_queue_finish(
        queue, queue->redis,
        redis_command(queue->redis, &reply,
                      "XGROUP CREATE %s " REDIS_GROUP " 0 MKSTREAM",
                      queue->key),
        &reply, 0);

    if (status == REDIS_EREPLY && strncmp(reply->str, "BUSYGROUP", 9) == 0)
        status = 0; /* It exists. */
    freeReplyObject(reply);
    return status;
}

ssize_t redis_queue_open(aloop *loop, struct redis_queue *queue, bool can_take)
{
    ssize_t status = open_one(loop, queue, &queue->redis);
    redisReply *reply;

    queue->claim_at_ns = 0;
    snprintf(queue->cursor, sizeof queue->cursor, "0-0");
    if (status >= 0)
        status = make_group(queue);
    if (status >= 0 && can_take)
        status = open_one(loop, queue, &queue->reader);
    if (status >= 0 && can_take)
        status = queue->reader_id = redis_queue_status(
            queue, queue->reader,
            redis_command(queue->reader, &reply, "CLIENT ID"), &reply);
    return status;
}

void redis_queue_close(struct redis_queue *queue)
{
    redis_close(queue->redis);
    redis_close(queue->reader);
    queue->redis = queue->reader = NULL;
}

/* Jobs. */

aloop_future *redis_queue_add(struct redis_queue *queue, const char *type,
                              const char *argument, redisReply **ret)
{
    return redis_command(queue->redis, ret, "XADD %s * type %s argument %s",
                         queue->key, type, argument);
}

ssize_t redis_queue_stop(struct redis_queue *queue)
{
    redisReply *reply;

    return redis_queue_status(queue, queue->redis,
                              redis_command(queue->redis, &reply,
                                            "CLIENT UNBLOCK %lld",
                                            (long long) queue->reader_id),
                              &reply);
}
