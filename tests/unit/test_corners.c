/* What is seldom asked for: objects of another loop, arguments that make no
 * sense, numbers at their limits, memory that runs out at the one moment. */

#include "support/stream_fixture.h"

#include <errno.h>

#include "loop/clock.h"
#include "loop/io.h"

static ssize_t use_other_loop(aloop *loop, void *arg)
{
    aloop *other = arg;

    assert_ptr_not_equal(loop, other);
    assert_int_equal(aloop_yield(other), ALOOP_EINVAL);
    assert_null(aloop_deadline_begin(other, MS));
    assert_int_equal(aloop_await(aloop_sleep(other, MS)), ALOOP_EINVAL);
    note(1);
    return 0;
}

static void a_task_waits_on_its_own_loop_only(void **state)
{
    aloop *other = other_loop();

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, use_other_loop, other)),
                     0);

    assert_noted(1);
    assert_int_equal(aloop_run(other), 0); /* Nothing is left of the sleep. */
    assert_int_equal(aloop_free(other), 0);
}

static void a_future_of_another_loop_fails_the_gather(void **state)
{
    aloop *other = other_loop();
    aloop_future *stranger = aloop_future_new(other);
    aloop_future *mine = aloop_sleep(t.loop, MS);

    (void) state;
    aloop_future_ref(mine);

    assert_int_equal(aloop_await(aloop_gather(
                         t.loop, mine, aloop_future_ref(stranger))),
                     ALOOP_EINVAL);

    assert_int_equal(aloop_future_status(mine), ALOOP_ECANCELED);
    assert_false(aloop_future_is_settled(stranger));
    aloop_future_unref(mine);
    aloop_future_unref(stranger);
    assert_int_equal(aloop_free(other), 0);
}

static void a_pipe_joins_streams_of_one_loop(void **state)
{
    aloop *mine = t.loop, *other = other_loop();
    aloop_stream *from = connected(), *to;
    int peer;

    (void) state;
    t.loop = other;
    to = connected_to(&peer);
    t.loop = mine;

    assert_int_equal(aloop_await(aloop_stream_forward(from, to)), ALOOP_EINVAL);

    send_text("still mine");
    assert_int_equal(aloop_await(aloop_stream_read(from, c.got, 10)), 10);
    aloop_stream_close(from);
    aloop_stream_close(to);
    sim_peer_close(peer);
    assert_int_equal(aloop_free(other), 0);
}

struct locks {
    aloop_mutex *mine, *others;
    aloop_condition *my_condition, *others_condition;
};

static ssize_t wait_for_the_wrong_one(aloop *loop, void *arg)
{
    const struct locks *locks = arg;

    (void) loop;
    assert_int_equal(
        aloop_condition_wait(locks->others_condition, locks->mine),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_condition_wait(locks->my_condition, locks->others),
        ALOOP_EINVAL);
    assert_true(aloop_mutex_is_locked(locks->mine));
    assert_true(aloop_mutex_is_locked(locks->others));
    note(1);
    return 0;
}

static void a_condition_goes_with_a_mutex_of_its_own_loop(void **state)
{
    aloop *other = other_loop();
    struct locks locks = {
        aloop_mutex_new(t.loop), aloop_mutex_new(other),
        aloop_condition_new(t.loop), aloop_condition_new(other),
    };

    (void) state;
    assert_int_equal(aloop_mutex_try_lock(locks.mine), 0);
    assert_int_equal(aloop_mutex_try_lock(locks.others), 0);

    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, wait_for_the_wrong_one, &locks)), 0);

    assert_noted(1);
    aloop_condition_free(locks.my_condition);
    aloop_condition_free(locks.others_condition);
    aloop_mutex_free(locks.mine);
    aloop_mutex_free(locks.others);
    assert_int_equal(aloop_free(other), 0);
}

static void what_makes_no_sense_is_a_future_that_failed(void **state)
{
    ssize_t items[2] = {0, 0};

    (void) state;
    assert_int_equal(aloop_await(aloop_sleep(NULL, MS)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_sleep_until(NULL, 0)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_future_new_settled(NULL, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_future_new_settled(t.loop, ALOOP_PENDING)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_map(NULL, just_return, items, 2, sizeof *items, 0)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_map(t.loop, NULL, items, 2, sizeof *items, 0)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_map(t.loop, just_return, NULL, 2, 1, 0)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_yield(NULL), ALOOP_EINVAL);
    assert_int_equal(t.noted, 0);
}

static void a_map_over_more_than_memory_can_hold_has_no_memory(void **state)
{
    ssize_t item = 0;

    (void) state;
    assert_int_equal(aloop_await(aloop_map(t.loop, just_return, &item,
                                           SIZE_MAX, 0, 0)),
                     ALOOP_ENOMEM);
    assert_int_equal(t.noted, 0);
}

static void a_map_has_no_more_lanes_than_items(void **state)
{
    ssize_t items[3] = {0, 0, 0};

    (void) state;
    assert_int_equal(aloop_await(aloop_map(t.loop, just_return, items, 3,
                                           sizeof *items, SIZE_MAX)),
                     0);
    assert_noted(9, 9, 9);
}

static ssize_t sleep_long(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(60)));
}

