/* The bridge to Redis: connections, commands, pipelines, cancels and channels,
 * against a real server. */

#define _POSIX_C_SOURCE 200809L

#include "redis_fixture.h"

/* Connecting. */

static ssize_t try_connect(const char *host, const char *service)
{
    redis_close(f.redis);
    return aloop_await(redis_connect(f.loop, host, service, &f.redis));
}

static void a_refused_connection_has_words(void **state)
{
    ssize_t status;

    (void) state;

    status = try_connect("127.0.0.1", "1");

    assert_int_equal(status, ALOOP_ECONNREFUSED);
    assert_null(f.redis);
    assert_string_equal(redis_error(f.redis, NULL, status),
                        "connection refused");
}

static void connects_by_name(void **state)
{
    (void) state;

    assert_int_equal(try_connect("localhost", port()), 0);

    assert_usable();
}

static void a_cancelled_connect_leaves_no_connection(void **state)
{
    aloop_future *connect;

    (void) state;
    redis_close(f.redis);
    connect = redis_connect(f.loop, "127.0.0.1", port(), &f.redis);

    aloop_cancel(connect);

    assert_int_equal(aloop_await(connect), ALOOP_EABORTED);
    assert_null(f.redis);
}

/* Cancels after each number of turns, until the connect is faster. */
static void a_connect_can_be_cancelled_at_each_step(void **state)
{
    ssize_t status = -1;

    (void) state;
    for (int turns = 0; status < 0; turns++) {
        aloop_future *connect;

        redis_close(f.redis);
        connect = redis_connect(f.loop, "127.0.0.1", port(), &f.redis);
        for (int i = 0; i < turns; i++)
            aloop_step(f.loop, ALOOP_MS(1));
        aloop_cancel(connect);
        status = aloop_await(connect);
        assert_true(status == 0 || status == ALOOP_EABORTED);
        assert_int_equal(f.redis != NULL, status == 0);
    }

    assert_usable();
}

static void a_dropped_connect_leaves_no_connection(void **state)
{
    (void) state;
    redis_close(f.redis);

    aloop_future_unref(redis_connect(f.loop, "127.0.0.1", port(), &f.redis));
    turn();

    assert_null(f.redis);
}

static void a_connection_of_a_unix_socket_works_too(void **state)
{
    aloop_stream *stream;

    (void) state;
    assert_int_equal(aloop_await(aloop_unix_connect(
                         f.loop, getenv("REDIS_SOCKET"), &stream)),
                     0);
    redis_close(f.redis);

    f.redis = redis_start(f.loop, stream);

    assert_usable();
}

/* Commands. */

static void a_command_has_a_reply(void **state)
{
    (void) state;

    assert_int_equal(COMMAND("SET %s %d", "key", 42), 2);
    assert_int_equal(f.reply->type, REDIS_REPLY_STATUS);
    assert_string_equal(f.reply->str, "OK");

    assert_int_equal(COMMAND("GET key"), 2);
    assert_string_equal(f.reply->str, "42");
}

static void a_status_is_a_number_or_a_size(void **state)
{
    (void) state;

    assert_int_equal(COMMAND("RPUSH list a bb ccc"), 3);
    assert_int_equal(COMMAND("LRANGE list 0 -1"), 3);
    assert_int_equal(COMMAND("LINDEX list 2"), 3);
    assert_int_equal(COMMAND("GET missing"), 0);
    assert_int_equal(f.reply->type, REDIS_REPLY_NIL);
    assert_int_equal(COMMAND("DECR number"), 0);
    assert_int_equal(f.reply->integer, -1);
}

static void a_reply_may_be_dropped(void **state)
{
    (void) state;

    assert_int_equal(ADMIN("INCRBY number 7"), 7);
}

static void arguments_can_have_any_bytes(void **state)
{
    const char *arguments[] = {"SET", "a\0 %s", "\r\n"};
    const size_t sizes[] = {3, 5, 2};

    (void) state;

    assert_int_equal(
        aloop_await(redis_command_argv(f.redis, NULL, 3, arguments, sizes)), 2);

    assert_int_equal(COMMAND("GET %b", "a\0 %s", (size_t) 5), 2);
    assert_memory_equal(f.reply->str, "\r\n", 3);
}

