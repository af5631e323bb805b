/* The bridges to libuv: a loop inside a loop of libuv, and the reverse. */

#define _POSIX_C_SOURCE 200809L

enum { HOST_ALLOCATES = 1 };

#include "host_tests.h"

#include "bridges/uv_host.h"
#include "bridges/uv_inside.h"

#include "guest_tests.h"

/* Each test has a loop of libuv of its own. */
static struct {
    uv_loop_t uv;
    uv_async_t async; /* Keeps uv_run() from ending, and is posted to. */
    host_fn posted;
    uv_host *host;
    uv_inside *inside;
    uv_poll_t *watch;
    host_fn watch_fn;
} e;

static void async_sent(uv_async_t *async)
{
    (void) async;
    e.posted();
}

static void host_open(void)
{
    assert_int_equal(uv_loop_init(&e.uv), 0);
    assert_int_equal(uv_async_init(&e.uv, &e.async, async_sent), 0);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void close_if_open(uv_handle_t *handle, void *arg)
{
    (void) arg;
    if (!uv_is_closing(handle))
        uv_close(handle,
                 handle == (uv_handle_t *) &e.async ? NULL : free_handle);
}

static void host_close(void)
{
    uv_walk(&e.uv, close_if_open, NULL);
    assert_int_equal(uv_run(&e.uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&e.uv), 0);
}

static int host_start(aloop *loop,
                      void (*on_idle)(aloop *loop, int status, void *arg))
{
    return uv_host_start(loop, &e.uv, on_idle, &f, &e.host);
}

static int host_start_without_loop(void)
{
    uv_host *host;

    assert_int_equal(uv_host_start(f.loop, NULL, NULL, NULL, &host),
                     ALOOP_EINVAL);
    assert_int_equal(uv_host_start(f.loop, &e.uv, NULL, NULL, NULL),
                     ALOOP_EINVAL);
    return uv_host_start(NULL, &e.uv, NULL, NULL, &host);
}

static void host_stop(void)
{
    uv_host_stop(e.host);
    e.host = NULL;
}

static void host_run(void)
{
    uv_run(&e.uv, UV_RUN_DEFAULT);
}

static void host_end(void)
{
    uv_stop(&e.uv);
}

struct timer {
    uv_timer_t timer; /* First, so that it is freed with it. */
    host_fn fn;
};

static void timer_due(uv_timer_t *timer)
{
    host_fn fn = ((struct timer *) timer->data)->fn;

    uv_close((uv_handle_t *) timer, free_handle);
    fn();
}

static void host_after_ms(int delay_ms, host_fn fn)
{
    struct timer *timer = malloc(sizeof *timer);

    assert_non_null(timer);
    timer->fn = fn;
    timer->timer.data = timer;
    assert_int_equal(uv_timer_init(&e.uv, &timer->timer), 0);
    uv_update_time(&e.uv);
    assert_int_equal(
        uv_timer_start(&timer->timer, timer_due, (uint64_t) delay_ms, 0), 0);
}

static void host_after_fork(void)
{
    CHECK(uv_loop_fork(&e.uv) == 0);
}

/* Another handle watches the descriptor. */
static void libuv_may_refuse_the_descriptor(void **state)
{
    uv_host *host = NULL;

    (void) state;
    assert_int_equal(uv_run(&e.uv, UV_RUN_NOWAIT), 1);

    assert_int_equal(uv_host_start(f.loop, &e.uv, NULL, NULL, &host),
                     UV_EEXIST);

    assert_null(host);
}

static void uv_run_ends_when_on_idle_stops(void **state)
{
    (void) state;
    host_stop();
    assert_int_equal(host_start(f.loop, idle), 0);
    aloop_detach(aloop_sleep(f.loop, ALOOP_MS(5)));
    uv_unref((uv_handle_t *) &e.async);

    uv_run(&e.uv, UV_RUN_DEFAULT); /* May be ended by uv_stop(). */
    assert_int_equal(uv_run(&e.uv, UV_RUN_DEFAULT), 0);

    assert_int_equal(f.idle_calls, 1);
}

/* The loop of libuv inside. */

static int guest_start(aloop *loop)
{
    return uv_inside_start(loop, &e.uv, &e.inside);
}

static void guest_stop(void)
{
    uv_inside_stop(e.inside);
    e.inside = NULL;
}

static void guest_after_ms(int delay_ms, host_fn fn)
{
    host_after_ms(delay_ms, fn);
}

static void guest_post(host_fn fn)
{
    e.posted = fn;
    uv_async_send(&e.async);
}

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    (void) poll;
    assert_int_equal(status, 0);
    assert_true((events & UV_READABLE) != 0);
    e.watch_fn();
}

