/* For the tests of the bridge to Redis: a loop, a connection that is tested and
 * one for questions about it.  The server is that of programs/redis.sh. */

#ifndef REDIS_FIXTURE_H
#define REDIS_FIXTURE_H

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
#include "bridges/redis_command.h"
#include "bridges/redis_connect.h"
#include "bridges/redis_subscribe.h"
#include "support/child.h"
#include "support/patient.h"

/* Descriptors are counted below this number. */
enum { FDS_MAX = 200 };

static struct {
    aloop *loop;
    struct redis *redis, *admin;
    redisReply *reply; /* That of the last command of `redis`. */
    int fds;           /* Open descriptors before the test. */
} f;

static inline const char *port(void)
{
    return getenv("REDIS_PORT");
}

static inline struct redis *connected(void)
{
    struct redis *redis;
    ssize_t status =
        aloop_await(redis_connect(f.loop, "127.0.0.1", port(), &redis));

    if (status < 0)
        fail_msg("%s", redis_error(NULL, NULL, status));
    return redis;
}

/* Runs a command on the connection that is tested. */
#define COMMAND(...) \
    (freeReplyObject(f.reply), \
     aloop_await(redis_command(f.redis, &f.reply, __VA_ARGS__)))

/* Runs a command on the other connection. */
#define ADMIN(...) aloop_await(redis_command(f.admin, NULL, __VA_ARGS__))

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    f.admin = connected();
    f.redis = connected();
    assert_true(ADMIN("FLUSHALL") >= 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void) state;
    freeReplyObject(f.reply);
    redis_close(f.redis);
    redis_close(f.admin);
    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Expects the connection to be as good as new. */
static inline void assert_usable(void)
{
    assert_int_equal(COMMAND("ECHO %s", "usable"), 6);
    assert_string_equal(f.reply->str, "usable");
}

static inline void turn(void)
{
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
}

/* Lets the loop run until the server has as many blocked clients.  The limit of
 * the whole test ends this if it never has. */
static inline void until_blocked(int count)
{
    char line[32];
    bool is_blocked;

    snprintf(line, sizeof line, "blocked_clients:%d\r", count);
    do {
        redisReply *info = NULL;

        turn();
        assert_true(aloop_await(redis_command(f.admin, &info, "INFO clients")) >
                    0);
        is_blocked = info != NULL && strstr(info->str, line) != NULL;
        freeReplyObject(info);
    } while (!is_blocked);
}

static inline pid_t server_pid(void)
{
    FILE *file = fopen(getenv("REDIS_PIDFILE"), "r");
    int pid = 0;

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
    pid_t pid = server_pid();

    assert_true(pid > 1);
    assert_int_equal(kill(pid, signal), 0);
}

#endif
