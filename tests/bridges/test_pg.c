/* The bridge to PostgreSQL: connections, queries, cancels and notifications,
 * against a real server. */

#define _POSIX_C_SOURCE 200809L

#include "pg_fixture.h"

/* Connecting. */

static ssize_t try_connect(const char *conninfo)
{
    ssize_t status;

    pg_close(f.pg);
    PQclear(f.result);
    status = pg_connect(f.loop, conninfo, &f.pg, &f.result);
    assert_int_equal(f.pg == NULL, status < 0);
    return status;
}

static void connects_with_a_uri(void **state)
{
    char uri[256];

    (void) state;
    snprintf(uri, sizeof uri, "postgresql://postgres@127.0.0.1:%s/template1",
             getenv("PGPORT"));

    assert_int_equal(try_connect(uri), 0);

    assert_null(f.result);
    assert_int_equal(query("select current_database()"), 1);
    assert_string_equal(value(0, 0), "template1");
}

static void connects_to_the_second_host_if_the_first_is_down(void **state)
{
    char conninfo[256];

    (void) state;
    snprintf(conninfo, sizeof conninfo, "host=127.0.0.1,127.0.0.1 port=1,%s",
             getenv("PGPORT"));

    assert_int_equal(try_connect(conninfo), 0);

    assert_usable();
}

/* The socket of the second attempt has the number of the first one. */
static void connects_to_no_host_that_is_in_the_wrong_state(void **state)
{
    char conninfo[256];

    (void) state;
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%s,%s target_session_attrs=standby",
             getenv("PGPORT"), getenv("PGPORT"));

    assert_int_equal(try_connect(conninfo), PG_ECONNECT);

    assert_non_null(strstr(pg_error(f.result, PG_ECONNECT), "standby"));
}

static void a_refused_connection_has_words_for_each_host(void **state)
{
    const char *words;

    (void) state;

    assert_int_equal(try_connect("host=127.0.0.1,127.0.0.1 port=1,2"),
                     PG_ECONNECT);

    words = pg_error(f.result, PG_ECONNECT);
    assert_non_null(strstr(words, "port 1 failed"));
    assert_non_null(strstr(words, "port 2 failed"));
}

static void a_malformed_connection_string_is_refused(void **state)
{
    (void) state;

    assert_int_equal(try_connect("nothing"), PG_ECONNECT);

    assert_non_null(strstr(pg_error(f.result, PG_ECONNECT), "nothing"));
}

static void a_password_is_checked(void **state)
{
    (void) state;
    query("drop role if exists locked");
    query("create role locked login password 'secret'");

    assert_int_equal(try_connect("user=locked password=wrong"), PG_ECONNECT);
    assert_non_null(
        strstr(pg_error(f.result, PG_ECONNECT), "password authentication"));

    assert_int_equal(try_connect("user=locked password=secret"), 0);
    assert_usable();
}

static ssize_t connect_task(aloop *loop, void *arg)
{
    (void) loop;
    return try_connect(arg);
}

static void a_deadline_ends_a_connect_to_a_stopped_server(void **state)
{
    ssize_t status;

    (void) state;
    signal_server(SIGSTOP);

    status = aloop_await(
        aloop_timeout(aloop_spawn(f.loop, connect_task, ""), ALOOP_MS(50)));

    signal_server(SIGCONT);
    assert_int_equal(status, ALOOP_ETIMEDOUT);
    assert_null(f.pg);
    assert_int_equal(try_connect(""), 0);
    assert_usable();
}

/* Queries. */

static void a_query_returns_its_rows(void **state)
{
    pg_param params[] = {{.text = "3"}, {.text = "x"}, {0}};

    (void) state;

    assert_int_equal(
        run_call(&(pg_call){.sql = "select i, $2::text || i, $3::text"
                                   " from generate_series(1, $1::int) as i",
                            .count = 3,
                            .params = params}),
        3);

    assert_string_equal(value(2, 0), "3");
    assert_string_equal(value(2, 1), "x3");
    assert_true(PQgetisnull(f.result, 2, 2));
}

static void parameters_and_results_can_be_binary(void **state)
{
    static const unsigned char number[] = {0, 0, 1, 2};
    pg_param params[] = {{.binary = number, .size = 4, .type = 23 /* int4 */}};

    (void) state;

    assert_int_equal(run_call(&(pg_call){.sql = "select $1 + 1",
                                         .count = 1,
                                         .params = params,
                                         .is_binary = true}),
                     1);

    assert_int_equal(PQfformat(f.result, 0), 1);
    assert_memory_equal(value(0, 0), "\0\0\1\3", 4);
}