static void an_error_of_the_server_has_words(void **state)
{
    ssize_t status;

    (void) state;

    status = COMMAND("INCR %s %s", "too", "many");

    assert_int_equal(status, REDIS_EREPLY);
    assert_string_equal(redis_error(f.redis, f.reply, status),
                        "ERR wrong number of arguments for 'incr' command");
    assert_usable();
}

static void a_wrong_format_is_refused(void **state)
{
    (void) state;

    assert_int_equal(COMMAND("SET key %y", 1), ALOOP_EINVAL);

    assert_null(f.reply);
    assert_usable();
}

static void a_large_value_comes_back(void **state)
{
    enum { SIZE = 20 << 20 };
    char *text = malloc(SIZE);

    (void) state;
    assert_non_null(text);
    memset(text, 'x', SIZE);

    assert_int_equal(COMMAND("ECHO %b", text, (size_t) SIZE), SIZE);

    assert_memory_equal(f.reply->str, text, SIZE);
    free(text);
}

static void nested_replies_arrive(void **state)
{
    (void) state;

    assert_int_equal(COMMAND("EVAL %s 0", "return {1, {'a', {2}}}"), 2);

    assert_int_equal(f.reply->element[1]->element[1]->element[0]->integer, 2);
}

static void an_idle_connection_does_not_keep_the_loop_alive(void **state)
{
    (void) state;

    assert_int_equal(aloop_run(f.loop), 0);

    assert_usable();
}

/* Pipelines. */

static void a_hundred_thousand_commands_are_in_flight(void **state)
{
    enum { COUNT = 100000 };
    static aloop_future *futures[COUNT];
    static redisReply *replies[COUNT];

    (void) state;
    for (int i = 0; i < COUNT; i++)
        futures[i] = redis_command(f.redis, &replies[i], "INCR number");

    assert_true(aloop_await(aloop_gather_array(f.loop, COUNT, futures)) >= 0);

    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(replies[i]->integer, i + 1);
        freeReplyObject(replies[i]);
    }
}

static ssize_t reads_of(struct redis *admin)
{
    redisReply *info;
    const char *place;
    ssize_t count;

    assert_true(aloop_await(redis_command(admin, &info, "INFO stats")) > 0);
    place = strstr(info->str, "total_reads_processed:");
    assert_non_null(place);
    count = atol(strchr(place, ':') + 1);
    freeReplyObject(info);
    return count;
}

static void commands_of_one_turn_leave_together(void **state)
{
    aloop_future *futures[100];
    ssize_t before;

    (void) state;
    before = reads_of(f.admin);
    for (int i = 0; i < 100; i++)
        futures[i] = redis_command(f.redis, NULL, "PING");

    assert_true(aloop_await(aloop_gather_array(f.loop, 100, futures)) >= 0);

    assert_int_equal(reads_of(f.admin) - before, 2); /* With INFO itself. */
}

static void a_failed_command_does_not_disturb_the_others(void **state)
{
    aloop_future *futures[3];
    redisReply *last;
    ssize_t statuses[3];

    (void) state;
    futures[0] = redis_command(f.redis, NULL, "SET text x");
    futures[1] = redis_command(f.redis, NULL, "INCR text");
    futures[2] = redis_command(f.redis, &last, "GET text");

    aloop_await(aloop_gather_settled(f.loop, 3, futures, statuses));

    assert_int_equal(statuses[0], 2);
    assert_int_equal(statuses[1], REDIS_EREPLY);
    assert_int_equal(statuses[2], 1);
    freeReplyObject(last);
}

static ssize_t adder_run(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    for (int i = 0; i < 100; i++) {
        ssize_t status = aloop_await(redis_command(f.redis, NULL, "INCR sum"));

        if (status < 0)
            return status;
    }
    return 0;
}

static void tasks_share_a_connection(void **state)
{
    char adders[20];

    (void) state;

    assert_true(aloop_await(aloop_map(f.loop, adder_run, adders, 20, 1, 20)) >=
                0);

    assert_int_equal(COMMAND("GET sum"), 4);
    assert_string_equal(f.reply->str, "2000");
}

/* Cancels. */

