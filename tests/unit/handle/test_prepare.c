/* Prepares: what is called before each wait, and how long the wait lasts. */

#include "support/debug_fixture.h"

/* What the callbacks of the tests return. */
static int64_t limit_ns;

static int64_t note_prepare(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    note((int) (intptr_t) arg);
    return limit_ns;
}

static int64_t count_prepare(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    t.calls++;
    return limit_ns;
}

static aloop_prepare *start(aloop_prepare_cb on_prepare, int what)
{
    aloop_prepare *prepare = NULL;

    assert_int_equal(
        aloop_prepare_start(t.loop, on_prepare, as_arg(what), &prepare), 0);
    assert_non_null(prepare);
    return prepare;
}

static int set_up_prepare(void **state)
{
    limit_ns = -1;
    return set_up(state);
}

#define PREPARE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_prepare, tear_down)

static void a_prepare_is_called_before_each_wait(void **state)
{
    (void) state;
    start(note_prepare, 9);
    start_timer(2 * MS, 1);
    start_timer(4 * MS, 2);
    aloop_run(t.loop);
    assert_noted(9, 1, 9, 2, 9);
}

static void a_limit_shortens_the_wait(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    limit_ns = 3 * MS;
    start(note_prepare, 9);
    start_timer(10 * MS, 1);
    assert_int_equal(aloop_step(t.loop, -1), 1);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
    assert_noted(9);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) - begin == 10 * MS);
    assert_noted(9, 9, 9, 9, 1, 9);
}

static void a_longer_limit_does_not_prolong_the_wait(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    limit_ns = ALOOP_SEC(1);
    start(note_prepare, 9);
    start_timer(2 * MS, 1);
    aloop_run(t.loop);
    assert_true(aloop_now(t.loop) - begin == 2 * MS);
    limit_ns = INT64_MAX;
    start_timer(2 * MS, 2);
    aloop_run(t.loop);
    assert_true(aloop_now(t.loop) - begin == 4 * MS);
    assert_int_equal(aloop_step(t.loop, MS), 0);
    assert_true(aloop_now(t.loop) - begin == 5 * MS);
}

static void a_limit_of_zero_looks_for_events_without_waiting(void **state)
{
    int64_t begin = aloop_now(t.loop);
    unsigned wakes = sim_wakes();

    (void) state;
    limit_ns = 0;
    start(note_prepare, 9);
    aloop_hold(t.loop);
    assert_int_equal(aloop_step(t.loop, -1), 1);
    assert_int_equal(sim_wakes() - wakes, 1);
    assert_true(aloop_now(t.loop) == begin);
    aloop_release(t.loop);
}

static void prepares_run_in_the_order_of_their_starts(void **state)
{
    (void) state;
    start(note_prepare, 1);
    start(note_prepare, 2);
    start(note_prepare, 3);
    turns(2);
    assert_noted(1, 2, 3, 1, 2, 3);
}

static int64_t limit_by_arg(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    return (intptr_t) arg * MS;
}

static void the_shortest_limit_holds(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_prepare *shortest;

    (void) state;
    aloop_hold(t.loop);
    start(limit_by_arg, 7);
    shortest = start(limit_by_arg, 3);
    start(limit_by_arg, -1);
    start(limit_by_arg, 5);
    aloop_step(t.loop, -1);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
    aloop_prepare_close(shortest);
    aloop_step(t.loop, -1);
    assert_true(aloop_now(t.loop) - begin == 8 * MS);
    aloop_release(t.loop);
}

static void a_prepare_does_not_keep_the_loop_alive(void **state)
{
    (void) state;
    start(note_prepare, 9);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_step(t.loop, -1), 0); /* It does not wait. */
    assert_noted(9);
}

static int64_t unref_third(aloop_prepare *prepare, void *arg)
{
    (void) arg;
    if (++t.calls == 3)
        aloop_prepare_unref(prepare);
    return MS;
}

static void a_referenced_prepare_keeps_the_loop_alive(void **state)
{
    int64_t begin = aloop_now(t.loop);
    aloop_prepare *prepare = start(unref_third, 0);

    (void) state;
    aloop_prepare_ref(prepare);
    aloop_prepare_ref(prepare);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 3);
    assert_true(aloop_now(t.loop) - begin == 2 * MS);
}

/* What the callbacks do. */

static int64_t defer_once(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    note(9);
    if (t.noted == 1)
        aloop_defer(t.loop, note_call, arg);
    return -1;
}

static void what_a_prepare_defers_runs_without_a_wait(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start(defer_once, 1);
    start_timer(ALOOP_SEC(9), 2);
    aloop_step(t.loop, -1);
    assert_noted(9, 1, 9);
    assert_true(aloop_now(t.loop) == begin);
}

