/* A queue of jobs on a Redis stream.
 *
 * What has to be one step for the server is a script: a check and what depends
 * on it. */

#include "redis_queue.h"

#include <stdio.h>
#include <string.h>

#include "redis_connect.h"

#define REPLY_NS ALOOP_SEC(10)

ssize_t redis_queue_finish(struct redis_queue *queue, const struct redis *redis,
                           aloop_future *command, redisReply **reply,
                           int64_t wait_ns)
{
    ssize_t status = aloop_await(aloop_timeout(command, wait_ns + REPLY_NS));

    if (status < 0)
        snprintf(queue->words, sizeof queue->words, "%s",
                 redis_error(redis, *reply, status));
    return status;
}

/* Does the same for a command of which only the status matters. */
static ssize_t finish(struct redis_queue *queue, const struct redis *redis,
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
        status = finish(queue, *ret,
                        redis_command(*ret, &reply, "AUTH %s", queue->password),
                        &reply);
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
        status = queue->reader_id =
            finish(queue, queue->reader,
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

ssize_t redis_queue_keep(struct redis_queue *queue, size_t count,
                         const char *const *ids, int64_t idle_ns,
                         redisReply **ret_lost)
{
    static const char script[] =
        "local lost = {}"
        " for i = 3, #ARGV do"
        "  if #redis.call('XPENDING', KEYS[1], '" REDIS_GROUP
        "', ARGV[i], ARGV[i], 1, ARGV[1]) == 0 then"
        "   lost[#lost + 1] = ARGV[i]"
        "  else"
        "   redis.call('XCLAIM', KEYS[1], '" REDIS_GROUP
        "', ARGV[1], 0, ARGV[i], 'IDLE', ARGV[2], 'JUSTID')"
        "  end"
        " end"
        " return lost";
    const char *arguments[6 + REDIS_KEEP_MAX] = {"EVAL", script, "1",
                                                 queue->key, queue->worker};
    char idle[24];

    snprintf(idle, sizeof idle, "%lld", (long long) idle_ns / 1000000);
    arguments[5] = idle;
    memcpy(&arguments[6], ids, count * sizeof *ids);
    return redis_queue_finish(queue, queue->redis,
                              redis_command_argv(queue->redis, ret_lost,
                                                 6 + (int) count, arguments,
                                                 NULL),
                              ret_lost, 0);
}

ssize_t redis_queue_end(struct redis_queue *queue, const struct redis_job *job,
                        bool has_failed, const char *result)
{
    static const char script[] =
        "if redis.call('XACK', KEYS[1], '" REDIS_GROUP "', ARGV[1]) == 0 then"
        "  return 0"
        " end"
        " redis.call('XDEL', KEYS[1], ARGV[1])"
        " redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100000, '*', 'id',"
        "  ARGV[1], 'worker', ARGV[2], 'type', ARGV[3], 'argument', ARGV[4],"
        "  'result', ARGV[5])"
        " return 1";
    redisReply *reply;

    return finish(
        queue, queue->redis,
        redis_command(queue->redis, &reply, "EVAL %s 2 %s %s%s %s %s %s %s %s",
                      script, queue->key, queue->key,
                      has_failed ? ":failed" : ":done", job->id, queue->worker,
                      job->type, job->argument, result),
        &reply);
}

ssize_t redis_queue_leave(struct redis_queue *queue)
{
    static const char script[] =
        "if #redis.call('XPENDING', KEYS[1], '" REDIS_GROUP
        "', '-', '+', 1, ARGV[1]) > 0 then"
        "  return 0"
        " end"
        " redis.call('XGROUP', 'DELCONSUMER', KEYS[1], '" REDIS_GROUP
        "', ARGV[1])"
        " return 1";
    redisReply *reply;

    return finish(queue, queue->redis,
                  redis_command(queue->redis, &reply, "EVAL %s 1 %s %s", script,
                                queue->key, queue->worker),
                  &reply);
}

ssize_t redis_queue_stop(struct redis_queue *queue)
{
    redisReply *reply;

    return finish(queue, queue->redis,
                  redis_command(queue->redis, &reply, "CLIENT UNBLOCK %lld",
                                (long long) queue->reader_id),
                  &reply);
}
