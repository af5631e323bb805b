/* Prepared statements, scripts and transactions of a connection to PostgreSQL;
 * see pg.h. */

#ifndef BRIDGES_PG_STATEMENT_H
#define BRIDGES_PG_STATEMENT_H

#include "pg_run.h"

enum { PG_PREPARED_MAX = 100 }; /* Statements of a connection. */

/**
 * Runs a query as pg_run() does, as a prepared statement.
 *
 * The first call of a connection prepares the statement, and later ones only
 * execute it, which saves the server most of its work on short queries.  A
 * statement is recognised by its SQL and the types of its parameters.  Once a
 * connection has PG_PREPARED_MAX of them, other queries run without.
 *
 * If the server has forgotten the statement (DEALLOCATE, DISCARD), or its
 * result has other columns since a table was altered, the call fails with
 * PG_EQUERY, as it has to inside a transaction.  The next call prepares the
 * statement again.
 *
 * Returns: as for pg_run().
 * Errors:  as for pg_run().
 * Memory:  as for pg_run(); the SQL is copied.
 */
ssize_t pg_run_prepared(struct pg *pg, const pg_call *call,
                        PGresult **ret_result);

/**
 * Is the code of a transaction, which runs queries of `pg`.
 *
 * Returns: the result of pg_transaction(); a negative one rolls back.
 */
typedef ssize_t (*pg_body_fn)(struct pg *pg, void *arg);

/**
 * Runs body(pg, arg) in a transaction.
 *
 *     event                                  effect
 *     the body returns 0 or more             COMMIT
 *     the body returns an error, such as     ROLLBACK
 *     that of a query or of a cancel
 *     the body has ignored the error of a    ROLLBACK, and PG_EABORTED
 *     query
 *     COMMIT fails, or is interrupted        ROLLBACK; but a COMMIT that
 *     by a cancel or a deadline              completes nevertheless succeeds
 *     ROLLBACK fails                         the connection ends, so that the
 *                                            server rolls back
 *
 * The rollback is not interrupted by a cancel or a deadline.  A transaction
 * inside a body is a savepoint: only its own changes are rolled back.
 *
 * Returns: what the body returns.
 * Errors:  PG_EABORTED: as in the table;
 *          PG_EQUERY, PG_ELOST, ...: as for pg_run(), if BEGIN or COMMIT
 *          fails; *ret_error then shows why, for example that a deferred
 *          constraint is violated;
 *          others: what the body returns.
 * Memory:  the caller calls PQclear() for *ret_error, which is NULL unless
 *          BEGIN or COMMIT has failed.
 */
ssize_t pg_transaction(struct pg *pg, pg_body_fn body, void *arg,
                       PGresult **ret_error);

/* Runs a script as pg_run() does, without a result: *ret_error is NULL unless
 * it fails. */
ssize_t pg_script(struct pg *pg, const char *script, PGresult **ret_error);

/**
 * Runs a script that makes the connection usable, such as "ROLLBACK".
 *
 * No cancel and no deadline interrupts it, and it takes at most about twice
 * pg->cleanup_ns.  If it fails, the connection ends, so that the server rolls
 * back.
 */
void pg_clean_up(struct pg *pg, const char *script);

#endif