static int64_t start_timer_once(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    if (t.calls++ == 0)
        start_timer(2 * MS, 1);
    return -1;
}

static void a_timer_that_a_prepare_starts_limits_the_wait(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start(start_timer_once, 0);
    aloop_hold(t.loop);
    aloop_step(t.loop, -1);
    assert_noted(1);
    assert_true(aloop_now(t.loop) - begin == 2 * MS);
    aloop_release(t.loop);
}

static int64_t put_once(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    if (t.calls++ == 0)
        assert_int_equal(aloop_stream_put(arg, "late", 4), 0);
    return -1;
}

static void bytes_that_a_prepare_puts_are_sent_in_the_same_turn(void **state)
{
    aloop_stream *stream = connected();
    aloop_prepare *prepare;
    char data[8];

    (void) state;
    aloop_stream_start(stream, collect, NULL);
    aloop_prepare_start(t.loop, put_once, stream, &prepare);
    aloop_step(t.loop, ALOOP_SEC(1));
    sim_pass(MS);
    assert_int_equal(sim_peer_receive(c.peer, data, sizeof data), 4);
    aloop_stream_abort(stream);
    sim_peer_close(c.peer);
}

static int64_t close_itself(aloop_prepare *prepare, void *arg)
{
    note((int) (intptr_t) arg);
    aloop_prepare_close(prepare);
    return 0; /* It has no effect. */
}

static void a_prepare_may_close_itself(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start(close_itself, 9);
    start_timer(2 * MS, 1);
    aloop_step(t.loop, -1);
    assert_true(aloop_now(t.loop) - begin == 2 * MS);
    turns(2);
    assert_noted(9, 1);
}

static aloop_prepare *others[3];

static int64_t close_others(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    note((int) (intptr_t) arg);
    for (int i = 0; i < 3; i++)
        aloop_prepare_close(others[i]);
    others[0] = others[1] = others[2] = NULL;
    return -1;
}

static void a_prepare_that_another_closes_is_not_called(void **state)
{
    (void) state;
    others[0] = start(note_prepare, 1);
    start(close_others, 2);
    others[1] = start(note_prepare, 3);
    others[2] = start(note_prepare, 4);
    start(note_prepare, 5);
    turns(2);
    assert_noted(1, 2, 5, 2, 5);
}

static int64_t start_another(aloop_prepare *prepare, void *arg)
{
    note((int) (intptr_t) arg);
    if (t.noted == 1)
        start(note_prepare, 2);
    aloop_prepare_close(prepare);
    return -1;
}

static void a_prepare_that_another_starts_is_called_before_the_loop_sleeps(
    void **state)
{
    (void) state;
    start(start_another, 1);
    start_timer(5 * MS, 3);
    aloop_run(t.loop);
    assert_noted(1, 2, 3, 2);
}

static int64_t replace_itself(aloop_prepare *prepare, void *arg)
{
    aloop_prepare_close(prepare);
    if (++t.calls < 100)
        start(replace_itself, (int) (intptr_t) arg);
    return -1;
}

static void prepares_that_start_each_other_do_not_keep_a_turn_from_ending(
    void **state)
{
    (void) state;
    start(replace_itself, 0);
    turns(5);
    assert_int_equal(t.calls, 5);
}

static int64_t stop_and_limit(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    aloop_stop(t.loop);
    return -1;
}

static void a_stop_in_a_prepare_ends_the_run_without_a_wait(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    start(stop_and_limit, 0);
    start_timer(5 * MS, 1);
    assert_int_equal(aloop_run(t.loop), 1);
    assert_true(aloop_now(t.loop) == begin);
}

static int64_t try_to_wait(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    t.calls++;
    assert_int_equal(aloop_await(aloop_sleep(t.loop, MS)), ALOOP_EDEADLK);
    assert_int_equal(aloop_step(t.loop, 0), ALOOP_EBUSY);
    assert_int_equal(aloop_free(t.loop), ALOOP_EBUSY);
    return -1;
}

static void a_prepare_can_neither_await_nor_run_the_loop(void **state)
{
    (void) state;
    start(try_to_wait, 0);
    turns(1);
    assert_int_equal(t.calls, 1);
}

static int64_t fork_in_prepare(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    if (t.calls++ == 0)
        sim_fork();
    return MS;
}

static void a_prepare_that_forks_is_the_last_call_in_the_child(void **state)
{
    (void) state;
    start(fork_in_prepare, 0);
    start(note_prepare, 2);
    assert_int_equal(aloop_step(t.loop, 0), ALOOP_EPERM);
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    aloop_step(t.loop, 0);
    assert_int_equal(t.calls, 2);
    assert_noted(2);
}

