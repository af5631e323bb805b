/* Queries "select $1::int" over a pool of 10 connections, for databases.sh.
 *
 *     usage: aloop_queries COUNT [like-asyncpg]
 *
 * Ten tasks run COUNT queries, one after another each.  With like-asyncpg, they
 * are prepared, and a connection is reset when it is given back, as asyncpg's
 * pool does. */

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridges/pg_pool.h"

enum { WORKERS = 10 };

static long started, wanted;
static bool is_like_asyncpg;
static pg_pool *pool;

static ssize_t worker(aloop *loop, void *arg)
{
    char text[24];
    pg_param param = {.text = text};

    (void) loop;
    (void) arg;
    while (started < wanted) {
        pg_reply reply;
        ssize_t status;

        snprintf(text, sizeof text, "%ld", started++);
        status =
            aloop_await(pg_query(pool, "select $1::int", 1, &param, &reply));
        if (status >= 0 && strcmp(PQgetvalue(reply.result, 0, 0), text) != 0)
            status = ALOOP_EPROTO;
        if (status < 0)
            fprintf(stderr, "%s\n", pg_error(reply.result, status));
        PQclear(reply.result);
        if (status < 0)
            return status;
    }
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    pg_pool_options options = {.connections_max = WORKERS,
                               .is_prepared = is_like_asyncpg,
                               .reset = is_like_asyncpg ? PG_RESET : NULL};
    char items[WORKERS];
    ssize_t status;

    (void) arg;
    pool = pg_pool_new(loop, "", &options);
    status = pool == NULL ? ALOOP_ENOMEM
                          : aloop_await(aloop_map(loop, worker, items, WORKERS,
                                                  1, WORKERS));
    pg_pool_free(pool);
    return status;
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? atol(argv[1]) : 0;
    is_like_asyncpg = argc > 2;
    return wanted <= 0 || aloop_main(amain, NULL) < 0;
}
