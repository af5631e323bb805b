/* A pool of connections to PostgreSQL.
 *
 * A semaphore has a permit for each connection.  A task holds a permit while it
 * uses one, so that tasks wait in their order and a cancelled one loses none.
 * Idle connections have no permit: a task with a permit takes an idle one
 * before it makes another, and so there are never more than permits. */

#include "pg_pool.h"

#include <stdlib.h>
#include <string.h>

#include "pg_statement.h"

struct pg_pool {
    aloop *loop;
    pg_pool_options options;
    aloop_semaphore *permits; /* NULL: the pool was freed. */
    aloop_timer *sweep;       /* Closes idle connections. */
    struct pg *idle;          /* The latest first. */
    size_t users;             /* Tasks that wait for or use a connection. */
    char conninfo[];
};

/* Closes the connections that are idle since `until_ns` or longer.  The oldest
 * ones are at the end of the list. */
static void close_idle(pg_pool *pool, int64_t until_ns)
{
    struct pg **link = &pool->idle;

    while (*link != NULL && (*link)->idle_since_ns > until_ns)
        link = &(*link)->next;
    while (*link != NULL) {
        struct pg *oldest = *link;

        *link = oldest->next;
        pg_close(oldest);
    }
}

/* Runs once for each idle time. */
static void pool_sweep(aloop_timer *timer, void *arg)
{
    pg_pool *pool = arg;

    (void) timer;
    close_idle(pool, aloop_now(pool->loop) - pool->options.idle_ns);
}

pg_pool *pg_pool_new(aloop *loop, const char *conninfo,
                     const pg_pool_options *options)
{
    size_t size = strlen(conninfo) + 1;
    pg_pool *pool = calloc(1, sizeof *pool + size);

    if (pool == NULL)
        return NULL;
    pool->loop = loop;
    if (options != NULL)
        pool->options = *options;
    if (pool->options.connections_max == 0)
        pool->options.connections_max = 10;
    if (pool->options.idle_ns == 0)
        pool->options.idle_ns = ALOOP_SEC(300);
    memcpy(pool->conninfo, conninfo, size);
    pool->permits = aloop_semaphore_new(loop, pool->options.connections_max);
    if (pool->permits == NULL ||
        aloop_timer_start(loop, pool->options.idle_ns, pool->options.idle_ns,
                          pool_sweep, pool, &pool->sweep) < 0) {
        pg_pool_free(pool);
        return NULL;
    }
    aloop_timer_unref(pool->sweep);
    return pool;
}

/* The pool is freed with its last user. */
static void leave(pg_pool *pool)
{
    pool->users--;
    if (pool->permits == NULL && pool->users == 0)
        free(pool);
}

void pg_pool_free(pg_pool *pool)
{
    if (pool == NULL)
        return;
    pool->users++;
    aloop_semaphore_free(pool->permits);
    pool->permits = NULL;
    aloop_timer_close(pool->sweep);
    close_idle(pool, INT64_MAX);
    leave(pool);
}

/* For a task that has a permit. */
static ssize_t take(pg_pool *pool, struct pg **ret, PGresult **ret_error)
{
    ssize_t status;

    while ((*ret = pool->idle) != NULL) {
        pool->idle = (*ret)->next;
        if (pg_is_clean(*ret))
            return 0;
        pg_close(*ret);
    }
    status = pg_connect(pool->loop, pool->conninfo, ret, ret_error);
    if (status >= 0 && pool->options.setup != NULL)
        status = pg_script(*ret, pool->options.setup, ret_error);
    if (status < 0) {
        pg_close(*ret);
        *ret = NULL;
        aloop_semaphore_release(pool->permits, 1);
    }
    return status;
}

ssize_t pg_pool_acquire(pg_pool *pool, struct pg **ret_pg, PGresult **ret_error)
{
    aloop_deadline *limit = NULL;
    ssize_t status = aloop_semaphore_try_acquire(pool->permits, 1);

    *ret_pg = NULL;
    *ret_error = NULL;
    pool->users++;
    if (pool->options.wait_ns > 0 && (status < 0 || pool->idle == NULL))
        limit = aloop_deadline_begin(pool->loop, pool->options.wait_ns);
    if (status == ALOOP_EAGAIN)
        status = aloop_await(aloop_semaphore_acquire(pool->permits, 1));
    if (pool->permits == NULL)
        status = PG_ECLOSED;
    if (status >= 0)
        status = take(pool, ret_pg, ret_error);
    if (aloop_deadline_end(limit) > 0 && status == ALOOP_ETIMEDOUT)
        status = PG_EWAIT;
    if (status < 0)
        leave(pool);
    return status;
}

void pg_pool_release(pg_pool *pool, struct pg *pg)
{
    if (pg_is_in_transaction(pg))
        pg_clean_up(pg, "ROLLBACK");
    if (pool->options.reset != NULL && !pg_is_lost(pg))
        pg_clean_up(pg, pool->options.reset);
    if (pool->permits != NULL && pg_is_clean(pg)) {
        pg->idle_since_ns = aloop_now(pool->loop);
        pg->next = pool->idle;
        pool->idle = pg;
    } else {
        pg_close(pg);
    }
    aloop_semaphore_release(pool->permits, 1);
    leave(pool);
}

/* `arg` is the reply, in which the arguments are. */
static ssize_t query_task(aloop *loop, void *arg)
{
    pg_reply *reply = arg;
    struct pg *pg;
    ssize_t status = pg_pool_acquire(reply->pool, &pg, &reply->result);

    (void) loop;
    if (status < 0)
        return status;
    status = reply->pool->options.is_prepared && !reply->call.is_script
                 ? pg_run_prepared(pg, &reply->call, &reply->result)
                 : pg_run(pg, &reply->call, &reply->result);
    pg_pool_release(reply->pool, pg);
    return status;
}

aloop_future *pg_query_with(pg_pool *pool, const pg_call *call, pg_reply *reply)
{
    *reply = (pg_reply){.pool = pool, .call = *call};
    return aloop_spawn(pool->loop, query_task, reply);
}
