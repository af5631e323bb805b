/* Commands for Redis; see redis.h. */

#ifndef BRIDGES_REDIS_COMMAND_H
#define BRIDGES_REDIS_COMMAND_H

#include "redis.h"

/**
 * Sends a command, and receives its reply.
 *
 * The format is that of redisCommand(): %s is a string, %b a pointer and a
 * size_t, %d and the like are numbers; each is one argument, whatever it
 * contains, and not NULL.  Any number of commands may be in flight, each with
 * about 300 bytes of memory; a program that has more than it wants to keep
 * awaits some of them first.
 *
 *     event                     effect
 *     a cancel                  the command settles, and its reply is dropped
 *                               when it arrives.  The server may execute it
 *     the server closes the     all commands settle with REDIS_ELOST; each of
 *     connection, or sends no   them may have been executed
 *     valid reply
 *
 * Status:  of an integer its value, or 0 if that is negative; of an array the
 *          number of elements; of a string its length; of nil 0.
 * Errors:  REDIS_EREPLY: *ret is an error of the server;
 *          REDIS_ELOST: the connection has ended; see redis_error();
 *          REDIS_ECLOSED: redis_close() was called;
 *          ALOOP_EINVAL: the format is malformed or NULL, or one of the
 *          `arguments` is;
 *          ALOOP_ENOMEM: out of memory, and nothing was sent, or `redis` is
 *          NULL.
 * Memory:  the arguments are copied.  *ret is borrowed until the future
 *          settles, and is NULL if there is no reply.  The caller then calls
 *          freeReplyObject(), which allows NULL.  If `ret` is NULL, the reply
 *          is dropped.
 */
ALOOP_MUST_USE
aloop_future *redis_command(struct redis *redis, redisReply **ret,
                            const char *format, ...);

/* Does the same with `count` arguments of which each is a string, or has its
 * size in `sizes` if that is not NULL. */
ALOOP_MUST_USE
aloop_future *redis_command_argv(struct redis *redis, redisReply **ret,
                                 int count, const char **arguments,
                                 const size_t *sizes);

/* For redis.c. */

/* Gives a reply, which it takes over, to the command that has waited longest.
 * Returns false if there is none. */
bool redis_calls_reply(struct redis *redis, redisReply *reply);

/* Settles all commands with an error. */
void redis_calls_end(struct redis *redis, ssize_t status);

#endif