static void a_map_all_of_whose_items_run_is_cancelled_with_them(void **state)
{
    char items[2];
    aloop_future *map =
        aloop_map(t.loop, sleep_long, items, sizeof items, 1, 0);

    (void) state;
    assert_int_equal(aloop_step(t.loop, 0), 1); /* Both are asleep. */

    aloop_cancel(map);

    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_future_status(map), ALOOP_ECANCELED);
    aloop_future_unref(map);
}

static void a_task_without_a_name_has_one(void **state)
{
    ssize_t result = 0;
    aloop_future *task =
        aloop_spawn_at(t.loop, just_return, &result, NULL, NULL, NULL);
    aloop_future *sleep = aloop_sleep(t.loop, MS);

    (void) state;
    assert_string_equal(aloop_task_name(task), "?");
    assert_null(aloop_task_name(sleep));
    assert_null(aloop_task_name(NULL));
    assert_null(aloop_task_name(aloop_sleep(NULL, MS)));
    aloop_future_unref(sleep);
    assert_int_equal(aloop_await(task), 0);
}

static void a_task_that_returns_no_status_has_failed(void **state)
{
    ssize_t result = ALOOP_PENDING;

    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, just_return, &result)),
                     ALOOP_EINVAL);
}

static void yield_in_a_callback(aloop_timer *timer, void *arg)
{
    aloop_future *failed = aloop_future_new_settled(t.loop, -EIO);

    (void) arg;
    assert_int_equal(aloop_yield(t.loop), ALOOP_EDEADLK);
    assert_int_equal(aloop_await(failed), ALOOP_EDEADLK);
    assert_false(aloop_is_cancelled());
    note(1);
    aloop_timer_close(timer);
}

/* Whoever is told EDEADLK has been told enough: not a word of the EIO. */
static void a_callback_can_neither_yield_nor_await(void **state)
{
    aloop_timer *timer;

    (void) state;
    assert_int_equal(aloop_timer_start(t.loop, 0, 0, yield_in_a_callback,
                                       NULL, &timer),
                     0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1);
    assert_int_equal(t.unhandled, 0);
}

static void outside_of_tasks_a_yield_is_a_turn(void **state)
{
    ssize_t result = 3;
    aloop_future *task = aloop_spawn(t.loop, just_return, &result);

    (void) state;
    assert_int_equal(aloop_yield(t.loop), 0);

    assert_noted(9);
    assert_int_equal(aloop_future_status(task), 3);
    aloop_future_unref(task);
    assert_false(aloop_is_cancelled());
}

/* What comes back may be more than what there is room for. */
static void a_semaphore_is_never_fuller_than_full(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 2);
    aloop_future *granted = aloop_semaphore_acquire(semaphore, 2);

    (void) state;
    assert_true(aloop_future_is_settled(granted));
    assert_int_equal(aloop_semaphore_release(semaphore, SIZE_MAX), 0);
    assert_int_equal(aloop_semaphore_release(semaphore, 1), ALOOP_EINVAL);

    aloop_future_unref(granted); /* Nobody took it. */

    assert_true(aloop_semaphore_count(semaphore) == SIZE_MAX);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, SIZE_MAX), 0);
    assert_int_equal(aloop_semaphore_count(semaphore), 0);
    aloop_semaphore_free(semaphore);
}

static void a_deadline_is_never_further_than_time_goes(void **state)
{
    (void) state;
    assert_true(aloop__until(-5, INT64_MAX) == INT64_MAX);
    assert_true(aloop__until(INT64_MIN, 0) == INT64_MAX);
    assert_true(aloop__until(INT64_MIN, -1) == INT64_MAX);
    assert_true(aloop__until(-5, 5) == 10);
    assert_true(aloop__until(-5, -5) == 0);
    assert_true(aloop__after(INT64_MAX - 1, 5) == INT64_MAX);
}

/* One line, with its newline, however long the name of the place is. */
static void a_complaint_of_a_far_place_is_cut(void **state)
{
    char where[400];
    ssize_t result = -EIO;
    aloop *loop = aloop_new(NULL);
    size_t length;

    (void) state;
    memset(where, 'w', sizeof where - 1);
    where[sizeof where - 1] = '\0';
    aloop_detach(
        aloop_spawn_at(loop, just_return, &result, NULL, "name", where));

    assert_int_equal(aloop_run(loop), 0);
    assert_int_equal(aloop_free(loop), 0);

    length = strlen(sim_complaints());
    assert_true(length > 100 && length < sizeof where);
    assert_ptr_equal(strchr(sim_complaints(), '\n'),
                     sim_complaints() + length - 1);
}