static void a_change_returns_its_number_of_rows(void **state)
{
    (void) state;
    assert_int_equal(query("create temp table t (i int)"), 0);

    assert_int_equal(query("insert into t select generate_series(1, 7)"), 7);
    assert_int_equal(query("update t set i = 0 where i > 5"), 2);
    assert_int_equal(query("delete from t"), 7);
}

static void wrong_sql_is_an_error_with_a_code(void **state)
{
    (void) state;

    assert_int_equal(query("select nothing from nowhere"), PG_EQUERY);

    assert_string_equal(code(), "42P01");
    assert_string_equal(pg_error(f.result, PG_EQUERY),
                        "relation \"nowhere\" does not exist");
    assert_usable();
}

static void too_many_parameters_are_refused(void **state)
{
    static pg_param params[65536];

    (void) state;

    assert_int_equal(
        run_call(
            &(pg_call){.sql = "select 1", .count = 65536, .params = params}),
        PG_EQUERY);
    assert_non_null(strstr(pg_error(f.result, PG_EQUERY), "65535"));
    assert_int_equal(run_call(&(pg_call){.sql = "select 1", .count = -1}),
                     PG_EQUERY);

    assert_usable();
}

/* The server stops to read when it cannot write. */
static void large_parameters_come_back(void **state)
{
    enum { SIZE = 8 << 20 };
    char *text = malloc(SIZE + 1);
    pg_param params[] = {{.text = text}, {.text = text}};

    (void) state;
    assert_non_null(text);
    memset(text, 'x', SIZE);
    text[SIZE] = '\0';

    assert_int_equal(run_call(&(pg_call){.sql = "select $1::text, $2::text",
                                         .count = 2,
                                         .params = params}),
                     1);

    assert_int_equal(PQgetlength(f.result, 0, 0), SIZE);
    assert_string_equal(value(0, 1), text);
    free(text);
}

static void a_connection_has_one_query_at_a_time(void **state)
{
    struct job job = {0};
    PGresult *result;

    (void) state;
    begin(&job, "select pg_sleep(100)");

    assert_int_equal(pg_exec(f.pg, "select 1", 0, NULL, &result), ALOOP_EBUSY);

    assert_null(result);
    assert_int_equal(cancelled(&job), ALOOP_ECANCELED);
}

static void a_script_returns_its_last_result(void **state)
{
    (void) state;

    assert_int_equal(run_call(&(pg_call){.sql = "create temp table t (i int);"
                                                "insert into t values (1), (2);"
                                                "select i from t order by i",
                                         .is_script = true}),
                     2);

    assert_string_equal(value(1, 0), "2");
}

static void a_script_returns_its_first_error(void **state)
{
    (void) state;

    assert_int_equal(
        run_call(&(pg_call){.sql = "select 1; select 1 / 0; select x",
                            .is_script = true}),
        PG_EQUERY);

    assert_string_equal(code(), "22012");
    assert_usable();
}

static void copy_from_stdin_is_refused(void **state)
{
    (void) state;
    query("create temp table t (i int)");

    assert_int_equal(query("copy t from stdin"), PG_EQUERY);

    assert_non_null(strstr(pg_error(f.result, PG_EQUERY), "there is no input"));
    assert_usable();
}

/* COPY TO STDOUT. */

struct rows {
    long count, sum;
    long end_at; /* The row with which the callback returns an error. */
    bool is_slow;
};

static ssize_t add_row(const char *data, size_t size, void *arg)
{
    struct rows *rows = arg;

    assert_int_equal(data[size - 1], '\n');
    rows->count++;
    rows->sum += atol(data);
    if (rows->is_slow && rows->count % 1000 == 0)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    return rows->count == rows->end_at ? ALOOP_ENOSPC : 0;
}

#define COPY_ROWS "copy (select generate_series(1, 20000)) to stdout"

static void copy_gives_each_row(void **state)
{
    struct rows rows = {0};

    (void) state;

    assert_int_equal(pg_copy_out(f.pg, COPY_ROWS, add_row, &rows, &f.result),
                     20000);

    assert_int_equal(rows.count, 20000);
    assert_int_equal(rows.sum, 20000L * 20001 / 2);
}

static void a_callback_of_copy_can_await(void **state)
{
    struct rows rows = {.is_slow = true};

    (void) state;

    assert_int_equal(pg_copy_out(f.pg, COPY_ROWS, add_row, &rows, &f.result),
                     20000);

    assert_int_equal(rows.sum, 20000L * 20001 / 2);
}

