/* The queue of jobs on Redis, and its workers, with a server in the same loop
 * that answers each command with what the test sets. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "bridges/redis_take.h"
#include "bridges/redis_worker.h"
#include "support/child.h"
#include "support/patient.h"

enum { FDS_MAX = 200, PEERS_MAX = 64 };

#define JOB \
    "*2\r\n$3\r\n1-0\r\n*4\r\n$4\r\ntype\r\n$4\r\nwait\r\n" \
    "$8\r\nargument\r\n$1\r\nx\r\n"
#define ONE_JOB "*1\r\n*2\r\n$4\r\njobs\r\n*1\r\n" JOB

/* What the server answers to a command that contains the text; the first that
 * matches counts.  NULL: nothing; "": it closes the connection. */
struct rule {
    const char *command, *answer;
};

static const struct rule defaults[] = {
    {"XGROUP", "+OK\r\n"},
    {"UNBLOCK", ":1\r\n"},
    {"CLIENT", ":7\r\n"},
    {"XAUTOCLAIM", "*2\r\n$3\r\n0-0\r\n*0\r\n"},
    {"XPENDING", ":1\r\n"},
    {"XREADGROUP", ONE_JOB},
    {"EVAL", ":1\r\n"},
    {"AUTH", "+OK\r\n"},
    {NULL, NULL}};

static struct {
    aloop *loop;
    aloop_listener *listener;
    aloop_stream *peers[PEERS_MAX];
    size_t peer_count;
    int fds; /* Open descriptors before the test. */
    char port[8];
    struct redis_queue queue;
    struct redis_job job;

    struct rule rule;   /* Of the test, before the others. */
    bool has_claim;     /* XAUTOCLAIM gives a job. */
    unsigned commands;  /* That have arrived. */
    unsigned silent_at; /* From this one on it does not answer; 0: never. */
    unsigned events, jobs_lost, connections_lost, begun, ended;
    ssize_t status; /* Of the last event. */
    char words[64];
    bool has_failed_job;   /* A job was moved to the failed ones. */
    bool has_removed_idle; /* The worker looked for killed ones. */
    bool is_stubborn;      /* A job ends well when it is cancelled. */
} f;

/* The server. */

static const char *answer_to(const char *command)
{
    const struct rule *rule = defaults;

    if (f.silent_at != 0 && f.commands >= f.silent_at)
        return NULL;
    if (f.rule.command != NULL && strstr(command, f.rule.command) != NULL)
        return f.rule.answer;
    if (f.has_claim && strstr(command, "XAUTOCLAIM") != NULL)
        return "*2\r\n$3\r\n0-0\r\n*1\r\n" JOB;
    while (rule->command != NULL && strstr(command, rule->command) == NULL)
        rule++;
    return rule->answer;
}

static void peer_data(aloop_stream *stream, const void *data, ssize_t size,
                      void *arg)
{
    aloop_stream **peer = arg;
    const char *answer = "";
    char command[4096];

    if (size > 0) { /* One command, because each waits for its reply. */
        snprintf(command, sizeof command, "%.*s", (int) size,
                 (const char *) data);
        f.commands++;
        f.has_failed_job |= strstr(command, "jobs:failed") != NULL;
        f.has_removed_idle |= strstr(command, "'CONSUMERS'") != NULL;
        answer = answer_to(command);
    }
    if (answer == NULL)
        return;
    if (answer[0] != '\0') {
        (void) aloop_stream_put(stream, answer, strlen(answer));
        return;
    }
    aloop_stream_close(stream);
    *peer = NULL;
}

static void peer_accepted(aloop_listener *listener, aloop_stream *stream,
                          void *arg)
{
    (void) listener;
    (void) arg;
    if (stream == NULL || f.peer_count == PEERS_MAX) {
        aloop_stream_abort(stream);
        return;
    }
    f.peers[f.peer_count] = stream;
    assert_int_equal(
        aloop_stream_start(stream, peer_data, &f.peers[f.peer_count]), 0);
    aloop_stream_unref(stream);
    f.peer_count++;
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    if (aloop_tcp_listen(f.loop, "127.0.0.1", "0", peer_accepted, NULL,
                         &f.listener) < 0)
        return -1;
    snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(f.listener));
    f.queue = (struct redis_queue){.host = "127.0.0.1",
                                   .port = f.port,
                                   .key = "jobs",
                                   .worker = "me",
                                   .claim_ns = ALOOP_SEC(1000)};
    return 0;
}

