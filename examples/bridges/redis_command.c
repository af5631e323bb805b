/* Commands for Redis.
 *
 * Those that wait for a reply are in a list, in the order in which they were
 * sent.  One that was cancelled stays in it until its reply arrives. */

#include "redis_command.h"

#include <stdint.h>
#include <stdlib.h>

struct redis_call {
    struct redis_call *next;
    aloop_future *operation; /* NULL: it was cancelled. */
    redisReply **ret;        /* NULL: the reply is dropped. */
};

enum { FORMAT_WRONG = -2 }; /* What hiredis returns. */

/* Sending. */

static void call_cancel(aloop_future *operation, void *arg)
{
    struct redis_call *call = arg;

    call->operation = NULL;
    aloop_operation_settle(operation, ALOOP_ECANCELED);
}

/* Sends what hiredis has formatted, or settles with its error. */
static aloop_future *put_command(struct redis *redis, redisReply **ret,
                                 const char *command, long long size)
{
    struct redis_call *call;
    aloop_future *operation;
    int error = size == -1 ? ALOOP_ENOMEM : size < 0 ? ALOOP_EINVAL : 0;

    if (ret != NULL)
        *ret = NULL;
    if (redis == NULL)
        return NULL;
    if (error == 0 && redis_is_lost(redis))
        error = REDIS_ELOST;
    call = error == 0 ? calloc(1, sizeof *call) : NULL;
    if (call == NULL)
        return aloop_future_new_settled(redis->loop,
                                        error != 0 ? error : ALOOP_ENOMEM);
    operation = aloop_operation_new(redis->loop, call_cancel, call);
    if (operation != NULL)
        error = aloop_stream_put(redis->stream, command, (size_t) size);
    if (error < 0) /* The stream reports the end of the connection later. */
        aloop_operation_settle(operation, error == ALOOP_ENOMEM ? ALOOP_ENOMEM
                                                                : REDIS_ELOST);
    if (operation == NULL || error < 0) {
        free(call);
        return operation;
    }
    *call = (struct redis_call){NULL, operation, ret};
    *redis->end = call;
    redis->end = &call->next;
    return operation;
}

aloop_future *redis_command(struct redis *redis, redisReply **ret,
                            const char *format, ...)
{
    char *command = NULL;
    aloop_future *future;
    va_list list;
    int size;

    va_start(list, format);
    size = format == NULL ? FORMAT_WRONG
                          : redisvFormatCommand(&command, format, list);
    va_end(list);
    future = put_command(redis, ret, command, size);
    redisFreeCommand(command);
    return future;
}

aloop_future *redis_command_argv(struct redis *redis, redisReply **ret,
                                 int count, const char **arguments,
                                 const size_t *sizes)
{
    char *command = NULL;
    aloop_future *future;
    bool is_valid = count > 0 && arguments != NULL;
    long long size = FORMAT_WRONG;

    for (int i = 0; is_valid && i < count; i++)
        is_valid = arguments[i] != NULL;
    if (is_valid)
        size = redisFormatCommandArgv(&command, count, arguments, sizes);
    future = put_command(redis, ret, command, size);
    redisFreeCommand(command);
    return future;
}

/* Replies. */

static ssize_t measure(const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_ERROR:
        return REDIS_EREPLY;
    case REDIS_REPLY_INTEGER:
        if (reply->integer > PTRDIFF_MAX)
            return PTRDIFF_MAX;
        return reply->integer > 0 ? (ssize_t) reply->integer : 0;
    case REDIS_REPLY_ARRAY:
        return (ssize_t) reply->elements;
    default:
        return (ssize_t) reply->len;
    }
}

bool redis_calls_reply(struct redis *redis, redisReply *reply)
{
    struct redis_call *call = redis->first;

    if (call == NULL)
        return false;
    redis->first = call->next;
    if (redis->first == NULL)
        redis->end = &redis->first;
    if (call->operation != NULL) {
        ssize_t status = measure(reply);

        if (call->ret != NULL) {
            *call->ret = reply;
            reply = NULL;
        }
        aloop_operation_settle(call->operation, status);
    }
    freeReplyObject(reply);
    free(call);
    return true;
}

void redis_calls_end(struct redis *redis, ssize_t status)
{
    while (redis->first != NULL) {
        struct redis_call *call = redis->first;

        redis->first = call->next;
        if (call->operation != NULL)
            aloop_operation_settle(call->operation, status);
        free(call);
    }
    redis->end = &redis->first;
}
