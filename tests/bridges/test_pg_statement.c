/* The bridge to PostgreSQL: prepared statements and transactions, against a
 * real server. */

#define _POSIX_C_SOURCE 200809L

#include "pg_fixture.h"

/* Prepared statements. */

static ssize_t run_prepared(const pg_call *what)
{
    PQclear(f.result);
    return pg_run_prepared(f.pg, what, &f.result);
}

/* How many statements the server knows. */
static long prepared(void)
{
    assert_int_equal(query("select count(*) from pg_prepared_statements"), 1);
    return atol(value(0, 0));
}

static void a_statement_is_prepared_once(void **state)
{
    pg_param param = {.text = "7"};
    pg_call what = {.sql = "select $1::int + 1", .count = 1, .params = &param};

    (void) state;

    assert_int_equal(run_prepared(&what), 1);
    param.text = "8";
    assert_int_equal(run_prepared(&what), 1);

    assert_string_equal(value(0, 0), "9");
    assert_int_equal(prepared(), 1);
}

static void other_types_are_another_statement(void **state)
{
    pg_param text = {.text = "7"};
    pg_param number = {.binary = "\0\0\0\7", .size = 4, .type = 23 /* int4 */};
    pg_call what = {.sql = "select $1 || ''", .count = 1, .params = &text};

    (void) state;

    assert_int_equal(run_prepared(&what), 1);
    assert_string_equal(value(0, 0), "7");
    what.params = &number;
    assert_int_equal(run_prepared(&what), 1);

    assert_string_equal(value(0, 0), "7");
    assert_int_equal(prepared(), 2);
}

static void a_statement_that_the_server_forgot_is_prepared_again(void **state)
{
    pg_call what = {.sql = "select 1"};

    (void) state;
    assert_int_equal(run_prepared(&what), 1);
    query("deallocate all");

    assert_int_equal(run_prepared(&what), PG_EQUERY);
    assert_string_equal(code(), "26000");

    assert_int_equal(run_prepared(&what), 1);
}

static void a_statement_with_other_columns_is_prepared_again(void **state)
{
    pg_call what = {.sql = "select * from t"};

    (void) state;
    query("create temp table t (i int)");
    assert_int_equal(run_prepared(&what), 0);
    query("alter table t add j int");

    assert_int_equal(run_prepared(&what), PG_EQUERY);

    assert_int_equal(run_prepared(&what), 0);
    assert_int_equal(PQnfields(f.result), 2);
}

static void a_connection_has_a_limited_number_of_statements(void **state)
{
    char sql[32];
    pg_call what = {.sql = sql};

    (void) state;

    for (int i = 0; i < PG_PREPARED_MAX + 5; i++) {
        snprintf(sql, sizeof sql, "select %d", i);
        assert_int_equal(run_prepared(&what), 1);
        assert_int_equal(atoi(value(0, 0)), i);
    }

    assert_int_equal(prepared(), PG_PREPARED_MAX);
}

static void what_cannot_be_prepared_is_an_error(void **state)
{
    static pg_param params[65536];

    (void) state;

    assert_int_equal(run_prepared(&(pg_call){.sql = "select nothing"}),
                     PG_EQUERY);
    assert_string_equal(code(), "42703");
    assert_int_equal(
        run_prepared(
            &(pg_call){.sql = "select 1", .count = 65536, .params = params}),
        PG_EQUERY);

    assert_int_equal(prepared(), 0);
}

/* Transactions. */

struct body {
    const char *sql;
    ssize_t result;
    struct body *inner; /* A transaction inside this one. */
    ssize_t inner_status;
    bool may_fail;
    PGresult *error;
    ssize_t status; /* Of the transaction. */
};

static ssize_t run_body(struct pg *pg, void *arg)
{
    struct body *body = arg;
    ssize_t status;

    assert_ptr_equal(pg, f.pg);
    assert_int_equal(PQtransactionStatus(pg->conn), PQTRANS_INTRANS);
    status = query(body->sql);
    if (status < 0 && !body->may_fail)
        return status;
    if (body->inner != NULL)
        body->inner_status =
            pg_transaction(pg, run_body, body->inner, &body->inner->error);
    return body->result;
}