static void free_loop(void)
{
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    f.loop = NULL;
}

static int tear_down(void **state)
{
    (void) state;
    redis_queue_close(&f.queue);
    if (f.loop != NULL)
        free_loop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void open_queue(void)
{
    assert_int_equal(redis_queue_open(f.loop, &f.queue, true), 7);
}

static void assert_words(const char *reason)
{
    char words[128];

    snprintf(words, sizeof words, "127.0.0.1:%s: %s", f.port, reason);
    assert_string_equal(f.queue.words, words);
}

static ssize_t take(void)
{
    return redis_queue_take(&f.queue, ALOOP_MS(1), &f.job);
}

/* Wrong replies. */

static const char *const no_jobs[] = {
    "+OK\r\n",
    ":5\r\n",
    "*0\r\n",
    "*-1\r\n",
    "$-1\r\n",
    "*1\r\n:1\r\n",
    "*1\r\n*0\r\n",
    "*2\r\n:1\r\n:2\r\n",
    "*2\r\n$3\r\n0-0\r\n:2\r\n",
    "*1\r\n*1\r\n$4\r\njobs\r\n",
    "*1\r\n*2\r\n$4\r\njobs\r\n*0\r\n",
    "*1\r\n*2\r\n$4\r\njobs\r\n*1\r\n$-1\r\n",
    "*1\r\n*2\r\n:1\r\n*1\r\n*1\r\n:1\r\n",
    "*1\r\n*2\r\n:1\r\n*1\r\n*2\r\n:1\r\n:2\r\n",
    "*1\r\n*2\r\n:1\r\n*1\r\n*2\r\n+1-0\r\n*-1\r\n"};

static void replies_without_a_job_are_none(void **state)
{
    static const char *const commands[] = {"XREADGROUP", "XAUTOCLAIM"};
    ssize_t status;

    (void) state;
    open_queue();
    for (size_t i = 0; i < 2 * sizeof no_jobs / sizeof no_jobs[0]; i++) {
        f.rule = (struct rule){commands[i % 2], no_jobs[i / 2]};
        f.queue.claim_at_ns = 0;
        memset(&f.job, 0, sizeof f.job);

        status = take();
        if (status == 0) {
            assert_null(f.job.reply);
            continue;
        }
        assert_int_equal(status, 1);
        assert_int_equal(i % 2, 1); /* It was the one of XREADGROUP. */
        assert_string_equal(f.job.id, "1-0");
        freeReplyObject(f.job.reply);
    }
}

static void a_job_may_have_fields_that_are_no_text(void **state)
{
    static const char *const fields[] = {
        "*0\r\n", "*1\r\n$4\r\ntype\r\n", "*2\r\n:1\r\n:2\r\n",
        "*2\r\n$4\r\ntype\r\n*1\r\n:2\r\n", "*2\r\n$-1\r\n$4\r\ntype\r\n"};

    (void) state;
    open_queue();
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char answer[128];

        snprintf(answer, sizeof answer,
                 "*1\r\n*2\r\n:1\r\n*1\r\n*2\r\n$3\r\n1-0\r\n%s", fields[i]);
        f.rule = (struct rule){"XREADGROUP", answer};
        assert_int_equal(take(), 1);
        assert_string_equal(f.job.id, "1-0");
        assert_string_equal(f.job.type, "");
        assert_string_equal(f.job.argument, "");
        assert_int_equal(f.job.attempt, 1);
        freeReplyObject(f.job.reply);
    }
}

static void the_number_of_an_attempt_may_be_missing(void **state)
{
    static const char *const replies[] = {":5\r\n", "*0\r\n", "*1\r\n:1\r\n",
                                          "*1\r\n*3\r\n:1\r\n:2\r\n:3\r\n"};

    (void) state;
    open_queue();
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        f.rule = (struct rule){"XPENDING", replies[i]};
        f.has_claim = true;
        f.queue.claim_at_ns = 0;
        assert_int_equal(take(), 1);
        assert_int_equal(f.job.attempt, 1);
        freeReplyObject(f.job.reply);
    }
}

