/* Prepared statements and transactions of a connection to PostgreSQL.
 *
 * The name of a statement is a number that the connection has not used before.
 * So a statement that the server may still know, after an error or a cancel, is
 * in no one's way. */

#include "pg_statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void forget(struct pg *pg, struct pg_prepared *statement)
{
    struct pg_prepared **link = &pg->prepared;

    while (*link != statement)
        link = &(*link)->next;
    *link = statement->next;
    pg->prepared_count--;
    free(statement);
}

static bool is_of(const struct pg_prepared *statement, const pg_call *call)
{
    if (statement->count != call->count ||
        strcmp(statement->sql, call->sql) != 0)
        return false;
    for (int i = 0; i < call->count; i++) {
        if (statement->types[i] != call->params[i].type)
            return false;
    }
    return true;
}

/* Prepares the statement of a call.  *ret stays NULL if the connection has too
 * many, or the call is none that libpq accepts. */
static ssize_t prepare(struct pg *pg, const pg_call *call,
                       struct pg_prepared **ret, PGresult **ret_result)
{
    size_t size = strlen(call->sql) + 1, count = (size_t) call->count;
    struct pg_prepared *statement;
    pg_call preparing = *call;
    ssize_t status;

    if (call->count < 0 || call->count > PQ_QUERY_PARAM_MAX_LIMIT ||
        pg->prepared_count == PG_PREPARED_MAX)
        return 0;
    statement = malloc(sizeof *statement + count * sizeof(Oid) + size);
    if (statement == NULL)
        return ALOOP_ENOMEM;
    snprintf(statement->name, sizeof statement->name, "s%u",
             pg->prepared_serial++);
    for (size_t i = 0; i < count; i++)
        statement->types[i] = call->params[i].type;
    statement->count = call->count;
    statement->sql = memcpy(statement->types + count, call->sql, size);
    preparing.name = statement->name;
    status = pg_run(pg, &preparing, ret_result);
    if (status < 0) {
        free(statement);
        return status;
    }
    PQclear(*ret_result);
    *ret_result = NULL;
    statement->next = pg->prepared;
    pg->prepared = *ret = statement;
    pg->prepared_count++;
    return 0;
}

/* Returns whether an error means that a statement has to be prepared again:
 * invalid_sql_statement_name, or a result that has other columns. */
static bool is_stale(const PGresult *result)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return code != NULL &&
           (strcmp(code, "26000") == 0 || strcmp(code, "0A000") == 0);
}

ssize_t pg_run_prepared(struct pg *pg, const pg_call *call,
                        PGresult **ret_result)
{
    struct pg_prepared *statement = pg->prepared;
    pg_call executing = *call;
    ssize_t status = 0;

    *ret_result = NULL;
    while (statement != NULL && !is_of(statement, call))
        statement = statement->next;
    if (statement == NULL)
        status = prepare(pg, call, &statement, ret_result);
    if (status < 0)
        return status;
    if (statement != NULL) {
        executing.name = statement->name;
        executing.sql = NULL;
    }
    status = pg_run(pg, &executing, ret_result);
    if (statement != NULL && status == PG_EQUERY && is_stale(*ret_result))
        forget(pg, statement);
    return status;
}

/* Scripts and transactions. */

ssize_t pg_script(struct pg *pg, const char *script, PGresult **ret_error)
{
    pg_call call = {.sql = script, .is_script = true};
    ssize_t status = pg_run(pg, &call, ret_error);

    if (status < 0)
        return status;
    PQclear(*ret_error);
    *ret_error = NULL;
    return 0;
}

void pg_clean_up(struct pg *pg, const char *script)
{
    PGresult *error;

    aloop_shield_begin();
    pg->until_ns = aloop_now(pg->loop) + pg->cleanup_ns;
    if (pg_script(pg, script, &error) < 0)
        pg_drop(pg);
    pg->until_ns = 0;
    aloop_shield_end();
    PQclear(error);
}

/* The savepoints of all levels have the same name: a statement refers to the
 * latest of them. */
ssize_t pg_transaction(struct pg *pg, pg_body_fn body, void *arg,
                       PGresult **ret_error)
{
    bool is_inner = PQtransactionStatus(pg->conn) == PQTRANS_INTRANS;
    PGTransactionStatusType state;
    ssize_t result,
        status =
            pg_script(pg, is_inner ? "SAVEPOINT pg_body" : "BEGIN", ret_error);

    if (status < 0)
        return status;
    result = body(pg, arg);
    state = PQtransactionStatus(pg->conn);
    status = result >= 0 && state == PQTRANS_INERROR ? PG_EABORTED : result;
    if (status >= 0)
        status = pg_script(
            pg, is_inner ? "RELEASE SAVEPOINT pg_body" : "COMMIT", ret_error);
    if (status < 0 && pg_is_in_transaction(pg))
        pg_clean_up(pg, is_inner ? "ROLLBACK TO SAVEPOINT pg_body;"
                                   "RELEASE SAVEPOINT pg_body"
                                 : "ROLLBACK");
    return status < 0 ? status : result;
}
