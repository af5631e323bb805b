/* Connections to Redis. */

#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_command.h"

enum {
    REPLY_SIZE_MAX = 64 << 20,
    REPLY_ELEMENTS_MAX = 1000000,
    /* The reader moves what is behind each 1,024 bytes that it has parsed, so
     * that it is given little at a time. */
    FEED_SIZE = 8192
};

/* The end of a connection. */

static void drop(struct redis *redis, const char *words)
{
    aloop_stream_abort(redis->stream);
    redis->stream = NULL;
    snprintf(redis->words, sizeof redis->words, "%s", words);
    redis_calls_end(redis, REDIS_ELOST);
    if (redis->on_reply != NULL)
        redis->on_reply(NULL, redis->arg);
}

/* Replies. */

static void deliver(struct redis *redis, redisReply *reply)
{
    if ((redis->on_reply != NULL && redis->on_reply(reply, redis->arg)) ||
        redis_calls_reply(redis, reply))
        return;
    drop(redis,
         reply->type == REDIS_REPLY_ERROR /* There are too many clients. */
             ? reply->str
             : "there was a reply without a command");
    freeReplyObject(reply);
}

static void parse(struct redis *redis)
{
    void *reply = NULL;

    while (redis->stream != NULL && !redis->is_paused &&
           redisReaderGetReply(redis->reader, &reply) == REDIS_OK &&
           reply != NULL) {
        redis->size = redis->reader->len - redis->reader->pos;
        redis->elements = 0;
        deliver(redis, reply);
    }
    if (redis->stream == NULL || redis->is_paused)
        return;
    if (redis->is_too_long || redis->size > redis->reply_size_max)
        drop(redis, "the reply is too long");
    else if (redis->reader->err != 0)
        drop(redis, redis->reader->errstr);
}

static void redis_data(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    struct redis *redis = arg;
    const char *bytes = data;

    (void) stream;
    if (size <= 0)
        drop(redis, size == 0 ? "the server has closed the connection"
                              : aloop_strerror(size));
    while (size > 0 && redis->stream != NULL) {
        size_t piece = size < FEED_SIZE ? (size_t) size : FEED_SIZE;

        redisReaderFeed(redis->reader, bytes, piece);
        redis->size += piece;
        bytes += piece;
        size -= (ssize_t) piece;
        parse(redis);
    }
}

void redis_pause(struct redis *redis)
{
    redis->is_paused = true;
    if (redis->stream != NULL)
        aloop_stream_stop(redis->stream);
}

void redis_resume(struct redis *redis)
{
    int error;

    redis->is_paused = false;
    parse(redis);
    if (redis->stream == NULL || redis->is_paused)
        return;
    error = aloop_stream_start(redis->stream, redis_data, redis);
    if (error < 0)
        drop(redis, aloop_strerror(error));
}

/* A server could ask for gigabytes with "*2147483647". */
#if HIREDIS_MAJOR < 1
static void *redis_create_array(const redisReadTask *task, int count)
#else
static void *redis_create_array(const redisReadTask *task, size_t count)
#endif
{
    struct redis *redis = task->privdata;

    redis->is_too_long = redis->elements > redis->reply_elements_max ||
                         (size_t) count >
                             redis->reply_elements_max - redis->elements;
    if (redis->is_too_long)
        return NULL;
    redis->elements += (size_t) count;
    return redis->originals->createArray(task, count);
}

/* Connections. */

struct redis *redis_start(aloop *loop, aloop_stream *stream)
{
    struct redis *redis = calloc(1, sizeof *redis);
    redisReader *reader = redisReaderCreate();

    if (redis == NULL || reader == NULL ||
        aloop_stream_start(stream, redis_data, redis) < 0) {
        if (reader != NULL)
            redisReaderFree(reader);
        free(redis);
        aloop_stream_close(stream);
        return NULL;
    }
    aloop_stream_unref(stream);
    redis->reply_size_max = REPLY_SIZE_MAX;
    redis->reply_elements_max = REPLY_ELEMENTS_MAX;
    redis->loop = loop;
    redis->stream = stream;
    redis->end = &redis->first;
    redis->originals = reader->fn;
    redis->functions = *reader->fn;
    redis->functions.createArray = redis_create_array;
    reader->fn = &redis->functions;
    reader->privdata = redis;
    redis->reader = reader;
    return redis;
}

void redis_close(struct redis *redis)
{
    if (redis == NULL)
        return;
    aloop_stream_close(redis->stream);
    redis_calls_end(redis, REDIS_ECLOSED);
    redisReaderFree(redis->reader);
    free(redis);
}

const char *redis_error(const struct redis *redis, const redisReply *reply,
                        ssize_t status)
{
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    if (status == REDIS_ELOST && redis != NULL && redis->words[0] != '\0')
        return redis->words;
    return status == REDIS_ELOST     ? "the connection to the server was lost"
           : status == REDIS_EREPLY  ? "the server refused the command"
           : status == REDIS_ECLOSED ? "the connection was closed"
                                     : aloop_strerror(status);
}