static void no_prepare_is_called_while_the_loop_is_freed(void **state)
{
    (void) state;
    start(note_prepare, 9);
    aloop_detach(aloop_sleep(t.loop, MS));
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(t.noted, 0);
}

/* Hosts. */

static void a_host_is_woken_when_a_limit_has_passed(void **state)
{
    int fd = aloop_fd(t.loop);
    int64_t begin = aloop_now(t.loop);
    aloop_prepare *prepare;

    (void) state;
    limit_ns = 3 * MS;
    prepare = start(count_prepare, 0);
    assert_true(sim_fd_readable(fd)); /* It was not asked yet. */
    turns(1);
    assert_int_equal(t.calls, 1);
    assert_false(sim_fd_readable(fd));
    assert_true(sim_poll(fd, -1));
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
    turns(1);
    assert_int_equal(t.calls, 2);
    assert_false(sim_fd_readable(fd));
    aloop_prepare_close(prepare);
    turns(1); /* Frees it. */
    assert_false(sim_poll(fd, 10 * MS));
    assert_int_equal(t.calls, 2);
}

static void a_host_is_not_woken_without_a_limit(void **state)
{
    int fd = aloop_fd(t.loop);

    (void) state;
    start(count_prepare, 0);
    turns(1);
    assert_false(sim_poll(fd, ALOOP_SEC(1)));
    assert_int_equal(t.calls, 1);
}

/* Signals and posts run after the prepares of their turn. */
static void a_host_calls_again_after_callbacks_that_may_change_the_limit(
    void **state)
{
    int fd = aloop_fd(t.loop), rounds = 0;

    (void) state;
    start(note_prepare, 9);
    turns(1);
    aloop_post(t.loop, note_call, as_arg(1));
    for (; rounds < 5 && sim_fd_readable(fd); rounds++)
        aloop_step(t.loop, 0);
    assert_true(rounds < 5);
    assert_int_equal(t.order[0], 9);
    assert_int_equal(t.order[t.noted - 1], 9);
    assert_true(t.noted >= 3);
}

static void stop_when_readable(aloop_poll *poll, unsigned events, void *arg)
{
    (void) events;
    (void) arg;
    aloop_poll_close(poll);
    aloop_stop(t.loop);
}

static void a_host_calls_again_after_an_event_that_ended_the_step(void **state)
{
    aloop_poll *poll;
    int fd = aloop_fd(t.loop), fds[2];

    (void) state;
    start(note_prepare, 9);
    assert_int_equal(sim_pair(fds), 0);
    assert_int_equal(aloop_poll_start(t.loop, fds[0], ALOOP_POLL_READABLE,
                                      stop_when_readable, NULL, &poll),
                     0);
    turns(2);
    assert_false(sim_fd_readable(fd));
    assert_int_equal(aloop__sys_send(fds[1], "x", 1), 1);
    sim_pass(MS);
    turns(1);
    assert_true(sim_fd_readable(fd));
    aloop__sys_close(fds[0]);
    aloop__sys_close(fds[1]);
}

/* A library that has a loop of its own, such as GLib: it has one timer, which a
 * task of the outer loop starts. */

static struct {
    int64_t due_ns; /* INT64_MAX: not started. */
    aloop_future *operation;
    int iterations;
} inner;

static void inner_iterate(void)
{
    inner.iterations++;
    if (aloop_now(t.loop) < inner.due_ns)
        return;
    inner.due_ns = INT64_MAX;
    aloop_operation_settle(inner.operation, 0);
}

static int64_t inner_prepare(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    inner_iterate();
    if (inner.due_ns == INT64_MAX)
        return -1;
    return inner.due_ns - aloop_now(t.loop);
}

static ssize_t waits_for_inner_timer(aloop *loop, void *arg)
{
    aloop_await(aloop_sleep(loop, MS)); /* It runs from a dispatch. */
    inner.operation = aloop_operation_new(loop, NULL, NULL);
    inner.due_ns = aloop_now(loop) + 10 * MS;
    note(1);
    (void) arg;
    return aloop_await(inner.operation);
}

static void a_timer_of_an_inner_loop_fires_when_due(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    inner.due_ns = INT64_MAX;
    inner.iterations = 0;
    start(inner_prepare, 0);
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, waits_for_inner_timer, NULL)), 0);
    assert_true(aloop_now(t.loop) - begin == 11 * MS);
    assert_true(inner.iterations < 20);
}