static void a_search_for_jobs_that_never_ends_is_bounded(void **state)
{
    (void) state;
    open_queue();
    f.rule = (struct rule){"XAUTOCLAIM", "*2\r\n$3\r\n5-0\r\n*0\r\n"};

    assert_int_equal(take(), 1); /* That of XREADGROUP. */

    assert_in_range(f.commands, 10, 2000);
    freeReplyObject(f.job.reply);
}

static void errors_of_the_server_have_words(void **state)
{
    static const char *const commands[] = {"XREADGROUP", "XAUTOCLAIM", "EVAL"};

    (void) state;
    open_queue();
    f.job = (struct redis_job){"1-0", "wait", "x", 1, NULL};
    for (size_t i = 0; i < 3; i++) {
        f.rule = (struct rule){commands[i], "-ERR no\r\n"};
        f.queue.claim_at_ns = 0;
        f.queue.words[0] = '\0';
        assert_int_equal(i < 2 ? take()
                               : redis_queue_end(&f.queue, &f.job, false, "y"),
                         REDIS_EREPLY);
        assert_words("ERR no");
    }
}

static void each_step_of_opening_may_be_refused(void **state)
{
    static const char *const commands[] = {"AUTH", "XGROUP", "CLIENT"};

    (void) state;
    f.queue.password = "secret";
    for (size_t i = 0; i < 6; i++) {
        f.rule =
            (struct rule){commands[i / 2], i % 2 == 0 ? "-ERR no\r\n" : ""};
        assert_int_equal(redis_queue_open(f.loop, &f.queue, true),
                         i % 2 == 0 ? REDIS_EREPLY : REDIS_ELOST);
        assert_words(i % 2 == 0 ? "ERR no"
                                : "the server has closed the connection");
        redis_queue_close(&f.queue);
    }
}

static void a_group_that_exists_is_no_error(void **state)
{
    (void) state;
    f.rule = (struct rule){"XGROUP", "-BUSYGROUP it exists\r\n"};

    open_queue();
}

static void a_server_may_die_between_a_take_and_the_end_of_the_job(void **state)
{
    (void) state;
    open_queue();
    assert_int_equal(take(), 1);
    f.rule = (struct rule){"EVAL", ""};

    assert_int_equal(redis_queue_end(&f.queue, &f.job, false, "y"),
                     REDIS_ELOST);

    assert_words("the server has closed the connection");
    freeReplyObject(f.job.reply);
}

/* Cancels, and the end of the loop.  A visit makes each kind of command. */

static ssize_t visit(aloop *loop, void *arg)
{
    static const char *const ids[] = {"1-0"};
    redisReply *reply = NULL;
    ssize_t status = redis_queue_open(loop, &f.queue, true);

    (void) arg;
    if (status >= 0)
        status = aloop_await(redis_queue_add(&f.queue, "wait", "x", &reply));
    freeReplyObject(reply);
    if (status >= 0)
        status = take();
    if (status > 0) {
        status = redis_queue_keep(&f.queue, 1, ids, 0, &reply);
        freeReplyObject(reply);
        if (status >= 0)
            status = redis_queue_end(&f.queue, &f.job, false, "y");
        freeReplyObject(f.job.reply);
    }
    if (status >= 0)
        status = redis_queue_stop(&f.queue);
    if (status >= 0)
        status = redis_queue_leave(&f.queue);
    redis_queue_close(&f.queue);
    return status;
}

/* Runs until as many commands have arrived. */
static void until_commands(unsigned count)
{
    while (f.commands < count)
        assert_true(aloop_step(f.loop, -1) >= 0);
}

enum { VISIT_COMMANDS = 8 };

static void a_visit_can_be_cancelled_at_each_step(void **state)
{
    (void) state;
    f.rule = (struct rule){"XADD", "$3\r\n1-0\r\n"};
    for (unsigned at = 1; at <= VISIT_COMMANDS; at++) {
        aloop_future *task;

        f.commands = 0;
        f.silent_at = at;
        task = aloop_spawn(f.loop, visit, NULL);
        until_commands(at);
        aloop_cancel(task);
        assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    }
    f.silent_at = 0;
    assert_true(aloop_await(aloop_spawn(f.loop, visit, NULL)) > 0);
}

