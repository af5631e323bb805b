/* Look-ups on real threads.  The resolver of the system is replaced by a
 * function of this program, which answers when a test allows it to. */

#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "aloop.h"
#include "support/threads.h"

enum { ROUNDS = 200 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_silent;  /* Calls of getaddrinfo() do not return. */
    unsigned inside; /* Calls that have begun and not returned. */
    unsigned calls;
} r = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct answer {
    struct addrinfo info;
    struct sockaddr_in address;
};

/* Resolves every name to the address of this machine. */
int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **ret)
{
    struct answer *answer = calloc(1, sizeof *answer);

    (void) host;
    (void) hints;
    pthread_mutex_lock(&r.mutex);
    r.inside++;
    r.calls++;
    pthread_cond_broadcast(&r.changed);
    while (r.is_silent)
        pthread_cond_wait(&r.changed, &r.mutex);
    r.inside--;
    pthread_cond_broadcast(&r.changed);
    pthread_mutex_unlock(&r.mutex);
    if (answer == NULL)
        return EAI_MEMORY;
    answer->address.sin_family = AF_INET;
    answer->address.sin_port = htons((uint16_t) atoi(port));
    answer->address.sin_addr.s_addr = htonl(0x7f000001); /* 127.0.0.1 */
    answer->info.ai_family = AF_INET;
    answer->info.ai_addr = (struct sockaddr *) &answer->address;
    answer->info.ai_addrlen = sizeof answer->address;
    *ret = &answer->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    free(list); /* `list` is the first member of its answer. */
}

static void set_silent(bool is_silent)
{
    pthread_mutex_lock(&r.mutex);
    r.is_silent = is_silent;
    pthread_cond_broadcast(&r.changed);
    pthread_mutex_unlock(&r.mutex);
}

static void await_inside(unsigned inside)
{
    pthread_mutex_lock(&r.mutex);
    while (r.inside != inside)
        pthread_cond_wait(&r.changed, &r.mutex);
    pthread_mutex_unlock(&r.mutex);
}

static struct {
    aloop *loop;
    aloop_stream *stream;
    atomic_size_t bytes; /* Allocated by the loop. */
    atomic_uint resizes; /* Calls of its allocator. */
    int threads;         /* Threads of this process before the test. */
} f;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    atomic_fetch_add(&f.bytes, new_size - old_size);
    atomic_fetch_add(&f.resizes, 1);
    if (new_size > 0)
        return realloc(old, new_size);
    free(old);
    return NULL;
}

static int set_up(void **state)
{
    aloop_options options = {.size = sizeof options, .resize = resize};

    (void) state;
    memset(&f, 0, sizeof f);
    r.calls = 0;
    f.threads = count_threads();
    f.loop = aloop_new(&options);
    return f.loop == NULL;
}

/* Waits until threads that were left have ended.  Otherwise leak checkers would
 * report what these threads use. */
static int tear_down(void **state)
{
    (void) state;
    aloop_free(f.loop);
    assert_int_equal(f.bytes, 0);
    set_silent(false);
    await_inside(0);
    while (count_threads() > f.threads)
        sched_yield();
    return 0;
}

static aloop_future *look_up(aloop *loop)
{
    return aloop_tcp_connect(loop, "host.test", "1", &f.stream);
}

static void a_look_up_uses_the_answer(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(look_up(f.loop)), ALOOP_ECONNREFUSED);
    assert_int_equal(r.calls, 1);
}

static void freeing_the_loop_does_not_wait_for_the_resolver(void **state)
{
    unsigned resizes;

    (void) state;
    set_silent(true);
    for (int i = 0; i < 3; i++)
        aloop_detach(look_up(f.loop));
    aloop_step(f.loop, 0);
    await_inside(3);

    assert_int_equal(aloop_free(f.loop), 0);

    f.loop = NULL;
    assert_int_equal(f.bytes, 0);
    resizes = f.resizes;
    set_silent(false);
    await_inside(0);
    assert_int_equal(f.resizes, resizes);
}

