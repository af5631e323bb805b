/* A pool of connections to PostgreSQL, as that of Python's asyncpg.
 *
 *     pg_pool *pool = pg_pool_new(loop, "dbname=shop", NULL);
 *     pg_param params[] = {{.text = "Ann"}};
 *     pg_reply reply;
 *     ssize_t status = aloop_await(pg_query(pool,
 *         "select id from users where name = $1", 1, params, &reply));
 *
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", pg_error(reply.result, status));
 *     else if (status > 0)
 *         puts(PQgetvalue(reply.result, 0, 0));
 *     PQclear(reply.result);
 *     ...
 *     pg_pool_free(pool);
 *
 * pg_query() takes a connection for one query.  For more, such as a
 * transaction, a task takes one itself:
 *
 *     status = pg_pool_acquire(pool, &pg, &result);
 *     if (status >= 0) {
 *         status = pg_transaction(pg, move_money, &order, &result);
 *         pg_pool_release(pool, pg);
 *     }
 *
 * Connections are made when they are needed.  Tasks that wait for one get it in
 * their order, and the connection that was used last is taken first.  One that
 * has ended, because the server was restarted for example, is replaced by a new
 * one.  A query whose connection ends meanwhile is not repeated, because the
 * server may have executed it. */

#ifndef BRIDGES_PG_POOL_H
#define BRIDGES_PG_POOL_H

#include "pg_run.h"

typedef struct pg_pool pg_pool;

/* Options of a pool; a member that is zero has the default. */
typedef struct pg_pool_options {
    /* Connections, idle ones included.  Default: 10. */
    size_t connections_max;
    /* How long a task waits for a connection at most, until one is free or a
     * new one is made.  Default: there is no limit but that of the task. */
    int64_t wait_ns;
    /* How long a connection that is not used is kept, at least; it is closed
     * before twice this time.  Default: 300 s. */
    int64_t idle_ns;
    /* A script for each new connection, such as "SET timezone = 'UTC'". */
    const char *setup;
    /* A script for each connection that is given back, such as PG_RESET.  It
     * costs a round trip.  An open transaction is rolled back in any case. */
    const char *reset;
    /* pg_query() uses prepared statements; see pg_run_prepared(). */
    bool is_prepared;
} pg_pool_options;

/* Undoes what a connection keeps between transactions, as asyncpg does. */
#define PG_RESET \
    "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"

/**
 * Makes a pool, without connections.
 *
 * `conninfo` is that of pg_connect(); `options` may be NULL.
 *
 * Returns: the pool, or NULL if out of memory.
 * Memory:  `conninfo` is copied.  `options` is copied, but not its scripts,
 *          which have to be valid as long as the pool.
 */
pg_pool *pg_pool_new(aloop *loop, const char *conninfo,
                     const pg_pool_options *options);

/**
 * Closes the idle connections, and frees the pool.
 *
 * Tasks that wait for a connection get PG_ECLOSED.  Connections in use are
 * closed when they are released, and the pool is freed with the last of them.
 * It is called before aloop_free().  NULL is allowed.
 */
void pg_pool_free(pg_pool *pool);

/**
 * Takes a connection, of which the caller is the only user.
 *
 * Returns: 0.
 * Errors:  PG_EWAIT: options.wait_ns have passed;
 *          PG_ECONNECT: as for pg_connect();
 *          PG_EQUERY, PG_ELOST: options.setup has failed;
 *          PG_ECLOSED: the pool was freed;
 *          ALOOP_ECANCELED, ALOOP_ETIMEDOUT: as for aloop_await();
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the caller calls pg_pool_release() for *ret_pg, which is NULL after
 *          an error, and PQclear() for *ret_error, which shows why, or is NULL.
 * Context: a task.
 */
ssize_t pg_pool_acquire(pg_pool *pool, struct pg **ret_pg,
                        PGresult **ret_error);

/**
 * Gives a connection back.
 *
 * An open transaction is rolled back, and options.reset runs; no cancel and no
 * deadline interrupts that.  If it fails, or the connection has ended or has a
 * notification that no task has taken, the connection is closed.
 *
 * Context: a task.
 */
void pg_pool_release(pg_pool *pool, struct pg *pg);

/* The reply to a query. */
typedef struct pg_reply {
    PGresult *result; /* The rows, or why it failed; PQclear() allows NULL. */

    /* These belong to the pool. */
    pg_pool *pool;
    pg_call call;
} pg_reply;

/**
 * Runs a query on a connection of the pool.
 *
 * It is a task: it can be cancelled, given a limit by aloop_timeout(), or
 * gathered with others.  When it has settled, the connection is free again.
 *
 * Status:  as for pg_run().
 * Errors:  as for pg_pool_acquire() and pg_run().  reply->result shows why,
 *          or is NULL; see pg_error().
 * Memory:  `call` is copied; what it refers to, and `reply`, are borrowed until
 *          the future settles.  The caller then calls PQclear() for
 *          reply->result.
 */
ALOOP_MUST_USE
aloop_future *pg_query_with(pg_pool *pool, const pg_call *call,
                            pg_reply *reply);

/* Does the same for a query with parameters and a result in text. */
ALOOP_MUST_USE
static inline aloop_future *pg_query(pg_pool *pool, const char *sql, int count,
                                     const pg_param *params, pg_reply *reply)
{
    pg_call call = {.sql = sql, .count = count, .params = params};

    return pg_query_with(pool, &call, reply);
}

#endif