static void an_error_of_the_callback_ends_copy(void **state)
{
    struct rows rows = {.end_at = 5};

    (void) state;

    assert_int_equal(pg_copy_out(f.pg,
                                 "copy (select generate_series(1, 100000000))"
                                 " to stdout",
                                 add_row, &rows, &f.result),
                     ALOOP_ENOSPC);

    assert_int_equal(rows.count, 5);
    assert_null(f.result);
    assert_usable();
}

static void copy_without_a_callback_drops_the_rows(void **state)
{
    (void) state;

    assert_int_equal(query(COPY_ROWS), 20000);

    assert_usable();
}

static void an_error_in_the_middle_of_copy_is_returned(void **state)
{
    struct rows rows = {0};

    (void) state;

    assert_int_equal(
        pg_copy_out(f.pg,
                    "copy (select 1 / (1000 - i) from generate_series(1, 2000)"
                    " as i) to stdout",
                    add_row, &rows, &f.result),
        PG_EQUERY);

    assert_string_equal(code(), "22012");
    assert_usable();
}

/* Cancelling. */

static void a_cancel_ends_the_query_in_the_server(void **state)
{
    struct job job = {0};

    (void) state;
    begin(&job, "select pg_sleep(100)");

    assert_int_equal(cancelled(&job), ALOOP_ECANCELED);

    assert_null(f.result);
    assert_int_equal(ask(COUNT_ACTIVE, pid_of(f.pg)), 0);
    assert_usable();
}

static void a_deadline_ends_the_query_in_the_server(void **state)
{
    struct job job = {.call = {.sql = "select pg_sleep(100)"}};

    (void) state;

    assert_int_equal(aloop_await(aloop_timeout(
                         aloop_spawn(f.loop, job_run, &job), ALOOP_MS(50))),
                     ALOOP_ETIMEDOUT);

    assert_null(f.result);
    assert_int_equal(ask(COUNT_ACTIVE, pid_of(f.pg)), 0);
    assert_usable();
}

static void a_cancel_from_elsewhere_is_an_error_of_the_query(void **state)
{
    struct job job = {0};

    (void) state;
    begin(&job, "select pg_sleep(100)");

    ask("select pg_cancel_backend($1::int)::int", pid_of(f.pg));

    assert_int_equal(aloop_await(job.task), PG_EQUERY);
    assert_string_equal(code(), "57014");
    assert_usable();
}

static void a_cancel_in_a_copy_ends_it(void **state)
{
    struct rows rows = {.is_slow = true};
    struct job job = {.call = {.on_row = add_row, .arg = &rows}};

    (void) state;
    begin(&job, "copy (select generate_series(1, 20), pg_sleep(0.1))"
                " to stdout");

    assert_int_equal(cancelled(&job), ALOOP_ECANCELED);

    assert_true(rows.count < 20);
    assert_usable();
}

/* The cancel waits for the stopped server, while the query completes. */
static void a_query_that_completes_in_spite_of_a_cancel_succeeds(void **state)
{
    struct job job = {0};

    (void) state;
    f.pg->cleanup_ns = ALOOP_SEC(1000);
    ask("select pg_advisory_lock(1) is null", NULL);
    begin(&job, "select 'done' from pg_advisory_lock(1)");
    signal_server(SIGSTOP);
    aloop_cancel(job.task);

    ask("select pg_advisory_unlock(1)::int", NULL);
    until(COUNT_ACTIVE, pid_of(f.pg), 0);
    signal_server(SIGCONT);

    assert_int_equal(aloop_await(job.task), 1);
    assert_string_equal(value(0, 0), "done");
    assert_usable();
}

static void a_cancel_that_is_not_answered_ends_the_connection(void **state)
{
    struct job job = {0};

    (void) state;
    f.pg->cleanup_ns = ALOOP_MS(50);
    begin(&job, "select pg_sleep(100)");
    signal_server(SIGSTOP);

    assert_int_equal(cancelled(&job), ALOOP_ECANCELED);

    signal_server(SIGCONT);
    assert_true(pg_is_lost(f.pg));
    assert_int_equal(query("select 1"), PG_ELOST);
    terminate(f.pg);
}

/* The end of a connection. */

static void a_backend_that_is_terminated_is_an_error_with_words(void **state)
{
    struct job job = {0};

    (void) state;
    begin(&job, "select pg_sleep(100)");

    terminate(f.pg);

    assert_int_equal(aloop_await(job.task), PG_ELOST);
    assert_string_equal(code(), "57P01");
    assert_true(pg_is_lost(f.pg));
    assert_int_equal(query("select 1"), PG_ELOST);
}

