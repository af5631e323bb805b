/* The bridge to PostgreSQL: the pool, against a real server. */

#define _POSIX_C_SOURCE 200809L

#include "pg_fixture.h"

static void make_pool(const pg_pool_options *options)
{
    f.pool = pg_pool_new(f.loop, "", options);
    assert_non_null(f.pool);
}

/* Runs a query over the pool.  Its only value is a number. */
static long number_of(const char *sql)
{
    pg_reply reply;
    ssize_t status = aloop_await(pg_query(f.pool, sql, 0, NULL, &reply));
    long number;

    if (status != 1)
        fail_msg("%s", pg_error(reply.result, status));
    number = atol(PQgetvalue(reply.result, 0, 0));
    PQclear(reply.result);
    return number;
}

struct number {
    char text[16];
    pg_reply reply;
    ssize_t status;
};

static ssize_t ask_number(aloop *loop, void *arg)
{
    struct number *number = arg;
    pg_param param = {.text = number->text};

    (void) loop;
    number->status = aloop_await(pg_query(
        f.pool, "select $1::int, pg_backend_pid()", 1, &param, &number->reply));
    return 0;
}

static void ask_1000(bool is_prepared)
{
    enum { COUNT = 1000, CONNECTIONS = 10 };
    static struct number numbers[COUNT];
    pg_pool_options options = {.is_prepared = is_prepared};
    char pids[CONNECTIONS][16];
    size_t seen = 0;

    make_pool(&options);
    for (int i = 0; i < COUNT; i++)
        snprintf(numbers[i].text, sizeof numbers[i].text, "%d", i);

    assert_int_equal(aloop_await(aloop_map(f.loop, ask_number, numbers, COUNT,
                                           sizeof numbers[0], COUNT)),
                     0);

    for (int i = 0; i < COUNT; i++) {
        const char *pid = PQgetvalue(numbers[i].reply.result, 0, 1);
        size_t at = 0;

        assert_int_equal(numbers[i].status, 1);
        assert_string_equal(PQgetvalue(numbers[i].reply.result, 0, 0),
                            numbers[i].text);
        while (at < seen && strcmp(pids[at], pid) != 0)
            at++;
        if (at == seen) {
            assert_true(seen < CONNECTIONS);
            snprintf(pids[seen++], sizeof pids[0], "%s", pid);
        }
        PQclear(numbers[i].reply.result);
    }
    assert_int_equal(seen, CONNECTIONS);
}

static void ten_connections_answer_1000_queries(void **state)
{
    (void) state;

    ask_1000(false);
}

static void ten_connections_answer_1000_prepared_queries(void **state)
{
    (void) state;

    ask_1000(true);
}

static void a_connection_is_used_again(void **state)
{
    long pid;

    (void) state;
    make_pool(NULL);
    pid = number_of("select pg_backend_pid()");

    assert_int_equal(number_of("select pg_backend_pid()"), pid);
}

static void a_call_of_the_pool_can_be_binary(void **state)
{
    pg_reply reply;

    (void) state;
    make_pool(NULL);

    assert_int_equal(
        aloop_await(pg_query_with(
            f.pool, &(pg_call){.sql = "select 258", .is_binary = true},
            &reply)),
        1);

    assert_memory_equal(PQgetvalue(reply.result, 0, 0), "\0\0\1\2", 4);
    PQclear(reply.result);
}

static void a_query_with_a_limit_frees_its_connection(void **state)
{
    pg_pool_options options = {.connections_max = 1};
    pg_reply reply;

    (void) state;
    make_pool(&options);

    assert_int_equal(
        aloop_await(aloop_timeout(
            pg_query(f.pool, "select pg_sleep(100)", 0, NULL, &reply),
            ALOOP_MS(50))),
        ALOOP_ETIMEDOUT);

    assert_null(reply.result);
    assert_int_equal(number_of("select 4"), 4);
}

/* Tasks that take a connection. */

