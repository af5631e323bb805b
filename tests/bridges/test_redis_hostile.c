/* The bridge to Redis: a peer that is no Redis server, or a broken one.  The
 * test itself is the peer. */

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
#include "bridges/redis_command.h"
#include "bridges/redis_subscribe.h"
#include "support/child.h"
#include "support/patient.h"

enum { FDS_MAX = 200 };

static struct {
    aloop *loop;
    struct redis *redis;
    aloop_stream *peer;
    redisReply *reply;
    int fds;
} f;

static int set_up(void **state)
{
    aloop_stream *stream;

    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(NULL);
    if (aloop_stream_pair(f.loop, &stream, &f.peer) < 0)
        return -1;
    f.redis = redis_start(f.loop, stream);
    return f.redis == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void) state;
    freeReplyObject(f.reply);
    redis_close(f.redis);
    aloop_stream_abort(f.peer);
    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static aloop_future *begin(void)
{
    return redis_command(f.redis, &f.reply, "PING");
}

static void answer(const void *data, size_t size)
{
    assert_true(aloop_stream_put(f.peer, data, size) >= 0);
}

static void answer_text(const char *text)
{
    answer(text, strlen(text));
}

/* Sends `count` times the same. */
static void answer_repeated(const char *text, size_t count)
{
    size_t length = strlen(text);
    char *all = malloc(count * length);

    assert_non_null(all);
    for (size_t i = 0; i < count; i++)
        memcpy(all + i * length, text, length);
    answer(all, count * length);
    free(all);
}

/* Lets everything happen that can happen now. */
static void settle(void)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(aloop_await(aloop_sleep(f.loop, 0)), 0);
}

/* Expects that the last answer has ended the connection. */
static void assert_lost(aloop_future *command, const char *words)
{
    ssize_t status = aloop_await(command);

    assert_int_equal(status, REDIS_ELOST);
    assert_null(f.reply);
    assert_true(redis_is_lost(f.redis));
    assert_string_equal(redis_error(f.redis, f.reply, status), words);
    assert_int_equal(aloop_await(begin()), REDIS_ELOST);
}

/* Replies that are right, in a wrong way. */

static void a_reply_may_arrive_byte_by_byte(void **state)
{
    static const char text[] = "*3\r\n$3\r\na\r\n\r\n:-7\r\n*1\r\n$-1\r\n";
    aloop_future *command = begin();

    (void) state;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_false(aloop_future_is_settled(command));
        answer(&text[i], 1);
        settle();
    }

    assert_int_equal(aloop_await(command), 3);
    assert_memory_equal(f.reply->element[0]->str, "a\r\n", 4);
    assert_int_equal(f.reply->element[1]->integer, -7);
    assert_int_equal(f.reply->element[2]->element[0]->type, REDIS_REPLY_NIL);
}

static void two_replies_may_arrive_together(void **state)
{
    aloop_future *first = redis_command(f.redis, NULL, "PING");
    aloop_future *second = begin();

    (void) state;
    answer_text("+PONG\r\n:5\r\n");

    assert_int_equal(aloop_await(first), 4);
    assert_int_equal(aloop_await(second), 5);
}

static void a_null_array_is_nil(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_text("*-1\r\n");

    assert_int_equal(aloop_await(command), 0);
    assert_int_equal(f.reply->type, REDIS_REPLY_NIL);
}

static void the_largest_integer_is_a_status(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_text(":9223372036854775807\r\n");

    assert_int_equal(aloop_await(command), PTRDIFF_MAX);
    assert_true(f.reply->integer == INT64_MAX);
}

/* Replies that are wrong. */