static void the_loop_can_be_freed_at_each_step_of_a_visit(void **state)
{
    for (unsigned at = 1; at <= VISIT_COMMANDS; at++) {
        f.rule = (struct rule){"XADD", "$3\r\n1-0\r\n"};
        f.silent_at = at;
        aloop_detach(aloop_spawn(f.loop, visit, NULL));
        until_commands(at);
        free_loop();
        assert_int_equal(set_up(state), 0);
    }
}

/* Workers. */

static ssize_t wait_long(aloop *loop, const char *argument, char *result,
                         size_t size)
{
    ssize_t status;

    (void) argument;
    f.begun++;
    status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));
    snprintf(result, size, "done");
    f.ended++;
    return f.is_stubborn ? 0 : status;
}

static aloop_future *worker;

static void note_event(const struct redis_job *job, ssize_t status,
                       const char *words)
{
    assert_true(words[0] != '\0');
    f.status = status;
    snprintf(f.words, sizeof f.words, "%s", words);
    f.events++;
    f.jobs_lost += job != NULL;
    f.connections_lost += job == NULL;
    if (job == NULL)
        aloop_cancel(worker); /* It would try again after a second. */
}

static const struct redis_job_type types[] = {{"wait", wait_long},
                                              {NULL, NULL}};

static ssize_t work(aloop *loop, void *arg)
{
    struct redis_worker_options options = {.queue = f.queue,
                                           .types = types,
                                           .jobs_max = 1,
                                           .attempts_max = 3,
                                           .drain_ns = ALOOP_MS(2),
                                           .on_event = note_event};

    (void) arg;
    return redis_worker_run(loop, &options);
}

static void until_begun(void)
{
    worker = aloop_spawn(f.loop, work, NULL);
    while (f.begun == 0)
        assert_true(aloop_step(f.loop, -1) >= 0);
}

static void a_worker_that_is_cancelled_gives_its_job_back(void **state)
{
    (void) state;
    until_begun();

    aloop_cancel(worker);
    assert_int_equal(aloop_await(worker), ALOOP_EABORTED);

    assert_int_equal(f.ended, 1);
    assert_int_equal(f.jobs_lost, 1);
    assert_int_equal(f.connections_lost, 0);
}

static void the_jobs_of_a_worker_end_with_the_connection(void **state)
{
    (void) state;
    f.queue.claim_ns = ALOOP_MS(4);
    f.rule = (struct rule){"EVAL", ""};
    until_begun();

    assert_int_equal(aloop_await(worker), ALOOP_EABORTED);

    assert_int_equal(f.ended, 1);
    assert_int_equal(f.jobs_lost, 1);
    assert_int_equal(f.connections_lost, 1);
}

/* Another worker has taken it. */
static void a_result_of_a_job_that_was_lost_is_none(void **state)
{
    (void) state;
    f.queue.claim_ns = ALOOP_MS(4);
    f.rule = (struct rule){"EVAL", "*1\r\n$3\r\n1-0\r\n"};
    f.is_stubborn = true;
    until_begun();

    while (f.events == 0)
        assert_true(aloop_step(f.loop, -1) >= 0);

    assert_int_equal(f.jobs_lost, 1);
    assert_int_equal(f.status, ALOOP_EALREADY);
    aloop_cancel(worker);
    assert_int_equal(aloop_await(worker), ALOOP_EABORTED);
}

static void a_job_that_was_delivered_too_often_fails_without_a_run(void **state)
{
    (void) state;
    f.rule = (struct rule){"XPENDING\r\n$4\r\njobs",
                           "*1\r\n*4\r\n$3\r\n1-0\r\n$2\r\nme\r\n:5\r\n:4\r\n"};
    f.has_claim = true;
    worker = aloop_spawn(f.loop, work, NULL);

    while (f.events == 0)
        assert_true(aloop_step(f.loop, -1) >= 0);

    assert_int_equal(f.begun, 0);
    assert_int_equal(f.status, ALOOP_ECONNABORTED);
    assert_string_equal(f.words, "no worker has lived until it ended");
    assert_true(f.has_failed_job);
    aloop_cancel(worker);
    assert_int_equal(aloop_await(worker), ALOOP_EABORTED);
}

