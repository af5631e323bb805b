/* Connections to Redis, by hiredis: a bridge to copy into a program.
 *
 *     struct redis *redis;
 *     redisReply *reply = NULL;
 *     ssize_t status = aloop_await(
 *         redis_connect(loop, "127.0.0.1", "6379", &redis));
 *
 *     if (status >= 0)
 *         status = aloop_await(
 *             redis_command(redis, &reply, "INCRBY %s %d", "visits", 2));
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", redis_error(redis, reply, status));
 *     freeReplyObject(reply);
 *     redis_close(redis);
 *
 * The parts, each a module on top of those before it:
 *
 *     redis.h              a connection
 *     redis_command.h      commands and replies
 *     redis_connect.h      connecting by TCP
 *     redis_subscribe.h    the messages of channels (SUBSCRIBE)
 *     redis_queue.h        a queue of jobs on a stream (XADD)
 *     redis_take.h         taking a job (XREADGROUP, XAUTOCLAIM)
 *     redis_hold.h         keeping a job, and ending it (XCLAIM, XACK)
 *     redis_worker.h       a worker, which runs the jobs of a queue
 *
 * Each command is an operation.  Any number of them may be in flight on a
 * connection, from any number of tasks; their replies arrive in the order of
 * the commands.  All commands of a turn of the loop leave in one system call:
 *
 *     for (int i = 0; i < 1000; i++)
 *         futures[i] = redis_command(redis, NULL, "SET key:%d %s", i, text);
 *     status = aloop_await(aloop_gather_array(loop, 1000, futures));
 *
 * hiredis formats the commands and reads the replies; the bytes go over a
 * stream of the loop.  Host names are looked up without blocking, the stream
 * may be one of TLS or a Unix socket, and the program owns each reply.  The
 * asynchronous part of hiredis is not used.  It lends its replies during a
 * callback only, and some replies of a broken server end its program, by an
 * assertion.
 *
 * The protocol is RESP2, the one of a new connection: HELLO 3 and MONITOR must
 * not be sent.  A command that makes the server wait, such as BLPOP, delays all
 * that come after it on the same connection. */

#ifndef BRIDGES_REDIS_H
#define BRIDGES_REDIS_H

#include <aloop.h>
#include <hiredis/hiredis.h>

/* Errors, in addition to those of the library. */
enum {
    REDIS_EREPLY = -6400, /* The server refused the command. */
    REDIS_ELOST = -6401,  /* The connection has ended. */
    REDIS_ECLOSED = -6402 /* The program has closed the connection. */
};

/* Receives each reply before the commands do, and returns whether it owns it
 * now.  With NULL the connection has ended. */
typedef bool (*redis_reply_cb)(redisReply *reply, void *arg);

/* A connection.  The members after the first two belong to the bridge. */
struct redis {
    /* A longer reply ends the connection.  Initially 64 MiB and a million; they
     * may be changed. */
    size_t reply_size_max, reply_elements_max;

    aloop *loop;
    aloop_stream *stream; /* NULL: there is no connection any more. */
    redisReader *reader;
    redisReplyObjectFunctions functions, *originals; /* Of the reader. */
    struct redis_call *first, **end; /* Commands without a reply. */
    size_t size, elements;           /* What the present reply has so far. */
    bool is_too_long;                /* It has more elements than allowed. */
    bool is_paused;
    redis_reply_cb on_reply; /* For redis_subscribe.h. */
    void *arg;
    char words[128]; /* Why the connection has ended. */
};

/**
 * Makes a connection of a stream, such as one of aloop_unix_connect().
 *
 * An idle connection does not keep the loop alive.
 *
 * Returns: the connection, or NULL if out of memory or `stream` is NULL.
 * Memory:  takes over the stream, also on failure.
 */
struct redis *redis_start(aloop *loop, aloop_stream *stream);

/**
 * Ends a connection, and frees it.
 *
 * Commands that wait for a reply settle with REDIS_ECLOSED; they may have been
 * executed.  What was not sent yet is still sent.  It is called before
 * aloop_free().  NULL is allowed.
 */
void redis_close(struct redis *redis);

/* Returns whether the connection has ended.  It is useless then, and has to be
 * closed. */
static inline bool redis_is_lost(const struct redis *redis)
{
    return redis->stream == NULL;
}

/**
 * Returns an error in words.
 *
 * These are the words of the server, or of the end of the connection, or those
 * of `status`.  `redis` and `reply` may be NULL.  A server can put any
 * characters into its words.
 *
 * Memory:  the text is valid until freeReplyObject() and redis_close().
 */
const char *redis_error(const struct redis *redis, const redisReply *reply,
                        ssize_t status);

/* For the other modules. */

/* Stops or continues to read replies. */
void redis_pause(struct redis *redis);
void redis_resume(struct redis *redis);

#endif
