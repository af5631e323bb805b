/* Cancelling a query of a connection to PostgreSQL.
 *
 * The server takes a cancel on a connection of its own, and does not answer. */

#include "pg_cancel.h"

#include <stdlib.h>

#ifdef LIBPQ_HAS_ASYNC_CANCEL

void pg_cancel(struct pg *pg)
{
    PGcancelConn *conn = PQcancelCreate(pg->conn);
    PostgresPollingStatusType step = PQcancelStart(conn) ? PGRES_POLLING_WRITING
                                                         : PGRES_POLLING_FAILED;
    ssize_t status = 0;

    while (status >= 0 && step != PGRES_POLLING_OK &&
           step != PGRES_POLLING_FAILED) {
        status = aloop_await(
            aloop_timeout(aloop_poll_wait(pg->loop, PQcancelSocket(conn),
                                          pg_step_events(step)),
                          pg->until_ns - aloop_now(pg->loop)));
        if (status >= 0)
            step = PQcancelPoll(conn);
    }
    PQcancelFinish(conn);
    if (status < 0)
        pg_drop(pg);
}

#else

struct pg_cancel {
    PGcancel *handle;
    struct pg *pg; /* NULL: it does not wait any more. */
};

/* Runs on a thread, because it blocks. */
static ssize_t cancel_run(void *arg)
{
    struct pg_cancel *cancel = arg;
    char words[256];

    return PQcancel(cancel->handle, words, sizeof words) ? 0 : PG_ELOST;
}

static void cancel_ended(aloop_future *future, ssize_t status, void *arg)
{
    struct pg_cancel *cancel = arg;

    (void) future;
    (void) status;
    if (cancel->pg != NULL) {
        cancel->pg->cancel = NULL;
        aloop_event_set(cancel->pg->ready);
    }
    PQfreeCancel(cancel->handle);
    free(cancel);
}

/* A cancel that arrives late would end the next query, so this waits for its
 * end. */
void pg_cancel(struct pg *pg)
{
    struct pg_cancel *cancel = calloc(1, sizeof *cancel);
    ssize_t status = 0;

    if (cancel == NULL)
        return;
    *cancel = (struct pg_cancel){PQgetCancel(pg->conn), pg};
    pg->cancel = cancel;
    if (aloop_then(aloop_work(pg->loop, cancel_run, cancel), cancel_ended,
                   cancel) < 0) /* It was not begun. */
        cancel_ended(NULL, 0, cancel);
    while (status >= 0 && pg->cancel != NULL)
        status = pg_wait(pg, ALOOP_POLL_READABLE);
    if (pg->cancel == NULL)
        return;
    pg->cancel->pg = NULL; /* The thread may use the rest. */
    pg->cancel = NULL;
    pg_drop(pg);
}

#endif