static ssize_t leave_a_sleep(aloop *loop, void *arg)
{
    aloop_future *sleep = aloop_sleep(loop, ALOOP_SEC(60));

    (void) arg;
    assert_int_equal(aloop_then(sleep, note_status, NULL), 0);
    return 7;
}

static void main_does_not_wait_for_what_only_a_continuation_wants(
    void **state)
{
    int64_t start_ns = sys_clock_ns();

    (void) state;
    assert_int_equal(aloop_main(leave_a_sleep, NULL), 7);

    assert_noted(ALOOP_ECANCELED);
    assert_true(sys_clock_ns() - start_ns < ALOOP_SEC(60));
}

/* The first call replies with more than the high-water mark. */
static void reply_or_note_errors(aloop_stream *stream, const void *data,
                                 ssize_t size, void *arg)
{
    static char bytes[2 * BUFFER];

    (void) data;
    (void) arg;
    if (size <= 0)
        note((int) size);
    else if (t.calls++ == 0)
        assert_int_equal(aloop_stream_put(stream, bytes, sizeof bytes), 1);
}

/* Reading was paused for what has not been sent, and cannot go on. */
static void what_cannot_be_read_any_further_is_told(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(
        aloop_stream_start(stream, reply_or_note_errors, NULL), 0);
    assert_int_equal(sim_peer_send(c.peer, "question", 8), 8);
    run_for(MS);
    assert_int_equal(sim_peer_send(c.peer, "unread", 6), 6);
    run_for(MS);
    assert_int_equal(t.calls, 1);

    sim_fail("aloop__reactor_set", 1, -ENOMEM);
    for (int i = 0; i < 3; i++)
        receive_all();

    assert_noted(-ENOMEM);
    assert_int_equal(t.calls, 1);
    assert_int_equal(sim_faults_pending(), 0);
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
}

enum { ROOM = 64 }; /* For deadlines, before it has to grow. */

/* Takes the place that the next one has just left. */
static void start_more(aloop_timer *timer, void *arg)
{
    aloop_timer **more = arg;

    memory.is_out = true;
    assert_int_equal(aloop_timer_restart_at(timer, INT64_MAX), 0);
    assert_int_equal(aloop_timer_restart_at(*more, INT64_MAX), 0);
    note(1);
}

static void a_periodic_timer_that_finds_no_place_says_so(void **state)
{
    aloop *loop = memory_loop(0);
    aloop_timer *timer, *more;

    (void) state;
    assert_int_equal(aloop_timer_start(loop, 0, 0, count_timer, NULL, &more),
                     0);
    assert_int_equal(aloop_run(loop), 0);
    assert_int_equal(t.calls, 1); /* `more`, which is idle now. */
    assert_int_equal(
        aloop_timer_start(loop, MS, 0, start_more, &more, &timer), 0);
    assert_int_equal(aloop_timer_start(loop, MS, MS, count_timer, NULL, &timer),
                     0);
    for (int i = 2; i < ROOM; i++)
        assert_int_equal(
            aloop_timer_start(loop, ALOOP_SEC(9), 0, count_timer, NULL, &timer),
            0);

    while (t.noted == 0)
        assert_int_equal(aloop_step(loop, -1), 1);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ENOMEM);
    assert_string_equal(t.unhandled_what, "periodic timer");
    assert_int_equal(t.calls, 2); /* This once it has come. */
    memory.is_out = false;
    assert_int_equal(aloop_free(loop), 0);
}

static ssize_t never_end(aloop *loop, void *arg)
{
    (void) arg;
    for (;;)
        aloop_yield(loop);
    return 0;
}

static void what_gathers_a_task_without_end_is_freed_with_the_loop(
    void **state)
{
    aloop *loop = memory_loop(0);
    aloop_future *gather =
        aloop_gather(loop, aloop_spawn(loop, never_end, NULL),
                     aloop_sleep(loop, MS));

    (void) state;
    assert_int_equal(aloop_step(loop, 0), 1);
    assert_false(aloop_future_is_settled(gather));

    assert_int_equal(aloop_free(loop), 0); /* A leak checker looks on. */
}

static void a_number_of_resolver_threads_may_be_asked_for(void **state)
{
    static const char *const here[] = {"127.0.0.1", NULL};
    aloop_options options = {.size = sizeof options, .resolver_threads = 1};
    aloop *loop = aloop_new(&options);
    aloop_future *connects[3];
    aloop_stream *streams[3];
    size_t most = 0;

    (void) state;
    sim_host("name", here);
    for (int i = 0; i < 3; i++)
        connects[i] = aloop_tcp_connect(loop, "name", "1", &streams[i]);
    while (aloop_alive(loop)) {
        most = most < sim_threads_open() ? sim_threads_open() : most;
        assert_true(aloop_step(loop, -1) >= 0);
    }

    assert_int_equal(most, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_future_status(connects[i]),
                         ALOOP_ECONNREFUSED);
        aloop_future_unref(connects[i]);
    }
    assert_int_equal(aloop_free(loop), 0);
}