static void a_worker_looks_for_killed_ones(void **state)
{
    (void) state;
    f.queue.claim_ns = ALOOP_MS(4);
    f.rule = (struct rule){"EVAL", "*0\r\n"}; /* No job was lost. */
    until_begun();

    while (!f.has_removed_idle)
        assert_true(aloop_step(f.loop, -1) >= 0);

    assert_int_equal(f.events, 0);
    aloop_cancel(worker);
    assert_int_equal(aloop_await(worker), ALOOP_EABORTED);
}

/* The worker continues, or ends with the words of the server. */
static void a_worker_survives_any_reply_to_each_command(void **state)
{
    static const char *const commands[] = {
        "XGROUP",     "CLIENT",   "XAUTOCLAIM", "XPENDING",
        "XREADGROUP", "XPENDING", "EVAL",       "UNBLOCK"};
    static const char *const replies[] = {
        "",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-BUSY Redis is busy running a script\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-MOVED 3999 127.0.0.1:6381\r\n",
        "-NOGROUP No such key\r\n",
        "+OK\r\n",
        ":5\r\n",
        ":-5\r\n",
        "$-1\r\n",
        "$3\r\n1-0\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*2\r\n*1\r\n$-1\r\n*0\r\n"};
    enum { REPLIES = sizeof replies / sizeof replies[0] };

    for (size_t i = 0; i < REPLIES * sizeof commands / sizeof commands[0];
         i++) {
        f.rule = (struct rule){commands[i / REPLIES], replies[i % REPLIES]};
        f.has_claim = i / REPLIES < 4;
        worker = aloop_spawn(f.loop, work, NULL);
        for (int turns = 0; turns < 50 && f.begun == 0 && f.events == 0;
             turns++)
            assert_true(aloop_step(f.loop, ALOOP_MS(1)) >= 0);

        aloop_cancel(worker);
        (void) aloop_await(worker);

        assert_int_equal(f.begun, f.ended);
        free_loop();
        assert_int_equal(set_up(state), 0);
    }
}

static void wrong_options_of_a_worker_are_refused(void **state)
{
    struct redis_worker_options options = {.queue = f.queue,
                                           .types = types,
                                           .jobs_max = 1,
                                           .attempts_max = 3,
                                           .on_event = note_event};

    (void) state;
    worker = NULL;
    options.jobs_max = 0;
    assert_int_equal(redis_worker_run(f.loop, &options), ALOOP_EINVAL);
    options.jobs_max = REDIS_KEEP_MAX + 1;
    assert_int_equal(redis_worker_run(f.loop, &options), ALOOP_EINVAL);
    options.jobs_max = 1;
    options.queue.claim_ns = ALOOP_US(999);
    assert_int_equal(redis_worker_run(f.loop, &options), ALOOP_EINVAL);

    assert_int_equal(f.connections_lost, 3);
    assert_int_equal(f.commands, 0);
}

static void a_loop_with_a_worker_can_be_freed(void **state)
{
    (void) state;
    until_begun();
    aloop_detach(worker);

    free_loop();

    assert_int_equal(f.ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_without_a_job_are_none),
        TEST(a_job_may_have_fields_that_are_no_text),
        TEST(the_number_of_an_attempt_may_be_missing),
        TEST(a_search_for_jobs_that_never_ends_is_bounded),
        TEST(errors_of_the_server_have_words),
        TEST(each_step_of_opening_may_be_refused),
        TEST(a_group_that_exists_is_no_error),
        TEST(a_server_may_die_between_a_take_and_the_end_of_the_job),
        TEST(a_visit_can_be_cancelled_at_each_step),
        TEST(the_loop_can_be_freed_at_each_step_of_a_visit),
        TEST(a_worker_that_is_cancelled_gives_its_job_back),
        TEST(the_jobs_of_a_worker_end_with_the_connection),
        TEST(a_result_of_a_job_that_was_lost_is_none),
        TEST(a_job_that_was_delivered_too_often_fails_without_a_run),
        TEST(a_worker_looks_for_killed_ones),
        TEST(a_worker_survives_any_reply_to_each_command),
        TEST(wrong_options_of_a_worker_are_refused),
        TEST(a_loop_with_a_worker_can_be_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