static void the_end_of_an_idle_connection_is_noticed(void **state)
{
    (void) state;

    terminate(f.pg);
    while (!pg_is_lost(f.pg)) /* The limit of the test ends it. */
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);

    assert_int_equal(query("select 1"), PG_ELOST);
    assert_non_null(f.result);
    assert_true(strlen(pg_error(f.result, PG_ELOST)) > 0);
}

static void an_idle_connection_does_not_keep_the_loop_alive(void **state)
{
    (void) state;

    assert_int_equal(aloop_run(f.loop), 0);

    assert_usable();
}

/* Notifications. */

static ssize_t notification_task(aloop *loop, void *arg)
{
    (void) loop;
    return pg_notification(f.pg, arg);
}

static void assert_notified(const char *payload)
{
    PGnotify *notify;

    assert_int_equal(pg_notification(f.pg, &notify), 0);
    assert_string_equal(notify->extra, payload);
    PQfreemem(notify);
}

static void a_notification_arrives_on_an_idle_connection(void **state)
{
    PGnotify *notify;
    aloop_future *task;

    (void) state;
    query("listen news");
    task = aloop_spawn(f.loop, notification_task, &notify);

    ask("select 1 from pg_notify('news', 'first')", NULL);

    assert_int_equal(aloop_await(task), 0);
    assert_string_equal(notify->relname, "news");
    assert_string_equal(notify->extra, "first");
    PQfreemem(notify);
    assert_usable();
}

static void notifications_are_kept_in_order(void **state)
{
    (void) state;
    query("listen news");

    ask("select 1 from pg_notify('news', '1')", NULL);
    while (f.pg->notify == NULL)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    ask("select 1 from pg_notify('news', '2')", NULL);
    query("notify news, '3'");

    assert_notified("1");
    assert_notified("2");
    assert_notified("3");
    assert_usable();
}

static void a_cancelled_wait_loses_no_notification(void **state)
{
    PGnotify *notify;

    (void) state;
    query("listen news");

    assert_int_equal(
        aloop_await(aloop_timeout(
            aloop_spawn(f.loop, notification_task, &notify), ALOOP_MS(10))),
        ALOOP_ETIMEDOUT);

    assert_null(notify);
    assert_usable();
    ask("select 1 from pg_notify('news', 'later')", NULL);
    assert_notified("later");
}

static void the_end_of_the_connection_ends_the_wait(void **state)
{
    PGnotify *notify;
    aloop_future *task;

    (void) state;
    query("listen news");
    task = aloop_spawn(f.loop, notification_task, &notify);

    terminate(f.pg);

    assert_int_equal(aloop_await(task), PG_ELOST);
    assert_null(notify);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connects_with_a_uri),
        TEST(connects_to_the_second_host_if_the_first_is_down),
        TEST(connects_to_no_host_that_is_in_the_wrong_state),
        TEST(a_refused_connection_has_words_for_each_host),
        TEST(a_malformed_connection_string_is_refused),
        TEST(a_password_is_checked),
        TEST(a_deadline_ends_a_connect_to_a_stopped_server),
        TEST(a_query_returns_its_rows),
        TEST(parameters_and_results_can_be_binary),
        TEST(a_change_returns_its_number_of_rows),
        TEST(wrong_sql_is_an_error_with_a_code),
        TEST(too_many_parameters_are_refused),
        TEST(large_parameters_come_back),
        TEST(a_connection_has_one_query_at_a_time),
        TEST(a_script_returns_its_last_result),
        TEST(a_script_returns_its_first_error),
        TEST(copy_from_stdin_is_refused),
        TEST(copy_gives_each_row),
        TEST(a_callback_of_copy_can_await),
        TEST(an_error_of_the_callback_ends_copy),
        TEST(copy_without_a_callback_drops_the_rows),
        TEST(an_error_in_the_middle_of_copy_is_returned),
        TEST(a_cancel_ends_the_query_in_the_server),
        TEST(a_deadline_ends_the_query_in_the_server),
        TEST(a_cancel_from_elsewhere_is_an_error_of_the_query),
        TEST(a_cancel_in_a_copy_ends_it),
        TEST(a_query_that_completes_in_spite_of_a_cancel_succeeds),
        TEST(a_cancel_that_is_not_answered_ends_the_connection),
        TEST(a_backend_that_is_terminated_is_an_error_with_words),
        TEST(the_end_of_an_idle_connection_is_noticed),
        TEST(an_idle_connection_does_not_keep_the_loop_alive),
        TEST(a_notification_arrives_on_an_idle_connection),
        TEST(notifications_are_kept_in_order),
        TEST(a_cancelled_wait_loses_no_notification),
        TEST(the_end_of_the_connection_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
