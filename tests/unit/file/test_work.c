/* Functions on threads of the pool, on the simulated system, where threads run
 * inside a wait of the loop. */

#include "support/fixture.h"

#include <string.h>

#include "os/sys.h"

enum { ITEMS = 20, LIMIT = 3 };

static struct {
    int ran;
    int ended;
    int inside, most; /* Functions that run, and the highest number. */
    uintptr_t thread; /* Of the latest function. */
    bool is_slow;     /* Each function takes a second. */
    int items[ITEMS];
    int order[ITEMS]; /* Items in the order in which they began. */
    int fails;        /* It and those behind it fail, or -1. */
    ssize_t error;    /* That of the first; others have others. */
} w;

static int set_up_work(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled,
                             .work_threads = LIMIT};

    if (set_up(state) < 0)
        return -1;
    memset(&w, 0, sizeof w);
    w.fails = -1;
    sim_host_delay("slow", ALOOP_SEC(1));
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    return t.loop == NULL ? -1 : 0;
}

#define WORK(name) cmocka_unit_test_setup_teardown(name, set_up_work, tear_down)

static void be_slow(void)
{
    struct sys_address *found;

    (void) aloop__sys_resolve("slow", "80", SYS_FAMILY_NONE, &found);
    aloop__sys_resolve_free(found);
}

static void begin(void)
{
    w.ran++;
    w.inside++;
    if (w.inside > w.most)
        w.most = w.inside;
    w.thread = aloop__sys_thread_self();
    if (w.is_slow)
        be_slow();
}

static ssize_t end(ssize_t result)
{
    w.ended++;
    w.inside--;
    return result;
}

static ssize_t add_one(void *arg)
{
    begin();
    return end(*(int *) arg + 1);
}

static ssize_t return_arg(void *arg)
{
    begin();
    return end((ssize_t) (intptr_t) arg);
}

static aloop_future *start(int result)
{
    return aloop_work(t.loop, return_arg, as_arg(result));
}

static void a_function_runs_on_a_thread_and_its_result_is_the_status(
    void **state)
{
    int number = 41;

    (void) state;
    assert_int_equal(aloop_await(aloop_work(t.loop, add_one, &number)), 42);
    assert_int_not_equal(w.thread, aloop__sys_thread_self());
    assert_int_equal(aloop_await(start(ALOOP_EPIPE)), ALOOP_EPIPE);
    assert_int_equal(aloop_await(start(0)), 0);
    assert_false(aloop_alive(t.loop));
}

static void a_result_that_is_not_a_status_is_refused(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(start(ALOOP_PENDING)), ALOOP_EINVAL);
}

