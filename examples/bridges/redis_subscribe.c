/* The messages of channels of Redis.
 *
 * The server answers each SUBSCRIBE and UNSUBSCRIBE of one channel with one
 * reply, which is that of the command, and sends messages in between. */

#include "redis_subscribe.h"

#include <stdlib.h>
#include <string.h>

/* ["message", channel, text] or ["pmessage", pattern, channel, text] */
static bool is_message(const redisReply *reply)
{
    bool is_by_pattern;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
        return false;
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            return false;
    }
    is_by_pattern = strcmp(reply->element[0]->str, "pmessage") == 0;
    return reply->elements == (is_by_pattern ? 4 : 3) &&
           (is_by_pattern || strcmp(reply->element[0]->str, "message") == 0);
}

static bool subscriber_reply(redisReply *reply, void *arg)
{
    struct redis_subscriber *subscriber = arg;

    if (reply == NULL)
        aloop_channel_close(subscriber->messages);
    if (reply == NULL || !is_message(reply))
        return false;
    if (aloop_channel_try_send(subscriber->messages, &reply) < 0) {
        subscriber->late = reply;
        redis_pause(subscriber->redis);
    }
    return true;
}

struct redis_subscriber *redis_subscriber_new(struct redis *redis,
                                              size_t capacity)
{
    struct redis_subscriber *subscriber;

    if (redis == NULL || redis_is_lost(redis) || redis->first != NULL)
        return NULL;
    subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->messages = aloop_channel_new(
        redis->loop, sizeof subscriber->late, capacity > 0 ? capacity : 1);
    if (subscriber->messages == NULL) {
        free(subscriber);
        return NULL;
    }
    subscriber->redis = redis;
    redis->on_reply = subscriber_reply;
    redis->arg = subscriber;
    aloop_stream_ref(redis->stream);
    return subscriber;
}

void redis_subscriber_free(struct redis_subscriber *subscriber)
{
    redisReply *message;

    if (subscriber == NULL)
        return;
    while (aloop_channel_try_receive(subscriber->messages, &message) == 0)
        freeReplyObject(message);
    freeReplyObject(subscriber->late);
    aloop_channel_free(subscriber->messages);
    subscriber->redis->on_reply = NULL;
    if (!redis_is_lost(subscriber->redis))
        aloop_stream_unref(subscriber->redis->stream);
    free(subscriber);
}

aloop_future *redis_message(struct redis_subscriber *subscriber,
                            redisReply **ret)
{
    aloop_future *future;

    *ret = NULL;
    if (subscriber == NULL)
        return NULL;
    future = aloop_channel_receive(subscriber->messages, ret);
    if (subscriber->late != NULL &&
        aloop_channel_try_send(subscriber->messages, &subscriber->late) == 0) {
        subscriber->late = NULL;
        redis_resume(subscriber->redis);
    }
    return future;
}
