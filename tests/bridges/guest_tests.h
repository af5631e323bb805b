/* Tests of another library's loop, the guest, inside a loop.  The file that
 * includes this one defines the functions at the beginning. */

#ifndef GUEST_TESTS_H
#define GUEST_TESTS_H

/* The functions of the bridge.  guest_stop() allows that nothing was started,
 * and a second call. */
static int guest_start(aloop *loop);
static void guest_stop(void);

/* Calls a function in the guest's loop, once. */
static void guest_after_ms(int delay_ms, host_fn fn);

/* The same, from any thread. */
static void guest_post(host_fn fn);

/* Calls a function each time that the descriptor is readable, and ends that. */
static void guest_watch(int fd, host_fn fn);
static void guest_unwatch(void);

static struct {
    aloop_future *end; /* Settles to end the test. */
    int pipe[2];
    int64_t start_ns;
    bool is_out; /* Whether memory is refused to the loop. */
} g;

static void *guest_resize(void *context, void *old, size_t old_size,
                          size_t new_size)
{
    void *result;

    (void) context;
    (void) old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    if (g.is_out && new_size > old_size)
        return NULL;
    result = realloc(old, new_size);
    return result;
}

static int guest_set_up(void **state)
{
    aloop_options options = {.size = sizeof options, .resize = guest_resize};

    (void) state;
    memset(&f, 0, sizeof f);
    memset(&g, 0, sizeof g);
    f.fds = open_descriptors(FDS_MAX);
    f.loop = aloop_new(&options);
    host_open();
    assert_int_equal(pipe(g.pipe), 0);
    assert_int_equal(guest_start(f.loop), 0);
    g.end = aloop_future_new(f.loop);
    return 0;
}

static int guest_tear_down(void **state)
{
    (void) state;
    guest_unwatch();
    guest_stop();
    aloop_future_unref(g.end);
    g.end = NULL;
    assert_int_equal(aloop_free(f.loop), 0);
    host_close();
    close(g.pipe[0]);
    close(g.pipe[1]);
    if (f.fds >= 0)
        assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

static void resolve(void)
{
    if (g.end != NULL)
        aloop_future_resolve(g.end, 0);
}

static void end(void)
{
    f.calls++;
    resolve();
}

/* Runs the loop until end(). */
static void await_end(void)
{
    assert_int_equal(aloop_await(aloop_future_ref(g.end)), 0);
}

static ssize_t start_guest_timer(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(30)));

    (void) arg;
    g.start_ns = aloop_now(loop);
    guest_after_ms(10, end);
    return status;
}

/* The guest is not asked between the call and the wait, unless by a prepare. */
static void a_timer_of_the_guest_that_a_task_starts_runs(void **state)
{
    (void) state;
    spawn(start_guest_timer);

    await_end();

    assert_int_equal(f.calls, 1);
    assert_true(aloop_now(f.loop) - g.start_ns >= ALOOP_MS(9));
}

static void start_next_timer(void)
{
    if (++f.calls == 5)
        resolve();
    else
        guest_after_ms(f.calls % 2 * 5, start_next_timer);
}

static void timers_that_the_guest_starts_run(void **state)
{
    (void) state;
    guest_after_ms(0, start_next_timer);

    await_end();

    assert_int_equal(f.calls, 5);
}

static ssize_t sleep_and_resolve(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(10)));

    (void) arg;
    end();
    return status;
}

static void spawn_in_guest(void)
{
    spawn(sleep_and_resolve);
}

static void a_task_that_the_guest_spawns_runs_without_another_event(
    void **state)
{
    (void) state;
    guest_after_ms(1, spawn_in_guest);

    await_end();

    assert_int_equal(f.calls, 1);
}

static void *post_to_guest(void *arg)
{
    (void) arg;
    guest_post(end);
    return NULL;
}

static void another_thread_wakes_the_guest(void **state)
{
    pthread_t thread;

    (void) state;
    assert_int_equal(pthread_create(&thread, NULL, post_to_guest, NULL), 0);

    await_end();

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(f.calls, 1);
}

static void take_byte(void)
{
    char byte;

    assert_int_equal(read(g.pipe[0], &byte, 1), 1);
    if (++f.calls == 3)
        resolve();
}

static void write_byte(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    assert_int_equal(write(g.pipe[1], "x", 1), 1);
}

static ssize_t write_slowly(aloop *loop, void *arg)
{
    for (int i = 0; i < 3; i++) {
        write_byte(loop, arg);
        aloop_await(aloop_sleep(loop, ALOOP_MS(2)));
    }
    return 0;
}

static void the_guest_watches_descriptors(void **state)
{
    (void) state;
    guest_watch(g.pipe[0], take_byte);
    spawn(write_slowly);

    await_end();

    assert_int_equal(f.calls, 3);
}

/* In a turn, between two waits. */
static void replace_pipe(aloop *loop, void *arg)
{
    int fd = g.pipe[0];

    (void) arg;
    guest_unwatch();
    close(g.pipe[0]);
    close(g.pipe[1]);
    assert_int_equal(pipe(g.pipe), 0);
    assert_int_equal(g.pipe[0], fd);
    guest_watch(g.pipe[0], take_byte);
    aloop_detach(aloop_spawn(loop, write_slowly, NULL));
}