static void guest_watch(int fd, host_fn fn)
{
    e.watch = malloc(sizeof *e.watch);
    e.watch_fn = fn;
    assert_int_equal(uv_poll_init(&e.uv, e.watch, fd), 0);
    assert_int_equal(uv_poll_start(e.watch, UV_READABLE, watch_ready), 0);
}

static void guest_unwatch(void)
{
    if (e.watch != NULL)
        uv_close((uv_handle_t *) e.watch, free_handle);
    e.watch = NULL;
}

static void count_call(void)
{
    f.calls++;
}

static ssize_t start_last_timer(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(5)));

    (void) arg;
    host_after_ms(10, count_call);
    return status;
}

/* Nothing else keeps it alive after the end of the task. */
static void the_loop_lives_as_long_as_libuv(void **state)
{
    (void) state;
    uv_unref((uv_handle_t *) &e.async);
    host_after_ms(10, count_call);
    aloop_future_unref(g.end);
    g.end = NULL;
    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(f.calls, 1);
    spawn(start_last_timer);

    assert_int_equal(aloop_run(f.loop), 0);

    assert_int_equal(f.calls, 2);
    assert_int_equal(uv_loop_alive(&e.uv), 0);
}

static int64_t count_wait(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    f.idle_calls++;
    return -1;
}

/* libuv does not look at the handle, whose descriptor stays readable. */
static void a_loop_of_libuv_that_is_not_alive_takes_no_turns(void **state)
{
    aloop_prepare *prepare;

    (void) state;
    assert_int_equal(aloop_prepare_start(f.loop, count_wait, NULL, &prepare),
                     0);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    uv_unref((uv_handle_t *) &e.async);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    guest_post(count_call);

    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(50))), 0);

    assert_int_equal(f.calls, 0);
    assert_true(f.idle_calls < 10 || is_interrupted());
    uv_ref((uv_handle_t *) &e.async);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    assert_int_equal(f.calls, 1);
    aloop_prepare_close(prepare);
}

static void work_in_thread(uv_work_t *work)
{
    *(int *) work->data = 1;
}

static void work_done(uv_work_t *work, int status)
{
    assert_int_equal(status, 0);
    assert_int_equal(*(int *) work->data, 1);
    end();
}

static ssize_t queue_work(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(1)));

    assert_int_equal(uv_queue_work(&e.uv, arg, work_in_thread, work_done), 0);
    return status;
}

static void work_on_threads_of_libuv_completes(void **state)
{
    int value = 0;
    uv_work_t work = {.data = &value};

    (void) state;
    aloop_detach(aloop_spawn(f.loop, queue_work, &work));

    await_end();

    assert_int_equal(f.calls, 1);
}

/* uv_stop() has its effect on one call of uv_run(). */
static void stop_libuv(void)
{
    uv_stop(&e.uv);
    guest_after_ms(1, end);
}

static void uv_stop_does_not_end_the_guest(void **state)
{
    (void) state;
    guest_after_ms(1, stop_libuv);

    await_end();

    assert_int_equal(f.calls, 1);
}

static void both_processes_continue_with_the_guest_after_a_fork(void **state)
{
    pid_t child;

    (void) state;
    guest_watch(g.pipe[0], take_byte);
    guest_after_ms(10, end);

    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        guest_stop();
        CHECK(uv_loop_fork(&e.uv) == 0);
        CHECK(guest_start(f.loop) == 0);
        CHECK(aloop_await(aloop_future_ref(g.end)) == 0);
        CHECK(f.calls == 1);
        _exit(0);
    }
    await_end();
    assert_int_equal(f.calls, 1);
    assert_child_succeeded(child);
}

static void missing_arguments_of_inside_are_refused(void **state)
{
    uv_inside *inside;

    (void) state;
    assert_int_equal(uv_inside_start(NULL, &e.uv, &inside), ALOOP_EINVAL);
    assert_int_equal(uv_inside_start(f.loop, NULL, &inside), ALOOP_EINVAL);
    assert_int_equal(uv_inside_start(f.loop, &e.uv, NULL), ALOOP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TESTS,
        TEST(libuv_may_refuse_the_descriptor),
        TEST(uv_run_ends_when_on_idle_stops),
        GUEST_TESTS,
        GUEST_TEST(the_loop_lives_as_long_as_libuv),
        GUEST_TEST(a_loop_of_libuv_that_is_not_alive_takes_no_turns),
        GUEST_TEST(work_on_threads_of_libuv_completes),
        GUEST_TEST(uv_stop_does_not_end_the_guest),
        GUEST_TEST(both_processes_continue_with_the_guest_after_a_fork),
        GUEST_TEST(missing_arguments_of_inside_are_refused),
    };

    return cmocka_run_group_tests_name("uv", tests, host_warm_up, NULL);
}