struct user {
    struct pg *pg;
    ssize_t status;
    const char *script; /* Runs before the connection is given back. */
    aloop_event *until; /* It is kept until then. */
    PGresult *error;
};

static ssize_t user_run(aloop *loop, void *arg)
{
    struct user *user = arg;

    (void) loop;
    user->status = pg_pool_acquire(f.pool, &user->pg, &user->error);
    if (user->status < 0)
        return user->status;
    if (user->script != NULL)
        user->status = pg_script(user->pg, user->script, &user->error);
    if (user->until != NULL)
        (void) aloop_await(aloop_event_wait(user->until));
    pg_pool_release(f.pool, user->pg);
    return 0;
}

/* Takes the only connection, until the event is set. */
static aloop_future *hold(struct user *user)
{
    aloop_future *task = aloop_spawn(f.loop, user_run, user);

    user->until = aloop_event_new(f.loop);
    while (user->pg == NULL)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    return task;
}

static void end_use(struct user *user, aloop_future *task)
{
    aloop_event_set(user->until);
    (void) aloop_await(task);
    aloop_event_free(user->until);
}

static void a_task_waits_for_a_connection_until_the_maximum(void **state)
{
    pg_pool_options options = {.connections_max = 1,
                               .wait_ns = ALOOP_MS(patient_limit(300))};
    struct user user = {0};
    pg_reply reply;
    aloop_future *task;

    (void) state;
    make_pool(&options);
    task = hold(&user);

    assert_int_equal(aloop_await(pg_query(f.pool, "select 1", 0, NULL, &reply)),
                     PG_EWAIT);

    assert_null(reply.result);
    end_use(&user, task);
    assert_int_equal(number_of("select 5"), 5);
}

static void a_limit_of_the_task_is_not_that_of_the_pool(void **state)
{
    pg_pool_options options = {.connections_max = 1,
                               .wait_ns = ALOOP_SEC(1000)};
    struct user user = {0};
    pg_reply reply;
    aloop_future *task;

    (void) state;
    make_pool(&options);
    task = hold(&user);

    assert_int_equal(
        aloop_await(aloop_timeout(pg_query(f.pool, "select 1", 0, NULL, &reply),
                                  ALOOP_MS(20))),
        ALOOP_ETIMEDOUT);

    end_use(&user, task);
    assert_int_equal(number_of("select 5"), 5);
}

static void a_connect_that_takes_too_long_counts_as_waiting(void **state)
{
    pg_pool_options options = {.wait_ns = ALOOP_MS(patient_limit(300))};
    pg_reply reply;
    ssize_t status;

    (void) state;
    make_pool(&options);
    signal_server(SIGSTOP);

    status = aloop_await(pg_query(f.pool, "select 1", 0, NULL, &reply));

    signal_server(SIGCONT);
    assert_int_equal(status, PG_EWAIT);
    assert_int_equal(number_of("select 5"), 5);
}

static void a_refused_connection_has_words(void **state)
{
    pg_reply reply;

    (void) state;
    f.pool = pg_pool_new(f.loop, "port=1", NULL);

    assert_int_equal(aloop_await(pg_query(f.pool, "select 1", 0, NULL, &reply)),
                     PG_ECONNECT);

    assert_non_null(strstr(pg_error(reply.result, PG_ECONNECT), "refused"));
    PQclear(reply.result);
}

static void an_idle_connection_that_was_terminated_is_replaced(void **state)
{
    char pid[16];
    int fds;
    long old;

    (void) state;
    make_pool(NULL);
    old = number_of("select pg_backend_pid()");
    fds = open_descriptors(FDS_MAX);
    snprintf(pid, sizeof pid, "%ld", old);

    until("select pg_terminate_backend($1::int)::int", pid, 1);
    while (open_descriptors(FDS_MAX) == fds) /* libpq closes its own. */
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);

    assert_int_not_equal(number_of("select pg_backend_pid()"), old);
}