static void a_cancelled_command_drops_its_late_reply(void **state)
{
    redisReply *reply;
    aloop_future *command;

    (void) state;
    command = redis_command(f.redis, &reply, "BLPOP list 0");
    until_blocked(1);

    aloop_cancel(command);

    assert_int_equal(aloop_await(command), ALOOP_EABORTED);
    assert_null(reply);
    assert_int_equal(ADMIN("RPUSH list x"), 1);
    assert_usable();
}

static void a_deadline_ends_the_wait_for_a_reply(void **state)
{
    redisReply *reply;

    (void) state;

    assert_int_equal(
        aloop_await(aloop_timeout(
            redis_command(f.redis, &reply, "BLPOP list 0"), ALOOP_MS(20))),
        ALOOP_ETIMEDOUT);

    assert_null(reply);
}

/* The commands behind it wait for the late reply. */
static void a_cancel_in_a_pipeline_keeps_the_order(void **state)
{
    aloop_future *futures[9];
    redisReply *replies[9];

    (void) state;
    for (int i = 0; i < 9; i++)
        futures[i] = redis_command(f.redis, &replies[i], "INCR number");
    for (int i = 0; i < 9; i += 2)
        aloop_cancel(futures[i]);

    for (int i = 0; i < 9; i++) {
        assert_int_equal(aloop_await(futures[i]),
                         i % 2 == 0 ? ALOOP_EABORTED : i + 1);
        freeReplyObject(replies[i]);
    }
}

static void a_dropped_command_is_executed_nevertheless(void **state)
{
    (void) state;

    aloop_future_unref(redis_command(f.redis, &f.reply, "INCR number"));

    assert_int_equal(COMMAND("INCR number"), 2);
}

static void a_gather_that_fails_cancels_the_rest(void **state)
{
    aloop_future *futures[2];
    redisReply *reply;

    (void) state;
    futures[0] = redis_command(f.redis, NULL, "NONSENSE");
    futures[1] = redis_command(f.redis, &reply, "BLPOP list 0");

    assert_int_equal(aloop_await(aloop_gather_array(f.loop, 2, futures)),
                     REDIS_EREPLY);

    assert_null(reply);
}

/* The end of a connection. */

static void a_killed_client_settles_all_commands(void **state)
{
    aloop_future *futures[3];
    ssize_t statuses[3];
    redisReply *replies[3];

    (void) state;
    assert_true(COMMAND("CLIENT ID") > 0);
    for (int i = 0; i < 3; i++)
        futures[i] = redis_command(f.redis, &replies[i], "BLPOP list 0");
    until_blocked(1);

    assert_int_equal(ADMIN("CLIENT KILL ID %lld", f.reply->integer), 1);
    aloop_await(aloop_gather_settled(f.loop, 3, futures, statuses));

    for (int i = 0; i < 3; i++) {
        assert_int_equal(statuses[i], REDIS_ELOST);
        assert_null(replies[i]);
    }
    assert_true(redis_is_lost(f.redis));
    assert_string_equal(redis_error(f.redis, NULL, REDIS_ELOST),
                        "the server has closed the connection");
    assert_int_equal(COMMAND("PING"), REDIS_ELOST);
}

static void a_close_settles_all_commands(void **state)
{
    aloop_future *command;

    (void) state;
    command = redis_command(f.redis, &f.reply, "BLPOP list 0");

    redis_close(f.redis);
    f.redis = NULL;

    assert_int_equal(aloop_await(command), REDIS_ECLOSED);
    assert_string_equal(redis_error(NULL, NULL, REDIS_ECLOSED),
                        "the connection was closed");
}

static void a_close_sends_what_was_put(void **state)
{
    aloop_future *command;

    (void) state;
    command = redis_command(f.redis, NULL, "SET key sent");

    redis_close(f.redis);
    f.redis = connected();
    assert_int_equal(aloop_await(command), REDIS_ECLOSED);
    while (COMMAND("GET key") == 0) /* The limit of the test ends it. */
        turn();

    assert_string_equal(f.reply->str, "sent");
}

static ssize_t blocked_run(aloop *loop, void *arg)
{
    struct redis *redis;
    redisReply *reply = NULL;
    ssize_t status =
        aloop_await(redis_connect(loop, "127.0.0.1", port(), &redis));

    if (status >= 0)
        status = aloop_await(redis_command(redis, &reply, "BLPOP list 0"));
    *(ssize_t *) arg = status;
    freeReplyObject(reply);
    redis_close(redis);
    return status;
}