static void wrong_arguments_are_refused(void **state)
{
    aloop_pool_info info = {.size = sizeof info};
    int item;

    (void) state;
    assert_int_equal(aloop_await(aloop_work(NULL, add_one, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_work(t.loop, NULL, NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_work_map(NULL, add_one, &item, 1, 1, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_work_map(t.loop, NULL, &item, 1, 1, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_work_map(t.loop, add_one, NULL, 1, 1, 0)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_pool_info_get(NULL, ALOOP_LANE_WORK, &info),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_pool_info_get(t.loop, (aloop_lane) 3, &info),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_pool_info_get(t.loop, ALOOP_LANE_WORK, NULL),
                     ALOOP_EINVAL);
    info.size = 0;
    assert_int_equal(aloop_pool_info_get(t.loop, ALOOP_LANE_WORK, &info),
                     ALOOP_EINVAL);
}

/* Each combination: cancelled or dropped; before, while and after it runs. */
static void a_function_that_has_not_begun_is_taken_back(void **state)
{
    aloop_future *future = start(1);

    (void) state;
    aloop_cancel(future);
    assert_int_equal(aloop_future_status(future), ALOOP_ECANCELED);
    aloop_future_unref(future);
    aloop_future_unref(start(2));
    aloop_run(t.loop);

    assert_int_equal(w.ran, 0);
    assert_int_equal(t.unhandled, 0);
}

static void a_function_that_has_begun_settles_with_its_result(void **state)
{
    aloop_future *future = start(7);

    (void) state;
    w.is_slow = true;
    aloop_step(t.loop, 0);
    assert_int_equal(w.ran, 1);
    aloop_cancel(future);
    assert_int_equal(aloop_future_status(future), ALOOP_PENDING);
    assert_int_equal(w.ended, 0);

    assert_int_equal(aloop_await(future), 7);

    assert_int_equal(w.ended, 1);
}

static void a_function_that_has_begun_is_not_ended_by_a_drop(void **state)
{
    (void) state;
    w.is_slow = true;
    aloop_future_unref(start(7)); /* It has not begun. */
    aloop_future *future = start(8);
    aloop_step(t.loop, 0);
    aloop_future_unref(future);
    assert_true(aloop_alive(t.loop));

    aloop_run(t.loop);

    assert_int_equal(w.ended, 1);
    assert_int_equal(t.unhandled, 0);
}

static void a_function_that_has_ended_keeps_its_result(void **state)
{
    aloop_future *future = start(9);

    (void) state;
    w.is_slow = true;
    aloop_step(t.loop, 0);
    sim_pass(ALOOP_SEC(1)); /* The loop does not know yet. */
    assert_int_equal(w.ended, 1);
    aloop_cancel(future);

    assert_int_equal(aloop_await(future), 9);
}

static ssize_t work_until_deadline(aloop *loop, void *arg)
{
    int on_stack = 4;
    aloop_deadline *deadline = aloop_deadline_begin(loop, 100 * MS);

    *(ssize_t *) arg = aloop_await(aloop_work(loop, add_one, &on_stack));
    on_stack = -1;
    return aloop_deadline_end(deadline);
}

static void an_await_returns_only_when_the_function_has_returned(void **state)
{
    int64_t begin_ns = aloop_now(t.loop);
    ssize_t status = 0;

    (void) state;
    w.is_slow = true;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, work_until_deadline, &status)), 1);
    assert_int_equal(w.ended, 1);
    assert_int_equal(status, 5); /* It had begun, and completed. */
    assert_int_equal(aloop_now(t.loop), begin_ns + ALOOP_SEC(1));
}

static void an_error_without_an_owner_is_reported(void **state)
{
    (void) state;
    aloop_detach(start(ALOOP_EPIPE));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
    assert_string_equal(t.unhandled_what, "work");
}

static void functions_begin_in_order_and_only_so_many_run(void **state)
{
    aloop_future *futures[7];

    (void) state;
    w.is_slow = true;
    for (int i = 0; i < 7; i++)
        futures[i] = start(i);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, 7, futures)), 0);
    assert_int_equal(w.most, LIMIT);
    assert_int_equal(w.ran, 7);
}

static void a_function_fails_if_no_thread_can_start(void **state)
{
    aloop_future *future = start(1);

    (void) state;
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);
    assert_int_equal(aloop_await(future), ALOOP_EAGAIN);
    assert_int_equal(w.ran, 0);
    sim_fail("aloop__sys_mutex_open", 1, ALOOP_ENOMEM);
    aloop_free(t.loop);
    t.loop = aloop_new(NULL);
    assert_int_equal(aloop_await(start(1)), ALOOP_ENOMEM);
    assert_int_equal(aloop_await(start(1)), 1);
}

static ssize_t post_progress(void *arg)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_post(arg, note_call, as_arg(i)), 0);
        be_slow();
    }
    return 0;
}

static void a_function_may_post_progress(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_work(t.loop, post_progress, t.loop)), 0);
    assert_noted(0, 1, 2);
}

static void posts_run_while_the_end_of_the_loop_waits(void **state)
{
    int64_t begin_ns = aloop_now(t.loop);

    (void) state;
    aloop_detach(aloop_work(t.loop, post_progress, t.loop));
    aloop_detach(start(1));
    w.is_slow = true;
    aloop_step(t.loop, 0);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_noted(0, 1, 2);
    assert_int_equal(w.ended, 1);
    assert_int_equal(aloop__sys_clock_ns(), begin_ns + ALOOP_SEC(3));
}

