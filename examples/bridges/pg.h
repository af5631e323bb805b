/* Connections to PostgreSQL, by libpq: a bridge to copy into a program.
 *
 *     struct pg *pg;
 *     PGresult *result;
 *     ssize_t status = pg_connect(loop, "dbname=shop", &pg, &result);
 *
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", pg_error(result, status));
 *     PQclear(result);
 *
 * The parts, each a module on top of those before it:
 *
 *     pg.h              a connection, and its notifications
 *     pg_run.h          queries, their cancellation, COPY TO STDOUT
 *     pg_statement.h    prepared statements, transactions
 *     pg_pool.h         a pool of connections; most programs begin there
 *
 * The functions await, so they are called in a task (or outside of any task,
 * while the loop does not run).  A limit of time is set from outside, by a
 * deadline of the task or by aloop_timeout().
 *
 * A connection has one query at a time.  Its descriptor is watched by one poll
 * from the end of pg_connect() to pg_close(), also while the connection is
 * idle, so that the end of an idle connection is noticed immediately.
 *
 * Results are libpq's: PQgetvalue(), PQntuples() and the like read them, and
 * the caller calls PQclear(), which allows NULL. */

#ifndef BRIDGES_PG_H
#define BRIDGES_PG_H

#include <aloop.h>
#include <libpq-fe.h>

/* Errors, in addition to those of the library. */
enum {
    PG_ECONNECT = -6000, /* No connection could be made. */
    PG_ELOST = -6001,    /* The connection has ended. */
    PG_EQUERY = -6002,   /* The server or libpq has refused the query. */
    PG_EABORTED = -6003, /* An error inside the transaction was ignored. */
    PG_EWAIT = -6004,    /* The pool had no connection in time. */
    PG_ECLOSED = -6005   /* The pool was freed. */
};

#define PG_CLEANUP_NS ALOOP_SEC(2)

/* A prepared statement; see pg_statement.c. */
struct pg_prepared {
    struct pg_prepared *next;
    char name[16];
    char *sql; /* Behind the types. */
    int count; /* Of the parameters. */
    Oid types[];
};

/* A connection.  The members after the first two belong to the bridge. */
struct pg {
    /* For questions to libpq, such as PQserverVersion().  Its functions that
     * send or receive must not be called. */
    PGconn *conn;
    /* How long a cancel, a rollback or a reset may take.  If a connection has
     * not become usable by then, it is ended.  Initially PG_CLEANUP_NS; it may
     * be changed. */
    int64_t cleanup_ns;

    aloop *loop;
    aloop_poll *poll;   /* NULL: there is no connection any more. */
    aloop_event *ready; /* Set when the descriptor is ready. */
    bool is_waiting;    /* A task waits for `ready`. */
    bool is_busy;       /* A query has begun and not ended. */
    int64_t until_ns;   /* Waits end then; 0: there is no limit. */
    struct pg_cancel *cancel;
    PGnotify *notify; /* The next notification, if it has been taken. */

    struct pg_prepared *prepared; /* Those that the server knows. */
    unsigned prepared_count, prepared_serial;

    struct pg *next; /* In the pool's list of idle ones. */
    int64_t idle_since_ns;
};

/**
 * Connects to a server.
 *
 * `conninfo` is a connection string of libpq or a URI: "host=db1,db2
 * dbname=shop", "postgresql://ann@db/shop".  Several hosts are tried in order,
 * and parameters that are missing are taken from the environment (PGHOST, ...)
 * and from the user's files.  The parameter connect_timeout has no effect.
 *
 * Names of hosts are looked up by libpq, which blocks the loop.  The parameter
 * hostaddr, or a numeric host, avoids that.
 *
 * Returns: 0.
 * Errors:  PG_ECONNECT: no host can be used, or `conninfo` is malformed;
 *          *ret_error shows why, for each host that was tried;
 *          ALOOP_ECANCELED, ALOOP_ETIMEDOUT: as for aloop_await();
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  `conninfo` is borrowed until the call returns.  The caller calls
 *          pg_close() for *ret_pg, which is NULL after an error, and PQclear()
 *          for *ret_error, which is NULL otherwise.
 */
ssize_t pg_connect(aloop *loop, const char *conninfo, struct pg **ret_pg,
                   PGresult **ret_error);

/**
 * Ends a connection, and frees it.
 *
 * The server rolls an open transaction back.  No other task may use the
 * connection.  NULL is allowed.
 */
void pg_close(struct pg *pg);

/* Returns whether the connection has ended.  It is useless then, and has to be
 * closed. */
static inline bool pg_is_lost(const struct pg *pg)
{
    return pg->poll == NULL;
}

/* Returns whether the next user finds the connection as if it were new: it has
 * not ended, and has no query, transaction or notification. */
static inline bool pg_is_clean(const struct pg *pg)
{
    return !pg_is_lost(pg) && !pg->is_busy && pg->notify == NULL &&
           PQtransactionStatus(pg->conn) == PQTRANS_IDLE;
}

/* Returns whether a transaction has begun and not ended.  It may have
 * failed. */
static inline bool pg_is_in_transaction(const struct pg *pg)
{
    return PQtransactionStatus(pg->conn) == PQTRANS_INTRANS ||
           PQtransactionStatus(pg->conn) == PQTRANS_INERROR;
}

/**
 * Waits for the next notification (NOTIFY) on a channel that was listened to.
 *
 * A query "LISTEN channel" comes first.  Notifications that arrive while no
 * task waits are kept, and in the order of their arrival.  While one is kept on
 * an idle connection, nothing more is read from the server.
 *
 * Returns: 0.
 * Errors:  PG_ELOST: the connection has ended;
 *          ALOOP_EBUSY: a query is in progress;
 *          ALOOP_ECANCELED, ALOOP_ETIMEDOUT: as for aloop_await().  No
 *          notification is lost.
 * Memory:  the caller calls PQfreemem() for *ret, which is NULL after an error.
 */
ssize_t pg_notification(struct pg *pg, PGnotify **ret);

/**
 * Returns an error in words.
 *
 * These are the words of the server or of libpq, if `result` has any, or those
 * of `status`.  A server can put any characters into its words.  Those for
 * PG_ECONNECT may have several lines.
 *
 * Memory:  the text is valid until PQclear().
 */
const char *pg_error(const PGresult *result, ssize_t status);

/* For the other modules. */

/* Waits until the descriptor has had one of the events, and receives what there
 * is.  Returns 0 or more, PG_ELOST, or an error of aloop_await(). */
ssize_t pg_wait(struct pg *pg, unsigned events);

/* Declares the connection ended, and stops to watch it. */
void pg_drop(struct pg *pg);

/* Returns the events for a step of connecting. */
static inline unsigned pg_step_events(PostgresPollingStatusType step)
{
    return step == PGRES_POLLING_READING ? ALOOP_POLL_READABLE
                                         : ALOOP_POLL_WRITABLE;
}

#endif