static void a_loop_can_be_freed_in_the_middle(void **state)
{
    ssize_t statuses[3] = {0, 0, 0};

    (void) state;
    for (int i = 0; i < 2; i++)
        aloop_detach(aloop_spawn(f.loop, blocked_run, &statuses[i]));
    until_blocked(2);
    aloop_detach(aloop_spawn(f.loop, blocked_run, &statuses[2]));
    redis_close(f.redis);
    redis_close(f.admin);
    f.redis = f.admin = NULL;

    assert_int_equal(aloop_free(f.loop), 0);

    for (int i = 0; i < 3; i++)
        assert_int_equal(statuses[i], ALOOP_ECANCELED);
    f.loop = aloop_new(NULL);
}

static void a_killed_server_settles_all_commands(void **state)
{
    redisReply *reply;
    aloop_future *command;
    pid_t pid = server_pid();
    ssize_t status;

    (void) state;
    command = redis_command(f.redis, &reply, "BLPOP list 0");
    until_blocked(1);

    signal_server(SIGKILL);

    status = aloop_await(command);
    assert_int_equal(status, REDIS_ELOST);
    assert_null(reply);
    assert_true(strlen(redis_error(f.redis, NULL, status)) > 0);
    while (server_pid() == pid || try_connect("127.0.0.1", port()) < 0)
        turn();
    assert_usable();
}

static void a_stopped_server_does_not_block_the_loop(void **state)
{
    ssize_t status;

    (void) state;
    signal_server(SIGSTOP);

    status = aloop_await(
        aloop_timeout(redis_command(f.redis, NULL, "PING"), ALOOP_MS(50)));

    signal_server(SIGCONT);
    assert_int_equal(status, ALOOP_ETIMEDOUT);
    assert_usable();
}

static void missing_arguments_are_errors(void **state)
{
    const char *arguments[] = {"GET", NULL};
    redisReply *reply = (redisReply *) 1;

    (void) state;
    assert_int_equal(aloop_await(redis_command(NULL, &reply, "PING")),
                     ALOOP_ENOMEM);
    assert_null(reply);
    assert_int_equal(aloop_await(redis_command_argv(NULL, NULL, 0, NULL, NULL)),
                     ALOOP_ENOMEM);
    assert_int_equal(aloop_await(redis_command(f.redis, NULL, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(redis_command_argv(f.redis, NULL, 1, NULL, NULL)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(redis_command_argv(f.redis, NULL, 2, arguments, NULL)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(redis_connect(f.loop, "127.0.0.1", port(), NULL)),
        ALOOP_EINVAL);
    assert_usable();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_arguments_are_errors),
        TEST(a_refused_connection_has_words),
        TEST(connects_by_name),
        TEST(a_cancelled_connect_leaves_no_connection),
        TEST(a_connect_can_be_cancelled_at_each_step),
        TEST(a_dropped_connect_leaves_no_connection),
        TEST(a_connection_of_a_unix_socket_works_too),
        TEST(a_command_has_a_reply),
        TEST(a_status_is_a_number_or_a_size),
        TEST(a_reply_may_be_dropped),
        TEST(arguments_can_have_any_bytes),
        TEST(an_error_of_the_server_has_words),
        TEST(a_wrong_format_is_refused),
        TEST(a_large_value_comes_back),
        TEST(nested_replies_arrive),
        TEST(an_idle_connection_does_not_keep_the_loop_alive),
        TEST(a_hundred_thousand_commands_are_in_flight),
        TEST(commands_of_one_turn_leave_together),
        TEST(a_failed_command_does_not_disturb_the_others),
        TEST(tasks_share_a_connection),
        TEST(a_cancelled_command_drops_its_late_reply),
        TEST(a_deadline_ends_the_wait_for_a_reply),
        TEST(a_cancel_in_a_pipeline_keeps_the_order),
        TEST(a_dropped_command_is_executed_nevertheless),
        TEST(a_gather_that_fails_cancels_the_rest),
        TEST(a_killed_client_settles_all_commands),
        TEST(a_close_settles_all_commands),
        TEST(a_close_sends_what_was_put),
        TEST(a_loop_can_be_freed_in_the_middle),
        TEST(a_killed_server_settles_all_commands),
        TEST(a_stopped_server_does_not_block_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
