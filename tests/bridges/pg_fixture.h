/* For the tests of the bridge to PostgreSQL: a loop, a connection that is
 * tested and one for questions about it.  The server is that of
 * programs/postgres.sh. */

#ifndef PG_FIXTURE_H
#define PG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "bridges/pg_pool.h"
#include "bridges/pg_statement.h"
#include "support/child.h"
#include "support/patient.h"

/* Descriptors are counted below this number. */
enum { FDS_MAX = 200 };

static struct {
    aloop *loop;
    struct pg *pg, *admin;
    PGresult *result; /* That of the last call on `pg`. */
    pg_pool *pool;
    int fds; /* Open descriptors before the test. */
} f;

/* An empty connection string: the environment has the address. */
static struct pg *connected(void)
{
    struct pg *pg;
    PGresult *error;
    ssize_t status = pg_connect(f.loop, "", &pg, &error);

    if (status < 0)
        fail_msg("%s", pg_error(error, status));
    assert_null(error);
    return pg;
}

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    f.admin = connected();
    f.pg = connected();
    return 0;
}

static inline int tear_down(void **state)
{
    (void) state;
    PQclear(f.result);
    pg_pool_free(f.pool);
    pg_close(f.pg);
    pg_close(f.admin);
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Queries. */

static inline ssize_t run_call(const pg_call *what)
{
    PQclear(f.result);
    return pg_run(f.pg, what, &f.result);
}

static inline ssize_t query(const char *sql)
{
    return run_call(&(pg_call){.sql = sql});
}

static inline const char *value(int row, int column)
{
    return PQgetvalue(f.result, row, column);
}

/* The code of the last error, or "". */
static inline const char *code(void)
{
    const char *text = PQresultErrorField(f.result, PG_DIAG_SQLSTATE);

    return text != NULL ? text : "";
}

/* Expects the connection to be as good as new. */
static inline void assert_usable(void)
{
    assert_int_equal(query("select 'usable'"), 1);
    assert_string_equal(value(0, 0), "usable");
}

/* Returns a number that the other connection has asked for. */
static inline long ask(const char *sql, const char *text)
{
    pg_param param = {.text = text};
    PGresult *result;
    ssize_t status =
        pg_exec(f.admin, sql, text != NULL ? 1 : 0, &param, &result);
    long number;

    if (status < 0)
        fail_msg("%s", pg_error(result, status));
    number = PQntuples(result) > 0 ? atol(PQgetvalue(result, 0, 0)) : 0;
    PQclear(result);
    return number;
}

/* Lets the loop run until something has happened in the server.  The limit of
 * the whole test ends this if it does not. */
static inline void until(const char *sql, const char *text, long number)
{
    while (ask(sql, text) != number)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(5))), 0);
}

static inline char *pid_of(const struct pg *pg)
{
    static char pid[16];

    snprintf(pid, sizeof pid, "%d", PQbackendPID(pg->conn));
    return pid;
}

#define COUNT_ACTIVE \
    "select count(*) from pg_stat_activity" \
    " where pid = $1::int and state = 'active'"

static inline void terminate(const struct pg *pg)
{
    until("select pg_terminate_backend($1::int)::int", pid_of(pg), 1);
}

/* Queries in tasks, which deadlines and cancels end. */

struct job {
    pg_call call;
    aloop_future *task;
    ssize_t status;
};

static inline ssize_t job_run(aloop *loop, void *arg)
{
    struct job *job = arg;

    (void) loop;
    job->status = run_call(&job->call);
    return job->status;
}

/* Starts a query that takes long, and waits until the server runs it. */
static inline void begin(struct job *job, const char *sql)
{
    job->call.sql = sql;
    job->task = aloop_spawn(f.loop, job_run, job);
    until(COUNT_ACTIVE, pid_of(f.pg), 1);
}

/* Cancels the task, and returns what the query has returned to it. */
static inline ssize_t cancelled(struct job *job)
{
    aloop_cancel(job->task);
    (void) aloop_await(job->task);
    return job->status;
}

/* The process of the server. */

static inline pid_t postmaster(void)
{
    char path[512];
    FILE *file;
    int pid = 0;

    snprintf(path, sizeof path, "%s/postmaster.pid", getenv("POSTGRES_DATA"));
    file = fopen(path, "r");
    if (file == NULL)
        return 0; /* It restarts. */
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return (pid_t) pid;
}

/* A stopped server accepts connections, and does not answer on them. */
static inline void signal_server(int signal)
{
    pid_t pid = postmaster();

    assert_true(pid > 1);
    assert_int_equal(kill(pid, signal), 0);
}

#endif