static ssize_t transact(struct body *body)
{
    PQclear(body->error);
    return pg_transaction(f.pg, run_body, body, &body->error);
}

static ssize_t transaction_task(aloop *loop, void *arg)
{
    struct body *body = arg;

    (void) loop;
    body->status = transact(body);
    return body->status;
}

static void make_table(void)
{
    assert_int_equal(query("create temp table t (i int unique"
                           " deferrable initially deferred)"),
                     0);
}

static void assert_rows(int count)
{
    assert_int_equal(PQtransactionStatus(f.pg->conn), PQTRANS_IDLE);
    assert_int_equal(query("select i from t"), count);
}

static void a_transaction_is_committed(void **state)
{
    struct body body = {.sql = "insert into t values (1)", .result = 5};

    (void) state;
    make_table();

    assert_int_equal(transact(&body), 5);

    assert_null(body.error);
    assert_rows(1);
}

static void an_error_of_the_body_rolls_back(void **state)
{
    struct body body = {.sql = "insert into t values (1)",
                        .result = ALOOP_ENOSPC};

    (void) state;
    make_table();

    assert_int_equal(transact(&body), ALOOP_ENOSPC);

    assert_rows(0);
}

static void an_error_of_a_query_rolls_back(void **state)
{
    struct body body = {.sql = "insert into t values (1 / 0)"};

    (void) state;
    make_table();

    assert_int_equal(transact(&body), PG_EQUERY);

    assert_string_equal(code(), "22012");
    assert_rows(0);
}

static void an_error_that_the_body_ignores_rolls_back(void **state)
{
    struct body body = {.sql = "insert into t values (1 / 0)",
                        .may_fail = true};

    (void) state;
    make_table();

    assert_int_equal(transact(&body), PG_EABORTED);

    assert_rows(0);
}

static void a_cancel_rolls_back(void **state)
{
    struct body body = {
        .sql = "with a as (insert into t values (1)) select pg_sleep(100)"};
    aloop_future *task;

    (void) state;
    make_table();
    task = aloop_spawn(f.loop, transaction_task, &body);
    until("select count(*) from pg_stat_activity where pid = $1::int"
          " and state = 'active' and query like 'with %'",
          pid_of(f.pg), 1);

    aloop_cancel(task);

    (void) aloop_await(task);
    assert_int_equal(body.status, ALOOP_ECANCELED);
    assert_rows(0);
}

static void a_commit_that_fails_is_an_error_with_words(void **state)
{
    struct body body = {.sql = "insert into t values (1), (1)"};

    (void) state;
    make_table();

    assert_int_equal(transact(&body), PG_EQUERY);

    assert_non_null(strstr(pg_error(body.error, PG_EQUERY), "unique"));
    PQclear(body.error);
    assert_rows(0);
}

static void an_inner_transaction_is_rolled_back_alone(void **state)
{
    struct body failing = {.sql = "insert into t values (3 / 0)"};
    struct body inner = {.sql = "insert into t values (2)", .inner = &failing};
    struct body body = {.sql = "insert into t values (1)", .inner = &inner};

    (void) state;
    make_table();

    assert_int_equal(transact(&body), 0);

    assert_int_equal(inner.inner_status, PG_EQUERY);
    assert_int_equal(body.inner_status, 0);
    assert_rows(2);
}

/* The process of the connection is stopped, so that it does not answer. */
static void a_rollback_that_is_not_answered_ends_the_connection(void **state)
{
    pid_t backend = PQbackendPID(f.pg->conn);

    (void) state;
    query("begin");
    f.pg->cleanup_ns = ALOOP_MS(50);
    assert_int_equal(kill(backend, SIGSTOP), 0);

    pg_clean_up(f.pg, "rollback");

    assert_int_equal(kill(backend, SIGCONT), 0);
    assert_true(pg_is_lost(f.pg));
}

