/* Queries of a connection to PostgreSQL; see pg.h.
 *
 *     pg_param params[] = {{.text = "Ann"}, {.text = "42"}};
 *     PGresult *result;
 *     ssize_t status = pg_exec(pg, "select id from users where name = $1"
 *                              " and age = $2", 2, params, &result);
 *
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", pg_error(result, status));
 *     for (int row = 0; row < status; row++)
 *         puts(PQgetvalue(result, row, 0));
 *     PQclear(result);
 *
 * If the task is cancelled, or its deadline passes, while a query runs, the
 * server is asked to cancel the query.  The call returns when the query has
 * ended, so that the connection can be used for the next one:
 *
 *     what the server does             the call returns
 *     cancels the query                ALOOP_ECANCELED or ALOOP_ETIMEDOUT
 *     has completed it, or it failed   what it returns without a cancel
 *     does not answer for              ALOOP_ECANCELED or ALOOP_ETIMEDOUT, and
 *     pg->cleanup_ns                   the connection has ended; whether the
 *                                      query has had an effect is not known
 *
 * libpq before version 17 needs a thread of the loop to send a cancel.  If a
 * server does not answer to it, aloop_free() waits for that thread until the
 * server answers or the system ends the connection. */

#ifndef BRIDGES_PG_RUN_H
#define BRIDGES_PG_RUN_H

#include "pg.h"

/* A parameter: $1 is the first.  Without a text and a binary value it is
 * NULL. */
typedef struct pg_param {
    const char *text;
    /* A value in the binary format of its type, such as four bytes with the
     * highest one first for an int4. */
    const void *binary;
    int size; /* Of `binary`. */
    Oid type; /* 0: the server infers it from the query. */
} pg_param;

/**
 * Receives a row of COPY, as text with a line feed at the end.
 *
 * It may await, also for long: nothing more is received meanwhile.  A negative
 * result ends the COPY.
 *
 * Memory:  `data` is valid until the callback returns.
 */
typedef ssize_t (*pg_row_cb)(const char *data, size_t size, void *arg);

/* A query; a member that is zero has the default. */
typedef struct pg_call {
    const char *sql;
    int count; /* Parameters. */
    const pg_param *params;
    /* The values of the result are in the binary format of their types. */
    bool is_binary;
    /* `sql` may have several statements, separated by semicolons.  There are no
     * parameters, and the result is text, that of the last statement. */
    bool is_script;
    pg_row_cb on_row; /* For COPY TO STDOUT.  Default: rows are dropped. */
    void *arg;        /* The argument of `on_row`. */
    /* For pg_statement.h: the name of a prepared statement, which is made if
     * there is an `sql`, and executed if there is none. */
    const char *name;
} pg_call;

/**
 * Runs a query, and waits for all of its result.
 *
 * COPY FROM STDIN is refused, since there is no input for it.
 *
 * Returns: the number of rows that the query returned or has changed.
 * Errors:  PG_EQUERY: the query failed; *ret_result shows why, and
 *          PQresultErrorField(*ret_result, PG_DIAG_SQLSTATE) is the code of the
 *          error, or NULL if libpq refused the query, as one with over 65,535
 *          parameters;
 *          PG_ELOST: the connection has ended; *ret_result shows why if that is
 *          known.  Whether the query has had an effect is not known;
 *          ALOOP_EBUSY: another query is in progress on the connection;
 *          ALOOP_ECANCELED, ALOOP_ETIMEDOUT: see above; *ret_result is NULL;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what `on_row` has returned.
 * Memory:  `call` and what it refers to are borrowed until the call returns.
 *          The caller calls PQclear() for *ret_result, also after an error.
 */
ssize_t pg_run(struct pg *pg, const pg_call *call, PGresult **ret_result);

/* Runs a query with parameters; see pg_run(). */
static inline ssize_t pg_exec(struct pg *pg, const char *sql, int count,
                              const pg_param *params, PGresult **ret_result)
{
    pg_call call = {.sql = sql, .count = count, .params = params};

    return pg_run(pg, &call, ret_result);
}

/* Runs a query "COPY ... TO STDOUT", and gives each row to `on_row`; see
 * pg_run().  The result is the number of rows. */
static inline ssize_t pg_copy_out(struct pg *pg, const char *sql,
                                  pg_row_cb on_row, void *arg,
                                  PGresult **ret_result)
{
    pg_call call = {.sql = sql, .on_row = on_row, .arg = arg};

    return pg_run(pg, &call, ret_result);
}

#endif
