/* Sends "INCR key" to Redis in one of several ways, for databases_redis.sh.
 *
 *     usage: aloop_commands WAY COUNT BATCH
 *
 *     aloop     the bridge examples/bridges/redis.h
 *     libuv     hiredis with its own adapter for libuv
 *     blocking  hiredis without a loop
 *
 * BATCH commands are in flight at a time; 1 is one after the other.  The server
 * is at REDIS_PORT of 127.0.0.1.  Fails if a reply is wrong. */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/adapters/libuv.h>

#include "bridges/redis_command.h"
#include "bridges/redis_connect.h"

enum { BATCH_MAX = 10000 };

static long wanted, batch;
static const char *port;

/* aloop */

static ssize_t run_batch(aloop *loop, struct redis *redis)
{
    static aloop_future *futures[BATCH_MAX];

    if (batch == 1)
        return aloop_await(redis_command(redis, NULL, "INCR key"));
    for (long i = 0; i < batch; i++)
        futures[i] = redis_command(redis, NULL, "INCR key");
    return aloop_await(aloop_gather_array(loop, (size_t) batch, futures));
}

static ssize_t amain(aloop *loop, void *arg)
{
    struct redis *redis;
    redisReply *reply = NULL;
    ssize_t status =
        aloop_await(redis_connect(loop, "127.0.0.1", port, &redis));

    (void) arg;
    for (long done = 0; status >= 0 && done < wanted; done += batch)
        status = run_batch(loop, redis);
    if (status >= 0)
        status = aloop_await(redis_command(redis, &reply, "GET key"));
    if (status >= 0 && atol(reply->str) != wanted)
        status = ALOOP_EPROTO;
    freeReplyObject(reply);
    redis_close(redis);
    return status;
}

static bool with_aloop(void)
{
    return aloop_main(amain, NULL) >= 0;
}

/* libuv */

static long sent, received;

static void uv_replied(redisAsyncContext *context, void *arg, void *unused)
{
    const redisReply *reply = arg;

    (void) unused;
    if (reply == NULL || reply->integer != ++received) {
        redisAsyncFree(context);
        return;
    }
    if (received == wanted)
        redisAsyncDisconnect(context);
    else if (received == sent)
        for (long i = 0; i < batch; i++, sent++)
            redisAsyncCommand(context, uv_replied, NULL, "INCR key");
}

static bool with_libuv(void)
{
    redisAsyncContext *context = redisAsyncConnect("127.0.0.1", atoi(port));

    if (context == NULL || redisLibuvAttach(context, uv_default_loop()) != 0)
        return false;
    for (; sent < batch; sent++)
        redisAsyncCommand(context, uv_replied, NULL, "INCR key");
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return received == wanted;
}

/* Blocking. */

static bool with_blocking(void)
{
    redisContext *context = redisConnect("127.0.0.1", atoi(port));
    bool is_good = context != NULL && context->err == 0;

    for (long done = 0; is_good && done < wanted; done += batch) {
        for (long i = 0; i < batch; i++)
            redisAppendCommand(context, "INCR key");
        for (long i = 0; is_good && i < batch; i++) {
            redisReply *reply = NULL;

            is_good = redisGetReply(context, (void **) &reply) == REDIS_OK &&
                      reply->integer == done + i + 1;
            freeReplyObject(reply);
        }
    }
    redisFree(context);
    return is_good;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*run)(void);
    } ways[] = {{"aloop", with_aloop},
                {"libuv", with_libuv},
                {"blocking", with_blocking}};

    port = getenv("REDIS_PORT");
    if (argc != 4 || port == NULL)
        return 2;
    wanted = atol(argv[2]);
    batch = atol(argv[3]);
    if (batch < 1 || batch > BATCH_MAX || wanted % batch != 0)
        return 2;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(ways[i].name, argv[1]) == 0)
            return !ways[i].run();
    return 2;
}
