/* Connections to PostgreSQL, by libpq.
 *
 * While a connection is made, libpq may close its descriptor and open another
 * one with the same number, so each step has a wait of its own.  Afterwards one
 * poll is kept:
 *
 *     the connection           what the poll does when data have arrived
 *     a task waits for them    wakes the task, which receives them
 *     is idle                  receives them: a notification, or the end
 *     has a notification that  pauses, so that the server cannot fill the
 *     no task has taken, or a  memory; the next wait continues it
 *     query that no task waits
 *     for at the moment */

#include "pg.h"

#include <stdlib.h>

void pg_drop(struct pg *pg)
{
    aloop_poll_close(pg->poll);
    pg->poll = NULL;
    aloop_event_set(pg->ready);
}

/* libpq closes its descriptor when it finds the end. */
static void receive(struct pg *pg)
{
    if (!PQconsumeInput(pg->conn))
        pg_drop(pg);
}

static void pg_ready(aloop_poll *poll, unsigned events, void *arg)
{
    struct pg *pg = arg;

    (void) events;
    if (pg->is_waiting) {
        aloop_event_set(pg->ready);
    } else if (pg->is_busy || pg->notify != NULL) {
        aloop_poll_set_events(poll, 0);
    } else {
        receive(pg);
        pg->notify = PQnotifies(pg->conn);
    }
}

ssize_t pg_wait(struct pg *pg, unsigned events)
{
    ssize_t status = pg_is_lost(pg) ? PG_ELOST
                                    : aloop_poll_set_events(pg->poll, events);
    aloop_future *future;

    if (status < 0)
        return status;
    aloop_event_clear(pg->ready);
    pg->is_waiting = true;
    aloop_poll_ref(pg->poll);
    future = aloop_event_wait(pg->ready);
    if (pg->until_ns != 0)
        future = aloop_timeout(future, pg->until_ns - aloop_now(pg->loop));
    status = aloop_await(future);
    pg->is_waiting = false;
    aloop_poll_unref(pg->poll); /* An idle one does not keep the loop alive. */
    if (status >= 0)
        receive(pg);
    return status;
}

/* Connecting. */

/* By default libpq prints them. */
static void ignore_notice(void *arg, const char *text)
{
    (void) arg;
    (void) text;
}

static ssize_t take_steps(const struct pg *pg)
{
    PostgresPollingStatusType step = PQstatus(pg->conn) == CONNECTION_BAD
                                         ? PGRES_POLLING_FAILED
                                         : PGRES_POLLING_WRITING;

    while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
        ssize_t status = aloop_await(aloop_poll_wait(
            pg->loop, PQsocket(pg->conn), pg_step_events(step)));
        if (status < 0)
            return status;
        step = PQconnectPoll(pg->conn);
    }
    return step == PGRES_POLLING_OK ? 0 : PG_ECONNECT;
}

static ssize_t keep_poll(struct pg *pg)
{
    ssize_t status;

    if (PQsetnonblocking(pg->conn, 1) != 0)
        return ALOOP_ENOMEM;
    status = aloop_poll_start(pg->loop, PQsocket(pg->conn), ALOOP_POLL_READABLE,
                              pg_ready, pg, &pg->poll);
    if (status >= 0)
        aloop_poll_unref(pg->poll);
    return status;
}

ssize_t pg_connect(aloop *loop, const char *conninfo, struct pg **ret_pg,
                   PGresult **ret_error)
{
    struct pg *pg = calloc(1, sizeof *pg);
    ssize_t status = ALOOP_ENOMEM;

    *ret_pg = NULL;
    *ret_error = NULL;
    if (pg == NULL)
        return status;
    pg->loop = loop;
    pg->cleanup_ns = PG_CLEANUP_NS;
    pg->ready = aloop_event_new(loop);
    pg->conn = PQconnectStart(conninfo);
    if (pg->ready != NULL && pg->conn != NULL) {
        PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
        status = take_steps(pg);
    }
    if (status == PG_ECONNECT)
        *ret_error = PQmakeEmptyPGresult(pg->conn, PGRES_FATAL_ERROR);
    if (status >= 0)
        status = keep_poll(pg);
    if (status >= 0)
        *ret_pg = pg;
    else
        pg_close(pg);
    return status;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    aloop_poll_close(pg->poll);
    PQfreemem(pg->notify);
    PQfinish(pg->conn);
    aloop_event_free(pg->ready);
    while (pg->prepared != NULL) {
        struct pg_prepared *next = pg->prepared->next;

        free(pg->prepared);
        pg->prepared = next;
    }
    free(pg);
}

ssize_t pg_notification(struct pg *pg, PGnotify **ret)
{
    ssize_t status = pg->is_busy ? ALOOP_EBUSY : 0;

    *ret = NULL;
    while (status >= 0 && *ret == NULL) {
        *ret = pg->notify != NULL ? pg->notify : PQnotifies(pg->conn);
        pg->notify = NULL;
        if (*ret == NULL)
            status = pg_wait(pg, ALOOP_POLL_READABLE);
    }
    if (!pg_is_lost(pg)) /* The poll may have paused. */
        aloop_poll_set_events(pg->poll, ALOOP_POLL_READABLE);
    return *ret != NULL ? 0 : status;
}

const char *pg_error(const PGresult *result, ssize_t status)
{
    static const char *const words[] = {"the connection cannot be made",
                                        "the connection to the server was lost",
                                        "the query was refused",
                                        "an error aborted the transaction",
                                        "no connection was free in time",
                                        "the pool was freed"};
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (text == NULL)
        text = PQresultErrorMessage(result);
    if (text[0] != '\0')
        return text;
    return status <= PG_ECONNECT && status >= PG_ECLOSED
               ? words[PG_ECONNECT - status]
               : aloop_strerror(status);
}
