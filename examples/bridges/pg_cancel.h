/* Cancelling a query of a connection to PostgreSQL; see pg.h.  For pg_run.c. */

#ifndef BRIDGES_PG_CANCEL_H
#define BRIDGES_PG_CANCEL_H

#include "pg.h"

/**
 * Asks the server to cancel the query that is in progress.
 *
 * The call returns when the server has received it, so that it cannot end a
 * later query.  The query then ends, with an error if it was cancelled.  If the
 * server does not answer until pg->until_ns, the connection is dropped.
 *
 * Context: a task, in a shield.
 */
void pg_cancel(struct pg *pg);

#endif