static void a_lost_connection_begins_no_transaction(void **state)
{
    struct body body = {0};

    (void) state;
    terminate(f.pg);

    assert_int_equal(transact(&body), PG_ELOST);

    assert_non_null(body.error);
    PQclear(body.error);
}

/* The end of the loop. */

static struct {
    bool is_in_query, has_ended;
    ssize_t status;
} visit;

static ssize_t visit_body(struct pg *pg, void *arg)
{
    PGresult *result;
    ssize_t status = pg_exec(pg, "select 1", 0, NULL, &result);

    (void) arg;
    PQclear(result);
    if (status < 0)
        return status;
    visit.is_in_query = true;
    status = pg_exec(pg, "select pg_sleep(1000)", 0, NULL, &result);
    PQclear(result);
    return status;
}

static ssize_t visit_run(aloop *loop, void *arg)
{
    struct pg *pg;
    PGresult *error;

    (void) arg;
    visit.status = pg_connect(loop, "", &pg, &error);
    if (visit.status >= 0)
        visit.status = pg_transaction(pg, visit_body, NULL, &error);
    PQclear(error);
    pg_close(pg);
    visit.has_ended = true;
    return 0;
}

/* Frees the loop after each number of turns, until the query is sent and a few
 * more; with `is_cancelled` after a cancel of the query, and a few turns.  What
 * an await in a shield begins then must not use the connection. */
static void end_at_each_step(bool is_cancelled)
{
    int after = 0;

    pg_close(f.pg);
    pg_close(f.admin);
    f.pg = f.admin = NULL;
    for (int turns = 0; after < 4; turns++) {
        aloop_future *task = aloop_spawn(f.loop, visit_run, NULL);

        memset(&visit, 0, sizeof visit);
        for (int i = 0; i < turns || (is_cancelled && !visit.is_in_query); i++)
            assert_true(aloop_step(f.loop, ALOOP_MS(1)) >= 0);
        after += visit.is_in_query;
        if (is_cancelled)
            aloop_cancel(task);
        for (int i = 1; is_cancelled && i < after; i++)
            assert_true(aloop_step(f.loop, ALOOP_US(100)) >= 0);
        aloop_detach(task);

        assert_int_equal(aloop_free(f.loop), 0);

        assert_true(visit.has_ended || turns == 0); /* It never began. */
        assert_true(visit.status < 0 || turns == 0);
        assert_int_equal(open_descriptors(FDS_MAX), f.fds);
        f.loop = aloop_new(NULL);
    }
}

static void the_loop_can_be_freed_at_each_step_of_a_transaction(void **state)
{
    (void) state;
    end_at_each_step(false);
}

static void the_loop_can_be_freed_while_a_query_is_cancelled(void **state)
{
    (void) state;
    end_at_each_step(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_statement_is_prepared_once),
        TEST(other_types_are_another_statement),
        TEST(a_statement_that_the_server_forgot_is_prepared_again),
        TEST(a_statement_with_other_columns_is_prepared_again),
        TEST(a_connection_has_a_limited_number_of_statements),
        TEST(what_cannot_be_prepared_is_an_error),
        TEST(a_transaction_is_committed),
        TEST(an_error_of_the_body_rolls_back),
        TEST(an_error_of_a_query_rolls_back),
        TEST(an_error_that_the_body_ignores_rolls_back),
        TEST(a_cancel_rolls_back),
        TEST(a_commit_that_fails_is_an_error_with_words),
        TEST(an_inner_transaction_is_rolled_back_alone),
        TEST(a_rollback_that_is_not_answered_ends_the_connection),
        TEST(a_lost_connection_begins_no_transaction),
        TEST(the_loop_can_be_freed_at_each_step_of_a_transaction),
        TEST(the_loop_can_be_freed_while_a_query_is_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
