/* A Redis module that runs a loop inside redis-server.
 *
 *     redis-server --loadmodule /path/to/redis_module.so
 *
 * It adds two commands.  Neither blocks the server, which answers other clients
 * meanwhile; the client of the command waits for its reply.
 *
 *     ALOOP.FETCH url [ms]   fetches a page over HTTP, within a time limit
 *                            (default: 10 s), and replies with its status and
 *                            its body
 *     ALOOP.SLEEP ms         replies with OK after so many milliseconds
 *
 * A fetch or sleep is cancelled when its client disconnects.  In a transaction
 * or a script, where a client cannot wait, both are errors.
 *
 * The server watches one descriptor, aloop_fd(), and calls aloop_step() when it
 * is readable.  Nothing else connects the two: a command begins an operation
 * with a continuation, and a step of the loop runs the continuation.
 *
 * - The server forks for BGSAVE and other work.  The children inherit the
 *   loop's descriptors and do not run the loop, so that nothing is to be done;
 *   see aloop/fork.h.
 * - MODULE UNLOAD is refused by the server while clients wait.  Otherwise it
 *   closes the kept connections and frees the loop.
 * - SHUTDOWN waits for nothing and ends the process.
 *
 * It needs Redis 7.0 or later, and no header of Redis. */

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridges/redis_api.h"
#include "support/http_session.h"

enum { LIMIT_MS = 10000, LIMIT_MAX_MS = 86400000, CONNECTIONS_MAX = 100 };

/* A command whose client waits. */
struct job {
    struct job *next, **link; /* In `jobs`, until the operation has ended. */
    aloop_future *operation;
    ssize_t status; /* Of the operation, when it has ended. */
    redis_blocked *client;
    struct http_request request; /* Without a URL it is a sleep. */
    struct http_page page;
    char url[];
};

static aloop *loop;
static http_session *session;
static struct job *jobs;

/* The server calls this function to reply to the client of a job. */
static int job_reply(redis_context *context, redis_string **argv, int argc)
{
    const struct job *job = redis.data(context);
    char words[200];

    (void) argv;
    (void) argc;
    if (job->status < 0) {
        snprintf(words, sizeof words, "ERR %s: %s",
                 http_step_name(job->page.reply.step),
                 http_error(&job->page.reply, job->status));
        return redis.reply_error(context, words);
    }
    if (job->request.url == NULL)
        return redis.reply_simple(context, "OK");
    redis.reply_array(context, 2);
    redis.reply_integer(context, job->page.reply.status);
    return redis.reply_bytes(context, job->page.data, job->page.size);
}

static void job_free(redis_context *context, void *arg)
{
    struct job *job = arg;

    (void) context;
    http_page_free(&job->page);
    free(job);
}

/* The server calls job_reply() later, unless the client has disconnected, and
 * then job_free(). */
static void job_ended(aloop_future *operation, ssize_t status, void *arg)
{
    struct job *job = arg;

    *job->link = job->next;
    if (job->next != NULL)
        job->next->link = job->link;
    job->status = status;
    aloop_future_unref(operation);
    redis.unblock(job->client, job);
}

static void client_disconnected(redis_context *context, redis_blocked *client)
{
    struct job *job = jobs;

    (void) context;
    while (job != NULL && job->client != client)
        job = job->next;
    aloop_cancel(job == NULL ? NULL : job->operation);
}

/* Begins the operation of a job.  Its continuation runs in a later step.  On
 * failure the job is freed. */
static int job_begin(struct job *job, int64_t limit_ns)
{
    if (job->request.url == NULL)
        job->operation = aloop_sleep(loop, limit_ns);
    else
        job->operation = aloop_timeout(
            http_fetch(session, &job->request, &job->page), limit_ns);
    if (job->operation != NULL &&
        aloop_then(aloop_future_ref(job->operation), job_ended, job) == 0)
        return REDIS_OK;
    aloop_cancel(job->operation);
    aloop_await(job->operation); /* It uses the job until it has ended. */
    job_free(NULL, job);
    return REDIS_ERR;
}

/* Has the client of a command wait for a job.  Both strings may be NULL, which
 * selects a sleep, and the default limit. */
static int job_start(redis_context *context, const redis_string *url,
                     const redis_string *limit)
{
    size_t size = 0;
    const char *text = url == NULL ? "" : redis.text(url, &size);
    long long ms = LIMIT_MS;
    struct job *job;

    if (!redis_can_block(context))
        return redis.reply_error(context, "ERR the client cannot wait here");
    if (limit != NULL && redis.integer(limit, &ms) != REDIS_OK)
        ms = -1;
    if (ms < 0 || ms > LIMIT_MAX_MS || strlen(text) != size)
        return redis.reply_error(context, "ERR invalid URL or milliseconds");
    job = calloc(1, sizeof *job + size + 1);
    if (job != NULL && url != NULL)
        job->request.url = memcpy(job->url, text, size);
    if (job == NULL || job_begin(job, ALOOP_MS(ms)) != REDIS_OK)
        return redis.reply_error(context, "ERR out of memory");
    job->next = jobs;
    job->link = &jobs;
    if (jobs != NULL)
        jobs->link = &job->next;
    jobs = job;
    job->client = redis.block(context, job_reply, NULL, job_free, 0);
    redis.on_disconnect(job->client, client_disconnected);
    return REDIS_OK;
}

static int sleep_command(redis_context *context, redis_string **argv, int argc)
{
    return argc == 2 ? job_start(context, NULL, argv[1])
                     : redis.reply_arity(context);
}

static int fetch_command(redis_context *context, redis_string **argv, int argc)
{
    return argc == 2 || argc == 3
               ? job_start(context, argv[1], argc == 3 ? argv[2] : NULL)
               : redis.reply_arity(context);
}

/* After an error the descriptor may stay readable. */
static void loop_ready(int fd, void *arg, int mask)
{
    (void) arg;
    (void) mask;
    if (aloop_step(loop, 0) < 0)
        redis.delete_event(fd, REDIS_READABLE);
}

int RedisModule_OnLoad(redis_context *context, redis_string **argv, int argc)
{
    struct http_session_options options = {.connections_max = CONNECTIONS_MAX};

    (void) argv;
    (void) argc;
    if (redis_api_load(context, "aloop") != REDIS_OK)
        return REDIS_ERR;
    loop = aloop_new(NULL);
    if (loop != NULL && (session = http_session_new(loop, &options)) != NULL &&
        redis.add_event(aloop_fd(loop), REDIS_READABLE, loop_ready, NULL) ==
            REDIS_OK &&
        redis_command_add(context, "aloop.fetch", fetch_command) &&
        redis_command_add(context, "aloop.sleep", sleep_command))
        return REDIS_OK;
    RedisModule_OnUnload(context);
    return REDIS_ERR;
}

/* The variables are reset, because the module may be loaded again while its
 * code is still in memory. */
int RedisModule_OnUnload(redis_context *context)
{
    (void) context;
    if (loop != NULL)
        redis.delete_event(aloop_fd(loop), REDIS_READABLE);
    http_session_free(session);
    aloop_free(loop);
    session = NULL;
    loop = NULL;
    return REDIS_OK;
}