static void a_query_whose_connection_ends_is_not_repeated(void **state)
{
    pg_reply reply;

    (void) state;
    make_pool(NULL);

    assert_int_equal(
        aloop_await(pg_query(f.pool,
                             "select pg_terminate_backend(pg_backend_pid())", 0,
                             NULL, &reply)),
        PG_ELOST);

    assert_string_equal(PQresultErrorField(reply.result, PG_DIAG_SQLSTATE),
                        "57P01");
    PQclear(reply.result);
    assert_int_equal(number_of("select 5"), 5);
}

/* The server ends with the signal, and the script starts another one. */
static void a_restart_of_the_server_replaces_all_connections(void **state)
{
    enum { COUNT = 20 };
    static struct number numbers[COUNT];
    pid_t old = postmaster();
    pg_reply reply = {0};

    (void) state;
    make_pool(NULL);
    memset(numbers, 0, sizeof numbers);
    for (int i = 0; i < COUNT; i++)
        strcpy(numbers[i].text, "1");
    assert_int_equal(aloop_await(aloop_map(f.loop, ask_number, numbers, COUNT,
                                           sizeof numbers[0], COUNT)),
                     0);

    signal_server(SIGINT);
    while (postmaster() == old || postmaster() == 0)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(5))), 0);
    do { /* It starts up.  The limit of the test ends this. */
        PQclear(reply.result);
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(5))), 0);
    } while (aloop_await(pg_query(f.pool, "select 6", 0, NULL, &reply)) < 0);

    assert_string_equal(PQgetvalue(reply.result, 0, 0), "6");
    PQclear(reply.result);
    for (int i = 0; i < COUNT; i++)
        PQclear(numbers[i].reply.result);
    assert_true(pg_is_lost(f.pg));
}

/* Runs a script in a task of its own, on a connection of the pool. */
static ssize_t use(struct user *user, const char *script)
{
    *user = (struct user){.script = script};
    assert_int_equal(aloop_await(aloop_spawn(f.loop, user_run, user)), 0);
    PQclear(user->error);
    return user->status;
}

static void an_open_transaction_is_rolled_back_at_release(void **state)
{
    pg_pool_options options = {.connections_max = 1};
    struct user user;

    (void) state;
    make_pool(&options);

    assert_int_equal(use(&user, "create temp table t (i int)"), 0);
    assert_int_equal(use(&user, "begin; insert into t values (1)"), 0);
    assert_int_equal(number_of("select count(*) from t"), 0);

    assert_int_equal(use(&user, "begin; select 1 / 0"), PG_EQUERY);
    assert_int_equal(number_of("select count(*) from t"), 0);
}

static void a_reset_undoes_what_a_task_has_set(void **state)
{
    pg_pool_options options = {.connections_max = 1, .reset = PG_RESET};
    struct user user;

    (void) state;
    make_pool(&options);

    assert_int_equal(use(&user, "set statement_timeout = 12345"), 0);

    assert_int_equal(number_of("select setting from pg_settings"
                               " where name = 'statement_timeout'"),
                     0);
}

static void a_reset_that_fails_closes_the_connection(void **state)
{
    pg_pool_options options = {.connections_max = 1, .reset = "nonsense"};
    long pid;

    (void) state;
    make_pool(&options);
    pid = number_of("select pg_backend_pid()");

    assert_int_not_equal(number_of("select pg_backend_pid()"), pid);
}

static void a_new_connection_is_set_up(void **state)
{
    pg_pool_options options = {.setup = "set statement_timeout = 12345"};

    (void) state;
    make_pool(&options);

    assert_int_equal(number_of("select setting from pg_settings"
                               " where name = 'statement_timeout'"),
                     12345);
}