/* Frees the loop while a slow function runs.  The wait for it must be one, and
 * its future must settle for its continuation. */
static void expect_calm_end(void)
{
    unsigned wakes;

    w.is_slow = true;
    assert_int_equal(aloop_then(start(1), note_status, NULL), 0);
    aloop_step(t.loop, 0);
    wakes = sim_wakes();

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_noted(1);
    assert_true(sim_wakes() - wakes < 20);
}

static void no_poll(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
}

static void a_ready_poll_does_not_disturb_the_end_of_the_loop(void **state)
{
    aloop_poll *poll;
    int fds[2];

    (void) state;
    assert_int_equal(sim_pair(fds), 0);
    assert_int_equal(aloop_poll_start(t.loop, fds[0], ALOOP_POLL_READABLE,
                                      no_poll, NULL, &poll),
                     0);
    assert_int_equal(aloop__sys_send(fds[1], "x", 1), 1);
    turns(2);

    expect_calm_end();

    aloop__sys_close(fds[0]);
    aloop__sys_close(fds[1]);
}

static void a_poll_that_is_always_ready_does_not_disturb_it(void **state)
{
    int fd = sim_file();
    aloop_poll *poll;

    (void) state;
    assert_int_equal(
        aloop_poll_start(t.loop, fd, ALOOP_POLL_READABLE, no_poll, NULL, &poll),
        0);

    expect_calm_end();

    aloop__sys_close(fd);
}

static void a_timer_with_a_period_does_not_disturb_it(void **state)
{
    aloop_timer *timer;

    (void) state;
    assert_int_equal(
        aloop_timer_start(t.loop, 1, 1, ignore_timer, NULL, &timer), 0);

    expect_calm_end();
}

static void no_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) stream;
    (void) arg;
}

static void a_connection_that_waits_does_not_disturb_it(void **state)
{
    aloop_listener *listener;
    int peer;

    (void) state;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "4000", no_stream,
                                      NULL, &listener),
                     0);
    peer = sim_connect(4000);

    expect_calm_end();

    sim_peer_close(peer);
}

static void no_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
}

static void data_that_are_not_read_do_not_disturb_it(void **state)
{
    int listener = sim_listen("127.0.0.1", 4000, 1), peer;
    aloop_stream *stream;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "127.0.0.1", "4000", &stream)),
        0);
    peer = sim_accept(listener);
    assert_int_equal(aloop_stream_start(stream, no_data, NULL), 0);
    assert_int_equal(sim_peer_send(peer, "x", 1), 1);

    expect_calm_end();

    sim_peer_close(peer);
    sim_peer_close(listener);
}

static void functions_that_have_not_begun_do_not_delay_the_end(void **state)
{
    (void) state;
    w.is_slow = true;
    for (int i = 0; i < 10; i++)
        aloop_detach(start(i));
    aloop_step(t.loop, 0);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_int_equal(w.ran, LIMIT);
    assert_int_equal(w.ended, LIMIT);
}

static ssize_t work_again(aloop *loop, void *arg)
{
    while (aloop_await(aloop_work(loop, return_arg, NULL)) == 0)
        ;
    *(ssize_t *) arg = aloop_await(aloop_work(loop, return_arg, NULL));
    return 0;
}

static void a_task_that_works_again_and_again_is_ended(void **state)
{
    ssize_t status = 0;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, work_again, &status));
    aloop_step(t.loop, MS);
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    assert_int_equal(status, ALOOP_ECANCELED);
}

static void a_child_has_none_of_the_functions(void **state)
{
    aloop_future *future = start(1), *queued;

    (void) state;
    w.is_slow = true;
    aloop_step(t.loop, 0);
    queued = start(2);
    sim_fork();
    assert_int_equal(aloop_future_status(start(3)), ALOOP_EPERM);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    w.is_slow = false;

    assert_int_equal(aloop_await(future), ALOOP_EABORTED);
    assert_int_equal(aloop_await(queued), ALOOP_EABORTED);
    assert_int_equal(aloop_await(start(4)), 4);
    assert_int_equal(w.ended, 1);
}

