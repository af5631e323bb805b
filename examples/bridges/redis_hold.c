/* The jobs of a queue that a worker has.
 *
 * What has to be one step for the server is a script: a check and what depends
 * on it. */

#include "redis_hold.h"

#include <stdio.h>
#include <string.h>

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

ssize_t redis_queue_give_back(struct redis_queue *queue,
                              const struct redis_job *job)
{
    static const char script[] =
        "if #redis.call('XPENDING', KEYS[1], '" REDIS_GROUP
        "', ARGV[2], ARGV[2], 1, ARGV[1]) == 0 then"
        "  return 0"
        " end"
        " redis.call('XCLAIM', KEYS[1], '" REDIS_GROUP
        "', ARGV[1], 0, ARGV[2], 'IDLE', 1000000000, 'RETRYCOUNT', ARGV[3],"
        "  'JUSTID')"
        " return 1";
    redisReply *reply;

    return redis_queue_status(queue, queue->redis,
                              redis_command(queue->redis, &reply,
                                            "EVAL %s 1 %s %s %s %lld", script,
                                            queue->key, queue->worker, job->id,
                                            (long long) job->attempt - 1),
                              &reply);
}

ssize_t redis_queue_end(struct redis_queue *queue, const struct redis_job *job,
                        bool has_failed, const char *result)
{
    static const char script[] =
        "local job = {KEYS[1], '" REDIS_GROUP "', ARGV[1], ARGV[1], 1}"
        " if ARGV[6] == '1' then"
        "  job[6] = ARGV[2]"
        " end"
        " if #redis.call('XPENDING', unpack(job)) == 0 then"
        "  return 0"
        " end"
        /* First, because an error here must not end the job. */
        " redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100000, '*', 'id',"
        "  ARGV[1], 'worker', ARGV[2], 'type', ARGV[3], 'argument', ARGV[4],"
        "  'result', ARGV[5])"
        " redis.call('XACK', KEYS[1], '" REDIS_GROUP "', ARGV[1])"
        " redis.call('XDEL', KEYS[1], ARGV[1])"
        " return 1";
    redisReply *reply;

    return redis_queue_status(
        queue, queue->redis,
        redis_command(
            queue->redis, &reply, "EVAL %s 2 %s %s%s %s %s %s %s %s %d", script,
            queue->key, queue->key, has_failed ? ":failed" : ":done", job->id,
            queue->worker, job->type, job->argument, result, has_failed),
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

    return redis_queue_status(queue, queue->redis,
                              redis_command(queue->redis, &reply,
                                            "EVAL %s 1 %s %s", script,
                                            queue->key, queue->worker),
                              &reply);
}

ssize_t redis_queue_remove_idle(struct redis_queue *queue, int64_t idle_ns)
{
    static const char script[] =
        "local count = 0"
        " for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], "
        "'" REDIS_GROUP "')) do"
        "  local worker = {}"
        "  for i = 1, #row, 2 do"
        "   worker[row[i]] = row[i + 1]"
        "  end"
        "  if worker.name ~= ARGV[1] and worker.pending == 0"
        "    and worker.idle >= tonumber(ARGV[2]) then"
        "   redis.call('XGROUP', 'DELCONSUMER', KEYS[1], '" REDIS_GROUP
        "', worker.name)"
        "   count = count + 1"
        "  end"
        " end"
        " return count";
    redisReply *reply;

    return redis_queue_status(
        queue, queue->redis,
        redis_command(queue->redis, &reply, "EVAL %s 1 %s %s %lld", script,
                      queue->key, queue->worker, (long long) idle_ns / 1000000),
        &reply);
}