static void a_timer_of_an_inner_loop_fires_in_a_host(void **state)
{
    int fd = aloop_fd(t.loop);
    int64_t begin = aloop_now(t.loop);

    (void) state;
    inner.due_ns = INT64_MAX;
    inner.iterations = 0;
    start(inner_prepare, 0);
    aloop_then(aloop_spawn(t.loop, waits_for_inner_timer, NULL), note_status,
               NULL);
    while (t.noted < 2) {
        assert_true(sim_poll(fd, ALOOP_SEC(1)));
        aloop_step(t.loop, 0);
    }
    assert_noted(1, 0);
    assert_true(aloop_now(t.loop) - begin == 11 * MS);
    assert_true(inner.iterations < 20);
}

/* Arguments and memory. */

static void bad_arguments_are_refused(void **state)
{
    aloop_prepare *prepare = NULL;

    (void) state;
    assert_int_equal(aloop_prepare_start(NULL, note_prepare, NULL, &prepare),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_prepare_start(t.loop, NULL, NULL, &prepare),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_prepare_start(t.loop, note_prepare, NULL, NULL),
                     ALOOP_EINVAL);
    assert_null(prepare);
    aloop_prepare_ref(NULL);
    aloop_prepare_unref(NULL);
    aloop_prepare_close(NULL);
}

static void a_prepare_without_memory_is_not_started(void **state)
{
    aloop_prepare *prepare = NULL;
    int count = 0;

    (void) state;
    memory.is_out = true;
    while (count < 1000 &&
           aloop_prepare_start(t.loop, count_prepare, NULL, &prepare) == 0)
        count++;
    prepare = NULL;
    assert_int_equal(aloop_prepare_start(t.loop, count_prepare, NULL, &prepare),
                     ALOOP_ENOMEM);
    assert_null(prepare);
    memory.is_out = false;
}

static int64_t block(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    sim_advance(ALOOP_SEC(1));
    return -1;
}

static void a_prepare_that_blocks_or_was_closed_is_reported(void **state)
{
    aloop_prepare *prepare = start(block, 0);

    (void) state;
    turns(1);
    assert_mistake("prepare", "has blocked the loop", "block");
    aloop_prepare_close(prepare);
    aloop_prepare_close(prepare);
    assert_mistake("aloop_prepare_close()", "prepare was used", "NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARE_TEST(a_prepare_is_called_before_each_wait),
        PREPARE_TEST(a_limit_shortens_the_wait),
        PREPARE_TEST(a_longer_limit_does_not_prolong_the_wait),
        PREPARE_TEST(a_limit_of_zero_looks_for_events_without_waiting),
        PREPARE_TEST(prepares_run_in_the_order_of_their_starts),
        PREPARE_TEST(the_shortest_limit_holds),
        PREPARE_TEST(a_prepare_does_not_keep_the_loop_alive),
        PREPARE_TEST(a_referenced_prepare_keeps_the_loop_alive),
        PREPARE_TEST(what_a_prepare_defers_runs_without_a_wait),
        PREPARE_TEST(a_timer_that_a_prepare_starts_limits_the_wait),
        PREPARE_TEST(bytes_that_a_prepare_puts_are_sent_in_the_same_turn),
        PREPARE_TEST(a_prepare_may_close_itself),
        PREPARE_TEST(a_prepare_that_another_closes_is_not_called),
        PREPARE_TEST(
            a_prepare_that_another_starts_is_called_before_the_loop_sleeps),
        PREPARE_TEST(
            prepares_that_start_each_other_do_not_keep_a_turn_from_ending),
        PREPARE_TEST(a_stop_in_a_prepare_ends_the_run_without_a_wait),
        PREPARE_TEST(a_prepare_can_neither_await_nor_run_the_loop),
        PREPARE_TEST(a_prepare_that_forks_is_the_last_call_in_the_child),
        PREPARE_TEST(no_prepare_is_called_while_the_loop_is_freed),
        PREPARE_TEST(a_host_is_woken_when_a_limit_has_passed),
        PREPARE_TEST(a_host_is_not_woken_without_a_limit),
        PREPARE_TEST(
            a_host_calls_again_after_callbacks_that_may_change_the_limit),
        PREPARE_TEST(a_host_calls_again_after_an_event_that_ended_the_step),
        PREPARE_TEST(a_timer_of_an_inner_loop_fires_when_due),
        PREPARE_TEST(a_timer_of_an_inner_loop_fires_in_a_host),
        PREPARE_TEST(bad_arguments_are_refused),
        MEMORY_TEST(a_prepare_without_memory_is_not_started),
        DEBUG_TEST(a_prepare_that_blocks_or_was_closed_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