static void use_unmarked_system(void)
{
    aloop_free(t.loop);
    sim_unmark();
    t.loop = aloop_new(NULL);
}

/* The threads are the parent's, and would never answer. */
static void a_child_that_is_not_marked_does_not_wait_for_threads(void **state)
{
    aloop_future *running, *queued;
    aloop_stream *stream;

    (void) state;
    use_unmarked_system();
    w.is_slow = true;
    running = start(1);
    aloop_step(t.loop, 0);
    queued = start(2);
    sim_fork();

    assert_int_equal(aloop_await(running), ALOOP_EPERM);
    assert_int_equal(aloop_await(queued), ALOOP_EPERM);
    assert_int_equal(aloop_await(start(3)), ALOOP_EPERM);
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "slow", "80", &stream)),
        ALOOP_EPERM);
    assert_int_equal(aloop_step(t.loop, 0), ALOOP_EPERM);
    assert_int_equal(aloop_run(t.loop), ALOOP_EPERM);

    assert_int_equal(aloop_after_fork(t.loop), 0);
    w.is_slow = false;
    assert_int_equal(aloop_await(start(4)), 4);
    assert_int_equal(sim_harms(), 0);
}

static ssize_t fork_and_work(aloop *loop, void *arg)
{
    aloop_future **running = arg;

    (void) loop;
    sim_fork();
    assert_int_equal(aloop_await(start(2)), ALOOP_EPERM);
    return aloop_await(*running);
}

static void a_child_that_a_task_forks_does_not_wait_for_threads(void **state)
{
    aloop_future *running, *task;

    (void) state;
    use_unmarked_system();
    w.is_slow = true;
    running = start(1);
    aloop_step(t.loop, 0);
    task = aloop_spawn(t.loop, fork_and_work, &running);

    assert_int_equal(aloop_run(t.loop), ALOOP_EPERM);

    assert_int_equal(aloop_future_status(task), ALOOP_PENDING);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_int_equal(sim_harms(), 0);
}

static void the_state_of_a_lane_can_be_read(void **state)
{
    aloop_pool_info info = {.size = sizeof info};
    char more[sizeof info + 8];
    aloop_future *futures[5];

    (void) state;
    w.is_slow = true;
    for (int i = 0; i < 5; i++)
        futures[i] = start(i);
    aloop_step(t.loop, 0);
    sim_pass(300 * MS);
    assert_int_equal(aloop_pool_info_get(t.loop, ALOOP_LANE_WORK, &info), 0);
    assert_int_equal(info.threads, LIMIT);
    assert_int_equal(info.idle, 0);
    assert_int_equal(info.running, 3);
    assert_int_equal(info.queued, 2);
    assert_int_equal(info.oldest_ns, 300 * MS);
    assert_int_equal(aloop_pool_info_get(t.loop, ALOOP_LANE_FILE, &info), 0);
    assert_int_equal(info.threads, 0);

    info.size = offsetof(aloop_pool_info, idle);
    info.running = 99;
    assert_int_equal(aloop_pool_info_get(t.loop, ALOOP_LANE_WORK, &info), 0);
    assert_int_equal(info.threads, LIMIT);
    assert_int_equal(info.running, 99); /* An older program has no more. */
    memset(more, 1, sizeof more);
    ((aloop_pool_info *) (void *) more)->size = sizeof more;
    assert_int_equal(aloop_pool_info_get(t.loop, ALOOP_LANE_WORK,
                                         (aloop_pool_info *) (void *) more),
                     0);
    assert_int_equal(more[sizeof more - 1], 0);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, 5, futures)), 0);
}

static void a_host_is_notified_of_new_work_and_of_its_end(void **state)
{
    int fd = aloop_fd(t.loop);
    aloop_future *future;

    (void) state;
    aloop_step(t.loop, 0);
    assert_false(sim_fd_readable(fd));
    w.is_slow = true;
    future = start(3);
    assert_true(sim_fd_readable(fd));
    aloop_step(t.loop, 0);
    assert_false(sim_fd_readable(fd));

    assert_true(sim_poll(fd, ALOOP_SEC(5)));
    while (aloop_future_status(future) == ALOOP_PENDING)
        aloop_step(t.loop, 0);
    assert_int_equal(aloop_await(future), 3);
}

