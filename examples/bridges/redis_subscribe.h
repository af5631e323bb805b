/* The messages of channels of Redis; see redis.h.
 *
 *     struct redis_subscriber *subscriber = redis_subscriber_new(redis, 100);
 *     redisReply *message;
 *
 *     status = aloop_await(redis_subscribe(subscriber, "news"));
 *     while (status >= 0) {
 *         status = aloop_await(redis_message(subscriber, &message));
 *         if (status >= 0) {
 *             puts(redis_message_text(message)->str);
 *             freeReplyObject(message);
 *         }
 *     }
 *     redis_subscriber_free(subscriber);
 *     redis_close(redis);
 *
 * A subscriber needs a connection of its own, on which the server accepts no
 * other commands than PING.  The connection keeps the loop alive then. */

#ifndef BRIDGES_REDIS_SUBSCRIBE_H
#define BRIDGES_REDIS_SUBSCRIBE_H

#include "redis_command.h"

/* Its members belong to the bridge. */
struct redis_subscriber {
    struct redis *redis;
    aloop_channel *messages; /* Items are of type `redisReply *`. */
    redisReply *late;        /* The one for which the channel had no room. */
};

/**
 * Makes a subscriber, without channels.
 *
 * Messages that no task has received are kept.  If there are more than
 * `capacity`, from 1, nothing more is read from the server until one of them is
 * received.  The server ends a connection for which it keeps too much.
 *
 * Returns: the subscriber, or NULL if out of memory, or if the connection is
 *          NULL, has ended or waits for replies.
 * Memory:  the connection stays the caller's.
 */
struct redis_subscriber *redis_subscriber_new(struct redis *redis,
                                              size_t capacity);

/**
 * Drops the messages that were not received, and frees the subscriber.
 *
 * It is called before redis_close().  If channels are still subscribed to, the
 * connection can only be closed then.  NULL is allowed.
 */
void redis_subscriber_free(struct redis_subscriber *subscriber);

/**
 * Subscribes to a channel, or to all that match a pattern such as "news.*".
 *
 * Messages are received from then on.
 *
 * Status:  0 or more.
 * Errors:  as for redis_command_argv(); ALOOP_ENOMEM: `subscriber` is NULL.
 * Memory:  `channel` is copied.
 */
ALOOP_MUST_USE
static inline aloop_future *redis_subscribe_with(
    struct redis_subscriber *subscriber, const char *channel, bool is_pattern)
{
    const char *arguments[] = {is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE",
                               channel};

    return redis_command_argv(subscriber != NULL ? subscriber->redis : NULL,
                              NULL, 2, arguments, NULL);
}

ALOOP_MUST_USE
static inline aloop_future *redis_subscribe(struct redis_subscriber *subscriber,
                                            const char *channel)
{
    return redis_subscribe_with(subscriber, channel, false);
}

/* Ends a subscription of redis_subscribe_with(). */
ALOOP_MUST_USE
static inline aloop_future *redis_unsubscribe_with(
    struct redis_subscriber *subscriber, const char *channel, bool is_pattern)
{
    const char *arguments[] = {is_pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE",
                               channel};

    return redis_command_argv(subscriber != NULL ? subscriber->redis : NULL,
                              NULL, 2, arguments, NULL);
}

ALOOP_MUST_USE
static inline aloop_future *redis_unsubscribe(
    struct redis_subscriber *subscriber, const char *channel)
{
    return redis_unsubscribe_with(subscriber, channel, false);
}

/**
 * Receives the next message.
 *
 * A cancelled wait loses no message.
 *
 * Status:  0.
 * Errors:  ALOOP_ECLOSED: the connection has ended, and all messages before
 *          were received; redis_error(redis, NULL, REDIS_ELOST) shows why;
 *          ALOOP_ENOMEM: `subscriber` is NULL, or out of memory;
 *          others: as for aloop_channel_receive().
 * Memory:  borrows *ret until the future settles.  After a success the caller
 *          calls freeReplyObject().
 */
ALOOP_MUST_USE
aloop_future *redis_message(struct redis_subscriber *subscriber,
                            redisReply **ret);

/* Return the parts of a message, which are strings. */

static inline redisReply *redis_message_text(const redisReply *message)
{
    return message->element[message->elements - 1];
}

static inline redisReply *redis_message_channel(const redisReply *message)
{
    return message->element[message->elements - 2];
}

#endif