static void wrong_bytes_end_the_connection(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n",
         "Protocol error, got \"H\" as reply type byte"},
        {"\n", "Protocol error, got \"\\n\" as reply type byte"},
        {":12x\r\n", "Bad integer value"},
        {":99999999999999999999\r\n", "Bad integer value"},
        {"$x\r\n", "Bad bulk string length"},
        {"$-2\r\n", "Bulk string length out of range"},
        {"*x\r\n", "Bad multi-bulk length"},
        {"*-2\r\n", "Multi-bulk length out of range"},
        {"*1\r\n*2\r\n!\r\n", "Protocol error, got \"!\" as reply type byte"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        aloop_future *command = begin();

        answer_text(cases[i].text);
        assert_lost(command, cases[i].words);
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

static void endless_nesting_ends_the_connection(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_repeated("*1\r\n", 100000);

    assert_int_equal(aloop_await(command), REDIS_ELOST);
    assert_non_null(strstr(redis_error(f.redis, NULL, REDIS_ELOST), "nest"));
}

static void a_huge_array_is_too_long(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_text("*2147483647\r\n");

    assert_lost(command, "the reply is too long");
}

/* Each of them alone would be allowed. */
static void many_large_arrays_are_too_long(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_repeated("*400000\r\n", 3);

    assert_lost(command, "the reply is too long");
}

static void an_array_of_the_largest_size_is_received(void **state)
{
    aloop_future *command = begin();

    (void) state;
    f.redis->reply_elements_max = 50000;
    answer_text("*50000\r\n");
    answer_repeated(":1\r\n", 50000);

    assert_int_equal(aloop_await(command), 50000);

    freeReplyObject(f.reply);
    command = begin();
    answer_text("*50001\r\n");
    assert_lost(command, "the reply is too long");
}

/* Nothing is allocated for a length, only for bytes that have arrived. */
static void a_huge_string_is_too_long_when_it_arrives(void **state)
{
    aloop_future *command = begin();

    (void) state;
    f.redis->reply_size_max = 100000;
    answer_text("$9223372036854775807\r\n");
    answer_repeated("x", 50000);
    settle();
    assert_false(aloop_future_is_settled(command));

    answer_repeated("x", 50000);

    assert_lost(command, "the reply is too long");
}

static void an_endless_line_is_too_long(void **state)
{
    aloop_future *command = begin();

    (void) state;
    f.redis->reply_size_max = 100000;
    answer_text("+");
    answer_repeated("x", 100000);

    assert_lost(command, "the reply is too long");
}

/* The limit is one of each reply. */
static void many_replies_may_be_longer_than_the_limit(void **state)
{
    aloop_future *command = NULL;

    (void) state;
    f.redis->reply_size_max = 10000;
    for (int i = 0; i < 100; i++) {
        aloop_future_unref(command);
        command = redis_command(f.redis, NULL, "PING");
        answer_text("$9000\r\n");
        answer_repeated("x", 9000);
        answer_text("\r\n");
    }

    assert_int_equal(aloop_await(command), 9000);
}

static void a_reply_without_a_command_ends_the_connection(void **state)
{
    (void) state;
    answer_text("+PONG\r\n");
    settle();

    assert_true(redis_is_lost(f.redis));
    assert_lost(begin(), "there was a reply without a command");
}

static void an_error_without_a_command_is_the_reason(void **state)
{
    (void) state;
    answer_text("-ERR max number of clients reached\r\n");
    settle();

    assert_lost(begin(), "ERR max number of clients reached");
}

/* Its text is cut. */
static void a_long_error_without_a_command_is_the_reason(void **state)
{
    (void) state;
    answer_text("-ERR ");
    answer_repeated("x", 10000);
    answer_text("\r\n");
    settle();

    assert_true(redis_is_lost(f.redis));
    assert_int_equal(strlen(redis_error(f.redis, NULL, REDIS_ELOST)),
                     sizeof f.redis->words - 1);
}

static void the_end_in_a_reply_ends_the_connection(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_text("*2\r\n$3\r\nabc\r\n$5\r\nab");
    aloop_stream_close(f.peer);
    f.peer = NULL;

    assert_lost(command, "the server has closed the connection");
}

static void replies_before_the_end_are_received(void **state)
{
    aloop_future *first = begin(), *second;

    (void) state;
    second = redis_command(f.redis, NULL, "PING");
    answer_text("+last\r\n");
    aloop_stream_close(f.peer);
    f.peer = NULL;

    assert_int_equal(aloop_await(first), 4);
    assert_string_equal(f.reply->str, "last");
    assert_int_equal(aloop_await(second), REDIS_ELOST);
}

static void a_close_in_the_middle_of_a_reply_leaves_nothing(void **state)
{
    aloop_future *command = begin();

    (void) state;
    answer_text("*3\r\n*2\r\n$3\r\nabc\r\n");
    settle();

    redis_close(f.redis);
    f.redis = NULL;

    assert_int_equal(aloop_await(command), REDIS_ECLOSED);
    assert_null(f.reply);
}

/* Messages that no server sends. */

static struct redis_subscriber *subscribed(void)
{
    struct redis_subscriber *subscriber = redis_subscriber_new(f.redis, 1);
    aloop_future *subscribe;

    assert_non_null(subscriber);
    subscribe = redis_subscribe(subscriber, "news");
    answer_text("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    assert_int_equal(aloop_await(subscribe), 3);
    return subscriber;
}

static void malformed_messages_end_the_connection(void **state)
{
    static const char *const cases[] = {
        "*1\r\n$7\r\nmessage\r\n",
        "*0\r\n",
        "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n:5\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n",
        "*4\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
        "*3\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*3\r\n$6\r\nmassge\r\n$1\r\na\r\n$1\r\nb\r\n",
        "+message\r\n",
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct redis_subscriber *subscriber = subscribed();
        redisReply *message;

        answer_text(cases[i]);
        assert_int_equal(aloop_await(redis_message(subscriber, &message)),
                         ALOOP_ECLOSED);
        assert_string_equal(redis_error(f.redis, NULL, REDIS_ELOST),
                            "there was a reply without a command");
        redis_subscriber_free(subscriber);
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

/* They arrive in one piece, of which only two are kept. */
static void messages_wait_until_there_is_room(void **state)
{
    struct redis_subscriber *subscriber = subscribed();
    redisReply *message;

    (void) state;
    for (int i = 0; i < 1000; i++)
        answer_text("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    settle();

    for (int i = 0; i < 1000; i++) {
        assert_true(aloop_channel_count(subscriber->messages) <= 1);
        assert_int_equal(aloop_await(redis_message(subscriber, &message)), 0);
        assert_string_equal(redis_message_text(message)->str, "hi");
        freeReplyObject(message);
    }
    aloop_stream_close(f.peer);
    f.peer = NULL;
    assert_int_equal(aloop_await(redis_message(subscriber, &message)),
                     ALOOP_ECLOSED);
    redis_subscriber_free(subscriber);
}

static void a_busy_connection_becomes_no_subscriber(void **state)
{
    aloop_future *command = begin();

    (void) state;
    assert_null(redis_subscriber_new(f.redis, 10));

    answer_text("+PONG\r\n");
    assert_int_equal(aloop_await(command), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_may_arrive_byte_by_byte),
        TEST(two_replies_may_arrive_together),
        TEST(a_null_array_is_nil),
        TEST(the_largest_integer_is_a_status),
        TEST(wrong_bytes_end_the_connection),
        TEST(endless_nesting_ends_the_connection),
        TEST(a_huge_array_is_too_long),
        TEST(many_large_arrays_are_too_long),
        TEST(an_array_of_the_largest_size_is_received),
        TEST(a_huge_string_is_too_long_when_it_arrives),
        TEST(an_endless_line_is_too_long),
        TEST(many_replies_may_be_longer_than_the_limit),
        TEST(a_reply_without_a_command_ends_the_connection),
        TEST(an_error_without_a_command_is_the_reason),
        TEST(a_long_error_without_a_command_is_the_reason),
        TEST(the_end_in_a_reply_ends_the_connection),
        TEST(replies_before_the_end_are_received),
        TEST(a_close_in_the_middle_of_a_reply_leaves_nothing),
        TEST(malformed_messages_end_the_connection),
        TEST(messages_wait_until_there_is_room),
        TEST(a_busy_connection_becomes_no_subscriber),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
