/* Taking jobs from a queue on a Redis stream. */

#include "redis_take.h"

#include <stdio.h>
#include <string.h>

enum { SEARCHES_MAX = 1000 }; /* The next call continues. */

static bool is_array(const redisReply *reply, size_t count)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= count;
}

static const char *field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const char *text = fields->element[i + 1]->str;

        if (text != NULL && fields->element[i]->str != NULL &&
            strcmp(fields->element[i]->str, name) == 0)
            return text;
    }
    return "";
}

/* Makes a job of the first of `entries`: [[id, [name, value, ...]], ...].
 * Returns whether there is one: of an entry that was deleted nil is left. */
static bool read_entry(const redisReply *entries, redisReply *reply,
                       struct redis_job *ret)
{
    const redisReply *entry;

    if (!is_array(entries, 1) || !is_array(entries->element[0], 2))
        return false;
    entry = entries->element[0];
    if (entry->element[0]->str == NULL || !is_array(entry->element[1], 0))
        return false;
    *ret = (struct redis_job){entry->element[0]->str,
                              field(entry->element[1], "type"),
                              field(entry->element[1], "argument"), 1, reply};
    return true;
}

/* How often a job was delivered: [[id, worker, idle, count]]. */
static ssize_t read_attempt(struct redis_queue *queue, struct redis_job *job)
{
    redisReply *reply;
    ssize_t status =
        redis_queue_finish(queue, queue->redis,
                           redis_command(queue->redis, &reply,
                                         "XPENDING %s " REDIS_GROUP " %s %s 1",
                                         queue->key, job->id, job->id),
                           &reply, 0);

    if (status > 0 && is_array(reply, 1) && is_array(reply->element[0], 4))
        job->attempt = reply->element[0]->element[3]->integer;
    freeReplyObject(reply);
    return status;
}

/* Takes a job that is not kept.  A call looks at 10 jobs that run, so that this
 * takes several. */
static ssize_t claim(struct redis_queue *queue, struct redis_job *ret)
{
    ssize_t status = 1;
    bool is_job = false;

    for (int i = 0; i < SEARCHES_MAX && status > 0 && !is_job &&
                    aloop_now(queue->redis->loop) >= queue->claim_at_ns;
         i++) {
        redisReply *reply;

        status = redis_queue_finish(
            queue, queue->redis,
            redis_command(queue->redis, &reply,
                          "XAUTOCLAIM %s " REDIS_GROUP " %s %lld %s COUNT 1",
                          queue->key, queue->worker,
                          (long long) queue->claim_ns / 1000000, queue->cursor),
            &reply, 0);
        if (status > 0 && is_array(reply, 2) &&
            reply->element[0]->str != NULL) {
            snprintf(queue->cursor, sizeof queue->cursor, "%s",
                     reply->element[0]->str);
            is_job = read_entry(reply->element[1], reply, ret);
        }
        if (status > 0 && strcmp(queue->cursor, "0-0") == 0)
            queue->claim_at_ns = aloop_now(queue->redis->loop) +
                                 queue->claim_ns / 2;
        if (!is_job)
            freeReplyObject(reply);
    }
    if (is_job)
        status = read_attempt(queue, ret);
    if (is_job && status < 0)
        freeReplyObject(ret->reply);
    return status < 0 ? status : is_job;
}

ssize_t redis_queue_take(struct redis_queue *queue, int64_t wait_ns,
                         struct redis_job *ret)
{
    redisReply *reply;
    ssize_t status = claim(queue, ret);
    int64_t left_ns = queue->claim_at_ns - aloop_now(queue->redis->loop);

    if (status != 0)
        return status;
    if (wait_ns > left_ns)
        wait_ns = left_ns > 0 ? left_ns : 0;
    status = redis_queue_finish(
        queue, queue->reader,
        redis_command(queue->reader, &reply,
                      "XREADGROUP GROUP " REDIS_GROUP
                      " %s COUNT 1 BLOCK %lld STREAMS %s >",
                      queue->worker,
                      (long long) (wait_ns > 0 ? wait_ns / 1000000 : 0) + 1,
                      queue->key),
        &reply, wait_ns);
    /* [[KEY, entries]] */
    if (status > 0 && is_array(reply, 1) && is_array(reply->element[0], 2) &&
        read_entry(reply->element[0]->element[1], reply, ret))
        return 1;
    freeReplyObject(reply);
    return status < 0 ? status : 0;
}
