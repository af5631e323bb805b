/* The bridge to Redis while memory runs out: each allocation of the loop, of
 * the bridge and, where hiredis is linked statically, of hiredis fails once. */

#define _POSIX_C_SOURCE 200809L

#include "redis_fixture.h"

/* The linker redirects the calls of malloc() and the like to these (--wrap). */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);

static struct {
    unsigned calls;
    unsigned fails_at; /* The number of the request that fails; 0: none. */
} memory;

static bool is_refused(void)
{
    return ++memory.calls == memory.fails_at;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __real_realloc(old, size);
}

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    (void) old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return is_refused() ? NULL : __real_realloc(old, new_size);
}

static void ignore_unhandled(aloop *loop, int error, const char *what,
                             void *arg)
{
    (void) loop;
    (void) error;
    (void) what;
    (void) arg;
}

/* Continuations fail on request, when their future has settled. */
int __real_aloop_then(aloop_future *future, aloop_future_cb callback,
                      void *arg);
int __wrap_aloop_then(aloop_future *future, aloop_future_cb callback,
                      void *arg);
static bool is_then_refused;

int __wrap_aloop_then(aloop_future *future, aloop_future_cb callback, void *arg)
{
    if (!is_then_refused)
        return __real_aloop_then(future, callback, arg);
    while (!aloop_future_is_settled(future))
        assert_int_equal(aloop_await(aloop_sleep(f.loop, 0)), 0);
    aloop_future_unref(future);
    return ALOOP_ENOMEM;
}

/* The scenario. */

static bool is_expected(ssize_t status)
{
    return status >= 0 || status == ALOOP_ENOMEM || status == REDIS_ELOST ||
           status == ALOOP_ECLOSED;
}

static ssize_t command(const char *what, ssize_t wanted)
{
    redisReply *reply;
    ssize_t status = aloop_await(redis_command(f.redis, &reply, what));

    assert_true(is_expected(status));
    assert_true(status < 0 || status == wanted);
    assert_int_equal(reply != NULL, status >= 0);
    freeReplyObject(reply);
    return status;
}

static ssize_t pipeline(void)
{
    aloop_future *futures[20];
    ssize_t statuses[20], status = 0;
    redisReply *replies[20];

    for (int i = 0; i < 20; i++)
        futures[i] = redis_command(f.redis, &replies[i], "ECHO %d", i);
    for (int i = 0; i < 20; i++) {
        statuses[i] = aloop_await(futures[i]);
        assert_true(is_expected(statuses[i]));
        if (statuses[i] < 0)
            status = statuses[i];
        else
            assert_int_equal(atoi(replies[i]->str), i);
        freeReplyObject(replies[i]);
    }
    return status;
}

static ssize_t messages(void)
{
    struct redis_subscriber *subscriber = redis_subscriber_new(f.redis, 1);
    redisReply *message = NULL;
    ssize_t status = subscriber == NULL
                         ? ALOOP_ENOMEM
                         : aloop_await(redis_subscribe(subscriber, "news"));

    for (int i = 0; i < 3 && status >= 0; i++)
        status =
            aloop_await(redis_command(f.admin, NULL, "PUBLISH news text%d", i));
    for (int i = 0; i < 3 && status >= 0; i++) {
        status = aloop_await(redis_message(subscriber, &message));
        if (status >= 0)
            assert_int_equal(redis_message_text(message)->len, 5);
        freeReplyObject(message);
    }
    redis_subscriber_free(subscriber);
    return status;
}

static ssize_t run_all(void)
{
    ssize_t status =
        aloop_await(redis_connect(f.loop, "127.0.0.1", port(), &f.redis));

    if (status >= 0)
        status =
            aloop_await(redis_connect(f.loop, "127.0.0.1", port(), &f.admin));
    if (status >= 0)
        status = command("EVAL return{1,{'a',{'b'}},'ccc'} 0", 3);
    if (status >= 0)
        status = pipeline();
    if (status >= 0)
        status = messages();
    assert_true(is_expected(status));
    redis_close(f.redis);
    redis_close(f.admin);
    f.redis = f.admin = NULL;
    return status;
}

static void each_allocation_may_fail(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .on_unhandled = ignore_unhandled};
    int fds = open_descriptors(FDS_MAX);
    ssize_t status = ALOOP_ENOMEM;
    unsigned failed = 0;

    (void) state;
    for (unsigned at = 1; status < 0 || memory.calls >= at; at++) {
        memory.fails_at = 0;
        f.loop = aloop_new(&options);
        assert_non_null(f.loop);
        memory.calls = 0;
        memory.fails_at = at;
        status = run_all();
        memory.fails_at = 0;
        assert_int_equal(aloop_free(f.loop), 0);
        assert_int_equal(open_descriptors(FDS_MAX), fds);
        failed += status < 0;
    }

    assert_true(failed > 20);
}

static void a_connect_without_a_continuation_leaves_nothing(void **state)
{
    struct redis *redis;
    ssize_t status;
    int fds;

    (void) state;
    f.loop = aloop_new(NULL);
    assert_non_null(f.loop);
    turn();
    fds = open_descriptors(FDS_MAX); /* With those of the loop. */
    is_then_refused = true;

    status = aloop_await(redis_connect(f.loop, "127.0.0.1", port(), &redis));
    is_then_refused = false;

    assert_int_equal(status, ALOOP_ENOMEM);
    assert_null(redis);
    assert_int_equal(open_descriptors(FDS_MAX), fds);
    assert_int_equal(aloop_free(f.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_without_a_continuation_leaves_nothing),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