/* Somebody closed it behind the stream's back. */
static void a_renewal_finds_out_what_was_closed(void **state)
{
    aloop_stream *lost = connected(), *kept;
    aloop_future *read, *other;
    char bytes[4];

    (void) state;
    kept = connected();
    read = aloop_stream_read(lost, bytes, sizeof bytes);
    other = aloop_stream_read(kept, bytes, sizeof bytes);
    sys_close(aloop_stream_fd(lost));

    assert_int_equal(aloop__io_renew(t.loop), 0);

    assert_int_equal(aloop_await(read), ALOOP_EBADF);
    assert_int_equal(aloop_stream_fd(lost), ALOOP_EBADF);
    assert_int_equal(sim_peer_send(c.peer, "here", 4), 4);
    assert_int_equal(aloop_await(other), 4);
    aloop_stream_close(lost);
    aloop_stream_close(kept);
}

/* The listener got the number that the connect lost. */
static void a_connect_whose_descriptor_was_taken_fails(void **state)
{
    aloop_stream *stream = NULL;
    aloop_listener *listener;
    aloop_future *connect;
    int fds[2], number;

    (void) state;
    sim_blackhole("10.0.0.9");
    assert_int_equal(sim_pair(fds), 0); /* Tells the number that is next. */
    number = fds[0];
    sys_close(fds[0]);
    connect = aloop_tcp_connect(t.loop, "10.0.0.9", "80", &stream);
    sys_close(number);

    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted,
                                      NULL, &listener),
                     0);

    assert_int_equal(aloop_listener_fd(listener), number);
    assert_int_equal(aloop_await(connect), ALOOP_EBADF);
    assert_null(stream);
    assert_int_equal(aloop_listener_fd(listener), number);
    aloop_listener_close(listener);
    sys_close(fds[1]);
}

/* It lost its descriptor while it could not accept. */
static void a_listener_that_lost_its_descriptor_does_not_try_again(
    void **state)
{
    aloop_listener *listener, *next;
    int number, peer;
    unsigned wakes;

    (void) state;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted,
                                      NULL, &listener),
                     0);
    number = aloop_listener_fd(listener);
    sim_fail("sys_accept", 1, -EMFILE);
    peer = sim_connect((uint16_t) aloop_listener_port(listener));
    run_for(MS);
    assert_int_equal(t.unhandled_error, -EMFILE);

    sys_close(number);
    assert_int_equal(
        aloop_tcp_listen(t.loop, "127.0.0.1", "0", close_accepted, NULL, &next),
        0);
    assert_int_equal(aloop_listener_fd(next), number);
    run_for(ALOOP_SEC(1));
    wakes = sim_wakes();
    run_for(ALOOP_SEC(60));

    assert_int_equal(t.unhandled_error, ALOOP_EBADF);
    assert_true(sim_wakes() < wakes + 10);
    aloop_listener_close(listener);
    aloop_listener_close(next);
    sim_peer_close(peer);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_task_waits_on_its_own_loop_only),
        TEST(a_future_of_another_loop_fails_the_gather),
        TEST(a_pipe_joins_streams_of_one_loop),
        TEST(a_condition_goes_with_a_mutex_of_its_own_loop),
        TEST(what_makes_no_sense_is_a_future_that_failed),
        TEST(a_map_over_more_than_memory_can_hold_has_no_memory),
        TEST(a_map_has_no_more_lanes_than_items),
        TEST(a_map_all_of_whose_items_run_is_cancelled_with_them),
        TEST(a_task_without_a_name_has_one),
        TEST(a_task_that_returns_no_status_has_failed),
        TEST(a_callback_can_neither_yield_nor_await),
        TEST(outside_of_tasks_a_yield_is_a_turn),
        TEST(a_semaphore_is_never_fuller_than_full),
        TEST(a_deadline_is_never_further_than_time_goes),
        TEST(a_complaint_of_a_far_place_is_cut),
        TEST(main_does_not_wait_for_what_only_a_continuation_wants),
        TEST(what_cannot_be_read_any_further_is_told),
        TEST(a_periodic_timer_that_finds_no_place_says_so),
        TEST(what_gathers_a_task_without_end_is_freed_with_the_loop),
        TEST(a_number_of_resolver_threads_may_be_asked_for),
        TEST(a_renewal_finds_out_what_was_closed),
        TEST(a_connect_whose_descriptor_was_taken_fails),
        TEST(a_listener_that_lost_its_descriptor_does_not_try_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
