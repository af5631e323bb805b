/* Queries of a connection to PostgreSQL.
 *
 * A query has ended when PQgetResult() returns NULL.  Until then libpq refuses
 * another one, so each result is collected, also after an error.  A backend
 * that is terminated, for example, gives two: its own words, and then those of
 * libpq.  The first one is kept. */

#include "pg_run.h"

#include <stdlib.h>
#include <string.h>

#include "pg_cancel.h"

enum { COUNT_MAX = 65535 }; /* Parameters; two bytes in the protocol. */

static bool is_error(const PGresult *result)
{
    ExecStatusType kind = PQresultStatus(result);

    return kind == PGRES_FATAL_ERROR || kind == PGRES_BAD_RESPONSE;
}

/* Returns what a query that has ended with this result returns. */
static ssize_t judge(const struct pg *pg, PGresult *result)
{
    if (is_error(result))
        return pg_is_lost(pg) ? PG_ELOST : PG_EQUERY;
    return (ssize_t) strtoll(PQcmdTuples(result), NULL, 10);
}

/* Receiving. */

/* Waits for the next result, which is NULL after the last one. */
static ssize_t next_result(struct pg *pg, PGresult **ret)
{
    ssize_t status = 0;
    int left = 0; /* 1: there are data to send. */

    while (status >= 0 && !pg_is_lost(pg) &&
           ((left = PQflush(pg->conn)) > 0 || PQisBusy(pg->conn)))
        status = pg_wait(pg, left > 0 /* The server may not read until then. */
                                 ? ALOOP_POLL_READABLE | ALOOP_POLL_WRITABLE
                                 : ALOOP_POLL_READABLE);
    if (status < 0)
        return status;
    if (pg_is_lost(pg) && PQstatus(pg->conn) != CONNECTION_BAD)
        return PG_ELOST; /* The call would wait. */
    *ret = PQgetResult(pg->conn);
    return 0;
}

/* Without this, PQgetResult() would return the same result again. */
static ssize_t copy_rows(struct pg *pg, const pg_call *call)
{
    ssize_t status = 0;
    char *row;
    int size;

    while (status >= 0 && (size = PQgetCopyData(pg->conn, &row, 1)) >= 0) {
        if (size == 0) {
            status = pg_wait(pg, ALOOP_POLL_READABLE);
            continue;
        }
        if (call->on_row != NULL)
            status = call->on_row(row, (size_t) size, call->arg);
        PQfreemem(row);
    }
    return status;
}

/* Receives all that is left of a query.  *ret is the first error, or the
 * last result if there is none. */
static ssize_t collect(struct pg *pg, const pg_call *call, PGresult **ret)
{
    PGresult *result;
    ssize_t status = next_result(pg, &result);

    for (; status >= 0 && result != NULL; status = next_result(pg, &result)) {
        ExecStatusType kind = PQresultStatus(result);
        bool is_kept = *ret == NULL || !is_error(*ret);

        PQclear(is_kept ? *ret : result);
        if (is_kept)
            *ret = result;
        if (kind == PGRES_COPY_IN)
            PQputCopyEnd(pg->conn, "there is no input");
        status = kind == PGRES_COPY_OUT ? copy_rows(pg, call) : 0;
        if (status < 0)
            return status;
    }
    return status < 0 ? status : judge(pg, *ret);
}

/* Interrupting. */

/* Ends a query of which an await has returned `reason`, and returns what the
 * query returns. */
static ssize_t interrupt(struct pg *pg, const pg_call *call, ssize_t reason,
                         PGresult **ret)
{
    pg_call dropping = {0};
    ssize_t status;
    const char *code;

    aloop_shield_begin();
    pg->until_ns = aloop_now(pg->loop) + pg->cleanup_ns;
    pg_cancel(pg);
    status = collect(pg, &dropping, ret);
    pg->until_ns = 0;
    if (PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE)
        pg_drop(pg);
    aloop_shield_end();
    code = PQresultErrorField(*ret, PG_DIAG_SQLSTATE);
    if (!pg_is_lost(pg) && call->on_row == NULL &&
        (code == NULL || strcmp(code, "57014") != 0)) /* query_canceled */
        return status;
    PQclear(*ret);
    *ret = NULL;
    return reason;
}

/* Sending. */

static int send_params(PGconn *conn, const pg_call *call)
{
    size_t count =
        call->count > 0 && call->count <= COUNT_MAX ? (size_t) call->count : 0;
    const char **values =
        malloc((count + 1) * (sizeof *values + 2 * sizeof(int) + sizeof(Oid)));
    int *lengths, *formats, is_sent;
    Oid *types;

    if (values == NULL)
        return 0;
    lengths = (int *) (values + count + 1);
    formats = lengths + count;
    types = (Oid *) (formats + count);
    for (size_t i = 0; i < count; i++) {
        const pg_param *param = &call->params[i];

        values[i] = param->binary != NULL ? param->binary : param->text;
        lengths[i] = param->size;
        formats[i] = param->binary != NULL;
        types[i] = param->type;
    }
    if (call->name == NULL)
        is_sent = PQsendQueryParams(conn, call->sql, call->count, types, values,
                                    lengths, formats, call->is_binary);
    else if (call->sql != NULL)
        is_sent =
            PQsendPrepare(conn, call->name, call->sql, call->count, types);
    else
        is_sent = PQsendQueryPrepared(conn, call->name, call->count, values,
                                      lengths, formats, call->is_binary);
    free(values);
    return is_sent;
}

ssize_t pg_run(struct pg *pg, const pg_call *call, PGresult **ret_result)
{
    ssize_t status;
    bool is_sent;

    *ret_result = NULL;
    if (pg->is_busy || pg->is_waiting)
        return ALOOP_EBUSY;
    pg->is_busy = true;
    is_sent = !pg_is_lost(pg) &&
              (call->is_script ? PQsendQuery(pg->conn, call->sql)
                               : send_params(pg->conn, call));
    status = is_sent ? collect(pg, call, ret_result) : PG_EQUERY;
    if (is_sent && PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE)
        status = interrupt(pg, call, status, ret_result);
    pg->is_busy = false;
    if (PQstatus(pg->conn) == CONNECTION_BAD)
        pg_drop(pg); /* libpq has ended it because of a wrong message. */
    if (pg_is_lost(pg) && status == PG_EQUERY)
        status = PG_ELOST;
    if (*ret_result == NULL && (status == PG_EQUERY || status == PG_ELOST))
        *ret_result = PQmakeEmptyPGresult(pg->conn, PGRES_FATAL_ERROR);
    if (!pg_is_lost(pg)) /* Nothing is left to send. */
        aloop_poll_set_events(pg->poll, ALOOP_POLL_READABLE);
    return status;
}