static ssize_t replace_later(aloop *loop, void *arg)
{
    aloop_await(aloop_sleep(loop, ALOOP_MS(5)));
    replace_pipe(loop, arg);
    return 0;
}

static void the_guest_may_open_a_descriptor_with_the_number_of_another_one(
    void **state)
{
    (void) state;
    guest_watch(g.pipe[0], take_byte);
    spawn(replace_later);

    await_end();

    assert_int_equal(f.calls, 3);
}

static void both_have_descriptors_and_timers(void **state)
{
    (void) state;
    guest_watch(g.pipe[0], take_byte);
    spawn(write_slowly);
    guest_after_ms(3, spawn_in_guest);

    await_end();

    assert_true(f.calls >= 1);
}

/* Memory. */

static void ignore_poll(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
}

/* Uses up what the loop has kept for polls, too. */
static void refuse_more(aloop *loop, void *arg)
{
    aloop_poll *poll;
    int polls = 0;

    (void) arg;
    g.is_out = true;
    while (aloop_poll_start(loop, g.pipe[1], 0, ignore_poll, NULL, &poll) == 0)
        assert_true(++polls < 10000);
    assert_int_equal(write(g.pipe[1], "xxx", 3), 3);
}

/* In the next turn, when closed polls have been freed. */
static void refuse_soon(void)
{
    assert_int_equal(aloop_defer(f.loop, refuse_more, NULL), 0);
}

/* The loop can make no poll, and looks again later. */
static void the_guest_continues_when_memory_is_exhausted(void **state)
{
    (void) state;
    guest_watch(g.pipe[0], take_byte);
    guest_after_ms(5, refuse_soon);

    await_end();

    g.is_out = false;
    assert_int_equal(f.calls, 3);
}

static void guest_start_reports_that_memory_is_exhausted(void **state)
{
    /* The stand-in for kqueue ends the process if it gets no memory. */
    int max = strcmp(aloop_reactor(), "kqueue") == 0 ? 1 : 100;
    int failed = 0;

    (void) state;
    guest_stop();
    for (int nth = 1; nth <= max && failed == nth - 1; nth++) {
        int error;

        refuse_memory(nth);
        error = guest_start(f.loop);
        failed += refuse_memory(0);
        assert_int_equal(error, failed == nth ? ALOOP_ENOMEM : 0);
        if (error == 0)
            guest_stop();
    }
    assert_true(failed >= 1);
}

/* Ends. */

static void stop_in_guest(void)
{
    f.calls++;
    guest_stop();
    guest_after_ms(0, end); /* Will not run. */
    aloop_detach(aloop_spawn(f.loop, sleep_and_resolve, NULL));
}

static void a_callback_of_the_guest_may_stop_it(void **state)
{
    (void) state;
    guest_after_ms(1, stop_in_guest);

    await_end();

    assert_int_equal(f.calls, 2);
}

static ssize_t stop_in_task(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(1)));

    (void) arg;
    guest_stop();
    return status;
}

static void a_task_may_stop_the_guest(void **state)
{
    (void) state;
    guest_after_ms(30, end);

    assert_int_equal(aloop_await(aloop_spawn(f.loop, stop_in_task, NULL)), 0);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(40))), 0);

    assert_int_equal(f.calls, 0);
}

static void the_guest_can_be_stopped_and_started_again(void **state)
{
    (void) state;
    guest_after_ms(20, end);
    assert_int_equal(aloop_await(aloop_spawn(f.loop, stop_in_task, NULL)), 0);

    assert_int_equal(guest_start(f.loop), 0);

    await_end();
    assert_int_equal(f.calls, 1);
}

static ssize_t stop_when_cancelled(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_SEC(3600)));

    (void) arg;
    guest_stop();
    return status;
}

static void a_task_may_stop_the_guest_while_the_loop_is_freed(void **state)
{
    (void) state;
    guest_after_ms(1, end);
    spawn(stop_when_cancelled);
    await_end();
    guest_after_ms(0, end);
    aloop_future_unref(g.end);
    g.end = NULL;

    assert_int_equal(aloop_free(f.loop), 0);

    f.loop = NULL;
    assert_int_equal(f.calls, 1);
}

#define GUEST_TEST(name) \
    cmocka_unit_test_setup_teardown(name, guest_set_up, guest_tear_down)

#define GUEST_TESTS \
    GUEST_TEST(a_timer_of_the_guest_that_a_task_starts_runs), \
        GUEST_TEST(timers_that_the_guest_starts_run), \
        GUEST_TEST(a_task_that_the_guest_spawns_runs_without_another_event), \
        GUEST_TEST(another_thread_wakes_the_guest), \
        GUEST_TEST(the_guest_watches_descriptors), \
        GUEST_TEST( \
            the_guest_may_open_a_descriptor_with_the_number_of_another_one), \
        GUEST_TEST(both_have_descriptors_and_timers), \
        GUEST_TEST(the_guest_continues_when_memory_is_exhausted), \
        GUEST_TEST(guest_start_reports_that_memory_is_exhausted), \
        GUEST_TEST(a_callback_of_the_guest_may_stop_it), \
        GUEST_TEST(a_task_may_stop_the_guest), \
        GUEST_TEST(the_guest_can_be_stopped_and_started_again), \
        GUEST_TEST(a_task_may_stop_the_guest_while_the_loop_is_freed)

#endif