static ssize_t leave_look_up(aloop *loop, void *arg)
{
    aloop_future *future = look_up(loop);

    (void) arg;
    return aloop_await(aloop_timeout(future, ALOOP_MS(1)));
}

static void a_program_does_not_wait_for_the_resolver(void **state)
{
    (void) state;
    set_silent(true);

    assert_int_equal(aloop_main(leave_look_up, NULL), ALOOP_ETIMEDOUT);
}

static void look_ups_that_were_left_let_others_run(void **state)
{
    enum { SILENT = 10 };

    (void) state;
    set_silent(true);
    for (unsigned i = 0; i < SILENT; i++) {
        aloop_future *future = look_up(f.loop);

        aloop_step(f.loop, 0);
        await_inside(i + 1);
        aloop_future_unref(future);
    }
    /* Abandoned look-ups do not keep the loop alive. */
    assert_int_equal(aloop_run(f.loop), 0);

    pthread_mutex_lock(&r.mutex);
    assert_int_equal(r.inside, SILENT);
    pthread_mutex_unlock(&r.mutex);
}

static ssize_t return_seven(void *arg)
{
    (void) arg;
    return 7;
}

/* Occupies all threads for look-ups, and leaves others waiting. */
static void hang_look_ups(void)
{
    set_silent(true);
    for (int i = 0; i < 8; i++)
        aloop_detach(look_up(f.loop));
    aloop_step(f.loop, 0);
    await_inside(4);
}

static void a_hung_look_up_delays_no_work(void **state)
{
    (void) state;
    hang_look_ups();

    assert_int_equal(aloop_await(aloop_work(f.loop, return_seven, NULL)), 7);

    await_inside(4);
}

/* None of these operations can be answered without a thread. */
static void a_hung_look_up_delays_no_file(void **state)
{
    aloop_file *file = NULL;
    aloop_stat stat;

    (void) state;
    hang_look_ups();

    assert_int_equal(aloop_await(aloop_fs_stat(f.loop, "/", &stat)), 0);
    assert_int_equal(stat.type, ALOOP_FILE_DIRECTORY);
    assert_int_equal(
        aloop_await(aloop_file_open(f.loop, "/dev/null", O_WRONLY, 0, &file)),
        0);
    assert_int_equal(aloop_await(aloop_file_write(file, "x", 1)), 1);
    aloop_file_close(file);

    await_inside(4);
}

static void *answer(void *arg)
{
    (void) arg;
    set_silent(false);
    return NULL;
}

/* Either the answer or the end of the loop is first. */
static void an_answer_may_arrive_while_the_loop_is_freed(void **state)
{
    (void) state;
    for (int round = 0; round < ROUNDS; round++) {
        aloop_options options = {.size = sizeof options, .resize = resize};
        aloop *loop = aloop_new(&options);
        aloop_future *future;
        pthread_t other;

        assert_non_null(loop);
        set_silent(true);
        aloop_detach(look_up(loop));
        future = look_up(loop);
        aloop_step(loop, 0);
        await_inside(2);
        assert_int_equal(pthread_create(&other, NULL, answer, NULL), 0);
        if (round % 3 > 0)
            sched_yield();
        if (round % 2 > 0)
            aloop_step(loop, 0);
        aloop_future_unref(future);
        assert_int_equal(aloop_free(loop), 0);
        pthread_join(other, NULL);
        await_inside(0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_look_up_uses_the_answer),
        TEST(freeing_the_loop_does_not_wait_for_the_resolver),
        TEST(a_program_does_not_wait_for_the_resolver),
        TEST(look_ups_that_were_left_let_others_run),
        TEST(a_hung_look_up_delays_no_work),
        TEST(a_hung_look_up_delays_no_file),
        TEST(an_answer_may_arrive_while_the_loop_is_freed),
    };

    return cmocka_run_group_tests(tests, start_first_thread, NULL);
}