/* aloop_work_map(). */

static ssize_t run_item(void *arg)
{
    int item = (int) ((int *) arg - w.items);

    if (w.ran < ITEMS) /* Other functions have run before in some tests. */
        w.order[w.ran] = item;
    begin();
    w.items[item]++;
    return end(w.fails < 0 || item < w.fails ? 0 : w.error - item + w.fails);
}

static aloop_future *map(size_t limit)
{
    return aloop_work_map(t.loop, run_item, w.items, ITEMS, sizeof w.items[0],
                          limit);
}

static void assert_items_ran_in_order(int count)
{
    assert_int_equal(w.ran, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(w.order[i], i);
        assert_int_equal(w.items[i], 1);
    }
}

static void a_map_runs_each_item_once_and_in_order(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(map(0)), 0);
    assert_items_ran_in_order(ITEMS);
    assert_int_equal(
        aloop_await(aloop_work_map(t.loop, run_item, NULL, 0, 4, 0)), 0);
    assert_int_equal(w.ran, ITEMS);
    assert_false(aloop_alive(t.loop));
}

static void a_map_runs_as_many_items_as_the_limit_and_the_lane_allow(
    void **state)
{
    static const int limits[] = {0, 1, 2, 3, 100};
    static const int most[] = {LIMIT, 1, 2, LIMIT, LIMIT};

    (void) state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        memset(&w, 0, sizeof w);
        w.fails = -1;
        w.is_slow = true;
        assert_int_equal(aloop_await(map((size_t) limits[i])), 0);
        assert_int_equal(w.most, most[i]);
        assert_items_ran_in_order(ITEMS);
    }
}

static void other_work_has_its_turn_between_the_items_of_a_map(void **state)
{
    aloop_future *all = map(0), *other = start(1);

    (void) state;
    w.is_slow = true;
    assert_int_equal(aloop_await(other), 1);
    assert_true(w.ended < ITEMS / 2);
    assert_int_equal(aloop_await(all), 0);
}

static void the_first_error_of_a_map_stops_it(void **state)
{
    (void) state;
    w.is_slow = true;
    w.fails = 4;
    w.error = ALOOP_EPIPE;
    assert_int_equal(aloop_await(map(2)), ALOOP_EPIPE);
    assert_int_equal(w.ended, w.ran);
    assert_true(w.ran <= 6);
    assert_int_equal(w.inside, 0);
    memset(w.items, 0, sizeof w.items);
    w.ran = 0;
    w.error = ALOOP_PENDING;
    assert_int_equal(aloop_await(map(0)), ALOOP_EINVAL);
}

static void the_report_of_a_map_names_the_item(void **state)
{
    (void) state;
    w.fails = 3;
    w.error = ALOOP_EPIPE;
    aloop_detach(map(0));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 1);
    assert_string_equal(t.unhandled_what, "work map, item 3 of 20,");
}

static void a_cancelled_map_waits_for_the_items_that_have_begun(void **state)
{
    aloop_future *all = map(0);

    (void) state;
    w.is_slow = true;
    aloop_step(t.loop, 0);
    assert_int_equal(w.ran, LIMIT);
    aloop_cancel(all);
    assert_int_equal(aloop_future_status(all), ALOOP_PENDING);

    aloop_run(t.loop);

    assert_int_equal(aloop_future_status(all), ALOOP_ECANCELED);
    aloop_future_unref(all);
    assert_int_equal(w.ran, LIMIT);
    assert_int_equal(w.ended, LIMIT);
}

static void a_map_that_has_not_begun_is_taken_back(void **state)
{
    aloop_future *all = map(0);

    (void) state;
    aloop_cancel(all);
    assert_int_equal(aloop_future_status(all), ALOOP_ECANCELED);
    aloop_future_unref(all);
    aloop_future_unref(map(1));
    aloop_run(t.loop);
    assert_int_equal(w.ran, 0);
}