static void a_set_up_that_fails_is_an_error_with_words(void **state)
{
    pg_pool_options options = {.connections_max = 1, .setup = "nonsense"};
    pg_reply reply;

    (void) state;
    make_pool(&options);

    for (int i = 0; i < 2; i++) { /* The place in the pool is free again. */
        assert_int_equal(
            aloop_await(pg_query(f.pool, "select 1", 0, NULL, &reply)),
            PG_EQUERY);
        assert_non_null(strstr(pg_error(reply.result, PG_EQUERY), "nonsense"));
        PQclear(reply.result);
    }
}

static void a_connection_that_listens_is_not_used_again(void **state)
{
    pg_pool_options options = {.connections_max = 1};
    struct user user;
    long pid;

    (void) state;
    make_pool(&options);
    pid = number_of("select pg_backend_pid()");

    assert_int_equal(use(&user, "listen news"), 0);
    assert_int_equal(number_of("select pg_backend_pid()"), pid);
    ask("select 1 from pg_notify('news', 'x')", NULL);
    while (user.pg->notify == NULL)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);

    assert_int_not_equal(number_of("select pg_backend_pid()"), pid);
}

static void connections_that_are_not_used_are_closed(void **state)
{
    pg_pool_options options = {.idle_ns = ALOOP_MS(10)};
    char pid[16];

    (void) state;
    make_pool(&options);
    snprintf(pid, sizeof pid, "%ld", number_of("select pg_backend_pid()"));

    until("select count(*) from pg_stat_activity where pid = $1::int", pid, 0);

    assert_int_equal(number_of("select 5"), 5);
}

static void a_freed_pool_ends_those_who_wait(void **state)
{
    pg_pool_options options = {.connections_max = 1};
    struct user user = {0};
    pg_reply reply;
    aloop_future *task, *waiting;

    (void) state;
    make_pool(&options);
    task = hold(&user);
    waiting = pg_query(f.pool, "select 1", 0, NULL, &reply);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, 0)), 0);

    pg_pool_free(f.pool);

    assert_int_equal(aloop_await(waiting), PG_ECLOSED);
    assert_null(reply.result);
    end_use(&user, task); /* The last user frees it. */
    f.pool = NULL;
}

static void a_waiting_task_that_is_cancelled_takes_no_connection(void **state)
{
    pg_pool_options options = {.connections_max = 1};
    struct user user = {0};
    pg_reply reply, other;
    aloop_future *task, *first, *second;

    (void) state;
    make_pool(&options);
    task = hold(&user);
    first = pg_query(f.pool, "select 1", 0, NULL, &reply);
    second = pg_query(f.pool, "select 2", 0, NULL, &other);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, 0)), 0);

    aloop_cancel(first);
    assert_int_equal(aloop_await(first), ALOOP_EABORTED);
    end_use(&user, task);

    assert_int_equal(aloop_await(second), 1);
    PQclear(other.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ten_connections_answer_1000_queries),
        TEST(ten_connections_answer_1000_prepared_queries),
        TEST(a_connection_is_used_again),
        TEST(a_call_of_the_pool_can_be_binary),
        TEST(a_query_with_a_limit_frees_its_connection),
        TEST(a_task_waits_for_a_connection_until_the_maximum),
        TEST(a_limit_of_the_task_is_not_that_of_the_pool),
        TEST(a_connect_that_takes_too_long_counts_as_waiting),
        TEST(a_refused_connection_has_words),
        TEST(an_idle_connection_that_was_terminated_is_replaced),
        TEST(a_query_whose_connection_ends_is_not_repeated),
        TEST(a_restart_of_the_server_replaces_all_connections),
        TEST(an_open_transaction_is_rolled_back_at_release),
        TEST(a_reset_undoes_what_a_task_has_set),
        TEST(a_reset_that_fails_closes_the_connection),
        TEST(a_new_connection_is_set_up),
        TEST(a_set_up_that_fails_is_an_error_with_words),
        TEST(a_connection_that_listens_is_not_used_again),
        TEST(connections_that_are_not_used_are_closed),
        TEST(a_freed_pool_ends_those_who_wait),
        TEST(a_waiting_task_that_is_cancelled_takes_no_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
