/* The bridge to Redis: messages of channels, against a real server. */

#define _POSIX_C_SOURCE 200809L

#include "redis_fixture.h"

static struct redis_subscriber *subscriber;
static redisReply *message;

static int set_up_subscriber(void **state)
{
    set_up(state);
    message = NULL;
    subscriber = redis_subscriber_new(f.redis, 100);
    assert_non_null(subscriber);
    assert_true(aloop_await(redis_subscribe(subscriber, "news")) >= 0);
    return 0;
}

static int tear_down_subscriber(void **state)
{
    freeReplyObject(message);
    redis_subscriber_free(subscriber);
    return tear_down(state);
}

#undef TEST
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_subscriber, \
                                    tear_down_subscriber)

static ssize_t receive(void)
{
    freeReplyObject(message);
    return aloop_await(redis_message(subscriber, &message));
}

static void assert_received(const char *channel, const char *text)
{
    assert_int_equal(receive(), 0);
    assert_string_equal(redis_message_channel(message)->str, channel);
    assert_string_equal(redis_message_text(message)->str, text);
}

static void a_message_wakes_the_task_that_waits(void **state)
{
    aloop_future *wait = redis_message(subscriber, &message);

    (void) state;
    assert_int_equal(ADMIN("PUBLISH news first"), 1);

    assert_int_equal(aloop_await(wait), 0);
    assert_string_equal(redis_message_text(message)->str, "first");
}

static void messages_are_kept_in_order(void **state)
{
    (void) state;
    ADMIN("PUBLISH news 1");
    ADMIN("PUBLISH news 2");

    assert_received("news", "1");
    assert_received("news", "2");
}

static void a_pattern_names_the_channel(void **state)
{
    (void) state;
    assert_true(
        aloop_await(redis_subscribe_with(subscriber, "sport.*", true)) >= 0);

    assert_int_equal(ADMIN("PUBLISH sport.ski text"), 1);

    assert_received("sport.ski", "text");
}

static void an_unsubscribed_channel_sends_nothing(void **state)
{
    (void) state;
    assert_true(aloop_await(redis_subscribe(subscriber, "other")) >= 0);

    assert_true(aloop_await(redis_unsubscribe(subscriber, "news")) >= 0);

    assert_int_equal(ADMIN("PUBLISH news text"), 0);
    assert_int_equal(ADMIN("PUBLISH other text"), 1);
    assert_received("other", "text");
}

static void subscriptions_and_messages_may_mix(void **state)
{
    enum { COUNT = 200 };
    aloop_future *futures[COUNT];
    char name[16];

    (void) state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "c%d", i);
        futures[i] = redis_subscribe(subscriber, name);
        if (i % 4 == 0)
            assert_int_equal(ADMIN("PUBLISH news %d", i), 1);
    }

    assert_true(aloop_await(aloop_gather_array(f.loop, COUNT, futures)) >= 0);

    for (int i = 0; i < COUNT; i += 4) {
        snprintf(name, sizeof name, "%d", i);
        assert_received("news", name);
    }
}

static void a_subscriber_can_ping(void **state)
{
    (void) state;

    assert_int_equal(COMMAND("PING"), 2);

    assert_string_equal(f.reply->element[0]->str, "pong");
    assert_int_equal(COMMAND("GET key"), REDIS_EREPLY);
}

static void a_cancelled_wait_loses_no_message(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_timeout(
                         redis_message(subscriber, &message), ALOOP_MS(10))),
                     ALOOP_ETIMEDOUT);
    assert_null(message);

    ADMIN("PUBLISH news later");

    assert_received("news", "later");
}

/* Far more than are kept, and than the buffers of the system take. */
static void a_slow_subscriber_loses_no_message(void **state)
{
    enum { COUNT = 3000, SIZE = 2000 };
    aloop_future *futures[COUNT];
    char text[SIZE];

    (void) state;
    memset(text, 'x', SIZE);
    for (int i = 0; i < COUNT; i++) {
        memcpy(text, &i, sizeof i);
        futures[i] = redis_command(f.admin, NULL, "PUBLISH news %b", text,
                                   (size_t) SIZE);
    }
    assert_true(aloop_await(aloop_gather_array(f.loop, COUNT, futures)) >= 0);

    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(receive(), 0);
        assert_memory_equal(redis_message_text(message)->str, &i, sizeof i);
        assert_true(aloop_channel_count(subscriber->messages) <= 100);
    }
}

static void the_end_of_the_connection_comes_after_the_messages(void **state)
{
    (void) state;
    ADMIN("PUBLISH news last");
    assert_int_equal(ADMIN("CLIENT KILL TYPE pubsub"), 1);
    while (!redis_is_lost(f.redis)) /* The limit of the test ends it. */
        turn();

    assert_received("news", "last");
    assert_int_equal(receive(), ALOOP_ECLOSED);
    assert_string_equal(redis_error(f.redis, NULL, REDIS_ELOST),
                        "the server has closed the connection");
    assert_int_equal(aloop_await(redis_subscribe(subscriber, "other")),
                     REDIS_ELOST);
}

static void a_subscriber_is_freed_with_messages_that_wait(void **state)
{
    (void) state;
    for (int i = 0; i < 300; i++)
        ADMIN("PUBLISH news text");
    turn();

    redis_subscriber_free(subscriber);
    redis_close(f.redis);

    subscriber = NULL;
    f.redis = NULL;
}

static void a_wait_ends_with_the_subscriber(void **state)
{
    aloop_future *wait = redis_message(subscriber, &message);

    (void) state;
    redis_subscriber_free(subscriber);
    subscriber = NULL;

    assert_int_equal(aloop_await(wait), ALOOP_ECLOSED);
}

/* They come between the command and its reply. */
static void messages_arrive_while_a_channel_is_left(void **state)
{
    aloop_future *leave;

    (void) state;
    ADMIN("PUBLISH news 1");
    leave = redis_unsubscribe(subscriber, "news");
    ADMIN("PUBLISH news 2");

    assert_true(aloop_await(leave) >= 0);

    assert_received("news", "1");
    assert_int_equal(ADMIN("PUBLISH news 3"), 0);
    redis_subscriber_free(subscriber);
    subscriber = NULL;
    assert_usable();
}

static void missing_arguments_are_errors(void **state)
{
    redisReply *none = (redisReply *) 1;

    (void) state;
    assert_null(redis_subscriber_new(NULL, 1));
    assert_int_equal(aloop_await(redis_subscribe(NULL, "news")), ALOOP_ENOMEM);
    assert_int_equal(aloop_await(redis_unsubscribe(NULL, "news")),
                     ALOOP_ENOMEM);
    assert_int_equal(aloop_await(redis_subscribe(subscriber, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(redis_message(NULL, &none)), ALOOP_ENOMEM);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_wakes_the_task_that_waits),
        TEST(messages_are_kept_in_order),
        TEST(a_pattern_names_the_channel),
        TEST(an_unsubscribed_channel_sends_nothing),
        TEST(subscriptions_and_messages_may_mix),
        TEST(a_subscriber_can_ping),
        TEST(a_cancelled_wait_loses_no_message),
        TEST(a_slow_subscriber_loses_no_message),
        TEST(the_end_of_the_connection_comes_after_the_messages),
        TEST(a_subscriber_is_freed_with_messages_that_wait),
        TEST(a_wait_ends_with_the_subscriber),
        TEST(messages_arrive_while_a_channel_is_left),
        TEST(missing_arguments_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