static void a_cancel_after_the_last_item_has_begun_has_no_effect(void **state)
{
    aloop_future *all =
        aloop_work_map(t.loop, run_item, w.items, 2, sizeof w.items[0], 0);

    (void) state;
    w.is_slow = true;
    aloop_step(t.loop, 0);
    assert_int_equal(w.ran, 2);
    aloop_cancel(all);
    assert_int_equal(aloop_await(all), 0);
}

static void one_thread_is_enough_for_a_map(void **state)
{
    (void) state;
    sim_fail_from("aloop__sys_thread_start", 2, ALOOP_EAGAIN);
    assert_int_equal(aloop_await(map(0)), 0);
    assert_items_ran_in_order(ITEMS);
}

static void a_map_without_a_thread_fails(void **state)
{
    (void) state;
    sim_fail("aloop__sys_mutex_open", 1, ALOOP_ENOMEM);
    assert_int_equal(aloop_await(map(0)), ALOOP_ENOMEM);
    sim_fail("aloop__sys_thread_start", 1, ALOOP_EAGAIN);
    assert_int_equal(aloop_await(map(0)), ALOOP_EAGAIN);
    assert_int_equal(w.ran, 0);
    assert_false(aloop_alive(t.loop));
}

static void freeing_the_loop_stops_a_map(void **state)
{
    (void) state;
    w.is_slow = true;
    aloop_detach(map(0));
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    assert_int_equal(w.ran, LIMIT);
    assert_int_equal(w.ended, LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORK(a_function_runs_on_a_thread_and_its_result_is_the_status),
        WORK(a_result_that_is_not_a_status_is_refused),
        WORK(wrong_arguments_are_refused),
        WORK(a_function_that_has_not_begun_is_taken_back),
        WORK(a_function_that_has_begun_settles_with_its_result),
        WORK(a_function_that_has_begun_is_not_ended_by_a_drop),
        WORK(a_function_that_has_ended_keeps_its_result),
        WORK(an_await_returns_only_when_the_function_has_returned),
        WORK(an_error_without_an_owner_is_reported),
        WORK(functions_begin_in_order_and_only_so_many_run),
        WORK(a_function_fails_if_no_thread_can_start),
        WORK(a_function_may_post_progress),
        WORK(posts_run_while_the_end_of_the_loop_waits),
        WORK(a_ready_poll_does_not_disturb_the_end_of_the_loop),
        WORK(a_poll_that_is_always_ready_does_not_disturb_it),
        WORK(a_timer_with_a_period_does_not_disturb_it),
        WORK(a_connection_that_waits_does_not_disturb_it),
        WORK(data_that_are_not_read_do_not_disturb_it),
        WORK(functions_that_have_not_begun_do_not_delay_the_end),
        WORK(a_task_that_works_again_and_again_is_ended),
        WORK(a_child_has_none_of_the_functions),
        WORK(a_child_that_is_not_marked_does_not_wait_for_threads),
        WORK(a_child_that_a_task_forks_does_not_wait_for_threads),
        WORK(the_state_of_a_lane_can_be_read),
        WORK(a_host_is_notified_of_new_work_and_of_its_end),
        WORK(a_map_runs_each_item_once_and_in_order),
        WORK(a_map_runs_as_many_items_as_the_limit_and_the_lane_allow),
        WORK(other_work_has_its_turn_between_the_items_of_a_map),
        WORK(the_first_error_of_a_map_stops_it),
        WORK(the_report_of_a_map_names_the_item),
        WORK(a_cancelled_map_waits_for_the_items_that_have_begun),
        WORK(a_map_that_has_not_begun_is_taken_back),
        WORK(a_cancel_after_the_last_item_has_begun_has_no_effect),
        WORK(one_thread_is_enough_for_a_map),
        WORK(a_map_without_a_thread_fails),
        WORK(freeing_the_loop_stops_a_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
